//! The decision on one request.
//!
//! Policies are functions on plain data. They return and never log, count or wait. Which are asked, and in which order,
//! is in `order` alone. What comes later may rely on what comes before, and types hold it to that: only
//! `credential` makes a [`Caller`], and the rules after it take one.

pub mod address;
pub mod budget;
pub mod credential;
pub mod framing;
mod objection;
mod order;
pub mod quota;
mod refusal;
pub mod route;
pub mod session;
pub mod token;
pub mod transport;
mod trial;

use crate::domain::denial::{Denial, DenyCode, Reason};
use crate::domain::limit::Reservation;
use crate::domain::request::client_ip::ClientIp;
use crate::domain::request::{Method, RequestView};
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::snapshot::Snapshot;
use crate::domain::session::unfamiliar::Issued;
use crate::domain::tables::Tables;
use crate::domain::types::Now;
pub use credential::Caller;
use objection::Objection;
pub use order::Policy;
use order::{Allowed, Case, Judge};
use quota::Buckets;
pub use refusal::{KeyOwner, Refusal};
use session::Wanted;
use std::sync::Arc;
pub use trial::{Ruling, rehearse};

/// What an operator reads of a request that has passed a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub en: &'static str,
    pub fr: &'static str,
}

/// A request that may go on.
#[derive(Debug)]
pub struct Admission<'s> {
    pub method: Method,
    pub caller: Caller<'s>,
    /// The rule that allowed it, as written; `None` when nothing but the absence of rules did.
    pub route: Option<&'s Arc<str>>,
    pub is_login: bool,
    /// What is taken from the consumer's quotas until the request is on its way.
    pub reservation: Reservation,
    pub buckets: Buckets,
    pub session: Wanted,
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

/// Decides on one request. Nothing is allocated; nothing changes but what the admission reserves.
///
/// # Errors
/// The first refusal that is in force.
pub fn decide<'s>(
    snapshot: &'s Snapshot,
    tables: &Tables,
    request: &RequestView<'_>,
    client: ClientIp,
    now: Now,
) -> Result<Admission<'s>, Refusal<'s>> {
    let method = framing::method(request)?;
    let case = Case { snapshot, tables, request, client: Some(client.address), now };
    let mut first = FirstRefusal::default();
    let caller = known_caller(&mut first, case, client)?;
    let allowed = order::of_request(&mut first, case, caller).map_err(|denial| Refusal {
        denial: budget::of_failed_token(denial, &snapshot.budgets, tables, caller, now.mono),
        owner: Some(caller.into()),
    })?;
    let Allowed { route, is_login, buckets, reservation, session } = allowed;
    Ok(Admission { method, caller, route, is_login, reservation, buckets, session, would_refuse: first.0 })
}

/// Decides on a question about the gate itself, `OPTIONS *`: whoever may be told is told, and 8sens hears nothing of
/// it.
///
/// # Errors
/// The first refusal that is in force.
pub fn decide_about_the_gate<'s>(
    snapshot: &'s Snapshot,
    tables: &Tables,
    request: &RequestView<'_>,
    client: ClientIp,
    now: Now,
) -> Result<Caller<'s>, Refusal<'s>> {
    let case = Case { snapshot, tables, request, client: Some(client.address), now };
    known_caller(&mut FirstRefusal::default(), case, client)
}

/// Who calls, when the request is well-formed, came in a way on which a key is safe, and is from where the key may be
/// used.
fn known_caller<'s>(first: &mut FirstRefusal, case: Case<'s, '_>, client: ClientIp) -> Result<Caller<'s>, Refusal<'s>> {
    let Case { snapshot, tables, request, now, .. } = case;
    order::of_anybody(first, case)?;
    let caller = credential::check(&snapshot.consumers, request, now.wall).map_err(|refusal| Refusal {
        denial: budget::of_failed_credential(refusal.denial, &snapshot.budgets, tables, client.address, now.mono),
        ..refusal
    })?;
    let refused = |denial| Refusal { denial, owner: Some(caller.into()) };
    order::of_caller(first, case, caller).map_err(refused)?;
    Ok(caller)
}

/// Ends with the first refusal that is in force, and keeps the first of those that are not.
#[derive(Default)]
struct FirstRefusal(Option<WouldRefuse>);

impl Judge for FirstRefusal {
    fn hear(
        &mut self,
        _: Policy,
        enforce: Enforce,
        rule: impl FnOnce() -> Result<(), Objection>,
    ) -> Result<(), Denial> {
        if enforce == Enforce::Off {
            return Ok(());
        }
        match rule() {
            Ok(()) => Ok(()),
            Err(Objection { denial, issued }) if enforce == Enforce::Shadow => {
                self.0.get_or_insert(WouldRefuse { code: denial.code, reason: denial.reason, issued });
                Ok(())
            }
            Err(objection) => Err(objection.denial),
        }
    }
}
