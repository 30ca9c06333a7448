//! `/sessions`: which tokens are known, and how to end them.

use super::Caller;
use crate::domain::session::{EndedByHash, HashPrefix, ListedSession, SessionHash};
use crate::platform::clock;
use crate::proxy::shared::Shared;
use crate::telemetry::audit_event::EndedSessions;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One live session, as an operator sees it: never the token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    pub hash: String,
    pub owners: Vec<SessionOwner>,
}

/// A consumer that owns a session.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionOwner {
    pub consumer: String,
    pub key_id: String,
    pub idle_left_seconds: u64,
}

/// How many session entries were ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ended {
    pub ended: usize,
}

/// Where a page of sessions begins and how long it is.
#[derive(Debug, Deserialize)]
struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/sessions", get(list).delete(clear))
        .route("/sessions/{hash}", delete(end))
        .route("/consumers/{name}/sessions", delete(end_consumer))
}

/// The first `limit` live sessions after one, in the order of their hashes.
pub(in crate::admin) fn page(shared: &Shared, after: Option<SessionHash>, limit: usize) -> Vec<Session> {
    let limits = shared.settings.load().snapshot.session.limits;
    shared.tables.sessions.list(after, limit, clock::now().mono, &limits).iter().map(shown).collect()
}

async fn list(State(shared): State<Arc<Shared>>, Query(page): Query<Page>) -> Response {
    let after = match page.after.as_deref().map(whole_hash) {
        Some(None) => return StatusCode::BAD_REQUEST.into_response(),
        Some(Some(hash)) => Some(hash),
        None => None,
    };
    Json(self::page(&shared, after, page.limit.unwrap_or(usize::MAX))).into_response()
}

/// A hash as it is listed: 32 hexadecimal digits.
fn whole_hash(text: &str) -> Option<SessionHash> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
    bytes.try_into().ok().map(SessionHash::from_bytes)
}

fn shown(session: &ListedSession) -> Session {
    let owners = session.owners.iter().map(|owner| SessionOwner {
        consumer: owner.consumer.to_string(),
        key_id: owner.credential.to_string(),
        idle_left_seconds: owner.idle_left.as_secs(),
    });
    Session { hash: session.hash.to_string(), owners: owners.collect() }
}

async fn end(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Path(digits): Path<String>,
) -> Response {
    let Some(prefix) = HashPrefix::parse(&digits) else { return StatusCode::BAD_REQUEST.into_response() };
    let ended = shared.tables.end_by_hash(&prefix, clock::now());
    match ended {
        EndedByHash::Ended { hash, owners } => {
            caller.ended(&shared, EndedSessions::One(hash), owners);
            Json(Ended { ended: owners }).into_response()
        }
        EndedByHash::Ambiguous => StatusCode::CONFLICT.into_response(),
        EndedByHash::NotFound => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn end_consumer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Path(name): Path<String>,
) -> Response {
    let known = shared.settings.load().snapshot.consumers.iter().any(|consumer| consumer.name.as_ref() == name);
    if !known {
        return StatusCode::NOT_FOUND.into_response();
    }
    let ended = shared.tables.end_consumer(&name, clock::now());
    caller.ended(&shared, EndedSessions::OfConsumer(&name), ended);
    Json(Ended { ended }).into_response()
}

async fn clear(State(shared): State<Arc<Shared>>, ConnectInfo(caller): ConnectInfo<Caller>) -> Json<Ended> {
    let ended = shared.tables.clear(clock::now());
    caller.ended(&shared, EndedSessions::All, ended);
    Json(Ended { ended })
}
