//! All state of the limits, as it outlives a configuration.

use super::address::AddressBudget;
use super::login_shield::{LoginQuotas, LoginShield};
use super::named::{ConsumerBudget, NamedBuckets};
use super::{Bucket, Quota};
use crate::domain::types::Mono;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// What abuse may use. Budgets are charged by denials and give nothing back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Requests of one client address, whatever becomes of them.
    pub address: Quota,
    /// Refused credentials of one client address.
    pub failed_credentials: Quota,
    /// Refused tokens of one consumer.
    pub failed_tokens: Quota,
    /// Failed logins.
    pub logins: LoginQuotas,
}

/// Every bucket of the gate. One for the life of the process, shared by reference.
///
/// Buckets are found by name, never by position, so a reload keeps them. A consumer that is renamed starts with a full
/// bucket. Quotas are in the configuration snapshot and come with each call; the quotas of budgets are set here.
///
/// After a reload call [`Limiter::set_budgets`] and then [`Limiter::retain`]: the memory is then again what the
/// configuration names, and the fixed size of the address budgets.
#[derive(Debug)]
pub struct Limiter {
    pub address: AddressBudget,
    pub failed_credentials: AddressBudget,
    pub failed_tokens: ConsumerBudget,
    pub logins: Arc<LoginShield>,
    consumers: NamedBuckets,
    rules: RwLock<HashMap<Box<str>, NamedBuckets>>,
}

impl Limiter {
    /// A usual number of slots for address budgets: 2 MiB each.
    pub const ADDRESS_SLOTS: usize = 65_536;

    /// Takes the memory for `address_slots` addresses in each of the two address budgets.
    #[must_use]
    pub fn new(budgets: &Budgets, address_slots: usize) -> Self {
        Self {
            address: AddressBudget::new(budgets.address, address_slots),
            failed_credentials: AddressBudget::new(budgets.failed_credentials, address_slots),
            failed_tokens: ConsumerBudget::new(budgets.failed_tokens),
            logins: LoginShield::new(&budgets.logins),
            consumers: NamedBuckets::default(),
            rules: RwLock::default(),
        }
    }

    /// The bucket for all requests of a consumer. `name` is a configured one.
    #[must_use]
    pub fn consumer_bucket(&self, name: &str) -> Arc<Bucket> {
        self.consumers.get(name)
    }

    /// The bucket for the requests of a consumer under one route rule. Both names are configured ones, the rule's as
    /// written.
    #[must_use]
    pub fn rule_bucket(&self, consumer: &str, rule: &str) -> Arc<Bucket> {
        if let Some(rules) = self.rules.read().get(consumer) {
            return rules.get(rule);
        }
        self.rules.write().entry(consumer.into()).or_default().get(rule)
    }

    /// Changes the quotas of the budgets; what is owed stays owed. Walks all slots: for a reload, not for a request.
    pub fn set_budgets(&self, budgets: &Budgets, now: Mono) {
        self.address.set_quota(budgets.address, now);
        self.failed_credentials.set_quota(budgets.failed_credentials, now);
        self.failed_tokens.set_quota(budgets.failed_tokens);
        self.logins.set_quotas(&budgets.logins, now);
    }

    /// Forgets what the configuration no longer names. `keep` is asked for each consumer, with no rule, and for each
    /// consumer that is kept and each of its rules.
    pub fn retain(&self, keep: impl Fn(&str, Option<&str>) -> bool) {
        self.consumers.retain(|consumer| keep(consumer, None));
        self.failed_tokens.retain(|consumer| keep(consumer, None));
        self.rules.write().retain(|consumer, rules| {
            rules.retain(|rule| keep(consumer, Some(rule)));
            keep(consumer, None)
        });
    }

    /// Charges of address budgets that had to share a bucket because all slots were in use. Only rises.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.address.overflowed() + self.failed_credentials.overflowed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::{Claim, Reservation};

    fn quota(text: &str) -> Quota {
        Quota::parse(text).unwrap()
    }

    fn limiter() -> Limiter {
        let budgets = Budgets {
            address: quota("1/h, burst 3"),
            failed_credentials: quota("1/h, burst 2"),
            failed_tokens: quota("1/h"),
            logins: LoginQuotas::all(quota("1/h")),
        };
        Limiter::new(&budgets, 0)
    }

    #[test]
    fn budgets_are_apart() {
        let (limiter, ip, now) = (limiter(), "192.0.2.7".parse().unwrap(), Mono(0));
        let charged = |charge: &dyn Fn() -> bool| (0..10).take_while(|_| charge()).count();
        assert_eq!(charged(&|| limiter.address.charge(ip, now).is_ok()), 3);
        assert_eq!(charged(&|| limiter.failed_credentials.charge(ip, now).is_ok()), 2);
        assert_eq!(charged(&|| limiter.failed_tokens.charge("paris", now).is_ok()), 1);
        assert_eq!(charged(&|| limiter.failed_tokens.charge("lyon", now).is_ok()), 1);
    }

    #[test]
    fn a_reload_keeps_what_is_still_named_and_nothing_else() {
        let (limiter, quota, now) = (limiter(), quota("1/h, burst 2"), Mono(0));
        let rules = [("paris", "GET /a"), ("paris", "GET /b"), ("lyon", "GET /a")];
        for (consumer, rule) in rules {
            limiter.rule_bucket(consumer, rule).charge(&quota, now).unwrap();
        }
        for consumer in ["paris", "lyon"] {
            limiter.consumer_bucket(consumer).charge(&quota, now).unwrap();
            limiter.failed_tokens.charge(consumer, now).unwrap();
        }
        limiter.retain(|consumer, rule| consumer == "paris" && rule != Some("GET /b"));
        let left = |bucket: Arc<Bucket>| bucket.remaining(&quota, now).requests;
        assert_eq!(rules.map(|(consumer, rule)| left(limiter.rule_bucket(consumer, rule))), [1, 2, 2]);
        assert_eq!(["paris", "lyon"].map(|consumer| left(limiter.consumer_bucket(consumer))), [1, 2]);
        assert_eq!(
            ["paris", "lyon"].map(|consumer| limiter.failed_tokens.charge(consumer, now).is_ok()),
            [false, true]
        );
    }

    #[test]
    fn a_dropped_name_still_takes_back_what_it_reserved() {
        let (limiter, quota, now) = (limiter(), quota("1/h, burst 2"), Mono(0));
        let bucket = limiter.consumer_bucket("paris");
        let reservation = Reservation::take([Some(Claim { bucket: &bucket, quota })], now).unwrap();
        limiter.retain(|_, _| false);
        assert_eq!(limiter.consumer_bucket("paris").remaining(&quota, now).requests, 2);
        drop(reservation);
        assert_eq!(bucket.remaining(&quota, now).requests, 2);
    }

    #[test]
    fn new_budgets_hold_for_what_was_charged() {
        let (limiter, ip, now) = (limiter(), "2001:db8::1".parse().unwrap(), Mono(0));
        limiter.address.charge(ip, now).unwrap();
        limiter.failed_tokens.charge("paris", now).unwrap();
        let one = quota("1/h");
        limiter.set_budgets(
            &Budgets {
                address: one,
                failed_credentials: one,
                failed_tokens: quota("2/h"),
                logins: LoginQuotas::all(one),
            },
            now,
        );
        assert!(limiter.address.is_exhausted(ip, now).is_some());
        assert!(limiter.failed_credentials.is_exhausted(ip, now).is_none());
        assert!(limiter.failed_tokens.charge("paris", now).is_ok());
        assert!(limiter.failed_tokens.is_exhausted("paris", now).is_some());
    }
}
