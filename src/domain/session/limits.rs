//! How long sessions live and how many there may be.

use std::time::Duration;

/// The windows and caps in force. They are passed into every call: a reload changes them, and an exchange keeps those
/// it began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// After how long without use 8sens forgets a token. At most 12 days.
    pub idle_timeout: Duration,
    /// How much earlier than 8sens the gate stops believing in a token.
    pub margin: Duration,
    /// How long an expired owner is remembered when there is room, so that it is told "expired" and not "unknown".
    /// Longer than the longest exchange: an answer that arrives after the deadline of a request sent before it still
    /// finds its session.
    pub linger: Duration,
    /// Most entries (one owner of one token) of one consumer.
    pub per_consumer: usize,
    /// Most entries in all.
    pub total: usize,
}

impl SessionLimits {
    /// How long after its last use an owner is live.
    #[must_use]
    pub fn live(&self) -> Duration {
        self.idle_timeout.saturating_sub(self.margin)
    }
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(900),
            margin: Duration::from_secs(30),
            linger: Duration::from_secs(900),
            per_consumer: 20_000,
            total: 1_000_000,
        }
    }
}
