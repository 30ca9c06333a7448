//! One downstream connection, owned from its first byte.
//!
//! The loop reads each head itself, under a deadline for the whole head, scans it strictly and asks the exchange. A refusal is written
//! here and never reaches Pingora; an admitted request is handed to Pingora as a stream of exactly that request, and the connection
//! comes back for the next one.

use super::caller_stream::{CallerState, CallerStream};
use super::http2;
use super::lane::{Carried, Handoff, Lane};
use super::linger::Lingering;
use super::opening::Opening;
use super::reply::{Problem, challenge_answer, http_date, methods_answer, redirect_to_https};
use super::slots::{NoSlot, Slot, SlotLimits, Slots};
use super::socket::{self, Socket};
use super::ticket::Ticket;
use super::unread_body::Body;
use super::waiting::{Decided, until_decided};
use crate::acme::{self, Challenges};
use crate::config::{ListenerSettings, Settings, TlsSettings};
use crate::domain::denial::{Denial, DenyCode, Reason};
use crate::domain::exchange::{Exchange, ForwardPlan, Outcome, Step, has_body};
use crate::domain::policy::transport::exposes_a_secret;
use crate::domain::request::chunked::ChunkScanner;
use crate::domain::request::head::{self, Fragment, Origin, Scan};
use crate::domain::request::{Framing, RequestView, Transport};
use crate::domain::rules::snapshot::Snapshot;
use crate::domain::tables::Tables;
use crate::domain::types::{HttpVersion, Mono, RequestId};
use crate::platform;
use crate::platform::clock;
use crate::telemetry::{ConnectionOutcome, OpenConnection, Telemetry};
use arc_swap::ArcSwap;
use http::HeaderValue;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// How long an answer of the gate's own may take to be taken.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections that linger at the same time: this part of all that may be open, and some in any case.
const LINGERING_SHARE: usize = 4;
const LINGERING_MIN: usize = 16;

/// Connections without a place that linger at the same time.
const TURNED_AWAY_MAX: usize = 16;

/// Descriptors that no connection with a place gets: for logs, the state directory, the admin pages, connections to 8sens that are being
/// probed, and connections that are turned away.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Everything the listeners share.
#[derive(Debug)]
pub struct Shared {
    pub settings: ArcSwap<Settings>,
    pub tables: Arc<Tables>,
    pub telemetry: Arc<Telemetry>,
    pub started: Mono,
    pub slots: Arc<Slots>,
    /// Connections that are being closed and keep their places, and those that never had one: these displace only one another.
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

    /// How many connections may linger, beside which others still find a place.
    fn lingering_max(&self) -> usize {
        let all = self.connections_max(self.settings.load().connections.max);
        (all / LINGERING_SHARE).max(LINGERING_MIN)
    }

    /// How many connections of callers may be open: as configured, or fewer when there are too few descriptors for them.
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

/// A caller's connection that has its place, counted as open.
#[derive(Debug)]
pub struct Admitted {
    slot: Slot,
    _open: OpenConnection,
}

/// The application behind one traffic listener.
pub struct Connections {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    opening: Opening,
    /// The port of the https to which browsers are sent from here.
    redirect: Option<u16>,
}

impl Connections {
    #[must_use]
    pub fn new(shared: Arc<Shared>, lane: Arc<Lane>, opening: Opening, redirect: Option<u16>) -> Self {
        Self { shared, lane, opening, redirect }
    }

    /// Takes a place for a connection from `peer`. A trusted proxy speaks for many, so only the cap on all holds for it.
    ///
    /// # Errors
    /// When there is no place.
    pub fn admit(&self, peer: IpAddr) -> Result<Admitted, NoSlot> {
        let slot = self.take_place(peer, self.opening.awaits_header(peer))?;
        Ok(Admitted { slot, _open: self.shared.telemetry.metrics.connection() })
    }

    /// Takes a place for a stream of an HTTP/2 connection: a request under way counts as it would on a connection of its own.
    pub(super) fn place_for(&self, peer: IpAddr) -> Result<Slot, NoSlot> {
        self.take_place(peer, false)
    }

    fn take_place(&self, peer: IpAddr, speaks_for_many: bool) -> Result<Slot, NoSlot> {
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

    /// Carries one connection to its end.
    pub async fn carry(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        admitted: Result<Admitted, NoSlot>,
        shutdown: watch::Receiver<bool>,
    ) {
        let settings = self.shared.settings.load_full();
        socket::tune(&stream, settings.connections.answer.grace);
        let outcome = match admitted {
            Ok(mut admitted) => self.open_and_serve(stream, peer, &mut admitted, &settings, shutdown).await,
            Err(none) => self.turn_away(stream, peer, none, &settings, shutdown).await,
        };
        self.shared.telemetry.metrics.connection_outcome(outcome);
    }

    async fn open_and_serve(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        admitted: &mut Admitted,
        settings: &Settings,
        shutdown: watch::Receiver<bool>,
    ) -> ConnectionOutcome {
        let limits = &settings.connections;
        let opened = timeout(limits.handshake_timeout, self.opening.open(stream, peer)).await;
        let (socket, transport) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(denial)) => return self.cut_off(peer.ip(), denial, ConnectionOutcome::Unopened),
            Err(_) => {
                let denial = Denial::because(Reason::NotOpenedInTime);
                return self.cut_off(peer.ip(), denial, ConnectionOutcome::Unopened);
            }
        };
        let stated = socket.peer();
        let version = if socket.speaks_http2() { HttpVersion::Http2 } else { HttpVersion::Http11 };
        let origin = Origin { peer: stated.ip(), transport, version };
        if stated.ip() != peer.ip()
            && !settings.snapshot.trusted_proxies.contains(stated.ip())
            && let Err(none) = admitted.slot.move_to(stated.ip(), limits.max_per_address)
        {
            if socket.speaks_http2() {
                return self.cut_off(stated.ip(), none.denial(), none.outcome());
            }
            let caller = CallerStream::new(socket, limits.clone());
            return Connection::new(self, origin, shutdown).turn_away(caller, none).await;
        }
        if socket.speaks_http2() {
            return http2::serve(self, socket, origin, shutdown).await;
        }
        let caller = CallerStream::new(socket, limits.clone());
        Connection::new(self, origin, shutdown).serve(caller).await
    }

    /// Answers a connection for which there is no place. One that would have to be opened first is closed without a word: opening
    /// it is what there is no room for.
    async fn turn_away(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        none: NoSlot,
        settings: &Settings,
        shutdown: watch::Receiver<bool>,
    ) -> ConnectionOutcome {
        let Some(transport) = self.opening.without_ado(peer.ip()) else {
            return self.cut_off(peer.ip(), none.denial(), none.outcome());
        };
        let caller = CallerStream::new(Socket::plain(stream, peer), settings.connections.clone());
        let origin = Origin { peer: peer.ip(), transport, version: HttpVersion::Http11 };
        Connection::new(self, origin, shutdown).turn_away(caller, none).await
    }

    /// Closes a connection that has a place so that its last answer arrives.
    pub(super) async fn close(&self, socket: Socket, shutdown: watch::Receiver<bool>) {
        let _counted = self.shared.telemetry.metrics.lingering_connection();
        self.shared.lingering.close(socket, self.shared.lingering_max(), shutdown).await;
    }

    /// Throws away what still comes of a stream that was answered, as of a connection that is being closed.
    pub(super) async fn end_stream(
        &self,
        read: impl FnMut(&mut Context<'_>) -> Poll<usize>,
        shutdown: watch::Receiver<bool>,
    ) {
        self.shared.lingering.end_stream(read, self.shared.lingering_max(), shutdown).await;
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

/// What reading the next head came to.
enum Next {
    /// A whole head stands in the buffer and was decided on.
    Request {
        head_len: usize,
        framing: Framing,
        is_head: bool,
        expects_continue: bool,
        closes: bool,
        exchange: Box<Exchange>,
        step: Step,
    },
    /// Answered without any policy: a browser that has to come again by https, a certificate authority that looks for a token.
    Answered { exchange: Box<Exchange>, status: u16, bytes: Vec<u8> },
    /// A head that cannot be used.
    Refused { exchange: Box<Exchange>, denial: Denial, is_head: bool },
    /// Closed, idle for too long, or the gate is ending.
    End(ConnectionOutcome),
}

/// One connection of HTTP/1.1 being served.
pub(super) struct Connection<'a> {
    app: &'a Arc<Connections>,
    origin: Origin,
    shutdown: watch::Receiver<bool>,
    served: u32,
}

impl<'a> Connection<'a> {
    pub(super) fn new(app: &'a Arc<Connections>, origin: Origin, shutdown: watch::Receiver<bool>) -> Self {
        Self { app, origin, shutdown, served: 0 }
    }
}

impl Connection<'_> {
    fn shared(&self) -> &Arc<Shared> {
        &self.app.shared
    }

    /// Serves requests until the connection ends.
    pub(super) async fn serve(&mut self, mut caller: CallerStream) -> ConnectionOutcome {
        loop {
            match self.next(&mut caller).await {
                Next::End(outcome) => return outcome,
                Next::Answered { exchange, status, bytes } => {
                    let ticket = Ticket::new(*exchange, Arc::clone(&self.shared().telemetry));
                    caller.send(&bytes, ANSWER_TIMEOUT).await;
                    ticket.finish(Outcome::Answered { status });
                    return self.close(caller).await;
                }
                Next::Refused { exchange, denial, is_head } => {
                    let is_slow = denial.code == DenyCode::RequestTimeout;
                    self.refuse(&mut caller, *exchange, denial, is_head, false).await;
                    let outcome = self.close(caller).await;
                    return if is_slow { ConnectionOutcome::SlowHead } else { outcome };
                }
                Next::Request { head_len, framing, is_head, expects_continue, closes, exchange, step } => {
                    self.served += 1;
                    let last = closes || self.is_last();
                    let body = Body { head_len, framing, expects_continue };
                    let mut exchange = exchange;
                    let decided = until_decided(step, &mut exchange, &mut caller, &mut self.shutdown).await;
                    let Ok(decided) = decided else {
                        let ticket = Ticket::new(*exchange, Arc::clone(&self.shared().telemetry));
                        ticket.finish(Outcome::CallerLeft { status: None });
                        return ConnectionOutcome::Closed;
                    };
                    let next = match decided {
                        Decided::Deny(denial) => self.deny(caller, *exchange, denial, is_head, last, body).await,
                        Decided::TellMethods => self.tell_methods(caller, *exchange, last, body).await,
                        Decided::Forward(plan) => self.forward(caller, *exchange, plan, last, body).await,
                    };
                    match next {
                        Ok(reusable) => caller = reusable,
                        Err(outcome) => return outcome,
                    }
                }
            }
        }
    }

    fn is_last(&self) -> bool {
        self.served >= self.shared().settings.load().connections.max_requests || self.gate_is_ending()
    }

    fn gate_is_ending(&self) -> bool {
        *self.shutdown.borrow()
    }

    /// Waits for the next head, reads it and decides.
    async fn next(&mut self, caller: &mut CallerStream) -> Next {
        let settings = self.shared().settings.load_full();
        let limits = &settings.connections;
        if caller.buffered().is_empty() {
            let patience = if self.served == 0 { limits.head_timeout } else { limits.keepalive_timeout };
            let first = tokio::select! {
                biased;
                read = timeout(patience, caller.fill()) => read,
                _ = self.shutdown.wait_for(|stop| *stop) => return Next::End(ConnectionOutcome::Closed),
            };
            match first {
                Ok(Ok(read)) if read > 0 => {}
                Ok(_) => return Next::End(ConnectionOutcome::Closed),
                Err(_) if self.served == 0 => {
                    self.record_silence(&settings);
                    return Next::End(ConnectionOutcome::Silent);
                }
                Err(_) => return Next::End(ConnectionOutcome::Idle),
            }
        }
        let deadline = Instant::now() + limits.head_timeout;
        let mut may_skip = true;
        loop {
            if may_skip && caller.buffered().starts_with(b"\r\n") {
                // One empty line before a request is tolerated (RFC 9112 section 2.2).
                caller.discard(2);
                may_skip = false;
            }
            if let Some(next) = self.decide(caller.buffered()) {
                return next;
            }
            match timeout_at(deadline, caller.fill()).await {
                Ok(Ok(read)) if read > 0 => {}
                Ok(_) => {
                    self.record_break(&settings, caller.buffered());
                    return Next::End(ConnectionOutcome::Broken);
                }
                Err(_) => {
                    let denial = Denial::because(Reason::HeadTooSlow);
                    return self.refused(&settings, denial, head::fragment(caller.buffered()));
                }
            }
        }
    }

    /// Scans what is buffered, under the rules of this moment; `None` while the head is incomplete.
    fn decide(&self, buffered: &[u8]) -> Option<Next> {
        let settings = &*self.shared().settings.load();
        let snapshot = &settings.snapshot;
        match head::scan(buffered, snapshot.limits.head, &snapshot.fields, self.origin) {
            Scan::Partial => None,
            Scan::Refused(denial, fragment) => Some(self.refused(settings, denial, fragment)),
            Scan::Complete(head_len, view) => {
                if let Some(answered) = self.without_policy(snapshot, &view) {
                    return Some(answered);
                }
                let closes = view.connection_options().any(|option| option.eq_ignore_ascii_case(b"close"));
                let (exchange, mut step) = Exchange::begin(
                    Arc::clone(snapshot),
                    Arc::clone(&self.shared().tables),
                    &view,
                    fresh_id(),
                    clock::now(),
                );
                if matches!(step, Step::Forward(_)) && is_bad_from_the_start(view.framing, &buffered[head_len..]) {
                    // 8sens need not hear of a request that cannot end well.
                    step = Step::Deny(Denial::because(Reason::BadChunk));
                }
                Some(Next::Request {
                    head_len,
                    framing: view.framing,
                    is_head: view.method == b"HEAD",
                    expects_continue: view.expect.count() > 0,
                    closes,
                    exchange: Box::new(exchange),
                    step,
                })
            }
        }
    }

    /// The answer to what no policy is asked about.
    fn without_policy(&self, snapshot: &Arc<Snapshot>, view: &RequestView<'_>) -> Option<Next> {
        if !matches!(view.method, b"GET" | b"HEAD") {
            return None;
        }
        let is_head = view.method == b"HEAD";
        let answered = |path, now| {
            let (snapshot, tables) = (Arc::clone(snapshot), Arc::clone(&self.shared().tables));
            Box::new(Exchange::answered_here(snapshot, tables, view, path, fresh_id(), now))
        };
        if let Some(token) = self.challenge(view) {
            let now = clock::now();
            // The token itself is in no log.
            let exchange = answered(acme::PREFIX.as_bytes(), now);
            let answer = self.shared().challenges.answer(token);
            let date = http_date(now.wall);
            let (status, bytes) = challenge_answer(answer.as_deref(), exchange.request_id(), &date, is_head);
            return Some(Next::Answered { exchange, status, bytes });
        }
        let (location, now) = (self.redirect(view)?, clock::now());
        let exchange = answered(view.path(), now);
        let bytes = redirect_to_https(&location, exchange.request_id(), &http_date(now.wall), is_head);
        Some(Next::Answered { exchange, status: 308, bytes })
    }

    /// The token that a certificate authority looks for, on whichever listener its way leads to: a proxy in front may have sent it on
    /// by https. A key in clear is for the policy to refuse and to report.
    fn challenge<'v>(&self, view: &'v RequestView<'_>) -> Option<&'v [u8]> {
        let key_in_clear = self.origin.transport == Transport::Cleartext && exposes_a_secret(view);
        self.shared().challenges.token_in(view.path()).filter(|_| !key_in_clear)
    }

    /// Where a request on a redirecting listener is sent: the same host and target by https. One that shows a key is refused instead, so
    /// that whoever sent it notices.
    fn redirect(&self, view: &RequestView<'_>) -> Option<String> {
        let port = self.app.redirect.filter(|_| !exposes_a_secret(view) && !view.asks_for_https)?;
        if !view.normal_path().is_ok_and(|path| !path.has_encoded_slash()) {
            return None;
        }
        let host = std::str::from_utf8(view.host.first()?).ok()?;
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let path = std::str::from_utf8(view.path()).ok()?;
        Some(if port == 443 { format!("https://{name}{path}") } else { format!("https://{name}:{port}{path}") })
    }

    fn refused(&self, settings: &Settings, denial: Denial, fragment: Fragment<'_>) -> Next {
        let exchange = self.unreadable(settings, fragment, &denial);
        Next::Refused { exchange: Box::new(exchange), denial, is_head: fragment.method == b"HEAD" }
    }

    fn unreadable(&self, settings: &Settings, fragment: Fragment<'_>, denial: &Denial) -> Exchange {
        self.app.unreadable(settings, self.origin.peer, fragment, denial)
    }

    /// Records a connection that is closed without a word because it never said one. A status would answer a request that was
    /// never made (RFC 9110 section 15.5.9 lets a server close).
    fn record_silence(&self, settings: &Settings) {
        let denial = Denial::because(Reason::Silent);
        let exchange = self.unreadable(settings, Fragment::default(), &denial);
        Ticket::new(exchange, Arc::clone(&self.shared().telemetry)).finish(Outcome::CutOff(denial));
    }

    /// Records a connection that its caller ended within a head.
    fn record_break(&self, settings: &Settings, buffered: &[u8]) {
        let denial = Denial::because(Reason::EndedInHead);
        let exchange = self.unreadable(settings, head::fragment(buffered), &denial);
        Ticket::new(exchange, Arc::clone(&self.shared().telemetry)).finish(Outcome::CallerLeft { status: None });
    }

    /// Answers a connection for which there is no place.
    async fn turn_away(&mut self, mut caller: CallerStream, none: NoSlot) -> ConnectionOutcome {
        let settings = self.shared().settings.load_full();
        let denial = none.denial();
        let exchange = self.unreadable(&settings, Fragment::default(), &denial);
        self.refuse(&mut caller, exchange, denial, false, false).await;
        let shared = self.shared();
        if caller.state().read_too_slowly() {
            caller.into_socket().reset();
        } else {
            shared.turned_away.close(caller.into_socket(), TURNED_AWAY_MAX, self.shutdown.clone()).await;
        }
        none.outcome()
    }

    /// Closes so that the last answer arrives, and says how the connection ended. Who took an answer too slowly is let go at once, with
    /// what the system still holds of it.
    async fn close(&self, caller: CallerStream) -> ConnectionOutcome {
        let outcome = ended(caller.state());
        if caller.state().read_too_slowly() {
            caller.into_socket().reset();
        } else {
            self.app.close(caller.into_socket(), self.shutdown.clone()).await;
        }
        outcome
    }

    /// Writes a refusal and its record. `keeps` says whether the connection stays open. False when the caller did not take it.
    async fn refuse(
        &self,
        caller: &mut CallerStream,
        exchange: Exchange,
        denial: Denial,
        is_head: bool,
        keeps: bool,
    ) -> bool {
        let problem = Problem::new(&denial, exchange.request_id(), exchange.rate_limit())
            .with_hsts(self.app.hsts(self.origin.transport));
        let bytes = problem.to_http1(&http_date(clock::now().wall), is_head, keeps);
        let ticket = Ticket::new(exchange, Arc::clone(&self.shared().telemetry));
        let taken = caller.send(&bytes, ANSWER_TIMEOUT).await;
        ticket.finish(Outcome::Denied(denial));
        taken
    }

    /// Refuses a request whose head was fine, and saves the connection when its body is small and comes at once.
    async fn deny(
        &self,
        mut caller: CallerStream,
        exchange: Exchange,
        denial: Denial,
        is_head: bool,
        last: bool,
        body: Body,
    ) -> Result<CallerStream, ConnectionOutcome> {
        caller.discard(body.head_len);
        let may_keep = !last && !denial.code.framing_in_doubt();
        let keeps = may_keep && body.drain(&mut caller).await && !self.gate_is_ending();
        let taken = self.refuse(&mut caller, exchange, denial, is_head, keeps).await;
        if keeps && taken { Ok(caller) } else { Err(self.close(caller).await) }
    }

    /// Answers a question about the gate itself.
    async fn tell_methods(
        &self,
        mut caller: CallerStream,
        exchange: Exchange,
        last: bool,
        body: Body,
    ) -> Result<CallerStream, ConnectionOutcome> {
        caller.discard(body.head_len);
        let keeps = !last && body.drain(&mut caller).await && !self.gate_is_ending();
        let hsts = self.app.hsts(self.origin.transport);
        let bytes = methods_answer(exchange.request_id(), &http_date(clock::now().wall), hsts, keeps);
        let ticket = Ticket::new(exchange, Arc::clone(&self.shared().telemetry));
        let taken = caller.send(&bytes, ANSWER_TIMEOUT).await;
        ticket.finish(Outcome::Answered { status: 204 });
        if keeps && taken { Ok(caller) } else { Err(self.close(caller).await) }
    }

    /// Hands one request to the lane and takes the connection back.
    async fn forward(
        &self,
        mut caller: CallerStream,
        exchange: Exchange,
        plan: ForwardPlan,
        last: bool,
        body: Body,
    ) -> Result<CallerStream, ConnectionOutcome> {
        let settings = self.shared().settings.load_full();
        let ticket = Ticket::new(exchange, Arc::clone(&self.shared().telemetry));
        let awaits_word = body.expects_continue && has_body(body.framing) && caller.buffered().len() == body.head_len;
        if awaits_word && !caller.send(b"HTTP/1.1 100 Continue\r\n\r\n", ANSWER_TIMEOUT).await {
            ticket.finish(Outcome::CallerLeft { status: None });
            return Err(self.close(caller).await);
        }
        let hsts = self.app.hsts(self.origin.transport).cloned();
        let Body { head_len, framing, .. } = body;
        let handoff = Handoff { ticket, plan, settings, hsts, head_len, framing, last };
        match self.app.lane.carry(caller, handoff, &self.shutdown).await {
            Carried::Reusable(caller) => Ok(caller),
            Carried::ToClose(caller) => Err(self.close(caller).await),
            Carried::Lost => Err(ConnectionOutcome::Closed),
        }
    }
}

/// How a connection ended that was not kept after its request.
fn ended(caller: &CallerState) -> ConnectionOutcome {
    match (caller.sent_too_slowly(), caller.read_too_slowly()) {
        (true, _) => ConnectionOutcome::SlowBody,
        (_, true) => ConnectionOutcome::SlowReader,
        _ => ConnectionOutcome::Closed,
    }
}

/// True when what has come of a chunked body is not well-formed already.
fn is_bad_from_the_start(framing: Framing, body: &[u8]) -> bool {
    framing == Framing::Chunked && ChunkScanner::default().follow(body).is_err()
}

/// A random request id. Without randomness ids would repeat, which costs traceability and nothing else.
fn fresh_id() -> RequestId {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        bytes[..8].copy_from_slice(&clock::now().mono.0.to_be_bytes());
    }
    RequestId::from_random(bytes)
}
