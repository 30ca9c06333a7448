//! Does a login work, and which of the four fields come back. Only when asked for: it may take a seat of the licence.

use super::Patient;
use super::finding::{Check, Finding};
use super::http::{self, HttpAnswer};
use crate::text;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// What the vendor says that a login answers.
const FIELDS: [&str; 4] = ["access_token", "paramRacineCliID", "paramRacinePecID", "g8CliCode"];

/// Logs in, directly at 8sens.
pub(super) fn check(patient: &Patient<'_>, user: &str, password: &SecretString) -> Vec<Finding> {
    let answer = match log_in(patient, user, password) {
        Ok(answer) => answer,
        Err(error) => {
            let why = text! {
                en: "without a login no shop gets a token",
                fr: "sans connexion, aucune boutique n'obtient de jeton"
            };
            return vec![Finding::error(
                Check::Login,
                text! { en: "the login got no answer: {error}", fr: "la connexion est restée sans réponse : {error}" },
                why,
            )];
        }
    };
    let status = answer.status;
    let body = answer.json();
    let has = |field: &str| body.get(field).is_some_and(|value| !value.is_null());
    if !(200..300).contains(&status) || !has("access_token") {
        return vec![refused(user, &answer)];
    }
    let mut findings = vec![Finding::ok(
        Check::Login,
        text! {
            en: "{user} can log in ({status}): the key of 8sens is right",
            fr: "{user} peut se connecter ({status}) : la clé de 8sens est la bonne"
        },
    )];
    let (back, missing): (Vec<_>, Vec<_>) = FIELDS.into_iter().partition(|field| has(field));
    let (back, missing) = (back.join(", "), missing.join(", "));
    findings.push(if missing.is_empty() {
        Finding::ok(
            Check::LoginFields,
            text! {
                en: "all four came back: {back}",
                fr: "les quatre sont revenus : {back}"
            },
        )
    } else {
        Finding::warning(
            Check::LoginFields,
            text! { en: "{missing} did not come back; {back} did", fr: "{missing} ne sont pas revenus ; {back} oui" },
            text! {
                en: "a shop needs the two roots to make clients, and the client code of the licence",
                fr: "une boutique a besoin des deux racines pour créer des clients, et du code client de la licence"
            },
        )
        .fix(text! {
            en: "fill in Racine Client, Racine prospect and the licence on the REST screen of 8sens",
            fr: "renseignez Racine Client, Racine prospect et la licence sur l'écran REST de 8sens"
        })
    });
    findings
}

fn refused(user: &str, answer: &HttpAnswer) -> Finding {
    let status = answer.status;
    Finding::error(
        Check::Login,
        text! {
            en: "8sens refuses the login of {user} ({status})",
            fr: "8sens refuse la connexion de {user} ({status})"
        },
        text! {
            en: "a shop that logs in like this gets no token",
            fr: "une boutique qui se connecte ainsi n'obtient pas de jeton"
        },
    )
    .fix(text! {
        en: "see whether this user has this password and the right \"Autoriser REST\" in 8sens, whether a seat is \
             free, and whether api_key is the API Key of its REST screen",
        fr: "vérifiez que cet utilisateur a ce mot de passe et le droit « Autoriser REST » dans 8sens, qu'un siège est \
             libre, et que api_key est l'API Key de son écran REST"
    })
}

/// The vendor's own request.
pub(super) fn log_in(patient: &Patient<'_>, user: &str, password: &SecretString) -> Result<HttpAnswer, String> {
    let upstream = &patient.settings.upstream;
    let form = Zeroizing::new(format!(
        "{}={}&password={}",
        encoded(&patient.settings.snapshot.login.user_field),
        encoded(user),
        *Zeroizing::new(encoded(password.expose_secret()))
    ));
    let fields: [(&str, &[u8]); 2] = [("api_key", upstream.api_key.as_bytes()), ("accept", b"application/json")];
    http::send_upstream(upstream, "POST", "/v1/login/user", &fields, Some(&form))
}

/// What is encoded in a value of `application/x-www-form-urlencoded`: all that no form leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');

/// A value of `application/x-www-form-urlencoded`, in one allocation that is never left behind half-written.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len() * 3);
    text.extend(utf8_percent_encode(value, ENCODED));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_arrives_whole() {
        assert_eq!(encoded("a b&c=é+%"), "a%20b%26c%3D%C3%A9%2B%25");
    }
}
