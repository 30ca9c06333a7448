//! Why a lane could not carry a request to its end, in words of no lane: what the caller is told of it, and whether it
//! is tried again.

use super::plan::Resend;
use crate::domain::denial::Reason;

/// What went wrong between the gate and 8sens, or on the caller's side while a lane had the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The name of 8sens was never resolved.
    NotResolved,
    /// There was no connection in time, its TLS handshake included.
    ConnectTimeout,
    /// A connection was refused, or there was no way to 8sens.
    NoConnection,
    /// There was a connection and no TLS on it that may be used.
    Tls(TlsFault),
    /// 8sens closed or broke the connection before the first byte of an answer. `reused` says that it had served
    /// another request.
    ClosedBeforeAnswer { reused: bool },
    /// It did so later.
    ClosedInAnswer,
    /// 8sens had the whole request and said nothing for too long, or took nothing for too long.
    Silent,
    /// 8sens had the whole request and began an answer, whose head was not there in time.
    AnswerTooSlow,
    /// 8sens waited for the rest of a body that did not come.
    BodySilent,
    /// What 8sens answered is no HTTP, or ends in more than one place.
    AnswerNotParsed,
    /// It is HTTP, and broke off or cannot be passed on.
    AnswerNotValid,
    /// The chunked body of the request is not well-formed.
    BadChunk,
    /// The body of the request came too slowly.
    BodyTooSlow,
    /// The body of the request is larger than allowed.
    BodyGrew,
    /// The caller closed or lost its connection, or takes its answer too slowly.
    CallerLeft,
    /// The gate itself cut the exchange off.
    CutOff,
    /// 8sens answered that the token has expired which the gate gave the request: it is sent again.
    SessionOver,
}

/// Why there is no TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate is from none of the authorities that are believed.
    Issuer,
    /// It names somebody else.
    Name,
    Expired,
    /// The certificate is wrong in another way.
    Certificate,
    /// No certificate was shown at all: there is no TLS, or none in common.
    Handshake,
}

impl Fault {
    /// What is refused with it, as long as no answer has begun; `None` when there is nobody to tell.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        Some(match self {
            Self::NotResolved => Reason::NotResolved,
            Self::ConnectTimeout => Reason::ConnectTimeout,
            Self::NoConnection => Reason::NoConnection,
            Self::Tls(TlsFault::Issuer) => Reason::UpstreamIssuer,
            Self::Tls(TlsFault::Name) => Reason::UpstreamName,
            Self::Tls(TlsFault::Expired) => Reason::UpstreamCertificateExpired,
            Self::Tls(TlsFault::Certificate) => Reason::UpstreamCertificate,
            Self::Tls(TlsFault::Handshake) => Reason::UpstreamTls,
            Self::ClosedBeforeAnswer { .. } | Self::ClosedInAnswer => Reason::UpstreamClosed,
            Self::Silent => Reason::UpstreamSilent,
            Self::AnswerTooSlow => Reason::AnswerTooSlow,
            Self::BodySilent => Reason::BodySilent,
            Self::AnswerNotParsed => Reason::AnswerNotParsed,
            Self::AnswerNotValid => Reason::AnswerNotValid,
            Self::BadChunk => Reason::BadChunk,
            Self::BodyTooSlow => Reason::BodyTooSlow,
            Self::BodyGrew => Reason::BodyGrew,
            Self::CallerLeft | Self::CutOff | Self::SessionOver => return None,
        })
    }

    /// True when the caller is the cause: where it was told nothing, it counts as having left.
    #[must_use]
    pub const fn is_of_caller(self) -> bool {
        matches!(self, Self::BadChunk | Self::BodyTooSlow | Self::BodyGrew | Self::CallerLeft)
    }
}

/// The attempts at one request. They are counted here, for every lane alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    made: usize,
    /// The one under way has a connection: bytes may have gone to 8sens.
    is_connected: bool,
    resent: bool,
}

impl Attempts {
    /// As many as there can be: the first, one more when the connect failed, one more when a reused connection turned
    /// out closed.
    pub const MAX: usize = 3;

    /// Another one begins.
    pub const fn begin(&mut self) {
        self.made += 1;
        self.is_connected = false;
    }

    /// There is a connection.
    pub const fn connected(&mut self) {
        self.is_connected = true;
    }

    /// Whether one more is made after this fault. One that only had no connection wrote nothing, so any request may try
    /// again, once at its beginning; a timeout has used up the caller's patience, and a certificate does not change.
    pub fn allow_another(&mut self, resend: Resend, fault: Fault) -> bool {
        match fault {
            Fault::NoConnection | Fault::Tls(TlsFault::Handshake) => self.made == 1 && !self.is_connected,
            Fault::ClosedBeforeAnswer { reused: true } => {
                let allowed = resend == Resend::OnceIfReusedConnectionClosed && !self.resent;
                self.resent |= allowed;
                allowed
            }
            _ => false,
        }
    }

    /// The next one is a second sending, with another token.
    pub const fn renewed(&mut self) {
        self.resent = true;
    }

    /// True when this attempt is a second sending: it takes a connection that nobody has used.
    #[must_use]
    pub const fn is_resend(&self) -> bool {
        self.resent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: Fault = Fault::ClosedBeforeAnswer { reused: true };

    #[test]
    fn a_failed_connect_is_tried_again_once() {
        for resend in [Resend::Never, Resend::OnceIfReusedConnectionClosed] {
            let mut attempts = Attempts::default();
            attempts.begin();
            for fault in [Fault::ConnectTimeout, Fault::NotResolved, Fault::Tls(TlsFault::Expired)] {
                assert!(!attempts.allow_another(resend, fault), "{fault:?}");
            }
            assert!(attempts.allow_another(resend, Fault::NoConnection));
            attempts.begin();
            assert!(!attempts.allow_another(resend, Fault::NoConnection));
            assert!(!attempts.is_resend());
        }
    }

    #[test]
    fn a_reused_connection_that_closed_is_no_reason_for_a_write() {
        let mut attempts = Attempts::default();
        attempts.begin();
        attempts.connected();
        assert!(!attempts.allow_another(Resend::Never, CLOSED));
        assert!(!attempts.allow_another(Resend::Never, Fault::NoConnection), "bytes may have gone out");
        let again = Resend::OnceIfReusedConnectionClosed;
        for fault in [
            Fault::ClosedBeforeAnswer { reused: false },
            Fault::ClosedInAnswer,
            Fault::Silent,
            Fault::AnswerNotParsed,
            Fault::CallerLeft,
        ] {
            assert!(!attempts.allow_another(again, fault), "{fault:?}");
        }
        assert!(attempts.allow_another(again, CLOSED) && attempts.is_resend());
        attempts.begin();
        assert!(!attempts.allow_another(again, CLOSED), "once");
        assert!(!attempts.allow_another(again, Fault::NoConnection), "no longer at its beginning");
    }

    /// However faults follow each other, the attempts end.
    #[test]
    fn attempts_are_bounded() {
        let faults = [Fault::NoConnection, Fault::Tls(TlsFault::Handshake), CLOSED, Fault::Silent];
        for order in 0..faults.len().pow(4) {
            let mut attempts = Attempts::default();
            let mut left = order;
            loop {
                attempts.begin();
                let fault = faults[left % faults.len()];
                left /= faults.len();
                if !attempts.allow_another(Resend::OnceIfReusedConnectionClosed, fault) {
                    break;
                }
            }
            assert!(attempts.made <= Attempts::MAX, "{order}");
        }
    }

    #[test]
    fn who_left_is_told_nothing() {
        assert_eq!(Fault::CallerLeft.reason(), None);
        assert_eq!(Fault::CutOff.reason(), None);
        assert!(Fault::CallerLeft.is_of_caller() && !Fault::CutOff.is_of_caller());
    }
}
