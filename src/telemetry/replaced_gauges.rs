//! Gauges whose series follow the configuration: all of them are replaced at once, so that those of what is gone do not
//! stay.

use crate::telemetry::family::{Family, FamilyKind, Metric};
use parking_lot::RwLock;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Opts};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One gauge for each set of label values. Not a `GaugeVec`: that one finds a series by the joined label values, so
/// that key `11` of `shop` and key `1` of `shop1` would be one series, and a scrape could see it half replaced.
#[derive(Clone)]
pub(crate) struct ReplacedGauges {
    family: Family,
    desc: Desc,
    gauges: Arc<RwLock<Vec<IntGauge>>>,
}

impl Metric for ReplacedGauges {
    const KIND: FamilyKind = FamilyKind::Gauge;

    fn of(family: Family) -> prometheus::Result<Self> {
        let labels = family.labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(family.name.into(), family.help.into(), labels, HashMap::new())?;
        Ok(Self { family, desc, gauges: Arc::default() })
    }
}

impl ReplacedGauges {
    /// Replaces all series. Of several with the same label values the first is kept.
    pub(crate) fn replace<'v, const N: usize>(&self, series: impl IntoIterator<Item = ([&'v str; N], i64)>) {
        let mut seen = HashSet::new();
        let gauges = series
            .into_iter()
            .filter(|(labels, _)| seen.insert(*labels))
            .filter_map(|(labels, value)| gauge(self.family, &labels, value).ok())
            .collect();
        *self.gauges.write() = gauges;
    }
}

fn gauge(family: Family, labels: &[&str], value: i64) -> prometheus::Result<IntGauge> {
    let opts = Opts::new(family.name, family.help);
    let opts = family.labels.iter().zip(labels).fold(opts, |opts, (name, value)| opts.const_label(*name, *value));
    let gauge = IntGauge::with_opts(opts)?;
    gauge.set(value);
    Ok(gauge)
}

impl Collector for ReplacedGauges {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauges.read().iter().flat_map(Collector::collect).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::catalogue::certificate_expiry;
    use prometheus::{Registry, TextEncoder};

    #[test]
    fn series_are_replaced_whole_and_never_run_together() {
        let (expiries, registry) = (ReplacedGauges::of(certificate_expiry()).unwrap(), Registry::new());
        registry.register(Box::new(expiries.clone())).unwrap();
        let samples = || -> Vec<String> {
            let scrape = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            scrape.lines().filter_map(|line| line.strip_prefix(certificate_expiry().name)).map(str::to_owned).collect()
        };
        assert_eq!(samples(), [""; 0]);
        expiries.replace([(["shop", "11"], 1_700_000_000), (["shop1", "1"], 1_800_000_000), (["gone", "k1"], -1)]);
        assert_eq!(
            samples(),
            [
                r#"{listener="gone",name="k1"} -1"#,
                r#"{listener="shop",name="11"} 1700000000"#,
                r#"{listener="shop1",name="1"} 1800000000"#,
            ]
        );
        expiries.replace([(["shop", "11"], 5), (["shop", "11"], 6)]);
        assert_eq!(samples(), [r#"{listener="shop",name="11"} 5"#]);
    }
}
