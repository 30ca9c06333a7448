//! Reports that may come up very often, and are written seldom.

use crate::domain::types::Mono;
use std::time::Duration;

/// Lets one report through per minute.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    last: Option<Mono>,
}

impl Throttle {
    const PERIOD: Duration = Duration::from_secs(60);

    /// True when nothing was let through in the last minute.
    pub(crate) fn lets_through(&mut self, now: Mono) -> bool {
        let due = self.last.is_none_or(|last| now.since(last) >= Self::PERIOD);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_report_a_minute() {
        let mut throttle = Throttle::default();
        let seconds = [0, 1, 59, 60, 61, 119, 120, 500];
        let passed = seconds.map(|s| throttle.lets_through(Mono(s * 1_000_000_000)));
        assert_eq!(passed, [true, false, false, true, false, false, true, true]);
    }
}
