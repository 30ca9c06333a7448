//! The compiled configuration as the core reads it: immutable, shared, swapped whole.
//!
//! An exchange pins one snapshot for its whole life, so a reload never changes the rules under a request.

use crate::client_ip::TrustedProxies;
use crate::consumer::ConsumerTable;
use crate::head::HeadLimits;
use crate::policy::PolicySet;
use crate::request::{FieldTable, TokenPlace};
use crate::route::RouteRule;

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub consumers: ConsumerTable,
    pub fields: FieldTable,
    pub trusted_proxies: TrustedProxies,
    pub session: SessionRules,
    pub limits: SizeLimits,
    /// The policies in force. Always [`PolicySet::ALL`] outside tests: no configuration key reaches it.
    pub policies: PolicySet,
}

/// How tokens travel and where logins happen.
#[derive(Clone, Debug)]
pub struct SessionRules {
    /// Places in which 8sens reads the token; a token in any other known place is removed before forwarding.
    pub token_from: Vec<TokenPlace>,
    pub login_routes: Vec<RouteRule>,
    /// Whether `Cookie` and `Set-Cookie` pass.
    pub pass_cookies: bool,
}

impl SessionRules {
    /// True when a request is a login.
    #[must_use]
    pub fn is_login(&self, method: &[u8], path: &[u8]) -> bool {
        self.login_routes.iter().any(|rule| rule.matches(method, path))
    }
}

/// Sizes that the framing policy holds requests to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    pub head: HeadLimits,
    /// Decoded request body in bytes.
    pub body: u64,
}
