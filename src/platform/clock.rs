//! The one place that reads the clocks. Edges read once per step and pass the [`Now`] into the core.

use crate::domain::types::{Mono, Now, Wall};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

const NANOS_PER_MILLI: u64 = 1_000_000;

static START: OnceLock<Instant> = OnceLock::new();

/// Reads the monotonic and the wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Now {
    let mono = mono();
    let wall = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    Now { mono, wall: Wall(wall) }
}

/// Reads the monotonic clock and moves an earlier reading of both on by it: within one request, the wall clock is as
/// good as that.
#[must_use]
pub fn later(earlier: Now) -> Now {
    let mono = mono();
    let passed = mono.0.saturating_sub(earlier.mono.0) / NANOS_PER_MILLI;
    let wall = earlier.wall.0.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
    Now { mono, wall: Wall(wall) }
}

/// A reading of the monotonic clock as timers of the runtime take it.
#[must_use]
pub fn instant(mono: Mono) -> tokio::time::Instant {
    (*START.get_or_init(Instant::now) + Duration::from_nanos(mono.0)).into()
}

fn mono() -> Mono {
    let since_start = START.get_or_init(Instant::now).elapsed();
    Mono(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_reading_moves_both_clocks_alike() {
        let earlier = now();
        let later = later(Now { mono: Mono(0), wall: Wall(1_000) });
        assert!(later.mono >= earlier.mono);
        assert_eq!(later.wall.0, 1_000 + i64::try_from(later.mono.0 / NANOS_PER_MILLI).unwrap());
        assert_eq!(instant(later.mono) - instant(earlier.mono), later.mono.since(earlier.mono));
    }
}
