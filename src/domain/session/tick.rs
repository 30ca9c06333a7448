//! The instant of a last use in four bytes.

use crate::domain::types::Mono;
use std::time::Duration;

/// An instant on the monotonic clock, in sixteenths of a second since some days before the process started.
///
/// Four bytes instead of eight keep a session small. A sixteenth of a second is always rounded towards the past, so a
/// session ends at most that much too early and never too late. The count reaches 8.4 years after the start and then
/// stays there: sessions end at once from then on, which is the safe side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u32);

const NANOS: u64 = 1_000_000_000 / 16;
/// Ticks before the process started that can be told, about 12 days: a restored session was last used before that
/// start.
const BEFORE: u64 = 1 << 24;
/// The longest age before the start of the process that a tick can hold.
pub(super) const LONGEST_AGE: Duration = Duration::from_nanos(BEFORE * NANOS);

impl Tick {
    /// The tick at or before `instant`.
    pub(super) fn at(instant: Mono) -> Self {
        Self::before(instant, Duration::ZERO)
    }

    /// The tick at or before the instant that lies `age` before `now`; the earliest one there is when `age` is too
    /// long.
    pub(super) fn before(now: Mono, age: Duration) -> Self {
        let shifted = u128::from(now.0) + u128::from(BEFORE * NANOS);
        let ticks = shifted.saturating_sub(age.as_nanos()) / u128::from(NANOS);
        Self(u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// Time from this tick to `now`; zero when `now` is earlier.
    pub(super) fn elapsed(self, now: Mono) -> Duration {
        let shifted = now.0.saturating_add(BEFORE * NANOS);
        Duration::from_nanos(shifted.saturating_sub(u64::from(self.0) * NANOS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn far_ends_stay_there() {
        assert_eq!(Tick::at(Mono(u64::MAX)), Tick(u32::MAX));
        assert_eq!(Tick::before(Mono(0), Duration::MAX), Tick(0));
        assert_eq!(Tick(0).elapsed(Mono(0)), LONGEST_AGE);
        assert!(Tick::at(Mono(u64::MAX)).elapsed(Mono(u64::MAX)) > Duration::from_secs(300 * 365 * 86_400));
    }

    proptest! {
        #[test]
        fn rounding_never_gives_time(now in 0..u64::MAX / 128, age in 0..LONGEST_AGE.as_nanos()) {
            let age = Duration::from_nanos(u64::try_from(age).unwrap());
            let seen = Tick::before(Mono(now), age).elapsed(Mono(now));
            prop_assert!(seen >= age);
            prop_assert!(seen - age < Duration::from_nanos(NANOS));
        }

        #[test]
        fn order_is_kept(a: u64, b: u64) {
            prop_assert!(a > b || Tick::at(Mono(a)) <= Tick::at(Mono(b)));
        }
    }
}
