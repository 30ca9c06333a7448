//! The compiled configuration as the core reads it: immutable, shared, swapped whole.
//!
//! An exchange pins one snapshot for its whole life, so a reload never changes the rules under a request.

use crate::domain::limit::Quota;
use crate::domain::limit::login_shield::LoginQuotas;
use crate::domain::request::client_ip::TrustedProxies;
use crate::domain::request::head::HeadLimits;
use crate::domain::request::{FieldTable, TokenPlace};
use crate::domain::rules::consumer::{Consumer, ConsumerTable};
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::route::{RouteRule, covering};
pub use crate::domain::rules::session_mode::SessionMode;
use crate::domain::session::{ExpiredWhen, SessionLimits};

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub consumers: ConsumerTable,
    pub fields: FieldTable,
    pub trusted_proxies: TrustedProxies,
    pub session: SessionRules,
    pub login: LoginRules,
    /// Routes on which 8sens takes an encoded slash for a part of a name.
    pub encoded_slash: Vec<RouteRule>,
    pub budgets: BudgetRules,
    pub limits: SizeLimits,
}

/// How tokens travel, where logins happen, and what a session is held to.
#[derive(Clone, Debug)]
pub struct SessionRules {
    /// Places in which 8sens reads the token; a token in any other known place is removed before forwarding.
    pub token_from: Vec<TokenPlace>,
    pub login_routes: Vec<RouteRule>,
    /// Routes that need a key but no token.
    pub public: Vec<RouteRule>,
    pub mode: SessionMode,
    pub limits: SessionLimits,
    /// What an answer of 8sens to an expired token looks like.
    pub expired_when: ExpiredWhen,
    /// An admin knows that a write which 8sens answers so was not carried out.
    pub resend_expired_writes: bool,
    /// Whether `Cookie` and `Set-Cookie` pass.
    pub pass_cookies: bool,
    /// Where the gate puts the tokens of sessions that it keeps itself; one of `token_from`.
    pub inject_token: TokenPlace,
    /// Whether one login may have several live sessions at 8sens.
    pub concurrent_sessions: bool,
    /// Whether consumers with one login name have one session.
    pub share_login: bool,
}

/// What a login is to 8sens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRules {
    /// What 8sens calls the login name in the request.
    pub user_field: Box<str>,
    /// Which answers refuse a login, besides a 4xx status and a success without a token.
    pub failed_when: ExpiredWhen,
    /// Where a session is ended, if 8sens has such a route.
    pub logout_route: Option<Box<str>>,
}

impl SessionRules {
    /// What happens to tokens of this consumer.
    #[must_use]
    pub fn mode_of(&self, consumer: &Consumer) -> SessionMode {
        consumer.session.unwrap_or(self.mode)
    }

    /// True when a route needs no token.
    #[must_use]
    pub fn is_public(&self, method: &[u8], path: &[u8]) -> bool {
        covering(&self.public, method, path).is_some()
    }

    /// True when a request is a login.
    #[must_use]
    pub fn is_login(&self, method: &[u8], path: &[u8]) -> bool {
        covering(&self.login_routes, method, path).is_some()
    }

    /// Where the gate itself logs in: the first login route that is a POST to one path.
    #[must_use]
    pub fn login_target(&self) -> Option<&str> {
        self.login_routes.iter().find_map(RouteRule::as_post)
    }

    /// The login route for which a server that minds spelling less than the gate might take a request that is none.
    #[must_use]
    pub fn mistakable_login(&self, method: &[u8], path: &[u8]) -> Option<&RouteRule> {
        let mut routes = self.login_routes.iter();
        routes.find(|rule| rule.covers_any_spelling(method, path)).filter(|_| !self.is_login(method, path))
    }
}

/// What abuse may use, and how quotas are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetRules {
    /// Refusals of one client address, whatever they were for.
    pub address: Quota,
    /// Keys that were not accepted, from one client address.
    pub failed_credentials: Quota,
    /// Tokens that were not accepted, of one consumer.
    pub failed_tokens: Quota,
    /// Failed logins.
    pub logins: LoginQuotas,
    /// For these budgets and every consumer that does not say otherwise.
    pub enforce: Enforce,
    /// Whether answers, and not only refusals, carry `RateLimit` fields.
    pub rate_limit_on_answers: bool,
}

/// Sizes that the framing policy holds requests to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    pub head: HeadLimits,
    /// Decoded request body in bytes.
    pub body: u64,
}
