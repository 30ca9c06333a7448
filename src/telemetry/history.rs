//! How many requests came and how long they took, over the last minutes: for the plots of the live page.
//!
//! Numbers of requests are those of [`Activity`](super::Activity), which counts every record that `/metrics` counts;
//! durations are recorded here, to one per cent. The oldest point gives way.

use super::activity::Volume;
use crate::domain::types::{Mono, Now, Wall};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;

/// From one point to the next, at least.
const STEP: Duration = Duration::from_millis(1900);

/// The longest duration that is told from longer ones, in microseconds: ten minutes.
const LONGEST: u64 = 600_000_000;

/// Significant digits of durations. With them, a histogram takes some 20 KiB.
const DIGITS: u8 = 2;

/// Points that are kept: ten minutes, at one every two seconds.
pub const POINTS: usize = 300;

/// The last points by column, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Points {
    /// The number of the first point here. Points are numbered from 0, from the start of the gate.
    pub first: u64,
    /// Milliseconds since the epoch.
    pub time: Vec<i64>,
    pub requests_per_second: Vec<f64>,
    pub refusals_per_second: Vec<f64>,
    /// `None` where no request ended.
    pub p50_ms: Vec<Option<f64>>,
    pub p95_ms: Vec<Option<f64>>,
}

#[derive(Clone, Debug)]
struct Point {
    at: Wall,
    requests_per_second: f64,
    refusals_per_second: f64,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
}

/// The points of one gate.
#[derive(Debug)]
pub struct History {
    /// Microseconds of the requests that ended since the last point.
    durations: Mutex<Histogram<u64>>,
    kept: Mutex<Kept>,
}

impl Default for History {
    #[expect(clippy::expect_used, reason = "the bounds and the precision are constants that the histogram takes")]
    fn default() -> Self {
        let durations = Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("1 < LONGEST, and 2 digits are allowed");
        Self { durations: Mutex::new(durations), kept: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct Kept {
    points: VecDeque<Point>,
    /// How many points have given way.
    gone: u64,
    last: Option<(Mono, Volume)>,
}

impl History {
    /// A request ended that took so long.
    pub(super) fn ended_after(&self, duration: Duration) {
        self.durations.lock().saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Takes a point down when one is due. `totals` is called then only.
    pub(super) fn sample(&self, now: Now, totals: impl FnOnce() -> Volume) {
        let mut kept = self.kept.lock();
        if kept.last.as_ref().is_some_and(|(at, _)| now.mono.since(*at) < STEP) {
            return;
        }
        let totals = totals();
        let [p50_ms, p95_ms] = self.quantiles();
        if let Some((at, before)) = &kept.last {
            let elapsed = now.mono.since(*at).as_secs_f64();
            let per_second = |before: u64, after: u64| round(count(after.saturating_sub(before)) / elapsed);
            let point = Point {
                at: now.wall,
                requests_per_second: per_second(before.requests, totals.requests),
                refusals_per_second: per_second(before.refusals, totals.refusals),
                p50_ms,
                p95_ms,
            };
            if kept.points.len() == POINTS {
                kept.points.pop_front();
                kept.gone += 1;
            }
            kept.points.push_back(point);
        }
        kept.last = Some((now.mono, totals));
    }

    /// The points from number `since` on. All of them when there is no such number yet: that of another life of the
    /// gate.
    #[must_use]
    pub fn since(&self, since: u64) -> Points {
        let kept = self.kept.lock();
        let end = kept.gone + kept.points.len() as u64;
        let first = if since > end { kept.gone } else { since.max(kept.gone) };
        let skipped = usize::try_from(first - kept.gone).unwrap_or(usize::MAX);
        let mut points = Points { first, ..Points::default() };
        for point in kept.points.iter().skip(skipped) {
            points.time.push(point.at.0);
            points.requests_per_second.push(point.requests_per_second);
            points.refusals_per_second.push(point.refusals_per_second);
            points.p50_ms.push(point.p50_ms);
            points.p95_ms.push(point.p95_ms);
        }
        points
    }

    /// The durations that half and 95 % of the requests since the last call did not exceed, in milliseconds; `None`
    /// when there was none.
    fn quantiles(&self) -> [Option<f64>; 2] {
        let mut durations = self.durations.lock();
        let some = !durations.is_empty();
        let milliseconds = |share| some.then(|| round(count(durations.value_at_quantile(share)) / 1000.0));
        let quantiles = [0.5, 0.95].map(milliseconds);
        durations.reset();
        quantiles
    }
}

#[expect(clippy::cast_precision_loss, reason = "a plot shows no more than three digits")]
const fn count(number: u64) -> f64 {
    number as f64
}

/// To two decimals: nobody sees more, and points travel every second.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now { mono: Mono(seconds * 1_000_000_000), wall: Wall(i64::try_from(seconds).unwrap() * 1000) }
    }

    fn totals(requests: u64, refusals: u64) -> Volume {
        Volume { requests, refusals }
    }

    #[test]
    fn a_point_is_what_happened_since_the_last_one() {
        let history = History::default();
        history.sample(at(0), || totals(10, 10));
        assert_eq!(history.since(0), Points::default(), "one reading is no rate");
        history.sample(at(1), || unreachable!("no point is due"));
        for milliseconds in 1..=20 {
            history.ended_after(Duration::from_millis(milliseconds));
        }
        history.sample(at(2), || totals(30, 11));
        history.sample(at(4), || totals(30, 11));
        assert_eq!(
            history.since(0),
            Points {
                first: 0,
                time: vec![2000, 4000],
                requests_per_second: vec![10.0, 0.0],
                refusals_per_second: vec![0.5, 0.0],
                p50_ms: vec![Some(10.05), None],
                p95_ms: vec![Some(19.07), None],
            }
        );
    }

    #[test]
    fn the_oldest_gives_way_and_numbers_go_on() {
        let history = History::default();
        for step in 0..=POINTS as u64 + 2 {
            history.sample(at(step * 2), || totals(step, 0));
        }
        let all = history.since(0);
        assert_eq!((all.first, all.time.len()), (2, POINTS));
        let last = history.since(301);
        assert_eq!((last.first, last.time), (301, vec![604_000]));
        assert_eq!(history.since(302).time, Vec::<i64>::new());
        assert_eq!(history.since(9_999).first, 2, "a number of another life");
    }

    #[test]
    fn a_quantile_is_true_to_one_per_cent_however_long_requests_take() {
        let history = History::default();
        history.sample(at(0), Volume::default);
        for duration in [Duration::ZERO, Duration::from_micros(87), Duration::from_secs(3), Duration::from_secs(86_400)]
        {
            history.ended_after(duration);
        }
        let [half, most] = history.quantiles().map(Option::unwrap);
        assert!((half - 0.087).abs() < 0.01, "{half}");
        assert!((most - 600_000.0).abs() < 6_000.0, "{most}: longer than what is told apart");
        assert_eq!(history.quantiles(), [None, None], "what was read is forgotten");
    }
}
