//! `POST /v1/login/user`: the one route the vendor documents.
//!
//! Our assumptions: a refused login is 401 with a JSON error; a user without the right is refused like a wrong
//! password; the two roots are integers; each login gives a new token unless `token_shared` is set; a login past the
//! `seats` is 403; `g8CliCode` is the licence number of the settings, `SANDBOX` without one.

use super::super::Sandbox;
use super::access::Keyed;
use super::{error, refusal};
use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(super) struct Login {
    login: String,
    password: String,
}

/// The four fields, under the names the vendor gives them.
#[derive(Serialize)]
struct LoggedIn {
    access_token: String,
    #[serde(rename = "paramRacineCliID")]
    racine_client: u32,
    #[serde(rename = "paramRacinePecID")]
    racine_prospect: u32,
    #[serde(rename = "g8CliCode")]
    client_code: String,
}

pub(super) async fn login(
    _: Keyed,
    State(sandbox): State<Sandbox>,
    form: Result<Form<Login>, FormRejection>,
) -> Response {
    let Form(form) = match form {
        Ok(form) => form,
        Err(rejection) => return error(rejection.status(), "invalid_form"),
    };
    let settings = &sandbox.shared.settings;
    let user = settings
        .users
        .iter()
        .find(|user| user.rest_right && user.name == form.login && user.password.expose_secret() == form.password);
    let Some(user) = user else { return error(StatusCode::UNAUTHORIZED, "invalid_login") };
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "no_random_bytes");
    }
    let now = (sandbox.shared.clock)();
    let Some(access_token) = sandbox.shared.sessions.lock().open(user.id, random, now) else {
        return refusal(StatusCode::FORBIDDEN, "no_seat", "plus de siège");
    };
    let answer = LoggedIn {
        access_token,
        racine_client: settings.racine_client,
        racine_prospect: settings.racine_prospect,
        client_code: settings.numero_licence.clone().unwrap_or_else(|| "SANDBOX".to_owned()),
    };
    Json(answer).into_response()
}
