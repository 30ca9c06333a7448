//! Slots for connections of callers: so many in all, and so many for one address.
//!
//! An IPv6 caller is counted by its /64. The table of addresses has at most one entry for each open connection, so the
//! cap on all connections is its cap too.

use crate::domain::denial::{Denial, DenyCode, Reason};
use crate::domain::limit::address::host_key;
use crate::telemetry::ConnectionOutcome;
use dashmap::DashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// The open connections of all listeners.
#[derive(Debug, Default)]
pub struct Slots {
    open: AtomicUsize,
    of_host: DashMap<u128, usize>,
    /// Told each time a connection ends.
    ended: Notify,
}

/// How many slots there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLimits {
    pub all: usize,
    /// For one IPv4 address or IPv6 /64; `None` for a caller that speaks for many others, such as a trusted proxy.
    pub per_host: Option<usize>,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSlot {
    /// All slots are taken.
    All,
    /// This address has all that one address may have.
    Host,
}

impl NoSlot {
    /// What the caller is told.
    pub fn denial(self) -> Denial {
        let denial = match self {
            Self::All => Denial::new(DenyCode::TooManyConnections),
            Self::Host => Denial::because(Reason::TooManyOfAddress),
        };
        denial.retry_after(Duration::from_secs(1))
    }
}

impl NoSlot {
    /// How such a connection is counted.
    #[must_use]
    pub const fn outcome(self) -> ConnectionOutcome {
        match self {
            Self::All => ConnectionOutcome::Refused,
            Self::Host => ConnectionOutcome::RefusedHost,
        }
    }
}

/// A slot for one connection, given back on drop.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    host: u128,
}

impl Slots {
    /// Open connections.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Takes a slot for a connection from `peer`.
    ///
    /// # Errors
    /// When all slots are taken, or all that this address may have.
    pub fn take(self: &Arc<Self>, peer: IpAddr, limits: SlotLimits) -> Result<Slot, NoSlot> {
        let one_more = |open| (open < limits.all).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).map_err(|_| NoSlot::All)?;
        let host = host_key(peer);
        {
            let mut count = self.of_host.entry(host).or_insert(0);
            if limits.per_host.is_none_or(|max| *count < max) {
                *count += 1;
                return Ok(Slot { slots: Arc::clone(self), host });
            }
        }
        self.release();
        Err(NoSlot::Host)
    }

    /// Waits until no connection is open.
    pub async fn wait_until_idle(&self) {
        loop {
            let ended = self.ended.notified();
            if self.open() == 0 {
                return;
            }
            ended.await;
        }
    }

    fn leave(&self, host: u128) {
        if let Some(mut count) = self.of_host.get_mut(&host) {
            *count = count.saturating_sub(1);
        }
        // Checked again under the lock of its shard: another connection of the same address may have come meanwhile.
        self.of_host.remove_if(&host, |_, count| *count == 0);
    }

    fn release(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
        self.ended.notify_waiters();
    }
}

impl Slot {
    /// Counts the slot for another address than the one it was taken for: what a PROXY header said.
    ///
    /// # Errors
    /// When that address has all that one address may have. The slot stays with the old one.
    pub fn move_to(&mut self, peer: IpAddr, per_host: usize) -> Result<(), NoSlot> {
        let host = host_key(peer);
        {
            let mut count = self.slots.of_host.entry(host).or_insert(0);
            if *count >= per_host {
                return Err(NoSlot::Host);
            }
            *count += 1;
        }
        self.slots.leave(self.host);
        self.host = host;
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.leave(self.host);
        self.slots.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(all: usize, per_host: impl Into<Option<usize>>) -> SlotLimits {
        SlotLimits { all, per_host: per_host.into() }
    }

    fn take(slots: &Arc<Slots>, peer: &str, limits: SlotLimits) -> Result<Slot, NoSlot> {
        slots.take(peer.parse().unwrap(), limits)
    }

    #[test]
    fn places_are_counted_in_all_and_by_address() {
        let slots = Arc::new(Slots::default());
        let limits = limits(3, 2);
        let first = take(&slots, "192.0.2.1", limits).unwrap();
        let _second = take(&slots, "::ffff:192.0.2.1", limits).unwrap();
        assert_eq!(take(&slots, "192.0.2.1", limits).unwrap_err(), NoSlot::Host);
        assert_eq!(slots.open(), 2);
        let third = take(&slots, "192.0.2.2", limits).unwrap();
        assert_eq!(take(&slots, "192.0.2.3", limits).unwrap_err(), NoSlot::All);
        drop(third);
        drop(first);
        assert!(take(&slots, "192.0.2.1", limits).is_ok());
    }

    #[test]
    fn a_64_is_one_address() {
        let slots = Arc::new(Slots::default());
        let _held = take(&slots, "2001:db8::1", limits(9, 1)).unwrap();
        assert_eq!(take(&slots, "2001:db8::ffff:1", limits(9, 1)).unwrap_err(), NoSlot::Host);
        assert!(take(&slots, "2001:db8:0:1::1", limits(9, 1)).is_ok());
    }

    #[test]
    fn a_place_moves_to_the_address_that_was_stated() {
        let slots = Arc::new(Slots::default());
        let mut proxied = take(&slots, "192.0.2.1", limits(9, None)).unwrap();
        let _direct = take(&slots, "203.0.113.9", limits(9, 1)).unwrap();
        assert_eq!(proxied.move_to("203.0.113.9".parse().unwrap(), 1), Err(NoSlot::Host));
        assert_eq!(proxied.move_to("203.0.113.8".parse().unwrap(), 1), Ok(()));
        assert!(take(&slots, "203.0.113.8", limits(9, 1)).is_err() && take(&slots, "192.0.2.1", limits(9, 1)).is_ok());
    }

    #[test]
    fn one_that_speaks_for_many_is_bounded_by_all_alone() {
        let slots = Arc::new(Slots::default());
        let held: Vec<_> = (0..3).map(|_| take(&slots, "192.0.2.1", limits(3, None)).unwrap()).collect();
        assert_eq!(take(&slots, "192.0.2.1", limits(3, None)).unwrap_err(), NoSlot::All);
        drop(held);
    }

    #[test]
    fn nothing_is_kept_of_those_who_left() {
        let slots = Arc::new(Slots::default());
        let threads: Vec<_> = (0..4u8)
            .map(|thread| {
                let slots = Arc::clone(&slots);
                std::thread::spawn(move || {
                    for host in 0..2000u16 {
                        let peer = IpAddr::from([10, thread % 2, (host >> 8) as u8 % 2, host as u8 % 8]);
                        drop(slots.take(peer, limits(3, 1)));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((slots.open(), slots.of_host.len()), (0, 0));
    }
}
