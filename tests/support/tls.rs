//! Certificates made for a test, and a TLS client that trusts them.

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate in the gate's folder, and what a client needs to trust it.
pub struct Made {
    pub chain: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

pub fn make(names: &[&str]) -> Made {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let chain = made.cert.pem();
    Made {
        der: CertificateDer::from_pem_slice(chain.as_bytes()).unwrap(),
        chain,
        key: made.signing_key.serialize_pem(),
    }
}

impl Made {
    pub fn write(&self, folder: &Path, name: &str) {
        // As a renewal does it: each file whole, one after the other.
        for (file, content) in [("key", &self.key), ("chain", &self.chain)] {
            let (new, path) = (folder.join("new.pem"), folder.join(format!("{name}-{file}.pem")));
            std::fs::write(&new, content).unwrap();
            #[cfg(unix)]
            std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            std::fs::rename(new, path).unwrap();
        }
    }
}

pub fn connector(trusted: &[&Made], versions: &[&'static rustls::SupportedProtocolVersion]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    trusted.iter().for_each(|made| roots.add(made.der.clone()).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// A client that trusts this root alone and asks for no protocol.
pub fn trusting(root: &CertificateDer<'static>) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

pub async fn shake(gate: SocketAddr, connector: &TlsConnector, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    connector.connect(name, TcpStream::connect(gate).await?).await
}
