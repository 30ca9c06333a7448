//! The ways in which a caller's connection can end.

/// How a caller's connection ended. A closed set: the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionOutcome {
    /// Closed by either side after a whole request, or before the first byte of one.
    Closed,
    /// Idle for too long between two requests.
    Idle,
    /// Nothing came in time for a first request.
    Silent,
    /// Ended in the middle of a request head.
    Broken,
    /// All connections were in use.
    Refused,
}

impl ConnectionOutcome {
    pub const ALL: [Self; 5] = [Self::Closed, Self::Idle, Self::Silent, Self::Broken, Self::Refused];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::Silent => "silent",
            Self::Broken => "broken",
            Self::Refused => "refused",
        }
    }
}
