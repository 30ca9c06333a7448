//! How Pingora connects to an 8sens whose name has several addresses.

use super::addresses::Addresses;
use super::race::{self, Failure};
use async_trait::async_trait;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::socket;
use pingora_core::protocols::l4::stream::Stream;
use pingora_error::{Error, ErrorType, Result};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One attempt at a connection.
#[derive(Debug)]
pub struct Dial {
    addresses: Arc<Addresses>,
    within: Duration,
    reached: OnceLock<SocketAddr>,
}

impl Dial {
    pub(super) fn new(addresses: Arc<Addresses>, within: Duration) -> Self {
        Self { addresses, within, reached: OnceLock::new() }
    }

    /// Where the connection leads to that was made, the one from the pool if that was used, or the one that is going
    /// to be tried first.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.reached.get().copied().unwrap_or_else(|| self.addresses.first())
    }

    /// Whether Pingora's pool may have the connection back: it looks for it by the first address.
    #[must_use]
    pub fn may_be_pooled(&self) -> bool {
        self.address() == self.addresses.first()
    }
}

#[async_trait]
impl Connect for Dial {
    /// Connects to any of the addresses, whichever one Pingora keeps the pool by.
    async fn connect(&self, _: &socket::SocketAddr) -> Result<Stream> {
        match race::connect(self.addresses.in_order(), self.within).await {
            Ok(reached) => {
                let _ = self.reached.set(reached.address);
                Ok(reached.stream.into())
            }
            Err(failures) => Err(error(failures)),
        }
    }
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
