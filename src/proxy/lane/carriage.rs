//! One decided request while a lane carries it: what every lane does alike.
//!
//! A lane moves bytes and reports what it sees; what follows from that is said here or in the core. So no lane decides
//! whether a request is sent again, how much of an answer is held back, what a fault is answered with, or what the
//! record says.

use super::handoff::Handoff;
use super::upstream::{Addresses, Upstream};
use crate::config::Settings;
use crate::domain::answer::fields::AnswerEdits;
use crate::domain::answer::framing::{AnswerFraming, Content};
use crate::domain::answer::head::MAX_INTERIM;
use crate::domain::denial::Denial;
use crate::domain::exchange::{Attempts, ChunkVerdict, Ending, Fault, ForwardPlan};
use crate::domain::request::Framing;
use crate::domain::types::{Mono, Now};
use crate::platform::clock;
use crate::proxy::caller_stream::CallerState;
use crate::proxy::reply::Problem;
use crate::proxy::ticket::Ticket;
use crate::proxy::unread_body::has_small_rest;
use crate::proxy::waiting::{Logins, next_token};
use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A switch of protocols (RFC 9110 section 15.2.2).
const SWITCHING_PROTOCOLS: u16 = 101;

/// A request on its way.
#[derive(Debug)]
pub struct Carriage {
    pub plan: Box<ForwardPlan>,
    pub settings: Arc<Settings>,
    ticket: Ticket,
    /// The clocks as they were read last.
    now: Now,
    caller: Arc<CallerState>,
    hsts: Option<HeaderValue>,
    framing: Framing,
    last: bool,
    attempts: Attempts,
    /// Since when a connection is tried for; `None` while there is one.
    connecting_since: Option<Mono>,
    /// Interim answers (1xx) counted so far.
    interim: usize,
    /// The refusal that is written in place of an answer.
    refused: Option<Denial>,
    /// The status of 8sens's final answer.
    status: Option<u16>,
    /// The answer may have no content: what comes of it is not passed on.
    drops_content: bool,
    /// The end of the answer was handed on to a caller that had not left.
    is_complete: bool,
    /// What the exchange keeps back of the answer; it bounds the amount.
    held: BytesMut,
}

/// What the caller gets in place of a piece of the answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Passing {
    /// That piece.
    AsItIs,
    /// Nothing yet, or nothing at all.
    Nothing,
    /// What was held back, this piece included.
    Held(Bytes),
}

impl Carriage {
    /// `caller` is what the caller's stream says of the request for which it was opened.
    #[must_use]
    pub fn new(handoff: Handoff, caller: Arc<CallerState>) -> Self {
        let Handoff { ticket, plan, settings, hsts, head_len: _, framing, last } = handoff;
        Self {
            plan,
            settings,
            now: ticket.began(),
            ticket,
            caller,
            hsts,
            framing,
            last,
            attempts: Attempts::default(),
            connecting_since: None,
            interim: 0,
            refused: None,
            status: None,
            drops_content: false,
            is_complete: false,
            held: BytesMut::new(),
        }
    }

    /// What was seen of the caller.
    #[must_use]
    pub fn caller(&self) -> &CallerState {
        &self.caller
    }

    /// Reads the clocks: to be called when something has come that is told here.
    pub fn read_clock(&mut self) -> Instant {
        self.now = clock::later(self.now);
        clock::instant(self.now.mono)
    }

    /// When they were read last.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.now
    }

    /// True when the request takes a connection that nobody has used and nobody is going to: a write, or a second
    /// sending, must not meet one that 8sens is just closing (decision 0004).
    #[must_use]
    pub const fn needs_fresh_connection(&self) -> bool {
        self.plan.is_write || self.attempts.is_resend()
    }

    /// Another attempt begins: where 8sens is, and how long a connection to it may take. All attempts share one
    /// `connect_timeout`, part of which the resolver may use.
    ///
    /// # Errors
    /// When the name of 8sens was never resolved.
    pub async fn begin_attempt(&mut self, upstream: &Upstream) -> Result<(Arc<Addresses>, Duration), Fault> {
        self.attempts.begin();
        self.read_clock();
        if let Some(exchange) = self.ticket.exchange() {
            exchange.upstream_started(self.now);
        }
        let has_failed = self.connecting_since.is_some();
        let since = *self.connecting_since.get_or_insert(self.now.mono);
        let within = self.settings.upstream.connect_timeout.saturating_sub(self.now.mono.since(since));
        upstream.whereabouts(within, has_failed).await.ok_or(Fault::NotResolved)
    }

    /// There is a connection: the request counts.
    pub fn connected(&mut self) {
        self.attempts.connected();
        self.connecting_since = None;
        if let Some(exchange) = self.ticket.exchange() {
            exchange.upstream_connected();
        }
    }

    /// Whether the request is sent again after this fault, by a new attempt and from its first byte.
    pub fn try_again(&mut self, fault: Fault) -> bool {
        let again = self.status.is_none() && self.attempts.allow_another(self.plan.resend, fault);
        if again && let Some(exchange) = self.ticket.exchange() {
            exchange.request_body_restarts();
        }
        again
    }

    /// So many bytes of the request body are on their way to 8sens, without their framing.
    ///
    /// # Errors
    /// When the body is larger than allowed.
    pub fn request_chunk(&mut self, len: usize) -> Result<(), Fault> {
        let Some(exchange) = self.ticket.exchange() else { return Ok(()) };
        exchange.request_chunk(len).map_err(|_| Fault::BodyGrew)
    }

    /// An interim answer (1xx) came, to a lane that does not scan answers strictly itself. It goes no further: the gate
    /// itself has told the caller to go on.
    ///
    /// # Errors
    /// When it would make everything behind it somebody else's bytes, or there is no end of them.
    pub fn interim_answer(&mut self, status: u16) -> Result<(), Fault> {
        self.interim += 1;
        let is_harmless = status != SWITCHING_PROTOCOLS && self.interim <= MAX_INTERIM;
        if is_harmless { Ok(()) } else { Err(Fault::AnswerNotParsed) }
    }

    /// Whether this answer is not passed on, because the request is sent again with another token. It could be, from
    /// its beginning.
    pub fn is_sent_again(&mut self, status: u16) -> bool {
        let Some(exchange) = self.ticket.exchange().filter(|_| self.plan.outlives_session) else { return false };
        exchange.is_sent_again(status, self.now)
    }

    /// Gives the request the token with which it is sent again.
    ///
    /// # Errors
    /// When there is none to be had in time.
    pub(in crate::proxy) async fn renew(&mut self, logins: &impl Logins) -> Result<(), Denial> {
        let Some(exchange) = self.ticket.exchange() else { return Ok(()) };
        let token = next_token(exchange, logins).await?;
        exchange.request_body_restarts();
        self.plan.fields.token = Some(token);
        self.attempts.renewed();
        Ok(())
    }

    /// The head of 8sens's final answer came.
    pub fn answer_head(&mut self, status: u16, framing: AnswerFraming) {
        self.drops_content = framing.content == Content::Dropped;
        self.status = Some(status);
        if let Some(exchange) = self.ticket.exchange() {
            exchange.response_head(status, self.now);
        }
    }

    /// The rules for the fields of that answer.
    #[must_use]
    pub fn answer_edits(&self, framing: AnswerFraming) -> AnswerEdits<'_> {
        AnswerEdits { of_request: &self.plan.fields, hsts: self.hsts.as_ref().map(HeaderValue::as_bytes), framing }
    }

    /// True when the answer that is about to begin is the last on its connection: the caller or its limits want it so,
    /// the gate is ending, or more of a body is still to come than is worth reading (RFC 9112 section 9.6). `body_read`
    /// counts the bytes of it so far.
    #[must_use]
    pub fn ends_with_this(&self, body_is_done: bool, body_read: u64, gate_is_ending: bool) -> bool {
        self.last || gate_is_ending || !(body_is_done || has_small_rest(self.framing, body_read))
    }

    /// The head of the answer is on its way to the caller.
    pub fn answer_head_sent(&mut self) {
        self.read_clock();
        if let Some(exchange) = self.ticket.exchange() {
            exchange.response_head_sent(self.now);
        }
    }

    /// A piece of the answer's content came. It may be empty, and has to be so where the answer has no content; the
    /// `last` one ends it.
    ///
    /// # Errors
    /// When the answer has to be cut off, so that the caller notices.
    pub fn answer_chunk(&mut self, chunk: &[u8], last: bool) -> Result<Passing, Fault> {
        let chunk = if self.drops_content { b"" } else { chunk };
        self.is_complete |= last && !self.caller.has_left();
        let Some(exchange) = self.ticket.exchange() else { return Ok(Passing::AsItIs) };
        match exchange.response_chunk(chunk, last, self.now) {
            ChunkVerdict::Release if !self.held.is_empty() => {
                self.held.extend_from_slice(chunk);
                Ok(Passing::Held(std::mem::take(&mut self.held).freeze()))
            }
            ChunkVerdict::Release if self.drops_content => Ok(Passing::Nothing),
            ChunkVerdict::Release => Ok(Passing::AsItIs),
            ChunkVerdict::Hold => {
                self.held.extend_from_slice(chunk);
                Ok(Passing::Nothing)
            }
            ChunkVerdict::Abort => Err(Fault::CutOff),
        }
    }

    /// What the caller is told in place of an answer, with which the connection ends; `None` when an answer has begun,
    /// or when there is nobody to tell. What was wrong with the caller's own body says more than what came of it.
    pub fn refuse(&mut self, fault: Fault, answer_has_begun: bool) -> Option<Problem> {
        let fault = match fault {
            Fault::NotResolved | Fault::BodyGrew => fault,
            other => self.fault_of_body().unwrap_or(other),
        };
        self.refuse_because(Denial::because(fault.reason().filter(|_| !answer_has_begun)?))
    }

    /// The same, where it is known what the caller is told.
    pub fn refuse_because(&mut self, denial: Denial) -> Option<Problem> {
        let exchange = self.ticket.exchange()?;
        exchange.upstream_failed();
        let problem = Problem::new(&denial, exchange.request_id(), exchange.rate_limit()).with_hsts(self.hsts.as_ref());
        self.refused = Some(denial);
        Some(problem)
    }

    fn fault_of_body(&self) -> Option<Fault> {
        match (self.caller.sent_bad_chunk(), self.caller.sent_too_slowly()) {
            (true, _) => Some(Fault::BadChunk),
            (_, true) => Some(Fault::BodyTooSlow),
            _ => None,
        }
    }

    /// Ends the exchange and writes its record. `fault` is what broke it off, also when the caller was told.
    pub fn finish(self, fault: Option<Fault>) {
        let ending = Ending {
            refused: self.refused,
            fault,
            status: self.status,
            is_complete: self.is_complete && !self.caller.lost_answer(),
            caller_left: self.caller.has_left(),
        };
        self.ticket.finish(ending.outcome());
    }
}
