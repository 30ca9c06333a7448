//! Which certificate a caller is shown.

use super::certificate::Certificate;
use crate::platform::clock;
use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// The certificates of one listener, replaced whole while it runs.
#[derive(Debug)]
pub struct Certificates(ArcSwap<Vec<Certificate>>);

impl Certificates {
    #[must_use]
    pub fn new(certificates: Vec<Certificate>) -> Self {
        Self(ArcSwap::from_pointee(certificates))
    }

    /// From now on new handshakes get these; connections that are open keep theirs.
    pub fn replace(&self, certificates: Vec<Certificate>) {
        self.0.store(Arc::new(certificates));
    }

    /// What is served now.
    #[must_use]
    pub fn current(&self) -> Arc<Vec<Certificate>> {
        self.0.load_full()
    }

    /// The certificate for a host: a valid one that names it, else one that names it, else the first. A caller that
    /// names no host, or an unknown one, may still mean this gate: it decides itself whether it believes what it is
    /// shown.
    fn choose(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.0.load();
        let now = clock::now().wall;
        let named = |certificate: &&Certificate| host.is_some_and(|host| certificate.is_for(host));
        let best = certificates.iter().filter(named).max_by_key(|certificate| certificate.is_valid_at(now));
        best.or(certificates.first()).map(|certificate| Arc::clone(certificate.certified()))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::pair;
    use super::*;

    fn certificate(names: &[&str]) -> Certificate {
        let (chain, key) = pair(names);
        Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    #[test]
    fn the_name_decides_and_the_first_is_for_everybody_else() {
        let (first, second) = (certificate(&["gate.example"]), certificate(&["shop.example", "*.shop.example"]));
        let certificates = Certificates::new(vec![first.clone(), second.clone()]);
        let chosen = |host| certificates.choose(host).unwrap();
        assert!(Arc::ptr_eq(&chosen(Some("shop.example")), second.certified()));
        assert!(Arc::ptr_eq(&chosen(Some("a.shop.example")), second.certified()));
        for host in [Some("gate.example"), Some("unknown.example"), None] {
            assert!(Arc::ptr_eq(&chosen(host), first.certified()), "{host:?}");
        }
        certificates.replace(vec![second.clone()]);
        assert!(Arc::ptr_eq(&certificates.choose(None).unwrap(), second.certified()));
    }
}
