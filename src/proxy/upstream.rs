//! Where 8sens is and whether it answers: address resolution, the peer that Pingora connects to, the up-or-down state.

use crate::config::{UpstreamSettings, UpstreamTls};
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

/// How often a name is resolved again. The last good answer stays in use for as long as resolution fails.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);

/// How often 8sens is probed by a bare TCP connect while no traffic says how it is.
const PROBE_EVERY: Duration = Duration::from_secs(15);

/// 8sens as seen from here.
#[derive(Debug)]
pub struct Upstream {
    address: ArcSwapOption<SocketAddr>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Pooled,
    /// A connection of its own, closed afterwards: for writes and resends, which must not meet a connection that 8sens is just closing.
    Fresh,
}

impl Upstream {
    /// Starts without an answer from the resolver unless the host is an IP address.
    #[must_use]
    pub fn new(settings: &UpstreamSettings, telemetry: Arc<Telemetry>) -> Self {
        let literal = settings.host.parse().ok().map(|ip| Arc::new(SocketAddr::new(ip, settings.port)));
        Self {
            address: ArcSwapOption::new(literal),
            state: AtomicU8::new(UNKNOWN),
            proven_at: AtomicU64::new(0),
            trust: ArcSwapOption::empty(),
            generation: AtomicU32::new(0),
            telemetry,
        }
    }

    /// The peer for one attempt, or `None` while the name of 8sens was never resolved.
    #[must_use]
    pub fn peer(&self, settings: &UpstreamSettings, connection: Connection) -> Option<Box<HttpPeer>> {
        let address = *self.address.load_full()?;
        // Pingora verifies nothing when the name is empty: it never is.
        let name = settings.tls.as_ref().map_or_else(String::new, |tls| tls.name.clone());
        let mut peer = HttpPeer::new(address, settings.tls.is_some(), name);
        peer.options = options(settings);
        if let Some(tls) = &settings.tls {
            let trust = self.trust(tls);
            peer.options.ca = Some(Arc::clone(&trust.authorities));
            peer.group_key = u64::from(trust.group);
        }
        // Trust is counted in the upper half.
        peer.group_key = peer.group_key << 32 | u64::from(self.generation.load(Ordering::Relaxed));
        if connection == Connection::Fresh {
            // A group of its own is never found in the pool, and never filled: fresh connections are closed after use.
            peer.group_key = FRESH;
        }
        Some(Box::new(peer))
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
        self.address.load().iter().map(|address| address.ip()).collect()
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

    /// 8sens could not be reached.
    pub fn proven_down(&self) {
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

    /// Resolves the name and probes, for ever. Ends with the runtime. `connect_timeout` is what the configuration says by then.
    pub async fn watch(&self, settings: UpstreamSettings, connect_timeout: impl Fn() -> Duration) {
        let mut next_resolve = tokio::time::Instant::now();
        loop {
            if tokio::time::Instant::now() >= next_resolve {
                self.resolve(&settings).await;
                next_resolve = tokio::time::Instant::now() + RESOLVE_EVERY;
            }
            let quiet_for = now_millis().saturating_sub(self.proven_at.load(Ordering::Relaxed));
            if self.state.load(Ordering::Relaxed) == UNKNOWN || quiet_for >= millis(PROBE_EVERY) {
                self.probe(connect_timeout()).await;
            }
            tokio::time::sleep(PROBE_EVERY.min(RESOLVE_EVERY)).await;
        }
    }

    async fn resolve(&self, settings: &UpstreamSettings) {
        let lookup = tokio::net::lookup_host((settings.host.as_str(), settings.port));
        match tokio::time::timeout(RESOLVE_EVERY, lookup).await {
            Ok(Ok(mut found)) => {
                if let Some(address) = found.next() {
                    self.address.store(Some(Arc::new(address)));
                }
            }
            Ok(Err(error)) => tracing::warn!(host = settings.host, %error, "name of 8sens cannot be resolved"),
            Err(_) => tracing::warn!(host = settings.host, "name of 8sens was not resolved in time"),
        }
    }

    async fn probe(&self, connect_timeout: Duration) {
        let Some(address) = self.address.load_full() else {
            return self.proven_down();
        };
        match tokio::time::timeout(connect_timeout, tokio::net::TcpStream::connect(*address)).await {
            Ok(Ok(_)) => self.proven_up(),
            _ => self.proven_down(),
        }
    }
}

/// Pingora waits for ever unless told otherwise, and passes upgrades on.
fn options(settings: &UpstreamSettings) -> PeerOptions {
    let mut options = PeerOptions::new();
    options.connection_timeout = Some(settings.connect_timeout);
    options.total_connection_timeout = Some(settings.connect_timeout);
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
    crate::clock::now().mono.0 / 1_000_000
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
