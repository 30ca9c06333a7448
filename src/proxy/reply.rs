//! The only writer of refusals: RFC 9457 problem documents, the same whoever writes them to the wire.
//!
//! [`Problem`] holds status, fields and body. The connection serialises it itself ([`Problem::to_http1`]); inside
//! Pingora the hooks copy the same parts into a Pingora response.

use crate::domain::denial::{Denial, DenyCode};
use crate::domain::exchange::RateLimitFields;
use crate::domain::limit::headers::VALUE_MAX;
use crate::domain::request::Method;
use crate::domain::types::{RequestId, ShortText, Wall};
use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;
use std::time::Duration;

/// How long an answer of the gate's own may take to be taken.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A refusal ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: u16,
    /// In the order in which they are written, without `Date`, `Connection` and `Content-Length`.
    pub fields: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// The document of RFC 9457 section 3.1, with `code` and `request_id` as extension members.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
}

impl Problem {
    /// The refusal that a denial is answered with.
    #[must_use]
    pub fn new(denial: &Denial, request_id: &RequestId, rate_limit: Option<&RateLimitFields>) -> Self {
        let code = denial.code;
        let document = Document {
            r#type: format!("urn:sensgate:problem:{}", code.as_str()),
            title: code.title(),
            status: code.status(),
            detail: &denial.detail(),
            code: code.as_str(),
            request_id: request_id.as_str(),
        };
        let mut fields = vec![
            ("Content-Type", "application/problem+json".to_owned()),
            ("Cache-Control", "no-store".to_owned()),
            ("X-Request-ID", request_id.as_str().to_owned()),
        ];
        if code.status() == 401 {
            fields.push(("WWW-Authenticate", "ApiKey realm=\"sensgate\"".to_owned()));
        }
        if code == DenyCode::MethodNotAllowed {
            fields.push(("Allow", allowed_methods()));
        }
        if let Some(wait) = denial.retry_after {
            fields.push(("Retry-After", whole_seconds(wait).to_string()));
        }
        if let Some(rate_limit) = rate_limit {
            let value = |text: &ShortText<VALUE_MAX>| String::from_utf8_lossy(text.as_bytes()).into_owned();
            fields.push(("RateLimit-Policy", value(&rate_limit.policy)));
            fields.push(("RateLimit", value(&rate_limit.limit)));
        }
        // Plain strings and a number always serialise.
        let body = serde_json::to_vec(&document).unwrap_or_default().into();
        Self { status: code.status(), fields, body }
    }

    /// With `Strict-Transport-Security`, where it is to be sent: refusals are answers as well.
    #[must_use]
    pub fn with_hsts(mut self, hsts: Option<&HeaderValue>) -> Self {
        let hsts = hsts.and_then(|value| value.to_str().ok());
        self.fields.extend(hsts.map(|value| ("Strict-Transport-Security", value.to_owned())));
        self
    }

    /// The whole HTTP/1.1 response. A HEAD request gets the head alone.
    #[must_use]
    pub fn to_http1(&self, date: &str, is_head: bool, keep_alive: bool) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status).ok().and_then(|s| s.canonical_reason()).unwrap_or("");
        let mut out = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        for (name, value) in &self.fields {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        let connection = if keep_alive { "keep-alive" } else { "close" };
        out.push_str(&format!(
            "Content-Length: {}\r\nDate: {date}\r\nConnection: {connection}\r\n\r\n",
            self.body.len()
        ));
        let mut out = out.into_bytes();
        if !is_head {
            out.extend_from_slice(&self.body);
        }
        out
    }

    /// The head of an HTTP/2 response, without `Date`; the body follows it, also where the request was a HEAD and it is
    /// left out.
    #[must_use]
    pub fn to_response(&self) -> http::Response<()> {
        let mut response = http::Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(self.status).unwrap_or_default();
        let length = ("Content-Length", self.body.len().to_string());
        for (name, value) in self.fields.iter().chain([&length]) {
            // Names are tokens and values plain text, all of them ours.
            if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// The value of `Allow` (RFC 9110 section 10.2.1).
fn allowed_methods() -> String {
    Method::ALL.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(", ")
}

/// The answer to `OPTIONS *`: which methods are forwarded, and no content (RFC 9110 section 9.3.7).
#[must_use]
pub fn methods_answer(request_id: &RequestId, date: &str, hsts: Option<&HeaderValue>, keep_alive: bool) -> Vec<u8> {
    let (allow, id) = (allowed_methods(), request_id.as_str());
    let hsts =
        hsts.and_then(|value| value.to_str().ok()).map(|value| format!("Strict-Transport-Security: {value}\r\n"));
    let connection = if keep_alive { "keep-alive" } else { "close" };
    format!(
        "HTTP/1.1 204 No Content\r\nAllow: {allow}\r\nX-Request-ID: {id}\r\n{}Date: {date}\r\n\
         Connection: {connection}\r\n\r\n",
        hsts.unwrap_or_default()
    )
    .into_bytes()
}

/// The answer that sends a browser to https: 308, so that its method stays (RFC 9110 section 15.4.9). The query is not
/// repeated: it may hold what must not travel again.
#[must_use]
pub fn redirect_to_https(location: &str, request_id: &RequestId, date: &str, is_head: bool) -> Vec<u8> {
    let body = if is_head { "" } else { "https only\n" };
    let id = request_id.as_str();
    format!(
        "HTTP/1.1 308 Permanent Redirect\r\nLocation: {location}\r\nCache-Control: no-store\r\nContent-Type: \
         text/plain\r\n\
         X-Request-ID: {id}\r\nContent-Length: 11\r\nDate: {date}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The answer to a certificate authority that looks for a token (RFC 8555 section 8.3): the key authorization, or that
/// there is none. A HEAD request gets the head alone.
#[must_use]
pub fn challenge_answer(
    key_authorization: Option<&str>,
    request_id: &RequestId,
    date: &str,
    is_head: bool,
) -> (u16, Vec<u8>) {
    let (status, reason, kind, body) = match key_authorization {
        Some(answer) => (200, "OK", "application/octet-stream", answer),
        None => (404, "Not Found", "text/plain", "no such challenge\n"),
    };
    let (id, length) = (request_id.as_str(), body.len());
    let body = if is_head { "" } else { body };
    let answer = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\nX-Request-ID: {id}\r\n\
         Content-Length: {length}\r\nDate: {date}\r\nConnection: close\r\n\r\n{body}"
    );
    (status, answer.into_bytes())
}

/// `Retry-After` in whole seconds, rounded up, at least 1 (RFC 9110 section 10.2.3).
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The current `Date` (RFC 9110 section 5.6.7).
#[must_use]
pub fn http_date(now: Wall) -> String {
    let since_epoch = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RequestId {
        RequestId::from_caller(b"req-1").unwrap()
    }

    #[test]
    fn one_refusal_on_the_wire() {
        let problem = Problem::new(&Denial::because(crate::domain::denial::Reason::KeyExpired), &id(), None);
        let wire = String::from_utf8(problem.to_http1("Mon, 01 Jan 2024 00:00:00 GMT", false, true)).unwrap();
        insta::assert_snapshot!(wire.replace("\r\n", "\n"), @r#"
        HTTP/1.1 401 Unauthorized
        Content-Type: application/problem+json
        Cache-Control: no-store
        X-Request-ID: req-1
        WWW-Authenticate: ApiKey realm="sensgate"
        Content-Length: 194
        Date: Mon, 01 Jan 2024 00:00:00 GMT
        Connection: keep-alive

        {"type":"urn:sensgate:problem:unknown_key","title":"API key not accepted","status":401,"detail":"The API key is not known here, or is no longer valid.","code":"unknown_key","request_id":"req-1"}
        "#);
        let head = String::from_utf8(problem.to_http1("d", true, false)).unwrap();
        assert!(head.ends_with("Connection: close\r\n\r\n"));
    }

    #[test]
    fn waits_are_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
