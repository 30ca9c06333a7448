//! One certificate chain with its private key.

use crate::domain::types::Wall;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A chain whose first certificate belongs to the key.
#[derive(Clone)]
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    names: Box<[Box<str>]>,
    not_before: Wall,
    not_after: Wall,
}

/// Why a pair of files is no certificate to serve with. Shows nothing of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The first file holds no certificate in PEM.
    #[error("no certificate in PEM")]
    NoCertificate,
    /// The first certificate cannot be read.
    #[error("the first certificate cannot be read")]
    BadCertificate,
    /// The second file holds no private key in PEM, or one of an unknown kind.
    #[error("no private key in PEM")]
    NoKey,
    /// The key is not that of the first certificate.
    #[error("the key is not that of the certificate")]
    OtherKey,
    /// The certificate names no host and no address.
    #[error("the certificate names no host")]
    NoName,
}

/// The same chain: a key that fits it is the same key.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

impl Certificate {
    /// Reads a chain, the server's own certificate first, and its key, both in PEM (RFC 7468).
    ///
    /// # Errors
    /// When the two are not a pair to serve with. A certificate that has expired is no error.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::NoCertificate)?;
        let first = chain.first().ok_or(CertificateError::NoCertificate)?;
        let (_, parsed) = X509Certificate::from_der(first).map_err(|_| CertificateError::BadCertificate)?;
        let names = names(&parsed);
        if names.is_empty() {
            return Err(CertificateError::NoName);
        }
        let seconds = |time: x509_parser::time::ASN1Time| Wall(time.timestamp().saturating_mul(1000));
        let (not_before, not_after) = (seconds(parsed.validity().not_before), seconds(parsed.validity().not_after));
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        let key = rustls::crypto::ring::default_provider()
            .key_provider
            .load_private_key(key)
            .map_err(|_| CertificateError::NoKey)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| CertificateError::OtherKey)?;
        Ok(Self { certified: Arc::new(certified), names, not_before, not_after })
    }

    /// The hosts and addresses it is for, lower case; a wildcard as `*.example.org`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// The server's own certificate of the chain.
    #[must_use]
    pub fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.certified.cert.first()
    }

    /// The first instant at which it is valid.
    #[must_use]
    pub fn not_before(&self) -> Wall {
        self.not_before
    }

    /// The first instant at which it is no longer valid.
    #[must_use]
    pub fn not_after(&self) -> Wall {
        self.not_after
    }

    /// True between its two dates.
    #[must_use]
    pub fn is_valid_at(&self, now: Wall) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// True when it is for this host: the same name, or one label in place of a wildcard (RFC 9525 section 6.3).
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        self.names().any(|name| match name.strip_prefix("*.") {
            Some(parent) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent))
            }
            None => name.eq_ignore_ascii_case(host),
        })
    }

    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

/// The names of the extension; a common name counts for nobody any more (RFC 9525 section 2).
fn names(certificate: &X509Certificate<'_>) -> Box<[Box<str>]> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Box::default() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string().into()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Names and dates, never the key.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("names", &self.names)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A self-signed pair for these names, in PEM.
    pub(crate) fn pair(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn read(chain: &str, key: &str) -> Result<Certificate, CertificateError> {
        Certificate::from_pem(chain.as_bytes(), key.as_bytes())
    }

    #[test]
    fn a_pair_is_read() {
        let (chain, key) = pair(&["Gate.Example", "*.shop.example", "192.0.2.7"]);
        let certificate = read(&chain, &key).unwrap();
        assert_eq!(certificate.names().collect::<Vec<_>>(), ["gate.example", "*.shop.example", "192.0.2.7"]);
        assert!(certificate.is_valid_at(Wall(1_790_000_000_000)));
        assert!(!format!("{certificate:?}").contains(&key[40..60]));
    }

    #[test]
    fn what_is_no_pair_says_why() {
        let ((chain, key), (_, other)) = (pair(&["a.example"]), pair(&["b.example"]));
        assert_eq!(read("", &key).unwrap_err(), CertificateError::NoCertificate);
        assert_eq!(read(&key, &key).unwrap_err(), CertificateError::NoCertificate);
        assert_eq!(read(&chain, "").unwrap_err(), CertificateError::NoKey);
        assert_eq!(read(&chain, &chain).unwrap_err(), CertificateError::NoKey);
        assert_eq!(read(&chain, &other).unwrap_err(), CertificateError::OtherKey);
        let damaged = chain.replacen("MII", "AAA", 1);
        assert_eq!(read(&damaged, &key).unwrap_err(), CertificateError::BadCertificate);
    }

    #[test]
    fn a_wildcard_is_one_label() {
        let (chain, key) = pair(&["*.shop.example", "gate.example"]);
        let certificate = read(&chain, &key).unwrap();
        for host in ["a.shop.example", "A.SHOP.example", "gate.example"] {
            assert!(certificate.is_for(host), "{host}");
        }
        for host in ["shop.example", ".shop.example", "a.b.shop.example", "x.gate.example", ""] {
            assert!(!certificate.is_for(host), "{host}");
        }
    }
}
