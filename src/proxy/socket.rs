//! A caller's socket: small writes of one answer leave together.

use crate::proxy::upstream::tcp_keepalive;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of an answer that are gathered before they are sent.
const WRITE_BUFFER: usize = 4096;

/// An accepted connection, before any byte was read.
#[derive(Debug)]
pub struct Socket {
    stream: BufWriter<TcpStream>,
    peer: SocketAddr,
}

impl Socket {
    /// Takes over an accepted connection. Answers leave at once, and a peer that vanished is noticed within about two minutes.
    #[must_use]
    pub fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        let probes = tcp_keepalive();
        let keepalive =
            TcpKeepalive::new().with_time(probes.idle).with_interval(probes.interval).with_retries(probes.count as u32);
        // Both only make a good connection better; one that is gone already shows it at the first read.
        let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        let _ = stream.set_nodelay(true);
        Self { stream: BufWriter::with_capacity(WRITE_BUFFER, stream), peer }
    }

    /// The address of the other end.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// A number that no other open connection has.
    #[must_use]
    pub fn id(&self) -> pingora_core::protocols::UniqueIDType {
        #[cfg(unix)]
        {
            std::os::fd::AsRawFd::as_raw_fd(self.stream.get_ref())
        }
        #[cfg(windows)]
        {
            std::os::windows::io::AsRawSocket::as_raw_socket(self.stream.get_ref()) as usize
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
