//! When every key was last accepted, as a metric that is read at each scrape.

use crate::domain::tables::key_use::KeyUses;
use crate::telemetry::family::{Family, Kind, Metric};
use crate::telemetry::replaced_gauges::gauge;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// One gauge per key that was used. Not a `GaugeVec`, for the reasons that `ReplacedGauges` has.
#[derive(Clone)]
pub(crate) struct KeyLastUses {
    family: Family,
    desc: Desc,
    uses: Arc<OnceLock<Arc<KeyUses>>>,
}

impl Metric for KeyLastUses {
    const KIND: Kind = Kind::Gauge;

    fn of(family: Family) -> prometheus::Result<Self> {
        let labels = family.labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(family.name.into(), family.help.into(), labels, HashMap::new())?;
        Ok(Self { family, desc, uses: Arc::default() })
    }
}

impl KeyLastUses {
    /// States where the uses are. A second call changes nothing: a gate has one table for its life.
    pub(crate) fn read_from(&self, uses: Arc<KeyUses>) {
        let _ = self.uses.set(uses);
    }
}

impl Collector for KeyLastUses {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let uses = self.uses.get().map(|uses| uses.all()).unwrap_or_default();
        let gauges = uses
            .iter()
            .filter_map(|used| gauge(self.family, &[&used.consumer, &used.key_id], used.at.0.div_euclid(1000)).ok());
        gauges.flat_map(|gauge| gauge.collect()).collect()
    }
}
