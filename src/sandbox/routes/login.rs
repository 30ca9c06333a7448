//! `POST /v1/login/user`: the one route the vendor documents. `POST /v1/logout/user`, which it does not.
//!
//! Our assumptions: a refused login is 401 with a JSON error unless `failed_login_answer` says otherwise; a user
//! without the right is refused like a wrong password; no account is locked unless `lock_after` is set, and a locked
//! one is refused whatever its password; the two roots are integers; each login gives a new token unless `token_shared`
//! is set; a login past the seats is 403; `g8CliCode` is the licence number of the settings, `SANDBOX` without one.

use super::super::Sandbox;
use super::super::settings::{FailedLoginAnswer, SandboxSettings, User};
use super::access::{Keyed, Live};
use super::{error, refusal};
use crate::domain::types::Mono;
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
    let now = (sandbox.shared.clock)();
    let user = match sandbox.user(&form, now) {
        Ok(user) => user,
        Err(reason) => return failed(settings, reason),
    };
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "no_random_bytes");
    }
    let Some(access_token) = sandbox.shared.sessions.lock().open(user.id, random, now) else {
        return refusal(StatusCode::FORBIDDEN, "no_seat", "plus de siège");
    };
    Json(LoggedIn::of(settings, access_token)).into_response()
}

/// Ends the token of the request.
pub(super) async fn logout(Live(token): Live, State(sandbox): State<Sandbox>) -> Response {
    sandbox.shared.sessions.lock().close(&token);
    StatusCode::NO_CONTENT.into_response()
}

impl Sandbox {
    /// The user that logs in, or the error to answer with.
    fn user(&self, login: &Login, now: Mono) -> Result<&User, &'static str> {
        let users = &self.shared.settings.users;
        let user = users.iter().find(|user| user.rest_right && user.name == login.login).ok_or("invalid_login")?;
        let mut accounts = self.shared.accounts.lock();
        if accounts.is_locked(user.id, now) {
            return Err("account_locked");
        }
        if user.password.expose_secret() != login.password {
            accounts.failed(user.id, now);
            return Err("invalid_login");
        }
        accounts.succeeded(user.id);
        Ok(user)
    }
}

impl LoggedIn {
    fn of(settings: &SandboxSettings, access_token: String) -> Self {
        Self {
            access_token,
            racine_client: settings.racine_client,
            racine_prospect: settings.racine_prospect,
            client_code: settings.numero_licence.clone().unwrap_or_else(|| "SANDBOX".to_owned()),
        }
    }
}

fn failed(settings: &SandboxSettings, reason: &str) -> Response {
    match settings.failed_login_answer {
        FailedLoginAnswer::Unauthorized => error(StatusCode::UNAUTHORIZED, reason),
        FailedLoginAnswer::Forbidden => error(StatusCode::FORBIDDEN, reason),
        FailedLoginAnswer::OkWithError => error(StatusCode::OK, reason),
        FailedLoginAnswer::OkWithoutToken => Json(LoggedIn::of(settings, String::new())).into_response(),
    }
}
