//! How many requests came and how long they took, over the last minutes: for the plots of the live page.
//!
//! Read from the counters that `/metrics` shows, so that both say the same. The oldest point gives way.

use crate::domain::types::{Mono, Now, Wall};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;

/// From one point to the next, at least.
const STEP: Duration = Duration::from_millis(1900);

/// Points that are kept: ten minutes, at one every two seconds.
pub const POINTS: usize = 300;

/// What the counters say at one moment, since the gate started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) refusals: u64,
    /// For each bound in turn, the requests that took no longer. Shorter than the bounds while there was no request.
    pub(super) durations: Vec<u64>,
    /// All requests that have a duration.
    pub(super) timed: u64,
}

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
    /// Seconds, ascending.
    bounds: &'static [f64],
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    points: VecDeque<Point>,
    /// How many points have given way.
    gone: u64,
    last: Option<(Mono, Totals)>,
}

impl History {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, kept: Mutex::default() }
    }

    /// Takes a point down when one is due. `totals` is called then only.
    pub(super) fn sample(&self, now: Now, totals: impl FnOnce() -> Totals) {
        let mut kept = self.kept.lock();
        if kept.last.as_ref().is_some_and(|(at, _)| now.mono.since(*at) < STEP) {
            return;
        }
        let totals = totals();
        if let Some((at, before)) = &kept.last {
            let point = self.point(now, now.mono.since(*at), before, &totals);
            if kept.points.len() == POINTS {
                kept.points.pop_front();
                kept.gone += 1;
            }
            kept.points.push_back(point);
        }
        kept.last = Some((now.mono, totals));
    }

    /// The points from number `since` on. All of them when there is no such number yet: that of another life of the gate.
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

    fn point(&self, now: Now, elapsed: Duration, before: &Totals, after: &Totals) -> Point {
        let per_second = |before: u64, after: u64| round(count(after.saturating_sub(before)) / elapsed.as_secs_f64());
        let before_at = |place: usize| before.durations.get(place).copied().unwrap_or_default();
        let durations: Vec<u64> =
            after.durations.iter().enumerate().map(|(place, now)| now.saturating_sub(before_at(place))).collect();
        let timed = after.timed.saturating_sub(before.timed);
        let quantile = |share| quantile(share, self.bounds, &durations, timed).map(|seconds| round(seconds * 1000.0));
        Point {
            at: now.wall,
            requests_per_second: per_second(before.requests, after.requests),
            refusals_per_second: per_second(before.refusals, after.refusals),
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
        }
    }
}

/// The duration that a share of `all` requests did not exceed, taken as spread evenly within its bucket, as Prometheus's
/// `histogram_quantile` does. Beyond the last bound it is that bound.
fn quantile(share: f64, bounds: &[f64], cumulative: &[u64], all: u64) -> Option<f64> {
    if all == 0 {
        return None;
    }
    let rank = share * count(all);
    let (mut below, mut low) = (0, 0.0);
    for (bound, up_to) in bounds.iter().zip(cumulative) {
        if count(*up_to) >= rank {
            return Some(low + (bound - low) * (rank - count(below)) / count(up_to - below));
        }
        (below, low) = (*up_to, *bound);
    }
    Some(low)
}

#[expect(clippy::cast_precision_loss, reason = "a plot shows no more than three digits")]
const fn count(requests: u64) -> f64 {
    requests as f64
}

/// To two decimals: nobody sees more, and points travel every second.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: &[f64] = &[0.01, 0.1, 1.0];

    fn at(seconds: u64) -> Now {
        Now { mono: Mono(seconds * 1_000_000_000), wall: Wall(i64::try_from(seconds).unwrap() * 1000) }
    }

    fn totals(requests: u64, refusals: u64, durations: [u64; 3]) -> Totals {
        Totals { requests, refusals, durations: durations.to_vec(), timed: requests }
    }

    #[test]
    fn a_point_is_what_happened_since_the_last_one() {
        let history = History::new(BOUNDS);
        history.sample(at(0), || totals(10, 10, [10, 10, 10]));
        assert_eq!(history.since(0), Points::default(), "one reading is no rate");
        history.sample(at(1), || unreachable!("no point is due"));
        history.sample(at(2), || totals(30, 11, [20, 30, 30]));
        history.sample(at(4), || totals(30, 11, [20, 30, 30]));
        assert_eq!(
            history.since(0),
            Points {
                first: 0,
                time: vec![2000, 4000],
                requests_per_second: vec![10.0, 0.0],
                refusals_per_second: vec![0.5, 0.0],
                p50_ms: vec![Some(10.0), None],
                p95_ms: vec![Some(91.0), None],
            }
        );
    }

    #[test]
    fn the_oldest_gives_way_and_numbers_go_on() {
        let history = History::new(BOUNDS);
        for step in 0..=POINTS as u64 + 2 {
            history.sample(at(step * 2), || totals(step, 0, [step; 3]));
        }
        let all = history.since(0);
        assert_eq!((all.first, all.time.len()), (2, POINTS));
        let last = history.since(301);
        assert_eq!((last.first, last.time), (301, vec![604_000]));
        assert_eq!(history.since(302).time, Vec::<i64>::new());
        assert_eq!(history.since(9_999).first, 2, "a number of another life");
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let middle = quantile(0.5, BOUNDS, &[0, 10, 10], 10).unwrap();
        assert!((middle - 0.055).abs() < 1e-9, "{middle}");
        assert_eq!(quantile(0.95, BOUNDS, &[0, 0, 0], 10), Some(1.0), "beyond the last bound");
        assert_eq!(quantile(0.5, BOUNDS, &[0, 0, 0], 0), None);
    }
}
