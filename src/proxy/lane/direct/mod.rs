//! The gate's own lane: one connection to 8sens for one request at a time, in HTTP/1.1 (decision 0025).
//!
//! [`request_head`] writes what 8sens receives, and [`conversation`] carries both ways at once: [`sending`] the request
//! with its [`request_body`], [`receiving`] the answer with its [`answer_head`]. [`connect`] and [`pool`] have the
//! connections. [`own_request`] asks 8sens in the gate's own name.

mod answer_head;
mod connect;
mod conversation;
mod own_request;
mod pool;
mod receiving;
mod request_body;
mod request_head;
mod sending;
mod stream;

pub use self::own_request::{OwnAnswer, OwnRequest, OwnRequests};

use self::connect::{Connected, Connector};
use self::conversation::{Answered, Broken, Parties, converse};
use self::request_body::RequestBody;
use super::carriage::Carriage;
use super::handoff::{Carried, Handoff};
use super::upstream::Upstream;
use crate::domain::exchange::{Fault, Resend};
use crate::domain::request::Method;
use crate::platform::clock;
use crate::proxy::buffer::WriteBuffer;
use crate::proxy::caller_stream::CallerStream;
use crate::proxy::reply::{ANSWER_TIMEOUT, Problem, http_date};
use crate::proxy::waiting::Logins;
use crate::telemetry::throttle::Throttle;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The gate's own way to 8sens.
#[derive(Debug)]
pub struct DirectLane {
    upstream: Arc<Upstream>,
    connector: Arc<Connector>,
    watching: JoinHandle<()>,
    reports: Mutex<Throttle>,
}

impl DirectLane {
    /// Keeps so many idle connections to 8sens, and watches them on the current runtime.
    #[must_use]
    pub fn start(upstream: Arc<Upstream>, pool_size: usize) -> Self {
        let connector = Arc::new(Connector::new(pool_size));
        let watching = tokio::spawn({
            let connector = Arc::clone(&connector);
            async move { connector.pool.watch().await }
        });
        Self { upstream, connector, watching, reports: Mutex::default() }
    }

    /// Carries one request to its end.
    pub(in crate::proxy) async fn carry(
        &self,
        mut caller: Box<CallerStream>,
        handoff: Handoff,
        shutdown: &watch::Receiver<bool>,
        logins: &impl Logins,
    ) -> Carried {
        // It is wanted again when the request is sent again.
        let mut head = WriteBuffer::default();
        head.take().extend_from_slice(caller.buffered().get(..handoff.head_len).unwrap_or_default());
        caller.discard(handoff.head_len);
        let state = caller.open_request(0, handoff.framing, handoff.plan.is_write);
        let may_be_resent = handoff.plan.resend != Resend::Never || handoff.plan.outlives_session;
        let mut body = RequestBody::new(handoff.framing, may_be_resent);
        let mut carriage = Carriage::new(handoff, state);
        loop {
            let mut parties =
                Parties { caller: &mut caller, carriage: &mut carriage, upstream: &self.upstream, shutdown };
            match self.attempt(&mut parties, &head, &mut body).await {
                Ok(answered) => {
                    carriage.finish(None);
                    let keeps = answered.keeps_caller && caller.is_reusable();
                    return if keeps { Carried::Reusable(caller) } else { Carried::ToClose(caller) };
                }
                Err(Broken { fault: Fault::SessionOver, .. }) => match carriage.renew(logins).await {
                    Ok(()) => body.restart(),
                    Err(denial) => {
                        let problem = carriage.refuse_because(denial);
                        tell(&mut caller, &carriage, problem).await;
                        carriage.finish(None);
                        return Carried::ToClose(caller);
                    }
                },
                Err(Broken { fault, answer_has_begun, invalid }) => {
                    self.report(invalid);
                    if !answer_has_begun && body.can_restart() && carriage.try_again(fault) {
                        body.restart();
                        continue;
                    }
                    refuse(&mut caller, &mut carriage, fault, answer_has_begun).await;
                    carriage.finish(Some(fault));
                    return Carried::ToClose(caller);
                }
            }
        }
    }

    /// Ends the watch over idle connections.
    pub fn close(&self) {
        self.watching.abort();
    }

    async fn attempt(
        &self,
        parties: &mut Parties<'_>,
        head: &[u8],
        body: &mut RequestBody,
    ) -> Result<Answered, Broken> {
        let connected = self.connect(parties.carriage).await;
        let not_begun = |fault| Broken { fault, answer_has_begun: false, invalid: None };
        let Connected { mut stream, route, is_reused } = connected.map_err(not_begun)?;
        let fresh = parties.carriage.needs_fresh_connection();
        let answered =
            converse(&mut stream, parties, head, body, fresh).await.map_err(|broken| match broken.fault {
                Fault::ClosedBeforeAnswer { .. } => {
                    Broken { fault: Fault::ClosedBeforeAnswer { reused: is_reused }, ..broken }
                }
                _ => broken,
            })?;
        if answered.keeps_upstream {
            let now = clock::instant(parties.carriage.now().mono);
            let expires = now + parties.carriage.settings.upstream.keepalive_timeout;
            self.connector.pool.put(stream, route, expires);
        }
        Ok(answered)
    }

    /// Says why an answer was not passed on, for whoever is going to look at 8sens.
    fn report(&self, invalid: Option<&'static str>) {
        if let Some(why) = invalid
            && self.reports.lock().lets_through(clock::now().mono)
        {
            tracing::warn!(why, "an answer of 8sens is not passed on");
        }
    }

    async fn connect(&self, carriage: &mut Carriage) -> Result<Connected, Fault> {
        let (addresses, within) = carriage.begin_attempt(&self.upstream).await?;
        let fresh = carriage.needs_fresh_connection();
        let (settings, generation) = (&carriage.settings.upstream, self.upstream.generation());
        let now = clock::instant(carriage.now().mono);
        let connected = self.connector.connect(settings, (&addresses, now, within), generation, fresh).await;
        let connected = connected.inspect_err(|_| self.upstream.proven_down())?;
        if !connected.is_reused {
            carriage.read_clock();
        }
        self.upstream.connected(connected.is_reused, carriage.now().mono);
        if !connected.is_reused {
            self.upstream.answered(connected.route.address);
        }
        carriage.connected();
        Ok(connected)
    }
}

impl Drop for DirectLane {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Tells the caller what it gets in place of an answer, if it is told anything.
async fn refuse(caller: &mut CallerStream, carriage: &mut Carriage, fault: Fault, answer_has_begun: bool) {
    let problem = carriage.refuse(fault, answer_has_begun);
    tell(caller, carriage, problem).await;
}

async fn tell(caller: &mut CallerStream, carriage: &Carriage, problem: Option<Problem>) {
    let is_head = carriage.plan.method == Method::Head;
    if let Some(problem) = problem {
        let bytes = problem.to_http1(&http_date(clock::now().wall), is_head, false);
        caller.send(&bytes, ANSWER_TIMEOUT).await;
    }
}

#[cfg(test)]
mod tests;
