//! What is written down about a request once it has ended.

use crate::domain::denial::{Denial, DenyCode, Reason};
use crate::domain::policy::WouldRefuse;
use crate::domain::request::TokenPlace;
use crate::domain::session::{LoginOutcome, SessionHash};
use crate::domain::types::{HttpVersion, RequestId, Wall};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use strum::{IntoStaticStr, VariantArray};

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 8sens answered and the caller got the whole answer.
    Answered { status: u16 },
    /// Refused, here or because 8sens could not be used.
    Denied(Denial),
    /// Closed without an answer, because there was no request to answer.
    CutOff(Denial),
    /// The caller was gone before the answer was complete. The status is 8sens's when it answered a write all the same.
    CallerLeft { status: Option<u16> },
    /// Cut off: 8sens broke an answer it had begun, the gate stopped, or a task was lost.
    Aborted { status: Option<u16> },
}

/// The `code` of a record: a [`DenyCode`], or one of the three ways a forwarded request can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndCode {
    Ok,
    CallerLeft,
    Aborted,
    Denied(DenyCode),
}

impl EndCode {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::CallerLeft => "caller_left",
            Self::Aborted => "aborted",
            Self::Denied(code) => code.as_str(),
        }
    }
}

impl EndCode {
    /// True for a word that [`EndCode::as_str`] gives a refusal.
    #[must_use]
    pub fn is_refusal_word(word: &str) -> bool {
        ![Self::Ok, Self::CallerLeft, Self::Aborted].iter().any(|end| end.as_str() == word)
    }
}

/// What an admin has to look at: too rare or too grave for a counter alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Alarm {
    /// A consumer showed a token that was issued to another one.
    TokenOfAnother,
    /// 8sens handed one token to several consumers.
    TokenShared,
    /// Answers say "expired" while logins are refused: the upstream key is probably wrong.
    LoginsRefused,
    /// Sessions of several consumers, or many of one, end at once: a wrong upstream key or a restarted 8sens.
    MassExpiry,
    /// A login was answered with success, but with no token that can be read.
    LoginNotUnderstood,
    /// A session could not be kept because the table is full.
    SessionsFull,
    /// A key came over a transport where others can read it: it has to be replaced.
    KeyInClear,
    /// 8sens refuses the login with which the gate keeps a session.
    LoginRefused,
    /// Answers say "expired" although the session was just begun: the route may be forbidden instead.
    ExpiryDoubted,
}

impl Alarm {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The word for log and metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    /// What the admin does about it, for the application log.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::TokenOfAnother => "ask the consumer where it has the token from",
            Self::TokenShared => "give each consumer a login of its own in 8sens",
            Self::LoginsRefused => "compare upstream.api_key with the one in 8sens",
            Self::MassExpiry => "see whether 8sens was restarted or its api_key changed",
            Self::LoginNotUnderstood => "look at what 8sens answers to a login",
            Self::SessionsFull => "raise session.total or session.per_consumer",
            Self::KeyInClear => "rotate the key: it crossed the network where others can read it",
            Self::LoginRefused => "compare the consumer's login with 8sens, then: sensgate sessions retry",
            Self::ExpiryDoubted => "see whether session.expired_when matches another refusal of 8sens as well",
        }
    }
}

/// Bytes of bodies, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Request body bytes received from the caller.
    pub received: u64,
    /// Response body bytes sent to the caller.
    pub sent: u64,
}

/// Everything that is written down about one request: the only source of access log and request metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub request_id: RequestId,
    /// Milliseconds since the epoch at which the head was complete.
    pub wall: Wall,
    pub consumer: Option<Arc<str>>,
    pub key_id: Option<Arc<str>>,
    pub client_ip: IpAddr,
    /// The address in `client_ip` is the peer's because a trusted proxy's field could not be read.
    pub client_ip_unreadable: bool,
    /// `None` when there was no head that could be read.
    pub http: Option<HttpVersion>,
    /// As received, at most [`Record::MAX_METHOD`] bytes.
    pub method: Box<[u8]>,
    /// Without the query, at most [`Record::MAX_PATH`] bytes: in normal form, or as received when it has none.
    pub path: Box<[u8]>,
    /// The allowing rule as written in the configuration.
    pub route: Option<Arc<str>>,
    /// The status the caller was sent; `None` when it was sent none.
    pub status: Option<u16>,
    pub code: EndCode,
    /// The true reason of a refusal; `None` when the code says it all.
    pub reason: Option<Reason>,
    /// What would have been refused, were it not in shadow or only observed.
    pub would_refuse: Option<WouldRefuse>,
    /// Where the token stood, when it was a live one of its own consumer.
    pub token_place: Option<TokenPlace>,
    /// Something that an admin has to look at.
    pub alarm: Option<Alarm>,
    /// What became of it, when it was a login that went out to 8sens or was throttled.
    pub login: Option<LoginOutcome>,
    /// The key was never accepted before, as far as this gate knows.
    pub key_first_used: bool,
    /// Which token of the session that the gate keeps it was sent with.
    pub generation: Option<u64>,
    /// How long it waited for a login of the gate's.
    pub login_wait: Option<Duration>,
    /// What the token of the answer to a login is known by.
    pub learned: Option<SessionHash>,
    pub bytes: Bytes,
    /// From the complete head to the end.
    pub total: Duration,
    /// From the start of the upstream connect to the last byte of 8sens's answer.
    pub upstream: Option<Duration>,
    /// The gate's own share: from the complete head to the upstream connect, and from 8sens's head to ours.
    pub own: Duration,
}

impl Record {
    pub const MAX_METHOD: usize = 32;
    pub const MAX_PATH: usize = 1024;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_ends_and_alarms() {
        for (end, is_refusal) in [
            (EndCode::Ok, false),
            (EndCode::CallerLeft, false),
            (EndCode::Aborted, false),
            (EndCode::Denied(DenyCode::UnknownKey), true),
        ] {
            assert_eq!(EndCode::is_refusal_word(end.as_str()), is_refusal, "{end:?}");
        }
        assert_eq!(Alarm::TokenOfAnother.as_str(), "token_of_another");
        assert_eq!(Alarm::KeyInClear.as_str(), "key_in_clear");
    }
}
