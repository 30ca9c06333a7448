//! TLS towards 8sens.

use crate::config::UpstreamTls;
use rustls_pki_types::ServerName;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Verifies as Pingora does: the certificate is from the authorities of the configuration, and for the name that is
/// there.
///
/// # Errors
/// When there is no TLS, or the certificate is not believed. The caller of this sets the deadline.
pub async fn handshake(tls: &UpstreamTls, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    Believed::new(tls)?.handshake(stream).await
}

/// Who is believed to be 8sens, made ready for any number of handshakes. Later ones resume the sessions of earlier
/// ones.
#[derive(Clone)]
pub struct Believed {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl fmt::Debug for Believed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Believed").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Believed {
    /// # Errors
    /// When the name is none that a certificate can have; the configuration has none such.
    pub fn new(tls: &UpstreamTls) -> io::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(tls.authorities.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(tls.name.clone()).map_err(io::Error::other)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// # Errors
    /// When there is no TLS, or the certificate is not believed. The caller of this sets the deadline.
    pub async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}
