//! The decision on one request: every policy in the order in which it stands here.
//!
//! Policies are functions on plain data. They return and never log, count or wait. What comes later in the order may rely on what
//! comes before, and types hold it to that: only `credential::check` produces a [`Caller`], and the rules after it take one.

pub mod address;
pub mod credential;
pub mod framing;
pub mod route;
pub mod token;
pub mod transport;

use crate::client_ip::ClientIp;
use crate::consumer::{Consumer, Credential};
use crate::denial::Denial;
use crate::request::{Method, RequestView};
use crate::snapshot::Snapshot;
use crate::types::Now;

/// The policies by name, so that a test can show what each of them holds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Framing,
    Transport,
    Credential,
    Address,
    Route,
    Token,
}

impl Policy {
    pub const ALL: [Self; 6] =
        [Self::Framing, Self::Transport, Self::Credential, Self::Address, Self::Route, Self::Token];
}

/// Which policies are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicySet(u8);

impl PolicySet {
    pub const ALL: Self = Self(u8::MAX);

    /// All policies but one: the seam by which tests prove that a policy matters. Nothing else constructs it.
    #[doc(hidden)]
    #[must_use]
    pub const fn without(policy: Policy) -> Self {
        Self(!(1 << policy as u8))
    }

    const fn has(self, policy: Policy) -> bool {
        self.0 & (1 << policy as u8) != 0
    }
}

/// Who calls, proven by a valid key.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'s> {
    pub consumer: &'s Consumer,
    pub credential: &'s Credential,
}

/// A request that may go on.
#[derive(Clone, Copy, Debug)]
pub struct Admission<'s> {
    pub method: Method,
    pub caller: Caller<'s>,
    /// The rule that allowed it, as written; `None` when nothing but the absence of rules did.
    pub route: Option<&'s str>,
    pub is_login: bool,
}

/// A refusal, with as much as is known of who was refused.
#[derive(Clone, Debug)]
pub struct Refusal<'s> {
    pub denial: Denial,
    pub caller: Option<Caller<'s>>,
}

impl From<Denial> for Refusal<'_> {
    fn from(denial: Denial) -> Self {
        Self { denial, caller: None }
    }
}

/// Decides on one request. Nothing is allocated and nothing is changed.
pub fn decide<'s>(
    snapshot: &'s Snapshot,
    request: &RequestView<'_>,
    client: ClientIp,
    now: Now,
) -> Result<Admission<'s>, Refusal<'s>> {
    let on = |policy| snapshot.policies.has(policy);
    let method = framing::method(request)?;
    if on(Policy::Framing) {
        framing::check(&snapshot.limits, request)?;
    }
    if on(Policy::Transport) {
        transport::check(&snapshot.trusted_proxies, request)?;
    }
    let caller = if on(Policy::Credential) {
        credential::check(&snapshot.consumers, request, now.wall)?
    } else {
        credential::anyone(&snapshot.consumers)?
    };
    let refused = |denial| Refusal { denial, caller: Some(caller) };
    if on(Policy::Address) {
        address::check(caller, client.address).map_err(refused)?;
    }
    let is_login = snapshot.session.is_login(request.method, request.path());
    let route =
        if on(Policy::Route) { route::check(caller, request, &snapshot.session).map_err(refused)? } else { None };
    if on(Policy::Token) {
        token::check(request).map_err(refused)?;
    }
    Ok(Admission { method, caller, route, is_login })
}
