//! How the sandbox is told a time.

use jiff::SignedDuration;
use std::time::Duration;

/// Reads `900s`, `15m` or `250ms`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    text.parse::<SignedDuration>().ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_direction() {
        for (text, milliseconds) in [("250ms", 250), ("900s", 900_000), ("15m", 900_000), ("0s", 0)] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for other in ["", "900", "-1s", "soon"] {
            assert_eq!(parse_duration(other), None, "{other}");
        }
    }
}
