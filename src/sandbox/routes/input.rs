//! What a request gives beside its token: an id in its path, JSON in its body.
//!
//! Our assumptions: `Content-Type` is not looked at; a body that does not fit is 400 and names what is wrong; an
//! unknown field is wrong.

use super::super::Sandbox;
use super::{error, invalid};
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path};
use axum::response::Response;
use http::request::Parts;
use http::{Request, StatusCode};
use serde::de::DeserializeOwned;

/// Most bytes of a JSON body.
const MAX_JSON: usize = 64 << 10;

/// The one parameter of the path, decoded.
pub(super) struct Id(pub String);

impl FromRequestParts<Sandbox> for Id {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, sandbox: &Sandbox) -> Result<Self, Response> {
        // What is not UTF-8 names nothing.
        let Path(id) = Path::from_request_parts(parts, sandbox)
            .await
            .map_err(|_| error(StatusCode::NOT_FOUND, "unknown_route"))?;
        Ok(Self(id))
    }
}

/// A body of at most 64 KiB.
pub(super) struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Sandbox> for JsonBody<T> {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, _: &Sandbox) -> Result<Self, Response> {
        let body = to_bytes(request.into_body(), MAX_JSON)
            .await
            .map_err(|_| error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"))?;
        serde_json::from_slice(&body).map(Self).map_err(|error| invalid(&error.to_string()))
    }
}
