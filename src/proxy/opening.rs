//! What happens on a connection before its first request: the PROXY header where one is awaited, then the TLS
//! handshake.

use super::proxy_header;
use super::socket::Socket;
use crate::domain::denial::{Denial, Reason};
use crate::domain::request::Transport;
use crate::domain::request::client_ip::{TrustedProxies, canonical};
use http::HeaderValue;
use rustls::server::Acceptor;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

/// The first byte of every TLS connection: a handshake record (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;

/// How connections of one listener are opened.
pub struct Opening {
    pub transport: Transport,
    pub tls: Option<TlsAcceptor>,
    /// `Strict-Transport-Security` for answers through TLS.
    pub hsts: Option<HeaderValue>,
    pub proxy_protocol: Arc<TrustedProxies>,
    /// As many as may be signed at the same time, of all listeners; others wait under their deadline.
    pub signatures: Arc<Semaphore>,
}

impl Opening {
    /// True when this peer is a proxy that begins with a PROXY header, and speaks for others.
    #[must_use]
    pub fn awaits_header(&self, peer: IpAddr) -> bool {
        self.proxy_protocol.contains(canonical(peer))
    }

    /// The transport of a connection that begins with HTTP at once; `None` when it has to be opened first.
    #[must_use]
    pub fn without_ado(&self, peer: IpAddr) -> Option<Transport> {
        (self.tls.is_none() && !self.awaits_header(peer)).then_some(self.transport)
    }

    /// Opens one connection. The caller of this sets the deadline.
    ///
    /// # Errors
    /// The reason for the record; there is nobody to answer.
    pub async fn open(&self, mut stream: TcpStream, peer: SocketAddr) -> Result<(Socket, Transport), Denial> {
        let mut source = peer;
        if self.awaits_header(peer.ip()) {
            let stated = proxy_header::read(&mut stream).await;
            let stated = stated.map_err(|_| Denial::because(Reason::NoProxyHeader))?;
            source = stated.unwrap_or(peer);
        }
        let Some(acceptor) = &self.tls else { return Ok((Socket::plain(stream, source), self.transport)) };
        if speaks_plainly(&stream).await? {
            // Answered all the same, so that whoever sent a key in clear is told, and the alarm is raised.
            return Ok((Socket::plain(stream, source), Transport::Cleartext));
        }
        let failed = |_| Denial::because(Reason::TlsHandshake);
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(failed)?;
        let signed = {
            // Held for the signature alone: a caller that leaves its handshake unfinished keeps nobody else from
            // theirs.
            let _turn = self.signatures.acquire().await;
            hello.into_stream(Arc::clone(acceptor.config()))
        };
        let stream = signed.await.map_err(failed)?;
        Ok((Socket::tls(stream, source), self.transport))
    }
}

/// True when the first byte is the beginning of a method rather than of a handshake.
async fn speaks_plainly(stream: &TcpStream) -> Result<bool, Denial> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) => Ok(first[0] != HANDSHAKE && first[0].is_ascii_alphabetic()),
        _ => Err(Denial::because(Reason::TlsClosed)),
    }
}
