//! Certificates made for a test, and a TLS client that trusts them.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};
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

/// An authority, which signs nothing but what it is asked to.
pub struct Authority {
    pub pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "An authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: rcgen::Issuer::new(params, key) }
    }

    /// A certificate for a name, valid to the first day of a year.
    pub fn issue(&self, name: &str, until: i32) -> Made {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        self.sign(params)
    }

    /// A certificate for a name as a public authority would issue it today: for 90 days, and for a server alone.
    pub fn issue_as_usual(&self, name: &str) -> Made {
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(sensgate::platform::clock::now().wall.0).unwrap());
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = (now - Duration::from_secs(3600)).into();
        params.not_after = (now + Duration::from_secs(90 * 86_400)).into();
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    fn sign(&self, params: rcgen::CertificateParams) -> Made {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made { chain: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }
}

/// The name that was asked for in a handshake, and the protocol that was chosen.
pub type Shown = (Option<String>, Option<Vec<u8>>);

/// A TLS terminator: what it accepts goes on to a plain address.
pub struct Terminator {
    pub address: SocketAddr,
    /// One for each finished handshake.
    pub seen: Arc<Mutex<Vec<Shown>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Terminator {
    pub async fn start(made: &Made, to: SocketAddr) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), made, to).await
    }

    pub async fn start_at(address: SocketAddr, made: &Made, to: SocketAddr) -> Self {
        let chain = vec![made.der.clone()];
        let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::default()));
        let record: Arc<Mutex<Vec<Shown>>> = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            let mut relays = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, record) = (acceptor.clone(), Arc::clone(&record));
                relays.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let session = stream.get_ref().1;
                    let shown = (session.server_name().map(str::to_owned), session.alpn_protocol().map(<[u8]>::to_vec));
                    record.lock().unwrap().push(shown);
                    let Ok(mut plain) = TcpStream::connect(to).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
                });
            }
        });
        Self { address, seen, accepting }
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.accepting.abort();
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
