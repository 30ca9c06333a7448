//! A connection to 8sens, in clear or encrypted.

use crate::proxy::lazy_timer::LazyTimer;
use socket2::SockRef;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// What the bytes travel on.
#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    /// Boxed: it is many times as large.
    Tls(Box<TlsStream<TcpStream>>),
}

/// One connection, with the timer of whoever uses it.
#[derive(Debug)]
pub(super) struct UpstreamStream {
    wire: Wire,
    pub timer: LazyTimer,
}

impl UpstreamStream {
    #[must_use]
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self { wire: Wire::Plain(stream), timer: LazyTimer::default() }
    }

    #[must_use]
    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self { wire: Wire::Tls(Box::new(stream)), timer: LazyTimer::default() }
    }

    /// Whether 8sens has said nothing that was not read, not even that it closes, as far as the runtime knows. When it
    /// does, `cx` is woken.
    pub(super) fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        Pin::new(self).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// The same, as far as the system knows, which the runtime may not have heard yet. Nothing is read: where TLS has
    /// anything to say between two requests, that is no connection to send the next one on.
    pub(super) fn is_silent(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = SockRef::from(self.tcp()).peek(&mut byte);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The connection itself.
    #[must_use]
    pub(super) fn tcp(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, out),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
