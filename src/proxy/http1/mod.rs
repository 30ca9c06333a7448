//! One connection of HTTP/1.1, or one stream of HTTP/2 written as one, owned from its first byte.
//!
//! The loop reads each head itself, under a deadline for the whole head, scans it strictly and asks the exchange
//! (`reading`). A refusal is written here (`answers`) and reaches no lane; an admitted request is handed to the lane,
//! and the connection comes back for the next one.

mod answers;
mod reading;
mod without_policy;

use self::reading::{Asked, Last, Next};
use super::caller_stream::CallerStream;
use super::lane::{Carried, Handoff};
use super::lazy_timer::LazyTimer;
use super::listener::Listener;
use super::login_body::Left;
use super::reply::ANSWER_TIMEOUT;
use super::shared::Shared;
use super::ticket::Ticket;
use super::unread_body::Body;
use super::waiting::{Decided, until_decided};
use crate::domain::denial::DenyCode;
use crate::domain::exchange::{Exchange, ForwardPlan, Outcome, has_body};
use crate::domain::request::head::Origin;
use crate::telemetry::ConnectionOutcome;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::watch;

/// One connection of HTTP/1.1 being served.
pub(super) struct Connection<'a> {
    listener: &'a Arc<Listener>,
    origin: Origin,
    shutdown: watch::Receiver<bool>,
    served: u32,
    /// The one timer for whatever the caller is waited for between two requests.
    timer: LazyTimer,
}

impl<'a> Connection<'a> {
    pub(super) fn new(listener: &'a Arc<Listener>, origin: Origin, shutdown: watch::Receiver<bool>) -> Self {
        Self { listener, origin, shutdown, served: 0, timer: LazyTimer::default() }
    }
}

impl Connection<'_> {
    fn shared(&self) -> &Arc<Shared> {
        &self.listener.shared
    }

    /// Serves requests until the connection ends.
    pub(super) async fn serve(&mut self, mut caller: Box<CallerStream>) -> ConnectionOutcome {
        // One for all of its requests: listening anew for each would take a lock that all connections share.
        let mut stop = self.shutdown.clone();
        let mut ending = pin!(async move {
            // A gate whose sender is gone is ending as well.
            let _ = stop.wait_for(|stop| *stop).await;
        });
        loop {
            match self.next(&mut caller, ending.as_mut()).await {
                // What follows is held for as long as it lasts, and not by a connection that is idle.
                Next::Request(asked) => match Box::pin(self.obey(caller, asked)).await {
                    Ok(reusable) => caller = reusable,
                    Err(outcome) => return outcome,
                },
                Next::Last(last) => return Box::pin(self.end_with(caller, last)).await,
                Next::End(outcome) => return outcome,
            }
        }
    }

    /// Says the last word on a connection, and closes it.
    async fn end_with(&self, mut caller: Box<CallerStream>, last: Last) -> ConnectionOutcome {
        match last {
            Last::Answered { exchange, status, bytes } => {
                let ticket = Ticket::new(exchange, Arc::clone(&self.shared().telemetry));
                caller.send(&bytes, ANSWER_TIMEOUT).await;
                ticket.finish(Outcome::Answered { status });
                self.close(caller).await
            }
            Last::Refused { exchange, denial, is_head } => {
                let is_slow = denial.code == DenyCode::RequestTimeout;
                self.refuse(&mut caller, exchange, denial, is_head, false).await;
                let outcome = self.close(caller).await;
                if is_slow { ConnectionOutcome::SlowHead } else { outcome }
            }
        }
    }

    /// Does what was decided on a request, and gives its connection back when it can carry another one.
    async fn obey(
        &mut self,
        mut caller: Box<CallerStream>,
        asked: Asked,
    ) -> Result<Box<CallerStream>, ConnectionOutcome> {
        self.served += 1;
        let Asked { body, is_head, closes, mut exchange, step } = asked;
        let last = closes || self.is_last();
        let logins = &self.listener.logins;
        match until_decided(step, &mut exchange, &mut caller, body, &mut self.shutdown, logins).await {
            Ok(Decided::Deny(denial)) => self.deny(caller, exchange, denial, is_head, last, body).await,
            Ok(Decided::TellMethods) => self.tell_methods(caller, exchange, last, body).await,
            Ok(Decided::Forward(plan)) => self.forward(caller, exchange, plan, last, body).await,
            Err(Left) => {
                let ticket = Ticket::new(exchange, Arc::clone(&self.shared().telemetry));
                ticket.finish(Outcome::CallerLeft { status: None });
                Err(ConnectionOutcome::Closed)
            }
        }
    }

    fn is_last(&self) -> bool {
        self.served >= self.shared().settings.load().connections.max_requests || self.gate_is_ending()
    }

    fn gate_is_ending(&self) -> bool {
        *self.shutdown.borrow()
    }

    /// Hands one request to the lane and takes the connection back.
    async fn forward(
        &self,
        mut caller: Box<CallerStream>,
        exchange: Box<Exchange>,
        plan: Box<ForwardPlan>,
        last: bool,
        body: Body,
    ) -> Result<Box<CallerStream>, ConnectionOutcome> {
        let settings = self.shared().settings.load_full();
        let ticket = Ticket::new(exchange, Arc::clone(&self.shared().telemetry));
        let awaits_word = body.expects_continue && has_body(body.framing) && caller.buffered().len() == body.head_len;
        if awaits_word && !caller.send(b"HTTP/1.1 100 Continue\r\n\r\n", ANSWER_TIMEOUT).await {
            ticket.finish(Outcome::CallerLeft { status: None });
            return Err(self.close(caller).await);
        }
        let hsts = self.listener.hsts(self.origin.transport).cloned();
        let Body { head_len, framing, .. } = body;
        let handoff = Handoff { ticket, plan, settings, hsts, head_len, framing, last };
        match self.listener.lane.carry(caller, handoff, &self.shutdown, &self.listener.logins).await {
            Carried::Reusable(caller) => Ok(caller),
            Carried::ToClose(caller) => Err(self.close(caller).await),
            Carried::Lost => Err(ConnectionOutcome::Closed),
        }
    }
}
