//! Which names of the admin listener are its own.

use crate::domain::answer::own_name::{Alias, Host};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names of this machine that no name server can lead elsewhere (RFC 6761 section 6.3), nor a page of a hostile site
/// have for its own.
const LOOPBACK_NAMES: [&str; 2] = ["localhost", "localhost.localdomain"];

/// The port of a `Host` that names none.
const HTTP_PORT: u16 = 80;

/// True when a `Host` (RFC 9110 section 7.2) names the listener: a loopback name or address or the connection's own
/// address, with any port or none, as a tunnel may change the port; or one of these hosts of the configuration.
pub(super) fn names_this_listener(host: &str, local: Option<IpAddr>, hosts: &[Alias]) -> bool {
    let Some((name, port)) = split(host) else { return false };
    let plain = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if LOOPBACK_NAMES.contains(&plain.as_str()) || plain.ends_with(".localhost") {
        return true;
    }
    let address = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => name.parse::<Ipv4Addr>().map(IpAddr::V4),
    };
    let address = address.ok().map(|address| address.to_canonical());
    let is_ours = |address: IpAddr| address.is_loopback() || local.is_some_and(|local| local.to_canonical() == address);
    let is_configured = |alias: &Alias| {
        alias.port.is_none_or(|wanted| wanted == port.unwrap_or(HTTP_PORT))
            && match &alias.host {
                Host::Name(wanted) => *wanted == plain,
                Host::Address(wanted) => Some(*wanted) == address,
            }
    };
    address.is_some_and(is_ours) || hosts.iter().any(is_configured)
}

/// Host and port of `host[:port]`; `None` when what follows the host is not a port.
fn split(host: &str) -> Option<(&str, Option<u16>)> {
    let end = match host.find(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, rest) = host.split_at(end);
    if rest.is_empty() {
        return Some((name, None));
    }
    let port = rest.strip_prefix(':').filter(|port| port.bytes().all(|b| b.is_ascii_digit()))?;
    port.parse().ok().map(|port| (name, Some(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(host: &str, hosts: &[Alias]) -> bool {
        names_this_listener(host, Some("192.0.2.5".parse().unwrap()), hosts)
    }

    #[test]
    fn loopback_and_the_address_of_the_connection() {
        for host in [
            "localhost",
            "LOCALHOST:9180",
            "localhost.",
            "localhost.localdomain:9180",
            "gate.localhost:9180",
            "127.0.0.1",
            "127.0.0.1:65535",
            "127.8.8.8:80",
            "[::1]",
            "[::1]:9180",
            "[::ffff:127.0.0.1]",
            "192.0.2.5:9180",
            "[::ffff:192.0.2.5]",
        ] {
            assert!(names(host, &[]), "{host}");
        }
        for host in [
            "",
            ".",
            "evil.example",
            "evil.example:9180",
            "localhost.evil.example",
            "evillocalhost",
            "localhost..",
            "127.0.0.1.evil.example",
            "evil@localhost",
            "localhost:80@evil.example",
            "localhost:",
            "localhost:+80",
            "localhost:65536",
            "localhost, localhost",
            "[::1",
            "::1",
            "[::1]evil",
            "[127.0.0.1]",
            "0.0.0.0",
            "127.1",
            "2130706433",
            "192.0.2.6:9180",
            "[2001:db8::1]",
        ] {
            assert!(!names(host, &[]), "{host}");
        }
    }

    #[test]
    fn hosts_of_the_configuration() {
        let alias = |host: &str, port| Alias { host: Host::parse(host).unwrap(), port };
        let hosts = [alias("gate.lan", None), alias("Proxy.lan", Some(8443)), alias("198.51.100.7", None)];
        for host in
            ["gate.lan", "GATE.LAN.:9180", "gate.lan:1", "proxy.lan:8443", "198.51.100.7", "[::ffff:198.51.100.7]:9180"]
        {
            assert!(names(host, &hosts), "{host}");
        }
        for host in
            ["gate", "x.gate.lan", "gate.lan.evil.example", "proxy.lan", "proxy.lan:80", "198.51.100.8", "3325256711"]
        {
            assert!(!names(host, &hosts), "{host}");
        }
        assert!(names("gate.lan", &[alias("gate.lan", Some(80))]));
    }
}
