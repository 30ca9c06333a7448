//! One attempt at a request: its way to 8sens and the answer's way back, at the same time, with every deadline of both.

use super::receiving::{Came, Receiving, WaitsFor, Way};
use super::request_body::RequestBody;
use super::request_head;
use super::sending::Sending;
use super::stream::UpstreamStream;
use crate::config::{MinimumRate, UpstreamSettings};
use crate::domain::exchange::Fault;
use crate::platform::clock;
use crate::proxy::caller_stream::CallerStream;
use crate::proxy::lane::Carriage;
use crate::proxy::lane::upstream::Upstream;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;
use tokio::time::Instant;

/// The least that has to come of an answer's content while the gate waits for it, in bytes a second: a silence is
/// bounded by itself, and this ends a drip.
const CONTENT_RATE: u64 = 32;

/// Both sides, for one request.
pub(super) struct Parties<'p> {
    pub caller: &'p mut CallerStream,
    pub carriage: &'p mut Carriage,
    pub upstream: &'p Upstream,
    pub shutdown: &'p watch::Receiver<bool>,
}

/// How an attempt ended that got its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// The connection to 8sens can carry another request.
    pub keeps_upstream: bool,
    /// So can the caller's.
    pub keeps_caller: bool,
}

/// Why an attempt did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub fault: Fault,
    /// The head of an answer is on its way to the caller.
    pub answer_has_begun: bool,
    /// What was wrong with an answer that is not passed on.
    pub invalid: Option<&'static str>,
}

/// Sends the request on this connection and passes the answer on. `closes` says that the connection serves it alone.
///
/// # Errors
/// What broke it off. What was good of an answer was passed on.
pub(super) async fn converse(
    stream: &mut UpstreamStream,
    parties: &mut Parties<'_>,
    head: &[u8],
    body: &mut RequestBody,
    closes: bool,
) -> Result<Answered, Broken> {
    let plan = &parties.carriage.plan;
    let settings = &parties.carriage.settings;
    let lines = parties.caller.head_lines();
    let now = clock::instant(parties.carriage.now().mono);
    let sending =
        Sending::new(body, now, |out| request_head::write(out, head, lines, plan, &settings.upstream, closes));
    let pace = MinimumRate { grace: settings.upstream.read_timeout, rate: CONTENT_RATE };
    let receiving = Receiving::new(plan.method, pace);
    let mut conversation = Conversation { sending, receiving, sent_at: None };
    let ended = poll_fn(|cx| conversation.poll(cx, stream, parties)).await;
    let Conversation { sending, mut receiving, .. } = conversation;
    let answer_has_begun = receiving.came() == Came::Head;
    match ended {
        Ok(()) => Ok(Answered {
            keeps_upstream: !closes && receiving.keeps_connection() && sending.is_done(),
            keeps_caller: !receiving.closes_caller(),
        }),
        Err(fault) => {
            if answer_has_begun {
                // The end that is missing tells the caller; who takes no more has left.
                let _ = poll_fn(|cx| receiving.poll_pass_on(cx, parties.caller)).await;
            }
            Err(Broken { fault, answer_has_begun, invalid: receiving.invalid() })
        }
    }
}

struct Conversation<'b> {
    sending: Sending<'b>,
    receiving: Receiving,
    /// When the last byte of the request was written.
    sent_at: Option<Instant>,
}

impl Conversation<'_> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut UpstreamStream,
        parties: &mut Parties<'_>,
    ) -> Poll<Result<(), Fault>> {
        let Parties { caller, carriage, upstream, shutdown } = parties;
        self.sending.poll(cx, stream, caller, carriage)?;
        if self.sending.is_over() && self.sent_at.is_none() {
            self.sent_at = Some(if self.sending.is_done() { self.sending.moved_at() } else { carriage.read_clock() });
        }
        let body_has_come = self.sending.body().has_come();
        let mut way = Way {
            caller,
            carriage,
            upstream,
            request_is_sent: self.sending.is_done(),
            body_is_done: body_has_come,
            body_read: self.sending.body().read(),
            body_can_restart: self.sending.body().can_restart(),
            gate_is_ending: *shutdown.borrow(),
        };
        let waits_for = self.receiving.poll(cx, stream, &mut way)?;
        if waits_for == WaitsFor::Nobody {
            return Poll::Ready(Ok(()));
        }
        if body_has_come {
            // The caller's stream is ready only when its caller has left and the request does not outlive that.
            let mut nothing = ReadBuf::new(&mut []);
            if Pin::new(&mut **caller).poll_read(cx, &mut nothing).is_ready() {
                return Poll::Ready(Err(Fault::CallerLeft));
            }
        }
        match self.deadline(&carriage.settings.upstream, waits_for) {
            Some((deadline, fault)) => stream.timer.poll(cx, deadline).map(|()| Err(fault)),
            None => Poll::Pending,
        }
    }

    /// When whoever is waited for has been waited for too long, and what that is then. How long the caller may take for
    /// what it is given is for its stream to say.
    fn deadline(&mut self, settings: &UpstreamSettings, waits_for: WaitsFor) -> Option<(Instant, Fault)> {
        let writing = self.sending.blocked_since().map(|since| (since + settings.write_timeout, Fault::Silent));
        let reading = (waits_for == WaitsFor::Upstream).then(|| {
            if let Some(too_slow) = self.receiving.too_slow_at() {
                return (too_slow, Fault::Silent);
            }
            let moved_at = self.receiving.moved_at().unwrap_or_else(|| self.sending.moved_at());
            let silent_at = moved_at.max(self.sending.moved_at()) + settings.read_timeout;
            match self.sent_at.map(|sent_at| sent_at + settings.answer_timeout) {
                Some(due_at) if due_at < silent_at => (due_at, Fault::AnswerTooSlow),
                Some(_) => (silent_at, Fault::Silent),
                // 8sens cannot answer before it has the whole body.
                None => (silent_at, Fault::BodySilent),
            }
        });
        writing.into_iter().chain(reading).min_by_key(|(deadline, _)| *deadline)
    }
}
