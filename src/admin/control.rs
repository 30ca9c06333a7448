//! The control socket: what changes something, for whoever may enter the state directory.
//!
//! HTTP over a Unix socket of mode 0600, so that `curl --unix-socket` works as well as the commands of this program.

use crate::clock;
use crate::proxy::connection::Shared;
use crate::session::{EndedByHash, HashPrefix, ListedSession, SessionHash};
use crate::snapshot::SessionMode;
use crate::state::StateError;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The name of the socket in the state directory.
pub const SOCKET: &str = "control.sock";

/// One live session, as an operator sees it: never the token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    pub hash: String,
    pub owners: Vec<Owner>,
}

/// A consumer that owns a session.
#[derive(Debug, Serialize, Deserialize)]
pub struct Owner {
    pub consumer: String,
    pub key_id: String,
    pub idle_left_seconds: u64,
}

/// How many places on tokens were given up.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ended {
    pub ended: usize,
}

/// What a gate says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    pub mode: String,
    pub uptime_seconds: u64,
    pub idle_timeout_seconds: u64,
    pub sessions: usize,
    pub connections: usize,
    pub would_refuse: Vec<WouldRefuse>,
    /// A whole idle window has passed without a session that `guard` would have refused.
    pub guard_is_safe: bool,
}

/// Requests that were forwarded and would be refused.
#[derive(Debug, Serialize, Deserialize)]
pub struct WouldRefuse {
    pub consumer: String,
    pub code: String,
    /// `before_start` or `elsewhere`, for tokens that were never handed out here.
    pub issued: Option<String>,
    pub count: u64,
    pub last_seconds_ago: u64,
}

/// Where a page of sessions begins and how long it is.
#[derive(Debug, Deserialize)]
struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// Starts to serve the socket. One that is left from a gate which was killed is replaced; the lock on the directory says that it is.
#[cfg(unix)]
pub fn serve(directory: &std::path::Path, shared: Arc<Shared>) -> Result<JoinHandle<()>, StateError> {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join(SOCKET);
    let failed = |error| StateError::Io(path.clone(), error);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = tokio::net::UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let router = router(shared);
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the control socket ended");
        }
    }))
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/sessions", get(list).delete(clear))
        .route("/sessions/{hash}", delete(end))
        .route("/consumers/{name}/sessions", delete(end_consumer))
        .route("/status", get(status))
        .merge(super::refusals::routes())
        .with_state(shared)
}

async fn list(State(shared): State<Arc<Shared>>, Query(page): Query<Page>) -> Response {
    let after = match page.after.as_deref().map(whole_hash) {
        Some(None) => return StatusCode::BAD_REQUEST.into_response(),
        Some(Some(hash)) => Some(hash),
        None => None,
    };
    let limits = shared.settings.load().snapshot.session.limits;
    let found = shared.tables.sessions.list(after, page.limit.unwrap_or(usize::MAX), clock::now().mono, &limits);
    Json(found.iter().map(shown).collect::<Vec<_>>()).into_response()
}

/// A hash as it is listed: 32 hexadecimal digits.
fn whole_hash(text: &str) -> Option<SessionHash> {
    let value = (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok())??;
    Some(SessionHash::from_bytes(value.to_be_bytes()))
}

fn shown(session: &ListedSession) -> Session {
    let owners = session.owners.iter().map(|owner| Owner {
        consumer: owner.consumer.to_string(),
        key_id: owner.credential.to_string(),
        idle_left_seconds: owner.idle_left.as_secs(),
    });
    Session { hash: session.hash.to_string(), owners: owners.collect() }
}

async fn end(State(shared): State<Arc<Shared>>, Path(digits): Path<String>) -> Response {
    let Some(prefix) = HashPrefix::parse(&digits) else { return StatusCode::BAD_REQUEST.into_response() };
    let ended = shared.tables.end_by_hash(&prefix, clock::now());
    match ended {
        EndedByHash::Ended { owners, .. } => Json(Ended { ended: owners }).into_response(),
        EndedByHash::Ambiguous => StatusCode::CONFLICT.into_response(),
        EndedByHash::NotFound => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn end_consumer(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    let known = shared.settings.load().snapshot.consumers.iter().any(|consumer| consumer.name.as_ref() == name);
    if !known {
        return StatusCode::NOT_FOUND.into_response();
    }
    Json(Ended { ended: shared.tables.end_consumer(&name, clock::now()) }).into_response()
}

async fn clear(State(shared): State<Arc<Shared>>) -> Json<Ended> {
    Json(Ended { ended: shared.tables.clear(clock::now()) })
}

async fn status(State(shared): State<Arc<Shared>>) -> Json<Status> {
    let settings = shared.settings.load_full();
    let rules = &settings.snapshot.session;
    let (now, idle) = (clock::now().mono, rules.limits.idle_timeout);
    let counts = shared.telemetry.would_refuse.counts();
    let of_sessions = counts.iter().filter(|count| count.code.is_about_a_session());
    let quiet = of_sessions.clone().all(|count| now.since(count.last) > idle);
    let uptime = now.since(shared.started);
    Json(Status {
        mode: match rules.mode {
            SessionMode::Observe => "observe".to_owned(),
            SessionMode::Guard => "guard".to_owned(),
        },
        uptime_seconds: uptime.as_secs(),
        idle_timeout_seconds: idle.as_secs(),
        sessions: shared.tables.sessions.len(),
        connections: shared.slots.open(),
        guard_is_safe: rules.mode == SessionMode::Observe && quiet && uptime > idle,
        would_refuse: counts
            .iter()
            .map(|count| WouldRefuse {
                consumer: count.consumer.to_string(),
                code: count.code.as_str().to_owned(),
                issued: count.issued.map(|issued| issued.as_str().to_owned()),
                count: count.count,
                last_seconds_ago: now.since(count.last).as_secs(),
            })
            .collect(),
    })
}

/// The socket of a gate whose state directory is `directory`.
#[must_use]
pub fn socket_in(directory: &std::path::Path) -> PathBuf {
    directory.join(SOCKET)
}
