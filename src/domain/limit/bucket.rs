//! One bucket of a configured name: what was used, and what is reserved.
//!
//! # Giving back
//!
//! A reservation that is given back late must not give back what time has already made good. Moving the theoretical
//! arrival time back by a whole interval would do that: reserve forty requests, wait until the bucket has refilled, use
//! forty, give the first forty back, use forty more. So a bucket keeps the theoretical arrival time in two parts:
//! `floor`, where it would be if every open reservation were given back, and `held`, what these are worth. An admission
//! later than the floor moves the floor up to its own instant. What is held shrinks by that slip, because a bucket
//! without the reservations would have been full and idle for that long. `slipped` adds up the slips: a reservation is
//! worth one interval less what has slipped since it was made.
//!
//! What holds after every step, for any choice of the open reservations: with those given back, the theoretical arrival
//! time is not before the one of a bucket that only ever saw the others. So what is kept never exceeds what GCRA
//! admits. No clock is needed to give back, which is why dropping a reservation can do it.

use super::Quota;
use super::gcra::{self, Remaining, Wait};
use crate::domain::types::Mono;
use parking_lot::{Mutex, MutexGuard};

/// The state of one quota. Shared by reference; a full bucket is the default.
///
/// The quota comes with every call, because a reload may change it. What is owed under the old one is then owed under
/// the new one, request for request, but never more than its burst.
#[derive(Debug, Default)]
pub struct Bucket(Mutex<Ledger>);

/// What a bucket knows. Instants and lengths are nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    /// What the instants below were computed under.
    quota: Option<Quota>,
    /// Rises when the quota changes: what was reserved before is no longer given back.
    generation: u32,
    floor: u64,
    held: u64,
    slipped: u64,
    /// When the latest request was admitted. A thread that lost its core between reading the clock and coming here is
    /// judged by this instant, not by its own: otherwise it would be refused for an instant that is past.
    latest: u64,
    /// Open reservations of this generation.
    open: u32,
}

/// One open reservation, as its owner remembers it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    generation: u32,
    interval: u64,
    slipped: u64,
    /// What the request was judged by.
    #[cfg(test)]
    pub(super) at: Mono,
}

impl Bucket {
    /// Uses one request for good, as a budget does.
    ///
    /// # Errors
    /// How long until it would fit; nothing was used then.
    pub fn charge(&self, quota: &Quota, now: Mono) -> Result<(), Wait> {
        let mut ledger = self.lock(quota, now);
        ledger.fits(quota, now)?;
        let mark = ledger.take(quota, now);
        ledger.keep(mark);
        Ok(())
    }

    /// Whether a request would fit, without using it.
    ///
    /// # Errors
    /// How long until it would.
    pub fn peek(&self, quota: &Quota, now: Mono) -> Result<(), Wait> {
        self.lock(quota, now).fits(quota, now)
    }

    /// What is left; open reservations count as used.
    #[must_use]
    pub fn remaining(&self, quota: &Quota, now: Mono) -> Remaining {
        let ledger = self.lock(quota, now);
        gcra::remaining(ledger.tat(), quota, ledger.judges_at(now))
    }

    /// The state, expressed under `quota`.
    pub(super) fn lock(&self, quota: &Quota, now: Mono) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.0.lock();
        ledger.adopt(quota, now);
        ledger
    }

    pub(super) fn keep(&self, mark: Mark) {
        self.0.lock().keep(mark);
    }

    pub(super) fn give_back(&self, mark: Mark) {
        self.0.lock().give_back(mark);
    }
}

impl Ledger {
    /// The theoretical arrival time, open reservations included.
    const fn tat(&self) -> u64 {
        self.floor.saturating_add(self.held)
    }

    /// What a request counts for that read the clock at `now`.
    const fn judges_at(&self, now: Mono) -> Mono {
        if now.0 < self.latest { Mono(self.latest) } else { now }
    }

    pub(super) fn fits(&self, quota: &Quota, now: Mono) -> Result<(), Wait> {
        gcra::step(self.tat(), quota, self.judges_at(now)).map(drop)
    }

    /// Takes one request, which [`Ledger::fits`], until [`Ledger::keep`] or [`Ledger::give_back`].
    pub(super) fn take(&mut self, quota: &Quota, now: Mono) -> Mark {
        let now = self.judges_at(now);
        self.latest = now.0;
        if self.floor < now.0 {
            let slip = (now.0 - self.floor).min(self.held);
            self.floor = now.0;
            self.held -= slip;
            self.slipped += slip;
        }
        self.held += quota.interval();
        self.open += 1;
        Mark {
            generation: self.generation,
            interval: quota.interval(),
            slipped: self.slipped,
            #[cfg(test)]
            at: now,
        }
    }

    pub(super) fn keep(&mut self, mark: Mark) {
        let worth = self.close(mark);
        self.floor += worth;
        self.settle();
    }

    pub(super) fn give_back(&mut self, mark: Mark) {
        self.close(mark);
        self.settle();
    }

    /// Ends a reservation and takes out of `held` what it is still worth.
    fn close(&mut self, mark: Mark) -> u64 {
        if mark.generation != self.generation {
            return 0;
        }
        self.open -= 1;
        let worth = mark.interval.saturating_sub(self.slipped - mark.slipped).min(self.held);
        self.held -= worth;
        worth
    }

    /// Slips are taken off every reservation but only once off `held`. What no open reservation can claim is used.
    fn settle(&mut self) {
        let interval = self.quota.map_or(0, |quota| quota.interval());
        let claimable = interval.saturating_mul(u64::from(self.open));
        let used = self.held.saturating_sub(claimable);
        self.held -= used;
        self.floor += used;
    }

    fn adopt(&mut self, quota: &Quota, now: Mono) {
        match self.quota {
            Some(old) if old == *quota => return,
            Some(old) => {
                let floor = gcra::rescale(self.tat(), &old, quota, now);
                let (generation, latest) = (self.generation.wrapping_add(1), self.latest);
                *self = Self { generation, floor, latest, ..Self::default() };
            }
            None => {}
        }
        self.quota = Some(*quota);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::quota::tests::any_quota;
    use crate::domain::limit::window::assert_within;
    use proptest::prelude::*;
    use std::sync::Mutex as Recorder;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    fn quota(text: &str) -> Quota {
        Quota::parse(text).unwrap()
    }

    const SECOND: u64 = 1_000_000_000;

    impl Ledger {
        fn reserve(&mut self, quota: &Quota, now: Mono) -> Result<Mark, Wait> {
            self.fits(quota, now).map(|()| self.take(quota, now))
        }
    }

    #[test]
    fn what_is_given_back_at_once_was_never_used() {
        let (bucket, quota) = (Bucket::default(), quota("1/s, burst 2"));
        bucket.charge(&quota, Mono(0)).unwrap();
        let mark = bucket.lock(&quota, Mono(0)).reserve(&quota, Mono(0)).unwrap();
        assert_eq!(bucket.remaining(&quota, Mono(0)).requests, 0);
        bucket.give_back(mark);
        assert_eq!(bucket.remaining(&quota, Mono(0)).requests, 1);
    }

    #[test]
    fn a_thread_that_read_the_clock_earlier_is_not_refused() {
        let (bucket, quota) = (Bucket::default(), quota("1000/s, burst 2"));
        bucket.charge(&quota, Mono(SECOND)).unwrap();
        assert_eq!(bucket.remaining(&quota, Mono(SECOND / 2)), bucket.remaining(&quota, Mono(SECOND)));
        assert_eq!(bucket.peek(&quota, Mono(SECOND / 2)), Ok(()));
        assert_eq!(bucket.charge(&quota, Mono(SECOND / 2)), Ok(()));
        assert_eq!(bucket.charge(&quota, Mono(0)), Err(Wait(Duration::from_millis(1))));
    }

    #[test]
    fn a_busy_bucket_gets_everything_back_late() {
        let (bucket, quota) = (Bucket::default(), quota("1/s, burst 10"));
        for _ in 0..5 {
            bucket.charge(&quota, Mono(0)).unwrap();
        }
        let reserve = |now| bucket.lock(&quota, Mono(now)).reserve(&quota, Mono(now)).unwrap();
        let marks = [reserve(0), reserve(SECOND), reserve(2 * SECOND)];
        assert_eq!(bucket.remaining(&quota, Mono(3 * SECOND)).requests, 5);
        marks.into_iter().for_each(|mark| bucket.give_back(mark));
        assert_eq!(bucket.remaining(&quota, Mono(3 * SECOND)).requests, 8);
    }

    #[test]
    fn time_and_the_caller_do_not_both_give_back() {
        let (bucket, quota) = (Bucket::default(), quota("1/s, burst 10"));
        let reserve = |now| bucket.lock(&quota, Mono(now)).reserve(&quota, Mono(now)).unwrap();
        let early: Vec<_> = (0..10).map(|_| reserve(0)).collect();
        for _ in 0..10 {
            bucket.charge(&quota, Mono(10 * SECOND)).unwrap();
        }
        early.into_iter().for_each(|mark| bucket.give_back(mark));
        assert_eq!(bucket.remaining(&quota, Mono(10 * SECOND)).requests, 0);
    }

    #[test]
    fn a_slow_quota_loses_only_the_time_between() {
        let (bucket, quota) = (Bucket::default(), quota("1/h, burst 3"));
        let reserve = |now| bucket.lock(&quota, Mono(now)).reserve(&quota, Mono(now)).unwrap();
        let marks = [reserve(0), reserve(SECOND), reserve(2 * SECOND)];
        marks.into_iter().for_each(|mark| bucket.give_back(mark));
        let left = bucket.remaining(&quota, Mono(4 * SECOND));
        assert_eq!((left.requests, left.reset), (3, Duration::from_secs(3600)));
    }

    #[test]
    fn a_changed_quota_starts_with_what_is_owed_and_takes_nothing_back() {
        let bucket = Bucket::default();
        let (old, new) = (quota("1/s, burst 10"), quota("1/min, burst 4"));
        bucket.charge(&old, Mono(0)).unwrap();
        let mark = bucket.lock(&old, Mono(0)).reserve(&old, Mono(0)).unwrap();
        assert_eq!(bucket.remaining(&new, Mono(0)).requests, 2);
        bucket.give_back(mark);
        assert_eq!(bucket.remaining(&new, Mono(0)).requests, 2);
        assert_eq!(bucket.remaining(&quota("1/s, burst 10"), Mono(0)).requests, 8);
    }

    /// What the reservation with the index of the step becomes, and how long after the step before it is made.
    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Reserve { pause: u64 },
        Keep { which: usize },
        GiveBack { which: usize },
    }

    fn steps(quota: Quota) -> impl Strategy<Value = (Quota, Vec<Operation>)> {
        let interval = quota.interval();
        let pause = prop_oneof![3 => Just(0), 4 => 0..=interval, 2 => Just(interval), 2 => 0..=interval * 4];
        let step = prop_oneof![
            4 => pause.prop_map(|pause| Operation::Reserve { pause }),
            1 => any::<usize>().prop_map(|which| Operation::Keep { which }),
            2 => any::<usize>().prop_map(|which| Operation::GiveBack { which }),
        ];
        (Just(quota), prop::collection::vec(step, 1..120))
    }

    /// The theoretical arrival time of a bucket that only ever saw these admissions.
    fn tat_of<'a>(admitted: impl IntoIterator<Item = &'a u64>, quota: &Quota) -> u64 {
        admitted.into_iter().fold(0, |tat, now| tat.max(*now) + quota.interval())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn what_is_kept_never_exceeds_what_gcra_admits(
            (quota, steps) in (any_quota(), 1..8_u32).prop_flat_map(|(any, burst)| {
                steps(Quota::new(any.count(), any.period(), Some(burst)).unwrap())
            })
        ) {
            let (mut ledger, mut now) = (Ledger::default(), 0);
            ledger.adopt(&quota, Mono(0));
            let (mut open, mut alive) = (Vec::new(), Vec::<(usize, u64)>::new());
            for (index, step) in steps.into_iter().enumerate() {
                let before = ledger.tat();
                match step {
                    Operation::Reserve { pause } => {
                        now += pause;
                        if let Ok(mark) = ledger.reserve(&quota, Mono(now)) {
                            prop_assert_eq!(ledger.tat(), before.max(now) + quota.interval());
                            open.push((index, mark));
                            alive.push((index, now));
                        } else {
                            prop_assert_eq!(ledger.tat(), before);
                        }
                    }
                    Operation::Keep { which } if !open.is_empty() => {
                        ledger.keep(open.swap_remove(which % open.len()).1);
                        prop_assert_eq!(ledger.tat(), before);
                    }
                    Operation::GiveBack { which } if !open.is_empty() => {
                        let (made, mark) = open.swap_remove(which % open.len());
                        ledger.give_back(mark);
                        alive.retain(|(index, _)| *index != made);
                        prop_assert!(ledger.tat() <= before && before - ledger.tat() <= quota.interval());
                    }
                    _ => {}
                }
                // Neither the bucket as it is, nor the one in which every open reservation is given back at once, is
                // better than one that never saw what was given back.
                prop_assert!(ledger.tat() >= tat_of(alive.iter().map(|(_, at)| at), &quota));
                let mut emptied = ledger;
                open.iter().for_each(|(_, mark)| emptied.give_back(*mark));
                let kept = alive.iter().filter(|(index, _)| open.iter().all(|(other, _)| other != index));
                prop_assert!(emptied.tat() >= tat_of(kept.map(|(_, at)| at), &quota));
            }
            prop_assert_eq!(ledger.open as usize, open.len());
            assert_within(&quota, alive.into_iter().map(|(_, at)| at).collect());
        }

        #[test]
        fn a_refused_request_passes_exactly_when_it_was_told(
            any in any_quota(),
            burst in 1..20_u32,
            now in 0..1_u64 << 61,
        ) {
            let quota = Quota::new(any.count(), any.period(), Some(burst)).unwrap();
            let bucket = Bucket::default();
            for _ in 0..burst {
                prop_assert!(bucket.charge(&quota, Mono(now)).is_ok());
            }
            let Err(Wait(wait)) = bucket.peek(&quota, Mono(now)) else { panic!("more than the burst") };
            let then = Mono(now).after(wait);
            prop_assert_eq!(bucket.charge(&quota, Mono(then.0 - 1)), Err(Wait(Duration::from_nanos(1))));
            prop_assert_eq!(bucket.charge(&quota, then), Ok(()));
        }
    }

    #[test]
    fn the_bound_holds_under_concurrency() {
        let (bucket, quota, clock) = (Bucket::default(), quota("1000/s, burst 7"), AtomicU64::new(0));
        let kept = Recorder::new(Vec::new());
        let given_back = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (bucket, quota, clock, kept, given_back) = (&bucket, &quota, &clock, &kept, &given_back);
                scope.spawn(move || {
                    let mut waiting = Vec::new();
                    for turn in 0..20_000_u64 {
                        let now = Mono(clock.fetch_add((turn * 7 + thread * 13) % 90_000, Ordering::Relaxed));
                        let Ok(mark) = bucket.lock(quota, now).reserve(quota, now) else { continue };
                        waiting.push((mark.at.0, mark));
                        if waiting.len() == 5 {
                            for (index, (at, mark)) in waiting.drain(..).enumerate() {
                                if index % 2 == 0 {
                                    bucket.keep(mark);
                                    kept.lock().unwrap().push(at);
                                } else {
                                    bucket.give_back(mark);
                                    given_back.fetch_add(1, Ordering::Relaxed);
                                }
                            }
                        }
                    }
                    for (at, mark) in waiting {
                        bucket.keep(mark);
                        kept.lock().unwrap().push(at);
                    }
                });
            }
        });
        let kept = kept.into_inner().unwrap();
        assert!(kept.len() > 500 && given_back.load(Ordering::Relaxed) > 500);
        let ledger = *bucket.0.lock();
        assert_eq!((ledger.open, ledger.held), (0, 0));
        assert_within(&quota, kept);
    }
}
