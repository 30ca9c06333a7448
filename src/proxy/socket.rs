//! A caller's socket, encrypted or not. Where an answer is written in small pieces, they leave together.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

/// Bytes of an answer that are gathered before they are sent.
const WRITE_BUFFER: usize = 4096;

/// Bytes of an answer that the system may hold unsent for one caller. Past them the gate itself waits, and sees how
/// slowly they are taken: the system tells it when half of them are gone. Left alone, it holds megabytes and tells of a
/// third of those.
#[cfg(target_os = "linux")]
const UNSENT_MAX: u32 = 64 * 1024;

/// The name of HTTP/2 in the TLS handshake (RFC 9113 section 3.2).
pub const ALPN_HTTP2: &[u8] = b"h2";

/// When the system asks whether the other end of a connection is still there, and how often before it gives up.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    pub idle: Duration,
    pub interval: Duration,
    pub count: u32,
}

/// Notices a vanished peer within about two minutes, a caller as well as 8sens.
pub const KEEPALIVE: Keepalive =
    Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(15), count: 4 };

/// What the bytes travel on.
#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    /// Boxed: it is many times as large.
    Tls(Box<TlsStream<TcpStream>>),
    /// One stream of an HTTP/2 connection, in memory.
    Piped(DuplexStream),
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, out),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, out),
            Self::Piped(stream) => Pin::new(stream).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Piped(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Piped(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Piped(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Sets what every accepted connection gets: answers leave at once, a peer that vanished is noticed within about two
/// minutes, and what the system holds for a caller that takes nothing of it is dropped, also after the gate has closed.
/// It is given twice the `patience` that the gate itself has while there is something left to write.
pub fn tune(stream: &TcpStream, patience: Duration) {
    let Keepalive { idle, interval, count } = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(count);
    // All of it only makes a good connection better; one that is gone already shows it at the first read.
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        let _ = socket.set_tcp_user_timeout(Some(patience.saturating_mul(2)));
        let _ = socket.set_tcp_notsent_lowat(UNSENT_MAX);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
}

/// The way to the wire.
#[derive(Debug)]
enum Stream {
    Direct(Wire),
    /// For whoever writes an answer in small pieces: they are gathered until it flushes.
    Gathered(BufWriter<Wire>),
}

impl Stream {
    fn wire(&self) -> &Wire {
        match self {
            Self::Direct(wire) => wire,
            Self::Gathered(writer) => writer.get_ref(),
        }
    }

    fn wire_mut(&mut self) -> &mut Wire {
        match self {
            Self::Direct(wire) => wire,
            Self::Gathered(writer) => writer.get_mut(),
        }
    }
}

/// A connection on which HTTP is about to begin.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    peer: SocketAddr,
    id: u32,
    /// Since when the other end has taken nothing of what is being sent.
    stalled_since: Option<Instant>,
}

impl Socket {
    /// One that is not encrypted.
    #[must_use]
    pub fn plain(stream: TcpStream, peer: SocketAddr) -> Self {
        Self::on(Wire::Plain(stream), peer)
    }

    /// One whose handshake is done.
    #[must_use]
    pub fn tls(stream: TlsStream<TcpStream>, peer: SocketAddr) -> Self {
        Self::on(Wire::Tls(Box::new(stream)), peer)
    }

    /// One stream of an HTTP/2 connection; its origin is that of the connection.
    #[must_use]
    pub fn piped(stream: DuplexStream) -> Self {
        Self::on(Wire::Piped(stream), SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    fn on(wire: Wire, peer: SocketAddr) -> Self {
        static NEXT_ID: AtomicU32 = AtomicU32::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { stream: Stream::Direct(wire), peer, id, stalled_since: None }
    }

    /// The same connection, on which small writes leave together. The buffer for it is there from now on.
    #[must_use]
    pub fn gathering(self) -> Self {
        let stream = match self.stream {
            Stream::Direct(wire) => Stream::Gathered(BufWriter::with_capacity(WRITE_BUFFER, wire)),
            gathered @ Stream::Gathered(_) => gathered,
        };
        Self { stream, ..self }
    }

    /// The address of the other end, as a PROXY header stated it where there was one.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// True when the handshake has settled on HTTP/2.
    #[must_use]
    pub fn speaks_http2(&self) -> bool {
        match self.stream.wire() {
            Wire::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2),
            Wire::Plain(_) | Wire::Piped(_) => false,
        }
    }

    /// How long the other end has taken nothing of what is being sent.
    #[must_use]
    pub fn stalled_for(&self) -> Duration {
        self.stalled_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Reads bytes that nobody wants, in clear or not: encrypted ones are not worth the work of decrypting them. 0 is
    /// the end of the stream. Nothing can be read in earnest afterwards.
    pub fn poll_discard(&mut self, cx: &mut Context<'_>, scratch: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        scratch.clear();
        ready!(match self.stream.wire_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, scratch),
            Wire::Tls(stream) => Pin::new(stream.get_mut().0).poll_read(cx, scratch),
            Wire::Piped(stream) => Pin::new(stream).poll_read(cx, scratch),
        })?;
        Poll::Ready(Ok(scratch.filled().len()))
    }

    /// Closes without a farewell: what the system still holds for the other end is dropped with the connection, instead
    /// of being kept for as long as it takes nothing.
    pub fn reset(self) {
        let stream = match self.stream.wire() {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref().0,
            Wire::Piped(_) => return,
        };
        // Where it cannot be set, the close is an ordinary one.
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }

    fn note<T>(&mut self, outcome: Poll<T>) -> Poll<T> {
        if outcome.is_pending() {
            self.stalled_since.get_or_insert_with(Instant::now);
        }
        outcome
    }

    /// A number that no other open connection has; it comes again after four billion.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.wire_mut()).poll_read(cx, out)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = match &mut self.stream {
            Stream::Direct(wire) => Pin::new(wire).poll_write(cx, bytes),
            Stream::Gathered(writer) => Pin::new(writer).poll_write(cx, bytes),
        };
        self.note(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = match &mut self.stream {
            Stream::Direct(wire) => Pin::new(wire).poll_flush(cx),
            Stream::Gathered(writer) => Pin::new(writer).poll_flush(cx),
        };
        if outcome.is_ready() {
            // A write that is ready may have filled a buffer of our own and nothing else.
            self.stalled_since = None;
        }
        self.note(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = match &mut self.stream {
            Stream::Direct(wire) => Pin::new(wire).poll_shutdown(cx),
            Stream::Gathered(writer) => Pin::new(writer).poll_shutdown(cx),
        };
        self.note(outcome)
    }
}
