//! The routes. To add some: a file with their handlers, whose [`Live`](access::Live) argument asks for the key and a
//! live token, and a line in [`router`].
//!
//! Every route but the login, and every answer of it, is our assumption. An answer says in `base` whether it comes from
//! a test base.

mod access;
mod articles;
mod document;
mod input;
mod login;
mod orders;
mod quotes;
mod third_parties;

use super::Sandbox;
use super::settings::Base;
use axum::Json;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::json;

/// The path of the login.
pub(super) const LOGIN: &str = "/v1/login/user";

pub(super) fn router(sandbox: Sandbox) -> Router {
    Router::new()
        .route(LOGIN, post(login::login))
        .route("/v1/logout/user", post(login::logout))
        .merge(articles::routes())
        .merge(third_parties::routes())
        .merge(quotes::routes())
        .merge(orders::routes())
        .fallback(async || error(StatusCode::NOT_FOUND, "unknown_route"))
        .method_not_allowed_fallback(async || error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"))
        .with_state(sandbox)
}

#[derive(Serialize)]
struct Envelope<T> {
    base: Base,
    #[serde(flatten)]
    content: T,
}

/// An answer: `content`, which is an object, and its `base`.
fn answer(sandbox: &Sandbox, status: StatusCode, content: impl Serialize) -> Response {
    (status, Json(Envelope { base: sandbox.shared.settings.base(), content })).into_response()
}

/// The answer 201, with the location of what was made.
fn created(sandbox: &Sandbox, location: &str, content: impl Serialize) -> Response {
    ([(header::LOCATION, location)], answer(sandbox, StatusCode::CREATED, content)).into_response()
}

/// A refusal: `{"error": "…"}`. Its shape is our assumption.
pub(super) fn error(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

/// A refusal with a sentence for people, in French as 8sens is: `{"error": "…", "message": "…"}`.
fn refusal(status: StatusCode, error: &str, message: &str) -> Response {
    (status, Json(json!({ "error": error, "message": message }))).into_response()
}

/// The refusal of a body.
fn invalid(message: &str) -> Response {
    refusal(StatusCode::BAD_REQUEST, "invalid_body", message)
}
