//! What the live page shows, as JSON. It is for the page of the same version, and changes with it.
//!
//! The page asks every second or so; there is no stream. A stream would have to carry the token in its address, because
//! `EventSource` sends no `Authorization`, and would hold a connection for each watcher; an answer to a question is
//! bounded by itself.

use super::control::{self, sessions, status};
use super::paths::ACCESS_PATH;
use super::peer::PeerAddress;
use super::{AdminCode, AdminContext, refusals};
use crate::domain::exchange::EndCode;
use crate::domain::session::{EndedByHash, HashPrefix};
use crate::explain::Explained;
use crate::platform::clock;
use crate::telemetry::audit_event::{Actor, AuditEvent, EndedSessions};
use crate::telemetry::{Points, catalogue};
use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Refusals that are shown.
const REFUSALS: usize = 15;

/// Sessions that are shown.
const SESSIONS: usize = 100;

#[derive(Debug, Serialize)]
struct Access {
    token: bool,
}

/// Everything but the sessions, at one moment.
#[derive(Debug, Serialize)]
struct Live {
    status: status::Status,
    /// By consumer, `-` for requests without an accepted key.
    traffic: BTreeMap<String, Traffic>,
    points: Points,
    refusals: Vec<Explained>,
    /// There is a token, so sessions can be ended from here.
    may_end_sessions: bool,
}

/// Requests since the gate started.
#[derive(Debug, Default, Serialize)]
struct Traffic {
    requests: u64,
    /// Refused by the gate, or because 8sens could not be used.
    refusals: u64,
}

#[derive(Debug, Serialize)]
struct Sessions {
    /// Entries of the session table, some of them expired; one session has up to four.
    places: usize,
    /// The first ones, in the order of their hashes.
    sessions: Vec<sessions::Session>,
}

#[derive(Debug, Deserialize)]
struct From {
    /// The number of the first point that is not known yet.
    #[serde(default)]
    since: u64,
}

/// One listing at a time: it looks at every session.
type Listing = Arc<Mutex<()>>;

pub(super) fn router() -> Router<AdminContext> {
    Router::new()
        .route(ACCESS_PATH, get(access))
        .route("/api/live", get(live))
        .route("/api/sessions", get(list))
        .route("/api/sessions/{hash}", delete(end))
        .layer(Extension(Listing::default()))
}

async fn access(State(admin): State<AdminContext>) -> Json<Access> {
    Json(Access { token: admin.token.is_some() })
}

async fn live(State(admin): State<AdminContext>, Query(from): Query<From>) -> Json<Live> {
    let shared = &admin.shared;
    Json(Live {
        traffic: traffic(&admin),
        status: status::take(shared, clock::now()),
        points: shared.telemetry.history.since(from.since),
        refusals: refusals::latest(shared, REFUSALS),
        may_end_sessions: admin.token.is_some(),
    })
}

fn traffic(admin: &AdminContext) -> BTreeMap<String, Traffic> {
    let mut by_consumer = BTreeMap::<String, Traffic>::new();
    for (labels, count) in admin.shared.telemetry.metrics.readings().counts(catalogue::requests().name) {
        let label = |name: &str| labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let of = by_consumer.entry(label("consumer").unwrap_or_default().to_owned()).or_default();
        of.requests += count;
        if label("code").is_some_and(EndCode::is_refusal_word) {
            of.refusals += count;
        }
    }
    by_consumer
}

async fn list(State(admin): State<AdminContext>, Extension(listing): Extension<Listing>) -> Response {
    let _one_at_a_time = listing.lock().await;
    let shared = Arc::clone(&admin.shared);
    let listed = tokio::task::spawn_blocking(move || Sessions {
        places: shared.tables.sessions.len(),
        sessions: control::sessions::page(&shared, None, SESSIONS),
    });
    match listed.await {
        Ok(sessions) => Json(sessions).into_response(),
        Err(_) => AdminCode::Failed.into_response(),
    }
}

/// `DELETE`; the guard has asked for the token and the page's own origin.
async fn end(
    State(admin): State<AdminContext>,
    Extension(PeerAddress(peer)): Extension<PeerAddress>,
    Path(digits): Path<String>,
) -> Response {
    let Some(prefix) = HashPrefix::parse(&digits) else { return AdminCode::NoSuchSession.into_response() };
    match admin.shared.tables.end_by_hash(&prefix, clock::now()) {
        EndedByHash::Ended { hash, owners: ended } => {
            let event = AuditEvent::SessionsEnded { which: EndedSessions::One(hash), ended, by: Actor::Page { peer } };
            admin.shared.telemetry.audit.tell(&event);
            Json(sessions::Ended { ended }).into_response()
        }
        EndedByHash::Ambiguous | EndedByHash::NotFound => AdminCode::NoSuchSession.into_response(),
    }
}
