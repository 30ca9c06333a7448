//! Who 8sens is, as far as a reference in one of its answers can name it.

use crate::domain::request::client_ip::canonical;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host as a reference names it, in the one form in which it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// In lower case, without the dot of the root.
    Name(String),
    /// IPv4 also where it was written as IPv6.
    Address(IpAddr),
}

impl Host {
    /// The host of an authority, without its port. Every spelling of an address that a URL parser understands is that
    /// address: `127.1`, `0x7f000001` and `[::ffff:127.0.0.1]` are all 127.0.0.1. `None` when it is empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('.');
        if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            let address = inner.split('%').next().unwrap_or_default();
            return address.parse::<Ipv6Addr>().ok().map(|address| Self::Address(canonical(address.into())));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(canonical(address)));
        }
        if let Some(address) = numeric_ipv4(text) {
            return Some(Self::Address(address.into()));
        }
        (!text.is_empty()).then(|| Self::Name(text.to_ascii_lowercase()))
    }

    /// True for the machine that reads the reference: then 8sens meant its own.
    fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost") || name == "localhost.localdomain",
            Self::Address(address) => address.is_loopback() || address.is_unspecified(),
        }
    }
}

/// Another name of 8sens, from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    pub host: Host,
    /// Only at this port; at any when `None`.
    pub port: Option<u16>,
}

/// All that 8sens is known by.
#[derive(Clone, Copy, Debug)]
pub struct Itself<'a> {
    /// The host that the configuration names and that 8sens is sent as Host.
    pub host: &'a str,
    pub also_known_as: &'a [Alias],
    /// What the host resolves to.
    pub addresses: &'a [IpAddr],
}

impl Itself<'_> {
    /// Whether that host is 8sens. The port does not matter: 8sens may be told another one than the gate was, and its
    /// machine has no other address to lead a caller to.
    #[must_use]
    pub fn is(&self, host: &Host, port: Option<u16>) -> bool {
        let resolved = |host: &Host| match host {
            Host::Address(address) => self.addresses.iter().any(|own| canonical(*own) == *address),
            Host::Name(_) => false,
        };
        let alias = |alias: &Alias| alias.host == *host && (alias.port.is_none() || alias.port == port);
        host.is_loopback()
            || Host::parse(self.host).as_ref() == Some(host)
            || resolved(host)
            || self.also_known_as.iter().any(alias)
    }
}

/// An IPv4 address as C's `inet_aton` and every browser read it: one to four parts, decimal, octal or hexadecimal, the
/// last filling what is left.
fn numeric_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(numeric_part).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last().filter(|(_, leading)| leading.len() < 4)?;
    let mut address = *last;
    if u64::from(*last) >= 1 << (8 * (4 - leading.len())) {
        return None;
    }
    for (part, shift) in leading.iter().zip([24, 16, 8]) {
        address |= u32::from(u8::try_from(*part).ok()?) << shift;
    }
    Some(Ipv4Addr::from(address))
}

fn numeric_part(part: &str) -> Option<u32> {
    let (digits, radix) = match part.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&part[2..], 16),
        [b'0', _, ..] => (&part[1..], 8),
        _ => (part, 10),
    };
    // from_str_radix takes a sign.
    digits.bytes().all(|b| b.is_ascii_alphanumeric()).then(|| u32::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(text: &str, port: Option<u16>) -> bool {
        let also_known_as = [
            Alias { host: Host::parse("SRV-ERP").unwrap(), port: None },
            Alias { host: Host::parse("erp.example").unwrap(), port: Some(8082) },
        ];
        let addresses = ["192.168.1.10".parse().unwrap(), "fd00::10".parse().unwrap()];
        let itself = Itself { host: "8sens.lan", also_known_as: &also_known_as, addresses: &addresses };
        Host::parse(text).is_some_and(|host| itself.is(&host, port))
    }

    #[test]
    fn every_spelling_of_8sens_is_8sens() {
        for text in [
            "8sens.lan",
            "8SENS.LAN",
            "8sens.lan.",
            "srv-erp",
            "192.168.1.10",
            "192.168.1.10.",
            "192.168.266",
            "0xc0a8010a",
            "3232235786",
            "0300.0250.1.10",
            "[::ffff:192.168.1.10]",
            "[::FFFF:c0a8:10a]",
            "[fd00::10]",
            "[fd00:0:0::0010]",
            "[fd00::10%25eth0]",
            "localhost",
            "LocalHost.",
            "erp.localhost",
            "127.0.0.1",
            "127.1.2.3",
            "127.1",
            "[::1]",
            "0.0.0.0",
            "[::]",
        ] {
            assert!(is_own(text, None), "{text}");
            assert!(is_own(text, Some(9999)), "{text}: whatever the port");
        }
    }

    #[test]
    fn others_are_not() {
        for text in [
            "",
            ".",
            "192.168.1.11",
            "192.168.1.10.example",
            "x8sens.lan",
            "8sens.lan.example",
            "8sens",
            "localhost.example",
            "notlocalhost",
            "[fd00::11]",
            "[8sens.lan]",
            "1.2.3.4.5",
            "256.1",
            "127.16777216",
            "128.0.0.1",
            "0x",
            "+127.1",
        ] {
            assert!(!is_own(text, None), "{text}");
        }
    }

    #[test]
    fn an_alias_with_a_port_is_8sens_at_that_port_alone() {
        assert!(is_own("erp.example", Some(8082)));
        assert!(!is_own("erp.example", Some(443)) && !is_own("erp.example", None));
    }
}
