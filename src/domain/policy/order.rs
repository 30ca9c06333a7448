//! The one ordered list of the rules: what is asked of a request, in the order in which it is here, whoever
//! listens.
//!
//! [`decide`](super::decide) ends with the first refusal that is in force; [`rehearse`](super::rehearse) hears them
//! all.

use super::credential::Caller;
use super::objection::Objection;
use super::quota::Buckets;
use super::session::{self, Wanted};
use super::{Passed, address, budget, credential, framing, quota, route, token, transport};
use crate::domain::denial::Denial;
use crate::domain::limit::Reservation;
use crate::domain::request::RequestView;
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::snapshot::{SessionMode, Snapshot};
use crate::domain::tables::Tables;
use crate::domain::types::Now;
use std::net::IpAddr;
use std::sync::Arc;
use strum::IntoStaticStr;

/// Declares the policies: the file of each, and its name.
macro_rules! policies {
    ($($file:ident = $policy:ident;)+) => {
        /// The policies by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
        #[strum(serialize_all = "snake_case", const_into_str)]
        pub enum Policy {
            $($policy,)+
        }

        impl Policy {
            /// The word by which an operator knows it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                self.into_str()
            }

            /// What an operator reads where nothing more is known of a request that has passed it.
            #[must_use]
            pub const fn passed(self) -> Passed {
                match self { $(Self::$policy => $file::PASSED,)+ }
            }
        }
    };
}

policies! {
    framing = Framing;
    transport = Transport;
    budget = Budget;
    credential = Credential;
    address = Address;
    route = Route;
    token = Token;
    quota = Quota;
    session = Session;
}

/// A request beside everything that rules may look at.
#[derive(Clone, Copy)]
pub(super) struct Case<'s, 'r> {
    pub snapshot: &'s Snapshot,
    pub tables: &'r Tables,
    pub request: &'r RequestView<'r>,
    /// `None` when it is not known: rules about addresses are left out.
    pub client: Option<IpAddr>,
    pub now: Now,
}

/// Who hears what the rules say.
pub(super) trait Judge {
    /// Hears one rule, as far as it is in force.
    ///
    /// # Errors
    /// The refusal with which the request ends.
    fn hear(
        &mut self,
        policy: Policy,
        enforce: Enforce,
        rule: impl FnOnce() -> Result<(), Objection>,
    ) -> Result<(), Denial>;
}

/// What is asked before anybody looks at the key: form, transport, and how often the address was refused.
///
/// # Errors
/// The refusal with which the request ends.
pub(super) fn of_anybody(judge: &mut impl Judge, case: Case<'_, '_>) -> Result<(), Denial> {
    let Case { snapshot, tables, request, .. } = case;
    judge.hear(Policy::Framing, Enforce::On, || {
        framing::method(request)?;
        if request.target() != b"*" {
            framing::target(&snapshot.encoded_slash, request)?;
        }
        Ok(framing::check(&snapshot.limits, &snapshot.fields, request)?)
    })?;
    judge.hear(Policy::Transport, Enforce::On, || {
        transport::right_scheme(&snapshot.trusted_proxies, request)?;
        Ok(transport::check(&snapshot.trusted_proxies, request)?)
    })?;
    let Some(client) = case.client else { return Ok(()) };
    judge.hear(Policy::Budget, snapshot.budgets.enforce, || Ok(budget::check_address(tables, client, case.now.mono)?))
}

/// What is asked of whoever has a key, about nothing but themselves.
///
/// # Errors
/// The refusal with which the request ends.
pub(super) fn of_caller(judge: &mut impl Judge, case: Case<'_, '_>, caller: Caller<'_>) -> Result<(), Denial> {
    let Some(client) = case.client else { return Ok(()) };
    judge.hear(Policy::Address, caller.consumer().enforce, || Ok(address::check(caller, client)?))
}

/// What came of the rules about the request itself.
#[derive(Debug)]
pub(super) struct Allowed<'s> {
    pub route: Option<&'s Arc<str>>,
    pub is_login: bool,
    pub buckets: Buckets,
    pub reservation: Reservation,
    pub session: Wanted,
}

/// What is asked of a request by its caller: route, token, quota, session.
///
/// # Errors
/// The refusal with which the request ends.
pub(super) fn of_request<'s>(
    judge: &mut impl Judge,
    case: Case<'s, '_>,
    caller: Caller<'s>,
) -> Result<Allowed<'s>, Denial> {
    let Case { snapshot, tables, request, now, .. } = case;
    let enforce = caller.consumer().enforce;
    let is_login = snapshot.session.is_login(request.method, request.path());
    let mut route = None;
    // The spelling of a login is no matter of taste, whatever the consumer's rules are.
    let spelling = route::check_login_spelling(request, &snapshot.session);
    let route_enforce = if spelling.is_err() { Enforce::On } else { enforce };
    judge.hear(Policy::Route, route_enforce, || {
        spelling?;
        route = route::check(caller, request, &snapshot.session)?;
        Ok(())
    })?;
    judge.hear(Policy::Token, Enforce::On, || Ok(token::check(request, is_login)?))?;
    let buckets = Buckets::of(caller.consumer(), tables, request);
    let mut reservation = Reservation::default();
    judge.hear(Policy::Quota, enforce, || {
        reservation = buckets.reserve(now.mono)?;
        Ok(())
    })?;
    let mut session = Wanted::None;
    if !is_login {
        let enforce = match snapshot.session.mode_of(caller.consumer()) {
            SessionMode::Guard | SessionMode::Managed => Enforce::On,
            SessionMode::Observe => Enforce::Shadow,
        };
        judge.hear(Policy::Session, enforce, || {
            session = session::check(&snapshot.session, tables, caller, request, now.mono)?;
            Ok(())
        })?;
    }
    Ok(Allowed { route, is_login, buckets, reservation, session })
}
