//! Every metric of the gate, each declared once: the registry, `docs/metrics.md` and the tests of boards and alerts are
//! made from it.
//!
//! Label values come from the configuration or from closed sets, never from a request. `docs/metrics.md` is written
//! from this file, and `tests/prometheus/` fails when it is not up to date, or when a metric is neither on a board, in
//! a rule or alert, nor said to be for digging.

use super::family::{Family, Metric, Purpose, metrics};
use super::label::*;
use super::read_gauges::ReadGauges;
use super::replaced_gauges::ReplacedGauges;
use prometheus::{Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

/// Seconds, made for an ERP behind the gate.
pub const DURATION_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Seconds, 25 µs to 10 ms.
pub const OVERHEAD_BUCKETS: &[f64] = &[0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01];

metrics! {
    requests: IntCounterVec "sensgate_requests_total" in "requests" by [CONSUMER, ROUTE, STATUS_CLASS, CODE] Watched
        "Ended requests by consumer, route rule, class of the status sent and code."
        "sum by (consumer, code) (rate(sensgate_requests_total{code!=\"ok\"}[5m]))";
    request_duration: HistogramVec "sensgate_request_duration_seconds" in "seconds" within DURATION_BUCKETS
        by [CONSUMER, ROUTE] Watched
        "Time from the complete request head to the end of the request."
        "histogram_quantile(0.99, sum by (le) (rate(sensgate_request_duration_seconds_bucket[5m])))";
    upstream_duration: HistogramVec "sensgate_upstream_request_duration_seconds" in "seconds" within DURATION_BUCKETS
        by [CONSUMER, ROUTE] Watched
        "Time from the start of the connect to 8sens to the last byte of its answer."
        "histogram_quantile(0.95, sum by (le, route) (rate(sensgate_upstream_request_duration_seconds_bucket[5m])))";
    overhead: Histogram "sensgate_overhead_duration_seconds" in "seconds" within OVERHEAD_BUCKETS by [] Watched
        "The gate's own share of a request's duration."
        "histogram_quantile(0.99, sum by (le) (rate(sensgate_overhead_duration_seconds_bucket[5m])))";
    requests_in_flight: IntGauge "sensgate_requests_in_flight" in "requests" by [] Watched
        "Requests that have begun and not yet ended."
        "max_over_time(sensgate_requests_in_flight[1h])";
    connections_open: IntGauge "sensgate_connections_open" in "connections" by [] Watched
        "Open connections of callers."
        "sensgate_connections_open / sensgate_connections_max";
    connections: IntCounterVec "sensgate_connections_total" in "connections" by [OUTCOME] Watched
        "Connections of callers by what became of them."
        "sum by (outcome) (rate(sensgate_connections_total{outcome!=\"closed\"}[5m]))";
    connections_max: IntGauge "sensgate_connections_max" in "connections" by [] Watched
        "Connections of callers that may be open at the same time: as configured, or fewer when descriptors are short."
        "sensgate_connections_open / sensgate_connections_max > 0.8";
    connections_lingering: IntGauge "sensgate_connections_lingering" in "connections" by [] Digging
        "Connections that were answered for the last time and wait for their callers to close; they count as open."
        "sensgate_connections_lingering / sensgate_connections_open";
    accept_failures: IntCounter "sensgate_accept_failures_total" in "attempts" by [] Digging
        "Times that no connection could be accepted because the system had no descriptor or memory for it."
        "increase(sensgate_accept_failures_total[1h])";
    upstream_up: IntGaugeVec "sensgate_upstream_up" in "0 or 1" by [] Watched
        "Whether 8sens could be reached when it was last tried (1) or not (0). Absent until it is known."
        "avg_over_time(sensgate_upstream_up[1d])";
    upstream_connections: IntCounterVec "sensgate_upstream_connections_total" in "connections" by [REUSED] Watched
        "Connections to 8sens taken for a request, new or reused."
        "sum by (reused) (rate(sensgate_upstream_connections_total[5m]))";
    client_ip_unreadable: IntCounter "sensgate_client_ip_unreadable_total" in "requests" by [] Digging
        "Requests whose client address a trusted proxy stated in a way that could not be read."
        "increase(sensgate_client_ip_unreadable_total[1h])";
    access_log_lines_dropped: IntCounter "sensgate_access_log_lines_dropped_total" in "lines" by [] Watched
        "Access log lines lost because the queue was full or the target could not be written."
        "increase(sensgate_access_log_lines_dropped_total[10m]) > 0";
    audit_log_lines_dropped: IntCounter "sensgate_audit_log_lines_dropped_total" in "lines" by [] Digging
        "Audit log lines lost because the queue was full or the file could not be written."
        "increase(sensgate_audit_log_lines_dropped_total[10m]) > 0";
    logins: IntCounterVec "sensgate_logins_total" in "logins" by [CONSUMER, LOGIN_RESULT] Watched
        "Logins that were admitted, by what became of them."
        "sum by (consumer, result) (increase(sensgate_logins_total[1h]))";
    managed_logins: IntCounterVec "sensgate_managed_logins_total" in "logins" by [CONSUMER, CAUSE, LOGIN_RESULT] Digging
        "Logins of the gate's own, for sessions that it keeps, by why they were needed and what came of them; `-` for \
         a login that consumers share."
        "sum by (consumer, cause, result) (increase(sensgate_managed_logins_total[1h]))";
    managed_login_duration: Histogram "sensgate_managed_login_duration_seconds" in "seconds" within DURATION_BUCKETS
        by [] Digging
        "How long logins of the gate's own took, connection included."
        "histogram_quantile(0.99, sum by (le) (rate(sensgate_managed_login_duration_seconds_bucket[1h])))";
    login_wait: Histogram "sensgate_login_wait_duration_seconds" in "seconds" within DURATION_BUCKETS by [] Digging
        "How long requests waited for a login of the gate's own; those that did not wait are not counted."
        "histogram_quantile(0.99, sum by (le) (rate(sensgate_login_wait_duration_seconds_bucket[1h])))";
    sessions: IntGauge "sensgate_sessions" in "sessions" by [] Watched
        "Session entries: one for each owner of each token of 8sens, some of them expired."
        "sensgate_sessions / sensgate_sessions_max";
    sessions_max: IntGauge "sensgate_sessions_max" in "sessions" by [] Watched
        "Most session entries in all: `total` of the configuration."
        "sensgate_sessions / sensgate_sessions_max > 0.8";
    consumer_sessions: ReadGauges "sensgate_consumer_sessions" in "sessions" by [CONSUMER] Watched
        "Session entries of one consumer, some of them expired."
        "topk(5, sensgate_consumer_sessions)";
    consumer_sessions_max: IntGauge "sensgate_consumer_sessions_max" in "sessions" by [] Watched
        "Most session entries of each consumer: `per_consumer` of the configuration. Its longest unused ones make room \
         for new ones."
        "sensgate_consumer_sessions / on (instance) group_left () sensgate_consumer_sessions_max > 0.8";
    would_refuse: IntCounterVec "sensgate_would_refuse_total" in "requests" by [CONSUMER, WOULD_CODE, ISSUED] Watched
        "Forwarded requests that would have been refused, were the rule not in shadow or sessions not just observed."
        "sum by (consumer, code, issued) (increase(sensgate_would_refuse_total[1d]))";
    alarms: IntCounterVec "sensgate_alarms_total" in "requests" by [ALARM] Watched
        "Things that an admin has to look at, by kind."
        "increase(sensgate_alarms_total[1h]) > 0";
    state_write_failures: IntCounter "sensgate_state_write_failures_total" in "failures" by [] Watched
        "Times that the session log could not be written: those sessions do not survive a restart."
        "increase(sensgate_state_write_failures_total[10m]) > 0";
    limiter_overflow: IntCounter "sensgate_limiter_overflow_total" in "charges" by [] Digging
        "Charges of address budgets that had to share a bucket because all of them were in use."
        "increase(sensgate_limiter_overflow_total[1h])";
    panics: IntCounter "sensgate_panics_total" in "panics" by [] Watched
        "Tasks of the gate that ended in a panic."
        "increase(sensgate_panics_total[1d]) > 0";
    key_expiry: ReadGauges "sensgate_key_expiry_timestamp_seconds" in "seconds since the Unix epoch"
        by [CONSUMER, KEY_ID] Watched
        "Instant from which the key is no longer valid, in seconds since the Unix epoch. Absent for a key that never \
         expires, or is disabled."
        "(sensgate_key_expiry_timestamp_seconds - time()) / 86400";
    certificate_expiry: ReplacedGauges "sensgate_certificate_expiry_timestamp_seconds" in "seconds since the Unix epoch"
        by [LISTENER, NAME] Watched
        "Instant at which the certificate that a listener serves for a name expires, in seconds since the Unix epoch."
        "(sensgate_certificate_expiry_timestamp_seconds - time()) / 86400";
    certificates_refused: IntCounter "sensgate_certificates_refused_total" in "changes" by [] Digging
        "Changed certificate files that could not be used: the old certificate is served on."
        "increase(sensgate_certificates_refused_total[1d])";
    key_last_used: ReadGauges "sensgate_key_last_used_timestamp_seconds" in "seconds since the Unix epoch"
        by [CONSUMER, KEY_ID] Watched
        "Instant at which the key was last accepted, in seconds since the Unix epoch. Absent for a key that was never \
         used."
        "(time() - sensgate_key_last_used_timestamp_seconds) / 86400";
    config_reloaded: IntGauge "sensgate_config_last_reload_successful" in "0 or 1" by [] Watched
        "Whether the configuration was applied when it was last read (1), or refused while the old one runs on (0)."
        "sensgate_config_last_reload_successful == 0";
    config_reload_time: IntGauge "sensgate_config_last_reload_success_timestamp_seconds" in "seconds since the Unix \
        epoch" by [] Watched
        "Instant at which a configuration was last applied, in seconds since the Unix epoch."
        "time() - sensgate_config_last_reload_success_timestamp_seconds";
    config_restart_needed: IntGauge "sensgate_config_restart_needed" in "0 or 1" by [] Watched
        "Whether the configuration holds something that only a restart applies (1) or not (0)."
        "sensgate_config_restart_needed == 1";
    config_reloads: IntCounterVec "sensgate_config_reloads_total" in "reloads" by [RELOAD_RESULT] Digging
        "Times that the configuration was read again, by what came of it."
        "sum by (result) (increase(sensgate_config_reloads_total[1d]))";
    certificate_self_signed: IntGaugeVec "sensgate_certificate_self_signed" in "0 or 1" by [LISTENER] Digging
        "Whether a listener with ACME still waits for its first certificate and serves a self-signed one (1) or not \
         (0)."
        "sensgate_certificate_self_signed == 1";
    acme_orders: IntCounterVec "sensgate_acme_orders_total" in "attempts" by [ORDER_RESULT] Digging
        "Attempts to get a certificate by ACME, by what came of them."
        "increase(sensgate_acme_orders_total{result=\"failed\"}[1d])";
    build_info: IntGaugeVec "sensgate_build_info" in "always 1" by [VERSION, REVISION, RUSTC] Watched
        "What the gate was built from; always 1."
        "count by (version) (sensgate_build_info)";
    start_time: Gauge "sensgate_start_time_seconds" in "seconds since the Unix epoch" by [] Watched
        "Instant at which the gate started, in seconds since the Unix epoch."
        "time() - sensgate_start_time_seconds";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::family::FamilyKind;
    use std::collections::HashSet;

    #[test]
    fn names_follow_the_conventions() {
        let mut seen = HashSet::new();
        for Family { name, kind, unit, help, query, .. } in ALL {
            assert!(seen.insert(*name), "{name} is declared twice");
            assert!(name.starts_with("sensgate_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(help.len() > 10 && help.ends_with('.'), "{name}");
            assert_eq!(*kind == FamilyKind::Counter, name.ends_with("_total"), "{name}");
            if *kind == FamilyKind::Histogram {
                assert!(name.ends_with("_seconds"), "{name}");
            }
            assert_eq!(name.ends_with("_seconds"), unit.starts_with("seconds"), "{name}");
            assert!(query.contains(name), "{name}");
        }
    }
}
