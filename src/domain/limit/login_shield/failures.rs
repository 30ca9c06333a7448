//! Failed logins of each key of one kind: a login name, an address.
//!
//! A login counts while it is under way and, once it has failed, for as long as its quota says. So there are never more
//! of a key than the burst, however many come at once: over any time `t`, at most `burst + rate · t` fail. A login that
//! succeeds leaves nothing behind.
//!
//! The delay grows: none for the first half of a burst, then a tenth of the time between two requests of the quota, and
//! the whole of it once the burst is used up.

use crate::domain::limit::gcra::Wait;
use crate::domain::limit::keyed::KeyedBuckets;
use crate::domain::limit::quota::Quota;
use crate::domain::types::Mono;
use std::collections::HashMap;
use std::time::Duration;

/// How much faster the first, short delays pass.
const SHORT: u32 = 10;

/// How long until it is known what came of the logins under way, as far as a caller is told.
const UNDER_WAY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Failures {
    quota: KeyedBuckets,
    short: KeyedBuckets,
    /// Only keys that have any: there are no more of them than there are requests.
    under_way: HashMap<u64, u32>,
    /// Most under way of one key, where that is more than what is left of its quota.
    at_once: u32,
}

impl Failures {
    pub(super) fn new(quota: Quota, slots: usize) -> Self {
        let (under_way, at_once) = (HashMap::new(), 0);
        Self {
            quota: KeyedBuckets::new(quota, slots),
            short: KeyedBuckets::new(short(quota), slots),
            under_way,
            at_once,
        }
    }

    /// Takes so many of one key under way at the same time, whatever its quota.
    pub(super) fn with_at_once(mut self, at_once: u32) -> Self {
        self.at_once = at_once;
        self
    }

    pub(super) fn set_quota(&self, quota: Quota, now: Mono) {
        self.quota.set_quota(quota, now);
        self.short.set_quota(short(quota), now);
    }

    /// Whether one more login may be sent. Changes nothing.
    pub(super) fn check(&self, key: u64, now: Mono) -> Result<(), Wait> {
        let (quota, short) = (self.quota.remaining(key.into(), now), self.short.remaining(key.into(), now));
        let wait = [quota, short].iter().filter(|left| left.requests == 0).map(|left| left.reset).max();
        if let Some(wait) = wait {
            return Err(Wait(wait));
        }
        let under_way = self.under_way.get(&key).copied().unwrap_or_default();
        if under_way < quota.requests.max(self.at_once) { Ok(()) } else { Err(Wait(UNDER_WAY)) }
    }

    /// A login is sent.
    pub(super) fn begin(&mut self, key: u64) {
        *self.under_way.entry(key).or_default() += 1;
    }

    /// It is known what came of it.
    pub(super) fn end(&mut self, key: u64, has_failed: bool, now: Mono) {
        if let Some(under_way) = self.under_way.get_mut(&key) {
            *under_way -= 1;
            if *under_way == 0 {
                self.under_way.remove(&key);
            }
        }
        if has_failed {
            // What is exhausted stays so. The first may be before the second is, for those that were sent together.
            let _ = self.quota.charge(key.into(), now);
            let _ = self.short.charge(key.into(), now);
        }
    }

    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }
}

/// The quota of the short delays.
fn short(quota: Quota) -> Quota {
    let count = quota.count().saturating_mul(SHORT).min(Quota::MAX_COUNT);
    Quota::new(count, quota.period(), Some(quota.burst().div_ceil(2))).unwrap_or(quota)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::quota::tests::any_quota;
    use crate::domain::limit::window::assert_within;
    use proptest::prelude::*;

    fn quota(text: &str) -> Quota {
        Quota::parse(text).unwrap()
    }

    /// The waits of failures that come as soon as they may.
    fn waits(quota: &str, failures: usize) -> Vec<u64> {
        let mut now = Mono(0);
        let mut counts = Failures::new(self::quota(quota), 0);
        (0..failures)
            .map(|_| {
                let wait = counts.check(7, now).err().map_or(Duration::ZERO, |wait| wait.0);
                now = now.after(wait);
                assert_eq!(counts.check(7, now), Ok(()));
                counts.begin(7);
                counts.end(7, true, now);
                wait.as_secs()
            })
            .collect()
    }

    #[test]
    fn the_delay_grows() {
        // One in 100 s; so a tenth of that is 10 s.
        let waits = waits("36/h, burst 6", 12);
        assert_eq!(waits[..7], [0, 0, 0, 10, 10, 10, 70]);
        assert_eq!(waits[7..], [100; 5]);
    }

    #[test]
    fn a_success_leaves_nothing_behind() {
        let mut counts = Failures::new(quota("1/h, burst 2"), 0);
        for _ in 0..100 {
            assert_eq!(counts.check(7, Mono(0)), Ok(()));
            counts.begin(7);
            counts.end(7, false, Mono(0));
        }
        assert_eq!(counts.under_way(), 0);
    }

    #[test]
    fn those_under_way_count_until_it_is_known_what_came_of_them() {
        let mut counts = Failures::new(quota("1/h, burst 2"), 0);
        for _ in 0..2 {
            assert_eq!(counts.check(7, Mono(0)), Ok(()));
            counts.begin(7);
        }
        assert_eq!(counts.check(7, Mono(0)), Err(Wait(UNDER_WAY)));
        assert_eq!(counts.check(8, Mono(0)), Ok(()));
        counts.end(7, false, Mono(0));
        assert_eq!(counts.check(7, Mono(0)), Ok(()));
        counts.end(7, true, Mono(0));
        assert_eq!(counts.check(7, Mono(0)), Err(Wait(Duration::from_secs(360))));

        let mut many = Failures::new(quota("1/h, burst 2"), 0).with_at_once(50);
        let begun = (0..100).filter(|_| many.check(7, Mono(0)).is_ok().then(|| many.begin(7)).is_some()).count();
        assert_eq!(begun, 50);
    }

    proptest! {
        /// Logins that fail after any time, many at once: what is sent keeps to the quota, and a wait that was told is
        /// the one after which a login passes.
        #[test]
        fn no_more_fail_than_the_quota_says(
            any in any_quota(),
            burst in 1..12_u32,
            steps in prop::collection::vec((0..4_u64, 0..8_usize, any::<bool>()), 1..200),
        ) {
            let quota = Quota::new(any.count(), any.period(), Some(burst)).unwrap();
            let mut counts = Failures::new(quota, 0);
            let (mut now, mut under_way, mut sent) = (0, Vec::new(), Vec::new());
            for (pause, which, begins) in steps {
                now += quota.interval() / 3 * pause;
                if begins {
                    match counts.check(7, Mono(now)) {
                        Ok(()) => {
                            counts.begin(7);
                            under_way.push(());
                            sent.push(now);
                        }
                        Err(Wait(wait)) if under_way.is_empty() => {
                            let then = Mono(now).after(wait);
                            prop_assert!(counts.check(7, Mono(then.0 - 1)).is_err());
                            prop_assert_eq!(counts.check(7, then), Ok(()));
                        }
                        Err(_) => {}
                    }
                } else {
                    for () in under_way.drain(..which.min(under_way.len())) {
                        counts.end(7, true, Mono(now));
                    }
                }
            }
            assert_within(&quota, sent);
            under_way.drain(..).for_each(|()| counts.end(7, true, Mono(now)));
            prop_assert_eq!(counts.under_way(), 0);
        }
    }

    #[test]
    fn every_quota_has_short_delays() {
        for text in ["1/s", "1000000/s, burst 1000000", "1/d, burst 1", "20/h, burst 32"] {
            let (quota, short) = (quota(text), short(quota(text)));
            assert!(short.interval() <= quota.interval() && short.burst() <= quota.burst(), "{text}");
        }
        assert_eq!(waits("1/h", 3), [0, 3_600, 3_600]);
    }
}
