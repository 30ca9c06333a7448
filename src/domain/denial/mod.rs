//! Refusals as data: the closed set of codes, and what one refusal knows.
//!
//! A policy returns a [`Denial`]; `proxy::reply` is the only writer of refusals. The same word is in the body, the
//! access log and the metric label. Adding a variant stops the build until its status, title and detail exist.

mod reason;

pub use reason::Reason;
use std::borrow::Cow;
use std::time::Duration;

/// Declares every code once: variant, word, status, title, detail.
macro_rules! deny_codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $status:literal, $title:literal, $detail:literal;)+) => {
        /// Why a request was refused. A closed set: no code is ever made from a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DenyCode {
            $($(#[$doc])* $variant,)+
        }

        impl DenyCode {
            /// Every code that exists, in the order of its status.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable snake_case word, the same in body, log and metric.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The HTTP status of the refusal (RFC 9110 section 15).
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// RFC 9457 `title`: the same for every occurrence of the code.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// RFC 9457 `detail`: what the caller's developer can do about it. Never holds request data.
            #[must_use]
            pub const fn detail(self) -> &'static str {
                match self { $(Self::$variant => $detail,)+ }
            }
        }
    };
}

deny_codes! {
    MalformedRequest = "malformed_request", 400, "Malformed request",
        "The request does not follow HTTP/1.1 closely enough to be forwarded safely.";
    AmbiguousKey = "ambiguous_key", 400, "More than one API key",
        "Send exactly one api_key header field with one key.";
    AmbiguousToken = "ambiguous_token", 400, "More than one access token",
        "Send the access token in exactly one place.";
    KeyInUrl = "key_in_url", 400, "API key outside its header field",
        "Send the API key in the api_key header field only; a key seen in a URL or a cookie should be replaced.";
    MissingKey = "missing_key", 401, "API key missing",
        "Send the API key in the api_key header field.";
    UnknownKey = "unknown_key", 401, "API key not accepted",
        "The API key is not known here, or is no longer valid.";
    SessionMissing = "session_missing", 401, "Access token missing",
        "Log in and send the access token with each request.";
    SessionUnknown = "session_unknown", 401, "Access token not known",
        "The access token was not issued here. Log in again.";
    SessionExpired = "session_expired", 401, "Access token expired",
        "The access token was idle for too long. Log in again.";
    SessionNotYours = "session_not_yours", 401, "Access token of another consumer",
        "The access token was issued to another API key. Log in with this one.";
    ForbiddenRoute = "forbidden_route", 403, "Route not allowed",
        "This API key may not use this method and path.";
    ForbiddenAddress = "forbidden_address", 403, "Address not allowed",
        "This API key may not be used from this address.";
    InsecureTransport = "insecure_transport", 403, "Encrypted transport required",
        "This listener takes requests only over an encrypted connection or from a private network.";
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed",
        "The request method is not forwarded.";
    RequestTimeout = "request_timeout", 408, "Request timed out",
        "The request did not arrive completely in time.";
    BodyTooLarge = "body_too_large", 413, "Body too large",
        "The request body is larger than allowed.";
    UriTooLong = "uri_too_long", 414, "URI too long",
        "The request target is longer than allowed.";
    ExpectationFailed = "expectation_failed", 417, "Expectation not understood",
        "The only expectation that can be met is 100-continue; leave any other out.";
    MisdirectedRequest = "misdirected_request", 421, "Misdirected request",
        "The request names an https URI, and did not come by https. Send it to the https address.";
    RateLimited = "rate_limited", 429, "Too many requests",
        "Wait for the time that Retry-After tells before the next request.";
    LoginThrottled = "login_throttled", 429, "Too many failed logins",
        "Too many logins have failed. Wait for the time that Retry-After tells before the next one.";
    HeadersTooLarge = "headers_too_large", 431, "Header fields too large",
        "The request head is larger, or has more fields, than allowed.";
    UnknownMethod = "unknown_method", 501, "Method not known",
        "The request method is not known here; method names are in capital letters.";
    UnsupportedTransferCoding = "unsupported_transfer_coding", 501, "Transfer coding not supported",
        "Only the chunked transfer coding is supported.";
    UpstreamUnreachable = "upstream_unreachable", 502, "8sens is unreachable",
        "No connection to the 8sens REST server could be made or kept.";
    UpstreamInvalidResponse = "upstream_invalid_response", 502, "Invalid answer from 8sens",
        "The 8sens REST server sent an answer that cannot be passed on.";
    TooManyConnections = "too_many_connections", 503, "Too many connections",
        "All connections are in use; try again shortly.";
    LoginUnavailable = "login_unavailable", 503, "No session at 8sens",
        "The gate could not log in to the 8sens REST server. Wait for the time that Retry-After tells.";
    UpstreamTimeout = "upstream_timeout", 504, "8sens did not answer in time",
        "The 8sens REST server did not answer in time. A write may or may not have been carried out.";
    HttpVersion = "http_version", 505, "HTTP version not supported",
        "Use HTTP/1.1.";
}

impl DenyCode {
    /// The code of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }

    /// True for refusals of a token.
    #[must_use]
    pub const fn is_about_a_session(self) -> bool {
        matches!(self, Self::SessionMissing | Self::SessionUnknown | Self::SessionExpired | Self::SessionNotYours)
    }

    /// True when the bytes that follow on the connection cannot be trusted to be the next request.
    #[must_use]
    pub const fn framing_in_doubt(self) -> bool {
        matches!(
            self,
            Self::MalformedRequest
                | Self::RequestTimeout
                | Self::BodyTooLarge
                | Self::UriTooLong
                | Self::HeadersTooLarge
                | Self::UnsupportedTransferCoding
                | Self::TooManyConnections
                | Self::HttpVersion
        )
    }
}

impl serde::Serialize for DenyCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for DenyCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_word(&word).ok_or_else(|| serde::de::Error::custom("not a code of a refusal"))
    }
}

/// A place in a request head that a caller can look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A field that the gate knows, by its usual name.
    Field(&'static str),
    /// Both count from 1; line 1 is the request line.
    Byte { line: u32, byte: u32 },
}

/// One refusal.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub code: DenyCode,
    /// What really happened, when the code does not say it all.
    pub reason: Option<Reason>,
    /// Where in the head it is, when that helps.
    pub at: Option<Spot>,
    /// When a lone retry would pass. `None` when time does not help.
    pub retry_after: Option<Duration>,
}

impl Denial {
    /// A refusal whose true reason is the one that its code already tells.
    pub const fn new(code: DenyCode) -> Self {
        Self { code, reason: None, at: None, retry_after: None }
    }

    /// A refusal with its true reason, which says what the code is.
    pub const fn because(reason: Reason) -> Self {
        Self { code: reason.code(), reason: Some(reason), at: None, retry_after: None }
    }

    /// States where in the head the fault is.
    pub const fn at(mut self, spot: Spot) -> Self {
        self.at = Some(spot);
        self
    }

    /// The words of the access log; empty when the code says it all.
    #[must_use]
    pub fn reason_word(&self) -> &'static str {
        self.reason.map_or("", Reason::as_str)
    }

    /// What the caller is told: which known field, otherwise which line and byte, and the rule. Never a value and never
    /// a name that the gate does not know: a line without a colon may be a key.
    #[must_use]
    pub fn detail(&self) -> Cow<'static, str> {
        let Some(detail) = self.reason.and_then(Reason::detail) else { return self.code.detail().into() };
        match self.at {
            None => detail.into(),
            Some(Spot::Field(name)) => format!("{name}: {detail}").into(),
            Some(Spot::Byte { line, byte }) => format!("Line {line}, byte {byte} of the head: {detail}").into(),
        }
    }

    /// States when a lone retry would pass.
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_are_distinct_snake_case_and_statuses_are_errors() {
        let mut seen = HashSet::new();
        for code in DenyCode::ALL {
            let word = code.as_str();
            assert!(seen.insert(word), "{word} appears twice");
            assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{word}");
            assert!((400..600).contains(&code.status()), "{word}");
            assert!(!code.title().is_empty() && code.detail().ends_with('.'), "{word}");
        }
    }
}
