//! Connections to 8sens: one from the pool, or a new one.

use super::pool::{Pool, Route};
use super::stream::UpstreamStream;
use crate::config::{UpstreamSettings, UpstreamTls};
use crate::domain::exchange::{Fault, TlsFault};
use crate::proxy::lane::upstream::race::{self, Failure};
use crate::proxy::lane::upstream::{Addresses, Believed};
use crate::proxy::socket::KEEPALIVE;
use arc_swap::ArcSwapOption;
use rustls::CertificateError;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Where connections come from, and go back to.
#[derive(Debug)]
pub(super) struct Connector {
    pub pool: Pool,
    trust: ArcSwapOption<Trust>,
}

/// Who is believed when 8sens shows its certificate.
#[derive(Debug)]
struct Trust {
    made_of: UpstreamTls,
    believed: Believed,
    /// What was opened while others were believed is not used again.
    number: u32,
}

/// A connection for one request.
#[derive(Debug)]
pub(super) struct Connected {
    pub stream: UpstreamStream,
    pub route: Route,
    /// It has served another request.
    pub is_reused: bool,
}

impl Connector {
    /// Keeps so many idle connections.
    #[must_use]
    pub(super) fn new(pool_size: usize) -> Self {
        Self { pool: Pool::new(pool_size), trust: ArcSwapOption::empty() }
    }

    /// A connection to one of these addresses, within that time from now. One from the pool, unless the request needs a
    /// `fresh` one; of those only one that leads to the first address and was opened under this `generation`.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn connect(
        &self,
        settings: &UpstreamSettings,
        (addresses, now, within): (&Addresses, Instant, Duration),
        generation: u32,
        fresh: bool,
    ) -> Result<Connected, Fault> {
        let trust = settings.tls.as_ref().map(|tls| self.trust(tls)).transpose()?;
        let number = trust.as_ref().map_or(0, |trust| trust.number);
        let route = |address: SocketAddr| Route { address, trust: number, generation };
        let wanted = route(addresses.first());
        if !fresh && let Some(stream) = self.pool.take(wanted, now) {
            return Ok(Connected { stream, route: wanted, is_reused: true });
        }
        let deadline = now + within;
        let reached = race::connect(addresses.in_order(), within).await.map_err(no_connection)?;
        tune(&reached.stream);
        let route = route(reached.address);
        let stream = match trust {
            None => UpstreamStream::plain(reached.stream),
            Some(trust) => match timeout_at(deadline, trust.believed.handshake(reached.stream)).await {
                Ok(Ok(stream)) => UpstreamStream::tls(stream),
                Ok(Err(error)) => return Err(Fault::Tls(tls_fault(&error))),
                Err(_) => return Err(Fault::ConnectTimeout),
            },
        };
        Ok(Connected { stream, route, is_reused: false })
    }

    /// Made anew when the configuration brings other authorities or another name.
    fn trust(&self, tls: &UpstreamTls) -> Result<Arc<Trust>, Fault> {
        let known = self.trust.load_full();
        let is_same = |trust: &&Arc<Trust>| {
            Arc::ptr_eq(&trust.made_of.authorities, &tls.authorities) && trust.made_of.name == tls.name
        };
        if let Some(trust) = known.as_ref().filter(is_same) {
            return Ok(Arc::clone(trust));
        }
        // The configuration has no name that no certificate can have.
        let believed = Believed::new(tls).map_err(|_| Fault::Tls(TlsFault::Name))?;
        let number = known.map_or(1, |trust| trust.number.wrapping_add(1).max(1));
        let trust = Arc::new(Trust { made_of: tls.clone(), believed, number });
        self.trust.store(Some(Arc::clone(&trust)));
        Ok(trust)
    }
}

/// Requests leave at once, and an 8sens that vanished is noticed.
fn tune(stream: &TcpStream) {
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE.idle).with_interval(KEEPALIVE.interval).with_retries(KEEPALIVE.count);
    // Both only make a good connection better.
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
    let _ = stream.set_nodelay(true);
}

fn no_connection(failures: Vec<Failure>) -> Fault {
    match race::most_telling(failures) {
        Some(Failure { error, .. }) if error.kind() == io::ErrorKind::TimedOut => Fault::ConnectTimeout,
        _ => Fault::NoConnection,
    }
}

/// What is wrong with the certificate that 8sens showed, if it showed any.
fn tls_fault(error: &io::Error) -> TlsFault {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(certificate)) = cause else { return TlsFault::Handshake };
    match certificate {
        // An authority of the same name with another key signs badly.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::Issuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => TlsFault::Name,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
        _ => TlsFault::Certificate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_from_no_tls() {
        let fault = |error: rustls::Error| tls_fault(&io::Error::new(io::ErrorKind::InvalidData, error));
        let certificate = |error| fault(rustls::Error::InvalidCertificate(error));
        assert_eq!(certificate(CertificateError::UnknownIssuer), TlsFault::Issuer);
        assert_eq!(certificate(CertificateError::BadSignature), TlsFault::Issuer);
        assert_eq!(certificate(CertificateError::NotValidForName), TlsFault::Name);
        assert_eq!(certificate(CertificateError::Expired), TlsFault::Expired);
        assert_eq!(certificate(CertificateError::Revoked), TlsFault::Certificate);
        assert_eq!(fault(rustls::Error::HandshakeNotComplete), TlsFault::Handshake);
        assert_eq!(tls_fault(&io::ErrorKind::UnexpectedEof.into()), TlsFault::Handshake);
    }
}
