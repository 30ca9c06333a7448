//! Which calls keep a session of 8sens alive. Only when asked for: it takes up to three logins and two and a half times
//! the idle time.

use super::Patient;
use super::finding::{Check, Finding};
use super::sessions::{Coexistence, Sessions};
use super::trial::{ask, token, wait_until};
use super::upstream::random_key;
use crate::text;
use crate::text::{Lang, Text};
use secrecy::SecretString;
use std::time::{Duration, Instant};

/// Two of these make more than the idle time, and one makes less, whatever 8sens's own timer ticks by.
const STEP_TENTHS: u32 = 6;

/// What was seen of each kind of call; `None` where it could not be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// A session that was used well within the idle time was still good after it.
    good_call: Option<bool>,
    /// The same with a call that 8sens has no route for.
    refused_call: Option<bool>,
    /// A session that was not used was dead by then.
    idle_ends: Option<bool>,
}

/// Sessions that are used half-way through, each by another kind of call, and one that is not.
pub(super) fn check(
    patient: &Patient<'_>,
    user: &str,
    password: &SecretString,
    path: &str,
    sessions: &Sessions,
    lang: Lang,
) -> Vec<Finding> {
    let step = patient.settings.snapshot.session.limits.idle_timeout * STEP_TENTHS / 10;
    let Ok(nowhere) = random_key() else { return Vec::new() };
    let nowhere = format!("/v1/{}", &nowhere[..nowhere.len().min(12)]);
    let trial = Trial { patient, sessions, path, nowhere: &nowhere, step };
    let log_in = || token(patient, user, password);
    let seen = if sessions.coexistence == Coexistence::SideBySide {
        announce(step * 2, lang);
        trial.together(log_in)
    } else {
        announce(step * 4, lang);
        Seen {
            good_call: log_in().and_then(|token| trial.alone(&token, path)),
            refused_call: log_in().and_then(|token| trial.alone(&token, &nowhere)),
            idle_ends: None,
        }
    };
    vec![verdict(seen)]
}

fn announce(time: Duration, lang: Lang) {
    let seconds = time.as_secs();
    crate::cli::talk(
        &text! {
            en: "measuring which calls keep a session alive: {seconds} s",
            fr: "mesure des appels qui gardent une session en vie : {seconds} s"
        },
        lang,
    );
}

struct Trial<'a> {
    patient: &'a Patient<'a>,
    sessions: &'a Sessions,
    path: &'a str,
    /// A path that nothing is at.
    nowhere: &'a str,
    step: Duration,
}

impl Trial<'_> {
    fn lives(&self, token: &SecretString) -> bool {
        self.sessions.live(self.patient, self.path, token)
    }

    /// Three sessions of one moment.
    fn together(&self, log_in: impl Fn() -> Option<SecretString>) -> Seen {
        let tokens: Vec<_> = std::iter::from_fn(&log_in).take(3).collect();
        let [used, refused, idle] = tokens.as_slice() else { return Seen::default() };
        if !tokens.iter().all(|token| self.lives(token)) {
            return Seen::default();
        }
        let start = Instant::now();
        wait_until(start + self.step);
        // What these are answered does not matter; the second is refused anyway.
        let _ = (ask(self.patient, self.path, used), ask(self.patient, self.nowhere, refused));
        wait_until(start + self.step * 2);
        Seen {
            good_call: Some(self.lives(used)),
            refused_call: Some(self.lives(refused)),
            idle_ends: Some(!self.lives(idle)),
        }
    }

    /// One session, used half-way by a call of `path`.
    fn alone(&self, token: &SecretString, path: &str) -> Option<bool> {
        if !self.lives(token) {
            return None;
        }
        let start = Instant::now();
        wait_until(start + self.step);
        // What it is answered does not matter.
        let _ = ask(self.patient, path, token);
        wait_until(start + self.step * 2);
        Some(self.lives(token))
    }
}

fn verdict(seen: Seen) -> Finding {
    let check = Check::IdleClock;
    match seen {
        Seen { idle_ends: Some(false), .. } => not_told(text! {
            en: "a session that nobody used outlived `idle_timeout`: measure that first, with --measure-idle",
            fr: "une session que personne n'utilisait a survécu à `idle_timeout` : mesurez-le d'abord, avec \
                 --measure-idle"
        }),
        Seen { good_call: Some(true), refused_call: Some(true), .. } => Finding::ok(
            check,
            text! {
                en: "every call keeps a session alive, also one that 8sens refuses",
                fr: "tout appel garde une session en vie, même un appel que 8sens refuse"
            },
        ),
        Seen { good_call: Some(true), refused_call, .. } => Finding::info(
            check,
            match refused_call {
                Some(_) => text! {
                    en: "calls keep a session alive, but those that 8sens refuses do not: one that makes nothing else \
                         ends earlier than the gate expects",
                    fr: "les appels gardent une session en vie, sauf ceux que 8sens refuse : celle qui n'en fait pas \
                         d'autres se termine plus tôt que la passerelle ne le pense"
                },
                None => text! {
                    en: "calls keep a session alive; of those that 8sens refuses it could not be told",
                    fr: "les appels gardent une session en vie ; de ceux que 8sens refuse, on ne sait rien"
                },
            },
        ),
        Seen { good_call: Some(false), .. } => Finding::warning(
            check,
            text! {
                en: "a session that is used ends all the same: its time runs from the login",
                fr: "une session utilisée se termine quand même : son temps court depuis la connexion"
            },
            text! {
                en: "the gate takes tokens for live that 8sens has forgotten",
                fr: "la passerelle tient pour vivants des jetons que 8sens a oubliés"
            },
        )
        .fix(text! {
            en: "let shops log in again in time, and see that `expired_when` of [session] knows the answer to an \
                 ended token",
            fr: "faites reconnecter les boutiques à temps, et vérifiez que `expired_when` de [session] reconnaît la \
                 réponse à un jeton terminé"
        }),
        Seen { good_call: None, .. } => not_told(text! {
            en: "not enough logins succeeded to see which calls keep a session alive",
            fr: "trop peu de connexions ont abouti pour voir quels appels gardent une session en vie"
        }),
    }
}

fn not_told(what: Text) -> Finding {
    Finding::info(Check::IdleClock, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Severity;

    #[test]
    fn only_a_session_that_ends_although_it_is_used_is_worth_a_warning() {
        for idle_ends in [None, Some(true), Some(false)] {
            for good_call in [None, Some(true), Some(false)] {
                for refused_call in [None, Some(true), Some(false)] {
                    let finding = verdict(Seen { good_call, refused_call, idle_ends });
                    let warns = good_call == Some(false) && idle_ends != Some(false);
                    assert_eq!(finding.severity == Severity::Warning, warns, "{finding:?}");
                    let is_ok = idle_ends != Some(false) && (good_call, refused_call) == (Some(true), Some(true));
                    assert_eq!(finding.severity == Severity::Ok, is_ok, "{finding:?}");
                }
            }
        }
    }
}
