//! Gauges that are read where they are known, at each scrape: between two scrapes they cost neither time nor memory,
//! however many consumers there are.

use crate::telemetry::family::{Family, FamilyKind, Metric};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// Takes the values of the labels, in the order of the declaration, and what the series reads.
pub(crate) type Series<'s> = dyn FnMut(&[&str], i64) + 's;

/// Names every series there is, each set of label values once.
type Source = dyn Fn(&mut Series<'_>) + Send + Sync;

/// One gauge for each series that its source names. Not a `GaugeVec`: that one finds a series by the joined label
/// values, so that key `11` of `shop` and key `1` of `shop1` would be one series, and those of what is gone would stay.
#[derive(Clone)]
pub(crate) struct ReadGauges {
    family: Family,
    desc: Desc,
    source: Arc<OnceLock<Box<Source>>>,
}

impl Metric for ReadGauges {
    const KIND: FamilyKind = FamilyKind::Gauge;

    fn of(family: Family) -> prometheus::Result<Self> {
        let labels = family.labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(family.name.into(), family.help.into(), labels, HashMap::new())?;
        Ok(Self { family, desc, source: Arc::default() })
    }
}

impl ReadGauges {
    /// States where the series are found. A second call changes nothing: a gate has one set of tables for its life.
    pub(crate) fn read_from(&self, source: impl Fn(&mut Series<'_>) + Send + Sync + 'static) {
        let _ = self.source.set(Box::new(source));
    }

    fn labelled(&self, values: &[&str], reading: i64) -> proto::Metric {
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::new();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut pairs: Vec<LabelPair> = self.family.labels.iter().zip(values).map(pair).collect();
        // The registry takes two series for the same one when their labels are in another order.
        pairs.sort_by(|one, other| one.name().cmp(other.name()));
        let mut gauge = proto::Gauge::new();
        #[expect(clippy::cast_precision_loss, reason = "counts and seconds fit 53 bits")]
        gauge.set_value(reading as f64);
        let mut metric = proto::Metric::from_gauge(gauge);
        metric.set_label(pairs);
        metric
    }
}

impl Collector for ReadGauges {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut metrics = Vec::new();
        if let Some(source) = self.source.get() {
            source(&mut |values, reading| metrics.push(self.labelled(values, reading)));
        }
        if metrics.is_empty() {
            return Vec::new();
        }
        let mut family = MetricFamily::new();
        family.set_name(self.family.name.to_owned());
        family.set_help(self.family.help.to_owned());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(metrics);
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::catalogue::key_expiry;
    use parking_lot::Mutex;
    use prometheus::{Registry, TextEncoder};

    #[test]
    fn a_scrape_shows_what_the_source_names_then_and_series_never_run_together() {
        let (expiries, registry) = (ReadGauges::of(key_expiry()).unwrap(), Registry::new());
        registry.register(Box::new(expiries.clone())).unwrap();
        let samples = || -> Vec<String> {
            let scrape = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            scrape.lines().filter_map(|line| line.strip_prefix(key_expiry().name)).map(str::to_owned).collect()
        };
        assert_eq!(samples(), [""; 0]);
        let known = Arc::new(Mutex::new(vec![("shop", "11", 1_700_000_000), ("shop1", "1", 1_800_000_000)]));
        let read = Arc::clone(&known);
        expiries.read_from(move |each| read.lock().iter().for_each(|(shop, key, end)| each(&[shop, key], *end)));
        assert_eq!(
            samples(),
            [r#"{consumer="shop",key_id="11"} 1700000000"#, r#"{consumer="shop1",key_id="1"} 1800000000"#]
        );
        *known.lock() = vec![("gone", "k1", -1)];
        assert_eq!(samples(), [r#"{consumer="gone",key_id="k1"} -1"#]);
    }
}
