//! What 8sens's answer to a login of the gate's own means.

use super::life::Failure;
use crate::domain::session::expiry::ExpiredWhen;
use crate::domain::session::{LoginOutcome, login_answer};
use secrecy::SecretString;

/// What came of a login.
#[derive(Debug)]
pub struct LoginAnswer {
    pub token: Result<SecretString, Failure>,
    /// The word for the metric.
    pub outcome: LoginOutcome,
}

/// Reads a whole answer. `failed_when` are the answers that an admin knows to be refusals, whatever else they look
/// like. A success without a token counts as one too: a server that refuses like that counts it, and locks the account.
#[must_use]
pub fn judge(failed_when: &ExpiredWhen, status: u16, body: &[u8]) -> LoginAnswer {
    let refused = |outcome| LoginAnswer { token: Err(Failure::Refused), outcome };
    if failed_when.matches(status, body) {
        return refused(LoginOutcome::Refused);
    }
    match (login_answer::token(status, body), status) {
        (Ok(token), _) => LoginAnswer { token: Ok(token), outcome: LoginOutcome::Accepted },
        (Err(_), 200..=299) => refused(LoginOutcome::NotUnderstood),
        // Both say that time helps (RFC 9110 section 15.5.9, RFC 6585 section 4).
        (Err(_), 408 | 429) => LoginAnswer { token: Err(Failure::Unreachable), outcome: LoginOutcome::Refused },
        (Err(_), 400..=499) => refused(LoginOutcome::Refused),
        (Err(_), _) => LoginAnswer { token: Err(Failure::Unreachable), outcome: LoginOutcome::Failed },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::ExpiredPattern;
    use secrecy::ExposeSecret;

    #[test]
    fn answers() {
        let pattern = |status, body: &str| ExpiredPattern { status, body_contains: Some(body.as_bytes().into()) };
        let failed_when = ExpiredWhen::new(vec![pattern(200, "\"erreur\""), pattern(503, "mot de passe")]);
        let good = r#"{"access_token":"t"}"#;
        for (status, body, failure, outcome) in [
            (200, good, None, LoginOutcome::Accepted),
            (201, good, None, LoginOutcome::Accepted),
            (200, r#"{"access_token":"t","erreur":1}"#, Some(Failure::Refused), LoginOutcome::Refused),
            (200, "{}", Some(Failure::Refused), LoginOutcome::NotUnderstood),
            (302, "", Some(Failure::Unreachable), LoginOutcome::Failed),
            (401, good, Some(Failure::Refused), LoginOutcome::Refused),
            (404, "", Some(Failure::Refused), LoginOutcome::Refused),
            (429, "", Some(Failure::Unreachable), LoginOutcome::Refused),
            (500, good, Some(Failure::Unreachable), LoginOutcome::Failed),
            (503, "mot de passe", Some(Failure::Refused), LoginOutcome::Refused),
        ] {
            let answer = judge(&failed_when, status, body.as_bytes());
            assert_eq!(answer.outcome, outcome, "{status} {body}");
            match answer.token {
                Ok(token) => assert_eq!((token.expose_secret(), failure), ("t", None)),
                Err(why) => assert_eq!(Some(why), failure, "{status} {body}"),
            }
        }
    }
}
