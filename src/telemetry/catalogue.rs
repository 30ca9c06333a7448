//! Every metric of the gate in one place: name, kind, labels and help.
//!
//! Label values come from the configuration or from closed sets, never from a request.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// Declares the families, and the list of them all.
macro_rules! families {
    ($($ident:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub const $ident: Family =
            Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)+

        /// Every family, in the order of the documentation.
        pub const ALL: &[Family] = &[$($ident,)+];
    };
}

families! {
    REQUESTS = Counter "sensgate_requests_total" ["consumer", "route", "status_class", "code"]
        "Ended requests by consumer, route rule, class of the status sent and code.";
    REQUEST_DURATION = Histogram "sensgate_request_duration_seconds" ["consumer", "route"]
        "Time from the complete request head to the end of the request.";
    UPSTREAM_DURATION = Histogram "sensgate_upstream_request_duration_seconds" ["consumer", "route"]
        "Time from the start of the connect to 8sens to the last byte of its answer.";
    OVERHEAD = Histogram "sensgate_overhead_duration_seconds" []
        "The gate's own share of a request's duration.";
    REQUESTS_IN_FLIGHT = Gauge "sensgate_requests_in_flight" []
        "Requests that have begun and not yet ended.";
    CONNECTIONS_OPEN = Gauge "sensgate_connections_open" []
        "Open connections of callers.";
    CONNECTIONS = Counter "sensgate_connections_total" ["outcome"]
        "Connections of callers by what became of them.";
    CONNECTIONS_MAX = Gauge "sensgate_connections_max" []
        "Connections of callers that may be open at the same time: as configured, or fewer when descriptors are short.";
    ACCEPT_FAILURES = Counter "sensgate_accept_failures_total" []
        "Times that no connection could be accepted because the system had no descriptor or memory for it.";
    UPSTREAM_UP = Gauge "sensgate_upstream_up" []
        "Whether 8sens could be reached when it was last tried (1) or not (0). Absent until it is known.";
    UPSTREAM_CONNECTIONS = Counter "sensgate_upstream_connections_total" ["reused"]
        "Connections to 8sens taken for a request, new or reused.";
    CLIENT_IP_UNREADABLE = Counter "sensgate_client_ip_unreadable_total" []
        "Requests whose client address a trusted proxy stated in a way that could not be read.";
    ACCESS_LOG_LINES_DROPPED = Counter "sensgate_access_log_lines_dropped_total" []
        "Access log lines lost because the queue was full or the target could not be written.";
    SESSIONS = Gauge "sensgate_sessions" []
        "Places on tokens of 8sens that are known: one for each owner of each token, some of them expired.";
    WOULD_REFUSE = Counter "sensgate_would_refuse_total" ["consumer", "code", "issued"]
        "Forwarded requests that would have been refused, were the rule not in shadow or sessions not just observed.";
    ALARMS = Counter "sensgate_alarms_total" ["alarm"]
        "Things that an admin has to look at, by kind.";
    STATE_WRITE_FAILURES = Counter "sensgate_state_write_failures_total" []
        "Session records that could not be written down: those sessions do not survive a restart.";
    LIMITER_OVERFLOW = Counter "sensgate_limiter_overflow_total" []
        "Charges of address budgets that had to share a bucket because all of them were in use.";
    PANICS = Counter "sensgate_panics_total" []
        "Tasks of the gate that ended in a panic.";
    KEY_EXPIRY = Gauge "sensgate_key_expiry_timestamp_seconds" ["consumer", "key_id"]
        "Instant from which the key is no longer valid, in seconds since the Unix epoch. Absent for a key that never expires.";
    CERTIFICATE_EXPIRY = Gauge "sensgate_certificate_expiry_timestamp_seconds" ["listener", "name"]
        "Instant at which the certificate that a listener serves for a name expires, in seconds since the Unix epoch.";
    CERTIFICATES_REFUSED = Counter "sensgate_certificates_refused_total" []
        "Changed certificate files that could not be used: the old certificate is served on.";
    BUILD_INFO = Gauge "sensgate_build_info" ["version", "revision", "rustc"]
        "What the gate was built from; always 1.";
    START_TIME = Gauge "sensgate_start_time_seconds" []
        "Instant at which the gate started, in seconds since the Unix epoch.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_follow_the_conventions() {
        let mut seen = HashSet::new();
        for Family { name, kind, help, .. } in ALL {
            assert!(seen.insert(*name), "{name} stands twice");
            assert!(name.starts_with("sensgate_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(help.len() > 10 && help.ends_with('.'), "{name}");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            if *kind == Kind::Histogram {
                assert!(name.ends_with("_seconds"), "{name}");
            }
        }
    }
}
