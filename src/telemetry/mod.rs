//! What the gate says about itself: metrics, the access log and the application log.
//!
//! [`Telemetry::record`] is the one place where a [`Record`] becomes both a log line and metrics. The application log
//! ([`application_log`]) is about the process, never about one request.

pub mod access_log;
mod activity;
pub mod application_log;
pub mod audit_event;
mod audit_log;
pub mod build_info;
pub mod catalogue;
mod connection_outcome;
pub mod family;
mod gauge_guard;
pub mod history;
pub mod label;
mod log_file;
pub mod log_line;
mod log_writer;
pub mod metrics;
pub mod panics;
mod read_gauges;
mod readings;
mod refusals;
mod reload_result;
mod replaced_gauges;
pub(crate) mod throttle;
mod would_refuse;

pub use access_log::AccessLog;
pub use activity::{Activity, LATELY, Volume};
pub use audit_log::AuditLog;
pub use connection_outcome::ConnectionOutcome;
pub use gauge_guard::{InFlight, LingeringConnection, OpenConnection};
pub use history::{History, Points};
pub use metrics::Metrics;
pub use readings::Readings;
pub use refusals::{RECENT_REFUSALS, RecentRefusals};
pub use reload_result::ReloadResult;
pub use would_refuse::{WouldRefuseCount, WouldRefuseLedger};

use crate::config::LogSettings;
use crate::domain::exchange::{Alarm, Record};
use crate::domain::request::client_ip;
use crate::domain::types::Mono;
use parking_lot::Mutex;
use std::io;
use std::time::Duration;
use throttle::Throttle;

/// Metrics and logs of one gate.
#[derive(Debug)]
pub struct Telemetry {
    pub metrics: Metrics,
    pub would_refuse: WouldRefuseLedger,
    pub refusals: RecentRefusals,
    pub activity: Activity,
    pub history: History,
    pub audit: AuditLog,
    access_log: AccessLog,
    anonymize_ip: bool,
    alarms: Mutex<[Throttle; Alarm::ALL.len()]>,
    state_failures: Mutex<Throttle>,
    accept_failures: Mutex<Throttle>,
}

impl Telemetry {
    /// Opens the access log and the audit log and starts their writers.
    ///
    /// # Errors
    /// When a log cannot be opened or its thread cannot be started.
    pub fn start(settings: &LogSettings) -> io::Result<Self> {
        let metrics = Metrics::new();
        let dropped = metrics.access_log_lines_dropped();
        let access_log = AccessLog::start(&settings.access, settings.queue, settings.anonymize_ip, dropped)?;
        let audit = AuditLog::start(settings, metrics.audit_log_lines_dropped())?;
        Ok(Self {
            metrics,
            would_refuse: WouldRefuseLedger::default(),
            refusals: RecentRefusals::default(),
            activity: Activity::default(),
            history: History::default(),
            audit,
            access_log,
            anonymize_ip: settings.anonymize_ip,
            alarms: Mutex::default(),
            state_failures: Mutex::default(),
            accept_failures: Mutex::default(),
        })
    }

    /// Writes down one request that ended `now`. Called exactly once per record; never waits.
    pub fn record(&self, record: &Record, now: Mono) {
        self.metrics.observe(record);
        self.would_refuse.take_down(record);
        self.refusals.take_down(record);
        self.activity.take_down(record, now);
        self.history.ended_after(record.total);
        self.access_log.log(record);
        self.audit.record(record);
        if let Some(alarm) = record.alarm {
            self.raise(alarm, record);
        }
        if record.key_first_used {
            let (consumer, key_id) = (record.consumer.as_deref(), record.key_id.as_deref());
            let client_ip = if self.anonymize_ip { client_ip::anonymized(record.client_ip) } else { record.client_ip };
            tracing::info!(consumer, key_id, %client_ip, "key used for the first time");
        }
    }

    /// Writes an alarm into the application log, each kind at most once a minute; the metric counts them all.
    fn raise(&self, alarm: Alarm, record: &Record) {
        let index = Alarm::ALL.iter().position(|known| *known == alarm).unwrap_or_default();
        if self.alarms.lock()[index].lets_through(crate::platform::clock::now().mono) {
            let consumer = record.consumer.as_deref().unwrap_or("-");
            let key_id = record.key_id.as_deref().unwrap_or("-");
            let request_id = record.request_id.as_str();
            let advice = alarm.advice();
            tracing::warn!(alarm = alarm.as_str(), consumer, key_id, request_id, advice, "alarm");
        }
    }

    /// Raises an alarm that is about the login of these consumers, and no request of theirs.
    pub fn alarm_of_login(&self, alarm: Alarm, consumers: &str) {
        self.metrics.alarm(alarm);
        let place = Alarm::ALL.iter().position(|known| *known == alarm).unwrap_or_default();
        if self.alarms.lock()[place].lets_through(crate::platform::clock::now().mono) {
            tracing::warn!(alarm = alarm.as_str(), consumers, advice = alarm.advice(), "alarm");
        }
    }

    /// Counts a session record that could not be written, and says so at most once a minute.
    pub fn state_write_failed(&self, error: &io::Error) {
        self.metrics.state_write_failed();
        if self.state_failures.lock().lets_through(crate::platform::clock::now().mono) {
            tracing::error!(%error, "the session log cannot be written; sessions will not survive a restart");
        }
    }

    /// Counts a connection that could not be accepted for want of descriptors or memory, and says so at most once a
    /// minute.
    pub fn accept_failed(&self, error: &io::Error) {
        self.metrics.accept_failed();
        if self.accept_failures.lock().lets_through(crate::platform::clock::now().mono) {
            tracing::error!(%error, "connections cannot be accepted; they wait");
        }
    }

    /// Takes a point of the history down when one is due. To be called every second.
    pub fn sample(&self) {
        self.history.sample(crate::platform::clock::now(), || self.activity.in_all());
    }

    /// Reopens each log at its next line, for files that were renamed.
    pub fn reopen_logs(&self) {
        self.access_log.reopen();
        self.audit.reopen();
    }

    /// Waits until every line handed in so far is written or dropped, at most `deadline`. False when time ran out.
    /// Blocks the calling thread.
    pub fn flush(&self, deadline: Duration) -> bool {
        let end = std::time::Instant::now() + deadline;
        self.access_log.flush(deadline) & self.audit.flush(end.saturating_duration_since(std::time::Instant::now()))
    }
}

#[cfg(test)]
pub(crate) mod fixture {
    use crate::domain::exchange::{Bytes, EndCode, Record};
    use crate::domain::types::{HttpVersion, RequestId, Wall};
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    /// The record of an ordinary answered request.
    pub(crate) fn answered() -> Record {
        Record {
            request_id: RequestId::from_random([0xab; 16]),
            wall: Wall(1_790_000_000_123),
            consumer: Some("boutique-paris".into()),
            key_id: Some("k1".into()),
            client_ip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
            client_ip_unreadable: false,
            http: Some(HttpVersion::Http11),
            method: (*b"GET").into(),
            path: (*b"/v1/articles").into(),
            route: Some("GET /v1/*".into()),
            status: Some(200),
            code: EndCode::Ok,
            reason: None,
            would_refuse: None,
            token_place: None,
            learned: None,
            alarm: None,
            login: None,
            key_first_used: false,
            generation: None,
            login_wait: None,
            bytes: Bytes { received: 0, sent: 512 },
            total: Duration::from_micros(12_345),
            upstream: Some(Duration::from_micros(11_900)),
            own: Duration::from_micros(87),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AccessLogTarget;

    #[test]
    fn one_record_is_one_line_and_one_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let settings = LogSettings { access: AccessLogTarget::File(path.clone()), ..LogSettings::default() };
        let telemetry = Telemetry::start(&settings).unwrap();
        telemetry.record(&fixture::answered(), crate::platform::clock::now().mono);
        assert!(telemetry.flush(Duration::from_secs(10)));
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 1);
        let (_, scrape) = telemetry.metrics.render();
        let counted =
            r#"sensgate_requests_total{code="ok",consumer="boutique-paris",route="GET /v1/*",status_class="2xx"} 1"#;
        assert!(String::from_utf8(scrape).unwrap().lines().any(|line| line == counted));
    }
}
