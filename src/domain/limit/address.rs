//! A budget per client address.
//!
//! One subscriber has one IPv4 address, or a whole IPv6 /64, often a /48. So an IPv6 address draws on the bucket of its
//! /64, and with eight times the quota on that of its /48: walking through a /48 gains a factor of eight and no more.
//! An IPv4 address written as IPv6 (`::ffff:192.0.2.7`) is the IPv4 address.

use super::Quota;
use super::gcra::Wait;
use super::keyed::KeyedBuckets;
use crate::domain::types::Mono;
use std::net::IpAddr;
use std::num::NonZeroU32;

/// How many times the quota of a /64 its /48 has.
const ROLL_UP: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// What each client address may use. Its memory is taken at construction: 32 bytes for each of `slots`.
///
/// /48 networks have a store of their own: walking through the /64 networks of one of them cannot crowd it out.
#[derive(Debug)]
pub struct AddressBudget {
    hosts: KeyedBuckets,
    sites: KeyedBuckets,
}

/// What an address is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Keys {
    /// The IPv4 address or the IPv6 /64.
    host: u128,
    /// The IPv6 /48.
    site: Option<u128>,
}

impl Keys {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No /64 has a bit that high once shifted down.
            IpAddr::V4(v4) => Self { host: 1 << 64 | u128::from(v4.to_bits()), site: None },
            IpAddr::V6(v6) => Self { host: v6.to_bits() >> 64, site: Some(v6.to_bits() >> 80) },
        }
    }
}

/// What an address is counted as wherever callers are told apart: the IPv4 address or the IPv6 /64.
#[must_use]
pub fn host_key(address: IpAddr) -> u128 {
    Keys::of(address).host
}

impl AddressBudget {
    /// A budget for `slots` addresses that owe something at the same time; bounds as in [`KeyedBuckets::new`].
    #[must_use]
    pub fn new(quota: Quota, slots: usize) -> Self {
        Self { hosts: KeyedBuckets::new(quota, slots), sites: KeyedBuckets::new(quota.times(ROLL_UP), slots) }
    }

    /// Uses one request of the address, and of its /48. If either is exhausted neither is charged, and the longer wait
    /// is told.
    ///
    /// # Errors
    /// How long until both would take it.
    pub fn charge(&self, address: IpAddr, now: Mono) -> Result<(), Wait> {
        let keys = Keys::of(address);
        let Some(site) = keys.site else { return self.hosts.charge(keys.host, now) };
        // Both shards stay locked, always in this order, until both are known to admit.
        let host = self.hosts.entry(keys.host, now);
        let site = self.sites.entry(site, now);
        self.hosts.count(&host);
        self.sites.count(&site);
        let (host_tat, site_tat) = match (host.step(now), site.step(now)) {
            (Ok(host_tat), Ok(site_tat)) => (host_tat, site_tat),
            (Err(one), Err(other)) => return Err(one.max(other)),
            (Err(wait), Ok(_)) | (Ok(_), Err(wait)) => return Err(wait),
        };
        host.store(host_tat, now);
        site.store(site_tat, now);
        Ok(())
    }

    /// How long until a charge fits, if none fits now. Charges nothing.
    #[must_use]
    pub fn is_exhausted(&self, address: IpAddr, now: Mono) -> Option<Wait> {
        let keys = Keys::of(address);
        let site = keys.site.and_then(|site| self.sites.peek(site, now).err());
        self.hosts.peek(keys.host, now).err().max(site)
    }

    /// Changes the quota; addresses owe what they owed. Bounded work, for a reload: see [`KeyedBuckets::set_quota`].
    pub fn set_quota(&self, quota: Quota, now: Mono) {
        self.hosts.set_quota(quota, now);
        self.sites.set_quota(quota.times(ROLL_UP), now);
    }

    /// Charges that had to share a bucket because all slots were in use.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.hosts.overflowed() + self.sites.overflowed()
    }

    /// Slots in all; constant.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.hosts.capacity() + self.sites.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn budget(quota: &str) -> AddressBudget {
        AddressBudget::new(Quota::parse(quota).unwrap(), 4096)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn admitted(budget: &AddressBudget, address: &str, tries: usize) -> usize {
        (0..tries).filter(|_| budget.charge(ip(address), Mono(0)).is_ok()).count()
    }

    #[test]
    fn an_ipv4_address_written_as_ipv6_shares_its_bucket() {
        let budget = budget("1/h, burst 4");
        assert_eq!(admitted(&budget, "192.0.2.7", 3), 3);
        assert_eq!(admitted(&budget, "::ffff:192.0.2.7", 3), 1);
        assert_eq!(budget.is_exhausted(ip("::ffff:c000:207"), Mono(0)), Some(Wait(Duration::from_secs(3600))));
        assert_eq!(admitted(&budget, "192.0.2.8", 3), 3);
        assert_eq!(admitted(&budget, "::ffff:192.0.2.8", 3), 1);
    }

    #[test]
    fn no_other_ipv6_address_is_an_ipv4_address() {
        let budget = budget("1/h");
        assert_eq!(admitted(&budget, "0.0.0.0", 1), 1);
        for other in ["::", "::1", "0:0:0:1::", "::c000:207", "64:ff9b::c000:207"] {
            assert_ne!(Keys::of(ip("0.0.0.0")).host, Keys::of(ip(other)).host);
            assert_ne!(Keys::of(ip("192.0.2.7")).host, Keys::of(ip(other)).host);
        }
    }

    #[test]
    fn a_64_is_one_caller_and_a_48_is_eight() {
        let budget = budget("1/h, burst 3");
        assert_eq!(admitted(&budget, "2001:db8:1:1::1", 2), 2);
        assert_eq!(admitted(&budget, "2001:db8:1:1:ffff::2", 5), 1);
        let walked: usize = (2..200).map(|n| admitted(&budget, &format!("2001:db8:1:{n:x}::1"), 1)).sum();
        assert_eq!(walked, 8 * 3 - 3);
        assert_eq!(admitted(&budget, "2001:db8:2:1::1", 5), 3);
        assert_eq!(admitted(&budget, "192.0.2.7", 5), 3);
    }

    #[test]
    fn a_refusal_by_the_48_charges_no_64() {
        let budget = budget("1/h, burst 2");
        for n in 0..8 {
            assert_eq!(admitted(&budget, &format!("2001:db8:1:{n}::1"), 3), 2);
        }
        let newcomer = ip("2001:db8:1:ffff::1");
        let wait = Wait(Duration::from_secs(450));
        assert_eq!(budget.charge(newcomer, Mono(0)), Err(wait));
        assert_eq!(budget.is_exhausted(newcomer, Mono(0)), Some(wait));
        assert_eq!(budget.is_exhausted(newcomer, Mono(450_000_000_000 - 1)), Some(Wait(Duration::from_nanos(1))));
        // Both its own requests are still there once its /48 has room.
        let later = Mono(2 * 450_000_000_000);
        assert_eq!((0..3).filter(|_| budget.charge(newcomer, later).is_ok()).count(), 2);
    }

    #[test]
    fn the_longer_wait_is_told() {
        let budget = budget("1/h, burst 1");
        for n in 0..8 {
            budget.charge(ip(&format!("2001:db8:1:{n}::1")), Mono(0)).unwrap();
        }
        let hour = Some(Wait(Duration::from_secs(3600)));
        assert_eq!(budget.is_exhausted(ip("2001:db8:1:3::9"), Mono(0)), hour);
        assert_eq!(budget.charge(ip("2001:db8:1:3::9"), Mono(0)).err(), hour);
    }

    #[test]
    fn looking_charges_nothing() {
        let budget = budget("1/h, burst 1");
        for address in ["192.0.2.7", "2001:db8::1"].map(ip) {
            assert!((0..100).all(|_| budget.is_exhausted(address, Mono(0)).is_none()));
            assert_eq!(budget.charge(address, Mono(0)), Ok(()));
        }
    }

    #[test]
    fn a_changed_quota_holds_for_hosts_and_sites() {
        let budget = budget("1/h, burst 1");
        assert_eq!(admitted(&budget, "2001:db8:1:1::1", 1), 1);
        budget.set_quota(Quota::parse("1/h, burst 2").unwrap(), Mono(0));
        assert_eq!(admitted(&budget, "2001:db8:1:1::1", 3), 1);
        let walked: usize = (2..50).map(|n| admitted(&budget, &format!("2001:db8:1:{n:x}::1"), 3)).sum();
        assert_eq!(walked, 16 - 2);
    }
}
