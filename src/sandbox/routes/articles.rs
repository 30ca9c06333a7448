//! `GET /v1/articles` and `GET /v1/articles/{code}`: a catalogue. The routes, their fields and their content are our
//! assumption.

use super::super::Sandbox;
use super::super::database::catalogue::{Article, CATALOGUE, article};
use super::access::Live;
use super::input::Id;
use super::{answer, error};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::Serialize;

pub(super) fn routes() -> Router<Sandbox> {
    Router::new().route("/v1/articles", get(list)).route("/v1/articles/{code}", get(one))
}

#[derive(Serialize)]
struct Articles {
    articles: &'static [Article],
}

async fn list(_: Live, State(sandbox): State<Sandbox>) -> Response {
    answer(&sandbox, StatusCode::OK, Articles { articles: CATALOGUE })
}

async fn one(_: Live, State(sandbox): State<Sandbox>, Id(code): Id) -> Response {
    match article(&code) {
        Some(article) => answer(&sandbox, StatusCode::OK, article),
        None => error(StatusCode::NOT_FOUND, "unknown_article"),
    }
}
