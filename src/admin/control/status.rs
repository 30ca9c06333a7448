//! `/status`: what a gate says of itself.

use crate::clock;
use crate::proxy::connection::Shared;
use crate::snapshot::SessionMode;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new().route("/status", get(status))
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
