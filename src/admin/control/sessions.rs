//! `/sessions`: which tokens are known, and how to end them; which sessions the gate keeps itself.

use super::Caller;
use crate::domain::session::managed::{Account, Failure};
use crate::domain::session::{EndedByHash, HashPrefix, ListedSession, SessionHash};
use crate::platform::clock;
use crate::proxy::shared::Shared;
use crate::telemetry::audit_event::{Actor, AuditEvent, EndedSessions};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
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

/// A session that the gate keeps, or would keep if 8sens let it log in.
#[derive(Debug, Serialize, Deserialize)]
pub struct ManagedSession {
    /// Those that use it: one, unless consumers share a login.
    pub consumers: Vec<String>,
    /// `live`, `logging_in`, `absent`, or `held_back`: 8sens is not asked at this moment.
    pub state: ManagedState,
    /// Counts the logins of its account.
    pub generation: u64,
    pub age_seconds: Option<u64>,
    pub idle_left_seconds: u64,
    /// Why 8sens is not asked: `unreachable` or `refused`.
    pub held_back: Option<String>,
    pub retry_in_seconds: Option<u64>,
}

/// Whose login may be tried again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Retried {
    pub consumer: String,
}

/// How a session that the gate keeps is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ManagedState {
    Live,
    LoggingIn,
    Absent,
    HeldBack,
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
        .route("/sessions/managed", get(list_managed))
        .route("/sessions/{hash}", delete(end))
        .route("/consumers/{name}/sessions", delete(end_consumer))
        .route("/consumers/{name}/sessions/retry", post(retry))
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

async fn list_managed(State(shared): State<Arc<Shared>>) -> Json<Vec<ManagedSession>> {
    let (limits, now) = (shared.settings.load().snapshot.session.limits, clock::now().mono);
    let managed = shared.tables.accounts.all().into_iter().map(|(account, consumers)| {
        let view = account.view(&limits, now);
        ManagedSession {
            consumers: consumers.iter().map(ToString::to_string).collect(),
            state: match (view.is_logging_in, view.held, view.idle_left.is_zero()) {
                (true, ..) => ManagedState::LoggingIn,
                (_, _, false) => ManagedState::Live,
                (_, Some(_), _) => ManagedState::HeldBack,
                _ => ManagedState::Absent,
            },
            generation: view.generation,
            age_seconds: view.age.map(|age| age.as_secs()),
            idle_left_seconds: view.idle_left.as_secs(),
            held_back: view.held.map(|(why, _)| match why {
                Failure::Unreachable => "unreachable".to_owned(),
                Failure::Refused => "refused".to_owned(),
            }),
            retry_in_seconds: view.held.map(|(_, left)| left.as_secs()),
        }
    });
    Json(managed.collect())
}

/// Lets the gate try a refused login of a consumer again.
async fn retry(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Path(name): Path<String>,
) -> Response {
    let Some(account) = shared.tables.accounts.of(&name) else { return StatusCode::NOT_FOUND.into_response() };
    account.retry();
    let by = Actor::Control { uid: caller.uid };
    shared.telemetry.audit.tell(&AuditEvent::LoginRetried { consumer: &name, by });
    Json(Retried { consumer: name }).into_response()
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
    let kept = shared.tables.accounts.of(&name);
    let ended = shared.tables.end_consumer(&name, clock::now()) + end_kept(&shared, kept.iter());
    caller.ended(&shared, EndedSessions::OfConsumer(&name), ended);
    Json(Ended { ended }).into_response()
}

/// Ends the sessions that the gate keeps for these, and says how many there were: the next request logs in anew.
fn end_kept<'a>(shared: &Shared, accounts: impl Iterator<Item = &'a Arc<Account>>) -> usize {
    let ended = accounts.filter_map(|account| account.end()).count();
    shared.tables.accounts.set_changed();
    ended
}

async fn clear(State(shared): State<Arc<Shared>>, ConnectInfo(caller): ConnectInfo<Caller>) -> Json<Ended> {
    let accounts = shared.tables.accounts.all();
    let kept = accounts.iter().map(|(account, _)| account);
    let ended = shared.tables.clear(clock::now()) + end_kept(&shared, kept);
    caller.ended(&shared, EndedSessions::All, ended);
    Json(Ended { ended })
}
