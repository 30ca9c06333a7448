//! Framing: what cannot be forwarded safely whoever sent it.
//!
//! Can be neither shadowed nor switched off.

use super::Passed;
use crate::domain::denial::{Denial, DenyCode, Reason};
use crate::domain::request::grammar::is_token;
use crate::domain::request::query;
use crate::domain::request::{FieldTable, Framing, Method, RequestView};
use crate::domain::rules::route::RouteRule;
use crate::domain::rules::snapshot::SizeLimits;

/// What an operator reads of a request that has passed.
pub(super) const PASSED: Passed =
    Passed { en: "method, path and query are well-formed", fr: "la méthode, le chemin et la suite sont bien formés" };

/// The method, when it is one that is ever forwarded. One that is known and never forwarded is told from one that is
/// not known (RFC 9110 section 9.1).
pub(super) fn method(request: &RequestView<'_>) -> Result<Method, Denial> {
    match (Method::from_bytes(request.method), request.method) {
        (Some(Method::Options), _) => Ok(Method::Options),
        // Only OPTIONS asks about the server as a whole (RFC 9112 section 3.2.4).
        (Some(_), _) if request.target() == b"*" => Err(Denial::because(Reason::TargetStar)),
        (Some(method), _) => Ok(method),
        (None, b"CONNECT" | b"TRACE") => Err(Denial::new(DenyCode::MethodNotAllowed)),
        (None, _) => Err(Denial::new(DenyCode::UnknownMethod)),
    }
}

/// Path and query. The path has one reading; with an encoded slash it has two, and a rule has to say that 8sens takes
/// the slash for a part of a name. A `*` is no path: what asks about the server as a whole is never forwarded.
pub(super) fn target(encoded_slash: &[RouteRule], request: &RequestView<'_>) -> Result<(), Denial> {
    let path = request.normal_path().map_err(Denial::because)?;
    let permits = |rule: &RouteRule| rule.matches(request.method, path.as_bytes());
    if path.has_encoded_slash() && !encoded_slash.iter().any(permits) {
        return Err(Denial::because(Reason::PathEncodedSlash));
    }
    if !request.query().is_none_or(query::may_go_on) {
        return Err(Denial::because(Reason::QueryByte));
    }
    Ok(())
}

/// Connection options, expectations and announced size.
pub(super) fn check(limits: &SizeLimits, fields: &FieldTable, request: &RequestView<'_>) -> Result<(), Denial> {
    options(fields, request)?;
    if !request.expect.iter().all(|value| value.eq_ignore_ascii_case(b"100-continue")) || request.expect.count() > 1 {
        return Err(Denial::because(Reason::ExpectUnknown));
    }
    match request.framing {
        Framing::Length(length) if length > limits.body => Err(Denial::because(Reason::LengthOverLimit)),
        _ => Ok(()),
    }
}

/// Connection options are for this hop, and what they name goes no further (RFC 9110 section 7.6.1). None may name a
/// field that decides here or behind: one of the two would see the request without it.
fn options(fields: &FieldTable, request: &RequestView<'_>) -> Result<(), Denial> {
    if request.connection.is_incomplete() {
        return Err(Denial::because(Reason::TooManyConnectionFields));
    }
    for option in request.connection_options() {
        if !is_token(option) {
            return Err(Denial::because(Reason::ConnectionOption));
        }
        if !fields.is_removable(option) {
            return Err(Denial::because(Reason::ConnectionNamesField));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{fields as table, view};
    use crate::domain::request::FieldTable;
    use crate::domain::request::head::HeadLimits;

    const LIMITS: SizeLimits = SizeLimits { head: HeadLimits { bytes: 1024, uri: 512, fields: 32 }, body: 100 };

    fn outcome(wanted: &str, fields: &[(&str, &str)], framing: Framing) -> String {
        let mut view = view("POST", wanted, fields);
        view.framing = framing;
        let rules = [RouteRule::parse("POST /v1/articles/*").unwrap()];
        match super::target(&rules, &view).and_then(|()| check(&LIMITS, &table(), &view)) {
            Ok(()) => "ok".into(),
            Err(denial) => denial.code.as_str().into(),
        }
    }

    #[test]
    fn ordinary_requests_pass() {
        assert_eq!(outcome("/v1/devis?a=1&b[]=%20", &[("connection", "Keep-Alive")], Framing::Length(100)), "ok");
        for target in ["/v1?\"", "/v1?\u{e9}", "/v1?%zz", "/v1?%", "/v1?a%2", "/v1?%u0061", "/v1?{|}^`\\<>[]", "/%61?a"]
        {
            assert_eq!(outcome(target, &[], Framing::None), "ok", "{target}");
        }
        assert_eq!(outcome("/", &[("connection", "close"), ("expect", "100-Continue")], Framing::None), "ok");
        assert_eq!(outcome("/", &[("expect", "")], Framing::None), "ok");
    }

    #[test]
    fn an_encoded_slash_needs_a_rule() {
        assert_eq!(outcome("/v1/articles/REF%2F12", &[], Framing::None), "ok");
        for target in ["/v1/articles%2Fx", "/v1/articles/..%2Fx", "/v1/articles/x%2F%2Fy", "/v1/articles/x%5Cy"] {
            assert_eq!(outcome(target, &[], Framing::None), "malformed_request", "{target}");
        }
    }

    #[test]
    fn the_rest_is_refused() {
        for target in
            ["*", "http://a/b", "v1", "/v1/../x", "/v1?a b", "/v1?a#b", "/v1?a\u{7f}", "/v1?a%00b", "/v1/REF%2F12"]
        {
            assert_eq!(outcome(target, &[], Framing::None), "malformed_request", "{target}");
        }
        for value in ["the-unexpected", "100-continue, x"] {
            assert_eq!(outcome("/", &[("expect", value)], Framing::None), "expectation_failed", "{value}");
        }
        assert_eq!(outcome("/", &[], Framing::Length(101)), "body_too_large");
    }

    #[test]
    fn connection_options_name_what_is_of_this_connection_or_of_no_interest() {
        let all = |values: &[&str]| {
            let fields: Vec<_> = values.iter().map(|value| ("connection", *value)).collect();
            outcome("/", &fields, Framing::None)
        };
        for value in [
            "",
            ",",
            "close,,",
            " Upgrade , HTTP2-Settings",
            "TE, close",
            "keep-alive, Trailer, Proxy-Authorization, x-own, keep_alive",
        ] {
            assert_eq!(all(&[value]), "ok", "{value}");
        }
        assert_eq!(all(&["TE", "", "close", "x-a, x-b"]), "ok");
        assert_eq!(all(&["close"; 16]), "ok");
        assert_eq!(all(&["close"; 17]), "malformed_request", "what is not looked at names nothing");
        for value in [
            "api_key",
            "API-KEY",
            "x-api-key",
            "x.api.key",
            "access_token",
            "Access-Token",
            "token",
            "host",
            "connection",
            "Authorization",
            "cookie",
            "expect",
            "x-request-id",
            "via",
            "Content-Length",
            "content_length",
            "content-type",
            "Content-Encoding",
            "content_type",
            "transfer-encoding",
            "Transfer_Encoding",
            "x-forwarded-for",
            "X-Forwarded-Proto",
            "x_forwarded_for",
            "x-forwarded-new",
            "forwarded",
            "x-real-ip",
            "x-http-method-override",
            "Idempotency-Key",
            "idempotency_key",
            "proxy",
        ] {
            assert_eq!(all(&[value]), "malformed_request", "{value}");
            assert_eq!(all(&["close", &format!("x-a, {value} ,keep-alive")]), "malformed_request", "{value}");
        }
        for value in ["\"close\"", "a b", "@", "close;q=1", "x:", "(close)", "\u{e9}", "a\tb"] {
            assert_eq!(all(&[value]), "malformed_request", "{value}");
        }
    }

    /// What the configuration gives a meaning to, nobody may have taken out.
    #[test]
    fn connection_options_never_name_what_the_configuration_names() {
        let table = FieldTable::new(["X-Shop-Key"], "X-Edge-Client");
        for name in ["x-shop-key", "X_Shop_Key", "x-edge-client", "x_edge_client"] {
            assert!(!table.is_removable(name.as_bytes()), "{name}");
        }
        assert!(FieldTable::new([], "x-forwarded-for").is_removable(b"x-shop-key"));
    }

    #[test]
    fn only_forwardable_methods() {
        let with = |name: &'static str| view(name, "/", &[]);
        assert_eq!(method(&with("PATCH")).unwrap(), Method::Patch);
        for name in ["CONNECT", "TRACE"] {
            assert_eq!(method(&with(name)).unwrap_err().code, DenyCode::MethodNotAllowed, "{name}");
        }
        for name in ["get", "PROPFIND", "GETX", "connect", ""] {
            assert_eq!(method(&with(name)).unwrap_err().code, DenyCode::UnknownMethod, "{name}");
        }
        let whole = |name| {
            let mut view = with(name);
            view.set_target(b"*");
            method(&view)
        };
        assert_eq!(whole("OPTIONS").unwrap(), Method::Options);
        assert_eq!(whole("GET").unwrap_err().code, DenyCode::MethodNotAllowed);
    }
}
