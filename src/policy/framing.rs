//! Framing: what cannot be forwarded safely whoever sent it.
//!
//! Can be neither shadowed nor switched off.

use crate::denial::{Denial, DenyCode, Reason};
use crate::request::{Framing, Method, RequestView};
use crate::snapshot::SizeLimits;

/// The method, when it is one that is ever forwarded. A question about the server as a whole (`*`) is not.
pub(super) fn method(request: &RequestView<'_>) -> Result<Method, Denial> {
    if request.target == b"*" {
        return Err(Denial::because(Reason::TargetStar));
    }
    Method::from_bytes(request.method).ok_or(Denial::new(DenyCode::MethodNotAllowed))
}

/// Target, connection options and announced size.
pub(super) fn check(limits: &SizeLimits, request: &RequestView<'_>) -> Result<(), Denial> {
    if !crate::path::is_canonical(request.path()) {
        return Err(Denial::because(Reason::PathNotCanonical));
    }
    if !request.query().is_none_or(is_plain_query) {
        return Err(Denial::because(Reason::QueryByte));
    }
    // A nomination would have a field removed on the way (RFC 9110 section 7.6.1); nobody needs one here.
    let mut options = request.connection.iter().flat_map(|value| value.split(|b| *b == b','));
    let harmless = |option: &[u8]| option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(b"keep-alive");
    if request.connection.count() > 1 || !options.all(|option| harmless(option.trim_ascii())) {
        return Err(Denial::because(Reason::ConnectionNamesField));
    }
    if !request.expect.iter().all(|value| value.eq_ignore_ascii_case(b"100-continue")) || request.expect.count() > 1 {
        return Err(Denial::because(Reason::ExpectUnknown));
    }
    match request.framing {
        Framing::Length(length) if length > limits.body => Err(Denial::because(Reason::LengthOverLimit)),
        _ => Ok(()),
    }
}

/// `query` of RFC 3986 section 3.4, and the square brackets that PHP writes. Each `%` starts an encoded byte, and none of them is NUL:
/// programs disagree about what a broken one, or a text cut at NUL, is the name of.
fn is_plain_query(query: &[u8]) -> bool {
    let plain = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
                    | b':'
                    | b'@'
                    | b'/'
                    | b'?'
                    | b'%'
                    | b'['
                    | b']'
            )
    };
    let is_encoded = |at: usize| matches!(query.get(at + 1..at + 3), Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() && [*high, *low] != *b"00");
    query.iter().enumerate().all(|(at, byte)| plain(byte) && (*byte != b'%' || is_encoded(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HeadLimits;
    use crate::request::{FieldTable, Transport};
    use crate::types::HttpVersion;
    use std::net::Ipv4Addr;

    const LIMITS: SizeLimits = SizeLimits { head: HeadLimits { bytes: 1024, uri: 512, fields: 32 }, body: 100 };

    fn outcome(target: &str, fields: &[(&str, &str)], framing: Framing) -> String {
        let table = FieldTable::new([], "x-forwarded-for");
        let mut view = RequestView::new(
            b"POST",
            target.as_bytes(),
            HttpVersion::Http11,
            Ipv4Addr::LOCALHOST.into(),
            Transport::Trusted,
        );
        view.framing = framing;
        for (name, value) in fields {
            view.push_field(&table, name.as_bytes(), value.as_bytes());
        }
        match check(&LIMITS, &view) {
            Ok(()) => "ok".into(),
            Err(denial) => denial.code.as_str().into(),
        }
    }

    #[test]
    fn ordinary_requests_pass() {
        assert_eq!(outcome("/v1/devis?a=1&b[]=%20", &[("connection", "Keep-Alive")], Framing::Length(100)), "ok");
        assert_eq!(outcome("/", &[("connection", "close"), ("expect", "100-Continue")], Framing::None), "ok");
    }

    #[test]
    fn the_rest_is_refused() {
        for target in [
            "*",
            "http://a/b",
            "v1",
            "/v1/../x",
            "/v1?a b",
            "/v1?\"",
            "/v1?\u{e9}",
            "/v1?%zz",
            "/v1?%",
            "/v1?a%2",
            "/v1?%u0061",
            "/v1?a%00b",
        ] {
            assert_eq!(outcome(target, &[], Framing::None), "malformed_request", "{target}");
        }
        for value in ["api_key", "close, x-forwarded-for", "upgrade", "\"close\"", ""] {
            assert_eq!(outcome("/", &[("connection", value)], Framing::None), "malformed_request", "{value}");
        }
        assert_eq!(
            outcome("/", &[("connection", "close"), ("connection", "close")], Framing::None),
            "malformed_request"
        );
        assert_eq!(outcome("/", &[("expect", "the-unexpected")], Framing::None), "malformed_request");
        assert_eq!(outcome("/", &[], Framing::Length(101)), "body_too_large");
    }

    #[test]
    fn only_forwardable_methods() {
        let with = |name: &'static str| {
            RequestView::new(name.as_bytes(), b"/", HttpVersion::Http11, Ipv4Addr::LOCALHOST.into(), Transport::Trusted)
        };
        assert_eq!(method(&with("PATCH")).unwrap(), Method::Patch);
        for name in ["CONNECT", "TRACE", "get", "PROPFIND", ""] {
            assert_eq!(method(&with(name)).unwrap_err().code, DenyCode::MethodNotAllowed, "{name}");
        }
        let whole = RequestView { target: b"*", ..with("OPTIONS") };
        assert_eq!(method(&whole).unwrap_err().code, DenyCode::MethodNotAllowed);
    }
}
