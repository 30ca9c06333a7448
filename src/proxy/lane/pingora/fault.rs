//! What Pingora's errors mean. Their kinds and texts are known here and nowhere else.

use crate::domain::exchange::{Fault, TlsFault};
use pingora_error::{Error, ErrorSource, ErrorType};

/// The fault of an attempt to connect.
#[must_use]
pub(super) fn of_connect(e: &Error) -> Fault {
    match e.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Fault::ConnectTimeout,
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert => Fault::Tls(of_handshake(e)),
        _ => Fault::NoConnection,
    }
}

/// The fault of an exchange that had a connection, `reused` or not; `request_is_sent` when its whole body was read.
#[must_use]
pub(super) fn of_exchange(e: &Error, reused: bool, request_is_sent: bool) -> Fault {
    match (e.esource(), e.etype()) {
        // 8sens cannot answer before it has the whole body.
        (ErrorSource::Upstream, ErrorType::ReadTimedout) if !request_is_sent => Fault::BodySilent,
        (ErrorSource::Upstream, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => Fault::Silent,
        (ErrorSource::Upstream, ErrorType::InvalidHTTPHeader | ErrorType::HTTPStatus(_)) => Fault::AnswerNotParsed,
        (_, ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert) => Fault::Tls(of_handshake(e)),
        (ErrorSource::Upstream, ErrorType::TLSHandshakeTimedout | ErrorType::ConnectTimedout) => Fault::ConnectTimeout,
        (ErrorSource::Upstream, ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError) => {
            if closed_without_a_byte(e) {
                Fault::ClosedBeforeAnswer { reused }
            } else {
                Fault::ClosedInAnswer
            }
        }
        (ErrorSource::Upstream, ErrorType::ConnectRefused | ErrorType::ConnectNoRoute | ErrorType::ConnectError) => {
            Fault::NoConnection
        }
        (ErrorSource::Upstream, _) => Fault::AnswerNotValid,
        (ErrorSource::Downstream, _) => Fault::CallerLeft,
        _ => Fault::CutOff,
    }
}

/// True when a connection to 8sens ended before any byte of an answer. Pingora calls a half-read head retriable as well
/// and says so only in its context.
fn closed_without_a_byte(e: &Error) -> bool {
    let no_byte = || e.context.as_ref().is_some_and(|context| context.as_str().ends_with("bytes already read: 0"));
    *e.etype() == ErrorType::WriteError || no_byte()
}

/// What is wrong with the certificate that 8sens showed, if it showed any. Pingora keeps rustls's words and not its
/// error.
fn of_handshake(e: &Error) -> TlsFault {
    let words = e.context.as_ref().map(|context| context.as_str()).unwrap_or_default();
    let known = [
        ("UnknownIssuer", TlsFault::Issuer),
        // An authority of the same name, with another key.
        ("BadSignature", TlsFault::Issuer),
        ("not valid for name", TlsFault::Name),
        ("NotValidForName", TlsFault::Name),
        ("expired", TlsFault::Expired),
        ("Expired", TlsFault::Expired),
        ("invalid peer certificate", TlsFault::Certificate),
    ];
    known.into_iter().find_map(|(word, fault)| words.contains(word).then_some(fault)).unwrap_or(TlsFault::Handshake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pingora_says_and_what_it_means() {
        let read = |words: &'static str| Error::explain(ErrorType::ReadError, words).into_up();
        let closed = Fault::ClosedBeforeAnswer { reused: true };
        assert_eq!(of_exchange(&read("gone, bytes already read: 0"), true, true), closed);
        assert_eq!(of_exchange(&read("gone, bytes already read: 10"), true, true), Fault::ClosedInAnswer);
        assert_eq!(of_exchange(&Error::new_up(ErrorType::WriteError), true, false), closed);
        assert_eq!(of_exchange(&Error::new_up(ErrorType::ReadTimedout), true, false), Fault::BodySilent);
        assert_eq!(of_exchange(&Error::new_up(ErrorType::ReadTimedout), true, true), Fault::Silent);
        assert_eq!(of_exchange(&Error::new_up(ErrorType::InvalidHTTPHeader), true, true), Fault::AnswerNotParsed);
        assert_eq!(of_exchange(&Error::new_down(ErrorType::ReadError), true, true), Fault::CallerLeft);
        assert_eq!(of_exchange(&Error::new_in(ErrorType::InternalError), true, true), Fault::CutOff);
    }

    #[test]
    fn a_certificate_is_told_from_no_tls() {
        let failed = |words: &'static str| of_connect(&Error::explain(ErrorType::TLSHandshakeFailure, words));
        assert_eq!(failed("invalid peer certificate: UnknownIssuer"), Fault::Tls(TlsFault::Issuer));
        assert_eq!(failed("invalid peer certificate: certificate not valid for name"), Fault::Tls(TlsFault::Name));
        assert_eq!(failed("invalid peer certificate: certificate expired"), Fault::Tls(TlsFault::Expired));
        assert_eq!(failed("invalid peer certificate: Revoked"), Fault::Tls(TlsFault::Certificate));
        assert_eq!(failed("received corrupt message"), Fault::Tls(TlsFault::Handshake));
        assert_eq!(of_connect(&Error::new(ErrorType::TLSHandshakeTimedout)), Fault::ConnectTimeout);
        assert_eq!(of_connect(&Error::new(ErrorType::ConnectRefused)), Fault::NoConnection);
    }
}
