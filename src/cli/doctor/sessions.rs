//! How 8sens treats several sessions of one login, a token that is no good and a wrong password. Only when asked for:
//! it takes two logins, and one that fails.

use super::Patient;
use super::finding::{Check, Finding};
use super::http::HttpAnswer;
use super::login::log_in;
use super::trial::{ask, is_known_as_expired, looks_expired, token};
use super::upstream::random_key;
use crate::domain::session::expiry::BODY_PREFIX;
use crate::domain::session::login_answer;
use crate::text;
use crate::text::Text;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Longest words of an answer that are proposed as a sign.
const MAX_SIGN: usize = 80;

/// Whether two sessions of one login live at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coexistence {
    /// Each has a token of its own, and both are good.
    SideBySide,
    /// The second login was given the token of the first.
    OneToken,
    /// The second login ended the session of the first.
    OneAtATime,
    /// The second login failed.
    OneSeat,
}

/// What the logins showed.
pub(super) struct Measured {
    pub findings: Vec<Finding>,
    /// `None` when nothing could be measured.
    pub sessions: Option<Sessions>,
}

/// How 8sens treats sessions.
pub(super) struct Sessions {
    pub coexistence: Coexistence,
    /// What it answers to a token that it never gave, on the route of the trial.
    bad: HttpAnswer,
}

impl Sessions {
    /// True when 8sens still takes the token.
    pub(super) fn live(&self, patient: &Patient<'_>, path: &str, token: &SecretString) -> bool {
        ask(patient, path, token).is_ok_and(|answer| is_taken(patient, &answer, &self.bad))
    }
}

fn is_taken(patient: &Patient<'_>, answer: &HttpAnswer, bad: &HttpAnswer) -> bool {
    !looks_expired(patient, answer) && !is_alike(answer, bad)
}

fn is_alike(one: &HttpAnswer, other: &HttpAnswer) -> bool {
    (one.status, &one.body) == (other.status, &other.body)
}

/// Logs in twice and looks at both sessions, tries a token that nobody was given, and a password that is wrong.
pub(super) fn check(patient: &Patient<'_>, user: &str, password: &SecretString, path: &str) -> Measured {
    let Some(first) = token(patient, user, password) else {
        return not_measured(text! { en: "the login failed", fr: "la connexion a échoué" });
    };
    let nobodys = random_key().map(SecretString::from);
    let answers = nobodys.and_then(|nobodys| Ok((ask(patient, path, &first)?, ask(patient, path, &nobodys)?)));
    let (good, bad) = match answers {
        Ok((good, _)) if looks_expired(patient, &good) => {
            return not_measured(text! {
                en: "a fresh token is refused for GET {path}: name a route that it opens, and see `token_from`",
                fr: "un jeton neuf est refusé pour GET {path} : nommez une route qu'il ouvre, et voyez `token_from`"
            });
        }
        Ok((good, bad)) if is_alike(&good, &bad) => {
            return not_measured(text! {
                en: "GET {path} is answered alike with a good token and with a bad one",
                fr: "GET {path} reçoit la même réponse avec un bon jeton et avec un mauvais"
            });
        }
        Ok(answers) => answers,
        Err(error) => {
            return not_measured(text! {
                en: "GET {path} got no answer: {error}",
                fr: "GET {path} est resté sans réponse : {error}"
            });
        }
    };
    let coexistence = match token(patient, user, password) {
        None => Coexistence::OneSeat,
        Some(second) if second.expose_secret() == first.expose_secret() => Coexistence::OneToken,
        Some(_) => match ask(patient, path, &first) {
            Ok(again) if is_taken(patient, &again, &bad) => Coexistence::SideBySide,
            _ => Coexistence::OneAtATime,
        },
    };
    let mut findings = vec![concurrent_sessions(coexistence), bad_token(patient, &good, &bad)];
    findings.extend(wrong_password(patient, user));
    Measured { findings, sessions: Some(Sessions { coexistence, bad }) }
}

fn not_measured(what: Text) -> Measured {
    let why = text! { en: "sessions could not be measured", fr: "les sessions n'ont pas pu être mesurées" };
    let fix = text! {
        en: "see that the login works, that a seat of the licence is free, and that the route needs a token and \
             nothing else",
        fr: "vérifiez que la connexion fonctionne, qu'un siège de la licence est libre, et que la route ne demande \
             qu'un jeton"
    };
    let finding = Finding::warning(Check::ConcurrentSessions, what, why).fix(fix);
    Measured { findings: vec![finding], sessions: None }
}

fn concurrent_sessions(coexistence: Coexistence) -> Finding {
    let check = Check::ConcurrentSessions;
    match coexistence {
        Coexistence::SideBySide => Finding::ok(
            check,
            text! {
                en: "two sessions of one login live side by side",
                fr: "deux sessions d'une même connexion vivent côte à côte"
            },
        )
        .fix(text! {
            en: "with sessions that the gate keeps, write `concurrent_sessions = true` in [session]: a new session \
                 then waits for no request on the old one",
            fr: "si la passerelle tient les sessions, écrivez `concurrent_sessions = true` dans [session] : une \
                 nouvelle session n'attend alors aucune requête de l'ancienne"
        }),
        Coexistence::OneToken => Finding::info(
            check,
            text! {
                en: "8sens gives a user that logs in again the token that it has already",
                fr: "8sens rend à un utilisateur qui se reconnecte le jeton qu'il a déjà"
            },
        ),
        Coexistence::OneAtATime => Finding::warning(
            check,
            text! {
                en: "a second login of the same user ends the session of the first",
                fr: "une seconde connexion du même utilisateur met fin à la session de la première"
            },
            text! {
                en: "two shops that log in as the same user log each other out",
                fr: "deux boutiques connectées sous le même utilisateur se déconnectent l'une l'autre"
            },
        )
        .fix(text! {
            en: "give each shop a user of its own in 8sens, and leave `concurrent_sessions` of [session] false",
            fr: "donnez à chaque boutique son propre utilisateur dans 8sens, et laissez `concurrent_sessions` de \
                 [session] à false"
        }),
        Coexistence::OneSeat => Finding::info(
            check,
            text! {
                en: "a second login of the same user is refused while the first session lives",
                fr: "une seconde connexion du même utilisateur est refusée tant que la première session vit"
            },
        ),
    }
}

/// What a token is answered that 8sens never gave.
fn bad_token(patient: &Patient<'_>, good: &HttpAnswer, bad: &HttpAnswer) -> Finding {
    let status = bad.status;
    let check = Check::ExpiredWhen;
    if is_known_as_expired(patient, bad) {
        return Finding::ok(
            check,
            text! {
                en: "8sens answers a token that is no good with {status}, and `expired_when` knows it",
                fr: "8sens répond {status} à un jeton qui n'est pas bon, et `expired_when` le reconnaît"
            },
        );
    }
    Finding::warning(
        check,
        text! {
            en: "8sens answers a token that is no good with {status}, which `expired_when` does not know",
            fr: "8sens répond {status} à un jeton qui n'est pas bon, ce que `expired_when` ne reconnaît pas"
        },
        text! {
            en: "a session that 8sens ended early is not noticed",
            fr: "une session que 8sens a terminée trop tôt passe inaperçue"
        },
    )
    .fix(setting("expired_when", "session", bad, Some(good)))
}

/// What a wrong password is answered: one try, since 8sens may lock a user after several.
fn wrong_password(patient: &Patient<'_>, user: &str) -> Option<Finding> {
    let wrong = SecretString::from(random_key().ok()?);
    let answer = log_in(patient, user, &wrong).ok()?;
    let status = answer.status;
    let check = Check::FailedWhen;
    if login_answer::token(status, &answer.body).is_ok() {
        return Some(
            Finding::error(
                check,
                text! {
                    en: "8sens gives {user} a token for a password that is wrong",
                    fr: "8sens donne un jeton à {user} pour un mot de passe faux"
                },
                text! { en: "its logins protect nothing", fr: "ses connexions ne protègent rien" },
            )
            .fix(text! {
                en: "see the password of this user in 8sens",
                fr: "vérifiez le mot de passe de cet utilisateur dans 8sens"
            }),
        );
    }
    let is_known = patient.settings.snapshot.login.failed_when.matches(status, &answer.body);
    if is_known || (400..500).contains(&status) {
        return Some(Finding::ok(
            check,
            text! {
                en: "8sens answers a wrong password with {status}, which counts as a refusal",
                fr: "8sens répond {status} à un mot de passe faux, ce qui compte comme un refus"
            },
        ));
    }
    Some(
        Finding::warning(
            check,
            text! {
                en: "8sens answers a wrong password with {status}, which `failed_when` does not know",
                fr: "8sens répond {status} à un mot de passe faux, ce que `failed_when` ne reconnaît pas"
            },
            text! {
                en: "the gate takes it for an answer that it does not understand, or for a fault of 8sens",
                fr: "la passerelle y voit une réponse qu'elle ne comprend pas, ou une panne de 8sens"
            },
        )
        .fix(setting("failed_when", "login", &answer, None)),
    )
}

/// The line of a configuration that tells such an answer from a good one, where one was seen.
fn setting(key: &str, table: &str, answer: &HttpAnswer, good: Option<&HttpAnswer>) -> Text {
    let status = answer.status;
    if !(200..300).contains(&status) && good.is_none_or(|good| good.status != status) {
        return text! {
            en: "`{key} = [{{ status = {status} }}]` in [{table}]",
            fr: "`{key} = [{{ status = {status} }}]` dans [{table}]"
        };
    }
    match sign(answer, good) {
        Some(sign) => {
            let sign = toml::Value::String(sign).to_string();
            text! {
                en: "`{key} = [{{ status = {status}, body_contains = {sign} }}]` in [{table}]",
                fr: "`{key} = [{{ status = {status}, body_contains = {sign} }}]` dans [{table}]"
            }
        }
        None => text! {
            en: "`{key} = [{{ status = {status}, body_contains = \"…\" }}]` in [{table}], with words of that answer \
                 that no good one has",
            fr: "`{key} = [{{ status = {status}, body_contains = \"…\" }}]` dans [{table}], avec des mots de cette \
                 réponse qu'aucune bonne n'a"
        },
    }
}

/// Words that are in the beginning of this answer and not in a good one: a text that it holds as JSON.
fn sign(answer: &HttpAnswer, good: Option<&HttpAnswer>) -> Option<String> {
    let body = String::from_utf8_lossy(&answer.body);
    let good = good.map(|good| String::from_utf8_lossy(&good.body)).unwrap_or_default();
    let start = &body[..body.floor_char_boundary(BODY_PREFIX)];
    let mut texts = Vec::new();
    collect_texts(&answer.json(), &mut texts);
    let fits = |text: &&String| {
        (4..=MAX_SIGN).contains(&text.len()) && start.contains(text.as_str()) && !good.contains(text.as_str())
    };
    texts.iter().find(fits).cloned()
}

fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect_texts(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| collect_texts(value, texts)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> HttpAnswer {
        HttpAnswer { status, date: None, request_id: None, server: None, body: body.into() }
    }

    #[test]
    fn the_proposed_setting_tells_a_bad_answer_from_a_good_one() {
        let good = answer(200, r#"{"articles": ["invalid"]}"#);
        let proposed = |bad: &HttpAnswer| setting("expired_when", "session", bad, Some(&good)).en;
        assert_eq!(proposed(&answer(440, "")), "`expired_when = [{ status = 440 }]` in [session]");
        assert_eq!(
            proposed(&answer(200, r#"{"code": 7, "why": ["invalid", "jeton \"inconnu\""], "error": "no_session"}"#)),
            "`expired_when = [{ status = 200, body_contains = \"no_session\" }]` in [session]"
        );
        assert!(proposed(&answer(200, "<p>expired</p>")).contains("body_contains = \"…\""));
    }
}
