//! Certificates of the listeners: read, checked, chosen by name, replaced while the gate runs.

mod certificate;
mod resolver;
mod watch;

pub use certificate::{Certificate, CertificateError};
pub use resolver::Certificates;
pub use watch::watch;

use std::sync::Arc;

/// What a TLS listener offers: TLS 1.2 with authenticated encryption and 1.3, and HTTP/2 where it is wanted, beside
/// HTTP/1.1.
///
/// # Panics
/// Never: the versions are those of the provider itself.
#[must_use]
#[expect(clippy::expect_used, reason = "ring's provider supports the default versions of rustls")]
pub fn server_config(certificates: Arc<Certificates>, http2: bool) -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the default versions are supported");
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificates);
    // Ours are in order of strength, and a caller that prefers the weakest has no reason that counts here.
    config.ignore_client_order = true;
    let offered: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}
