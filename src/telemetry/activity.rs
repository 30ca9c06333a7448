//! How much went through, in all and lately, and where tokens travel: counts for `status` and `doctor`, without a
//! label.

use crate::domain::exchange::{EndCode, Record};
use crate::domain::request::TokenPlace;
use crate::domain::types::Mono;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds that "lately" is.
pub const LATELY: u64 = 60;

/// Slots for the seconds: one more than is read, so that the second under way overwrites none of them.
const SLOTS: usize = LATELY as usize + 1;

/// Requests and refusals, in all or lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    pub requests: u64,
    /// Refused by the gate, or because 8sens could not be used.
    pub refusals: u64,
}

/// Counters that every request touches; none of them waits.
#[derive(Debug)]
pub struct Activity {
    requests: AtomicU64,
    refusals: AtomicU64,
    requests_by_second: [AtomicU64; SLOTS],
    refusals_by_second: [AtomicU64; SLOTS],
    token_places: [AtomicU64; TokenPlace::ALL.len()],
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            requests: AtomicU64::default(),
            refusals: AtomicU64::default(),
            requests_by_second: std::array::from_fn(|_| AtomicU64::default()),
            refusals_by_second: std::array::from_fn(|_| AtomicU64::default()),
            token_places: Default::default(),
        }
    }
}

impl Activity {
    pub(super) fn take_down(&self, record: &Record, now: Mono) {
        let second = second(now);
        self.requests.fetch_add(1, Ordering::Relaxed);
        add(&self.requests_by_second, second);
        if matches!(record.code, EndCode::Denied(_)) {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            add(&self.refusals_by_second, second);
        }
        if let Some(index) = record.token_place.and_then(index) {
            self.token_places[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Since the gate started.
    #[must_use]
    pub fn in_all(&self) -> Volume {
        Volume { requests: self.requests.load(Ordering::Relaxed), refusals: self.refusals.load(Ordering::Relaxed) }
    }

    /// In the last [`LATELY`] whole seconds.
    #[must_use]
    pub fn lately(&self, now: Mono) -> Volume {
        let second = second(now);
        Volume { requests: sum(&self.requests_by_second, second), refusals: sum(&self.refusals_by_second, second) }
    }

    /// Requests whose token was a live one of their own, by where it stood.
    #[must_use]
    pub fn token_places(&self) -> Vec<(TokenPlace, u64)> {
        let counts = self.token_places.iter().map(|count| count.load(Ordering::Relaxed));
        TokenPlace::ALL.iter().copied().zip(counts).collect()
    }
}

fn index(place: TokenPlace) -> Option<usize> {
    TokenPlace::ALL.iter().position(|known| *known == place)
}

/// Counted from 1, so that a slot that was never used belongs to no second.
fn second(now: Mono) -> u32 {
    u32::try_from(now.0 / 1_000_000_000).unwrap_or(u32::MAX - 1) + 1
}

/// A slot holds the second it belongs to beside its count; a new second begins at 1.
fn add(slots: &[AtomicU64; SLOTS], second: u32) {
    let slot = &slots[second as usize % SLOTS];
    let more = |value: u64| {
        Some(if value >> 32 == u64::from(second) { value.saturating_add(1) } else { u64::from(second) << 32 | 1 })
    };
    // The closure always has a value.
    let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
}

fn sum(slots: &[AtomicU64; SLOTS], second: u32) -> u64 {
    let recent = |of: u64| of < u64::from(second) && of + LATELY >= u64::from(second);
    let values = slots.iter().map(|slot| slot.load(Ordering::Relaxed)).filter(|value| recent(value >> 32));
    values.map(|value| value & u64::from(u32::MAX)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::denial::DenyCode;
    use crate::telemetry::fixture;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn a_minute_is_whole_seconds_and_then_forgotten() {
        let activity = Activity::default();
        let refused = Record { code: EndCode::Denied(DenyCode::MissingKey), ..fixture::answered() };
        for seconds in 0..100 {
            activity.take_down(&fixture::answered(), at(seconds));
            activity.take_down(&refused, at(seconds));
        }
        assert_eq!(activity.in_all(), Volume { requests: 200, refusals: 100 });
        assert_eq!(activity.lately(at(100)), Volume { requests: 120, refusals: 60 });
        assert_eq!(activity.lately(at(130)), Volume { requests: 60, refusals: 30 });
        assert_eq!(activity.lately(at(1000)), Volume::default());
    }

    #[test]
    fn tokens_are_counted_where_they_stood() {
        let activity = Activity::default();
        activity.take_down(&Record { token_place: Some(TokenPlace::Bearer), ..fixture::answered() }, at(1));
        activity.take_down(&fixture::answered(), at(1));
        let seen: Vec<_> = activity.token_places().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(seen, [(TokenPlace::Bearer, 1)]);
    }
}
