//! Where the name of 8sens leads and whether 8sens takes connections, looked at again and again.

use super::addresses::Addresses;
use super::{UNKNOWN, Upstream, millis, now_millis, race};
use crate::config::UpstreamSettings;
use crate::platform::clock;
use crate::telemetry::throttle::Throttle;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often a name is resolved again. The last good answer stays in use for as long as resolution fails.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);

/// How soon it is resolved again when none of its addresses takes a connection: it may have moved.
const RESOLVE_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// How often 8sens is probed by a bare TCP connect while no traffic says how it is.
const PROBE_EVERY: Duration = Duration::from_secs(15);

impl Upstream {
    /// Resolves the name and probes, for ever. Ends with the runtime. `connect_timeout` is what the configuration
    /// says by then.
    pub async fn watch(&self, settings: UpstreamSettings, connect_timeout: impl Fn() -> Duration) {
        tokio::join!(self.keep_resolved(&settings), self.keep_probed(connect_timeout));
    }

    /// Lets the name be resolved anew and waits for what comes of it, at most so long. Does not wait when that has
    /// just happened.
    pub async fn look_again(&self, within: Duration) {
        let mut lookups = self.lookups.subscribe();
        let last = self.looked_up.load(Ordering::Acquire);
        let is_recent = last != 0 && now_millis() < last + millis(RESOLVE_AT_MOST_EVERY);
        if self.is_literal || is_recent {
            return;
        }
        self.lookup_wanted.notify_one();
        let _ = timeout(within, lookups.changed()).await;
    }

    async fn keep_resolved(&self, settings: &UpstreamSettings) {
        if self.is_literal {
            return;
        }
        let mut reports = Throttle::default();
        loop {
            self.resolve(settings, &mut reports).await;
            sleep(RESOLVE_AT_MOST_EVERY).await;
            let _ = timeout(RESOLVE_EVERY, self.lookup_wanted.notified()).await;
        }
    }

    async fn resolve(&self, settings: &UpstreamSettings, reports: &mut Throttle) {
        let host = settings.host.as_str();
        let lookup = tokio::net::lookup_host((host, settings.port));
        let why = match timeout(RESOLVE_EVERY, lookup).await {
            Ok(Ok(found)) => {
                self.adopt(&found.collect::<Vec<_>>());
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        if let Some(error) = why
            && reports.lets_through(clock::now().mono)
        {
            tracing::warn!(host, error, "name of 8sens cannot be resolved");
        }
        self.looked_up.store(now_millis() + 1, Ordering::Release);
        self.lookups.send_replace(());
    }

    fn adopt(&self, found: &[SocketAddr]) {
        // An address may answer meanwhile. Without any found, what is known stays.
        let before = self.addresses.rcu(|known| {
            let adopted = Addresses::found(found.iter().copied(), known.as_deref()).map(Arc::new);
            adopted.or_else(|| known.clone())
        });
        let now = self.addresses.load_full();
        if let (Some(before), Some(now)) = (before, now)
            && !before.has_same_places(&now)
        {
            tracing::info!(addresses = ?now.in_order(), "the name of 8sens has other addresses");
        }
    }

    async fn keep_probed(&self, connect_timeout: impl Fn() -> Duration) {
        if !self.is_literal && self.addresses.load().is_none() {
            self.look_again(RESOLVE_EVERY).await;
        }
        loop {
            let quiet_for = now_millis().saturating_sub(self.proven_at.load(Ordering::Relaxed));
            if self.state.load(Ordering::Relaxed) == UNKNOWN || quiet_for >= millis(PROBE_EVERY) {
                self.probe(connect_timeout()).await;
            }
            sleep(PROBE_EVERY).await;
        }
    }

    async fn probe(&self, connect_timeout: Duration) {
        let Some(known) = self.addresses.load_full() else {
            return self.proven_down();
        };
        match race::connect(known.in_order(), connect_timeout).await {
            Ok(reached) => {
                self.answered(reached.address);
                self.proven_up();
            }
            Err(_) => self.proven_down(),
        }
    }
}
