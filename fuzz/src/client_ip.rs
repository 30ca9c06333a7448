//! The client IP: nobody but a trusted proxy says who the client is.
//!
//! An input is text: the peer, a line of trusted networks, and then one line for each value of the source field.

use ipnet::IpNet;
use sensgate::domain::request::client_ip::{ClientIp, TrustedProxies, canonical, is_private};
use std::net::IpAddr;

const GARBAGE: &[u8] = b"evil, \xff,";
const STRANGER: &str = "198.51.100.66";

pub fn check(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let peer = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.parse::<IpAddr>().ok());
    let networks = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    // The configuration refuses IPv4 networks that are written as IPv6.
    let is_plain = |network: &IpNet| !matches!(network, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some());
    let networks: Vec<IpNet> = networks.split(' ').filter_map(|text| text.parse().ok()).filter(is_plain).collect();
    let Some(peer) = peer else { return };
    let case = Case { trusted: TrustedProxies::new(networks), peer, values: lines.collect() };
    let found = case.resolve(&case.values);
    assert_eq!(found.address, canonical(found.address), "an address has one form");
    assert_eq!(is_private(peer), is_private(canonical(peer)));
    if case.trusted.contains(canonical(peer)) {
        case.a_proxy_is_believed_as_far_as_it_sees(found);
    } else {
        assert_eq!(found, ClientIp { address: canonical(peer), unreadable: false }, "a stranger was believed");
    }
    case.one_address_has_one_meaning(found);
}

struct Case<'a> {
    trusted: TrustedProxies,
    peer: IpAddr,
    values: Vec<&'a [u8]>,
}

impl<'a> Case<'a> {
    fn resolve(&self, values: &[&[u8]]) -> ClientIp {
        self.trusted.resolve(self.peer, values.iter().copied())
    }

    /// The result when the caller had put this before what the proxies wrote.
    fn with_claim(&self, claim: &[u8]) -> ClientIp {
        self.resolve(&[&[claim], &self.values[..]].concat())
    }

    fn a_proxy_is_believed_as_far_as_it_sees(&self, found: ClientIp) {
        let peer = canonical(self.peer);
        let claims = [GARBAGE, STRANGER.as_bytes(), b"127.0.0.1", self.values.first().copied().unwrap_or_default()];
        if found.unreadable {
            assert_eq!(found.address, peer);
        } else if !self.trusted.contains(found.address) {
            assert!(self.is_named(found.address), "an address from nowhere");
        }
        if found.unreadable || !self.trusted.contains(found.address) {
            for claim in claims {
                assert_eq!(self.with_claim(claim), found, "a claim left of a stranger counts");
            }
        } else {
            // Every hop so far is a trusted proxy: the next one to the left is what they saw.
            assert_eq!(self.with_claim(GARBAGE), ClientIp { address: peer, unreadable: true });
            let stranger = self.with_claim(STRANGER.as_bytes());
            assert_eq!(stranger.address.to_string(), STRANGER);
        }
        // One more trusted proxy in the chain changes nothing.
        let text = peer.to_string();
        assert_eq!(self.resolve(&[&self.values[..], &[text.as_bytes()]].concat()), found);
        // The last hop is what the peer itself saw.
        if let Some(last) = self.values.last().and_then(|value| value.rsplit(|byte| *byte == b',').next())
            && let Some(address) = std::str::from_utf8(last.trim_ascii()).ok().and_then(|text| text.parse().ok())
            && !self.trusted.contains(canonical(address))
        {
            assert_eq!(found, ClientIp { address: canonical(address), unreadable: false });
        }
    }

    /// True when some hop has this address in it.
    fn is_named(&self, address: IpAddr) -> bool {
        self.hops().iter().any(|hop| {
            let text = String::from_utf8_lossy(hop);
            let bare = text.trim_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '[' | ']'));
            let without_port = bare.rsplit_once(':').map_or("", |(host, _)| host.trim_matches(['[', ']']));
            let without_scope = without_port.split('%').next().unwrap_or_default();
            [bare, without_port, without_scope].iter().any(|text| text.parse().map(canonical) == Ok(address))
        })
    }

    fn hops(&self) -> Vec<&'a [u8]> {
        self.values.iter().flat_map(|value| value.split(|byte| *byte == b',')).collect()
    }

    fn one_address_has_one_meaning(&self, found: ClientIp) {
        let IpAddr::V4(v4) = canonical(self.peer) else { return };
        for peer in [IpAddr::V4(v4), IpAddr::V6(v4.to_ipv6_mapped())] {
            assert_eq!(self.trusted.resolve(peer, self.values.iter().copied()), found);
        }
        // Several fields are one field with commas (RFC 9110 section 5.3).
        if !self.values.is_empty() {
            assert_eq!(self.resolve(&[&self.values.join(&b","[..])]), found);
        }
        let mapped: Vec<Vec<u8>> = self.hops().iter().map(|hop| mapped(hop)).collect();
        let mapped: Vec<&[u8]> = mapped.iter().map(Vec::as_slice).collect();
        assert_eq!(self.resolve(&mapped), found);
    }
}

/// A hop with a bare IPv4 address, written as IPv6; any other as it is.
fn mapped(hop: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(hop.trim_ascii()).ok();
    match text.and_then(|text| text.parse::<std::net::Ipv4Addr>().ok()) {
        Some(v4) => v4.to_ipv6_mapped().to_string().into_bytes(),
        None => hop.to_vec(),
    }
}
