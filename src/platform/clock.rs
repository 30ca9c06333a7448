//! The one place that reads the clocks. Edges read once per step and pass the [`Now`] into the core.

use crate::domain::types::{Mono, Now, Wall};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

/// Reads the monotonic and the wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let since_start = START.get_or_init(Instant::now).elapsed();
    let wall = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    Now { mono: Mono(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX)), wall: Wall(wall) }
}
