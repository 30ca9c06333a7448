//! The answers of the gate's own, and how a connection ends after one.

use super::Connection;
use crate::domain::denial::Denial;
use crate::domain::exchange::{Exchange, Outcome};
use crate::domain::request::head::Fragment;
use crate::platform::clock;
use crate::proxy::caller_stream::{CallerState, CallerStream};
use crate::proxy::reply::{ANSWER_TIMEOUT, Problem, http_date, methods_answer};
use crate::proxy::slots::NoSlot;
use crate::proxy::ticket::Ticket;
use crate::proxy::unread_body::Body;
use crate::telemetry::ConnectionOutcome;
use std::sync::Arc;

impl Connection<'_> {
    /// Answers a connection for which there is no slot.
    pub(in crate::proxy) async fn turn_away(
        &mut self,
        mut caller: Box<CallerStream>,
        none: NoSlot,
    ) -> ConnectionOutcome {
        let settings = self.shared().settings.load_full();
        let denial = none.denial();
        let exchange = self.unreadable(&settings, Fragment::default(), &denial);
        self.refuse(&mut caller, exchange, denial, false, false).await;
        if caller.state().read_too_slowly() {
            caller.into_socket().reset();
        } else {
            self.shared().close_turned_away(caller.into_socket(), self.shutdown.clone()).await;
        }
        none.outcome()
    }

    /// Closes so that the last answer arrives, and says how the connection ended. Who took an answer too slowly is let
    /// go at once, with what the system still holds of it.
    pub(super) async fn close(&self, caller: Box<CallerStream>) -> ConnectionOutcome {
        let outcome = ended(caller.state());
        if caller.state().read_too_slowly() {
            caller.into_socket().reset();
        } else {
            Box::pin(self.listener.close(caller.into_socket(), self.shutdown.clone())).await;
        }
        outcome
    }

    /// Writes a refusal and its record. `keeps` says whether the connection stays open. False when the caller did not
    /// take it.
    pub(super) async fn refuse(
        &self,
        caller: &mut CallerStream,
        exchange: impl Into<Box<Exchange>>,
        denial: Denial,
        is_head: bool,
        keeps: bool,
    ) -> bool {
        let exchange = exchange.into();
        let problem = Problem::new(&denial, exchange.request_id(), exchange.rate_limit())
            .with_hsts(self.listener.hsts(self.origin.transport));
        let bytes = problem.to_http1(&http_date(clock::now().wall), is_head, keeps);
        let ticket = Ticket::new(exchange, Arc::clone(&self.shared().telemetry));
        let taken = caller.send(&bytes, ANSWER_TIMEOUT).await;
        ticket.finish(Outcome::Denied(denial));
        taken
    }

    /// Refuses a request whose head was fine, and saves the connection when its body is small and comes at once.
    pub(super) async fn deny(
        &self,
        mut caller: Box<CallerStream>,
        exchange: Box<Exchange>,
        denial: Denial,
        is_head: bool,
        last: bool,
        body: Body,
    ) -> Result<Box<CallerStream>, ConnectionOutcome> {
        caller.discard(body.head_len);
        let may_keep = !last && !denial.code.framing_in_doubt();
        let keeps = may_keep && body.drain(&mut caller).await && !self.gate_is_ending();
        let taken = self.refuse(&mut caller, exchange, denial, is_head, keeps).await;
        if keeps && taken { Ok(caller) } else { Err(self.close(caller).await) }
    }

    /// Answers a question about the gate itself.
    pub(super) async fn tell_methods(
        &self,
        mut caller: Box<CallerStream>,
        exchange: Box<Exchange>,
        last: bool,
        body: Body,
    ) -> Result<Box<CallerStream>, ConnectionOutcome> {
        caller.discard(body.head_len);
        let keeps = !last && body.drain(&mut caller).await && !self.gate_is_ending();
        let hsts = self.listener.hsts(self.origin.transport);
        let bytes = methods_answer(exchange.request_id(), &http_date(clock::now().wall), hsts, keeps);
        let ticket = Ticket::new(exchange, Arc::clone(&self.shared().telemetry));
        let taken = caller.send(&bytes, ANSWER_TIMEOUT).await;
        ticket.finish(Outcome::Answered { status: 204 });
        if keeps && taken { Ok(caller) } else { Err(self.close(caller).await) }
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
