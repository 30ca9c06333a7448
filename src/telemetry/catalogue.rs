//! Every metric of the gate in one place: name, kind, unit, labels, help, an example query.
//!
//! Label values come from the configuration or from closed sets, never from a request. `docs/metrics.md` is written from this file, and
//! `tests/operations/prometheus/` fails when it is not up to date, or when a metric is neither on a board, in a rule or alert, nor said to be for
//! digging.

use super::label::*;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Who looks at a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A panel of `deploy/grafana`, or a rule or an alert of `deploy/prometheus`.
    Watched,
    /// Somebody who looks for a cause, by hand.
    Digging,
}

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    /// What a value counts or measures.
    pub unit: &'static str,
    /// The names of the labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// The same labels, explained.
    pub label_docs: &'static [Label],
    pub purpose: Purpose,
    pub help: &'static str,
    /// A query that somebody would ask, in PromQL.
    pub query: &'static str,
}

/// Declares the families, and the list of them all:
///
/// `IDENT = Kind "name" in "unit" by [LABEL, …] Purpose "Help." "example query";`
macro_rules! families {
    ($($ident:ident = $kind:ident $name:literal in $unit:literal by [$($label:ident),*] $purpose:ident $help:literal $query:literal;)+) => {
        $(pub const $ident: Family = Family {
            name: $name,
            kind: Kind::$kind,
            unit: $unit,
            labels: &[$($label.name),*],
            label_docs: &[$($label),*],
            purpose: Purpose::$purpose,
            help: $help,
            query: $query,
        };)+

        /// Every family, in the order of the documentation.
        pub const ALL: &[Family] = &[$($ident,)+];
    };
}

families! {
    REQUESTS = Counter "sensgate_requests_total" in "requests" by [CONSUMER, ROUTE, STATUS_CLASS, CODE] Watched
        "Ended requests by consumer, route rule, class of the status sent and code."
        "sum by (consumer, code) (rate(sensgate_requests_total{code!=\"ok\"}[5m]))";
    REQUEST_DURATION = Histogram "sensgate_request_duration_seconds" in "seconds" by [CONSUMER, ROUTE] Watched
        "Time from the complete request head to the end of the request."
        "histogram_quantile(0.99, sum by (le) (rate(sensgate_request_duration_seconds_bucket[5m])))";
    UPSTREAM_DURATION = Histogram "sensgate_upstream_request_duration_seconds" in "seconds" by [CONSUMER, ROUTE] Watched
        "Time from the start of the connect to 8sens to the last byte of its answer."
        "histogram_quantile(0.95, sum by (le, route) (rate(sensgate_upstream_request_duration_seconds_bucket[5m])))";
    OVERHEAD = Histogram "sensgate_overhead_duration_seconds" in "seconds" by [] Watched
        "The gate's own share of a request's duration."
        "histogram_quantile(0.99, sum by (le) (rate(sensgate_overhead_duration_seconds_bucket[5m])))";
    REQUESTS_IN_FLIGHT = Gauge "sensgate_requests_in_flight" in "requests" by [] Watched
        "Requests that have begun and not yet ended."
        "max_over_time(sensgate_requests_in_flight[1h])";
    CONNECTIONS_OPEN = Gauge "sensgate_connections_open" in "connections" by [] Watched
        "Open connections of callers."
        "sensgate_connections_open / sensgate_connections_max";
    CONNECTIONS = Counter "sensgate_connections_total" in "connections" by [OUTCOME] Watched
        "Connections of callers by what became of them."
        "sum by (outcome) (rate(sensgate_connections_total{outcome!=\"closed\"}[5m]))";
    CONNECTIONS_MAX = Gauge "sensgate_connections_max" in "connections" by [] Watched
        "Connections of callers that may be open at the same time: as configured, or fewer when descriptors are short."
        "sensgate_connections_open / sensgate_connections_max > 0.8";
    CONNECTIONS_LINGERING = Gauge "sensgate_connections_lingering" in "connections" by [] Digging
        "Connections that were answered for the last time and wait for their callers to close; they count as open."
        "sensgate_connections_lingering / sensgate_connections_open";
    ACCEPT_FAILURES = Counter "sensgate_accept_failures_total" in "attempts" by [] Digging
        "Times that no connection could be accepted because the system had no descriptor or memory for it."
        "increase(sensgate_accept_failures_total[1h])";
    UPSTREAM_UP = Gauge "sensgate_upstream_up" in "0 or 1" by [] Watched
        "Whether 8sens could be reached when it was last tried (1) or not (0). Absent until it is known."
        "avg_over_time(sensgate_upstream_up[1d])";
    UPSTREAM_CONNECTIONS = Counter "sensgate_upstream_connections_total" in "connections" by [REUSED] Watched
        "Connections to 8sens taken for a request, new or reused."
        "sum by (reused) (rate(sensgate_upstream_connections_total[5m]))";
    CLIENT_IP_UNREADABLE = Counter "sensgate_client_ip_unreadable_total" in "requests" by [] Digging
        "Requests whose client address a trusted proxy stated in a way that could not be read."
        "increase(sensgate_client_ip_unreadable_total[1h])";
    ACCESS_LOG_LINES_DROPPED = Counter "sensgate_access_log_lines_dropped_total" in "lines" by [] Watched
        "Access log lines lost because the queue was full or the target could not be written."
        "increase(sensgate_access_log_lines_dropped_total[10m]) > 0";
    AUDIT_LOG_LINES_DROPPED = Counter "sensgate_audit_log_lines_dropped_total" in "lines" by [] Digging
        "Audit log lines lost because the queue was full or the file could not be written."
        "increase(sensgate_audit_log_lines_dropped_total[10m]) > 0";
    LOGINS = Counter "sensgate_logins_total" in "logins" by [CONSUMER, LOGIN_RESULT] Watched
        "Logins that went out to 8sens, by what came of them."
        "sum by (consumer, result) (increase(sensgate_logins_total[1h]))";
    SESSIONS = Gauge "sensgate_sessions" in "sessions" by [] Watched
        "Places on tokens of 8sens that are known: one for each owner of each token, some of them expired."
        "sensgate_sessions / sensgate_sessions_max";
    SESSIONS_MAX = Gauge "sensgate_sessions_max" in "sessions" by [] Watched
        "Places that there are in all: `total` of the configuration."
        "sensgate_sessions / sensgate_sessions_max > 0.8";
    CONSUMER_SESSIONS = Gauge "sensgate_consumer_sessions" in "sessions" by [CONSUMER] Watched
        "Places on tokens of 8sens that are one consumer's, some of them expired."
        "topk(5, sensgate_consumer_sessions)";
    CONSUMER_SESSIONS_MAX = Gauge "sensgate_consumer_sessions_max" in "sessions" by [] Watched
        "Places that each consumer may have: `per_consumer` of the configuration. Its longest unused ones make room for new ones."
        "sensgate_consumer_sessions / on (instance) group_left () sensgate_consumer_sessions_max > 0.8";
    WOULD_REFUSE = Counter "sensgate_would_refuse_total" in "requests" by [CONSUMER, WOULD_CODE, ISSUED] Watched
        "Forwarded requests that would have been refused, were the rule not in shadow or sessions not just observed."
        "sum by (consumer, code, issued) (increase(sensgate_would_refuse_total[1d]))";
    ALARMS = Counter "sensgate_alarms_total" in "requests" by [ALARM] Watched
        "Things that an admin has to look at, by kind."
        "increase(sensgate_alarms_total[1h]) > 0";
    STATE_WRITE_FAILURES = Counter "sensgate_state_write_failures_total" in "failures" by [] Watched
        "Times that the session log could not be written: those sessions do not survive a restart."
        "increase(sensgate_state_write_failures_total[10m]) > 0";
    LIMITER_OVERFLOW = Counter "sensgate_limiter_overflow_total" in "charges" by [] Digging
        "Charges of address budgets that had to share a bucket because all of them were in use."
        "increase(sensgate_limiter_overflow_total[1h])";
    PANICS = Counter "sensgate_panics_total" in "panics" by [] Watched
        "Tasks of the gate that ended in a panic."
        "increase(sensgate_panics_total[1d]) > 0";
    KEY_EXPIRY = Gauge "sensgate_key_expiry_timestamp_seconds" in "seconds since the Unix epoch" by [CONSUMER, KEY_ID] Watched
        "Instant from which the key is no longer valid, in seconds since the Unix epoch. Absent for a key that never expires, or is disabled."
        "(sensgate_key_expiry_timestamp_seconds - time()) / 86400";
    CERTIFICATE_EXPIRY = Gauge "sensgate_certificate_expiry_timestamp_seconds" in "seconds since the Unix epoch" by [LISTENER, NAME] Watched
        "Instant at which the certificate that a listener serves for a name expires, in seconds since the Unix epoch."
        "(sensgate_certificate_expiry_timestamp_seconds - time()) / 86400";
    CERTIFICATES_REFUSED = Counter "sensgate_certificates_refused_total" in "changes" by [] Digging
        "Changed certificate files that could not be used: the old certificate is served on."
        "increase(sensgate_certificates_refused_total[1d])";
    KEY_LAST_USED = Gauge "sensgate_key_last_used_timestamp_seconds" in "seconds since the Unix epoch" by [CONSUMER, KEY_ID] Watched
        "Instant at which the key was last accepted, in seconds since the Unix epoch. Absent for a key that was never used."
        "(time() - sensgate_key_last_used_timestamp_seconds) / 86400";
    CONFIG_RELOADED = Gauge "sensgate_config_last_reload_successful" in "0 or 1" by [] Watched
        "Whether the configuration was taken up when it was last read (1), or refused while the old one runs on (0)."
        "sensgate_config_last_reload_successful == 0";
    CONFIG_RELOAD_TIME = Gauge "sensgate_config_last_reload_success_timestamp_seconds" in "seconds since the Unix epoch" by [] Watched
        "Instant at which a configuration was last taken up, in seconds since the Unix epoch."
        "time() - sensgate_config_last_reload_success_timestamp_seconds";
    CONFIG_RESTART_NEEDED = Gauge "sensgate_config_restart_needed" in "0 or 1" by [] Watched
        "Whether the configuration holds something that only a restart takes up (1) or not (0)."
        "sensgate_config_restart_needed == 1";
    CONFIG_RELOADS = Counter "sensgate_config_reloads_total" in "reloads" by [RELOAD_RESULT] Digging
        "Times that the configuration was read again, by what came of it."
        "sum by (result) (increase(sensgate_config_reloads_total[1d]))";
    CERTIFICATE_SELF_SIGNED = Gauge "sensgate_certificate_self_signed" in "0 or 1" by [LISTENER] Digging
        "Whether a listener with ACME still waits for its first certificate and serves a self-signed one (1) or not (0)."
        "sensgate_certificate_self_signed == 1";
    ACME_ORDERS = Counter "sensgate_acme_orders_total" in "attempts" by [ORDER_RESULT] Digging
        "Attempts to get a certificate by ACME, by what came of them."
        "increase(sensgate_acme_orders_total{result=\"failed\"}[1d])";
    BUILD_INFO = Gauge "sensgate_build_info" in "always 1" by [VERSION, REVISION, RUSTC] Watched
        "What the gate was built from; always 1."
        "count by (version) (sensgate_build_info)";
    START_TIME = Gauge "sensgate_start_time_seconds" in "seconds since the Unix epoch" by [] Watched
        "Instant at which the gate started, in seconds since the Unix epoch."
        "time() - sensgate_start_time_seconds";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_follow_the_conventions() {
        let mut seen = HashSet::new();
        for Family { name, kind, unit, help, query, .. } in ALL {
            assert!(seen.insert(*name), "{name} stands twice");
            assert!(name.starts_with("sensgate_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(help.len() > 10 && help.ends_with('.'), "{name}");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            if *kind == Kind::Histogram {
                assert!(name.ends_with("_seconds"), "{name}");
            }
            assert_eq!(name.ends_with("_seconds"), unit.starts_with("seconds"), "{name}");
            assert!(query.contains(name), "{name}");
        }
    }
}
