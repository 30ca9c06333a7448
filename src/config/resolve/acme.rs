//! `listener.tls.acme`: what a certificate is asked for, and of whom.

use super::authorities;
use super::client::distinct;
use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::settings::{AcmeIdentifier, AcmeSettings, ListenerSettings, TlsSettings};
use crate::config::shape;
use crate::config::value::{Parsed, quoted};
use crate::domain::request::Transport;
use crate::domain::request::client_ip::is_private;
use crate::text;
use crate::text::Text;
use std::net::IpAddr;
use std::path::Path;
use toml::de::DeValue;

/// Names on one certificate: what Let's Encrypt takes at most.
const MAX_IDENTIFIERS: usize = 100;

/// Ends of names that no public certificate authority certifies.
const PRIVATE_ENDS: [&str; 8] = ["home.arpa", "internal", "invalid", "lan", "local", "localhost", "onion", "test"];

pub(super) fn read(field: &Field<'_>, base: &Path) -> Option<AcmeSettings> {
    let DeValue::Table(table) = field.value else {
        field.wrong_type(
            &text! { en: "a table", fr: "une table" },
            Some(text! {
                en: "write {{ domains = [\"gate.example\"], contact = \"admin@example.org\" }}",
                fr: "écrivez {{ domains = [\"gate.example\"], contact = \"admin@example.org\" }}"
            }),
        );
        return None;
    };
    let section = Section::open(&shape::ACME, table, Some(field.span.clone()), field.problems);
    let contact = section.get("contact").and_then(|field| field.parsed(contact));
    let directory = section.value("directory", |field| field.parsed(directory));
    let profile = section.get("profile").and_then(|field| field.parsed(profile));
    let ca = section.get("ca").map(|field| authorities::read(&field, base));
    // Who names the issuer of a directory has an authority of its own, which may certify what no public one does.
    let public = ca.is_none();
    let domains = section.required("domains", "domains = [\"gate.example\"]")?;
    let identifiers = distinct(&domains, |field| {
        let identifier = field.parsed(identifier)?;
        if public && let Some(why) = private(&identifier) {
            field.error(not_for_a_public_authority(&identifier, why));
        }
        Some(identifier)
    })?;
    check_count(&domains, identifiers.len());
    Some(AcmeSettings { directory, contact, identifiers, profile, ca: ca.flatten() })
}

/// The authority comes to port 80, so somebody has to be there who answers in clear.
pub(super) fn check_reachable(sections: &[Section<'_>], listeners: &[ListenerSettings]) {
    if listeners.iter().any(|listener| listener.transport != Transport::Tls) {
        return;
    }
    let by_acme = |(_, listener): &(_, &ListenerSettings)| matches!(listener.tls, Some(TlsSettings::Acme(_)));
    for (section, _) in sections.iter().zip(listeners).filter(by_acme) {
        let Some(field) = section.get("tls") else { continue };
        field.warn(
            Complaint::new(
                Rule::AcmeNoPlainListener,
                text! { en: "no listener without TLS", fr: "aucun point d'écoute sans TLS" },
                text! {
                    en: "the certificate authority asks on port 80, in clear",
                    fr: "l'autorité de certification interroge le port 80, en clair"
                },
            )
            .hint(text! {
                en: "add a `[[listener]]` with `address = \"0.0.0.0:80\"` and `plaintext = \"redirect\"`, or let \
                     whatever answers on port 80 send callers here by https",
                fr: "ajoutez un `[[listener]]` avec `address = \"0.0.0.0:80\"` et `plaintext = \"redirect\"`, ou \
                     faites renvoyer ici en https par ce qui répond sur le port 80"
            }),
        );
    }
}

fn check_count(field: &Field<'_>, count: usize) {
    if matches!(field.value, DeValue::Array(array) if array.is_empty()) {
        field.error(
            Complaint::new(
                Rule::EmptyList,
                text! { en: "a certificate for nothing", fr: "un certificat pour rien" },
                text! { en: "the list is empty", fr: "la liste est vide" },
            )
            .hint(text! {
                en: "name the hosts or addresses under which the gate is called",
                fr: "nommez les hôtes ou les adresses par lesquels on appelle la passerelle"
            }),
        );
    } else if count > MAX_IDENTIFIERS {
        field.error(Complaint::new(
            Rule::OutOfRange,
            text! { en: "too many names for one certificate", fr: "trop de noms pour un certificat" },
            text! { en: "{count}, at most {MAX_IDENTIFIERS}", fr: "{count}, au plus {MAX_IDENTIFIERS}" },
        ));
    }
}

/// A host name or an IP address that HTTP-01 can show to be ours (RFC 8555 section 8.3, RFC 8738).
fn identifier(text: &str) -> Parsed<AcmeIdentifier> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(AcmeIdentifier::Address(address.to_canonical()));
    }
    let lower = text.to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits alone would be read as an address.
    let is_number = lower.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if lower.len() <= 253 && lower.split('.').all(label) && !is_number {
        return Ok(AcmeIdentifier::Name(lower.into()));
    }
    let shown = quoted(text);
    let complain = |label, hint| {
        Complaint::new(
            Rule::AcmeDomain,
            text! { en: "no certificate can be had for \"{shown}\"", fr: "aucun certificat possible pour \"{shown}\"" },
            label,
        )
        .hint(hint)
    };
    Err(if lower.starts_with("*.") {
        complain(
            text! {
                en: "a wildcard takes a change in the DNS each time",
                fr: "un joker demande à chaque fois une modification du DNS"
            },
            text! {
                en: "name every host, or have the certificate made elsewhere and give its files: {{ certificate = \
                     \"…\", key = \"…\" }}",
                fr: "nommez chaque hôte, ou faites faire le certificat ailleurs et donnez ses fichiers : {{ \
                     certificate = \"…\", key = \"…\" }}"
            },
        )
    } else if text.contains(['/', ':']) {
        complain(
            text! { en: "this is more than a host", fr: "ceci est plus qu'un hôte" },
            text! {
                en: "write the host alone, without scheme, port and path",
                fr: "écrivez l'hôte seul, sans schéma, ni port, ni chemin"
            },
        )
    } else if !text.is_ascii() {
        complain(
            text! { en: "not ASCII", fr: "hors ASCII" },
            text! {
                en: "write its form in ASCII, which begins with xn--",
                fr: "écrivez sa forme ASCII, qui commence par xn--"
            },
        )
    } else {
        complain(
            text! { en: "neither a host name nor an IP address", fr: "ni un nom d'hôte ni une adresse IP" },
            text! {
                en: "write what callers write, such as \"gate.example\" or \"192.0.2.7\"",
                fr: "écrivez ce qu'écrivent les appelants, par exemple \"gate.example\" ou \"192.0.2.7\""
            },
        )
    })
}

/// Why no public certificate authority certifies it.
fn private(identifier: &AcmeIdentifier) -> Option<Text> {
    match identifier {
        AcmeIdentifier::Address(address) => {
            let nobody = address.is_unspecified() || address.is_multicast();
            let shared = matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64);
            (is_private(*address) || nobody || shared).then(|| {
                text! { en: "an address that is not on the internet", fr: "une adresse qui n'est pas sur Internet" }
            })
        }
        AcmeIdentifier::Name(name) => {
            let ends = |end: &&str| name.strip_suffix(*end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            let local = !name.contains('.') || PRIVATE_ENDS.iter().any(ends);
            local.then(|| text! { en: "a name that is not on the internet", fr: "un nom qui n'est pas sur Internet" })
        }
    }
}

fn not_for_a_public_authority(identifier: &AcmeIdentifier, why: Text) -> Complaint {
    Complaint::new(
        Rule::AcmeDomain,
        text! {
            en: "no public certificate authority certifies \"{identifier}\"",
            fr: "aucune autorité de certification publique ne certifie \"{identifier}\""
        },
        why,
    )
    .hint(text! {
        en: "name what callers on the internet write; an authority of your own needs `directory` and `ca`",
        fr: "nommez ce qu'écrivent les appelants d'Internet ; une autorité à vous demande `directory` et `ca`"
    })
}

/// An e-mail address, bare or as a URL.
fn contact(text: &str) -> Parsed<String> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".!#$&'*+/=^_{|}~-".contains(&b);
    let good = address.len() <= 254
        && address.split_once('@').is_some_and(|(local, domain)| {
            let host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
            !local.is_empty() && local.bytes().all(allowed) && domain.contains('.') && domain.bytes().all(host)
        });
    if good {
        return Ok(format!("mailto:{address}"));
    }
    let shown = quoted(text);
    Err(Complaint::new(
        Rule::AcmeContact,
        text! { en: "\"{shown}\" is not an e-mail address", fr: "\"{shown}\" n'est pas une adresse électronique" },
        text! { en: "one address is expected", fr: "une adresse est attendue" },
    )
    .hint(text! {
        en: "write \"admin@example.org\", or leave it out",
        fr: "écrivez \"admin@example.org\", ou supprimez la clé"
    }))
}

fn directory(text: &str) -> Parsed<String> {
    let uri = text.parse::<http::Uri>().ok();
    let good = uri.is_some_and(|uri| {
        uri.scheme_str() == Some("https")
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && text.len() <= 2048
    });
    if good {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(
        Rule::AcmeDirectory,
        text! { en: "this is not the directory of an ACME server", fr: "ceci n'est pas l'annuaire d'un serveur ACME" },
        text! { en: "an https URL is expected", fr: "une URL https est attendue" },
    )
    .hint(text! {
        en: "to try without limits, write \"https://acme-staging-v02.api.letsencrypt.org/directory\"",
        fr: "pour essayer sans limites, écrivez \"https://acme-staging-v02.api.letsencrypt.org/directory\""
    }))
}

fn profile(text: &str) -> Parsed<String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=64).contains(&text.len()) && text.bytes().all(word) {
        return Ok(text.to_owned());
    }
    let shown = quoted(text);
    Err(Complaint::new(
        Rule::AcmeProfile,
        text! { en: "\"{shown}\" cannot be a profile", fr: "\"{shown}\" ne peut pas être un profil" },
        text! { en: "one word is expected", fr: "un mot est attendu" },
    )
    .hint(text! {
        en: "the authority's documentation names its profiles, such as \"classic\" or \"shortlived\"",
        fr: "la documentation de l'autorité nomme ses profils, par exemple \"classic\" ou \"shortlived\""
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        let read = |text| identifier(text).map(|identifier| identifier.to_string()).ok();
        for (text, expected) in [
            ("Gate.Example", "gate.example"),
            ("xn--caf-dma.example", "xn--caf-dma.example"),
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for bad in
            ["", "*.example.org", "a..b", "a.example.", "-a.example", "a_b.example", "café.example", "1.2.3", &long]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_no_public_authority_certifies() {
        for text in
            ["localhost", "gate", "gate.lan", "8sens.local", "10.0.0.1", "127.0.0.1", "100.64.0.1", "::1", "0.0.0.0"]
        {
            assert!(private(&identifier(text).unwrap()).is_some(), "{text}");
        }
        for text in ["gate.example", "atlan.example", "notlocal.fr", "192.0.2.7", "100.128.0.1", "2001:db8::1"] {
            assert!(private(&identifier(text).unwrap()).is_none(), "{text}");
        }
    }

    #[test]
    fn contacts_and_directories() {
        for good in ["admin@example.org", "mailto:admin@example.org", "a.b+c@x-y.example"] {
            let address = good.trim_start_matches("mailto:");
            assert_eq!(contact(good).unwrap(), format!("mailto:{address}"));
        }
        for bad in ["", "admin", "a@b", "a b@example.org", "a@example.org,b@example.org", "a@example.org?subject=x"] {
            assert!(contact(bad).is_err(), "{bad}");
        }
        assert!(directory("https://acme-v02.api.letsencrypt.org/directory").is_ok());
        for bad in ["", "http://ca.example/dir", "ca.example", "https://user@ca.example/dir", "https://"] {
            assert!(directory(bad).is_err(), "{bad}");
        }
    }
}
