//! Buckets of callers that no configuration names, in memory that never grows.
//!
//! All memory is taken when the store is made: 16 bytes a slot. A key has two sets of eight slots where it may live,
//! picked by a keyed hash, so nobody can aim at a set and an operation looks at sixteen slots at most. A slot whose
//! bucket is full again is the same as a fresh one and is used for the next newcomer. A bucket that still owes
//! something is never evicted, whatever comes by.
//!
//! Where a newcomer finds no such slot it shares the overflow bucket of its shard with all others in that position. A
//! full store thus admits one quota per shard beyond what its keys are due, however many newcomers there are, and never
//! a fresh one to each.

use super::Quota;
use super::gcra::{self, Remaining, Wait};
use crate::domain::types::Mono;
use parking_lot::{Mutex, MutexGuard};
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

const SHARDS: usize = 16;
const WAYS: usize = 8;
const MIN_SLOTS: usize = SHARDS * 2 * WAYS;
/// 256 MiB.
const MAX_SLOTS: usize = 1 << 24;

/// Buckets under one quota, by key. Shared by reference.
pub struct KeyedBuckets {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    overflowed: AtomicU64,
}

#[derive(Clone, Copy)]
struct BucketSlot {
    /// The keyed hash of the key. Two keys share a bucket once in 2^64.
    tag: u64,
    tat: u64,
}

struct Shard {
    quota: Quota,
    sets: Box<[[BucketSlot; WAYS]]>,
    /// The theoretical arrival time of the bucket of those who find no slot.
    overflow: u64,
    /// When the latest request was admitted. A thread that read the clock earlier is judged by this instant: it is
    /// neither refused for an instant that is past, nor does it find a slot reused that was not yet paid off then.
    latest: Mono,
}

#[derive(Clone, Copy)]
enum Lookup {
    /// The key has a slot.
    Own { set: usize, way: usize },
    /// The key may have this slot.
    Free { set: usize, way: usize },
    /// Every slot that the key could have is in use.
    Overflow,
}

/// The bucket of one key, its shard locked. Holding two of different stores is for [`super::address`] alone, which
/// always locks them in the same order.
pub(super) struct Entry<'a> {
    shard: MutexGuard<'a, Shard>,
    tag: u64,
    lookup: Lookup,
}

impl KeyedBuckets {
    /// A store for at least `slots` keys that owe something at the same time: rounded up to a power of two within 256
    /// and 2^24.
    #[must_use]
    pub fn new(quota: Quota, slots: usize) -> Self {
        let slots = slots.clamp(MIN_SLOTS, MAX_SLOTS).next_power_of_two();
        let sets = slots / SHARDS / WAYS;
        let shard = || {
            let sets = vec![[BucketSlot { tag: 0, tat: 0 }; WAYS]; sets].into_boxed_slice();
            Mutex::new(Shard { quota, sets, overflow: 0, latest: Mono(0) })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: RandomState::new(),
            overflowed: AtomicU64::new(0),
        }
    }

    /// Uses one request of `key`. A refusal changes nothing.
    ///
    /// # Errors
    /// How long until it would fit.
    pub fn charge(&self, key: u128, now: Mono) -> Result<(), Wait> {
        let entry = self.entry(key, now);
        self.count(&entry);
        let tat = entry.step(now)?;
        entry.store(tat, now);
        Ok(())
    }

    /// Whether a charge of `key` would fit, without charging.
    ///
    /// # Errors
    /// How long until it would.
    pub fn peek(&self, key: u128, now: Mono) -> Result<(), Wait> {
        self.entry(key, now).step(now).map(drop)
    }

    /// What is left of `key`, without charging.
    #[must_use]
    pub fn remaining(&self, key: u128, now: Mono) -> Remaining {
        self.entry(key, now).remaining(now)
    }

    /// Charges, refused ones too, that had to share an overflow bucket. A store that is large enough stays at zero.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// Slots; constant.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shards.len() * self.shards.first().map_or(0, |shard| shard.lock().sets.len()) * WAYS
    }

    /// Changes the quota of all keys. Each owes as many requests as before, but never more than the new burst.
    ///
    /// Walks all slots, one locked shard after the other: for a reload, not for a request.
    pub fn set_quota(&self, quota: Quota, now: Mono) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let old = std::mem::replace(&mut shard.quota, quota);
            if old != quota {
                shard.overflow = gcra::rescale(shard.overflow, &old, &quota, now);
                for slot in shard.sets.iter_mut().flatten() {
                    slot.tat = gcra::rescale(slot.tat, &old, &quota, now);
                }
            }
        }
    }

    pub(super) fn entry(&self, key: u128, now: Mono) -> Entry<'_> {
        let hash = self.hasher.hash_one(key);
        let shard = self.shards[(hash >> 60) as usize % SHARDS].lock();
        let lookup = shard.lookup(hash, now.max(shard.latest));
        Entry { shard, tag: hash, lookup }
    }

    /// Counts a charge that has to share.
    pub(super) fn count(&self, entry: &Entry<'_>) {
        if matches!(entry.lookup, Lookup::Overflow) {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Entry<'_> {
    /// What a request does to the bucket, not yet stored.
    pub(super) fn step(&self, now: Mono) -> Result<u64, Wait> {
        gcra::step(self.tat(), &self.shard.quota, now.max(self.shard.latest))
    }

    fn remaining(&self, now: Mono) -> Remaining {
        gcra::remaining(self.tat(), &self.shard.quota, now.max(self.shard.latest))
    }

    fn tat(&self) -> u64 {
        match self.lookup {
            Lookup::Own { set, way } => self.shard.sets[set][way].tat,
            Lookup::Free { .. } => 0,
            Lookup::Overflow => self.shard.overflow,
        }
    }

    pub(super) fn store(mut self, tat: u64, now: Mono) {
        let shard = &mut *self.shard;
        shard.latest = shard.latest.max(now);
        match self.lookup {
            Lookup::Own { set, way } => shard.sets[set][way].tat = tat,
            Lookup::Free { set, way } => shard.sets[set][way] = BucketSlot { tag: self.tag, tat },
            Lookup::Overflow => shard.overflow = tat,
        }
    }
}

impl Shard {
    /// Where the bucket of `tag` is; for a newcomer, a slot in the emptier one of its two sets.
    fn lookup(&self, tag: u64, now: Mono) -> Lookup {
        let mask = self.sets.len() - 1;
        let first = tag as usize & mask;
        let second = (tag >> 28) as usize & mask;
        let second = if second == first { first ^ 1 } else { second };
        let mut most = (0, Lookup::Overflow);
        for set in [first, second] {
            let mut free = 0;
            let mut candidate = Lookup::Overflow;
            for (way, slot) in self.sets[set].iter().enumerate() {
                if slot.tag == tag {
                    return Lookup::Own { set, way };
                }
                if slot.tat <= now.0 {
                    free += 1;
                    candidate = Lookup::Free { set, way };
                }
            }
            if free > most.0 {
                most = (free, candidate);
            }
        }
        most.1
    }
}

impl fmt::Debug for KeyedBuckets {
    /// Neither keys nor the secret of the hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBuckets").field("overflowed", &self.overflowed()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::window::assert_within;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::sync::Mutex as Recorder;
    use std::time::Duration;

    fn quota(text: &str) -> Quota {
        Quota::parse(text).unwrap()
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn capacity_is_a_bounded_power_of_two() {
        for (wanted, capacity) in [(0, 256), (256, 256), (257, 512), (65_536, 65_536)] {
            assert_eq!(KeyedBuckets::new(quota("1/s"), wanted).capacity(), capacity);
        }
    }

    #[test]
    fn keys_do_not_share_and_a_peek_costs_nothing() {
        let buckets = KeyedBuckets::new(quota("1/min, burst 2"), 0);
        for _ in 0..5 {
            assert_eq!(buckets.peek(1, Mono(0)), Ok(()));
        }
        assert_eq!(buckets.charge(1, Mono(0)), Ok(()));
        assert_eq!(buckets.charge(1, Mono(0)), Ok(()));
        assert_eq!(buckets.peek(1, Mono(0)), Err(Wait(Duration::from_secs(30 * 2))));
        assert_eq!(buckets.charge(1, Mono(0)), Err(Wait(Duration::from_secs(60))));
        assert_eq!(buckets.charge(2, Mono(0)), Ok(()));
        assert_eq!(buckets.charge(1, Mono(60 * SECOND)), Ok(()));
        assert_eq!(buckets.overflowed(), 0);
    }

    #[test]
    fn a_full_store_admits_one_quota_per_shard_beyond_its_keys() {
        let quota = quota("1/h, burst 5");
        let buckets = KeyedBuckets::new(quota, 0);
        let capacity = buckets.capacity() as u128;
        let fill: usize = (0..capacity * 100).filter(|key| buckets.charge(*key, Mono(0)).is_ok()).count();
        assert!(fill <= buckets.capacity() + SHARDS * 5, "{fill}");
        assert!(fill >= buckets.capacity(), "{fill}");
        let fresh = (capacity * 100..capacity * 200).filter(|key| buckets.charge(*key, Mono(1)).is_ok()).count();
        assert_eq!(fresh, 0);
        assert!(buckets.overflowed() > 0);
        assert!((capacity * 200..capacity * 201).all(|key| buckets.peek(key, Mono(1)).is_err()));
    }

    #[test]
    fn a_slot_is_not_reused_one_nanosecond_before_it_is_paid_off() {
        let buckets = KeyedBuckets::new(quota("1/s"), 0);
        (0..100_000).for_each(|key| _ = buckets.charge(key, Mono(0)));
        let soon = Err(Wait(Duration::from_nanos(1)));
        assert!((100_000..110_000).all(|key| buckets.charge(key, Mono(SECOND - 1)) == soon));
        assert_eq!(buckets.charge(100_000, Mono(SECOND)), Ok(()));
    }

    #[test]
    fn a_thread_that_read_the_clock_earlier_finds_nothing_forgotten() {
        let buckets = KeyedBuckets::new(quota("1/s"), 0);
        buckets.charge(0, Mono(0)).unwrap();
        let lookup = || buckets.entry(0, Mono(SECOND)).lookup;
        let mut others = 1..;
        while matches!(lookup(), Lookup::Own { .. }) {
            buckets.charge(others.next().unwrap(), Mono(SECOND)).unwrap();
        }
        assert!(matches!(lookup(), Lookup::Free { .. }));
        // Judged by the instant of the others, it is due again.
        assert_eq!(buckets.charge(0, Mono(SECOND - 1)), Ok(()));
        assert_eq!(buckets.charge(0, Mono(SECOND - 1)), Err(Wait(Duration::from_secs(1))));
    }

    #[test]
    fn what_is_paid_off_makes_room() {
        let buckets = KeyedBuckets::new(quota("1/h"), 4096);
        let capacity = buckets.capacity() as u128;
        for round in 0..50 {
            let now = Mono(u64::try_from(round).unwrap() * 3600 * SECOND);
            let admitted = (0..capacity / 2).filter(|key| buckets.charge(round * capacity + key, now).is_ok()).count();
            assert_eq!(admitted as u128, capacity / 2);
        }
        assert_eq!(buckets.overflowed(), 0);
    }

    #[test]
    fn half_full_is_far_from_overflowing_and_nearly_full_rarely_does() {
        let buckets = KeyedBuckets::new(quota("1/h"), 65_536);
        let fill = |keys: std::ops::Range<u128>| keys.for_each(|key| _ = buckets.charge(key, Mono(0)));
        fill(0..38_000);
        assert_eq!(buckets.overflowed(), 0);
        fill(38_000..55_000);
        assert!(buckets.overflowed() < 550, "{}", buckets.overflowed());
    }

    #[test]
    fn a_changed_quota_holds_for_old_keys() {
        let buckets = KeyedBuckets::new(quota("1/min, burst 3"), 0);
        for _ in 0..2 {
            buckets.charge(1, Mono(0)).unwrap();
        }
        buckets.set_quota(quota("1/h, burst 4"), Mono(0));
        let admitted = |key| (0..10).filter(|_| buckets.charge(key, Mono(0)).is_ok()).count();
        assert_eq!((admitted(1), admitted(2)), (2, 4));
    }

    proptest! {
        #[test]
        fn every_key_gets_what_a_bucket_of_its_own_would_give(
            steps in prop::collection::vec((0..40_u128, 0..SECOND, any::<bool>()), 1..400)
        ) {
            let quota = quota("2/s, burst 3");
            let buckets = KeyedBuckets::new(quota, 1024);
            let (mut model, mut now) = (HashMap::<u128, u64>::new(), 0);
            for (key, pause, charge) in steps {
                now += pause / 8;
                let tat = model.entry(key).or_default();
                let expected = gcra::step(*tat, &quota, Mono(now));
                if charge {
                    prop_assert_eq!(buckets.charge(key, Mono(now)), expected.map(drop));
                    *tat = expected.unwrap_or(*tat);
                } else {
                    prop_assert_eq!(buckets.peek(key, Mono(now)), expected.map(drop));
                }
            }
        }
    }

    #[test]
    fn the_bound_holds_per_key_under_concurrency_while_slots_are_reused() {
        let quota = quota("10000/s, burst 2");
        let (buckets, clock) = (KeyedBuckets::new(quota, 4096), AtomicU64::new(0));
        let admitted = Recorder::new(HashMap::<u128, Vec<u64>>::new());
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (buckets, clock, admitted) = (&buckets, &clock, &admitted);
                scope.spawn(move || {
                    for turn in 0..20_000_u64 {
                        let now = clock.fetch_add((turn * 7 + thread * 13) % 9_000, Ordering::Relaxed);
                        let key = u128::from(if turn % 2 == 0 { turn % 6 } else { turn * 4 + thread });
                        let entry = buckets.entry(key, Mono(now));
                        let Ok(tat) = entry.step(Mono(now)) else { continue };
                        let judged = entry.shard.latest.0.max(now);
                        buckets.count(&entry);
                        entry.store(tat, Mono(now));
                        admitted.lock().unwrap().entry(key).or_default().push(judged);
                    }
                });
            }
        });
        let admitted = admitted.into_inner().unwrap();
        assert!(admitted[&0].len() > 100 && admitted.len() > 10_000);
        assert_eq!(buckets.overflowed(), 0);
        admitted.into_values().for_each(|admitted| assert_within(&quota, admitted));
    }
}
