//! Tokens that the doctor takes for a trial, and what 8sens makes of them.

use super::Patient;
use super::http::{self, HttpAnswer};
use super::login::log_in;
use crate::cli::Exit;
use crate::domain::request::TokenPlace;
use crate::text;
use crate::text::Lang;
use secrecy::{ExposeSecret, SecretString};
use std::time::Instant;
use ureq::http::StatusCode;
use zeroize::Zeroizing;

/// The path of a route as it is typed: `GET /path`.
///
/// # Errors
/// The exit code of a wrong command line; it was told why.
pub(super) fn path_of(route: &str, lang: Lang) -> Result<&str, Exit> {
    route.strip_prefix("GET ").filter(|path| path.starts_with('/')).ok_or_else(|| {
        let text = text! {
            en: "error: write the route as 'GET /path'",
            fr: "erreur : écrivez la route sous la forme 'GET /chemin'"
        };
        crate::cli::talk(&text, lang);
        Exit::Usage
    })
}

/// A new token, when the login succeeds.
pub(super) fn token(patient: &Patient<'_>, user: &str, password: &SecretString) -> Option<SecretString> {
    let answer = log_in(patient, user, password).ok()?;
    crate::domain::session::login_answer::token(answer.status, &answer.body).ok()
}

/// Uses a token where the configuration says that 8sens reads it.
///
/// # Errors
/// Why there was no answer.
pub(super) fn ask(patient: &Patient<'_>, path: &str, token: &SecretString) -> Result<HttpAnswer, String> {
    let upstream = &patient.settings.upstream;
    let place = patient.settings.snapshot.session.token_from.first().copied().unwrap_or(TokenPlace::AccessTokenHeader);
    let token = token.expose_secret();
    let bearer = Zeroizing::new(format!("Bearer {token}"));
    let mut target = Zeroizing::new(path.to_owned());
    let mut fields: Vec<(&str, &[u8])> = vec![("api_key", upstream.api_key.as_bytes())];
    match place {
        TokenPlace::AccessTokenHeader => fields.push(("access_token", token.as_bytes())),
        TokenPlace::TokenHeader => fields.push(("token", token.as_bytes())),
        TokenPlace::Bearer => fields.push(("authorization", bearer.as_bytes())),
        TokenPlace::AccessTokenQuery => {
            let mark = if path.contains('?') { '&' } else { '?' };
            target.push_str(&format!("{mark}access_token={token}"));
        }
    }
    http::send_upstream(upstream, "GET", &target, &fields, None)
}

/// Uses a token, which counts as live unless the answer looks like that of an expired one.
pub(super) fn lives(patient: &Patient<'_>, path: &str, token: &SecretString) -> bool {
    ask(patient, path, token).is_ok_and(|answer| !looks_expired(patient, &answer))
}

/// True for a 401, and for what the configuration says of expired tokens.
pub(super) fn looks_expired(patient: &Patient<'_>, answer: &HttpAnswer) -> bool {
    answer.status == StatusCode::UNAUTHORIZED.as_u16() || is_known_as_expired(patient, answer)
}

/// True for what the configuration says of expired tokens.
pub(super) fn is_known_as_expired(patient: &Patient<'_>, answer: &HttpAnswer) -> bool {
    patient.settings.snapshot.session.expired_when.matches(answer.status, &answer.body)
}

pub(super) fn wait_until(moment: Instant) {
    while let Some(left) = moment.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
