//! Address: a consumer's keys may be bound to networks.

use super::Passed;
use super::credential::Caller;
use crate::domain::denial::{Denial, Reason};
use std::net::IpAddr;

/// What an operator reads of a request that has passed.
pub(super) const PASSED: Passed =
    Passed { en: "the consumer may call from everywhere", fr: "le consommateur peut appeler de partout" };

/// Refuses a client outside the consumer's `allow_from`.
pub(super) fn check(caller: Caller<'_>, client: IpAddr) -> Result<(), Denial> {
    if caller.consumer().may_call_from(client) { Ok(()) } else { Err(Denial::because(Reason::OutsideAllowFrom)) }
}
