//! Recent refusals on the control socket, each with its explanation by the configuration in force.

use crate::explain::Explained;
use crate::proxy::shared::Shared;
use crate::telemetry::RECENT_REFUSALS;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use std::sync::Arc;

/// How many are shown unless more are asked for.
const FEW: usize = 50;

#[derive(Debug, Deserialize)]
struct Page {
    limit: Option<usize>,
}

/// `GET /refusals?limit=` and `GET /refusals/{request_id}`.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/refusals", get(list)).route("/refusals/{request_id}", get(one))
}

/// The latest refusals first, explained.
#[must_use]
pub fn latest(shared: &Shared, limit: usize) -> Vec<Explained> {
    let settings = shared.settings.load();
    let found = shared.telemetry.refusals.latest(limit.min(RECENT_REFUSALS));
    found.into_iter().map(|refusal| Explained::new(refusal, &settings)).collect()
}

async fn list(State(shared): State<Arc<Shared>>, Query(page): Query<Page>) -> Json<Vec<Explained>> {
    Json(latest(&shared, page.limit.unwrap_or(FEW)))
}

async fn one(State(shared): State<Arc<Shared>>, Path(request_id): Path<String>) -> Response {
    match shared.telemetry.refusals.find(&request_id) {
        Some(refusal) => Json(Explained::new(refusal, &shared.settings.load())).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
