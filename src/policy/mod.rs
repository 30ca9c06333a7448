//! The decision on one request: every policy in the order in which it stands here.
//!
//! Policies are functions on plain data. They return and never log, count or wait. What comes later in the order may rely on what
//! comes before, and types hold it to that: only `credential::check` produces a [`Caller`], and the rules after it take one.

pub mod address;
pub mod budget;
pub mod credential;
pub mod framing;
pub mod quota;
pub mod route;
pub mod session;
pub mod token;
pub mod transport;
mod trial;

use crate::client_ip::ClientIp;
use crate::consumer::{Consumer, Credential};
use crate::denial::{Denial, DenyCode, Reason};
use crate::limit::Reservation;
use crate::request::{Method, RequestView};
use crate::session::unfamiliar::Issued;
use crate::snapshot::{Enforce, SessionMode, Snapshot};
use crate::tables::Tables;
use crate::types::Now;
use quota::Buckets;
use session::{SessionUse, Unfit};
pub use trial::{Ruling, rehearse};

/// The policies by name, so that a test can show what each of them holds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Framing,
    Transport,
    Credential,
    Address,
    Route,
    Token,
    Quota,
    Session,
    Budget,
}

impl Policy {
    pub const ALL: [Self; 9] = [
        Self::Framing,
        Self::Transport,
        Self::Credential,
        Self::Address,
        Self::Route,
        Self::Token,
        Self::Quota,
        Self::Session,
        Self::Budget,
    ];
}

/// Which policies are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicySet(u16);

impl PolicySet {
    pub const ALL: Self = Self(u16::MAX);

    /// All policies but one: the seam by which tests prove that a policy matters. Nothing else constructs it.
    #[doc(hidden)]
    #[must_use]
    pub const fn without(policy: Policy) -> Self {
        Self(!(1 << policy as u16))
    }

    pub(crate) const fn has(self, policy: Policy) -> bool {
        self.0 & (1 << policy as u16) != 0
    }
}

/// Who calls, proven by a valid key.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'s> {
    pub consumer: &'s Consumer,
    pub credential: &'s Credential,
}

/// A request that may go on.
#[derive(Debug)]
pub struct Admission<'s> {
    pub method: Method,
    pub caller: Caller<'s>,
    /// The rule that allowed it, as written; `None` when nothing but the absence of rules did.
    pub route: Option<&'s str>,
    pub is_login: bool,
    /// What is taken from the consumer's quotas until the request is on its way.
    pub reservation: Reservation,
    pub buckets: Buckets,
    pub session: Option<SessionUse>,
    /// What would have been refused if the rule were not in shadow, or sessions not just observed.
    pub would_refuse: Option<WouldRefuse>,
}

/// A refusal that was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldRefuse {
    pub code: DenyCode,
    /// As in [`Denial::reason`].
    pub reason: Option<Reason>,
    /// For tokens that were never handed out here.
    pub issued: Option<Issued>,
}

/// A refusal, with as much as is known of who was refused.
#[derive(Clone, Debug)]
pub struct Refusal<'s> {
    pub denial: Denial,
    /// Whose key it was, when it was refused for something that comes after its key, or for the key itself.
    pub owner: Option<KeyOwner<'s>>,
}

/// Whose key came along. It proves nothing: the key may be expired, or not have been checked at all.
#[derive(Clone, Copy, Debug)]
pub struct KeyOwner<'s> {
    pub consumer: &'s Consumer,
    pub credential: &'s Credential,
}

impl<'s> From<Caller<'s>> for KeyOwner<'s> {
    fn from(caller: Caller<'s>) -> Self {
        Self { consumer: caller.consumer, credential: caller.credential }
    }
}

impl From<Denial> for Refusal<'_> {
    fn from(denial: Denial) -> Self {
        Self { denial, owner: None }
    }
}

/// Decides on one request. Nothing is allocated; nothing changes but what the admission reserves.
pub fn decide<'s>(
    snapshot: &'s Snapshot,
    tables: &Tables,
    request: &RequestView<'_>,
    client: ClientIp,
    now: Now,
) -> Result<Admission<'s>, Refusal<'s>> {
    let on = |policy| snapshot.policies.has(policy);
    let mut shadow = Shadow::default();
    let method = framing::method(request)?;
    if on(Policy::Framing) {
        framing::target(&snapshot.encoded_slash, request)?;
    }
    let caller = known_caller(snapshot, tables, request, client, now, &mut shadow)?;
    let refused = |denial| Refusal { denial, owner: Some(caller.into()) };
    let enforce = caller.consumer.enforce;
    let is_login = snapshot.session.is_login(request.method, request.path());
    let mut route = None;
    if on(Policy::Route) {
        route::check_login_spelling(request, &snapshot.session).map_err(refused)?;
        let check = || route::check(caller, request, &snapshot.session).map(|rule| route = rule);
        shadow.rule(enforce, check).map_err(refused)?;
    }
    if on(Policy::Token) {
        token::check(request, is_login).map_err(refused)?;
    }
    let buckets = Buckets::of(caller.consumer, tables, request);
    let mut reservation = Reservation::default();
    if on(Policy::Quota) {
        let reserve = || buckets.reserve(now.mono).map(|taken| reservation = taken);
        shadow.rule(enforce, reserve).map_err(refused)?;
    }
    let session = if is_login || !on(Policy::Session) {
        None
    } else {
        let found = session::check(&snapshot.session, tables, caller, request, now.mono);
        shadow.session(snapshot.session.mode, found).map_err(|denial| {
            refused(if on(Policy::Budget) {
                budget::of_failed_token(denial, &snapshot.budgets, tables, caller, now.mono)
            } else {
                denial
            })
        })?
    };
    Ok(Admission { method, caller, route, is_login, reservation, buckets, session, would_refuse: shadow.0 })
}

/// Decides on a question about the gate itself, `OPTIONS *`: whoever may be told is told, and 8sens hears nothing of
/// it.
pub fn decide_about_the_gate<'s>(
    snapshot: &'s Snapshot,
    tables: &Tables,
    request: &RequestView<'_>,
    client: ClientIp,
    now: Now,
) -> Result<Caller<'s>, Refusal<'s>> {
    framing::method(request)?;
    known_caller(snapshot, tables, request, client, now, &mut Shadow::default())
}

/// Who calls, when the request is well-formed, came in a way on which a key is safe, and is from where the key may be
/// used.
fn known_caller<'s>(
    snapshot: &'s Snapshot,
    tables: &Tables,
    request: &RequestView<'_>,
    client: ClientIp,
    now: Now,
    shadow: &mut Shadow,
) -> Result<Caller<'s>, Refusal<'s>> {
    let on = |policy| snapshot.policies.has(policy);
    if on(Policy::Framing) {
        framing::check(&snapshot.limits, &snapshot.fields, request)?;
    }
    if on(Policy::Transport) {
        transport::right_scheme(&snapshot.trusted_proxies, request)?;
        transport::check(&snapshot.trusted_proxies, request)?;
    }
    let budgets = &snapshot.budgets;
    if on(Policy::Budget) {
        shadow.rule(budgets.enforce, || budget::check_address(tables, client.address, now.mono))?;
    }
    let caller = if on(Policy::Credential) {
        credential::check(&snapshot.consumers, request, now.wall).map_err(|refusal| Refusal {
            denial: if on(Policy::Budget) {
                budget::of_failed_credential(refusal.denial, budgets, tables, client.address, now.mono)
            } else {
                refusal.denial
            },
            ..refusal
        })?
    } else {
        credential::anyone(&snapshot.consumers)?
    };
    if on(Policy::Address) {
        let check = || address::check(caller, client.address);
        shadow.rule(caller.consumer.enforce, check).map_err(|denial| Refusal { denial, owner: Some(caller.into()) })?;
    }
    Ok(caller)
}

/// The first refusal that was not carried out.
#[derive(Default)]
struct Shadow(Option<WouldRefuse>);

impl Shadow {
    /// Asks a rule as far as it is in force.
    fn rule(&mut self, enforce: Enforce, check: impl FnOnce() -> Result<(), Denial>) -> Result<(), Denial> {
        if enforce == Enforce::Off {
            return Ok(());
        }
        match check() {
            Err(denial) if enforce == Enforce::Shadow => {
                self.0.get_or_insert(WouldRefuse { code: denial.code, reason: denial.reason, issued: None });
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Lets an unfit token pass while sessions are only observed.
    fn session(
        &mut self,
        mode: SessionMode,
        found: Result<Option<SessionUse>, Unfit>,
    ) -> Result<Option<SessionUse>, Denial> {
        match found {
            Ok(session) => Ok(session),
            Err(unfit) if mode == SessionMode::Observe => {
                self.0.get_or_insert(WouldRefuse {
                    code: unfit.denial.code,
                    reason: unfit.denial.reason,
                    issued: unfit.issued,
                });
                Ok(None)
            }
            Err(unfit) => Err(unfit.denial),
        }
    }
}
