//! Connections of callers, and those to 8sens.

use super::{Metrics, gauge_value};
use crate::telemetry::connection_outcome::ConnectionOutcome;
use crate::telemetry::gauge_guard::{LingeringConnection, OpenConnection};

impl Metrics {
    /// Counts a connection as open until the guard is dropped. Does not count its outcome.
    pub fn connection(&self) -> OpenConnection {
        OpenConnection::new(&self.series.connections_open)
    }

    /// Counts a connection as one that waits for its caller to close, until the guard is dropped.
    pub fn lingering_connection(&self) -> LingeringConnection {
        LingeringConnection::new(&self.series.connections_lingering)
    }

    /// Counts a connection, once, when it is known what becomes of it.
    pub fn connection_outcome(&self, outcome: ConnectionOutcome) {
        self.series.connections.with_label_values(&[outcome.as_str()]).inc();
    }

    /// How many connections of callers may be open at the same time.
    pub fn set_connections_max(&self, max: usize) {
        self.series.connections_max.set(gauge_value(max));
    }

    /// Counts a connection that could not be accepted for want of descriptors or memory.
    pub fn accept_failed(&self) {
        self.series.accept_failures.inc();
    }

    /// States whether 8sens could be reached.
    pub fn upstream_up(&self, up: bool) {
        self.series.upstream_up.with_label_values::<&str>(&[]).set(i64::from(up));
    }

    /// Counts a connection to 8sens taken for a request.
    pub fn upstream_connected(&self, reused: bool) {
        self.series.upstream_connections.with_label_values(&[if reused { "true" } else { "false" }]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::value;
    use super::*;

    #[test]
    fn counters_of_connections_and_panics() {
        let metrics = Metrics::new();
        metrics.connection_outcome(ConnectionOutcome::Broken);
        metrics.upstream_connected(true);
        metrics.upstream_connected(true);
        metrics.panicked();
        assert_eq!(value(&metrics, r#"sensgate_connections_total{outcome="broken"}"#), Some(1.0));
        assert_eq!(value(&metrics, r#"sensgate_connections_total{outcome="refused"}"#), Some(0.0));
        assert_eq!(value(&metrics, r#"sensgate_upstream_connections_total{reused="true"}"#), Some(2.0));
        assert_eq!(value(&metrics, r#"sensgate_upstream_connections_total{reused="false"}"#), Some(0.0));
        assert_eq!(value(&metrics, "sensgate_panics_total"), Some(1.0));
    }

    #[test]
    fn upstream_up_is_absent_until_known() {
        let metrics = Metrics::new();
        assert_eq!(value(&metrics, "sensgate_upstream_up"), None);
        metrics.upstream_up(true);
        assert_eq!(value(&metrics, "sensgate_upstream_up"), Some(1.0));
        metrics.upstream_up(false);
        assert_eq!(value(&metrics, "sensgate_upstream_up"), Some(0.0));
    }
}
