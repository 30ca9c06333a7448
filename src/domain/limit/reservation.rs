//! Quota that a request has taken but not yet earned.

use super::Quota;
use super::bucket::{Bucket, Mark};
use super::gcra::Wait;
use crate::domain::types::Mono;
use std::array;
use std::sync::Arc;

/// Most buckets that one request can draw on.
pub const MAX_CLAIMS: usize = 4;

/// One request from one bucket.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub bucket: &'a Arc<Bucket>,
    pub quota: Quota,
}

/// Not every claim could be met, so none was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// The claim with the longest wait, by its index; among equals the first.
    pub claim: usize,
    /// When a lone request with the same claims passes.
    pub wait: Wait,
}

/// One request taken from each of several buckets. Dropping it gives them back; [`Reservation::commit`] uses them for
/// good.
///
/// Owned and `Send`: it lives as long as nobody knows whether the request will reach 8sens.
#[must_use = "dropping a reservation gives it back"]
#[derive(Debug, Default)]
pub struct Reservation {
    held: [Option<(Arc<Bucket>, Mark)>; MAX_CLAIMS],
}

impl Reservation {
    /// Takes one request from every claimed bucket, or changes none of them. Allocates nothing.
    ///
    /// `claims` come narrowest first; an absent one is met. A bucket claimed twice is taken from once, under its first
    /// quota.
    ///
    /// # Errors
    /// The first claim that is not met, and how long until it would be; nothing was taken then.
    pub fn take<const N: usize>(claims: [Option<Claim<'_>>; N], now: Mono) -> Result<Self, Shortfall> {
        const { assert!(N <= MAX_CLAIMS) };
        // Every lock is taken before anything is decided. All callers take them in the order of their addresses.
        let address = |index: usize| claims[index].map(|claim| Arc::as_ptr(claim.bucket));
        let mut order: [usize; N] = array::from_fn(|index| index);
        order.sort_unstable_by_key(|index| (address(*index), *index));
        let mut ledgers = [const { None }; N];
        let mut last = None;
        for index in order {
            let Some(claim) = claims[index] else { continue };
            if last.replace(Arc::as_ptr(claim.bucket)) != Some(Arc::as_ptr(claim.bucket)) {
                ledgers[index] = Some((claim, claim.bucket.lock(&claim.quota, now)));
            }
        }

        let mut shortfall: Option<Shortfall> = None;
        for (index, ledger) in ledgers.iter().enumerate() {
            let Some((claim, ledger)) = ledger else { continue };
            if let Err(wait) = ledger.fits(&claim.quota, now)
                && shortfall.is_none_or(|longest| longest.wait < wait)
            {
                shortfall = Some(Shortfall { claim: index, wait });
            }
        }
        if let Some(shortfall) = shortfall {
            return Err(shortfall);
        }

        let mut taken = Self::default();
        for (ledger, held) in ledgers.iter_mut().zip(&mut taken.held) {
            *held = ledger.as_mut().map(|(claim, ledger)| (Arc::clone(claim.bucket), ledger.take(&claim.quota, now)));
        }
        Ok(taken)
    }

    /// The request counts.
    pub fn commit(mut self) {
        for (bucket, mark) in self.held.iter_mut().filter_map(Option::take) {
            bucket.keep(mark);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for (bucket, mark) in self.held.iter_mut().filter_map(Option::take) {
            bucket.give_back(mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::quota::tests::any_quota;
    use crate::domain::limit::window::assert_within;
    use proptest::prelude::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    fn quota(text: &str) -> Quota {
        Quota::parse(text).unwrap()
    }

    fn left(bucket: &Bucket, quota: &Quota, now: u64) -> u32 {
        bucket.remaining(quota, Mono(now)).requests
    }

    #[test]
    fn committed_once_or_given_back_once() {
        fn owned_and_send<T: Send + 'static>(_: &T) {}
        let (bucket, quota) = (Arc::new(Bucket::default()), quota("1/h, burst 3"));
        let take = || Reservation::take([Some(Claim { bucket: &bucket, quota })], Mono(0)).unwrap();
        let (kept, dropped) = (take(), take());
        owned_and_send(&kept);
        assert_eq!(left(&bucket, &quota, 0), 1);
        drop(dropped);
        assert_eq!(left(&bucket, &quota, 0), 2);
        kept.commit();
        assert_eq!(left(&bucket, &quota, 0), 2);
        assert_eq!(Arc::strong_count(&bucket), 1);
    }

    #[test]
    fn nothing_claimed_is_nothing_taken() {
        Reservation::take([], Mono(0)).unwrap().commit();
        Reservation::take([None, None], Mono(0)).unwrap().commit();
    }

    #[test]
    fn a_bucket_claimed_twice_is_taken_from_once() {
        let (bucket, quota) = (Arc::new(Bucket::default()), quota("1/h, burst 3"));
        let claim = Some(Claim { bucket: &bucket, quota });
        let taken = Reservation::take([claim, None, claim], Mono(0)).unwrap();
        assert_eq!(left(&bucket, &quota, 0), 2);
        drop(taken);
        assert_eq!(left(&bucket, &quota, 0), 3);
    }

    #[test]
    fn the_longest_wait_is_told() {
        let (rule, consumer) = (Arc::new(Bucket::default()), Arc::new(Bucket::default()));
        let (second, minute) = (quota("1/s"), quota("1/min"));
        rule.charge(&second, Mono(0)).unwrap();
        consumer.charge(&minute, Mono(0)).unwrap();
        let claims =
            [Some(Claim { bucket: &rule, quota: second }), None, Some(Claim { bucket: &consumer, quota: minute })];
        let shortfall = Reservation::take(claims, Mono(0)).unwrap_err();
        assert_eq!(shortfall, Shortfall { claim: 2, wait: Wait(Duration::from_secs(60)) });
        assert!(Reservation::take(claims, Mono(59_999_999_999)).is_err());
        assert!(Reservation::take(claims, Mono(60_000_000_000)).is_ok());
    }

    proptest! {
        #[test]
        fn a_refused_reservation_changes_nothing(
            quotas in prop::array::uniform3((any_quota(), 1..4_u32)),
            pauses in prop::collection::vec(0..3_u64, 1..30),
        ) {
            let quotas = quotas.map(|(any, burst)| Quota::new(any.count(), any.period(), Some(burst)).unwrap());
            let buckets: [Arc<Bucket>; 3] = Default::default();
            let claims = array::from_fn::<_, 3, _>(|n| Some(Claim { bucket: &buckets[n], quota: quotas[n] }));
            let (mut now, mut open) = (0, Vec::new());
            for pause in pauses {
                now += pause * quotas[0].interval() / 2;
                let state = || array::from_fn::<_, 3, _>(|n| *buckets[n].lock(&quotas[n], Mono(now)));
                let before = state();
                match Reservation::take(claims, Mono(now)) {
                    Ok(taken) => open.push(taken),
                    Err(Shortfall { wait: Wait(wait), .. }) => {
                        prop_assert_eq!(before, state());
                        let then = Mono(now).after(wait);
                        prop_assert!(Reservation::take(claims, Mono(then.0 - 1)).is_err());
                        prop_assert_eq!(before, state());
                        if pause == 0 {
                            Reservation::take(claims, then).unwrap().commit();
                            now = then.0;
                        }
                    }
                }
                if pause == 2 && let Some(taken) = open.pop() {
                    taken.commit();
                }
            }
        }
    }

    #[test]
    fn threads_that_claim_in_any_order_end_and_stay_within_both_quotas() {
        let (narrow, wide) = (Arc::new(Bucket::default()), Arc::new(Bucket::default()));
        let (few, many) = (quota("1000/s, burst 3"), quota("1500/s, burst 9"));
        let (clock, kept) = (AtomicU64::new(0), Mutex::new([Vec::new(), Vec::new()]));
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (narrow, wide, clock, kept) = (&narrow, &wide, &clock, &kept);
                scope.spawn(move || {
                    let (few, many) = (Claim { bucket: narrow, quota: few }, Claim { bucket: wide, quota: many });
                    for turn in 0..10_000_u64 {
                        let now = Mono(clock.fetch_add((turn * 7 + thread * 13) % 150_000, Ordering::Relaxed));
                        let claims = match thread {
                            0 => [Some(many), Some(few)],
                            1 => [None, Some(many)],
                            _ => [Some(few), Some(many)],
                        };
                        let Ok(taken) = Reservation::take(claims, now) else { continue };
                        if turn % 3 == 0 {
                            continue;
                        }
                        let judged = taken.held.iter().flatten().map(|(bucket, mark)| (Arc::as_ptr(bucket), mark.at.0));
                        let judged: Vec<_> = judged.collect();
                        taken.commit();
                        let mut kept = kept.lock().unwrap();
                        for (bucket, at) in judged {
                            kept[usize::from(bucket == Arc::as_ptr(wide))].push(at);
                        }
                    }
                });
            }
        });
        let [by_few, by_many] = kept.into_inner().unwrap();
        assert!(by_few.len() > 100 && by_many.len() > by_few.len());
        assert_within(&few, by_few);
        assert_within(&many, by_many);
    }
}
