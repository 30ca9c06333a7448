//! Gauges that are one higher for as long as something lives.

use prometheus::IntGauge;

/// A request in flight; ends when dropped.
#[must_use]
#[derive(Debug)]
pub struct InFlight(#[expect(dead_code, reason = "held for its drop")] Raised);

impl InFlight {
    pub(super) fn new(gauge: &IntGauge) -> Self {
        Self(Raised::new(gauge))
    }
}

/// An open connection of a caller; ends when dropped.
#[must_use]
#[derive(Debug)]
pub struct OpenConnection(#[expect(dead_code, reason = "held for its drop")] Raised);

impl OpenConnection {
    pub(super) fn new(gauge: &IntGauge) -> Self {
        Self(Raised::new(gauge))
    }
}

/// A connection that waits for its caller to close; ends when dropped.
#[must_use]
#[derive(Debug)]
pub struct LingeringConnection(#[expect(dead_code, reason = "held for its drop")] Raised);

impl LingeringConnection {
    pub(super) fn new(gauge: &IntGauge) -> Self {
        Self(Raised::new(gauge))
    }
}

/// A gauge that is one higher while this lives.
#[derive(Debug)]
struct Raised(IntGauge);

impl Raised {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}
