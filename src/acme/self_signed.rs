//! What is served until the first certificate is there: TLS works, and nobody trusts it.

use crate::config::AcmeIdentifier;
use crate::tls::Certificate;
use rcgen::{CertificateParams, DnType, KeyPair};
use std::io;

/// Makes a self-signed certificate for these names. Its dates mean nothing.
///
/// # Errors
/// When there is no randomness for its key.
pub(super) fn self_signed(identifiers: &[AcmeIdentifier]) -> io::Result<Certificate> {
    let made = || {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(identifiers.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, "sensgate, not yet certified");
        Ok::<_, rcgen::Error>((params.self_signed(&key)?.pem(), zeroize::Zeroizing::new(key.serialize_pem())))
    };
    let (chain, key) = made().map_err(io::Error::other)?;
    Certificate::from_pem(chain.as_bytes(), key.as_bytes()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        let address = "192.0.2.7".parse().unwrap();
        let certificate =
            self_signed(&[AcmeIdentifier::Name("gate.example".into()), AcmeIdentifier::Address(address)]).unwrap();
        assert_eq!(certificate.names().collect::<Vec<_>>(), ["gate.example", "192.0.2.7"]);
    }
}
