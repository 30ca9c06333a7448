//! The peer that Pingora connects to for one attempt at a request.

use super::dial::Dial;
use super::raw_line::RawLine;
use crate::config::{UpstreamSettings, UpstreamTls};
use crate::proxy::lane::upstream::Addresses;
use crate::proxy::socket::KEEPALIVE;
use arc_swap::ArcSwapOption;
use pingora_core::protocols::TcpKeepalive;
use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions};
use pingora_core::utils::tls::{WrappedX509, parse_x509};
use rustls_pki_types::CertificateDer;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The group of plain connections is 0.
const FIRST_TRUST: u32 = 1;

/// No connection of trust or generation is in it.
const FRESH: u64 = u64::MAX;

/// Whether a connection may come from the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Pooled,
    /// A connection of its own, closed afterwards: for writes and resends, which must not meet a connection that
    /// 8sens is just closing.
    Fresh,
    /// One of its own as well, on which the first line is written as it is here.
    RawLine(RawLine),
}

/// Makes the peers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    trust: ArcSwapOption<Trust>,
}

/// Who is believed when 8sens shows its certificate.
struct Trust {
    made_of: Arc<[CertificateDer<'static>]>,
    authorities: Arc<CaType>,
    /// Pooled connections of one group only: what was opened while others were believed is not used again.
    group: u32,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("authorities", &self.made_of.len()).finish_non_exhaustive()
    }
}

impl Peers {
    /// The peer for one attempt to connect to one of these addresses, which may take so long. Connections that were
    /// opened under another `generation` are left alone.
    #[must_use]
    pub(super) fn peer(
        &self,
        settings: &UpstreamSettings,
        connection: &Connection,
        (addresses, within): (Arc<Addresses>, Duration),
        generation: u32,
    ) -> (Box<HttpPeer>, Arc<Dial>) {
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
        peer.group_key = peer.group_key << 32 | u64::from(generation);
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
        (Box::new(peer), dial)
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
}

/// Pingora waits for ever unless told otherwise, and passes upgrades on.
fn options(settings: &UpstreamSettings, within: Duration) -> PeerOptions {
    let mut options = PeerOptions::new();
    options.connection_timeout = Some(within);
    options.total_connection_timeout = Some(within);
    options.read_timeout = Some(settings.read_timeout);
    options.write_timeout = Some(settings.write_timeout);
    options.idle_timeout = Some(settings.keepalive_timeout);
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: KEEPALIVE.idle,
        interval: KEEPALIVE.interval,
        count: KEEPALIVE.count as usize,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    });
    options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
    options
}
