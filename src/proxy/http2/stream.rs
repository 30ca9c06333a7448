//! One stream: a request for the lane of HTTP/1.1, and its answer on the way back.

use super::fields;
use super::request::{self, OwnLine};
use super::stand_in;
use crate::config::ConnectionSettings;
use crate::domain::denial::{Denial, Reason as DenyReason};
use crate::domain::exchange::Outcome;
use crate::domain::request::FieldRole;
use crate::domain::request::head::{Fragment, Origin};
use crate::platform::clock;
use crate::proxy::caller_stream::CallerStream;
use crate::proxy::http1::Connection;
use crate::proxy::listener::Listener;
use crate::proxy::pace::Pace;
use crate::proxy::reply::{Problem, http_date};
use crate::proxy::slots::{NoSlot, Slot};
use crate::proxy::socket::Socket;
use crate::proxy::ticket::Ticket;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, DATE, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::DuplexStream;
use tokio::sync::{Notify, watch};

/// Bytes on their way between the stream and the lane, in each direction.
const PIPE: usize = 16 * 1024;

/// Fields of an answer of 8sens: Pingora takes no more.
const MAX_ANSWER_FIELDS: usize = 256 + 32;

/// Where the streams of one connection come from.
pub(super) struct StreamLane {
    pub listener: Arc<Listener>,
    pub origin: Origin,
    /// Turns true when the gate is ending.
    pub shutdown: watch::Receiver<bool>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// The whole answer is on its way.
    Answered,
    /// Given up by either side.
    GivenUp,
    /// Its caller took the answer too slowly.
    SlowReader,
}

/// Why no whole answer was sent.
enum Unsent {
    /// The caller gave the stream up, or is gone.
    Left,
    /// The caller takes its answer too slowly.
    TooSlow,
    /// The lane broke off.
    Broken,
}

impl From<h2::Error> for Unsent {
    fn from(_: h2::Error) -> Self {
        Self::Left
    }
}

impl From<hyper::Error> for Unsent {
    fn from(_: hyper::Error) -> Self {
        Self::Broken
    }
}

impl StreamLane {
    /// Serves one stream to its end. What it forwards goes on by itself when the caller is gone, where it has to.
    pub(super) async fn serve(
        self,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        slot: Result<Slot, NoSlot>,
    ) -> StreamEnd {
        let (mut parts, body) = request.into_parts();
        let Some(asked) = stand_in::read(&mut parts.headers) else { return StreamEnd::GivenUp };
        let key = asked.fault.and_then(|_| self.sole_key(&parts.headers));
        let fragment = Fragment { method: &asked.method, target: &asked.target, key: key.as_deref() };
        let body = RequestBody::new(body);
        let head = match asked.fault {
            Some(reason) if fields::resets(reason) => return self.reset(respond, reason, fragment),
            Some(reason) => Err(Denial::because(reason)),
            None => request::http1(&asked.method, parts.headers, body.is_end_stream()),
        };
        let end = match (head, slot) {
            (Err(denial), _) => self.refuse(respond, &denial, fragment),
            (Ok(_), Err(none)) => self.refuse(respond, &none.denial(), fragment),
            (Ok(head), Ok(slot)) => {
                let limits = self.listener.settings().connections.clone();
                let pipe = OwnLine::new(self.lane(slot, &limits), &asked.method, &asked.target);
                carry(pipe, head.map(|()| body.clone()), respond, &limits).await
            }
        };
        if end == StreamEnd::Answered && !body.is_end_stream() {
            self.listener.end_stream(|cx| body.poll_discard(cx), self.shutdown).await;
        }
        end
    }

    /// The value of the one key field of a head that is refused.
    fn sole_key(&self, fields: &HeaderMap) -> Option<Vec<u8>> {
        let settings = self.listener.settings();
        let role = |name: &HeaderName| settings.snapshot.fields.role(name.as_str().as_bytes());
        let is_key = |name: &HeaderName| matches!(role(name), Some(FieldRole::Key | FieldRole::KeyAlias));
        let mut keys = fields.iter().filter(|(name, _)| is_key(name));
        let (_, key) = keys.next().filter(|_| keys.next().is_none())?;
        Some(key.as_bytes().trim_ascii().to_vec())
    }

    /// Starts the lane of HTTP/1.1 for one request and returns the caller's end of it.
    fn lane(&self, slot: Slot, limits: &ConnectionSettings) -> DuplexStream {
        let (near, far) = tokio::io::duplex(PIPE);
        let caller = Box::new(CallerStream::new(Socket::piped(far), limits));
        // A stream that was taken is served, also by a gate that is ending: the connection tells callers to send no
        // more.
        let (never, stop) = watch::channel(false);
        let (listener, origin) = (Arc::clone(&self.listener), self.origin);
        tokio::spawn(async move {
            let (_slot, _never) = (slot, never);
            Connection::new(&listener, origin, stop).serve(caller).await
        });
        near
    }

    /// Resets a malformed stream, and records why. Its siblings go on.
    fn reset(&self, mut respond: SendResponse<Bytes>, reason: DenyReason, fragment: Fragment<'_>) -> StreamEnd {
        let denial = Denial::because(reason);
        let exchange = self.listener.unreadable(&self.listener.settings(), self.origin.peer, fragment, &denial);
        let ticket = Ticket::new(exchange, self.listener.telemetry());
        respond.send_reset(Reason::PROTOCOL_ERROR);
        ticket.finish(Outcome::CutOff(denial));
        StreamEnd::GivenUp
    }

    /// Answers a stream that never becomes a request. Its siblings go on.
    fn refuse(&self, mut respond: SendResponse<Bytes>, denial: &Denial, fragment: Fragment<'_>) -> StreamEnd {
        let exchange = self.listener.unreadable(&self.listener.settings(), self.origin.peer, fragment, denial);
        let problem = Problem::new(denial, exchange.request_id(), exchange.rate_limit())
            .with_hsts(self.listener.hsts(self.origin.transport));
        let ticket = Ticket::new(exchange, self.listener.telemetry());
        let mut answer = problem.to_response();
        if let Ok(date) = http_date(clock::now().wall).parse() {
            answer.headers_mut().insert(DATE, date);
        }
        // A caller that is gone misses nothing. The document fits into the window of a new stream, or waits for it in
        // the send buffer.
        let is_head = fragment.method == b"HEAD";
        if let (Ok(mut stream), false) = (respond.send_response(answer, is_head), is_head) {
            let _ = stream.send_data(problem.body.clone(), true);
        }
        ticket.finish(Outcome::Denied(denial.clone()));
        StreamEnd::Answered
    }
}

/// Puts the request into the lane and brings the answer back.
async fn carry(
    pipe: OwnLine<DuplexStream>,
    mut request: Request<RequestBody>,
    mut respond: SendResponse<Bytes>,
    limits: &ConnectionSettings,
) -> StreamEnd {
    let go_on = Arc::new(Notify::new());
    hyper::ext::on_informational(&mut request, {
        let go_on = Arc::clone(&go_on);
        move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                go_on.notify_one();
            }
        }
    });
    let Ok((mut lane, driver)) =
        http1::Builder::new().max_headers(MAX_ANSWER_FIELDS).handshake(TokioIo::new(pipe)).await
    else {
        respond.send_reset(Reason::INTERNAL_ERROR);
        return StreamEnd::GivenUp;
    };
    let outcome = {
        let work = async {
            let answer = await_answer(lane.send_request(request), &mut respond, &go_on).await?;
            send_answer(answer, &mut respond, limits).await
        };
        let (mut work, mut driver) = (pin!(work), pin!(driver));
        let mut is_driven = true;
        loop {
            tokio::select! {
                biased;
                outcome = &mut work => break outcome,
                _ = &mut driver, if is_driven => is_driven = false,
            }
        }
    };
    // A reset tells that the answer is not whole. Who has left needs no word.
    match outcome {
        Ok(()) => return StreamEnd::Answered,
        Err(Unsent::Left) => {}
        Err(Unsent::TooSlow) => {
            respond.send_reset(Reason::CANCEL);
            return StreamEnd::SlowReader;
        }
        Err(Unsent::Broken) => respond.send_reset(Reason::INTERNAL_ERROR),
    }
    StreamEnd::GivenUp
}

/// Waits for the head of the answer, passing on that the body may come.
async fn await_answer(
    answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
    respond: &mut SendResponse<Bytes>,
    go_on: &Notify,
) -> Result<Response<Incoming>, Unsent> {
    let mut answer = pin!(answer);
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return Ok(answer?),
            () = go_on.notified() => {
                let mut interim = Response::new(());
                *interim.status_mut() = StatusCode::CONTINUE;
                respond.send_informational(interim)?;
            }
            _ = poll_fn(|cx| respond.poll_reset(cx)) => return Err(Unsent::Left),
        }
    }
}

/// Sends the answer as fast as the caller takes it.
async fn send_answer(
    answer: Response<Incoming>,
    respond: &mut SendResponse<Bytes>,
    limits: &ConnectionSettings,
) -> Result<(), Unsent> {
    let (mut parts, mut body) = answer.into_parts();
    for name in [CONNECTION, TRANSFER_ENCODING, HeaderName::from_static("keep-alive")] {
        parts.headers.remove(name);
    }
    parts.version = Version::HTTP_2;
    let mut pace = Pace::new(limits.answer);
    let mut stream = respond.send_response(Response::from_parts(parts, ()), body.is_end_stream())?;
    while !body.is_end_stream() {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            _ = poll_fn(|cx| stream.poll_reset(cx)) => return Err(Unsent::Left),
        };
        match frame {
            Some(frame) => {
                if let Ok(data) = frame?.into_data() {
                    send_data(&mut stream, data, body.is_end_stream(), &mut pace).await?;
                }
            }
            None => return Ok(stream.send_data(Bytes::new(), true)?),
        }
    }
    Ok(())
}

async fn send_data(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    is_last: bool,
    pace: &mut Pace,
) -> Result<(), Unsent> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let capacity = poll_fn(|cx| match stream.poll_capacity(cx) {
            Poll::Ready(Some(capacity)) => Poll::Ready(capacity.map_err(Unsent::from)),
            Poll::Ready(None) => Poll::Ready(Err(Unsent::Left)),
            Poll::Pending => pace.poll_too_slow(cx).map(|()| Err(Unsent::TooSlow)),
        });
        let piece = data.split_to(capacity.await?.min(data.len()));
        pace.moved(piece.len());
        stream.send_data(piece, is_last && data.is_empty())?;
    }
    Ok(())
}

/// The body of a stream, its empty frames left out: to the lane an empty chunk would be its end. Shared, so that what
/// the lane leaves of it can be thrown away: some clients notice an answer only when they have sent everything, and
/// others lose it when the stream is reset right behind it. Dropped before its end, it is reset with `NO_ERROR` (RFC
/// 9113 section 8.1).
#[derive(Clone)]
struct RequestBody(Arc<Mutex<RecvStream>>);

impl RequestBody {
    fn new(stream: RecvStream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// The next bytes; their windows are opened again. `None` is the end.
    fn poll_bytes(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let mut stream = self.0.lock();
        loop {
            let Some(data) = ready!(stream.poll_data(cx)).transpose()? else { return Poll::Ready(None) };
            stream.flow_control().release_capacity(data.len())?;
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(data)));
            }
        }
    }

    /// Throws the next bytes away and tells how many there were; 0 is the end.
    fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<usize> {
        self.poll_bytes(cx).map(|data| data.map_or(0, |data| data.map_or(0, |data| data.len())))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        self.poll_bytes(cx).map(|data| data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_end_stream()
    }
}
