//! The metrics of this gate, read by the gate itself: for its status page.

use prometheus::proto::MetricFamily;

/// All series at one moment.
pub struct Readings(pub(super) Vec<MetricFamily>);

impl Readings {
    /// The gauges of a family, each with its label values by name. Empty for one that does not exist or was never set.
    #[must_use]
    pub fn gauges(&self, family: &str) -> Vec<(Vec<(String, String)>, f64)> {
        self.series(family, |metric| metric.get_gauge().value())
    }

    /// The first gauge of a family: the only one of a family without labels.
    #[must_use]
    pub fn gauge(&self, family: &str) -> Option<f64> {
        self.gauges(family).first().map(|(_, value)| *value)
    }

    /// All counters of a family together, 0 for one that does not exist.
    #[must_use]
    pub fn count(&self, family: &str) -> u64 {
        self.counts(family).iter().map(|(_, count)| count).sum()
    }

    /// The counters of a family, each with its label values by name.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters are whole and not negative")]
    pub fn counts(&self, family: &str) -> Vec<(Vec<(String, String)>, u64)> {
        self.series(family, |metric| metric.get_counter().value() as u64)
    }

    fn series<T>(
        &self,
        family: &str,
        value: impl Fn(&prometheus::proto::Metric) -> T,
    ) -> Vec<(Vec<(String, String)>, T)> {
        let families = self.0.iter().filter(|found| found.name() == family);
        families
            .flat_map(|found| found.get_metric())
            .map(|metric| {
                let labels = metric.get_label().iter().map(|pair| (pair.name().to_owned(), pair.value().to_owned()));
                (labels.collect(), value(metric))
            })
            .collect()
    }
}
