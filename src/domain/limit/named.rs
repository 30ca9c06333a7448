//! Buckets and budgets by names from the configuration.

use super::gcra::Wait;
use super::{Bucket, Quota};
use crate::domain::types::Mono;
use ahash::AHashMap;
use parking_lot::RwLock;
use std::sync::Arc;

/// One bucket per name. Holds what it was asked for since the last [`NamedBuckets::retain`]: ask only for configured
/// names.
#[derive(Debug, Default)]
pub struct NamedBuckets(RwLock<AHashMap<Box<str>, Arc<Bucket>>>);

impl NamedBuckets {
    /// The bucket of `name`; a full one when the name is new.
    #[must_use]
    pub fn get(&self, name: &str) -> Arc<Bucket> {
        self.known(name).unwrap_or_else(|| Arc::clone(self.0.write().entry(name.into()).or_default()))
    }

    /// The bucket of `name`, when it was asked for before.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<Arc<Bucket>> {
        self.0.read().get(name).map(Arc::clone)
    }

    /// Forgets the names that are not to be kept.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.0.write().retain(|name, _| keep(name));
    }
}

/// What each consumer may use of something that only abuse uses.
#[derive(Debug)]
pub struct ConsumerBudget {
    quota: RwLock<Quota>,
    buckets: NamedBuckets,
}

impl ConsumerBudget {
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self { quota: RwLock::new(quota), buckets: NamedBuckets::default() }
    }

    /// Uses one request of the consumer.
    ///
    /// # Errors
    /// How long until it would fit; nothing was used then.
    pub fn charge(&self, consumer: &str, now: Mono) -> Result<(), Wait> {
        self.buckets.get(consumer).charge(&self.quota(), now)
    }

    /// How long until a charge fits, if none fits now. Charges nothing.
    #[must_use]
    pub fn is_exhausted(&self, consumer: &str, now: Mono) -> Option<Wait> {
        self.buckets.known(consumer)?.peek(&self.quota(), now).err()
    }

    /// Changes the quota; consumers owe what they owed.
    pub fn set_quota(&self, quota: Quota) {
        *self.quota.write() = quota;
    }

    pub(super) fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.buckets.retain(keep);
    }

    fn quota(&self) -> Quota {
        *self.quota.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_bucket_until_it_is_dropped() {
        let (buckets, quota) = (NamedBuckets::default(), Quota::parse("1/h, burst 2").unwrap());
        buckets.get("paris").charge(&quota, Mono(0)).unwrap();
        buckets.get("lyon").charge(&quota, Mono(0)).unwrap();
        let left = |name| buckets.get(name).remaining(&quota, Mono(0)).requests;
        assert_eq!((left("paris"), left("lyon"), left("nice")), (1, 1, 2));
        buckets.retain(|name| name == "paris");
        assert!(buckets.known("nice").is_none());
        assert_eq!((left("paris"), left("lyon")), (1, 2));
    }

    #[test]
    fn looking_at_an_unknown_consumer_remembers_nothing() {
        let budget = ConsumerBudget::new(Quota::parse("1/h, burst 2").unwrap());
        assert_eq!(budget.is_exhausted("paris", Mono(0)), None);
        assert!(budget.buckets.known("paris").is_none());
        assert!(budget.charge("paris", Mono(0)).is_ok());
        assert_eq!(budget.is_exhausted("paris", Mono(0)), None);
        assert!(budget.charge("paris", Mono(0)).is_ok());
        assert_eq!(budget.is_exhausted("paris", Mono(0)), budget.charge("paris", Mono(0)).err());
        assert!(budget.is_exhausted("paris", Mono(0)).is_some());
        budget.set_quota(Quota::parse("1/h, burst 3").unwrap());
        assert_eq!(budget.is_exhausted("paris", Mono(0)), None);
    }
}
