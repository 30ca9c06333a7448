//! `/reload`: read the configuration again, and say what changed.

use crate::admin::command::{ReloadOrder, ReloadOutcome, Reloaded};
use crate::config::changes::Changes;
use crate::text::Lang;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long reading a configuration may take; its secrets may be on a disk of the network.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of a reload.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReloadReport {
    /// `applied`, `unchanged` or `refused`.
    pub result: String,
    /// The file that was read.
    pub file: PathBuf,
    pub changes: Changes,
    /// Warnings, or the reasons of a refusal, as `check --format json` shows them.
    pub problems: serde_json::Value,
    /// The same as `check` shows them to a person.
    pub text: String,
}

#[derive(Debug, Deserialize)]
struct Wish {
    /// The language of `problems`; English without it.
    lang: Option<String>,
}

/// 200 when the file is valid, 422 when it is not, 503 when the gate is ending or busy, 504 when it took too long.
pub(super) fn router<S: Clone + Send + Sync + 'static>(orders: mpsc::Sender<ReloadOrder>) -> Router<S> {
    Router::new().route("/reload", post(reload)).with_state(orders)
}

async fn reload(State(orders): State<mpsc::Sender<ReloadOrder>>, Query(wish): Query<Wish>) -> Response {
    let (order, answer) = oneshot::channel();
    if orders.try_send(order).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(reloaded)) => report(reloaded, Lang::from_locale(wish.lang.as_deref().unwrap_or("en"))),
        Ok(Err(_)) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

fn report(reloaded: Reloaded, lang: Lang) -> Response {
    let (status, result, changes, problems) = match reloaded.outcome {
        ReloadOutcome::Refused(report) => (StatusCode::UNPROCESSABLE_ENTITY, "refused", Changes::default(), report),
        ReloadOutcome::TakenUp(changes, warnings) => {
            (StatusCode::OK, if changes.has_live() { "applied" } else { "unchanged" }, changes, warnings)
        }
    };
    let report = ReloadReport {
        result: result.to_owned(),
        file: reloaded.file,
        changes,
        problems: problems.to_json(lang),
        text: problems.render(lang, false),
    };
    (status, Json(report)).into_response()
}
