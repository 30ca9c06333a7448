//! One traffic listener: who finds a slot on it, and what its connections need whatever protocol they speak.

use super::lane::Lane;
use super::managed_login::ManagedLogins;
use super::opening::Opening;
use super::shared::Shared;
use super::slots::{NoSlot, Slot, SlotLimits};
use super::socket::Socket;
use super::ticket::Ticket;
use crate::config::Settings;
use crate::domain::denial::Denial;
use crate::domain::exchange::{Exchange, Outcome};
use crate::domain::request::Transport;
use crate::domain::request::head::Fragment;
use crate::domain::types::RequestId;
use crate::platform::clock;
use crate::telemetry::{ConnectionOutcome, OpenConnection, Telemetry};
use http::HeaderValue;
use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::watch;

/// Random bytes of a request id.
const ID_LEN: usize = 16;

/// A caller's connection that has its slot, counted as open.
#[derive(Debug)]
pub struct Admitted {
    pub(super) slot: Slot,
    _open: OpenConnection,
}

/// What serves the connections of one listener.
pub struct Listener {
    pub(super) shared: Arc<Shared>,
    pub(super) lane: Arc<Lane>,
    pub(super) logins: Arc<ManagedLogins>,
    pub(super) opening: Opening,
    /// The port of the https to which browsers are sent from here.
    pub(super) redirect: Option<u16>,
}

impl Listener {
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        lane: Arc<Lane>,
        logins: Arc<ManagedLogins>,
        opening: Opening,
        redirect: Option<u16>,
    ) -> Self {
        Self { shared, lane, logins, opening, redirect }
    }

    /// Takes a slot for a connection from `peer`. A trusted proxy speaks for many, so only the cap on all holds for
    /// it.
    ///
    /// # Errors
    /// When there is no slot.
    pub fn admit(&self, peer: IpAddr) -> Result<Admitted, NoSlot> {
        let slot = self.take_slot(peer, self.opening.awaits_header(peer))?;
        Ok(Admitted { slot, _open: self.shared.telemetry.metrics.connection() })
    }

    /// Takes a slot for a stream of an HTTP/2 connection: a request under way counts as it would on a connection of
    /// its own.
    pub(super) fn slot_for(&self, peer: IpAddr) -> Result<Slot, NoSlot> {
        self.take_slot(peer, false)
    }

    fn take_slot(&self, peer: IpAddr, speaks_for_many: bool) -> Result<Slot, NoSlot> {
        let settings = self.shared.settings.load();
        let speaks_for_many = speaks_for_many || settings.snapshot.trusted_proxies.contains(peer);
        let limits = SlotLimits {
            all: self.shared.connections_max(settings.connections.max),
            per_host: (!speaks_for_many).then_some(settings.connections.max_per_address),
        };
        self.shared.slots.take(peer, limits)
    }

    /// `Strict-Transport-Security` for an answer on this transport. Never in clear (RFC 6797 section 7.2).
    pub(super) fn hsts(&self, transport: Transport) -> Option<&HeaderValue> {
        self.opening.hsts.as_ref().filter(|_| transport == Transport::Tls)
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        self.shared.settings.load_full()
    }

    /// The exchange of what is refused before it is a request.
    pub(super) fn unreadable(
        &self,
        settings: &Settings,
        peer: IpAddr,
        fragment: Fragment<'_>,
        denial: &Denial,
    ) -> Exchange {
        let (snapshot, tables) = (Arc::clone(&settings.snapshot), Arc::clone(&self.shared.tables));
        Exchange::unreadable(snapshot, tables, peer, fragment, denial, fresh_id(), clock::now())
    }

    pub(super) fn telemetry(&self) -> Arc<Telemetry> {
        Arc::clone(&self.shared.telemetry)
    }

    /// Closes a connection that has a slot so that its last answer arrives.
    pub(super) async fn close(&self, socket: Socket, shutdown: watch::Receiver<bool>) {
        self.shared.close(socket, shutdown).await;
    }

    /// Throws away what still comes of a stream that was answered, as of a connection that is being closed.
    pub(super) async fn end_stream(
        &self,
        read: impl FnMut(&mut Context<'_>) -> Poll<usize>,
        shutdown: watch::Receiver<bool>,
    ) {
        self.shared.end_stream(read, shutdown).await;
    }

    /// Records a connection that is closed before any HTTP.
    pub(super) fn cut_off(&self, peer: IpAddr, denial: Denial, outcome: ConnectionOutcome) -> ConnectionOutcome {
        let exchange = self.unreadable(&self.settings(), peer, Fragment::default(), &denial);
        Ticket::new(exchange, Arc::clone(&self.shared.telemetry)).finish(Outcome::CutOff(denial));
        outcome
    }

    /// Notes that the system had nothing left to accept a connection with.
    pub fn accept_failed(&self, error: &io::Error) {
        self.shared.telemetry.accept_failed(error);
    }

    /// Ends what the lane keeps in the background, once nothing is accepted any more.
    pub async fn close_lane(&self) {
        self.lane.close().await;
    }
}

/// A random request id. Without randomness ids would repeat, which costs traceability and nothing else. A thread asks
/// the system for many at a time.
pub(super) fn fresh_id() -> RequestId {
    thread_local! {
        /// Random bytes, and how many of them nobody had yet.
        static DRAWN: RefCell<([u8; 64 * ID_LEN], usize)> = const { RefCell::new(([0; 64 * ID_LEN], 0)) };
    }
    let bytes = DRAWN.with_borrow_mut(|(bytes, left)| {
        if *left == 0 {
            getrandom::fill(bytes).ok()?;
            *left = bytes.len();
        }
        *left -= ID_LEN;
        bytes[*left..].first_chunk().copied()
    });
    RequestId::from_random(bytes.unwrap_or_else(|| u128::from(clock::now().mono.0).to_be_bytes()))
}
