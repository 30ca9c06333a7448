//! The metrics of one gate, around its own registry.

use crate::domain::exchange::{Alarm, EndCode, Record};
use crate::domain::session::LoginOutcome;
use crate::domain::session::unfamiliar::Issued;
use crate::domain::tables::key_use::KeyUses;
use crate::domain::types::Wall;
use crate::platform::clock;
use crate::telemetry::catalogue::{self, Family};
use crate::telemetry::connection_outcome::ConnectionOutcome;
use crate::telemetry::gauge_guard::{InFlight, LingeringConnection, OpenConnection};
use crate::telemetry::history::Totals;
use crate::telemetry::readings::Readings;
use crate::telemetry::reload_result::ReloadResult;
use crate::telemetry::{build_info, key_last_use::KeyLastUses, replaced_gauges::ReplacedGauges};
use crate::tls::Certificate;
use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Seconds, made for an ERP behind the gate.
pub const DURATION_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Seconds, 25 µs to 10 ms.
pub const OVERHEAD_BUCKETS: &[f64] = &[0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01];

/// The `consumer` of a request without an accepted key, and the `status_class` of one that was sent no status.
const NONE: &str = "-";

/// The `route` of a request that no rule allowed by name.
const OTHER: &str = "other";

/// The first name of a certificate, and when it expires in seconds since the Unix epoch.
type Expiry = (Box<str>, i64);

/// Everything that is counted and measured. Cheap to use from any thread; nothing here waits or allocates per request
/// once a series exists.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    upstream_duration: HistogramVec,
    overhead: Histogram,
    in_flight: IntGauge,
    connections_open: IntGauge,
    connections_lingering: IntGauge,
    connections: IntCounterVec,
    connections_max: IntGauge,
    certificate_expiry: ReplacedGauges,
    /// What that gauge was made from.
    certificates: Mutex<BTreeMap<SocketAddr, Vec<Expiry>>>,
    certificate_self_signed: IntGaugeVec,
    acme_orders: IntCounterVec,
    certificates_refused: IntCounter,
    accept_failures: IntCounter,
    upstream_up: IntGaugeVec,
    upstream_connections: [IntCounter; 2],
    client_ip_unreadable: IntCounter,
    access_log_lines_dropped: IntCounter,
    logins: IntCounterVec,
    audit_log_lines_dropped: IntCounter,
    sessions: IntGauge,
    sessions_max: IntGauge,
    consumer_sessions: ReplacedGauges,
    consumer_sessions_max: IntGauge,
    would_refuse: IntCounterVec,
    alarms: IntCounterVec,
    state_write_failures: IntCounter,
    limiter_overflow: IntCounter,
    panics: IntCounter,
    key_expiries: ReplacedGauges,
    key_last_uses: KeyLastUses,
    config_reloaded: IntGauge,
    config_reload_time: IntGauge,
    config_restart_needed: IntGauge,
    config_reloads: IntCounterVec,
}

impl Metrics {
    /// Makes the metrics of one gate, all at zero.
    ///
    /// # Panics
    /// Never: every name is valid and stands once in the [`catalogue`], which a test holds.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the catalogue is a constant and a test registers all of it")]
    pub fn new() -> Self {
        Self::build().expect("catalogue names are valid and distinct")
    }

    fn build() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let metrics = Self {
            requests: IntCounterVec::new(opts(catalogue::REQUESTS), catalogue::REQUESTS.labels)?,
            request_duration: durations(catalogue::REQUEST_DURATION)?,
            upstream_duration: durations(catalogue::UPSTREAM_DURATION)?,
            overhead: Histogram::with_opts(histogram_opts(catalogue::OVERHEAD, OVERHEAD_BUCKETS))?,
            in_flight: IntGauge::with_opts(opts(catalogue::REQUESTS_IN_FLIGHT))?,
            connections_open: IntGauge::with_opts(opts(catalogue::CONNECTIONS_OPEN))?,
            connections_lingering: IntGauge::with_opts(opts(catalogue::CONNECTIONS_LINGERING))?,
            connections: IntCounterVec::new(opts(catalogue::CONNECTIONS), catalogue::CONNECTIONS.labels)?,
            certificate_expiry: ReplacedGauges::new(catalogue::CERTIFICATE_EXPIRY)?,
            certificates: Mutex::default(),
            certificate_self_signed: IntGaugeVec::new(
                opts(catalogue::CERTIFICATE_SELF_SIGNED),
                catalogue::CERTIFICATE_SELF_SIGNED.labels,
            )?,
            acme_orders: IntCounterVec::new(opts(catalogue::ACME_ORDERS), catalogue::ACME_ORDERS.labels)?,
            certificates_refused: IntCounter::with_opts(opts(catalogue::CERTIFICATES_REFUSED))?,
            connections_max: IntGauge::with_opts(opts(catalogue::CONNECTIONS_MAX))?,
            accept_failures: IntCounter::with_opts(opts(catalogue::ACCEPT_FAILURES))?,
            // A vector without labels is absent until it is set for the first time.
            upstream_up: IntGaugeVec::new(opts(catalogue::UPSTREAM_UP), catalogue::UPSTREAM_UP.labels)?,
            upstream_connections: upstream_connections(&registry)?,
            client_ip_unreadable: IntCounter::with_opts(opts(catalogue::CLIENT_IP_UNREADABLE))?,
            access_log_lines_dropped: IntCounter::with_opts(opts(catalogue::ACCESS_LOG_LINES_DROPPED))?,
            logins: IntCounterVec::new(opts(catalogue::LOGINS), catalogue::LOGINS.labels)?,
            audit_log_lines_dropped: IntCounter::with_opts(opts(catalogue::AUDIT_LOG_LINES_DROPPED))?,
            sessions: IntGauge::with_opts(opts(catalogue::SESSIONS))?,
            sessions_max: IntGauge::with_opts(opts(catalogue::SESSIONS_MAX))?,
            consumer_sessions: ReplacedGauges::new(catalogue::CONSUMER_SESSIONS)?,
            consumer_sessions_max: IntGauge::with_opts(opts(catalogue::CONSUMER_SESSIONS_MAX))?,
            would_refuse: IntCounterVec::new(opts(catalogue::WOULD_REFUSE), catalogue::WOULD_REFUSE.labels)?,
            alarms: IntCounterVec::new(opts(catalogue::ALARMS), catalogue::ALARMS.labels)?,
            state_write_failures: IntCounter::with_opts(opts(catalogue::STATE_WRITE_FAILURES))?,
            limiter_overflow: IntCounter::with_opts(opts(catalogue::LIMITER_OVERFLOW))?,
            panics: IntCounter::with_opts(opts(catalogue::PANICS))?,
            key_expiries: ReplacedGauges::new(catalogue::KEY_EXPIRY)?,
            key_last_uses: KeyLastUses::new()?,
            config_reloaded: IntGauge::with_opts(opts(catalogue::CONFIG_RELOADED))?,
            config_reload_time: IntGauge::with_opts(opts(catalogue::CONFIG_RELOAD_TIME))?,
            config_restart_needed: IntGauge::with_opts(opts(catalogue::CONFIG_RESTART_NEEDED))?,
            config_reloads: IntCounterVec::new(opts(catalogue::CONFIG_RELOADS), catalogue::CONFIG_RELOADS.labels)?,
            registry,
        };
        metrics.register()?;
        for outcome in ConnectionOutcome::ALL {
            metrics.connections.with_label_values(&[outcome.as_str()]);
        }
        for result in ["issued", "failed"] {
            metrics.acme_orders.with_label_values(&[result]);
        }
        for alarm in Alarm::ALL {
            metrics.alarms.with_label_values(&[alarm.as_str()]);
        }
        for result in ReloadResult::ALL {
            metrics.config_reloads.with_label_values(&[result.as_str()]);
        }
        Ok(metrics)
    }

    fn register(&self) -> prometheus::Result<()> {
        let collectors: [Box<dyn Collector>; 34] = [
            Box::new(self.requests.clone()),
            Box::new(self.request_duration.clone()),
            Box::new(self.upstream_duration.clone()),
            Box::new(self.overhead.clone()),
            Box::new(self.in_flight.clone()),
            Box::new(self.connections_open.clone()),
            Box::new(self.connections_lingering.clone()),
            Box::new(self.connections.clone()),
            Box::new(self.connections_max.clone()),
            Box::new(self.certificate_expiry.clone()),
            Box::new(self.certificate_self_signed.clone()),
            Box::new(self.acme_orders.clone()),
            Box::new(self.certificates_refused.clone()),
            Box::new(self.accept_failures.clone()),
            Box::new(self.upstream_up.clone()),
            Box::new(self.client_ip_unreadable.clone()),
            Box::new(self.access_log_lines_dropped.clone()),
            Box::new(self.logins.clone()),
            Box::new(self.audit_log_lines_dropped.clone()),
            Box::new(self.sessions.clone()),
            Box::new(self.sessions_max.clone()),
            Box::new(self.consumer_sessions.clone()),
            Box::new(self.consumer_sessions_max.clone()),
            Box::new(self.would_refuse.clone()),
            Box::new(self.alarms.clone()),
            Box::new(self.state_write_failures.clone()),
            Box::new(self.limiter_overflow.clone()),
            Box::new(self.panics.clone()),
            Box::new(self.key_expiries.clone()),
            Box::new(self.key_last_uses.clone()),
            Box::new(self.config_reloaded.clone()),
            Box::new(self.config_reload_time.clone()),
            Box::new(self.config_restart_needed.clone()),
            Box::new(self.config_reloads.clone()),
        ];
        for collector in collectors {
            self.registry.register(collector)?;
        }
        register_facts(&self.registry)
    }

    /// Counts one ended request.
    pub fn observe(&self, record: &Record) {
        let consumer = record.consumer.as_deref().unwrap_or(NONE);
        let route = record.route.as_deref().unwrap_or(OTHER);
        self.requests.with_label_values(&[consumer, route, status_class(record.status), record.code.as_str()]).inc();
        self.request_duration.with_label_values(&[consumer, route]).observe(record.total.as_secs_f64());
        if let Some(upstream) = record.upstream {
            self.upstream_duration.with_label_values(&[consumer, route]).observe(upstream.as_secs_f64());
        }
        self.overhead.observe(record.own.as_secs_f64());
        if record.client_ip_unreadable {
            self.client_ip_unreadable.inc();
        }
        if let Some(login) = record.login {
            self.logins.with_label_values(&[consumer, login.as_str()]).inc();
        }
        self.observe_notices(record, consumer);
    }

    /// Counts what would have been refused and what an admin has to look at.
    fn observe_notices(&self, record: &Record, consumer: &str) {
        if let Some(would) = record.would_refuse {
            let issued = would.issued.map_or(NONE, Issued::as_str);
            self.would_refuse.with_label_values(&[consumer, would.code.as_str(), issued]).inc();
        }
        if let Some(alarm) = record.alarm {
            self.alarms.with_label_values(&[alarm.as_str()]).inc();
        }
    }

    /// States how many places on tokens are known: in all, and of each consumer.
    pub fn sessions<'c>(&self, places: usize, consumers: impl IntoIterator<Item = (&'c str, usize)>) {
        self.sessions.set(gauge_value(places));
        self.consumer_sessions
            .replace(consumers.into_iter().map(|(consumer, places)| ([consumer], gauge_value(places))));
    }

    /// How many places there may be: in all, and of each consumer.
    pub fn set_sessions_max(&self, total: usize, per_consumer: usize) {
        self.sessions_max.set(gauge_value(total));
        self.consumer_sessions_max.set(gauge_value(per_consumer));
    }

    /// Makes the series of consumers whose first count has to be seen as a rise from zero.
    pub fn prepare<'c>(&self, consumers: impl IntoIterator<Item = &'c str>) {
        for consumer in consumers {
            for outcome in LoginOutcome::ALL {
                self.logins.with_label_values(&[consumer, outcome.as_str()]);
            }
        }
    }

    /// States how many charges had to share a bucket so far.
    pub fn limiter_overflowed(&self, total: u64) {
        self.limiter_overflow.inc_by(total.saturating_sub(self.limiter_overflow.get()));
    }

    /// Counts a session record that was lost.
    pub fn state_write_failed(&self) {
        self.state_write_failures.inc();
    }

    /// Counts a request as in flight until the guard is dropped.
    pub fn request_in_flight(&self) -> InFlight {
        InFlight::new(&self.in_flight)
    }

    /// Counts a connection as open until the guard is dropped. Does not count its outcome.
    pub fn connection(&self) -> OpenConnection {
        OpenConnection::new(&self.connections_open)
    }

    /// Counts a connection as one that waits for its caller to close, until the guard is dropped.
    pub fn lingering_connection(&self) -> LingeringConnection {
        LingeringConnection::new(&self.connections_lingering)
    }

    /// Counts a connection, once, when it is known what becomes of it.
    pub fn connection_outcome(&self, outcome: ConnectionOutcome) {
        self.connections.with_label_values(&[outcome.as_str()]).inc();
    }

    /// States whether 8sens could be reached.
    pub fn upstream_up(&self, up: bool) {
        self.upstream_up.with_label_values::<&str>(&[]).set(i64::from(up));
    }

    /// The expiry of what a listener serves from now on, each certificate under its first name.
    pub fn set_certificate_expiries(&self, listener: SocketAddr, certificates: &[Certificate]) {
        let expiry = |certificate: &Certificate| {
            let name = certificate.names().next().unwrap_or_default();
            (name.into(), certificate.not_after().0.div_euclid(1000))
        };
        let mut all = self.certificates.lock();
        all.insert(listener, certificates.iter().map(expiry).collect());
        let listeners: Vec<_> = all.iter().map(|(listener, served)| (listener.to_string(), served)).collect();
        self.certificate_expiry.replace(listeners.iter().flat_map(|(listener, served)| {
            served.iter().map(|(name, expiry)| ([listener.as_str(), name.as_ref()], *expiry))
        }));
    }

    /// States whether a listener still waits for its first certificate.
    pub fn set_self_signed(&self, listener: SocketAddr, self_signed: bool) {
        self.certificate_self_signed.with_label_values(&[listener.to_string()]).set(i64::from(self_signed));
    }

    /// Counts an attempt to get a certificate.
    pub fn acme_order(&self, issued: bool) {
        self.acme_orders.with_label_values(&[if issued { "issued" } else { "failed" }]).inc();
    }

    /// Counts a changed certificate that could not be used.
    pub fn certificate_refused(&self) {
        self.certificates_refused.inc();
    }

    /// How many connections of callers may be open at the same time.
    pub fn set_connections_max(&self, max: usize) {
        self.connections_max.set(gauge_value(max));
    }

    /// Counts a connection that could not be accepted for want of descriptors or memory.
    pub fn accept_failed(&self) {
        self.accept_failures.inc();
    }

    /// Counts a connection to 8sens taken for a request.
    pub fn upstream_connected(&self, reused: bool) {
        self.upstream_connections[usize::from(reused)].inc();
    }

    /// Counts a task that ended in a panic.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// The counter of lost access log lines.
    #[must_use]
    pub fn access_log_lines_dropped(&self) -> IntCounter {
        self.access_log_lines_dropped.clone()
    }

    /// The counter of lost audit log lines.
    #[must_use]
    pub fn audit_log_lines_dropped(&self) -> IntCounter {
        self.audit_log_lines_dropped.clone()
    }

    /// Replaces the expiries of all keys: consumer, key id, first instant at which the key is no longer valid.
    pub fn set_key_expiries<'k>(&self, keys: impl IntoIterator<Item = (&'k str, &'k str, Wall)>) {
        let seconds = |expires: Wall| expires.0.div_euclid(1000);
        self.key_expiries.replace(keys.into_iter().map(|(consumer, id, expires)| ([consumer, id], seconds(expires))));
    }

    /// States where the last uses of keys are found.
    pub fn read_key_uses_from(&self, uses: Arc<KeyUses>) {
        self.key_last_uses.read_from(uses);
    }

    /// A configuration is in force, at a start or after a reload; `restart_needed` when a part of it waits for a restart.
    pub fn config_taken_up(&self, at: Wall, restart_needed: bool) {
        self.config_reloaded.set(1);
        self.config_reload_time.set(at.0.div_euclid(1000));
        self.config_restart_needed.set(i64::from(restart_needed));
    }

    /// A changed configuration was refused: the old one runs on.
    pub fn config_refused(&self) {
        self.config_reloaded.set(0);
    }

    /// Counts one reading of the configuration.
    pub fn config_reloads(&self, result: ReloadResult) {
        self.config_reloads.with_label_values(&[result.as_str()]).inc();
    }

    /// What the history is made of.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for family in self.requests.collect() {
            for metric in family.get_metric() {
                let count = metric.get_counter().value() as u64;
                let code = metric.get_label().iter().find(|label| label.name() == "code");
                totals.requests += count;
                if code.is_some_and(|code| EndCode::is_refusal_word(code.value())) {
                    totals.refusals += count;
                }
            }
        }
        for family in self.request_duration.collect() {
            for metric in family.get_metric() {
                let histogram = metric.get_histogram();
                totals.timed += histogram.get_sample_count();
                totals.durations.resize(histogram.get_bucket().len(), 0);
                for (sum, bucket) in totals.durations.iter_mut().zip(histogram.get_bucket()) {
                    *sum += bucket.cumulative_count();
                }
            }
        }
        totals
    }

    /// All series as they are now.
    #[must_use]
    pub fn readings(&self) -> Readings {
        Readings(self.registry.gather())
    }

    /// Writes a scrape in the Prometheus text format. The first value is its content type.
    #[must_use]
    pub fn render(&self) -> (&'static str, Vec<u8>) {
        let mut scrape = Vec::with_capacity(16 * 1024);
        // Writing to memory cannot fail, and the registry prunes the empty families that the encoder would refuse.
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut scrape) {
            tracing::error!(%error, "metrics could not be rendered completely");
        }
        (prometheus::TEXT_FORMAT, scrape)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn gauge_value(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn opts(family: Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn histogram_opts(family: Family, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(family.name, family.help).buckets(buckets.to_vec())
}

/// `consumer` and `route` cannot run into each other, although the vector finds a series by the joined values: a route
/// is `other` or begins with a method or `*`, no method ends in another one, and a consumer's name has no space.
fn durations(family: Family) -> prometheus::Result<HistogramVec> {
    HistogramVec::new(histogram_opts(family, DURATION_BUCKETS), family.labels)
}

fn upstream_connections(registry: &Registry) -> prometheus::Result<[IntCounter; 2]> {
    let family = catalogue::UPSTREAM_CONNECTIONS;
    let counters = IntCounterVec::new(opts(family), family.labels)?;
    registry.register(Box::new(counters.clone()))?;
    Ok(["false", "true"].map(|reused| counters.with_label_values(&[reused])))
}

/// Registers what never changes while the process runs, and the process itself.
fn register_facts(registry: &Registry) -> prometheus::Result<()> {
    let build = IntGaugeVec::new(opts(catalogue::BUILD_INFO), catalogue::BUILD_INFO.labels)?;
    build.with_label_values(&[build_info::VERSION, build_info::REVISION, build_info::RUSTC]).set(1);
    registry.register(Box::new(build))?;

    let started = Gauge::with_opts(opts(catalogue::START_TIME))?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit 53 bits")]
    started.set(clock::now().wall.0 as f64 / 1000.0);
    registry.register(Box::new(started))?;

    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    Ok(())
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
    use super::*;
    use crate::domain::denial::DenyCode;
    use crate::domain::exchange::EndCode;
    use crate::domain::policy::WouldRefuse;
    use crate::domain::types::RequestId;
    use crate::telemetry::catalogue::Kind;
    use crate::telemetry::fixture;
    use std::collections::{BTreeMap, HashSet};

    fn scrape(metrics: &Metrics) -> String {
        String::from_utf8(metrics.render().1).unwrap()
    }

    fn value(metrics: &Metrics, series: &str) -> Option<f64> {
        let scrape = scrape(metrics);
        let line = scrape.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    /// Metrics with at least one series of every family.
    fn used() -> Metrics {
        let metrics = Metrics::new();
        metrics.observe(&fixture::answered());
        let would_refuse =
            Some(WouldRefuse { code: DenyCode::SessionUnknown, reason: None, issued: Some(Issued::Elsewhere) });
        metrics.observe(&Record { would_refuse, ..fixture::answered() });
        metrics.upstream_up(true);
        let made = rcgen::generate_simple_self_signed(["gate.example".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem();
        let certificate = Certificate::from_pem(made.cert.pem().as_bytes(), key.as_bytes()).unwrap();
        metrics.set_certificate_expiries("127.0.0.1:443".parse().unwrap(), &[certificate]);
        metrics.set_self_signed("127.0.0.1:443".parse().unwrap(), false);
        metrics.set_key_expiries([("shop", "k1", Wall(1_999))]);
        metrics.sessions(3, [("shop", 2)]);
        metrics.set_sessions_max(1_000, 100);
        metrics.prepare(["shop"]);
        let uses = KeyUses::default();
        let credential = crate::domain::rules::consumer::Credential::named("k1");
        uses.adopt(&crate::domain::rules::consumer::ConsumerTable::new(vec![
            crate::domain::rules::consumer::Consumer::named("shop", vec![credential]),
        ]));
        uses.mark("shop", "k1", Wall(1_700_000_000_999));
        metrics.read_key_uses_from(Arc::new(uses));
        metrics
    }

    #[test]
    fn a_scrape_holds_exactly_the_catalogue_with_help_and_type() {
        let scrape = scrape(&used());
        let comments = |word: &str| -> BTreeMap<String, String> {
            let prefix = format!("# {word} ");
            let rest = scrape.lines().filter_map(|line| line.strip_prefix(&prefix));
            rest.map(|rest| rest.split_once(' ').unwrap()).map(|(k, v)| (k.into(), v.into())).collect()
        };
        let (help, types) = (comments("HELP"), comments("TYPE"));
        let own = types.keys().filter(|name| name.starts_with("sensgate_"));
        assert_eq!(own.collect::<HashSet<_>>().len(), catalogue::ALL.len());
        for family in catalogue::ALL {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            assert_eq!(types.get(family.name).map(String::as_str), Some(kind), "{}", family.name);
            assert_eq!(help.get(family.name).map(String::as_str), Some(family.help));
        }
        assert!(types.keys().all(|name| help.contains_key(name)), "every metric has help");
        for (name, kind) in &types {
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        }
        #[cfg(target_os = "linux")]
        assert!(types.contains_key("process_resident_memory_bytes"));
    }

    #[test]
    fn the_last_use_of_a_key_is_read_at_the_scrape() {
        let series = r#"sensgate_key_last_used_timestamp_seconds{consumer="shop",key_id="k1"}"#;
        assert_eq!(value(&used(), series), Some(1_700_000_000.0));
        assert_eq!(value(&Metrics::new(), series), None);
    }

    #[test]
    fn a_refused_reload_shows_until_one_is_taken_up() {
        let metrics = Metrics::new();
        let state = || {
            ["successful", "success_timestamp_seconds"]
                .map(|name| value(&metrics, &format!("sensgate_config_last_reload_{name}")))
        };
        metrics.config_taken_up(Wall(5_999), false);
        assert_eq!(state(), [Some(1.0), Some(5.0)]);
        metrics.config_refused();
        metrics.config_reloads(ReloadResult::Refused);
        assert_eq!(state(), [Some(0.0), Some(5.0)]);
        assert_eq!(value(&metrics, r#"sensgate_config_reloads_total{result="refused"}"#), Some(1.0));
        assert_eq!(value(&metrics, r#"sensgate_config_reloads_total{result="applied"}"#), Some(0.0));
        metrics.config_taken_up(Wall(9_000), true);
        assert_eq!(state(), [Some(1.0), Some(9.0)]);
        assert_eq!(value(&metrics, "sensgate_config_restart_needed"), Some(1.0));
    }

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
        assert_eq!(value(&metrics, "sensgate_overhead_duration_seconds_count"), Some(10_002.0));
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

    #[test]
    fn gates_in_one_process_count_apart() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.panicked();
        assert_eq!(value(&other, "sensgate_panics_total"), Some(0.0));
    }
}
