//! The client IP: the peer, or what a trusted proxy says of it.
//!
//! Exactly one field is a source. It is read from the right over the hops that are trusted; the first hop that is not
//! is the client. A hop that cannot be read falls back to the peer, because everything left of it is a stranger's
//! claim.

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// An address as text (RFC 5952 for IPv6). Each request is written twice, to 8sens and to the log.
#[derive(Clone, Copy, Debug)]
pub struct AddressText {
    bytes: [u8; Self::LONGEST],
    len: usize,
}

impl AddressText {
    /// An IPv4 address in an IPv6 one, in full.
    const LONGEST: usize = 45;

    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let mut bytes = [0; Self::LONGEST];
        let len = match address {
            IpAddr::V4(address) => dotted(address.octets(), &mut bytes),
            IpAddr::V6(address) => {
                let text = address.to_string();
                let len = text.len().min(Self::LONGEST);
                bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
                len
            }
        };
        Self { bytes, len }
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Writes four octets with dots between them; how many bytes that takes.
fn dotted(octets: [u8; 4], bytes: &mut [u8]) -> usize {
    let mut len = 0;
    for octet in octets {
        if len > 0 {
            bytes[len] = b'.';
            len += 1;
        }
        for (from, place) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= from {
                bytes[len] = b'0' + octet / place % 10;
                len += 1;
            }
        }
    }
    len
}

/// Who may state the client's address for others, compiled from `[client_ip]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

/// The resolved address, and whether the field that should have named it was unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIp {
    pub address: IpAddr,
    pub unreadable: bool,
}

impl TrustedProxies {
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks }
    }

    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Resolves the client of a request whose peer is `peer` and whose source field has these `values`, in order of
    /// arrival.
    pub fn resolve<'a>(&self, peer: IpAddr, values: impl DoubleEndedIterator<Item = &'a [u8]>) -> ClientIp {
        let peer = canonical(peer);
        let mut client = ClientIp { address: peer, unreadable: false };
        if !self.contains(peer) {
            return client;
        }
        for hop in values.rev().flat_map(|value| value.rsplit(|b| *b == b',')) {
            let Some(address) = parse_hop(hop) else {
                return ClientIp { address: peer, unreadable: true };
            };
            client.address = address;
            if !self.contains(address) {
                break;
            }
        }
        client
    }
}

/// An IPv4 address that travels as IPv6 (`::ffff:a.b.c.d`) is the IPv4 address.
#[must_use]
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The network of an address, in its place: a /24 of IPv4, a /48 of IPv6. For logs that are not to tell one household
/// from another.
#[must_use]
pub fn anonymized(address: IpAddr) -> IpAddr {
    match canonical(address) {
        IpAddr::V4(v4) => (u32::from(v4) & !0xff).to_be_bytes().into(),
        IpAddr::V6(v6) => (u128::from(v6) & !(u128::MAX >> 48)).to_be_bytes().into(),
    }
}

/// One hop: an address, optionally with a port, IPv6 optionally in brackets, all of it optionally in quotes.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop.trim_ascii()).ok()?;
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|a| a.ip())).ok().map(canonical)
}

/// True for addresses that never travel the internet: loopback, RFC 1918, link-local, RFC 4193.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_everybody_writes_it() {
        for octet in 0..=u8::MAX {
            for address in [[octet, 0, 10, 100], [9, 99, octet, octet]].map(IpAddr::from) {
                assert_eq!(AddressText::of(address).as_bytes(), address.to_string().as_bytes());
            }
        }
        for address in ["2001:db8::7", "::ffff:192.0.2.128", "1111:2222:3333:4444:5555:6666:7777:8888"] {
            assert_eq!(AddressText::of(address.parse().unwrap()).as_bytes(), address.as_bytes());
        }
    }

    fn resolve(trusted: &[&str], peer: &str, values: &[&str]) -> (String, bool) {
        let proxies = TrustedProxies::new(trusted.iter().map(|n| n.parse().unwrap()).collect());
        let found = proxies.resolve(peer.parse().unwrap(), values.iter().map(|v| v.as_bytes()));
        (found.address.to_string(), found.unreadable)
    }

    #[test]
    fn a_stranger_is_never_believed() {
        assert_eq!(resolve(&[], "192.0.2.1", &["10.0.0.1"]), ("192.0.2.1".into(), false));
        assert_eq!(resolve(&["10.0.0.0/8"], "192.0.2.1", &["10.0.0.1"]), ("192.0.2.1".into(), false));
    }

    #[test]
    fn rightmost_untrusted_hop_is_the_client() {
        let trusted = &["10.0.0.0/8"];
        for (values, expected) in [
            (&["203.0.113.7"][..], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7, 10.0.0.9"], "203.0.113.7"),
            (&["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
            (&["203.0.113.7:4711"], "203.0.113.7"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["::ffff:203.0.113.7"], "203.0.113.7"),
            (&["10.0.0.7"], "10.0.0.7"),
            (&["\"203.0.113.7\""], "203.0.113.7"),
            (&["\"203.0.113.7:4711\""], "203.0.113.7"),
            (&["\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (&["\"[2001:db8::1]\""], "2001:db8::1"),
            (&["\"2001:db8::1\", \"10.0.0.9:443\""], "2001:db8::1"),
            (&["198.51.100.1", "203.0.113.7:80, 10.0.0.9:443", "\"[::ffff:10.0.0.8]:443\""], "203.0.113.7"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(resolve(trusted, "10.0.0.1", values), (expected.into(), false), "{values:?}");
        }
    }

    #[test]
    fn an_unreadable_hop_falls_back_to_the_peer() {
        for value in [
            "unknown",
            "203.0.113.7, _hidden",
            "203.0.113.7,",
            "1.2.3",
            "203.0.113.7 evil",
            "\u{e9}",
            "\"203.0.113.7",
            "203.0.113.7\"",
            "\"\"",
            "\"",
            "\" 203.0.113.7\"",
            "[203.0.113.7",
            "203.0.113.7:",
            "203.0.113.7:65536",
            "[2001:db8::1]x",
            "\"203.0.113.7, 10.0.0.9\"",
        ] {
            assert_eq!(resolve(&["10.0.0.0/8"], "10.0.0.1", &[value]), ("10.0.0.1".into(), true), "{value}");
        }
        // Only what is right of the first untrusted hop is read at all.
        assert_eq!(resolve(&["10.0.0.0/8"], "10.0.0.1", &["junk, 203.0.113.7"]), ("203.0.113.7".into(), false));
    }

    #[test]
    fn private_sources() {
        for yes in
            ["127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "fe80::1", "fd00::1", "::1", "::ffff:10.0.0.1"]
        {
            assert!(is_private(yes.parse().unwrap()), "{yes}");
        }
        for no in ["203.0.113.1", "172.32.0.1", "2001:db8::1", "::ffff:203.0.113.1"] {
            assert!(!is_private(no.parse().unwrap()), "{no}");
        }
    }

    #[test]
    fn an_anonymized_address_is_its_network() {
        for (address, network) in [
            ("203.0.113.9", "203.0.113.0"),
            ("::ffff:203.0.113.9", "203.0.113.0"),
            ("255.255.255.255", "255.255.255.0"),
            ("2001:db8:1234:5678::9", "2001:db8:1234::"),
            ("::1", "::"),
        ] {
            assert_eq!(anonymized(address.parse().unwrap()).to_string(), network, "{address}");
        }
    }
}
