//! How a request goes to 8sens, as data that any lane can serialise.

use crate::domain::policy;
use crate::domain::request::path::NormalPath;
use crate::domain::request::{FieldRole, FieldTable, Method, RequestView, TokenPlace, split_target};
use crate::domain::types::RequestId;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// How to forward a request, as data that any lane can serialise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardPlan {
    pub method: Method,
    /// The origin-form target that 8sens receives.
    pub target: Target,
    /// Which of the caller's fields go on, and what the gate says of itself.
    pub fields: FieldEdits,
    pub resend: Resend,
    pub observe: Observe,
    /// Whether the request changes something: then it runs to 8sens's answer even if the caller leaves.
    pub is_write: bool,
}

/// Whether the answer is of interest to the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observe {
    Nothing,
    /// A login: its answer has to be readable, so it is asked for uncompressed and whole.
    Login,
}

/// The forwarded target.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    AsReceived,
    /// The path was put into normal form, or a known token place that 8sens is not told to read was taken out of the query.
    Rewritten(Arc<[u8]>),
}

/// Without the query: nobody knows what secrets a caller puts there.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsReceived => f.write_str("AsReceived"),
            Self::Rewritten(target) => write!(f, "Rewritten({}?…)", split_target(target).0.escape_ascii()),
        }
    }
}

/// What happens to the caller's header fields. The upstream key is not part of the plan: it never leaves the edge that sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldEdits {
    /// Fields that the caller meant for its own connection: lower-case names, in order and each once.
    pub of_connection: Vec<Box<[u8]>>,
    pub token_from: Vec<TokenPlace>,
    pub pass_cookies: bool,
    /// The client IP for `X-Forwarded-For`; every forwarding field is rebuilt from it.
    pub client_ip: IpAddr,
    /// Whether the caller's side was encrypted, for `X-Forwarded-Proto`.
    pub https: bool,
    pub request_id: RequestId,
    /// `RateLimit-Policy` and `RateLimit` for the answer.
    pub rate_limit: Option<RateLimitFields>,
}

/// The values of `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitFields {
    pub policy: String,
    pub limit: String,
}

impl FieldEdits {
    /// True when a caller's field of this name and role goes on to 8sens as it came.
    #[must_use]
    pub fn keeps(&self, name: &[u8], role: Option<FieldRole>, value: &[u8]) -> bool {
        match role {
            None => !self.is_of_connection(name),
            Some(FieldRole::Token(place)) => self.token_from.contains(&place),
            Some(FieldRole::Authorization) => {
                !policy::token::is_bearer(value) || self.token_from.contains(&TokenPlace::Bearer)
            }
            Some(FieldRole::Cookie) => self.pass_cookies,
            Some(role) => role.is_forwarded(),
        }
    }

    fn is_of_connection(&self, name: &[u8]) -> bool {
        let folded = || name.iter().map(u8::to_ascii_lowercase);
        self.of_connection.binary_search_by(|known| known.iter().copied().cmp(folded())).is_ok()
    }
}

/// When a request may be sent to 8sens a second time. A failed connect wrote nothing and may always be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// Once a byte was written: never.
    Never,
    /// Once, when a reused connection closed before any byte of the answer: GET, HEAD and OPTIONS only.
    OnceIfReusedConnectionClosed,
}

/// The fields that the connection options name and that would go on otherwise (RFC 9110 section 7.6.1). Those that decide anything were
/// refused, and those of every connection go no further anyway.
pub(super) fn of_connection(table: &FieldTable, request: &RequestView<'_>) -> Vec<Box<[u8]>> {
    let unknown = request.connection_options().filter(|option| table.role(option).is_none());
    let mut names: Vec<Box<[u8]>> = unknown.map(|option| option.to_ascii_lowercase().into()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The target with its path in normal form, and without `access_token` parameters when 8sens does not read the token there.
pub(super) fn forwarded_target(request: &RequestView<'_>, token_from: &[TokenPlace]) -> Target {
    let query = request.query();
    let drops_tokens = !token_from.contains(&TokenPlace::AccessTokenQuery);
    let drops_tokens = drops_tokens && policy::token::is_in_query(request);
    if !drops_tokens && request.normal_path().map_or(true, NormalPath::is_as_received) {
        return Target::AsReceived;
    }
    let mut target = request.path().to_vec();
    let Some(query) = query else { return Target::Rewritten(target.into()) };
    if drops_tokens {
        let mut separator = b'?';
        for pair in query.split(|b| *b == b'&').filter(|pair| !policy::token::is_token_pair(pair)) {
            target.push(separator);
            target.extend_from_slice(pair);
            separator = b'&';
        }
    } else {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    Target::Rewritten(target.into())
}
