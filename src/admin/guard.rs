//! Who may see an admin page.
//!
//! A page of a hostile site can make a browser on the admin's machine send requests to a loopback address. Its `Host`
//! then names the hostile site (DNS rebinding), or its `Origin` does. The page cannot know the token: a right one
//! stands for the `Host`, for reads.

use super::AdminCode;
use super::host::names_this_listener;
use super::page;
use super::paths::{self, ACCESS_PATH, SESSIONS_PATH};
use super::peer::{Access, LocalAddress, PeerAddress};
use crate::domain::answer::own_name::Alias;
use crate::domain::rules::consumer::{KeyDigest, digest};
use crate::proxy::shared::Shared;
use crate::telemetry::audit_event::AuditEvent;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, HeaderName, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Uri};
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Comes before every page. No `Debug`: a digest of a weak token is nearly the token.
pub(super) struct Guard {
    token: Option<KeyDigest>,
    shared: Arc<Shared>,
}

/// What is looked at.
#[derive(Clone, Copy)]
struct Asked<'r> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    local: Option<IpAddr>,
}

/// The rules of one admin listener.
#[derive(Clone, Copy)]
struct Rules<'r> {
    token: Option<&'r KeyDigest>,
    /// `[admin] hosts`
    hosts: &'r [Alias],
}

/// Answers refused requests, hands on the others, and marks every answer as not to be kept.
pub(super) async fn stand(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let mut response = match guard.admit(&request) {
        Ok(access) => {
            request.extensions_mut().insert(access);
            next.run(request).await
        }
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
    pub(super) fn new(token: Option<&SecretString>, shared: Arc<Shared>) -> Self {
        Self { token: token.map(|token| digest(token.expose_secret().as_bytes())), shared }
    }

    fn note_wrong_token(&self, peer: Option<PeerAddress>) {
        if let Some(PeerAddress(peer)) = peer {
            self.shared.telemetry.audit.tell(&AuditEvent::AdminTokenRefused { peer });
        }
    }

    fn admit(&self, request: &Request) -> Result<Access, AdminCode> {
        let settings = self.shared.settings.load();
        let hosts = settings.admin.as_ref().map_or(&[][..], |admin| &admin.hosts);
        let local = request.extensions().get::<LocalAddress>().map(|local| local.0);
        let asked = Asked { method: request.method(), uri: request.uri(), headers: request.headers(), local };
        Rules { token: self.token.as_ref(), hosts }.admit(asked)
    }
}

impl Rules<'_> {
    fn admit(self, asked: Asked<'_>) -> Result<Access, AdminCode> {
        let Asked { method, uri, headers, .. } = asked;
        let access = if self.is_token_shown(headers) { Access::WithToken } else { Access::WithoutToken };
        let reads = method == Method::GET || method == Method::HEAD;
        // What is open to all says one fixed word: whoever makes a browser ask for it learns nothing.
        let needs_host = !reads || (access == Access::WithoutToken && !paths::is_open_to_all(uri.path()));
        self.check_host(asked, needs_host)?;
        if headers.contains_key(ORIGIN) && !self.is_own_origin(asked) {
            return Err(AdminCode::ForbiddenOrigin);
        }
        let is_open = paths::is_open_to_all(uri.path()) || page::is_asset(uri.path()) || uri.path() == ACCESS_PATH;
        if reads && is_open {
            return Ok(access);
        }
        if self.token.is_some() && access == Access::WithoutToken {
            return Err(AdminCode::Unauthorized);
        }
        if reads {
            return Ok(access);
        }
        if method == Method::DELETE && uri.path().starts_with(SESSIONS_PATH) {
            return self.admit_change(headers).map(|()| access);
        }
        Err(AdminCode::MethodNotAllowed)
    }

    /// Two `Host` lines are never one name. Whoever shows a wrong token is told about the token: a right one would do.
    fn check_host(self, asked: Asked<'_>, is_needed: bool) -> Result<(), AdminCode> {
        if asked.headers.get_all(HOST).iter().nth(1).is_some() {
            return Err(AdminCode::ForbiddenHost);
        }
        let named = only(asked.headers, &HOST).is_some_and(|host| self.is_own_host(host, asked));
        let authority = asked.uri.authority().is_none_or(|authority| self.is_own_host(authority.as_str(), asked));
        if !is_needed || (named && authority) {
            return Ok(());
        }
        let reads = asked.method == Method::GET || asked.method == Method::HEAD;
        let has_shown_another = reads && self.token.is_some() && asked.headers.contains_key(AUTHORIZATION);
        Err(if has_shown_another { AdminCode::Unauthorized } else { AdminCode::ForbiddenHost })
    }

    fn is_own_host(self, host: &str, asked: Asked<'_>) -> bool {
        names_this_listener(host, asked.local, self.hosts)
    }

    /// RFC 6454 section 7: the origin of a page that this listener has served, under one of its own names.
    fn is_own_origin(self, asked: Asked<'_>) -> bool {
        let (origin, host) = (only(asked.headers, &ORIGIN), only(asked.headers, &HOST));
        let (Some(origin), Some(host)) = (origin, host) else { return false };
        let Some(("http", of_page)) = origin.split_once("://") else { return false };
        of_page.eq_ignore_ascii_case(host) && self.is_own_host(host, asked)
    }

    /// What changes something needs a token that exists, and comes from the page itself: a foreign origin was refused
    /// before, and here there has to be one.
    fn admit_change(self, headers: &HeaderMap) -> Result<(), AdminCode> {
        if self.token.is_none() {
            return Err(AdminCode::TokenNotConfigured);
        }
        if headers.contains_key(ORIGIN) { Ok(()) } else { Err(AdminCode::ForbiddenOrigin) }
    }

    /// Compares digests in constant time, so that neither content nor length of the token shows.
    fn is_token_shown(self, headers: &HeaderMap) -> bool {
        let Some(expected) = self.token else { return false };
        let presented = only(headers, &AUTHORIZATION).and_then(bearer);
        presented.is_some_and(|token| bool::from(digest(token.as_bytes()).ct_eq(expected)))
    }
}

/// The value of a field that appears exactly once.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::answer::own_name::Host;

    /// What a listener with that token says to a request.
    fn admit_at(
        token: Option<&str>,
        hosts: &[Alias],
        line: &str,
        fields: &[(&str, &str)],
    ) -> Result<Access, AdminCode> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let (method, target) = line.split_once(' ').unwrap();
        let (method, uri) = (method.parse().unwrap(), target.parse().unwrap());
        let local = Some("192.0.2.5".parse().unwrap());
        let token = token.map(|token| digest(token.as_bytes()));
        let asked = Asked { method: &method, uri: &uri, headers: &headers, local };
        Rules { token: token.as_ref(), hosts }.admit(asked)
    }

    fn admit(token: Option<&str>, line: &str, fields: &[(&str, &str)]) -> Result<Access, AdminCode> {
        admit_at(token, &[], line, fields)
    }

    const T: Option<&str> = Some("s3cret-token");
    const RIGHT: (&str, &str) = ("authorization", "Bearer s3cret-token");
    const WRONG: (&str, &str) = ("authorization", "Bearer s3cret-tokem");
    const LOCAL: (&str, &str) = ("host", "localhost:9180");
    const FOREIGN: (&str, &str) = ("host", "gate.lan:9180");

    #[test]
    fn without_a_token_the_host_has_to_be_its_own() {
        use AdminCode::ForbiddenHost;
        assert_eq!(admit(None, "GET /metrics", &[LOCAL]), Ok(Access::WithoutToken));
        for fields in [&[FOREIGN][..], &[], &[LOCAL, LOCAL], &[("host", "")], &[FOREIGN, RIGHT]] {
            assert_eq!(admit(None, "GET /metrics", fields), Err(ForbiddenHost), "{fields:?}");
        }
        assert_eq!(admit(None, "GET http://gate.lan/metrics", &[LOCAL]), Err(ForbiddenHost));
        assert_eq!(admit(T, "GET /metrics", &[FOREIGN]), Err(ForbiddenHost));
        assert_eq!(admit(T, "GET /", &[FOREIGN]), Err(ForbiddenHost));
        let hosts = [Alias { host: Host::parse("gate.lan").unwrap(), port: None }];
        assert_eq!(admit_at(None, &hosts, "GET /metrics", &[FOREIGN]), Ok(Access::WithoutToken));
        assert_eq!(admit_at(None, &hosts, "GET http://gate.lan/metrics", &[FOREIGN]), Ok(Access::WithoutToken));
        assert_eq!(admit_at(T, &hosts, "GET /", &[FOREIGN]), Ok(Access::WithoutToken));
        assert_eq!(admit_at(T, &hosts, "GET /metrics", &[FOREIGN]), Err(AdminCode::Unauthorized));
    }

    #[test]
    fn a_right_token_stands_for_the_host_of_reads() {
        for line in ["GET /metrics", "HEAD /metrics", "GET /api/live", "GET /", "GET http://gate.lan/metrics"] {
            for fields in [&[FOREIGN, RIGHT][..], &[RIGHT], &[LOCAL, RIGHT]] {
                assert_eq!(admit(T, line, fields), Ok(Access::WithToken), "{line} {fields:?}");
            }
            assert_eq!(admit(T, line, &[FOREIGN, FOREIGN, RIGHT]), Err(AdminCode::ForbiddenHost), "{line}");
            assert_eq!(admit(T, line, &[FOREIGN, WRONG]), Err(AdminCode::Unauthorized), "{line}");
            assert_eq!(admit(T, line, &[FOREIGN, RIGHT, RIGHT]), Err(AdminCode::Unauthorized), "{line}");
        }
        for line in ["DELETE /api/sessions/abcdef", "POST /metrics"] {
            assert_eq!(admit(T, line, &[FOREIGN, RIGHT]), Err(AdminCode::ForbiddenHost), "{line}");
            assert_eq!(admit(T, line, &[FOREIGN, WRONG]), Err(AdminCode::ForbiddenHost), "{line}");
        }
    }

    #[test]
    fn health_is_open_to_all_but_other_origins() {
        for line in ["GET /livez", "HEAD /readyz", "GET /readyz?verbose", "GET http://gate.lan/livez"] {
            for fields in [&[LOCAL][..], &[FOREIGN], &[], &[FOREIGN, WRONG]] {
                assert_eq!(admit(T, line, fields), Ok(Access::WithoutToken), "{line} {fields:?}");
                assert_eq!(admit(None, line, fields), Ok(Access::WithoutToken), "{line} {fields:?}");
            }
            assert_eq!(admit(T, line, &[FOREIGN, RIGHT]), Ok(Access::WithToken), "{line}");
            let rebound = [FOREIGN, ("origin", "http://gate.lan:9180")];
            assert_eq!(admit(T, line, &rebound), Err(AdminCode::ForbiddenOrigin), "{line}");
        }
        for line in ["GET /livez/", "GET /LIVEZ", "POST /livez", "GET /readyz/x"] {
            assert_eq!(admit(T, line, &[FOREIGN]), Err(AdminCode::ForbiddenHost), "{line}");
        }
    }

    #[test]
    fn origins() {
        let with = |token, fields: &[_]| admit(token, "GET /metrics", fields);
        assert_eq!(with(None, &[LOCAL, ("origin", "http://localhost:9180")]), Ok(Access::WithoutToken));
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
            for (token, fields) in [(None, vec![LOCAL]), (T, vec![LOCAL, RIGHT]), (T, vec![RIGHT])] {
                let fields = [fields, vec![("origin", origin)]].concat();
                assert_eq!(with(token, &fields), Err(AdminCode::ForbiddenOrigin), "{fields:?}");
            }
        }
        let own = ("origin", "http://localhost:9180");
        assert_eq!(with(None, &[LOCAL, own, own]), Err(AdminCode::ForbiddenOrigin));
        // The token stands for the host, and a page that has rebound its name is not its own page.
        let rebound = ("origin", "http://gate.lan:9180");
        assert_eq!(with(T, &[FOREIGN, rebound, RIGHT]), Err(AdminCode::ForbiddenOrigin));
        let hosts = [Alias { host: Host::parse("gate.lan").unwrap(), port: None }];
        assert_eq!(admit_at(T, &hosts, "GET /metrics", &[FOREIGN, rebound, RIGHT]), Ok(Access::WithToken));
    }

    #[test]
    fn tokens() {
        let with = |value| admit(T, "GET /metrics", &[LOCAL, ("authorization", value)]);
        for value in ["Bearer s3cret-token", "bearer s3cret-token", "BEARER  s3cret-token"] {
            assert_eq!(with(value), Ok(Access::WithToken), "{value}");
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
        assert_eq!(admit(T, "GET /metrics", &[LOCAL]), Err(AdminCode::Unauthorized));
        assert_eq!(admit(T, "GET /metrics", &[LOCAL, RIGHT, RIGHT]), Err(AdminCode::Unauthorized));
        assert_eq!(admit(None, "GET /metrics", &[LOCAL, RIGHT]), Ok(Access::WithoutToken), "there is none to show");
    }

    #[test]
    fn methods_are_looked_at_last() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "ODD"] {
            let line = format!("{method} /metrics");
            assert_eq!(admit(T, &line, &[LOCAL, RIGHT]), Err(AdminCode::MethodNotAllowed), "{method}");
            assert_eq!(admit(T, &line, &[LOCAL]), Err(AdminCode::Unauthorized), "{method}");
        }
    }

    #[test]
    fn the_files_of_the_page_are_open_and_what_they_show_is_not() {
        for file in ["/", "/app.js", "/style.css", "/?lang=fr"] {
            assert_eq!(admit(T, &format!("GET {file}"), &[LOCAL]), Ok(Access::WithoutToken), "{file}");
            assert_eq!(admit(T, &format!("POST {file}"), &[LOCAL]), Err(AdminCode::Unauthorized), "{file}");
        }
        for data in ["/api/live", "/api/sessions", "/app.js/x", "/APP.JS"] {
            assert_eq!(admit(T, &format!("GET {data}"), &[LOCAL]), Err(AdminCode::Unauthorized), "{data}");
        }
        let foreign = [LOCAL, ("origin", "http://evil.example")];
        assert_eq!(admit(T, "GET /", &foreign), Err(AdminCode::ForbiddenOrigin));
    }

    #[test]
    fn a_change_needs_a_token_that_exists_and_the_pages_own_origin() {
        let origin = ("origin", "http://localhost:9180");
        let end = |token, fields: &[_]| admit(token, "DELETE /api/sessions/abcdef", fields);
        assert_eq!(end(T, &[LOCAL, origin, RIGHT]), Ok(Access::WithToken));
        assert_eq!(end(T, &[LOCAL, RIGHT]), Err(AdminCode::ForbiddenOrigin));
        assert_eq!(end(T, &[LOCAL, origin]), Err(AdminCode::Unauthorized));
        assert_eq!(end(None, &[LOCAL, origin]), Err(AdminCode::TokenNotConfigured));
        assert_eq!(end(None, &[LOCAL, origin, RIGHT]), Err(AdminCode::TokenNotConfigured));
        for line in ["POST /api/sessions/abcdef", "DELETE /api/live", "DELETE /api/sessions"] {
            assert_eq!(admit(T, line, &[LOCAL, origin, RIGHT]), Err(AdminCode::MethodNotAllowed), "{line}");
        }
    }
}
