//! Requests: how many there were, how long they took, what an admin has to know about them.

use super::Metrics;
use crate::domain::exchange::{Alarm, EndCode, Record};
use crate::domain::session::LoginOutcome;
use crate::domain::session::unfamiliar::Issued;
use crate::telemetry::gauge_guard::InFlight;
use prometheus::{Histogram, IntCounter};
use std::cell::RefCell;
use std::sync::Arc;

/// The `consumer` of a request without an accepted key, and the `status_class` of one that was sent no status.
const NONE: &str = "-";

/// The `route` of a request that no rule allowed by name.
const OTHER: &str = "other";

/// Series that a thread finds again without their labels, by kind of request.
const FOUND_MAX: usize = 256;

/// Spreads addresses over the bits of a word.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

impl Metrics {
    /// Counts one ended request.
    pub fn observe(&self, record: &Record) {
        let consumer = record.consumer.as_deref().unwrap_or(NONE);
        self.with_found(record, |found| {
            found.requests.inc();
            found.duration.observe(record.total.as_secs_f64());
            if let Some(upstream) = record.upstream {
                let series = found.upstream_duration.get_or_insert_with(|| {
                    let route = record.route.as_deref().unwrap_or(OTHER);
                    self.series.upstream_duration.with_label_values(&[consumer, route])
                });
                series.observe(upstream.as_secs_f64());
            }
        });
        self.series.overhead.observe(record.own.as_secs_f64());
        if record.client_ip_unreadable {
            self.series.client_ip_unreadable.inc();
        }
        if let Some(login) = record.login {
            self.login(consumer, login);
        }
        if let Some(wait) = record.login_wait {
            self.series.login_wait.observe(wait.as_secs_f64());
        }
        self.observe_notices(record, consumer);
    }

    /// Gives `observe` the series of a record: those that this thread has found lately, or else found by their labels.
    fn with_found(&self, record: &Record, observe: impl FnOnce(&mut Found)) {
        thread_local! {
            static LATELY: RefCell<Vec<Option<Found>>> = const { RefCell::new(Vec::new()) };
        }
        let sought = Sought::of(self.number, record);
        LATELY.with_borrow_mut(|lately| {
            if lately.is_empty() {
                lately.resize_with(FOUND_MAX, || None);
            }
            let slot = &mut lately[sought.slot()];
            if !slot.as_ref().is_some_and(|found| found.is(&sought)) {
                *slot = Some(self.find(record));
            }
            if let Some(found) = slot {
                observe(found);
            }
        });
    }

    fn find(&self, record: &Record) -> Found {
        let consumer = record.consumer.as_deref().unwrap_or(NONE);
        let route = record.route.as_deref().unwrap_or(OTHER);
        let class = status_class(record.status);
        Found {
            of: self.number,
            consumer: record.consumer.clone(),
            route: record.route.clone(),
            class,
            code: record.code,
            requests: self.series.requests.with_label_values(&[consumer, route, class, record.code.as_str()]),
            duration: self.series.request_duration.with_label_values(&[consumer, route]),
            upstream_duration: None,
        }
    }

    /// Counts a login that went out to 8sens.
    pub(super) fn login(&self, consumer: &str, outcome: LoginOutcome) {
        self.series.logins.with_label_values(&[consumer, outcome.as_str()]).inc();
        // Whatever else comes of a login later is then seen as a rise from zero.
        for outcome in LoginOutcome::ALL {
            self.series.logins.with_label_values(&[consumer, outcome.as_str()]);
        }
    }

    /// Counts an alarm that is about no request.
    pub fn alarm(&self, alarm: Alarm) {
        self.series.alarms.with_label_values(&[alarm.as_str()]).inc();
    }

    /// Counts what would have been refused and what an admin has to look at.
    fn observe_notices(&self, record: &Record, consumer: &str) {
        if let Some(would) = record.would_refuse {
            let issued = would.issued.map_or(NONE, Issued::as_str);
            self.series.would_refuse.with_label_values(&[consumer, would.code.as_str(), issued]).inc();
        }
        if let Some(alarm) = record.alarm {
            self.alarm(alarm);
        }
    }

    /// Counts a request as in flight until the guard is dropped.
    pub fn request_in_flight(&self) -> InFlight {
        InFlight::new(&self.series.requests_in_flight)
    }
}

/// What tells the series of a record from others. Names are told apart by where they are: each has one place for as
/// long as its configuration is in force.
struct Sought<'r> {
    of: u64,
    consumer: Option<&'r Arc<str>>,
    route: Option<&'r Arc<str>>,
    class: &'static str,
    code: EndCode,
}

impl<'r> Sought<'r> {
    fn of(metrics: u64, record: &'r Record) -> Self {
        let (consumer, route) = (record.consumer.as_ref(), record.route.as_ref());
        Self { of: metrics, consumer, route, class: status_class(record.status), code: record.code }
    }

    /// Where among those found lately it is looked for.
    fn slot(&self) -> usize {
        let place = |name: Option<&Arc<str>>| name.map_or(0, |name| name.as_ptr().addr() as u64);
        let class = u64::from(self.class.as_bytes()[0]);
        let mixed = (place(self.consumer).rotate_left(20) ^ place(self.route) ^ class).wrapping_mul(MIX);
        // The upper bits depend on all of them.
        (mixed >> 56) as usize % FOUND_MAX
    }
}

/// The series of requests of one consumer on one route that ended in one way. They are never taken out of the registry,
/// so what was found once stays right.
struct Found {
    of: u64,
    /// Held, so that no other name can be in its place.
    consumer: Option<Arc<str>>,
    route: Option<Arc<str>>,
    class: &'static str,
    code: EndCode,
    requests: IntCounter,
    duration: Histogram,
    /// `None` until a request was taken to 8sens.
    upstream_duration: Option<Histogram>,
}

impl Found {
    fn is(&self, sought: &Sought<'_>) -> bool {
        let same = |one: Option<&Arc<str>>, other: Option<&Arc<str>>| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        self.of == sought.of
            && same(self.consumer.as_ref(), sought.consumer)
            && same(self.route.as_ref(), sought.route)
            && self.class == sought.class
            && self.code == sought.code
    }
}

const fn status_class(status: Option<u16>) -> &'static str {
    match status {
        None => NONE,
        Some(100..=199) => "1xx",
        Some(200..=299) => "2xx",
        Some(300..=399) => "3xx",
        Some(400..=499) => "4xx",
        Some(500..=599) => "5xx",
        Some(_) => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{scrape, used, value};
    use super::*;
    use crate::domain::denial::DenyCode;
    use crate::domain::exchange::EndCode;
    use crate::domain::types::RequestId;
    use crate::telemetry::fixture;
    use std::collections::HashSet;

    #[test]
    fn series_do_not_grow_with_what_strangers_send() {
        let metrics = used();
        let before = scrape(&metrics).lines().count();
        let template = fixture::answered();
        for i in 0..10_000u32 {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&i.to_be_bytes());
            metrics.observe(&Record {
                method: format!("M{i}").into_bytes().into(),
                path: format!("/v1/{i}").into_bytes().into(),
                request_id: RequestId::from_random(id),
                client_ip: std::net::Ipv4Addr::from(i).into(),
                ..template.clone()
            });
        }
        assert_eq!(scrape(&metrics).lines().count(), before);
        assert_eq!(value(&metrics, "sensgate_overhead_duration_seconds_count"), Some(10_003.0));
    }

    #[test]
    fn a_request_without_consumer_route_and_status() {
        let metrics = Metrics::new();
        metrics.observe(&Record {
            consumer: None,
            route: None,
            status: None,
            upstream: None,
            code: EndCode::Denied(DenyCode::MalformedRequest),
            client_ip_unreadable: true,
            ..fixture::answered()
        });
        let series = r#"sensgate_requests_total{code="malformed_request",consumer="-",route="other",status_class="-"}"#;
        assert_eq!(value(&metrics, series), Some(1.0));
        assert_eq!(value(&metrics, "sensgate_client_ip_unreadable_total"), Some(1.0));
        assert!(!scrape(&metrics).contains("sensgate_upstream_request_duration_seconds"));
    }

    #[test]
    fn outcomes_of_logins_count_from_zero_once_a_consumer_logs_in() {
        let metrics = Metrics::new();
        let series = |result| format!(r#"sensgate_logins_total{{consumer="boutique-paris",result="{result}"}}"#);
        metrics.observe(&fixture::answered());
        assert!(!scrape(&metrics).contains("sensgate_logins_total{"), "nothing is kept of who never logged in");
        metrics.observe(&Record { login: Some(LoginOutcome::Accepted), ..fixture::answered() });
        assert_eq!(value(&metrics, &series("accepted")), Some(1.0));
        assert_eq!(value(&metrics, &series("refused")), Some(0.0));
    }

    #[test]
    fn every_status_has_a_class_of_the_closed_set() {
        let classes: HashSet<_> = (0..=u16::MAX).map(|status| status_class(Some(status))).collect();
        assert_eq!(classes, HashSet::from(["1xx", "2xx", "3xx", "4xx", "5xx", "other"]));
    }

    /// A vector finds its series by the joined label values, so class and code must be readable from the end.
    #[test]
    fn class_and_code_cannot_run_into_the_route() {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx", "other", "-"];
        let denied = DenyCode::ALL.iter().map(|code| EndCode::Denied(*code));
        let codes: Vec<_> = [EndCode::Ok, EndCode::CallerLeft, EndCode::Aborted].into_iter().chain(denied).collect();
        let joined: Vec<_> = classes
            .iter()
            .flat_map(|class| codes.iter().map(move |code| format!("{class}{}", code.as_str())))
            .collect();
        for (i, one) in joined.iter().enumerate() {
            assert!(joined.iter().enumerate().all(|(j, other)| i == j || !other.ends_with(one.as_str())), "{one}");
        }
    }

    #[test]
    fn guards_count_back_when_dropped() {
        let metrics = Metrics::new();
        let held = (metrics.request_in_flight(), metrics.request_in_flight(), metrics.connection());
        assert_eq!(value(&metrics, "sensgate_requests_in_flight"), Some(2.0));
        assert_eq!(value(&metrics, "sensgate_connections_open"), Some(1.0));
        drop(held);
        assert_eq!(value(&metrics, "sensgate_requests_in_flight"), Some(0.0));
        assert_eq!(value(&metrics, "sensgate_connections_open"), Some(0.0));
    }
}
