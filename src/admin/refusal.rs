//! Refusals of the admin listener: its own small closed set of codes.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use strum::IntoStaticStr;

/// Why an admin request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum AdminCode {
    ForbiddenHost,
    ForbiddenOrigin,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    /// Something is to be changed, and there is no token that could allow it.
    TokenNotConfigured,
    NoSuchSession,
    /// The gate itself failed.
    Failed,
}

impl AdminCode {
    /// The stable snake_case word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::ForbiddenHost | Self::ForbiddenOrigin | Self::TokenNotConfigured => StatusCode::FORBIDDEN,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound | Self::NoSuchSession => StatusCode::NOT_FOUND,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::ForbiddenHost => "Host not allowed",
            Self::ForbiddenOrigin => "Origin not allowed",
            Self::Unauthorized => "Bearer token required",
            Self::NotFound => "No such page",
            Self::MethodNotAllowed => "Method not allowed",
            Self::TokenNotConfigured => "No admin token configured",
            Self::NoSuchSession => "No such session",
            Self::Failed => "The gate failed",
        }
    }

    const fn detail(self) -> &'static str {
        match self {
            Self::ForbiddenHost => {
                "Send the admin token, or use a loopback name, the address of the admin listener or a name in [admin] \
                 hosts."
            }
            Self::ForbiddenOrigin => "Pages of other origins may not read this listener.",
            Self::Unauthorized => "Send the admin token as Authorization: Bearer.",
            Self::NotFound => "This listener serves /, /metrics, /livez and /readyz.",
            Self::MethodNotAllowed => "Use GET or HEAD.",
            Self::TokenNotConfigured => {
                "Nothing can be changed here without [admin] token; use the commands on the gate's machine."
            }
            Self::NoSuchSession => "It has ended, or its digits fit several.",
            Self::Failed => "The log of the gate says more.",
        }
    }
}

/// RFC 9457 problem details.
#[derive(Serialize)]
struct Problem {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    code: &'static str,
}

impl IntoResponse for AdminCode {
    fn into_response(self) -> Response {
        let problem = Problem {
            r#type: format!("urn:sensgate:problem:{}", self.as_str()),
            title: self.title(),
            status: self.status().as_u16(),
            detail: self.detail(),
            code: self.as_str(),
        };
        let mut response = (self.status(), axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sensgate\""));
            }
            Self::MethodNotAllowed => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Self::ForbiddenHost
            | Self::ForbiddenOrigin
            | Self::NotFound
            | Self::TokenNotConfigured
            | Self::NoSuchSession
            | Self::Failed => {}
        }
        response
    }
}
