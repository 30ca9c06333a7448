//! How addresses are written: networks, addresses to bind, host and port.

use super::diagnostic::{Complaint, Rule};
use super::value::{Parsed, quoted};
use crate::domain::answer::own_name::{Alias, Host};
use crate::text;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A network, or one address as the network of its own.
pub(super) fn network(text: &str) -> Parsed<IpNet> {
    let complain = |label, hint| {
        let shown = quoted(text);
        let message = text! { en: "\"{shown}\" is not a network", fr: "\"{shown}\" n'est pas un réseau" };
        Complaint::new(Rule::InvalidNetwork, message, label).hint(hint)
    };
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let Ok(network) = text.parse::<IpNet>() else {
        return Err(complain(
            text! {
                en: "expected an address and a prefix length",
                fr: "une adresse et une longueur de préfixe sont attendues"
            },
            text! {
                en: "write a network such as \"192.0.2.0/24\" or \"2001:db8::/48\", or one address such as \
                     \"192.0.2.7\"",
                fr: "écrivez un réseau, par exemple \"192.0.2.0/24\" ou \"2001:db8::/48\", ou une adresse, par exemple \
                     \"192.0.2.7\""
            },
        ));
    };
    if let IpNet::V6(v6) = network
        && v6.addr().to_ipv4_mapped().is_some()
    {
        return Err(complain(
            text! { en: "an IPv4 network written as IPv6", fr: "un réseau IPv4 écrit en IPv6" },
            text! {
                en: "write the IPv4 network: addresses are compared in that form",
                fr: "écrivez le réseau IPv4 : les adresses sont comparées sous cette forme"
            },
        ));
    }
    let right = network.trunc();
    if network != right {
        let bits = network.prefix_len();
        return Err(complain(
            text! {
                en: "address bits are set after the first {bits}",
                fr: "des bits d'adresse sont à 1 après les {bits} premiers"
            },
            text! { en: "the network is \"{right}\"", fr: "le réseau est \"{right}\"" },
        ));
    }
    Ok(network)
}

/// An address to bind: IP address and port.
pub(super) fn socket_address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| {
        let shown = quoted(text);
        let complaint = Complaint::new(
            Rule::InvalidAddress,
            text! {
                en: "\"{shown}\" is not an address to listen on",
                fr: "\"{shown}\" n'est pas une adresse d'écoute"
            },
            text! { en: "expected an IP address and a port", fr: "une adresse IP et un port sont attendus" },
        );
        let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        complaint.hint(match (host, port) {
            ("localhost", Some(port)) => text! { en: "write \"127.0.0.1:{port}\"", fr: "écrivez \"127.0.0.1:{port}\"" },
            ("" | "*", Some(port)) => {
                text! {
                    en: "for every address, write \"0.0.0.0:{port}\"",
                    fr: "pour toutes les adresses, écrivez \"0.0.0.0:{port}\""
                }
            }
            _ => text! {
                en: "write an address such as \"127.0.0.1:8443\" or \"[::1]:8443\"",
                fr: "écrivez une adresse, par exemple \"127.0.0.1:8443\" ou \"[::1]:8443\""
            },
        })
    })
}

/// Where a server is: a host name or IP address, without brackets, and a port.
pub(super) fn host_port(text: &str) -> Parsed<(String, u16)> {
    let complain = |label, hint| {
        let shown = quoted(text);
        let message =
            text! { en: "\"{shown}\" is not \"host:port\"", fr: "\"{shown}\" n'est pas de la forme \"hôte:port\"" };
        Err(Complaint::new(Rule::InvalidAddress, message, label).hint(hint))
    };
    if let Some((_, rest)) = text.split_once("://") {
        let rest = quoted(rest.trim_end_matches('/'));
        return complain(
            text! { en: "this is a URL", fr: "ceci est une URL" },
            text! { en: "write \"{rest}\"", fr: "écrivez \"{rest}\"" },
        );
    }
    let last_colon = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    if let Ok(IpAddr::V6(_)) = text.parse::<IpAddr>() {
        let shown = match last_colon {
            Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => format!("[{host}]:{port}"),
            _ => format!("[{text}]:8082"),
        };
        return complain(
            text! { en: "an IPv6 address without brackets", fr: "une adresse IPv6 sans crochets" },
            text! { en: "write \"{shown}\"", fr: "écrivez \"{shown}\"" },
        );
    }
    let Some((host, port)) = last_colon else {
        let shown = quoted(text.trim_matches(':'));
        return complain(
            text! { en: "no host or no port", fr: "il manque l'hôte ou le port" },
            text! {
                en: "write host and port, such as \"{shown}:8082\": the Port of the REST screen of 8sens",
                fr: "écrivez l'hôte et le port, par exemple \"{shown}:8082\" : le Port de l'écran REST de 8sens"
            },
        );
    };
    let number = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse::<u16>().ok()).flatten();
    let Some(port) = number.filter(|port| *port != 0) else {
        return complain(
            text! { en: "the port is not a number from 1 to 65535", fr: "le port n'est pas un nombre de 1 à 65535" },
            text! { en: "the Port is on the REST screen of 8sens", fr: "le Port figure sur l'écran REST de 8sens" },
        );
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => Ok((inner.to_owned(), port)),
        None if is_name(host) => Ok((host.to_owned(), port)),
        _ => complain(
            text! { en: "not a host name or IP address", fr: "ni un nom d'hôte ni une adresse IP" },
            text! {
                en: "an IPv6 address is in brackets: \"[::1]:{port}\"",
                fr: "une adresse IPv6 se met entre crochets : \"[::1]:{port}\""
            },
        ),
    }
}

/// What 8sens may call itself: a host name or IP address, with or without a port. An IPv6 address needs brackets only
/// before a port.
pub(super) fn own_name(text: &str) -> Parsed<Alias> {
    let alias = |host: &str, port| Host::parse(host).map(|host| Alias { host, port });
    let bare = match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => is_name(text) || text.parse::<IpAddr>().is_ok(),
    };
    let found = if bare { alias(text, None) } else { None };
    if let Some(found) = found {
        return Ok(found);
    }
    if let Some(found) = host_port(text).ok().and_then(|(host, port)| alias(&host, Some(port))) {
        return Ok(found);
    }
    let shown = quoted(text);
    let complaint = Complaint::new(
        Rule::InvalidAddress,
        text! { en: "\"{shown}\" is not a host", fr: "\"{shown}\" n'est pas un hôte" },
        text! {
            en: "expected a host name or an IP address, with a port or without",
            fr: "un nom d'hôte ou une adresse IP est attendu, avec ou sans port"
        },
    );
    Err(complaint.hint(text! {
        en: "write what is between `//` and the path, such as \"srv-erp\" or \"192.0.2.10:8082\"",
        fr: "écrivez ce qui se trouve entre `//` et le chemin, par exemple \"srv-erp\" ou \"192.0.2.10:8082\""
    }))
}

/// A host name; Windows and its networks have underscores in theirs.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks() {
        for (text, shown) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:db8::/48", "2001:db8::/48"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), shown);
        }
        for bad in ["", "10/8", "192.0.2.7/24", "192.0.2.0/33", "::ffff:10.0.0.0/104", "shop.example"] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn upstream_addresses() {
        for (text, host, port) in [
            ("127.0.0.1:8082", "127.0.0.1", 8082),
            ("erp.lan:80", "erp.lan", 80),
            ("ERP_2:1", "ERP_2", 1),
            ("[::1]:8082", "::1", 8082),
        ] {
            assert_eq!(host_port(text).unwrap(), (host.to_owned(), port));
        }
        for bad in [
            "",
            "erp",
            ":80",
            "erp:",
            "erp:0",
            "erp:+80",
            "erp:65536",
            "::1",
            "::1:80",
            "[::1]",
            "http://erp:80/",
            "a b:1",
            "a..b:1",
            "[erp]:1",
        ] {
            assert!(host_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_8sens() {
        for (text, host, port) in [
            ("SRV-ERP", "srv-erp", None),
            ("erp_2.lan:8082", "erp_2.lan", Some(8082)),
            ("192.0.2.10", "192.0.2.10", None),
            ("192.0.2.10:80", "192.0.2.10", Some(80)),
            ("2001:db8::1", "[2001:db8::1]", None),
            ("[2001:db8::1]", "[2001:db8::1]", None),
            ("[2001:db8::1]:8082", "[2001:db8::1]", Some(8082)),
        ] {
            assert_eq!(own_name(text).unwrap(), Alias { host: Host::parse(host).unwrap(), port }, "{text}");
        }
        for bad in ["", ".", "http://erp", "erp/", "erp:0", "erp:", "a b", "*.lan", "[erp]", "user@erp"] {
            assert!(own_name(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,20}|[0-9a-fx.:/\\[\\]]{0,20}") {
            let _ = (network(&text), socket_address(&text), host_port(&text), own_name(&text));
        }
    }
}
