//! The metrics of one gate, around its own registry. What is counted is declared in the
//! [`catalogue`](super::catalogue); the files of this folder say when.

mod certificates;
mod configuration;
mod connections;
mod managed_logins;
mod requests;

use crate::platform::clock;
use crate::telemetry::build_info;
use crate::telemetry::catalogue::Series;
use crate::telemetry::readings::Readings;
use certificates::Expiry;
use parking_lot::Mutex;
use prometheus::{Encoder, IntCounter, Registry, TextEncoder};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Everything that is counted and measured. Cheap to use from any thread; nothing here waits or allocates per request
/// once a series exists.
pub struct Metrics {
    registry: Registry,
    series: Series,
    /// No other metrics of this process have it.
    number: u64,
    /// What the gauge of their expiries was made from.
    certificates: Mutex<BTreeMap<SocketAddr, Vec<Expiry>>>,
}

impl Metrics {
    /// Makes the metrics of one gate, all at zero.
    ///
    /// # Panics
    /// Never: every name is valid and declared once in the catalogue, which a test holds.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the catalogue is a constant and a test registers all of it")]
    pub fn new() -> Self {
        Self::build().expect("catalogue names are valid and distinct")
    }

    fn build() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let series = Series::register(&registry)?;
        series.build_info.with_label_values(&[build_info::VERSION, build_info::REVISION, build_info::RUSTC]).set(1);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit 53 bits")]
        series.start_time.set(clock::now().wall.0 as f64 / 1000.0);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Ok(Self { registry, series, number, certificates: Mutex::default() })
    }

    /// States how many charges had to share a bucket so far.
    pub fn limiter_overflowed(&self, total: u64) {
        self.series.limiter_overflow.inc_by(total.saturating_sub(self.series.limiter_overflow.get()));
    }

    /// Counts a session record that was lost.
    pub fn state_write_failed(&self) {
        self.series.state_write_failures.inc();
    }

    /// Counts a task that ended in a panic.
    pub fn panicked(&self) {
        self.series.panics.inc();
    }

    /// The counter of lost access log lines.
    #[must_use]
    pub fn access_log_lines_dropped(&self) -> IntCounter {
        self.series.access_log_lines_dropped.clone()
    }

    /// The counter of lost audit log lines.
    #[must_use]
    pub fn audit_log_lines_dropped(&self) -> IntCounter {
        self.series.audit_log_lines_dropped.clone()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::denial::DenyCode;
    use crate::domain::exchange::Record;
    use crate::domain::fixture as domain;
    use crate::domain::policy::WouldRefuse;
    use crate::domain::rules::consumer::{Consumer, Credential};
    use crate::domain::session::LoginOutcome;
    use crate::domain::session::managed::Cause;
    use crate::domain::session::unfamiliar::Issued;
    use crate::domain::types::Wall;
    use crate::telemetry::catalogue;
    use crate::telemetry::family::FamilyKind;
    use crate::telemetry::fixture;
    use crate::tls::Certificate;
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::Duration;

    pub(super) fn scrape(metrics: &Metrics) -> String {
        String::from_utf8(metrics.render().1).unwrap()
    }

    pub(super) fn value(metrics: &Metrics, series: &str) -> Option<f64> {
        let scrape = scrape(metrics);
        let line = scrape.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    /// Metrics with at least one series of every family.
    pub(super) fn used() -> Metrics {
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
        metrics.sessions(3);
        metrics.set_sessions_max(1_000, 100);
        let login = Some(LoginOutcome::Accepted);
        metrics.observe(&Record { login, ..fixture::answered() });
        metrics.managed_login("shop", Cause::Idle, LoginOutcome::Accepted, Duration::from_millis(80));
        let credential = Credential { expires: Some(Wall(1_999)), ..Credential::named("k1") };
        let snapshot = Arc::new(domain::snapshot(vec![Consumer::named("shop", vec![credential])]));
        let tables = Arc::new(domain::tables(&snapshot));
        tables.key_uses.mark("shop", "k1", Wall(1_700_000_000_999));
        metrics.read_tables(&tables);
        metrics.read_keys_from(move || {
            // In place of a gate, this keeps the tables.
            let _kept = &tables;
            Some(Arc::clone(&snapshot))
        });
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
                FamilyKind::Counter => "counter",
                FamilyKind::Gauge => "gauge",
                FamilyKind::Histogram => "histogram",
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
    fn gates_in_one_process_count_apart() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.panicked();
        assert_eq!(value(&other, "sensgate_panics_total"), Some(0.0));
    }
}
