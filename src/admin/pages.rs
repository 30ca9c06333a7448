//! The pages of the admin listener.

use super::guard::{self, Guard};
use super::paths::{LIVENESS, READINESS};
use super::peer::Access;
use super::{AdminCode, AdminContext, api, page};
use axum::Router;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use std::fmt::Write;
use std::sync::Arc;

/// All pages behind the guard.
pub(super) fn router(admin: AdminContext) -> Router {
    let guard = Arc::new(Guard::new(admin.token.as_ref(), Arc::clone(&admin.shared)));
    Router::new()
        .route("/metrics", get(metrics))
        .route(LIVENESS, get(livez))
        .route(READINESS, get(readyz))
        .merge(page::router())
        .merge(api::router())
        .method_not_allowed_fallback(|| async { AdminCode::MethodNotAllowed })
        .fallback(|| async { AdminCode::NotFound })
        .with_state(admin)
        .layer(axum::middleware::from_fn_with_state(guard, guard::stand))
}

async fn metrics(State(admin): State<AdminContext>) -> impl IntoResponse {
    let (content_type, scrape) = admin.shared.telemetry.metrics.render();
    ([(CONTENT_TYPE, content_type)], scrape)
}

/// The process runs: nothing else is asked.
async fn livez() -> &'static str {
    "ok\n"
}

/// 200 when the gate wants new work, else 503, and the word for it. Whoever shows the token also gets the checks by
/// name, when one fails or with `?verbose`.
async fn readyz(
    State(admin): State<AdminContext>,
    Extension(access): Extension<Access>,
    RawQuery(query): RawQuery,
) -> Response {
    let checks = admin.readiness.checks();
    let ready = checks.iter().all(|(_, passed)| *passed);
    let is_verbose = |pair: &str| pair == "verbose" || pair.starts_with("verbose=");
    let verbose = query.is_some_and(|query| query.split('&').any(is_verbose));
    let mut page = String::new();
    if access == Access::WithToken && (verbose || !ready) {
        for (name, passed) in checks {
            let (mark, word) = if passed { ('+', "ok") } else { ('-', "failed") };
            // Writing to memory cannot fail.
            let _ = writeln!(page, "[{mark}] {name} {word}");
        }
    }
    page.push_str(if ready { "ok\n" } else { "unready\n" });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, page).into_response()
}
