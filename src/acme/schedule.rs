//! When a certificate is renewed, and how long to wait after a failure. Plain arithmetic: the clock and the chance are
//! passed in.

use crate::domain::types::Wall;
use std::time::Duration;

/// The first wait after a failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(120);

/// The longest wait between two attempts, unless the authority asks for a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);

/// The longest wait that an authority can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(7 * 86_400);

/// How often a suggestion is asked for anew, whatever the authority says (RFC 9773 section 4.3.2).
const SUGGESTION_AGE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(86_400));

/// A number from 0 to 1 that nobody can foretell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance(u32);

impl Chance {
    /// Without randomness all gates renew at the same moment, which costs the authority and nobody else.
    #[must_use]
    pub(super) fn draw() -> Self {
        let mut bytes = [0; 4];
        let _ = getrandom::fill(&mut bytes);
        Self(u32::from_be_bytes(bytes))
    }

    /// This part of a span of milliseconds.
    fn of(self, span: i64) -> i64 {
        let part = i128::from(span.max(0)) * i128::from(self.0) / i128::from(u32::MAX);
        i64::try_from(part).unwrap_or(i64::MAX)
    }
}

/// From when to when a certificate is best renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub start: Wall,
    pub end: Wall,
}

impl Window {
    /// The window for a certificate about which the authority suggests nothing: from two thirds of its lifetime on, for
    /// a thirtieth of it.
    #[must_use]
    pub(super) fn of_lifetime(not_before: Wall, not_after: Wall) -> Self {
        let lifetime = not_after.0.saturating_sub(not_before.0).max(0);
        let start = not_before.0.saturating_add(lifetime / 3 * 2);
        Self { start: Wall(start), end: Wall(start.saturating_add(lifetime / 30)) }
    }

    /// One moment of the window (RFC 9773 section 4.2). The same chance gives the same moment.
    #[must_use]
    pub(super) fn moment(self, chance: Chance) -> Wall {
        Wall(self.start.0.saturating_add(chance.of(self.end.0.saturating_sub(self.start.0))))
    }
}

/// How long to wait after so many failures in a row: between half and the whole of a time that doubles up to a ceiling,
/// and not less than the authority asked for.
#[must_use]
pub(super) fn wait_after_failure(failures: u32, retry_after: Option<Duration>, chance: Chance) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_WAIT);
    let half = i64::try_from(doubled.as_millis() / 2).unwrap_or(i64::MAX);
    let own = doubled / 2 + Duration::from_millis(chance.of(half).unsigned_abs());
    own.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
}

/// After how long a suggestion is asked for anew.
#[must_use]
pub(super) fn suggestion_age(asked: Duration) -> Duration {
    asked.clamp(SUGGESTION_AGE.0, SUGGESTION_AGE.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn two_thirds_of_the_lifetime() {
        let window = Window::of_lifetime(Wall(0), Wall(90 * DAY));
        assert_eq!(window, Window { start: Wall(60 * DAY), end: Wall(63 * DAY) });
        assert_eq!(window.moment(Chance(0)), Wall(60 * DAY));
        assert_eq!(window.moment(Chance(u32::MAX)), Wall(63 * DAY));
        assert_eq!(window.moment(Chance(u32::MAX / 2)).0 / DAY, 61);
    }

    #[test]
    fn dates_without_sense_do_no_harm() {
        for (from, to) in [(5, 1), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN)] {
            let window = Window::of_lifetime(Wall(from), Wall(to));
            let _ = window.moment(Chance(u32::MAX));
        }
        let reversed = Window { start: Wall(10), end: Wall(1) };
        assert_eq!(reversed.moment(Chance(u32::MAX)), Wall(10));
    }

    #[test]
    fn waits_double_up_to_a_ceiling() {
        let (least, most) = (Chance(0), Chance(u32::MAX));
        assert_eq!(wait_after_failure(1, None, least), Duration::from_secs(60));
        assert_eq!(wait_after_failure(1, None, most), Duration::from_secs(120));
        assert_eq!(wait_after_failure(4, None, most), Duration::from_secs(960));
        for failures in [9, 40, u32::MAX] {
            assert_eq!(wait_after_failure(failures, None, most), LONGEST_WAIT, "{failures}");
        }
    }

    #[test]
    fn the_authority_may_ask_for_more_but_not_for_ever() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        assert_eq!(wait_after_failure(1, hours(10), Chance(0)), Duration::from_secs(36_000));
        assert_eq!(wait_after_failure(1, Some(Duration::ZERO), Chance(0)), Duration::from_secs(60));
        assert_eq!(wait_after_failure(1, hours(100_000), Chance(0)), LONGEST_RETRY_AFTER);
        assert_eq!(suggestion_age(Duration::ZERO), Duration::from_secs(60));
        assert_eq!(suggestion_age(Duration::from_secs(1 << 40)), Duration::from_secs(86_400));
    }
}
