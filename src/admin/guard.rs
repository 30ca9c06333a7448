//! Who may see an admin page.
//!
//! A page of a hostile site can make a browser on the admin's machine send requests to a loopback address. Its `Host` then names the
//! hostile site (DNS rebinding), or its `Origin` does; either one is refused before anything else is looked at.

use super::{AdminCode, api, page};
use crate::consumer::{KeyDigest, digest};
use crate::telemetry::Telemetry;
use crate::telemetry::audit_event::AuditEvent;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, HeaderName, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Uri};
use secrecy::{ExposeSecret, SecretString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The gate's own address of a connection: what the listener is bound to, also when it is bound to every address.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalAddress(pub(super) IpAddr);

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerAddress(pub(super) IpAddr);

/// The rules of one admin listener. No `Debug`: a digest of a weak token is nearly the token.
pub(super) struct Guard {
    token: Option<KeyDigest>,
    telemetry: Arc<Telemetry>,
}

/// Answers refused requests, hands on the others, and marks every answer as not to be kept.
pub(super) async fn stand(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let local = request.extensions().get::<LocalAddress>().copied();
    let mut response = match guard.admit(request.method(), request.uri(), request.headers(), local) {
        Ok(()) => next.run(request).await,
        Err(code) => {
            if code == AdminCode::Unauthorized && request.headers().contains_key(AUTHORIZATION) {
                guard.note_wrong_token(request.extensions().get::<PeerAddress>().copied());
            }
            code.into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Guard {
    pub(super) fn new(token: Option<&SecretString>, telemetry: Arc<Telemetry>) -> Self {
        Self { token: token.map(|token| digest(token.expose_secret().as_bytes())), telemetry }
    }

    fn note_wrong_token(&self, peer: Option<PeerAddress>) {
        if let Some(PeerAddress(peer)) = peer {
            self.telemetry.audit.tell(&AuditEvent::AdminTokenRefused { peer });
        }
    }

    fn admit(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        local: Option<LocalAddress>,
    ) -> Result<(), AdminCode> {
        let host = only(headers, &HOST).filter(|host| names_this_listener(host, local));
        let host = host.ok_or(AdminCode::ForbiddenHost)?;
        if uri.authority().is_some_and(|authority| !names_this_listener(authority.as_str(), local)) {
            return Err(AdminCode::ForbiddenHost);
        }
        if headers.contains_key(ORIGIN) && !only(headers, &ORIGIN).is_some_and(|origin| is_own(origin, host)) {
            return Err(AdminCode::ForbiddenOrigin);
        }
        let reads = method == Method::GET || method == Method::HEAD;
        if reads && (page::is_asset(uri.path()) || uri.path() == api::ACCESS_PATH) {
            return Ok(());
        }
        if !self.knows_token(headers) {
            return Err(AdminCode::Unauthorized);
        }
        if reads {
            return Ok(());
        }
        if method == Method::DELETE && uri.path().starts_with(api::SESSIONS_PATH) {
            return self.admit_change(headers);
        }
        Err(AdminCode::MethodNotAllowed)
    }

    /// What changes something needs a token that exists, and comes from the page itself: a foreign origin was refused before, and here
    /// there has to be one.
    fn admit_change(&self, headers: &HeaderMap) -> Result<(), AdminCode> {
        if self.token.is_none() {
            return Err(AdminCode::TokenNotConfigured);
        }
        if headers.contains_key(ORIGIN) { Ok(()) } else { Err(AdminCode::ForbiddenOrigin) }
    }

    /// Compares digests in constant time, so that neither content nor length of the token shows.
    fn knows_token(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = &self.token else { return true };
        let presented = only(headers, &AUTHORIZATION).and_then(bearer);
        presented.is_some_and(|token| bool::from(digest(token.as_bytes()).ct_eq(expected)))
    }
}

/// The value of a field that stands exactly once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// RFC 6750 section 2.1; the scheme is not case sensitive.
fn bearer(credentials: &str) -> Option<&str> {
    let (scheme, token) = credentials.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

fn is_own(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(scheme, rest)| scheme == "http" && rest.eq_ignore_ascii_case(host))
}

/// True for `localhost`, a loopback address or the listener's own address, with any port or none: a tunnel may change the port.
fn names_this_listener(host: &str, local: Option<LocalAddress>) -> bool {
    let Some(name) = without_port(host) else { return false };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let address = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => name.parse::<Ipv4Addr>().map(IpAddr::V4),
    };
    address.is_ok_and(|address| {
        let address = address.to_canonical();
        address.is_loopback() || local.is_some_and(|local| local.0.to_canonical() == address)
    })
}

/// The host of `host[:port]`; `None` when what follows it is not a port.
fn without_port(host: &str) -> Option<&str> {
    let end = match host.find(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, rest) = host.split_at(end);
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccessLogTarget, LogSettings};

    fn guard(token: Option<&str>) -> Guard {
        let log = LogSettings { access: AccessLogTarget::Off, ..LogSettings::default() };
        Guard::new(token.map(SecretString::from).as_ref(), Arc::new(Telemetry::start(&log).unwrap()))
    }

    fn admit(guard: &Guard, method: &str, target: &str, fields: &[(&str, &str)]) -> Result<(), AdminCode> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let local = Some(LocalAddress("192.0.2.5".parse().unwrap()));
        guard.admit(&method.parse().unwrap(), &target.parse().unwrap(), &headers, local)
    }

    #[test]
    fn hosts() {
        let open = guard(None);
        for host in [
            "localhost",
            "LOCALHOST:9180",
            "127.0.0.1",
            "127.0.0.1:65535",
            "127.8.8.8:80",
            "[::1]",
            "[::1]:9180",
            "[::ffff:127.0.0.1]",
            "192.0.2.5:9180",
            "[::ffff:192.0.2.5]",
        ] {
            assert_eq!(admit(&open, "GET", "/livez", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9180",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil@localhost",
            "localhost:80@evil.example",
            "localhost:",
            "localhost:+80",
            "localhost:65536",
            "localhost, localhost",
            "[::1",
            "::1",
            "[::1]evil",
            "[127.0.0.1]",
            "0.0.0.0",
            "127.1",
            "2130706433",
            "192.0.2.6:9180",
            "[2001:db8::1]",
        ] {
            assert_eq!(admit(&open, "GET", "/livez", &[("host", host)]), Err(AdminCode::ForbiddenHost), "{host}");
        }
        assert_eq!(admit(&open, "GET", "/livez", &[]), Err(AdminCode::ForbiddenHost));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(admit(&open, "GET", "/livez", &twice), Err(AdminCode::ForbiddenHost));
        let absolute = admit(&open, "GET", "http://evil.example/livez", &[("host", "localhost")]);
        assert_eq!(absolute, Err(AdminCode::ForbiddenHost));
    }

    #[test]
    fn origins() {
        let open = guard(None);
        let with = |origin| admit(&open, "GET", "/metrics", &[("host", "localhost:9180"), ("origin", origin)]);
        assert_eq!(with("http://localhost:9180"), Ok(()));
        for origin in [
            "http://evil.example",
            "null",
            "",
            "http://localhost",
            "http://localhost:9181",
            "https://localhost:9180",
            "http://localhost:9180.evil.example",
            "http://localhost:9180/",
            "localhost:9180",
        ] {
            assert_eq!(with(origin), Err(AdminCode::ForbiddenOrigin), "{origin}");
        }
        let own = ("origin", "http://localhost:9180");
        let twice = admit(&open, "GET", "/metrics", &[("host", "localhost:9180"), own, own]);
        assert_eq!(twice, Err(AdminCode::ForbiddenOrigin));
    }

    #[test]
    fn tokens() {
        let closed = guard(Some("s3cret-token"));
        let with = |value| admit(&closed, "GET", "/metrics", &[("host", "localhost"), ("authorization", value)]);
        for value in ["Bearer s3cret-token", "bearer s3cret-token", "BEARER  s3cret-token"] {
            assert_eq!(with(value), Ok(()), "{value}");
        }
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer s3cret-toke",
            "Bearer s3cret-token2",
            "Basic s3cret-token",
            "s3cret-token",
        ] {
            assert_eq!(with(value), Err(AdminCode::Unauthorized), "{value}");
        }
        assert_eq!(admit(&closed, "GET", "/livez", &[("host", "localhost")]), Err(AdminCode::Unauthorized));
        let right = ("authorization", "Bearer s3cret-token");
        let twice = admit(&closed, "GET", "/metrics", &[("host", "localhost"), right, right]);
        assert_eq!(twice, Err(AdminCode::Unauthorized));
    }

    #[test]
    fn methods_are_looked_at_last() {
        let closed = guard(Some("t"));
        let fields = [("host", "localhost"), ("authorization", "Bearer t")];
        assert_eq!(admit(&closed, "HEAD", "/metrics", &fields), Ok(()));
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "ODD"] {
            assert_eq!(admit(&closed, method, "/metrics", &fields), Err(AdminCode::MethodNotAllowed), "{method}");
            assert_eq!(admit(&closed, method, "/metrics", &fields[..1]), Err(AdminCode::Unauthorized), "{method}");
        }
    }

    #[test]
    fn the_files_of_the_page_are_open_and_what_they_show_is_not() {
        let closed = guard(Some("t"));
        let from = |method, target| admit(&closed, method, target, &[("host", "localhost")]);
        for file in ["/", "/app.js", "/style.css", "/?lang=fr"] {
            assert_eq!(from("GET", file), Ok(()), "{file}");
            assert_eq!(from("POST", file), Err(AdminCode::Unauthorized), "{file}");
        }
        for data in ["/api/live", "/api/sessions", "/app.js/x", "/APP.JS"] {
            assert_eq!(from("GET", data), Err(AdminCode::Unauthorized), "{data}");
        }
        let foreign = [("host", "localhost"), ("origin", "http://evil.example")];
        assert_eq!(admit(&closed, "GET", "/", &foreign), Err(AdminCode::ForbiddenOrigin));
        assert_eq!(admit(&closed, "GET", "/", &[("host", "evil.example")]), Err(AdminCode::ForbiddenHost));
    }

    #[test]
    fn a_change_needs_a_token_that_exists_and_the_pages_own_origin() {
        let (host, origin, token) =
            (("host", "localhost:9180"), ("origin", "http://localhost:9180"), ("authorization", "Bearer t"));
        let (closed, open) = (guard(Some("t")), guard(None));
        let end = |guard: &Guard, fields: &[_]| admit(guard, "DELETE", "/api/sessions/abcdef", fields);
        assert_eq!(end(&closed, &[host, origin, token]), Ok(()));
        assert_eq!(end(&closed, &[host, token]), Err(AdminCode::ForbiddenOrigin));
        assert_eq!(end(&closed, &[host, origin]), Err(AdminCode::Unauthorized));
        assert_eq!(end(&open, &[host, origin]), Err(AdminCode::TokenNotConfigured));
        assert_eq!(end(&open, &[host, origin, token]), Err(AdminCode::TokenNotConfigured));
        for (method, target) in [("POST", "/api/sessions/abcdef"), ("DELETE", "/api/live"), ("DELETE", "/api/sessions")]
        {
            let fields = [host, origin, token];
            assert_eq!(admit(&closed, method, target, &fields), Err(AdminCode::MethodNotAllowed), "{method} {target}");
        }
    }
}
