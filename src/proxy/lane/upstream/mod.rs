//! Where 8sens is and whether it answers: its addresses and the up-or-down state, the same for every lane.

mod addresses;
pub mod race;
mod tls;
mod watch;

pub use addresses::{Addresses, MAX_ADDRESSES};
pub use tls::{Believed, handshake};

use crate::config::UpstreamSettings;
use crate::domain::types::Mono;
use crate::platform::clock;
use crate::telemetry::Telemetry;
use arc_swap::ArcSwapOption;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch as told};

/// 8sens as seen from here.
#[derive(Debug)]
pub struct Upstream {
    /// `None` while its name was never resolved.
    addresses: ArcSwapOption<Addresses>,
    /// There is no name to resolve.
    is_literal: bool,
    lookup_wanted: Notify,
    /// Told after each lookup, good or bad.
    lookups: told::Sender<()>,
    /// Monotonic milliseconds and one more at which the last lookup ended; 0 before.
    looked_up: AtomicU64,
    state: AtomicU8,
    /// Monotonic milliseconds at which traffic last proved the state.
    proven_at: AtomicU64,
    /// Pooled connections that were opened under an earlier number are not used again.
    generation: AtomicU32,
    telemetry: Arc<Telemetry>,
}

const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const DOWN: u8 = 2;

impl Upstream {
    /// Starts without an answer from the resolver unless the host is an IP address.
    #[must_use]
    pub fn new(settings: &UpstreamSettings, telemetry: Arc<Telemetry>) -> Self {
        let literal = settings.host.parse().ok().map(|ip| SocketAddr::new(ip, settings.port));
        Self {
            is_literal: literal.is_some(),
            addresses: ArcSwapOption::new(Addresses::found(literal, None).map(Arc::new)),
            lookup_wanted: Notify::new(),
            lookups: told::Sender::new(()),
            looked_up: AtomicU64::new(0),
            state: AtomicU8::new(UNKNOWN),
            proven_at: AtomicU64::new(0),
            generation: AtomicU32::new(0),
            telemetry,
        }
    }

    /// Where a request may try to connect next, and how much of the time `within` which it has to is left then. Asks
    /// the resolver when it has not answered yet, or when an attempt `has_failed`. `None` when the name of 8sens was
    /// never resolved.
    pub async fn whereabouts(&self, within: Duration, has_failed: bool) -> Option<(Arc<Addresses>, Duration)> {
        if !has_failed && let Some(addresses) = self.addresses.load_full() {
            return Some((addresses, within));
        }
        let since = clock::now().mono;
        // What the resolver leaves of the time is for the connection.
        self.look_again(within / 2).await;
        Some((self.addresses.load_full()?, within.saturating_sub(clock::now().mono.since(since))))
    }

    /// 8sens took a connection at this address, which is tried first from now on.
    pub fn answered(&self, address: SocketAddr) {
        let news = |known: &Arc<Addresses>| known.after_answer_of(address).map(Arc::new);
        if self.addresses.load().as_ref().is_none_or(|known| news(known).is_none()) {
            return;
        }
        let before =
            self.addresses.rcu(|known| known.as_ref().map(|known| news(known).unwrap_or_else(|| Arc::clone(known))));
        if before.is_some_and(|before| before.first() != address) {
            tracing::info!(%address, "8sens answers at another address of its name");
        }
    }

    /// What the name of 8sens resolves to, as far as is known.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.load().iter().flat_map(|known| known.in_order()).map(SocketAddr::ip).collect()
    }

    /// Which pooled connections may be used: those that were opened under this number.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// No connection that is open now is used for another request: what is still to come on it could be taken for an
    /// answer.
    pub fn leave_idle_connections(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// A request goes out on a connection to 8sens.
    pub fn connected(&self, reused: bool, now: Mono) {
        self.telemetry.metrics.upstream_connected(reused);
        self.prove(UP, now);
    }

    /// 8sens took a connection or answered.
    pub fn proven_up(&self) {
        self.prove(UP, clock::now().mono);
    }

    /// 8sens could not be reached. Its name may have moved.
    pub fn proven_down(&self) {
        self.lookup_wanted.notify_one();
        self.prove(DOWN, clock::now().mono);
    }

    /// Whether 8sens answered when it was last needed or asked; `None` before that.
    #[must_use]
    pub fn is_reachable(&self) -> Option<bool> {
        match self.state.load(Ordering::Relaxed) {
            UP => Some(true),
            DOWN => Some(false),
            _ => None,
        }
    }

    fn prove(&self, state: u8, now: Mono) {
        self.proven_at.store(millis_of(now), Ordering::Relaxed);
        if self.state.swap(state, Ordering::Relaxed) != state {
            self.telemetry.metrics.upstream_up(state == UP);
            if state == UP {
                tracing::info!("8sens is reachable");
            } else {
                tracing::warn!("8sens is not reachable");
            }
        }
    }
}

fn now_millis() -> u64 {
    millis_of(clock::now().mono)
}

const fn millis_of(instant: Mono) -> u64 {
    instant.0 / 1_000_000
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
