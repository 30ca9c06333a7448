//! A downstream connection cut into requests.
//!
//! Pingora is handed this in place of the socket and sees the bytes of exactly one request: past its end it can neither
//! read the next one by mistake nor abort the current one because more bytes came. The stream also knows what Pingora
//! cannot be told: a write whose body is complete goes on when its caller leaves, a caller that stops reading is cut
//! off, and a chunked body is followed strictly.

use super::buffer::{ReadBuffer, SMALL};
use super::pace::Pace;
use super::socket::Socket;
use crate::config::ConnectionSettings;
use crate::domain::request::Framing;
use crate::domain::request::chunked::{ChunkScanner, InvalidChunk};
use crate::domain::request::head::FieldLines;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// With so many bytes of a next request, no more are read while one is under way.
const KEPT_MAX: usize = 4096;

/// What the stream has seen of its caller during one request, shared with whoever finishes the exchange.
#[derive(Debug, Default)]
pub struct CallerState {
    left: AtomicBool,
    bad_chunk: AtomicBool,
    slow_body: AtomicBool,
    slow_reader: AtomicBool,
    lost_answer: AtomicBool,
}

impl CallerState {
    /// The caller closed or lost the connection before its answer was complete.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// The chunked request body was not well-formed.
    #[must_use]
    pub fn sent_bad_chunk(&self) -> bool {
        self.bad_chunk.load(Ordering::Relaxed)
    }

    /// The request body came too slowly.
    #[must_use]
    pub fn sent_too_slowly(&self) -> bool {
        self.slow_body.load(Ordering::Relaxed)
    }

    fn lose_answer(&self) {
        self.left.store(true, Ordering::Relaxed);
        self.lost_answer.store(true, Ordering::Relaxed);
    }

    /// Part of the answer could not be written.
    #[must_use]
    pub fn lost_answer(&self) -> bool {
        self.lost_answer.load(Ordering::Relaxed)
    }

    /// The answer was taken too slowly.
    #[must_use]
    pub fn read_too_slowly(&self) -> bool {
        self.slow_reader.load(Ordering::Relaxed)
    }
}

/// How much of the connection belongs to the request under way.
#[derive(Debug)]
enum Window {
    /// This many bytes: the head, and the body of known length.
    Exactly(u64),
    /// The head's bytes, then a chunked body.
    Chunked(u64, ChunkScanner),
}

impl Window {
    fn is_done(&self) -> bool {
        match self {
            Self::Exactly(left) => *left == 0,
            Self::Chunked(head, scanner) => *head == 0 && scanner.is_done(),
        }
    }

    /// How many of `bytes`, which come next on the connection, belong to the request; those are counted off.
    fn claim(&mut self, bytes: &[u8]) -> Result<usize, InvalidChunk> {
        match self {
            Self::Exactly(left) | Self::Chunked(left, _) if *left > 0 => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= take as u64;
                Ok(take)
            }
            Self::Exactly(_) => Ok(0),
            Self::Chunked(_, scanner) => scanner.follow(bytes),
        }
    }
}

/// One downstream connection.
pub struct CallerStream {
    inner: Socket,
    /// Read from the socket and not yet part of any request.
    buffer: ReadBuffer<SMALL>,
    /// The field lines of the head that was scanned last.
    lines: FieldLines,
    window: Window,
    /// The caller sends no more: FIN, or an error.
    read_closed: bool,
    /// The request under way changes something, so it must run to its answer.
    outlives_caller: bool,
    state: Arc<CallerState>,
    body_pace: Pace,
    answer_pace: Pace,
}

impl CallerStream {
    #[must_use]
    pub fn new(inner: Socket, limits: &ConnectionSettings) -> Self {
        Self {
            inner,
            buffer: ReadBuffer::default(),
            lines: FieldLines::default(),
            window: Window::Exactly(0),
            read_closed: false,
            outlives_caller: false,
            state: Arc::default(),
            body_pace: Pace::new(limits.body),
            answer_pace: Pace::new(limits.answer),
        }
    }

    /// The same stream, on which small writes of one answer leave together.
    #[must_use]
    pub fn gathering(self) -> Self {
        Self { inner: self.inner.gathering(), ..self }
    }

    /// Gives the socket back, and forgets what was read and not used.
    #[must_use]
    pub fn into_socket(self) -> Socket {
        self.inner
    }

    /// Writes an answer of the gate's own, and says whether the caller took it in time. One that did not is a slow
    /// reader.
    pub async fn send(&mut self, bytes: &[u8], patience: Duration) -> bool {
        let sent = timeout(patience, async {
            self.write_all(bytes).await?;
            self.flush().await
        })
        .await;
        if sent.is_err() {
            self.state.slow_reader.store(true, Ordering::Relaxed);
        }
        matches!(sent, Ok(Ok(())))
    }

    /// The socket, for what it knows of itself.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.inner
    }

    /// What was seen of the caller during the request under way, or the last one.
    #[must_use]
    pub fn state(&self) -> &CallerState {
        &self.state
    }

    /// What was read and belongs to no request yet.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        self.buffer.filled()
    }

    /// The same, and where a scan of it writes down what lines the head has.
    pub fn to_scan(&mut self) -> (&[u8], &mut FieldLines) {
        (self.buffer.filled(), &mut self.lines)
    }

    /// The field lines of the head of the request under way, as places in its bytes.
    #[must_use]
    pub const fn head_lines(&self) -> &FieldLines {
        &self.lines
    }

    /// Reads more into the buffer; 0 is the end of the stream. While nothing comes and nothing is there, no memory is
    /// held for it.
    ///
    /// # Errors
    /// When the connection failed.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Waits until the caller has closed or lost the connection. What it sends meanwhile is kept, up to a bound.
    pub async fn gone(&mut self) {
        while self.buffered().len() < KEPT_MAX {
            if !matches!(self.fill().await, Ok(read) if read > 0) {
                return;
            }
        }
        std::future::pending().await
    }

    /// Takes `len` buffered bytes away: part of a request that nobody will read.
    pub fn discard(&mut self, len: usize) {
        self.buffer.consume(len);
    }

    /// Writes other bytes in place of some of the buffered ones.
    pub fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        self.buffer.replace(range, with);
    }

    /// Opens the window for one request whose head is the first `head_len` buffered bytes.
    pub fn open_request(&mut self, head_len: usize, framing: Framing, is_write: bool) -> Arc<CallerState> {
        let head = head_len as u64;
        self.window = match framing {
            Framing::None => Window::Exactly(head),
            Framing::Length(body) => Window::Exactly(head.saturating_add(body)),
            Framing::Chunked => Window::Chunked(head, ChunkScanner::default()),
        };
        self.outlives_caller = is_write;
        match Arc::get_mut(&mut self.state) {
            Some(state) => *state = CallerState::default(),
            // Whoever finishes the last exchange still looks at it.
            None => self.state = Arc::default(),
        }
        self.body_pace.restart();
        self.answer_pace.restart();
        Arc::clone(&self.state)
    }

    /// True when the connection can carry another request after the one that was just served.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        self.window.is_done() && !self.state.has_left() && !(self.read_closed && self.buffered().is_empty())
    }

    /// Serves the request under way: buffered bytes first, then the socket.
    fn poll_request(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.buffered().is_empty() {
            ready!(self.poll_body(cx))?;
        }
        let bytes = self.buffer.filled();
        let bytes = &bytes[..bytes.len().min(out.remaining())];
        let taken = self.window.claim(bytes).map_err(|invalid| {
            self.state.bad_chunk.store(true, Ordering::Relaxed);
            io::Error::new(io::ErrorKind::InvalidData, invalid.0)
        })?;
        out.put_slice(&bytes[..taken]);
        self.buffer.consume(taken);
        Poll::Ready(Ok(()))
    }

    /// Reads more of a body that has to come at its pace.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(filled) = self.poll_fill(cx) {
            self.body_pace.moved(self.buffered().len());
            return Poll::Ready(filled.map(|_| ()));
        }
        ready!(self.body_pace.poll_too_slow(cx));
        self.state.slow_body.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the body comes too slowly")))
    }

    /// Reads once from the socket into the buffer; 0 is the end of the stream.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read_closed {
            return Poll::Ready(Ok(0));
        }
        let filled = ready!(self.buffer.poll_fill(cx, &mut self.inner));
        self.read_closed = !matches!(filled, Ok(read) if read > 0);
        if filled.is_err() {
            self.state.left.store(true, Ordering::Relaxed);
        }
        Poll::Ready(filled)
    }

    /// The whole request was read: only the caller's leaving is of interest, and bytes of a next request are kept for
    /// later.
    fn poll_leaving(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.buffered().len() < KEPT_MAX && !self.read_closed {
            let outcome = ready!(self.poll_fill(cx));
            if self.outlives_caller {
                continue;
            }
            outcome?;
        }
        if !self.read_closed || !self.buffered().is_empty() {
            return Poll::Pending;
        }
        self.state.left.store(true, Ordering::Relaxed);
        if self.outlives_caller { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// True once part of an answer was dropped that outlives its caller: whatever were written now would close the gap
    /// unseen.
    fn is_past_a_gap(&self) -> bool {
        self.outlives_caller && self.state.lost_answer()
    }

    /// Turns a write that makes too little progress into an error.
    fn guard<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<(usize, io::Result<T>)>) -> Poll<io::Result<T>> {
        match outcome {
            Poll::Pending => {
                ready!(self.answer_pace.poll_too_slow(cx));
                self.state.slow_reader.store(true, Ordering::Relaxed);
                self.state.lose_answer();
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is taken too slowly")))
            }
            Poll::Ready((moved, outcome)) => {
                self.answer_pace.moved(moved);
                if outcome.is_err() {
                    self.state.lose_answer();
                }
                Poll::Ready(outcome)
            }
        }
    }
}

impl AsyncRead for CallerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.window.is_done() { self.poll_leaving(cx) } else { self.poll_request(cx, out) }
    }
}

impl AsyncWrite for CallerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_past_a_gap() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome =
            Pin::new(&mut self.inner).poll_write(cx, bytes).map(|written| (*written.as_ref().unwrap_or(&0), written));
        match ready!(self.guard(cx, outcome)) {
            Err(_) if self.outlives_caller => Poll::Ready(Ok(bytes.len())),
            outcome => Poll::Ready(outcome),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_past_a_gap() {
            return Poll::Ready(Ok(()));
        }
        let outcome = Pin::new(&mut self.inner).poll_flush(cx).map(|flushed| (0, flushed));
        match ready!(self.guard(cx, outcome)) {
            Err(_) if self.outlives_caller => Poll::Ready(Ok(())),
            outcome => Poll::Ready(outcome),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(cx).map(|shut| (0, shut));
        self.guard(cx, outcome)
    }
}

/// Never shows bytes: they hold keys.
impl fmt::Debug for CallerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerStream").field("buffered", &self.buffered().len()).finish_non_exhaustive()
    }
}
