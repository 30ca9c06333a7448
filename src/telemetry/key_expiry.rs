//! The expiry of every key as a metric, replaced whole at each reload.

use crate::telemetry::catalogue::KEY_EXPIRY;
use crate::types::Wall;
use parking_lot::RwLock;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Opts};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One gauge per key. Not a `GaugeVec`: that one finds a series by its joined label values, so that key `11` of `shop`
/// and key `1` of `shop1` would be one series, and a scrape could see it half replaced.
#[derive(Clone)]
pub(crate) struct KeyExpiries {
    desc: Desc,
    gauges: Arc<RwLock<Vec<IntGauge>>>,
}

impl KeyExpiries {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let labels = KEY_EXPIRY.labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(KEY_EXPIRY.name.into(), KEY_EXPIRY.help.into(), labels, HashMap::new())?;
        Ok(Self { desc, gauges: Arc::default() })
    }

    /// Replaces all series. A key named twice keeps its first expiry.
    pub(crate) fn replace<'k>(&self, keys: impl IntoIterator<Item = (&'k str, &'k str, Wall)>) {
        let mut seen = HashSet::new();
        let gauges = keys
            .into_iter()
            .filter(|(consumer, key_id, _)| seen.insert((*consumer, *key_id)))
            .filter_map(|(consumer, key_id, expires)| gauge(consumer, key_id, expires).ok())
            .collect();
        *self.gauges.write() = gauges;
    }
}

fn gauge(consumer: &str, key_id: &str, expires: Wall) -> prometheus::Result<IntGauge> {
    let opts = Opts::new(KEY_EXPIRY.name, KEY_EXPIRY.help)
        .const_label(KEY_EXPIRY.labels[0], consumer)
        .const_label(KEY_EXPIRY.labels[1], key_id);
    let gauge = IntGauge::with_opts(opts)?;
    gauge.set(expires.0.div_euclid(1000));
    Ok(gauge)
}

impl Collector for KeyExpiries {
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
    use prometheus::{Registry, TextEncoder};

    #[test]
    fn keys_are_replaced_whole_and_never_run_together() {
        let (expiries, registry) = (KeyExpiries::new().unwrap(), Registry::new());
        registry.register(Box::new(expiries.clone())).unwrap();
        let samples = || -> Vec<String> {
            let scrape = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            scrape.lines().filter_map(|line| line.strip_prefix(KEY_EXPIRY.name)).map(str::to_owned).collect()
        };
        assert_eq!(samples(), [""; 0]);
        expiries.replace([
            ("shop", "11", Wall(1_700_000_000_999)),
            ("shop1", "1", Wall(1_800_000_000_000)),
            ("gone", "k1", Wall(-1)),
        ]);
        assert_eq!(
            samples(),
            [
                r#"{consumer="gone",key_id="k1"} -1"#,
                r#"{consumer="shop",key_id="11"} 1700000000"#,
                r#"{consumer="shop1",key_id="1"} 1800000000"#,
            ]
        );
        expiries.replace([("shop", "11", Wall(5_000)), ("shop", "11", Wall(6_000))]);
        assert_eq!(samples(), [r#"{consumer="shop",key_id="11"} 5"#]);
    }
}
