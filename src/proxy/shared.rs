//! What all listeners share: the settings of this moment, the tables, slots for connections, and those that are being
//! closed.

use super::linger::Lingering;
use super::slots::Slots;
use super::socket::Socket;
use crate::acme::Challenges;
use crate::config::{ListenerSettings, Settings, TlsSettings};
use crate::domain::tables::Tables;
use crate::domain::types::Mono;
use crate::platform;
use crate::platform::clock;
use crate::telemetry::Telemetry;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::watch;

/// Connections that linger at the same time: this part of all that may be open, and some in any case.
const LINGERING_SHARE: usize = 4;
const LINGERING_MIN: usize = 16;

/// Connections without a slot that linger at the same time.
const TURNED_AWAY_MAX: usize = 16;

/// Descriptors that no connection with a slot gets: for logs, the state directory, the admin pages, connections to
/// 8sens that are being probed, and connections that are turned away.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Everything the listeners share.
#[derive(Debug)]
pub struct Shared {
    pub settings: ArcSwap<Settings>,
    pub tables: Arc<Tables>,
    pub telemetry: Arc<Telemetry>,
    pub started: Mono,
    pub slots: Arc<Slots>,
    /// Connections that are being closed and keep their slots, and those that never had one: these displace only one
    /// another.
    lingering: Lingering,
    turned_away: Lingering,
    /// What a certificate authority is answered, before any policy.
    pub challenges: Arc<Challenges>,
    /// How many descriptors the process may open; `None` where that is not limited.
    descriptors: Option<u64>,
}

impl Shared {
    #[must_use]
    pub fn new(settings: Settings, tables: Arc<Tables>, telemetry: Arc<Telemetry>) -> Self {
        let wanted = descriptors_for(settings.connections.max);
        let by_acme = |listener: &ListenerSettings| matches!(listener.tls, Some(TlsSettings::Acme(_)));
        let challenges = Challenges::new(settings.listeners.iter().any(by_acme));
        Self {
            settings: ArcSwap::from_pointee(settings),
            tables,
            started: clock::now().mono,
            telemetry,
            slots: Arc::default(),
            lingering: Lingering::default(),
            turned_away: Lingering::default(),
            challenges: Arc::new(challenges),
            descriptors: platform::raise_descriptor_limit(wanted),
        }
    }

    /// Closes a connection that has a slot so that its last answer arrives.
    pub(super) async fn close(&self, socket: Socket, shutdown: watch::Receiver<bool>) {
        let _counted = self.telemetry.metrics.lingering_connection();
        self.lingering.close(socket, self.lingering_max(), shutdown).await;
    }

    /// The same for one that never had a slot.
    pub(super) async fn close_turned_away(&self, socket: Socket, shutdown: watch::Receiver<bool>) {
        self.turned_away.close(socket, TURNED_AWAY_MAX, shutdown).await;
    }

    /// Throws away what still comes of a stream that was answered, as of a connection that is being closed.
    pub(super) async fn end_stream(
        &self,
        read: impl FnMut(&mut Context<'_>) -> Poll<usize>,
        shutdown: watch::Receiver<bool>,
    ) {
        self.lingering.end_stream(read, self.lingering_max(), shutdown).await;
    }

    /// How many connections may linger, beside which others still find a slot.
    fn lingering_max(&self) -> usize {
        let all = self.connections_max(self.settings.load().connections.max);
        (all / LINGERING_SHARE).max(LINGERING_MIN)
    }

    /// How many connections of callers may be open: as configured, or fewer when there are too few descriptors for
    /// them.
    #[must_use]
    pub fn connections_max(&self, configured: usize) -> usize {
        self.descriptors.map_or(configured, |descriptors| configured.min(connections_within(descriptors)))
    }
}

/// A caller's connection needs a descriptor, and its request one more towards 8sens.
fn descriptors_for(connections: usize) -> u64 {
    (connections as u64).saturating_mul(2).saturating_add(RESERVED_DESCRIPTORS)
}

fn connections_within(descriptors: u64) -> usize {
    usize::try_from(descriptors.saturating_sub(RESERVED_DESCRIPTORS) / 2).unwrap_or(usize::MAX).max(1)
}
