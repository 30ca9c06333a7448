//! `[upstream]`

use super::authorities;
use super::client::{distinct, routes};
use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::settings::{Forwarder, UpstreamSettings, UpstreamTls};
use crate::config::value::{Parsed, quoted};
use crate::config::{address, secret, shape};
use crate::domain::rules::route::RouteRule;
use crate::text;
use bytes::Bytes;
use http::HeaderValue;
use rustls_pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// 22 characters of 64 possible ones are 132 bits.
const STRONG_KEY: usize = 22;

/// `[upstream]`, with the fields that other tables refer to.
pub(super) struct UpstreamTable {
    pub settings: Option<UpstreamSettings>,
    pub address: Option<(String, u16, Range<usize>)>,
    pub api_key: Option<SecretString>,
    /// After how long without use 8sens forgets a token.
    pub idle_timeout: Duration,
    /// Routes on which it takes an encoded slash for a part of a name.
    pub encoded_slash: Vec<RouteRule>,
    /// Where the file says so, if it does.
    pub idle_timeout_span: Option<Range<usize>>,
}

pub(super) fn read(section: &Section<'_>, base: &Path) -> UpstreamTable {
    let address = section
        .required("address", "address = \"127.0.0.1:8082\"")
        .and_then(|field| field.parsed(address::host_port).map(|(host, port)| (host, port, field.span.clone())));
    let api_key = section
        .required("api_key", "api_key = { file = \"8sens-api-key\" }")
        .and_then(|field| secret::read(&field, base).inspect(|key| weigh(&field, key)));
    let also_known_as = section.value("also_known_as", |field| distinct(field, |name| name.parsed(address::own_name)));
    let timeout = |name| section.value(name, |field| field.duration());
    let idle_timeout = timeout("idle_timeout");
    let connect_timeout = timeout("connect_timeout");
    let read_timeout = timeout("read_timeout");
    let answer_timeout = section.or("answer_timeout", read_timeout, |field| field.duration());
    let write_timeout = timeout("write_timeout");
    let keepalive_timeout = timeout("keepalive_timeout");
    let pool_size = section.value("pool_size", |field| field.integer());
    let forwarder = section
        .value("forwarder", |field| field.choice(&[("direct", Forwarder::Direct), ("pingora", Forwarder::Pingora)]));
    let tls = section.get("tls").and_then(|field| {
        let host = address.as_ref().map(|(host, ..)| host.as_str());
        tls(&section.table("tls", &shape::UPSTREAM_TLS), &field, host, base)
    });
    let settings = address.as_ref().zip(api_key.as_ref()).and_then(|((host, port, _), api_key)| {
        Some(UpstreamSettings {
            host_field: host_field(host, *port)?,
            api_key: secret_field(api_key)?,
            host: host.clone(),
            port: *port,
            also_known_as: also_known_as.clone(),
            connect_timeout,
            read_timeout,
            answer_timeout,
            write_timeout,
            keepalive_timeout,
            pool_size,
            forwarder,
            tls: tls.clone(),
        })
    });
    let encoded_slash = section.value("encoded_slash", routes);
    let idle_timeout_span = section.get("idle_timeout").map(|field| field.span);
    UpstreamTable { settings, address, api_key, idle_timeout, encoded_slash, idle_timeout_span }
}

/// `None` when something was reported.
fn tls(section: &Section<'_>, table: &Field<'_>, host: Option<&str>, base: &Path) -> Option<UpstreamTls> {
    let authorities = section.required("ca", "ca = \"8sens-ca.pem\"").and_then(|field| authorities::read(&field, base));
    let name = match section.get("name") {
        Some(field) => field.parsed(certified_name),
        None => certified_name(host?).map_err(|complaint| table.error(complaint)).ok(),
    };
    Some(UpstreamTls { authorities: authorities?.into(), name: name? })
}

/// A name or address that a certificate can have. An underscore, which no host name has, would be verified as a hyphen
/// by Pingora.
fn certified_name(text: &str) -> Parsed<String> {
    if ServerName::try_from(text).is_ok() && !text.contains('_') {
        return Ok(text.to_owned());
    }
    let shown = quoted(text);
    let complaint = Complaint::new(
        Rule::InvalidName,
        text! { en: "no certificate can name \"{shown}\"", fr: "aucun certificat ne peut nommer \"{shown}\"" },
        text! { en: "expected a host name or an IP address", fr: "un nom d'hôte ou une adresse IP est attendu" },
    );
    Err(complaint.hint(text! {
        en: "write in `[upstream.tls]` what its certificate names: `name = \"8sens.lan\"`",
        fr: "écrivez dans `[upstream.tls]` ce que nomme son certificat : `name = \"8sens.lan\"`"
    }))
}

/// `None` is unreachable: the address was read as a host and a port.
fn host_field(host: &str, port: u16) -> Option<HeaderValue> {
    let text = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    HeaderValue::try_from(text).ok()
}

/// Holds the secret in memory that wipes itself. `None` is unreachable: a secret is visible ASCII.
fn secret_field(secret: &SecretString) -> Option<HeaderValue> {
    let owned = Bytes::from_owner(Zeroizing::new(secret.expose_secret().as_bytes().to_vec()));
    let mut value = HeaderValue::from_maybe_shared(owned).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn weigh(field: &Field<'_>, key: &SecretString) {
    if key.expose_secret().len() < STRONG_KEY {
        field.warn(
            Complaint::new(
                Rule::WeakSecret,
                text! { en: "the upstream key is short", fr: "la clé de 8sens est courte" },
                text! {
                    en: "fewer than {STRONG_KEY} characters, so under 128 bits",
                    fr: "moins de {STRONG_KEY} caractères, donc moins de 128 bits"
                },
            )
            .hint(text! {
                en: "whoever reaches 8sens can guess it; set a longer one in 8sens, or let only the gate reach 8sens",
                fr: "qui atteint 8sens peut la deviner ; choisissez-en une plus longue dans 8sens, ou n'y laissez \
                     accéder que la passerelle"
            }),
        );
    }
}
