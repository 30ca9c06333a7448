//! Where 8sens is and whether it answers: its addresses, the peer that Pingora connects to, the up-or-down state.

mod addresses;
mod dial;
pub mod race;
mod raw_line;
mod watch;

pub use addresses::{Addresses, MAX_ADDRESSES};
pub use dial::Dial;
pub use raw_line::RawLine;

use crate::config::{UpstreamSettings, UpstreamTls};
use crate::domain::types::Mono;
use crate::platform::clock;
use crate::telemetry::Telemetry;
use arc_swap::ArcSwapOption;
use pingora_core::protocols::TcpKeepalive;
use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions};
use pingora_core::utils::tls::{WrappedX509, parse_x509};
use rustls_pki_types::CertificateDer;
use std::fmt;
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
    trust: ArcSwapOption<Trust>,
    /// Pooled connections that were opened under an earlier number are not used again.
    generation: AtomicU32,
    telemetry: Arc<Telemetry>,
}

/// Who is believed when 8sens shows its certificate.
struct Trust {
    made_of: Arc<[CertificateDer<'static>]>,
    authorities: Arc<CaType>,
    /// Pooled connections of one group only: what was opened while others were believed is not used again.
    group: u32,
}

/// The group of plain connections is 0.
const FIRST_TRUST: u32 = 1;

/// No connection of trust or generation is in it.
const FRESH: u64 = u64::MAX;

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("authorities", &self.made_of.len()).finish_non_exhaustive()
    }
}

const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const DOWN: u8 = 2;

/// Whether a connection may come from the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    Pooled,
    /// A connection of its own, closed afterwards: for writes and resends, which must not meet a connection that
    /// 8sens is just closing.
    Fresh,
    /// One of its own as well, on which the first line is written as it stands here.
    RawLine(RawLine),
}

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
            trust: ArcSwapOption::empty(),
            generation: AtomicU32::new(0),
            telemetry,
        }
    }

    /// The peer for one attempt at a request that has tried to connect since then: all its attempts share one connect
    /// timeout. Asks the resolver when it has not answered yet, or when an attempt `has_failed`. `None` when the name
    /// of 8sens was never resolved.
    pub async fn find_peer(
        &self,
        settings: &UpstreamSettings,
        connection: &Connection,
        since: Mono,
        has_failed: bool,
    ) -> Option<(Box<HttpPeer>, Arc<Dial>)> {
        let left = || settings.connect_timeout.saturating_sub(clock::now().mono.since(since));
        if has_failed || self.addresses.load().is_none() {
            // What the resolver leaves of the time is for the connection.
            self.look_again(left() / 2).await;
        }
        self.peer(settings, connection, left())
    }

    /// The peer for one attempt, which may take so long to connect, or `None` while the name of 8sens was never
    /// resolved.
    fn peer(
        &self,
        settings: &UpstreamSettings,
        connection: &Connection,
        within: Duration,
    ) -> Option<(Box<HttpPeer>, Arc<Dial>)> {
        let addresses = self.addresses.load_full()?;
        // A line of its own is written above TLS, so the TLS is not Pingora's then.
        let tls = settings.tls.as_ref().filter(|_| !matches!(connection, Connection::RawLine(_)));
        // Pingora verifies nothing when the name is empty: it never is.
        let name = tls.map_or_else(String::new, |tls| tls.name.clone());
        // The pool is kept by address: what was opened to one that the name no longer has is not used again.
        let mut peer = HttpPeer::new(addresses.first(), tls.is_some(), name);
        peer.options = options(settings, within);
        if let Some(tls) = tls {
            let trust = self.trust(tls);
            peer.options.ca = Some(Arc::clone(&trust.authorities));
            peer.group_key = u64::from(trust.group);
        }
        // Trust is counted in the upper half.
        peer.group_key = peer.group_key << 32 | u64::from(self.generation.load(Ordering::Relaxed));
        if *connection != Connection::Pooled {
            // A group of its own is never found in the pool, and never filled: fresh connections are closed after use.
            peer.group_key = FRESH;
        }
        let has_several = addresses.in_order().len() > 1;
        let dial = Dial::new(addresses, within);
        let (dial, is_raw) = match connection {
            Connection::RawLine(line) => (dial.with_raw_line(line.clone(), settings.tls.clone()), true),
            Connection::Pooled | Connection::Fresh => (dial, false),
        };
        let dial = Arc::new(dial);
        if has_several || is_raw {
            peer.options.custom_l4 = Some(Arc::clone(&dial) as _);
        }
        Some((Box::new(peer), dial))
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

    /// The authorities as Pingora takes them, made anew when the configuration brings others.
    fn trust(&self, tls: &UpstreamTls) -> Arc<Trust> {
        let known = self.trust.load_full();
        if let Some(trust) = known.as_ref().filter(|trust| Arc::ptr_eq(&trust.made_of, &tls.authorities)) {
            return Arc::clone(trust);
        }
        let group = known.map_or(FIRST_TRUST, |trust| trust.group.wrapping_add(1).max(FIRST_TRUST));
        let wrap = |certificate: &CertificateDer<'_>| WrappedX509::new(certificate.to_vec(), parse_x509);
        let authorities = tls.authorities.iter().map(wrap).collect();
        let trust = Arc::new(Trust { made_of: Arc::clone(&tls.authorities), authorities, group });
        self.trust.store(Some(Arc::clone(&trust)));
        trust
    }

    /// What the name of 8sens resolves to, as far as is known.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.load().iter().flat_map(|known| known.in_order()).map(SocketAddr::ip).collect()
    }

    /// No connection that is open now is used for another request: what is still to come on it could be taken for an answer.
    pub fn leave_idle_connections(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// A request goes out on a connection to 8sens.
    pub fn connected(&self, reused: bool) {
        self.telemetry.metrics.upstream_connected(reused);
        self.proven_up();
    }

    /// 8sens took a connection or answered.
    pub fn proven_up(&self) {
        self.prove(UP);
    }

    /// 8sens could not be reached. Its name may have moved.
    pub fn proven_down(&self) {
        self.lookup_wanted.notify_one();
        self.prove(DOWN);
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

    fn prove(&self, state: u8) {
        self.proven_at.store(now_millis(), Ordering::Relaxed);
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

/// Pingora waits for ever unless told otherwise, and passes upgrades on.
fn options(settings: &UpstreamSettings, within: Duration) -> PeerOptions {
    let mut options = PeerOptions::new();
    options.connection_timeout = Some(within);
    options.total_connection_timeout = Some(within);
    options.read_timeout = Some(settings.read_timeout);
    options.write_timeout = Some(settings.write_timeout);
    options.idle_timeout = Some(settings.keepalive_timeout);
    options.tcp_keepalive = Some(tcp_keepalive());
    options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
    options
}

/// Probes that notice a vanished peer within about two minutes.
#[must_use]
pub fn tcp_keepalive() -> TcpKeepalive {
    TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(15),
        count: 4,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    }
}

fn now_millis() -> u64 {
    clock::now().mono.0 / 1_000_000
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
