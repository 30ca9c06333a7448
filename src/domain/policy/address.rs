//! Address: a consumer's keys may be bound to networks.

use super::credential::Caller;
use crate::domain::denial::{Denial, Reason};
use std::net::IpAddr;

/// Refuses a client outside the consumer's `allow_from`.
pub(super) fn check(caller: Caller<'_>, client: IpAddr) -> Result<(), Denial> {
    if caller.consumer().may_call_from(client) { Ok(()) } else { Err(Denial::because(Reason::OutsideAllowFrom)) }
}
