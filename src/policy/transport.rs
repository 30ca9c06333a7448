//! Transport: a key must not cross a network where others can read it.

use crate::client_ip::{TrustedProxies, is_private};
use crate::denial::{Denial, DenyCode};
use crate::request::{RequestView, Transport};

/// Refuses what did not come encrypted, from the private network of a `lan` listener, or from a trusted proxy that says https.
pub(super) fn check(trusted: &TrustedProxies, request: &RequestView<'_>) -> Result<(), Denial> {
    match request.transport {
        Transport::Trusted | Transport::Tls => Ok(()),
        Transport::Cleartext => Err(Denial::because(DenyCode::InsecureTransport, "plaintext where TLS is needed")),
        Transport::Lan if is_private(request.peer) => Ok(()),
        Transport::Lan => Err(Denial::because(DenyCode::InsecureTransport, "public source on a lan listener")),
        Transport::BehindProxy if !trusted.contains(crate::client_ip::canonical(request.peer)) => {
            Err(Denial::because(DenyCode::InsecureTransport, "peer is not a trusted proxy"))
        }
        Transport::BehindProxy => {
            let says_https = request.forwarded_proto.count() == 1
                && request.forwarded_proto.first().is_some_and(|value| value.eq_ignore_ascii_case(b"https"));
            if says_https {
                Ok(())
            } else {
                Err(Denial::because(DenyCode::InsecureTransport, "trusted proxy does not say https"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::FieldTable;
    use crate::types::HttpVersion;

    fn passes(transport: Transport, peer: &str, proto: &[&str]) -> bool {
        let table = FieldTable::new([], "x-forwarded-for");
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let mut view = RequestView::new(b"GET", b"/", HttpVersion::Http11, peer.parse().unwrap(), transport);
        for value in proto {
            view.push_field(&table, b"X-Forwarded-Proto", value.as_bytes());
        }
        check(&trusted, &view).is_ok()
    }

    #[test]
    fn each_transport_holds_its_word() {
        assert!(passes(Transport::Trusted, "203.0.113.1", &[]));
        assert!(passes(Transport::Tls, "203.0.113.1", &[]));
        assert!(!passes(Transport::Cleartext, "127.0.0.1", &["https"]));
        assert!(passes(Transport::Lan, "192.168.1.9", &[]));
        assert!(!passes(Transport::Lan, "203.0.113.1", &[]));
        assert!(passes(Transport::BehindProxy, "10.0.0.1", &["https"]));
        assert!(!passes(Transport::BehindProxy, "10.0.0.1", &["http"]));
        assert!(!passes(Transport::BehindProxy, "10.0.0.1", &[]));
        assert!(!passes(Transport::BehindProxy, "10.0.0.1", &["https", "http"]));
        assert!(!passes(Transport::BehindProxy, "203.0.113.1", &["https"]));
    }
}
