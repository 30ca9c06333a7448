//! How Pingora connects to an 8sens whose name has several addresses, or for a request whose target it cannot write.

use super::raw_line::{RawLine, RawLineStream};
use crate::config::UpstreamTls;
use crate::proxy::lane::upstream::race::{self, Failure};
use crate::proxy::lane::upstream::{Addresses, handshake};
use async_trait::async_trait;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::socket;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::VirtualSocketStream;
use pingora_error::{Error, ErrorType, Result};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

/// One attempt at a connection.
#[derive(Debug)]
pub(super) struct Dial {
    addresses: Arc<Addresses>,
    within: Duration,
    reached: OnceLock<SocketAddr>,
    raw_line: Option<(RawLine, Option<UpstreamTls>)>,
}

impl Dial {
    pub(super) fn new(addresses: Arc<Addresses>, within: Duration) -> Self {
        Self { addresses, within, reached: OnceLock::new(), raw_line: None }
    }

    /// The same for a request whose first line is written past Pingora, and past its TLS.
    pub(super) fn with_raw_line(self, line: RawLine, tls: Option<UpstreamTls>) -> Self {
        Self { raw_line: Some((line, tls)), ..self }
    }

    /// Where the connection leads to that was made, the one from the pool if that was used, or the one that is going
    /// to be tried first.
    #[must_use]
    pub(super) fn address(&self) -> SocketAddr {
        self.reached.get().copied().unwrap_or_else(|| self.addresses.first())
    }

    /// Whether Pingora's pool may have the connection back: it looks for it by the first address.
    #[must_use]
    pub(super) fn may_be_pooled(&self) -> bool {
        self.address() == self.addresses.first()
    }
}

#[async_trait]
impl Connect for Dial {
    /// Connects to any of the addresses, whichever one Pingora keeps the pool by.
    async fn connect(&self, _: &socket::SocketAddr) -> Result<Stream> {
        let deadline = Instant::now() + self.within;
        let reached = race::connect(self.addresses.in_order(), self.within).await.map_err(error)?;
        let _ = self.reached.set(reached.address);
        let Some((line, tls)) = &self.raw_line else { return Ok(reached.stream.into()) };
        let _ = reached.stream.set_nodelay(true);
        match tls {
            None => Ok(virtual_stream(reached.stream, line)),
            Some(tls) => match timeout_at(deadline, handshake(tls, reached.stream)).await {
                Ok(Ok(stream)) => Ok(virtual_stream(stream, line)),
                Ok(Err(why)) => Err(Error::explain(ErrorType::TLSHandshakeFailure, why.to_string())),
                Err(_) => Err(Error::new(ErrorType::TLSHandshakeTimedout)),
            },
        }
    }
}

fn virtual_stream<S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static>(stream: S, line: &RawLine) -> Stream {
    VirtualSocketStream::new(Box::new(RawLineStream::new(stream, line.clone()))).into()
}

/// What Pingora would call it.
fn error(failures: Vec<Failure>) -> Box<Error> {
    let Some(Failure { address, error }) = race::most_telling(failures) else {
        return Error::explain(ErrorType::ConnectNoRoute, "no address");
    };
    let kind = match error.kind() {
        ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => ErrorType::ConnectNoRoute,
        _ => ErrorType::ConnectError,
    };
    Error::because(kind, format!("no connection to {address}"), error)
}
