//! The generic cell rate algorithm (GCRA): the whole state of a bucket is one instant.
//!
//! That instant is the theoretical arrival time, TAT for short: when the bucket will be full again if nobody comes.
//! Each admitted request moves it one interval further. A request that comes earlier than the TAT by more than the
//! tolerance is refused. A bucket whose TAT is not after now is full, whatever its past.

use super::Quota;
use crate::domain::types::Mono;
use std::time::Duration;

/// How long a lone request has to wait until it passes: refused one nanosecond earlier, admitted exactly then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(pub Duration);

/// What a bucket still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Requests that would pass if they came now.
    pub requests: u32,
    /// When one request more than that would pass. With no request left this is the [`Wait`] of a refusal.
    pub reset: Duration,
}

/// One request at `now` on a bucket whose theoretical arrival time is `tat`: the new one, or how long to wait.
///
/// Instants are nanoseconds; exact as long as `now` is before the year 480 of the process. A refusal leaves the bucket
/// as it is.
///
/// # Errors
/// How long until one more request fits.
pub fn step(tat: u64, quota: &Quota, now: Mono) -> Result<u64, Wait> {
    let start = tat.max(now.0);
    match (start - now.0).checked_sub(quota.tolerance()) {
        None | Some(0) => Ok(start.saturating_add(quota.interval())),
        Some(early) => Err(Wait(Duration::from_nanos(early))),
    }
}

/// What a bucket whose theoretical arrival time is `tat` holds at `now`.
#[must_use]
pub fn remaining(tat: u64, quota: &Quota, now: Mono) -> Remaining {
    match step(tat, quota, now) {
        Err(Wait(reset)) => Remaining { requests: 0, reset },
        Ok(_) => {
            let room = quota.refill() - tat.saturating_sub(now.0);
            let requests = u32::try_from(room / quota.interval()).unwrap_or(u32::MAX);
            Remaining { requests, reset: Duration::from_nanos(quota.interval() - room % quota.interval()) }
        }
    }
}

/// The theoretical arrival time under the quota `to` of a bucket that was charged under `from`.
///
/// As many requests as were still owed are owed again, but never more than the whole new burst.
#[must_use]
pub fn rescale(tat: u64, from: &Quota, to: &Quota, now: Mono) -> u64 {
    let owed = u128::from(tat.saturating_sub(now.0));
    if owed == 0 {
        return tat;
    }
    let owed = (owed * u128::from(to.interval())).div_ceil(u128::from(from.interval()));
    now.0.saturating_add(u64::try_from(owed).unwrap_or(u64::MAX).min(to.refill()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::quota::tests::any_quota;
    use crate::domain::limit::window::assert_within;
    use proptest::prelude::*;

    /// A leaky bucket in exact fractions: the level is in requests times the interval, and drains one per nanosecond.
    struct Model {
        level: u128,
        last: u64,
    }

    impl Model {
        fn admits(&mut self, quota: &Quota, now: u64) -> bool {
            self.level = self.level.saturating_sub(u128::from(now - self.last));
            self.last = now;
            let fits =
                self.level + u128::from(quota.interval()) <= u128::from(quota.interval()) * u128::from(quota.burst());
            if fits {
                self.level += u128::from(quota.interval());
            }
            fits
        }
    }

    /// Pauses from nothing to several refills.
    fn pauses(quota: Quota) -> impl Strategy<Value = (Quota, Vec<u64>)> {
        let longest = quota.refill().saturating_mul(2).min(1 << 58);
        let pause = prop_oneof![Just(0), 0..=quota.interval(), Just(quota.interval()), 0..=longest];
        (Just(quota), prop::collection::vec(pause, 0..80))
    }

    #[test]
    fn a_burst_and_then_one_by_one() {
        let quota = Quota::parse("20/s, burst 3").unwrap();
        let mut tat = 0;
        for _ in 0..3 {
            tat = step(tat, &quota, Mono(7)).unwrap();
        }
        assert_eq!(step(tat, &quota, Mono(7)), Err(Wait(Duration::from_millis(50))));
        tat = step(tat, &quota, Mono(50_000_007)).unwrap();
        assert_eq!(step(tat, &quota, Mono(50_000_007)), Err(Wait(Duration::from_millis(50))));
    }

    #[test]
    fn what_remains_is_what_passes() {
        let quota = Quota::parse("20/s, burst 3").unwrap();
        let left = |tat, now| {
            let left = remaining(tat, &quota, Mono(now));
            (left.requests, left.reset.as_millis())
        };
        let ms = 1_000_000;
        assert_eq!(left(0, 0), (3, 50));
        assert_eq!(left(50 * ms, 0), (2, 50));
        assert_eq!(left(50 * ms, 20 * ms), (2, 30));
        assert_eq!(left(150 * ms, 0), (0, 50));
        assert_eq!(left(150 * ms, 49 * ms), (0, 1));
        assert_eq!(left(200 * ms, 0), (0, 100));
    }

    #[test]
    fn a_changed_quota_keeps_what_is_owed() {
        let (slow, fast) = (Quota::parse("1/h, burst 10").unwrap(), Quota::parse("20/s, burst 40").unwrap());
        let hour = slow.interval();
        assert_eq!(rescale(3 * hour, &slow, &fast, Mono(0)), 150_000_000);
        assert_eq!(rescale(3 * hour, &slow, &fast, Mono(3 * hour)), 3 * hour);
        assert_eq!(rescale(fast.refill(), &fast, &slow, Mono(0)), slow.refill());
        assert_eq!(rescale(u64::MAX, &fast, &slow, Mono(5)), slow.refill() + 5);
    }

    proptest! {
        #[test]
        fn it_admits_what_the_model_admits((quota, pauses) in any_quota().prop_flat_map(pauses)) {
            let (mut tat, mut now, mut model, mut admitted) = (0, 0_u64, Model { level: 0, last: 0 }, Vec::new());
            for pause in pauses {
                now += pause;
                let step = step(tat, &quota, Mono(now));
                prop_assert_eq!(step.is_ok(), model.admits(&quota, now));
                if let Ok(next) = step {
                    tat = next;
                    admitted.push(now);
                }
            }
            assert_within(&quota, admitted);
        }

        #[test]
        fn the_wait_is_exact(quota in any_quota(), now in 0..1_u64 << 62, ahead in any::<u64>()) {
            let tat = now + ahead % (quota.refill() + 1);
            if let Err(Wait(wait)) = step(tat, &quota, Mono(now)) {
                let then = Mono(now).after(wait);
                prop_assert_eq!(step(tat, &quota, Mono(then.0 - 1)), Err(Wait(Duration::from_nanos(1))));
                prop_assert!(step(tat, &quota, then).is_ok());
            }
        }

        #[test]
        fn exactly_what_remains_passes(
            any in any_quota(),
            burst in 1..20_u32,
            now in 0..1_u64 << 62,
            ahead in any::<u64>(),
        ) {
            let quota = Quota::new(any.count(), any.period(), Some(burst)).unwrap();
            let tat = now + ahead % (quota.refill() + 1);
            let passing = |now: Mono| {
                let admit = |tat: &u64| step(*tat, &quota, now).ok();
                u32::try_from(std::iter::successors(admit(&tat), admit).count()).unwrap()
            };
            let left = remaining(tat, &quota, Mono(now));
            prop_assert_eq!(passing(Mono(now)), left.requests);
            let reset = Mono(now).after(left.reset);
            prop_assert_eq!(passing(Mono(reset.0 - 1)), left.requests);
            prop_assert_eq!(passing(reset), (left.requests + 1).min(burst));
        }

        #[test]
        fn a_changed_quota_gives_nothing_away(
            from in any_quota(),
            to in any_quota(),
            now in 0..1_u64 << 61,
            ahead in any::<u64>(),
        ) {
            let tat = now + ahead % (from.refill() + 1);
            let left = remaining(rescale(tat, &from, &to, Mono(now)), &to, Mono(now)).requests;
            let used = (tat - now).div_ceil(from.interval()).min(u64::from(to.burst()));
            prop_assert_eq!(u64::from(left), u64::from(to.burst()) - used);
        }
    }
}
