//! What Pingora asks while it carries a request, translated: no rule is decided here.
//!
//! The connection has already read, scanned and decided; [`Handoff`] brings the result. The hooks apply the [`ForwardPlan`], report what
//! they see to the exchange and end it.

use super::caller_stream::CallerState;
use super::reply::Problem;
use super::target;
use super::ticket::Ticket;
use super::unread_body::{self, has_small_rest};
use super::upstream::{Connection, Dial, RawLine, Upstream};
use crate::config::{Settings, UpstreamSettings};
use crate::domain::answer::framing::{self, AnswerFraming, AnswerHead, Content};
use crate::domain::answer::own_name::Itself;
use crate::domain::answer::reference;
use crate::domain::denial::{Denial, Reason};
use crate::domain::exchange::{ChunkVerdict, ForwardPlan, Observe, Outcome, Resend, Target};
use crate::domain::request::{Framing, Method};
use crate::domain::types::Mono;
use crate::platform::clock;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderName, HeaderValue};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session as Downstream};
use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Attempts at one request: the first, one more when the connect failed, one more when a reused connection turned out closed.
pub const MAX_ATTEMPTS: usize = 3;

/// Interim answers that 8sens may send before its answer.
const MAX_INTERIM: usize = 16;

/// What the gate calls itself in `Via` (RFC 9110 section 7.6.3).
const VIA: &str = "1.1 sensgate";

/// Response fields that concern one connection, or tell what runs behind the gate.
fn is_hidden(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "api_key"
            | "server"
            | "x-powered-by"
            | "via"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "te"
            | "trailer"
            | "upgrade"
            | "alt-svc"
            | "strict-transport-security"
    )
}

/// A decided request on its way from the connection into the hooks.
#[derive(Debug)]
pub struct Handoff {
    pub ticket: Ticket,
    pub plan: ForwardPlan,
    pub caller: Arc<CallerState>,
    pub settings: Arc<Settings>,
    /// `Strict-Transport-Security` for the answer.
    pub hsts: Option<HeaderValue>,
    /// How the body of the request is framed.
    pub framing: Framing,
    /// The connection is to be closed after this request.
    pub last: bool,
    /// Turns true when the gate is ending.
    pub shutdown: watch::Receiver<bool>,
}

impl Handoff {
    /// True when the answer that is about to begin is the last on its connection: the gate is ending, or more of a body is still to come
    /// than is worth reading (RFC 9112 section 9.6).
    fn ends_with_this(&self, downstream: &mut Downstream) -> bool {
        let read = downstream.body_bytes_read() as u64;
        *self.shutdown.borrow() || !(downstream.is_body_done() || has_small_rest(self.framing, read))
    }
}

/// Pingora's context of one request.
#[derive(Debug, Default)]
pub struct Carriage {
    handoff: Option<Handoff>,
    attempts: usize,
    /// Since when a connection is tried for; `None` while there is one.
    connecting_since: Option<Mono>,
    dial: Option<Arc<Dial>>,
    resent: bool,
    /// Interim answers (1xx) seen so far.
    interim: usize,
    /// The refusal that was written, or is going to be.
    denial: Option<Denial>,
    /// The status of 8sens's final answer.
    status: Option<u16>,
    /// The answer may have no content: what comes of it is not passed on.
    drops_content: bool,
    /// The end of the answer was handed on to a caller that had not left.
    is_complete: bool,
    /// What the exchange keeps back of the answer; it bounds the amount.
    held: BytesMut,
}

/// The proxy application that Pingora runs.
#[derive(Debug)]
pub struct Hooks {
    upstream: Arc<Upstream>,
}

impl Hooks {
    #[must_use]
    pub fn new(upstream: Arc<Upstream>) -> Self {
        Self { upstream }
    }
}

impl Carriage {
    /// The decided request. An error only if a request came into Pingora past the connection, which must never be forwarded.
    fn handoff(&mut self) -> Result<&mut Handoff> {
        self.handoff.as_mut().ok_or_else(|| Error::explain(ErrorType::InternalError, "request was not decided on"))
    }

    fn connection(&self) -> Connection {
        let Some(Handoff { plan, .. }) = &self.handoff else { return Connection::Fresh };
        match &plan.target {
            Target::Rewritten(target) if !target::is_written(target) => {
                Connection::RawLine(RawLine { target: Arc::clone(target), hides_close: !plan.is_write })
            }
            _ if plan.is_write || self.resent => Connection::Fresh,
            _ => Connection::Pooled,
        }
    }
}

#[async_trait]
impl ProxyHttp for Hooks {
    type CTX = Carriage;

    fn new_ctx(&self) -> Carriage {
        Carriage::default()
    }

    /// No compression module: answers go through as they are.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    fn on_connection_reuse(&self, session: &mut Downstream, ctx: &mut Carriage, handoff: Box<dyn Any + Send + Sync>) {
        let Ok(handoff) = handoff.downcast::<Handoff>() else { return };
        if handoff.last {
            session.set_keepalive(None);
        }
        session.set_total_drain_timeout(Some(unread_body::PATIENCE));
        // Both directions are watched by the caller's stream.
        session.set_read_timeout(None);
        session.set_ignore_info_resp(true);
        // A write outlives its caller; the caller's stream sees to it that reads end when theirs leaves.
        session.set_abort_on_close(!handoff.plan.is_write);
        // The gate itself has answered the expectation, speaks no other protocol, and takes out what the connection
        // options name. Pingora would pass an offer of WebSocket on, and refuse ten options.
        for name in [header::EXPECT, header::CONNECTION, header::UPGRADE] {
            session.req_header_mut().remove_header(&name);
        }
        ctx.handoff = Some(*handoff);
    }

    async fn request_filter(&self, _session: &mut Downstream, ctx: &mut Carriage) -> Result<bool> {
        ctx.handoff().map(|_| false)
    }

    async fn upstream_peer(&self, _session: &mut Downstream, ctx: &mut Carriage) -> Result<Box<HttpPeer>> {
        ctx.attempts += 1;
        let connection = ctx.connection();
        let handoff = ctx.handoff()?;
        if let Some(exchange) = handoff.ticket.exchange() {
            exchange.upstream_started(clock::now());
        }
        let settings = Arc::clone(&handoff.settings);
        let has_failed = ctx.connecting_since.is_some();
        let since = *ctx.connecting_since.get_or_insert_with(|| clock::now().mono);
        let found = self.upstream.find_peer(&settings.upstream, &connection, since, has_failed).await;
        let Some((peer, dial)) = found else {
            ctx.denial = Some(Denial::because(Reason::NotResolved));
            return Err(Error::explain(ErrorType::ConnectNoRoute, "name of 8sens not resolved yet").into_up());
        };
        ctx.dial = Some(dial);
        Ok(peer)
    }

    fn fail_to_connect(&self, _: &mut Downstream, _: &HttpPeer, ctx: &mut Carriage, mut e: Box<Error>) -> Box<Error> {
        self.upstream.proven_down();
        // Nothing was written, so any method may be tried again; a timeout has used up the caller's patience already.
        let timed_out = matches!(e.etype(), ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout);
        e.set_retry(!timed_out && certificate_fault(&e).is_none() && ctx.attempts == 1);
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
        ctx: &mut Carriage,
    ) -> Result<()> {
        self.upstream.connected(reused);
        ctx.connecting_since = None;
        if !reused && let Some(dial) = &ctx.dial {
            self.upstream.answered(dial.address());
        }
        if let Some(exchange) = ctx.handoff()?.ticket.exchange() {
            exchange.upstream_connected();
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Downstream,
        request: &mut RequestHeader,
        ctx: &mut Carriage,
    ) -> Result<()> {
        let may_be_pooled = ctx.dial.as_ref().is_some_and(|dial| dial.may_be_pooled());
        let fresh = ctx.connection() != Connection::Pooled || !may_be_pooled;
        let handoff = ctx.handoff()?;
        edit_request(request, &handoff.plan, &handoff.settings)?;
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
        ctx: &mut Carriage,
    ) -> Result<()> {
        let len = body.as_ref().map_or(0, Bytes::len);
        if len == 0 && end_of_stream {
            // An empty last chunk would be written as a second end of the body.
            *body = None;
        }
        let counted = ctx.handoff()?.ticket.exchange().map_or(Ok(()), |exchange| exchange.request_chunk(len));
        counted.map_err(|denial| {
            let status = denial.code.status();
            ctx.denial = Some(denial);
            Error::explain(ErrorType::HTTPStatus(status), "request body refused").into_down()
        })
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Downstream,
        response: &mut ResponseHeader,
        ctx: &mut Carriage,
    ) -> Result<()> {
        if response.status.is_informational() {
            ctx.interim += 1;
            // A switch of protocols would make everything behind it somebody else's bytes; nobody can have asked for one.
            let is_harmless = response.status != http::StatusCode::SWITCHING_PROTOCOLS && ctx.interim <= MAX_INTERIM;
            return if is_harmless { Ok(()) } else { Err(invalid_answer("unasked or endless interim answers")) };
        }
        let framing = settle_framing(ctx.handoff()?.plan.method, response)?;
        if framing.announced_too_much && ctx.connection() == Connection::Pooled {
            self.upstream.leave_idle_connections();
        }
        ctx.drops_content = framing.content == Content::Dropped;
        let status = response.status.as_u16();
        ctx.status = Some(status);
        if let Some(exchange) = ctx.handoff()?.ticket.exchange() {
            exchange.response_head(status, clock::now());
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Downstream,
        response: &mut ResponseHeader,
        ctx: &mut Carriage,
    ) -> Result<()> {
        if response.status.is_informational() {
            return Ok(());
        }
        let handoff = ctx.handoff()?;
        if handoff.ends_with_this(session) {
            session.set_keepalive(None);
        }
        edit_response(response, &handoff.plan)?;
        settle_references(response, &handoff.settings.upstream, || self.upstream.addresses())?;
        if let Some(hsts) = &handoff.hsts {
            response.insert_header(header::STRICT_TRANSPORT_SECURITY, hsts)?;
        }
        if let Some(exchange) = handoff.ticket.exchange() {
            exchange.response_head_sent(clock::now());
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Downstream,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Carriage,
    ) -> Result<Option<Duration>> {
        if ctx.drops_content {
            *body = None;
        }
        let chunk = body.as_deref().unwrap_or_default();
        let is_complete = end_of_stream && !ctx.handoff()?.caller.has_left();
        ctx.is_complete |= is_complete;
        let Some(exchange) = ctx.handoff()?.ticket.exchange() else { return Ok(None) };
        match exchange.response_chunk(chunk, end_of_stream, clock::now()) {
            ChunkVerdict::Release => {
                if !ctx.held.is_empty() {
                    ctx.held.extend_from_slice(body.as_deref().unwrap_or_default());
                    *body = Some(std::mem::take(&mut ctx.held).freeze());
                }
                Ok(None)
            }
            ChunkVerdict::Hold => {
                ctx.held.extend_from_slice(chunk);
                *body = None;
                Ok(None)
            }
            ChunkVerdict::Abort => Error::e_explain(ErrorType::InternalError, "answer cut off"),
        }
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        _session: &mut Downstream,
        mut e: Box<Error>,
        ctx: &mut Carriage,
        reused: bool,
    ) -> Box<Error> {
        let may_resend = ctx.handoff.as_ref().is_some_and(|h| h.plan.resend == Resend::OnceIfReusedConnectionClosed);
        let resend = may_resend && reused && !ctx.resent && ctx.status.is_none() && closed_without_a_byte(&e);
        ctx.resent |= resend;
        e.set_retry(resend);
        if resend && let Some(exchange) = ctx.handoff.as_mut().and_then(|handoff| handoff.ticket.exchange()) {
            exchange.request_body_restarts();
        }
        e
    }

    async fn fail_to_proxy(&self, session: &mut Downstream, e: &Error, ctx: &mut Carriage) -> FailToProxy {
        let closed = FailToProxy { error_code: 0, can_reuse_downstream: false };
        let at_fault = ctx.handoff.as_ref().and_then(|handoff| body_denial(&handoff.caller));
        let denial = ctx.denial.take().or(at_fault).or_else(|| denial_for(e, session.is_body_done()));
        let begun = session.response_written().is_some_and(|head| !head.status.is_informational());
        let (Some(denial), false) = (denial, begun) else { return closed };
        let Some(handoff) = &mut ctx.handoff else { return closed };
        let Some(exchange) = handoff.ticket.exchange() else { return closed };
        exchange.upstream_failed();
        let problem = Problem::new(&denial, exchange.request_id(), exchange.rate_limit());
        let problem = problem.with_hsts(handoff.hsts.as_ref());
        let status = problem.status;
        ctx.denial = Some(denial);
        session.set_keepalive(None);
        if let Err(error) = write_problem(session, &problem).await {
            tracing::debug!(error = %error.etype().as_str(), "refusal could not be written");
        }
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    async fn logging(&self, _session: &mut Downstream, e: Option<&Error>, ctx: &mut Carriage) {
        let Some(handoff) = ctx.handoff.take() else { return };
        let left = handoff.caller.has_left();
        // Who leaves with the whole answer has left nothing but the rest of its own request.
        let has_answer = ctx.is_complete && !handoff.caller.lost_answer();
        let outcome = match (ctx.denial.take(), e, ctx.status) {
            (Some(denial), ..) => Outcome::Denied(denial),
            (None, _, Some(status)) if has_answer => Outcome::Answered { status },
            (None, _, status) if left => Outcome::CallerLeft { status },
            (None, None, Some(status)) => Outcome::Answered { status },
            (None, Some(e), status) if *e.esource() == ErrorSource::Downstream => Outcome::CallerLeft { status },
            (None, _, status) => Outcome::Aborted { status },
        };
        handoff.ticket.finish(outcome);
    }

    /// Pingora's own line would show the query. Failures stand in the access log, and 8sens's state in the application log.
    fn suppress_error_log(&self, _session: &Downstream, _ctx: &Carriage, error: &Error) -> bool {
        *error.esource() != ErrorSource::Internal
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Downstream,
        _ctx: &Carriage,
        _error: &Error,
        _context: pingora_proxy::ProxyWarnLogContext,
    ) -> bool {
        true
    }

    fn request_summary(&self, _session: &Downstream, ctx: &Carriage) -> String {
        ctx.handoff.as_ref().map_or_else(String::new, |handoff| handoff.plan.fields.request_id.as_str().to_owned())
    }
}

/// Applies the plan to the request that 8sens receives.
fn edit_request(request: &mut RequestHeader, plan: &ForwardPlan, settings: &Settings) -> Result<()> {
    let table = &settings.snapshot.fields;
    let edits = &plan.fields;
    let unwanted: Vec<HeaderName> = request
        .headers
        .iter()
        .filter(|(name, value)| {
            let name = name.as_str().as_bytes();
            !edits.keeps(name, table.role(name), value.as_bytes())
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in &unwanted {
        request.remove_header(name);
    }
    if let Target::Rewritten(target) = &plan.target
        && target::is_written(target)
    {
        request.set_raw_path(target)?;
    }
    if plan.observe == Observe::Login {
        // The answer has to be read here: whole and as it is.
        for name in [header::ACCEPT_ENCODING, header::RANGE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
            request.remove_header(&name);
        }
    }
    let upstream = &settings.upstream;
    request.insert_header(header::HOST, upstream.host_field.clone())?;
    request.append_header(header::VIA, HeaderValue::from_static(VIA))?;
    request.insert_header("X-Request-ID", edits.request_id.as_str())?;
    let mut client_ip = Vec::with_capacity(40);
    crate::domain::request::client_ip::write(edits.client_ip, &mut client_ip);
    request.insert_header("X-Forwarded-For", client_ip)?;
    request.insert_header("X-Forwarded-Proto", if edits.https { "https" } else { "http" })?;
    request.insert_header("api_key", upstream.api_key.clone())
}

/// Leaves one reading of where 8sens's answer ends. Pingora takes any coding that mentions chunked for it and passes its name on, passes
/// repeated lengths and the framing of answers without content on, and answers in 8sens's version.
fn settle_framing(method: Method, response: &mut ResponseHeader) -> Result<AnswerFraming> {
    let lines = |name| response.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let head = AnswerHead {
        method,
        status: response.status.as_u16(),
        is_http11: response.version == http::Version::HTTP_11,
        codings: &lines(header::TRANSFER_ENCODING),
        lengths: &lines(header::CONTENT_LENGTH),
    };
    let framing = framing::settle(head).map_err(|fault| invalid_answer(fault.as_str()))?;
    if framing.content != Content::Chunked {
        response.remove_header(&header::TRANSFER_ENCODING);
    }
    match framing.length_field {
        Some(length) => response.insert_header(header::CONTENT_LENGTH, length)?,
        None => drop(response.remove_header(&header::CONTENT_LENGTH)),
    }
    response.set_version(http::Version::HTTP_11);
    Ok(framing)
}

/// Leads references to 8sens back to the gate. `addresses` are those of its name.
fn settle_references(
    response: &mut ResponseHeader,
    upstream: &UpstreamSettings,
    addresses: impl Fn() -> Vec<IpAddr>,
) -> Result<()> {
    for name in reference::FIELDS {
        let lines: Vec<&[u8]> = response.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        if lines.is_empty() {
            continue;
        }
        let addresses = addresses();
        let itself = Itself { host: &upstream.host, also_known_as: &upstream.also_known_as, addresses: &addresses };
        let Some(rewritten) = reference::rewrite(name, &lines, &itself) else { continue };
        response.remove_header(name);
        for line in rewritten {
            response.append_header(name, line)?;
        }
    }
    Ok(())
}

/// An answer that cannot be passed on; its connection is not used again.
fn invalid_answer(why: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InvalidHTTPHeader, why).into_up()
}

/// Takes out of 8sens's answer what is meant for one connection or for nobody outside.
fn edit_response(response: &mut ResponseHeader, plan: &ForwardPlan) -> Result<()> {
    let mut unwanted: Vec<HeaderName> = response
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::DATE))
        .collect();
    let hides_cookies = !plan.fields.pass_cookies;
    let hidden = |name: &HeaderName| is_hidden(name) || (hides_cookies && name == header::SET_COOKIE);
    unwanted.extend(response.headers.keys().filter(|name| hidden(name)).cloned());
    for name in &unwanted {
        response.remove_header(name);
    }
    if let Some(rate_limit) = &plan.fields.rate_limit {
        response.insert_header("RateLimit-Policy", &rate_limit.policy)?;
        response.insert_header("RateLimit", &rate_limit.limit)?;
    }
    response.insert_header("X-Request-ID", plan.fields.request_id.as_str())
}

/// True when a connection to 8sens ended before any byte of an answer. Pingora calls a half-read head retriable as well and says so
/// only in its context.
fn closed_without_a_byte(e: &Error) -> bool {
    let no_byte = || e.context.as_ref().is_some_and(|context| context.as_str().ends_with("bytes already read: 0"));
    *e.esource() == ErrorSource::Upstream
        && match e.etype() {
            ErrorType::ConnectionClosed | ErrorType::ReadError => no_byte(),
            ErrorType::WriteError => true,
            _ => false,
        }
}

/// The refusal for what was wrong with the caller's body, if anything was.
fn body_denial(caller: &CallerState) -> Option<Denial> {
    if caller.sent_bad_chunk() {
        return Some(Denial::because(Reason::BadChunk));
    }
    caller.sent_too_slowly().then(|| Denial::because(Reason::BodyTooSlow))
}

/// The refusal for a failure of 8sens; `None` when there is nobody to tell.
fn denial_for(e: &Error, body_done: bool) -> Option<Denial> {
    match (e.esource(), e.etype()) {
        // 8sens cannot answer before it has the whole body.
        (ErrorSource::Upstream, ErrorType::ReadTimedout) if !body_done => Some(Denial::because(Reason::BodySilent)),
        (ErrorSource::Upstream, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => {
            Some(Denial::because(Reason::UpstreamSilent))
        }
        (ErrorSource::Upstream, ErrorType::InvalidHTTPHeader | ErrorType::HTTPStatus(_)) => {
            Some(Denial::because(Reason::AnswerNotParsed))
        }
        (_, ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert) => {
            let why = certificate_fault(e).unwrap_or(Reason::UpstreamTls);
            Some(Denial::because(why))
        }
        (ErrorSource::Upstream, ErrorType::TLSHandshakeTimedout) => Some(Denial::because(Reason::ConnectTimeout)),
        (ErrorSource::Upstream, ErrorType::ConnectTimedout) => Some(Denial::because(Reason::ConnectTimeout)),
        (ErrorSource::Upstream, ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError) => {
            Some(Denial::because(Reason::UpstreamClosed))
        }
        (ErrorSource::Upstream, ErrorType::ConnectRefused | ErrorType::ConnectNoRoute | ErrorType::ConnectError) => {
            Some(Denial::because(Reason::NoConnection))
        }
        (ErrorSource::Upstream, _) => Some(Denial::because(Reason::AnswerNotValid)),
        _ => None,
    }
}

/// What is wrong with the certificate that 8sens showed, if anything is. Pingora keeps rustls's words and not its error.
fn certificate_fault(e: &Error) -> Option<Reason> {
    if !matches!(e.etype(), ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert) {
        return None;
    }
    let words = e.context.as_ref().map(|context| context.as_str()).unwrap_or_default();
    let known = [
        ("UnknownIssuer", Reason::UpstreamIssuer),
        // An authority of the same name, with another key.
        ("BadSignature", Reason::UpstreamIssuer),
        ("not valid for name", Reason::UpstreamName),
        ("NotValidForName", Reason::UpstreamName),
        ("expired", Reason::UpstreamCertificateExpired),
        ("Expired", Reason::UpstreamCertificateExpired),
        ("invalid peer certificate", Reason::UpstreamCertificate),
    ];
    known.into_iter().find_map(|(word, why)| words.contains(word).then_some(why))
}

async fn write_problem(session: &mut Downstream, problem: &Problem) -> Result<()> {
    let is_head = session.req_header().method == http::Method::HEAD;
    let mut head = ResponseHeader::build(problem.status, Some(problem.fields.len() + 3))?;
    for (name, value) in &problem.fields {
        head.insert_header(*name, value)?;
    }
    head.insert_header(header::CONTENT_LENGTH, problem.body.len())?;
    session.write_response_header(Box::new(head), is_head).await?;
    if !is_head {
        session.write_response_body(Some(problem.body.clone()), true).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(method: Method, status: u16, fields: &[(&'static str, &str)]) -> Option<String> {
        let mut response = ResponseHeader::build(status, None).unwrap();
        response.set_version(http::Version::HTTP_11);
        for (name, value) in fields {
            response.append_header(*name, *value).unwrap();
        }
        settle_framing(method, &mut response).ok()?;
        let field = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        Some(response.headers.iter().map(field).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn an_answer_keeps_one_framing() {
        let twice = [("content-length", "5"), ("content-length", "5, 5")];
        let chunked = [("transfer-encoding", "Chunked")];
        let both = [("transfer-encoding", "chunked"), ("content-length", "5")];
        assert_eq!(settled(Method::Get, 200, &twice).as_deref(), Some("content-length: 5"));
        assert_eq!(settled(Method::Get, 200, &chunked).as_deref(), Some("transfer-encoding: Chunked"));
        assert_eq!(settled(Method::Get, 204, &both).as_deref(), Some(""));
        assert_eq!(settled(Method::Get, 205, &both).as_deref(), Some("content-length: 0"));
        assert_eq!(settled(Method::Get, 304, &twice).as_deref(), Some("content-length: 5"));
        assert_eq!(settled(Method::Head, 200, &twice).as_deref(), Some("content-length: 5"));
        assert_eq!(settled(Method::Head, 200, &chunked).as_deref(), Some(""));
        assert_eq!(settled(Method::Get, 200, &[("transfer-encoding", "gzip, chunked")]), None);
    }
}
