//! Why an attempt came to nothing, in words that may be logged.

use instant_acme::Error;
use std::io;
use std::time::{Duration, Instant};

/// Longest reason, in characters: a certificate authority writes as much as it likes.
const MAX_REASON: usize = 500;

/// One attempt without a certificate.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Failure {
    reason: String,
    kind: FailureKind,
    /// The moment that the authority named for the next question.
    retry_after: Option<Duration>,
}

/// What has to be done before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureKind {
    /// Nothing: the same may succeed later.
    Passing,
    /// A nonce was not taken, which says nothing about the request (RFC 8555 section 6.5).
    Nonce,
    /// The order is lost.
    Order,
    /// The authority does not know the account any more.
    Account,
}

impl Failure {
    /// A failure after which another order is needed.
    pub(super) fn of_order(reason: &str) -> Self {
        Self { reason: short(reason), kind: FailureKind::Order, retry_after: None }
    }

    /// A failure to reach an end in time.
    pub(super) fn in_time() -> Self {
        Self { reason: "not done in time".into(), kind: FailureKind::Passing, retry_after: None }
    }

    #[must_use]
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    #[must_use]
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    #[must_use]
    pub(super) fn ends_the_order(&self) -> bool {
        matches!(self.kind, FailureKind::Order | FailureKind::Account)
    }

    #[must_use]
    pub(super) fn ends_the_account(&self) -> bool {
        self.kind == FailureKind::Account
    }

    /// True when trying again at once is what the protocol wants.
    #[must_use]
    pub(super) fn may_be_repeated_at_once(&self) -> bool {
        matches!(self.kind, FailureKind::Nonce | FailureKind::Account)
    }

    /// True for an answer that says "later" rather than "no".
    #[must_use]
    pub(super) fn asks_to_wait(error: &Error) -> bool {
        matches!(kind(error), FailureKind::Passing | FailureKind::Nonce | FailureKind::Account)
            && !matches!(error, Error::Unsupported(_) | Error::Other(_))
    }

    /// Takes these words out of the reason.
    #[must_use]
    pub(super) fn without<'w>(mut self, words: impl Iterator<Item = &'w str>) -> Self {
        for word in words {
            self.reason = self.reason.replace(word, "…");
        }
        self
    }

    /// With what the authority said in a header field, when it said nothing else.
    #[must_use]
    pub(super) fn or_retry_after(mut self, asked: Option<Duration>) -> Self {
        self.retry_after = self.retry_after.or(asked);
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let retry_after = match &error {
            Error::Timeout(Some(at)) => Some(at.saturating_duration_since(Instant::now())),
            _ => None,
        };
        let mut reason = error.to_string();
        // The client's own words end where it becomes interesting.
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            reason.push_str(": ");
            reason.push_str(&cause.to_string());
            source = cause.source();
        }
        Self { reason: short(&reason), kind: kind(&error), retry_after }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { reason: short(&error.to_string()), kind: FailureKind::Passing, retry_after: None }
    }
}

/// The types of RFC 8555 section 6.7.
fn kind(error: &Error) -> FailureKind {
    let Error::Api(problem) = error else { return FailureKind::Passing };
    let word = problem.r#type.as_deref().unwrap_or_default();
    match word.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(word) {
        "badNonce" => FailureKind::Nonce,
        "accountDoesNotExist" => FailureKind::Account,
        "rateLimited" | "serverInternal" | "orderNotReady" => FailureKind::Passing,
        _ => FailureKind::Order,
    }
}

fn short(reason: &str) -> String {
    match reason.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(word: &str) -> Error {
        let document = format!("{{\"type\":\"urn:ietf:params:acme:error:{word}\",\"detail\":\"for t0ken at x\"}}");
        Error::Api(serde_json::from_str(&document).unwrap())
    }

    #[test]
    fn the_type_says_what_is_lost() {
        let judged = |word| {
            let failure = Failure::from(problem(word));
            (failure.ends_the_order(), failure.ends_the_account(), failure.may_be_repeated_at_once())
        };
        assert_eq!(judged("badNonce"), (false, false, true));
        assert_eq!(judged("accountDoesNotExist"), (true, true, true));
        assert_eq!(judged("rateLimited"), (false, false, false));
        assert_eq!(judged("unauthorized"), (true, false, false));
        let lost = Failure::from(Error::Other("no route to host".into()));
        assert_eq!((lost.ends_the_order(), lost.reason()), (false, "no route to host"));
    }

    #[test]
    fn a_reason_is_short_and_without_tokens() {
        let failure = Failure::from(problem("unauthorized")).without(["t0ken"].into_iter());
        assert!(failure.reason().contains("for … at x"), "{}", failure.reason());
        assert_eq!(Failure::of_order(&"é".repeat(10_000)).reason().chars().count(), MAX_REASON + 1);
    }

    #[test]
    fn the_later_word_is_kept() {
        let (ten, never) = (Some(Duration::from_secs(10)), None);
        assert_eq!(Failure::in_time().or_retry_after(ten).retry_after(), ten);
        assert_eq!(Failure::in_time().or_retry_after(never).retry_after(), None);
    }
}
