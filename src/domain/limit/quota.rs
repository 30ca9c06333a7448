//! Quotas: so many requests per period, with a burst.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;
use strum::{IntoStaticStr, VariantArray};

/// How many requests are admitted, and how many of them at once.
///
/// `20/s, burst 40` means: any window of length `t`, both ends included, holds at most `40 + 20·t` admitted requests. A
/// caller that has been quiet may send 40 at once; from then on requests fit one by one, 50 ms apart.
///
/// The time between two requests is rounded up to a whole nanosecond, so the rate is never above the one that is
/// written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    count: u32,
    period: Period,
    burst: u32,
    interval: u64,
    tolerance: u64,
}

/// The unit of time of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Period {
    #[strum(serialize = "s")]
    Second,
    #[strum(serialize = "min")]
    Minute,
    #[strum(serialize = "h")]
    Hour,
    #[strum(serialize = "d")]
    Day,
}

/// Why a quota could not be read. The words are for the operator and are translated by the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    /// Not of the form `COUNT/UNIT` or `COUNT/UNIT, burst COUNT`.
    #[error("not of the form COUNT/UNIT or COUNT/UNIT, burst COUNT")]
    Shape,
    /// What is before the `/` is not a whole number.
    #[error("the count is not a whole number")]
    Count,
    /// The count is zero or above [`Quota::MAX_COUNT`].
    #[error("the count is out of range")]
    CountOutOfRange,
    /// The unit is none of `s`, `min`, `h`, `d`.
    #[error("the unit is none of s, min, h and d")]
    Unit,
    /// What is after `burst` is not a whole number.
    #[error("the burst is not a whole number")]
    Burst,
    /// The burst is zero or above [`Quota::MAX_BURST`].
    #[error("the burst is out of range")]
    BurstOutOfRange,
    /// A used up burst would be back only after [`Quota::MAX_REFILL`].
    #[error("a burst would take too long to come back")]
    RefillTooLong,
}

impl Period {
    const ALL: &'static [Self] = Self::VARIANTS;

    /// The unit as it is written: `s`, `min`, `h` or `d`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    /// The length in seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

impl Quota {
    /// Most requests per period.
    pub const MAX_COUNT: u32 = 1_000_000;
    /// Largest burst.
    pub const MAX_BURST: u32 = 1_000_000;
    /// Longest time in which a used up burst comes back: a hundred years. It keeps every instant within 64 bits.
    pub const MAX_REFILL: Duration = Duration::from_secs(36_525 * 86_400);

    /// A quota of `count` per `period`. Without a `burst`, the whole count may come at once.
    ///
    /// # Errors
    /// What is out of range.
    pub fn new(count: u32, period: Period, burst: Option<u32>) -> Result<Self, QuotaError> {
        if !(1..=Self::MAX_COUNT).contains(&count) {
            return Err(QuotaError::CountOutOfRange);
        }
        let burst = burst.unwrap_or(count);
        if !(1..=Self::MAX_BURST).contains(&burst) {
            return Err(QuotaError::BurstOutOfRange);
        }
        let quota = Self::of(count, period, burst);
        let refill = u128::from(quota.interval) * u128::from(burst);
        if refill > Self::MAX_REFILL.as_nanos() { Err(QuotaError::RefillTooLong) } else { Ok(quota) }
    }

    /// Reads a quota as written: `20/s`, `600/min`, `20/s, burst 40`.
    ///
    /// # Errors
    /// What is not as written above, or is out of range.
    pub fn parse(text: &str) -> Result<Self, QuotaError> {
        let (rate, burst) = match text.split_once(',') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let (count, unit) = rate.split_once('/').ok_or(QuotaError::Shape)?;
        let count = number(count, QuotaError::Count, QuotaError::CountOutOfRange)?;
        let period = Period::ALL.iter().copied().find(|period| period.as_str() == unit).ok_or(QuotaError::Unit)?;
        let burst = match burst {
            Some(burst) => {
                let burst = burst.trim_start_matches(' ').strip_prefix("burst ").ok_or(QuotaError::Shape)?;
                Some(number(burst.trim_start_matches(' '), QuotaError::Burst, QuotaError::BurstOutOfRange)?)
            }
            None => None,
        };
        Self::new(count, period, burst)
    }

    /// Requests per [`Quota::period`]; at least 1.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// Requests that may come at once; at least 1.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// The emission interval of GCRA: nanoseconds after which one more request fits; at least 1.
    #[must_use]
    pub const fn interval(&self) -> u64 {
        self.interval
    }

    /// The tolerance of GCRA in nanoseconds: how early a request may come. One interval less than the whole burst.
    #[must_use]
    pub const fn tolerance(&self) -> u64 {
        self.tolerance
    }

    /// Nanoseconds in which a used up burst comes back.
    #[must_use]
    pub const fn refill(&self) -> u64 {
        self.tolerance.saturating_add(self.interval)
    }

    /// `factor` times the rate and the burst. May be above what can be written.
    pub(super) fn times(self, factor: NonZeroU32) -> Self {
        Self::of(self.count.saturating_mul(factor.get()), self.period, self.burst.saturating_mul(factor.get()))
    }

    fn of(count: u32, period: Period, burst: u32) -> Self {
        let interval = (u64::from(period.seconds()) * 1_000_000_000).div_ceil(u64::from(count));
        let tolerance = interval.saturating_mul(u64::from(burst - 1));
        Self { count, period, burst, interval, tolerance }
    }
}

fn number(text: &str, shape: QuotaError, range: QuotaError) -> Result<u32, QuotaError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(shape);
    }
    text.parse().map_err(|_| range)
}

impl fmt::Display for Quota {
    /// As it would be written; the burst only where it differs from the count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.period.as_str())?;
        if self.burst == self.count { Ok(()) } else { write!(f, ", burst {}", self.burst) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Quotas over the whole range that can be written.
    pub(crate) fn any_quota() -> impl Strategy<Value = Quota> {
        let period = prop::sample::select(Period::ALL);
        let size = || prop_oneof![1..=20_u32, 1..=1_000_000_u32];
        (size(), period, size())
            .prop_filter_map("refills too slowly", |(count, period, burst)| Quota::new(count, period, Some(burst)).ok())
    }

    #[test]
    fn quotas_as_written() {
        for (text, count, burst, interval) in [
            ("20/s, burst 40", 20, 40, 50_000_000),
            ("20/s,burst 40", 20, 40, 50_000_000),
            ("3/s", 3, 3, 333_333_334),
            ("600/min", 600, 600, 100_000_000),
            ("1/h, burst 5", 1, 5, 3_600_000_000_000),
            ("1000/d", 1000, 1000, 86_400_000_000),
            ("1000000/s, burst 1000000", 1_000_000, 1_000_000, 1_000),
            ("1/d, burst 36525", 1, 36_525, 86_400_000_000_000),
        ] {
            let quota = Quota::parse(text).unwrap();
            assert_eq!((quota.count(), quota.burst(), quota.interval()), (count, burst, interval), "{text}");
            assert_eq!(quota.refill(), interval * u64::from(burst), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        use QuotaError::{Burst, BurstOutOfRange, Count, CountOutOfRange, RefillTooLong, Shape, Unit};
        for (text, error) in [
            ("", Shape),
            ("20", Shape),
            ("20/s,", Shape),
            ("20/s, 40", Shape),
            ("20/s, burst", Shape),
            ("20/s, burst40", Shape),
            ("/s", Count),
            ("+20/s", Count),
            ("0.5/s", Count),
            ("20 /s", Count),
            ("0/s", CountOutOfRange),
            ("1000001/s", CountOutOfRange),
            ("99999999999999999999/s", CountOutOfRange),
            ("20/m", Unit),
            ("20/S", Unit),
            ("20/s burst 40", Unit),
            ("20/s , burst 40", Unit),
            ("20/s, burst -1", Burst),
            ("20/s, burst ", Burst),
            ("20/s, burst 40 ", Burst),
            ("20/s, burst 4, burst 4", Burst),
            ("20/s, burst 0", BurstOutOfRange),
            ("20/s, burst 1000001", BurstOutOfRange),
            ("1/d, burst 36526", RefillTooLong),
        ] {
            assert_eq!(Quota::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_burst_is_shown_where_it_differs() {
        assert_eq!(Quota::parse("20/s, burst 20").unwrap().to_string(), "20/s");
        assert_eq!(Quota::parse("20/s,  burst 40").unwrap().to_string(), "20/s, burst 40");
    }

    #[test]
    fn eight_times_is_eight_times_the_rate_and_the_burst() {
        let eight = Quota::parse("1000000/s, burst 3").unwrap().times(NonZeroU32::new(8).unwrap());
        assert_eq!((eight.interval(), eight.burst(), eight.refill()), (125, 24, 3_000));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(quota in any_quota()) {
            prop_assert_eq!(Quota::parse(&quota.to_string()), Ok(quota));
        }

        #[test]
        fn the_rate_is_never_above_the_one_written(quota in any_quota()) {
            let period = u64::from(quota.period().seconds()) * 1_000_000_000;
            prop_assert!(period / quota.interval() <= u64::from(quota.count()));
            prop_assert!(quota.interval() * u64::from(quota.count()) < period + u64::from(quota.count()));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,20}|[0-9]{0,12}/?(s|min|h|d)?,? ?(burst)? ?[0-9]{0,12}") {
            let _ = Quota::parse(&text);
        }
    }
}
