//! What the configuration in force is, and the keys and sessions that it admits.

use super::{Metrics, gauge_value};
use crate::domain::rules::snapshot::Snapshot;
use crate::domain::tables::Tables;
use crate::domain::types::Wall;
use crate::telemetry::reload_result::ReloadResult;
use std::sync::Arc;

impl Metrics {
    /// A configuration is in force, at a start or after a reload; `restart_needed` when a part of it waits for a
    /// restart.
    pub fn config_taken_up(&self, at: Wall, restart_needed: bool) {
        self.series.config_reloaded.set(1);
        self.series.config_reload_time.set(at.0.div_euclid(1000));
        self.series.config_restart_needed.set(i64::from(restart_needed));
    }

    /// A changed configuration was refused: the old one runs on.
    pub fn config_refused(&self) {
        self.series.config_reloaded.set(0);
    }

    /// Counts one reading of the configuration.
    pub fn config_reloads(&self, result: ReloadResult) {
        self.series.config_reloads.with_label_values(&[result.as_str()]).inc();
    }

    /// States where the consumers of the configuration in force are found: each scrape reads when their keys expire.
    pub fn read_keys_from(&self, snapshot: impl Fn() -> Option<Arc<Snapshot>> + Send + Sync + 'static) {
        self.series.key_expiry.read_from(move |each| {
            let Some(snapshot) = snapshot() else { return };
            for consumer in snapshot.consumers.iter() {
                for credential in consumer.credentials.iter().filter(|credential| credential.enabled) {
                    if let Some(expires) = credential.expires {
                        each(&[&consumer.name, &credential.id], seconds(expires));
                    }
                }
            }
        });
    }

    /// States where last uses of keys and session entries are found: each scrape reads them there. The tables are not
    /// kept alive by it: they know who counts what is lost of them, which would be a circle.
    pub fn read_tables(&self, tables: &Arc<Tables>) {
        let uses = Arc::clone(&tables.key_uses);
        self.series.key_last_used.read_from(move |each| {
            for used in uses.all() {
                each(&[&used.consumer, &used.key_id], seconds(used.at));
            }
        });
        let tables = Arc::downgrade(tables);
        self.series.consumer_sessions.read_from(move |each| {
            let Some(tables) = tables.upgrade() else { return };
            tables.sessions.each_consumer(|consumer, entries| each(&[consumer], gauge_value(entries)));
        });
    }

    /// How many entries there may be: in all, and of each consumer.
    pub fn set_sessions_max(&self, total: usize, per_consumer: usize) {
        self.series.sessions_max.set(gauge_value(total));
        self.series.consumer_sessions_max.set(gauge_value(per_consumer));
    }

    /// States how many session entries there are in all.
    pub fn sessions(&self, entries: usize) {
        self.series.sessions.set(gauge_value(entries));
    }
}

const fn seconds(instant: Wall) -> i64 {
    instant.0.div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{used, value};
    use super::*;

    #[test]
    fn the_last_use_of_a_key_is_read_at_the_scrape() {
        let series = r#"sensgate_key_last_used_timestamp_seconds{consumer="shop",key_id="k1"}"#;
        assert_eq!(value(&used(), series), Some(1_700_000_000.0));
        assert_eq!(value(&Metrics::new(), series), None);
    }

    #[test]
    fn expiries_and_places_are_read_at_the_scrape() {
        let metrics = used();
        let key = r#"sensgate_key_expiry_timestamp_seconds{consumer="shop",key_id="k1"}"#;
        assert_eq!(value(&metrics, key), Some(1.0));
        assert_eq!(value(&metrics, r#"sensgate_consumer_sessions{consumer="shop"}"#), Some(0.0));
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
}
