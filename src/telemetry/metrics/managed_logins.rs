//! Logins of the gate's own.

use super::Metrics;
use crate::domain::session::LoginOutcome;
use crate::domain::session::managed::Cause;
use std::time::Duration;

impl Metrics {
    /// Counts one that has ended.
    pub fn managed_login(&self, consumer: &str, cause: Cause, outcome: LoginOutcome, took: Duration) {
        self.series.managed_logins.with_label_values(&[consumer, cause.as_str(), outcome.as_str()]).inc();
        self.series.managed_login_duration.observe(took.as_secs_f64());
        self.login(consumer, outcome);
    }
}
