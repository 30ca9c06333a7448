//! What Pingora asks while it carries a request, translated: no rule is decided here.
//!
//! The connection has already read, scanned and decided. The hooks apply the plan, tell the [`Carriage`] what they see,
//! and do what it says.

use super::dial::Dial;
use super::fault;
use super::headers::{
    self, edit_answer, edit_request, invalid_answer, problem_head, settle_framing, settle_references,
};
use super::peer::{Connection, Peers};
use super::raw_line::RawLine;
use super::target;
use crate::domain::answer::framing::AnswerFraming;
use crate::domain::exchange::{Fault, Target};
use crate::platform::clock;
use crate::proxy::lane::carriage::{Carriage, Passing};
use crate::proxy::lane::upstream::Upstream;
use crate::proxy::reply::Problem;
use crate::proxy::unread_body;
use async_trait::async_trait;
use bytes::Bytes;
use http::header;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session as Downstream};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A decided request on its way from the lane into the hooks.
#[derive(Debug)]
pub(super) struct Boarding {
    pub carriage: Carriage,
    /// The connection is to be closed after this request.
    pub last: bool,
    /// Turns true when the gate is ending.
    pub shutdown: watch::Receiver<bool>,
}

/// Pingora's context of one request.
#[derive(Debug, Default)]
pub(super) struct Context {
    boarded: Option<(Carriage, watch::Receiver<bool>)>,
    dial: Option<Arc<Dial>>,
    /// How the answer under way is framed.
    framing: Option<AnswerFraming>,
    /// What the hooks themselves found wrong, which Pingora's error cannot say.
    fault: Option<Fault>,
}

/// The proxy application that Pingora runs.
#[derive(Debug)]
pub(super) struct Hooks {
    upstream: Arc<Upstream>,
    peers: Peers,
}

impl Hooks {
    #[must_use]
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        Self { upstream, peers: Peers::default() }
    }
}

impl Context {
    /// The decided request. An error only if a request came into Pingora past the connection, which must never be
    /// forwarded.
    fn carriage(&mut self) -> Result<&mut Carriage> {
        let undecided = || Error::explain(ErrorType::InternalError, "request was not decided on");
        self.boarded.as_mut().map(|(carriage, _)| carriage).ok_or_else(undecided)
    }

    fn connection(&self) -> Connection {
        let Some((carriage, _)) = &self.boarded else { return Connection::Fresh };
        match &carriage.plan.target {
            Target::Rewritten(target) if !target::is_written(target) => {
                let hides_close = !carriage.plan.is_write;
                Connection::RawLine(RawLine { target: Arc::clone(target), hides_close })
            }
            _ if carriage.needs_fresh_connection() => Connection::Fresh,
            _ => Connection::Pooled,
        }
    }

    /// The error with which Pingora ends what this fault has broken.
    fn broken_by(&mut self, fault: Fault, kind: ErrorType, words: &'static str) -> Box<Error> {
        self.fault = Some(fault);
        Error::explain(kind, words)
    }
}

#[async_trait]
impl ProxyHttp for Hooks {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::default()
    }

    /// No compression module: answers go through as they are.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    fn on_connection_reuse(&self, session: &mut Downstream, ctx: &mut Context, boarding: Box<dyn Any + Send + Sync>) {
        let Ok(boarding) = boarding.downcast::<Boarding>() else { return };
        let Boarding { carriage, last, shutdown } = *boarding;
        if last {
            session.set_keepalive(None);
        }
        session.set_total_drain_timeout(Some(unread_body::PATIENCE));
        // Both directions are watched by the caller's stream.
        session.set_read_timeout(None);
        session.set_ignore_info_resp(true);
        // A write outlives its caller; the caller's stream sees to it that reads end when theirs leaves.
        session.set_abort_on_close(!carriage.plan.is_write);
        // The gate itself has answered the expectation, speaks no other protocol, and takes out what the connection
        // options name. Pingora would pass an offer of WebSocket on, and refuse ten options.
        for name in [header::EXPECT, header::CONNECTION, header::UPGRADE] {
            session.req_header_mut().remove_header(&name);
        }
        ctx.boarded = Some((carriage, shutdown));
    }

    async fn request_filter(&self, _session: &mut Downstream, ctx: &mut Context) -> Result<bool> {
        ctx.carriage().map(|_| false)
    }

    async fn upstream_peer(&self, _session: &mut Downstream, ctx: &mut Context) -> Result<Box<HttpPeer>> {
        let connection = ctx.connection();
        let carriage = ctx.carriage()?;
        let whereabouts = match carriage.begin_attempt(&self.upstream).await {
            Ok(whereabouts) => whereabouts,
            Err(fault) => {
                let words = "name of 8sens not resolved yet";
                return Err(ctx.broken_by(fault, ErrorType::ConnectNoRoute, words).into_up());
            }
        };
        let settings = &carriage.settings.upstream;
        let (peer, dial) = self.peers.peer(settings, &connection, whereabouts, self.upstream.generation());
        ctx.dial = Some(dial);
        Ok(peer)
    }

    fn fail_to_connect(&self, _: &mut Downstream, _: &HttpPeer, ctx: &mut Context, mut e: Box<Error>) -> Box<Error> {
        self.upstream.proven_down();
        let again = ctx.carriage().is_ok_and(|carriage| carriage.try_again(fault::of_connect(&e)));
        e.set_retry(again);
        e
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Downstream,
        reused: bool,
        _peer: &HttpPeer,
        #[cfg(unix)] _fd: std::os::unix::io::RawFd,
        #[cfg(windows)] _sock: std::os::windows::io::RawSocket,
        _digest: Option<&pingora_core::protocols::Digest>,
        ctx: &mut Context,
    ) -> Result<()> {
        self.upstream.connected(reused, clock::now().mono);
        if !reused && let Some(dial) = &ctx.dial {
            self.upstream.answered(dial.address());
        }
        ctx.carriage()?.connected();
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Downstream,
        request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        let may_be_pooled = ctx.dial.as_ref().is_some_and(|dial| dial.may_be_pooled());
        let fresh = ctx.connection() != Connection::Pooled || !may_be_pooled;
        let carriage = ctx.carriage()?;
        edit_request(request, &carriage.plan, &carriage.settings)?;
        if fresh {
            request.insert_header(header::CONNECTION, "close")?;
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Downstream,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<()> {
        let len = body.as_ref().map_or(0, Bytes::len);
        if len == 0 && end_of_stream {
            // An empty last chunk would be written as a second end of the body.
            *body = None;
        }
        let counted = ctx.carriage()?.request_chunk(len);
        counted.map_err(|fault| ctx.broken_by(fault, ErrorType::HTTPStatus(413), "request body refused").into_down())
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Downstream,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        let connection = ctx.connection();
        let carriage = ctx.carriage()?;
        let status = response.status.as_u16();
        if response.status.is_informational() {
            let harmless = carriage.interim_answer(status);
            return harmless.map_err(|_| invalid_answer("unasked or endless interim answers"));
        }
        let framing = settle_framing(carriage.plan.method, response)?;
        if framing.announced_too_much && connection == Connection::Pooled {
            self.upstream.leave_idle_connections();
        }
        carriage.read_clock();
        carriage.answer_head(status, framing);
        ctx.framing = Some(framing);
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Downstream,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        let (Some((carriage, shutdown)), Some(framing)) = (&mut ctx.boarded, ctx.framing) else { return Ok(()) };
        if response.status.is_informational() {
            return Ok(());
        }
        let body_read = session.body_bytes_read() as u64;
        if carriage.ends_with_this(session.is_body_done(), body_read, *shutdown.borrow()) {
            session.set_keepalive(None);
        }
        edit_answer(response, &carriage.answer_edits(framing))?;
        if headers::has_references(response) {
            let addresses = self.upstream.addresses();
            settle_references(response, &carriage.settings.upstream.itself(&addresses))?;
        }
        carriage.answer_head_sent();
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Downstream,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        let chunk = body.as_deref().unwrap_or_default();
        let carriage = ctx.carriage()?;
        carriage.read_clock();
        match carriage.answer_chunk(chunk, end_of_stream) {
            Ok(Passing::AsItIs) => {}
            Ok(Passing::Nothing) => *body = None,
            Ok(Passing::Held(whole)) => *body = Some(whole),
            Err(fault) => return Err(ctx.broken_by(fault, ErrorType::InternalError, "answer cut off")),
        }
        Ok(None)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Downstream,
        mut e: Box<Error>,
        ctx: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        let fault = ctx.fault.unwrap_or_else(|| fault::of_exchange(&e, reused, session.is_body_done()));
        let again = ctx.carriage().is_ok_and(|carriage| carriage.try_again(fault));
        e.set_retry(again);
        e
    }

    async fn fail_to_proxy(&self, session: &mut Downstream, e: &Error, ctx: &mut Context) -> FailToProxy {
        let fault = *ctx.fault.get_or_insert_with(|| fault::of_exchange(e, false, session.is_body_done()));
        let begun = session.response_written().is_some_and(|head| !head.status.is_informational());
        let problem = ctx.carriage().ok().and_then(|carriage| carriage.refuse(fault, begun));
        let Some(problem) = problem else { return FailToProxy { error_code: 0, can_reuse_downstream: false } };
        session.set_keepalive(None);
        if let Err(error) = write_problem(session, &problem).await {
            tracing::debug!(error = %error.etype().as_str(), "refusal could not be written");
        }
        FailToProxy { error_code: problem.status, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Downstream, e: Option<&Error>, ctx: &mut Context) {
        let Some((carriage, _)) = ctx.boarded.take() else { return };
        let request_is_sent = session.is_body_done();
        let of_error = |e| fault::of_exchange(e, false, request_is_sent);
        carriage.finish(e.map(|e| ctx.fault.unwrap_or_else(|| of_error(e))));
    }

    /// Pingora's own line would show the query. Failures are in the access log, and 8sens's state in the application
    /// log.
    fn suppress_error_log(&self, _session: &Downstream, _ctx: &Context, error: &Error) -> bool {
        *error.esource() != pingora_error::ErrorSource::Internal
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Downstream,
        _ctx: &Context,
        _error: &Error,
        _context: pingora_proxy::ProxyWarnLogContext,
    ) -> bool {
        true
    }

    fn request_summary(&self, _session: &Downstream, ctx: &Context) -> String {
        let boarded = ctx.boarded.as_ref();
        boarded.map_or_else(String::new, |(carriage, _)| carriage.plan.fields.request_id.as_str().to_owned())
    }
}

async fn write_problem(session: &mut Downstream, problem: &Problem) -> Result<()> {
    let is_head = session.req_header().method == http::Method::HEAD;
    session.write_response_header(Box::new(problem_head(problem)?), is_head).await?;
    if !is_head {
        session.write_response_body(Some(problem.body.clone()), true).await?;
    }
    Ok(())
}
