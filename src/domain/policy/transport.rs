//! Transport: a key must not cross a network where others can read it.

use super::Passed;
use super::{KeyOwner, credential, token};
use crate::domain::denial::{Denial, DenyCode, Reason};
use crate::domain::request::client_ip::{TrustedProxies, is_private};
use crate::domain::request::grammar::elements;
use crate::domain::request::{RequestView, Transport};
use crate::domain::rules::consumer::ConsumerTable;
use crate::domain::types::Wall;

/// What an operator reads of a request that has passed.
pub(super) const PASSED: Passed = Passed {
    en: "taken to come encrypted, as the listener asks",
    fr: "supposée arriver chiffrée, comme le demande le point d'écoute",
};

/// Refuses what did not come encrypted, from the private network of a `lan` listener, or from a trusted proxy that says
/// https.
pub(crate) fn check(trusted: &TrustedProxies, request: &RequestView<'_>) -> Result<(), Denial> {
    match request.transport {
        Transport::Trusted | Transport::Tls => Ok(()),
        Transport::Cleartext => Err(Denial::because(Reason::PlaintextForTls)),
        Transport::Lan if is_private(request.peer) => Ok(()),
        Transport::Lan => Err(Denial::because(Reason::PublicOnLan)),
        Transport::BehindProxy if !trusted.contains(crate::domain::request::client_ip::canonical(request.peer)) => {
            Err(Denial::because(Reason::PeerNotTrusted))
        }
        Transport::BehindProxy if says_https(request) => Ok(()),
        Transport::BehindProxy => Err(Denial::because(Reason::ProxyWithoutHttps)),
    }
}

/// Refuses a request for an https URI that did not come by https, neither here nor by a trusted proxy's word (RFC 9110
/// section 7.4).
pub(crate) fn right_scheme(trusted: &TrustedProxies, request: &RequestView<'_>) -> Result<(), Denial> {
    let by_proxy =
        || trusted.contains(crate::domain::request::client_ip::canonical(request.peer)) && says_https(request);
    if !request.asks_for_https || request.transport == Transport::Tls || by_proxy() {
        Ok(())
    } else {
        Err(Denial::new(DenyCode::MisdirectedRequest))
    }
}

/// True when each proxy of the chain says https: one word or more, over all lines, and none of them missing.
fn says_https(request: &RequestView<'_>) -> bool {
    let proto = &request.forwarded_proto;
    let all_https = elements(proto.iter()).all(|word| word.eq_ignore_ascii_case(b"https"));
    proto.count() > 0 && !proto.is_incomplete() && all_https
}

/// A secret that came along, and now has to be replaced.
#[derive(Clone, Copy, Debug)]
pub enum Exposed<'s> {
    /// A key that is known here, valid or not: whose it is.
    Key(KeyOwner<'s>),
    /// Something in the place of a key that is no key of anybody.
    UnknownKey,
    /// No key, but a token or a login of another scheme.
    Token,
}

/// True when a key or a token came along, in any place where one is accepted or known to be put by mistake.
#[must_use]
pub fn exposes_a_secret(request: &RequestView<'_>) -> bool {
    credential::shows_a_key(request) || shows_a_token(request)
}

/// What a request that came in clear gave away. Keys are looked for wherever one may be, a Bearer token among them.
pub(crate) fn exposed<'s>(consumers: &'s ConsumerTable, request: &RequestView<'_>, now: Wall) -> Option<Exposed<'s>> {
    if let Some(owner) = credential::shown(consumers, request, now) {
        return Some(Exposed::Key(owner));
    }
    if credential::shows_a_key(request) {
        return Some(Exposed::UnknownKey);
    }
    shows_a_token(request).then_some(Exposed::Token)
}

fn shows_a_token(request: &RequestView<'_>) -> bool {
    let fields = request.access_token.count() + request.token.count() + request.authorization.count();
    fields > 0 || token::is_in_query(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{PEER, view_from};

    fn forwarded<'r>(transport: Transport, peer: &str, proto: &[&'r str]) -> RequestView<'r> {
        let fields: Vec<_> = proto.iter().map(|value| ("X-Forwarded-Proto", *value)).collect();
        view_from(peer.parse().unwrap(), transport, "GET", "/", &fields)
    }

    fn passes(transport: Transport, peer: &str, proto: &[&str]) -> bool {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        check(&trusted, &forwarded(transport, peer, proto)).is_ok()
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
        for list in
            [&["https,https"][..], &["HTTPS , https"], &["https", "https"], &["https", "https, https"], &["https"; 8]]
        {
            assert!(passes(Transport::BehindProxy, "10.0.0.1", list), "{list:?}");
        }
        for list in [
            &["https", "http"][..],
            &["http, https"],
            &["https,http"],
            &[""],
            &["https,"],
            &[",https"],
            &["https,,https"],
            &["https", ""],
            &["", "https"],
            &["\"https\""],
            &["https;https"],
            &["https https"],
            &["wss"],
            &["https"; 9],
        ] {
            assert!(!passes(Transport::BehindProxy, "10.0.0.1", list), "{list:?}");
            assert!(!passes(Transport::BehindProxy, "203.0.113.1", list), "{list:?}");
        }
        assert!(!passes(Transport::BehindProxy, "203.0.113.1", &["https,https"]));
        assert!(!passes(Transport::BehindProxy, "203.0.113.1", &["https"]));
    }

    #[test]
    fn an_https_uri_is_for_https() {
        let outcome = |transport, peer: &str, proto: &[&str], asks_for_https| {
            let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
            let mut view = forwarded(transport, peer, proto);
            view.asks_for_https = asks_for_https;
            right_scheme(&trusted, &view).map_err(|denial| denial.code)
        };
        use Transport::{BehindProxy, Cleartext, Lan, Tls, Trusted};
        for transport in [Trusted, Tls, Cleartext, Lan, BehindProxy] {
            assert!(outcome(transport, "192.0.2.1", &[], false).is_ok(), "{transport:?}");
            assert!(outcome(transport, "10.0.0.1", &["https, https"], true).is_ok(), "{transport:?}");
            for (peer, proto) in [("10.0.0.1", &["http"][..]), ("10.0.0.1", &[]), ("192.0.2.1", &["https"])] {
                let right = if transport == Tls { Ok(()) } else { Err(DenyCode::MisdirectedRequest) };
                assert_eq!(outcome(transport, peer, proto, true), right, "{transport:?} {peer} {proto:?}");
            }
        }
    }

    #[test]
    fn a_secret_is_seen_wherever_it_stands() {
        let shows = |target: &str, field: Option<(&str, &str)>| {
            exposes_a_secret(&view_from(PEER, Transport::Cleartext, "GET", target, field.as_slice()))
        };
        for field in [
            ("api_key", "k"),
            ("X-Api-Key", "k"),
            ("apikey", "k"),
            ("x_api_key", "k"),
            ("authorization", "Bearer k"),
            ("access_token", "t"),
            ("token", "t"),
            ("cookie", "a=1; API_KEY=k"),
        ] {
            assert!(shows("/", Some(field)), "{field:?}");
        }
        for target in ["/?api_key=k", "/?a=1&%61pi_key=k", "/?access_token=t", "/?a;x-api-key=k"] {
            assert!(shows(target, None), "{target}");
        }
        for (target, field) in [("/", None), ("/?a=api_key", None), ("/", Some(("cookie", "lang=fr")))] {
            assert!(!shows(target, field), "{target} {field:?}");
        }
    }
}
