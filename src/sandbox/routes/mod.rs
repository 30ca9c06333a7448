//! The routes. To add one: a file with its handlers, whose [`Live`](access::Live) argument asks for the key and a live token, and a
//! line in [`router`].

mod access;
mod articles;
mod login;

use super::Sandbox;
use axum::Json;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use serde_json::json;

pub(super) fn router(sandbox: Sandbox) -> Router {
    Router::new()
        .route("/v1/login/user", post(login::login))
        .route("/v1/articles", get(articles::list))
        .fallback(async || error(StatusCode::NOT_FOUND, "unknown_route"))
        .method_not_allowed_fallback(async || error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"))
        .with_state(sandbox)
}

/// A refusal: `{"error": "…"}`. Its shape is our assumption.
pub(super) fn error(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

/// A refusal with a sentence for people, in French as 8sens is: `{"error": "…", "message": "…"}`.
fn refusal(status: StatusCode, error: &str, message: &str) -> Response {
    (status, Json(json!({ "error": error, "message": message }))).into_response()
}
