//! When every key was last accepted, as a metric that is read at each scrape.

use crate::domain::tables::key_use::KeyUses;
use crate::telemetry::catalogue::KEY_LAST_USED;
use crate::telemetry::replaced_gauges::gauge;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// One gauge per key that was used. Not a `GaugeVec`, for the reasons that `ReplacedGauges` has.
#[derive(Clone)]
pub(crate) struct KeyLastUses {
    desc: Desc,
    uses: Arc<OnceLock<Arc<KeyUses>>>,
}

impl KeyLastUses {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let labels = KEY_LAST_USED.labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(KEY_LAST_USED.name.into(), KEY_LAST_USED.help.into(), labels, HashMap::new())?;
        Ok(Self { desc, uses: Arc::default() })
    }

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
            .filter_map(|used| gauge(KEY_LAST_USED, &[&used.consumer, &used.key_id], used.at.0.div_euclid(1000)).ok());
        gauges.flat_map(|gauge| gauge.collect()).collect()
    }
}
