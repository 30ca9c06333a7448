//! What a request must carry: the key, and on every route but login a live token.

use super::super::settings::{ExpiredAnswer, WrongKeyAnswer};
use super::super::{Sandbox, SandboxSettings};
use super::error;
use axum::extract::{FromRequestParts, Query};
use axum::response::{Html, IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri, header};
use secrecy::ExposeSecret;
use serde::Deserialize;

/// The request carries the API key: exactly one header `api_key`, with the right value.
pub(super) struct Keyed;

impl FromRequestParts<Sandbox> for Keyed {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, sandbox: &Sandbox) -> Result<Self, Response> {
        let mut keys = parts.headers.get_all("api_key").iter();
        let expected = sandbox.shared.settings.api_key.expose_secret();
        match (keys.next(), keys.next()) {
            (Some(key), None) if key.as_bytes() == expected.as_bytes() => Ok(Self),
            _ => Err(wrong_key(&sandbox.shared.settings)),
        }
    }
}

/// The request carries the API key and a live token, which is in it. The idle time of the token starts anew.
///
/// Our assumption: the header `access_token`, `Authorization: Bearer`, the header `token` and the query parameter
/// `access_token` are all taken, and of several the first in this order.
pub(super) struct Live(pub String);

impl FromRequestParts<Sandbox> for Live {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, sandbox: &Sandbox) -> Result<Self, Response> {
        Keyed::from_request_parts(parts, sandbox).await?;
        let now = (sandbox.shared.clock)();
        token(&parts.headers, &parts.uri)
            .filter(|token| sandbox.shared.sessions.lock().touch(token, now))
            .map(Self)
            .ok_or_else(|| dead_token(&sandbox.shared.settings))
    }
}

fn wrong_key(settings: &SandboxSettings) -> Response {
    let status = match settings.wrong_key_answer {
        WrongKeyAnswer::Unauthorized => StatusCode::UNAUTHORIZED,
        WrongKeyAnswer::OkWithError => StatusCode::OK,
    };
    error(status, "invalid_api_key")
}

#[expect(clippy::expect_used, reason = "any number from 100 to 999 is a status")]
fn dead_token(settings: &SandboxSettings) -> Response {
    let status = match settings.expired_answer {
        ExpiredAnswer::Unauthorized => StatusCode::UNAUTHORIZED,
        ExpiredAnswer::Forbidden => StatusCode::FORBIDDEN,
        ExpiredAnswer::OkWithError => StatusCode::OK,
        ExpiredAnswer::LoginTimeout => StatusCode::from_u16(440).expect("440 is a status"),
        ExpiredAnswer::Redirect => {
            return (StatusCode::FOUND, [(header::LOCATION, "/login"), (header::CONTENT_LENGTH, "0")]).into_response();
        }
        ExpiredAnswer::OkWithPage => return Html("<html><body>Session expirée</body></html>\n").into_response(),
    };
    error(status, "invalid_token")
}

fn token(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    #[derive(Deserialize)]
    struct InQuery {
        access_token: String,
    }
    let in_header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    in_header("access_token")
        .or_else(|| bearer(headers))
        .or_else(|| in_header("token"))
        .or_else(|| Query::<InQuery>::try_from_uri(uri).ok().map(|Query(query)| query.access_token))
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_each_place() {
        let found = |target: &'static str, name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            token(&headers, &Uri::from_static(target))
        };
        assert_eq!(found("/", "access_token", "t1").as_deref(), Some("t1"));
        assert_eq!(found("/", "authorization", "bearer t2").as_deref(), Some("t2"));
        assert_eq!(found("/", "token", "t3").as_deref(), Some("t3"));
        assert_eq!(found("/?page=1&access_token=t%34", "accept", "*/*").as_deref(), Some("t4"));
        assert_eq!(found("/?access_token=t4", "access_token", "t1").as_deref(), Some("t1"));
        assert_eq!(found("/?token=t5", "authorization", "Basic dDY="), None);
    }
}
