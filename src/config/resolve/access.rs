//! `[[listener]]` and `[admin]`: what is bound, and for whom.

use super::client::{self, ClientIpRules, distinct};
use super::upstream::UpstreamTable;
use super::{acme, tls};
use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::report::Problems;
use crate::config::settings::{AdminSettings, ListenerSettings};
use crate::config::{address, secret, shape};
use crate::domain::request::Transport;
use crate::text;
use crate::text::Text;
use http::HeaderValue;
use secrecy::ExposeSecret;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9180);

/// 32 characters of 16 possible ones are 128 bits.
const MIN_ADMIN_TOKEN: usize = 32;

/// Every address that is taken so far.
pub(super) struct Addresses {
    taken: Vec<(SocketAddr, Range<usize>, Text)>,
}

impl Addresses {
    /// The upstream counts: the gate must not forward to itself.
    pub(super) fn new(upstream: &UpstreamTable) -> Self {
        let address = upstream.address.as_ref().and_then(|(host, port, span)| {
            let ip = if host == "localhost" { Ok(Ipv4Addr::LOCALHOST.into()) } else { host.parse::<IpAddr>() };
            Some((
                SocketAddr::new(ip.ok()?, *port),
                span.clone(),
                text! { en: "8sens listens here", fr: "8sens écoute ici" },
            ))
        });
        Self { taken: address.into_iter().collect() }
    }

    /// Takes an address, unless two cannot both have it.
    fn take(&mut self, address: SocketAddr, field: &Field<'_>) {
        if let Some((other, span, label)) = self.taken.iter().find(|(taken, ..)| overlap(*taken, address)) {
            let message = if *other == address {
                text! { en: "{address} is already taken", fr: "{address} est déjà prise" }
            } else {
                text! { en: "{address} is already taken by {other}", fr: "{address} est déjà prise par {other}" }
            };
            let complaint = Complaint::new(
                Rule::AddressConflict,
                message,
                text! { en: "cannot listen here as well", fr: "impossible d'écouter ici aussi" },
            );
            field.error(
                complaint
                    .related(span.clone(), label.clone())
                    .hint(text! { en: "choose another port", fr: "choisissez un autre port" }),
            );
        }
        let name = &field.name;
        self.taken.push((
            address,
            field.span.clone(),
            text! { en: "taken by this `{name}`", fr: "prise par ce `{name}`" },
        ));
    }

    /// The admin listener has an address even when the file does not say so.
    fn leave_room_for_admin(&self, problems: &Problems) {
        if let Some((_, span, _)) = self.taken.iter().find(|(taken, ..)| overlap(*taken, DEFAULT_ADMIN)) {
            problems.error(
                span.clone(),
                Complaint::new(
                    Rule::AddressConflict,
                    text! {
                        en: "{DEFAULT_ADMIN} is the default of `admin.address`",
                        fr: "{DEFAULT_ADMIN} est la valeur par défaut de `admin.address`"
                    },
                    text! { en: "the admin pages listen here", fr: "les pages d'administration écoutent ici" },
                )
                .hint(text! {
                    en: "choose another port, or give `[admin]` another `address` or \"off\"",
                    fr: "choisissez un autre port, ou donnez à `[admin]` une autre `address` ou \"off\""
                }),
            );
        }
    }
}

/// True when two sockets cannot be bound to both. Port 0 is a free port each time; an unspecified address is all of
/// them.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (x, y) = (a.ip().to_canonical(), b.ip().to_canonical());
    let covers = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    a.port() == b.port() && a.port() != 0 && (x == y || covers(x, y) || covers(y, x))
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// An address that can be bound. Port 0, any free port, is for trials on loopback.
fn bindable(field: &Field<'_>) -> Option<SocketAddr> {
    let address = field.parsed(address::socket_address)?;
    if address.port() == 0 && !is_loopback(address) {
        field.error(
            Complaint::new(
                Rule::InvalidAddress,
                text! { en: "port 0 is a different port at every start", fr: "le port 0 change à chaque démarrage" },
                text! { en: "only on a loopback address", fr: "réservé à une adresse de loopback" },
            )
            .hint(text! { en: "choose a port, such as 8443", fr: "choisissez un port, par exemple 8443" }),
        );
        return None;
    }
    Some(address)
}

pub(super) fn listeners(
    root: &Section<'_>,
    base: &Path,
    client_ip: &ClientIpRules,
    addresses: &mut Addresses,
    problems: &Problems,
) -> Vec<ListenerSettings> {
    let sections = root.tables("listener", &shape::LISTENER);
    if let (true, Some(field)) = (sections.is_empty(), root.get("listener"))
        && matches!(field.value, toml::de::DeValue::Array(array) if array.is_empty())
    {
        field.error(
            Complaint::new(
                Rule::EmptyList,
                text! { en: "there is no listener", fr: "il n'y a aucun point d'écoute" },
                text! { en: "nobody could connect", fr: "personne ne pourrait se connecter" },
            )
            .hint(text! {
                en: "add a `[[listener]]` with an `address`",
                fr: "ajoutez un `[[listener]]` avec une `address`"
            }),
        );
    }
    let listeners: Vec<_> =
        sections.iter().filter_map(|section| listener(section, base, client_ip, addresses, problems)).collect();
    if listeners.len() == sections.len() {
        acme::check_reachable(&sections, &listeners);
    }
    listeners
}

fn listener(
    section: &Section<'_>,
    base: &Path,
    client_ip: &ClientIpRules,
    addresses: &mut Addresses,
    problems: &Problems,
) -> Option<ListenerSettings> {
    let plaintext = section.get("plaintext");
    let chosen = plaintext.as_ref().and_then(|field| {
        field.choice(&[
            ("lan", Transport::Lan),
            ("behind_proxy", Transport::BehindProxy),
            ("redirect", Transport::Cleartext),
        ])
    });
    let tls = section.get("tls");
    if let (Some(_), Some(field)) = (&tls, &plaintext) {
        field.error(tls_and_plaintext());
    }
    let settings = tls.as_ref().and_then(|field| tls::read(field, base));
    if let (Some(Transport::BehindProxy), Some(field), false) = (chosen, &plaintext, client_ip.any_proxy) {
        field.error(
            Complaint::new(
                Rule::NoTrustedProxy,
                text! {
                    en: "behind a proxy, but no proxy is trusted",
                    fr: "derrière un proxy, mais aucun proxy n'est de confiance"
                },
                text! { en: "every request would be refused", fr: "toute requête serait refusée" },
            )
            .hint(text! {
                en: "name the proxy in `[client_ip]`: `trusted_proxies = [\"192.0.2.7\"]`",
                fr: "nommez le proxy dans `[client_ip]` : `trusted_proxies = [\"192.0.2.7\"]`"
            }),
        );
    }
    let field = section.required("address", "address = \"127.0.0.1:8443\"")?;
    let address = bindable(&field)?;
    addresses.take(address, &field);
    if plaintext.is_none() && tls.is_none() && !is_loopback(address) {
        problems.error(field.span.clone(), plaintext_required());
    }
    let proxy_protocol = section.get("proxy_protocol").map(|field| client::networks(&field)).unwrap_or_default();
    let transport = if settings.is_some() { Transport::Tls } else { chosen.unwrap_or(Transport::Trusted) };
    let http2 = section.get("http2").and_then(|field| field.bool()).unwrap_or(true);
    let hsts = section.get("hsts").and_then(|field| hsts(&field, tls.is_some()));
    Some(ListenerSettings { address, transport, tls: settings, http2, hsts, proxy_protocol: Arc::new(proxy_protocol) })
}

/// The value of `Strict-Transport-Security`. Never for other hosts than this one: what is below a name need not speak
/// TLS.
fn hsts(field: &Field<'_>, has_tls: bool) -> Option<HeaderValue> {
    if !has_tls {
        field.error(
            Complaint::new(
                Rule::HstsWithoutTls,
                text! {
                    en: "`hsts` is for a listener with TLS",
                    fr: "`hsts` est réservé à un point d'écoute TLS"
                },
                text! { en: "this one has no `tls`", fr: "celui-ci n'a pas de `tls`" },
            )
            .hint(text! {
                en: "browsers ignore it in clear (RFC 6797 section 7.2); behind a TLS proxy, the proxy sets it",
                fr: "les navigateurs l'ignorent en clair (RFC 6797, section 7.2) ; derrière un proxy TLS, c'est au \
                     proxy de le fixer"
            }),
        );
        return None;
    }
    HeaderValue::try_from(format!("max-age={}", field.duration()?.as_secs())).ok()
}

fn tls_and_plaintext() -> Complaint {
    Complaint::new(
        Rule::TlsAndPlaintext,
        text! { en: "a listener with TLS takes no plaintext", fr: "un point d'écoute TLS n'accepte rien en clair" },
        text! { en: "beside `tls`", fr: "à côté de `tls`" },
    )
    .hint(text! { en: "remove one of the two", fr: "supprimez l'un des deux" })
}

fn plaintext_required() -> Complaint {
    Complaint::new(
        Rule::PlaintextRequired,
        text! {
            en: "this listener would take keys and tokens in clear",
            fr: "ce point d'écoute recevrait clés et jetons en clair"
        },
        text! { en: "not a loopback address, and no TLS", fr: "ni adresse de loopback, ni TLS" },
    )
    .hint(text! {
        en: "add `tls` with a certificate and its key; or `plaintext = \"behind_proxy\"` if a trusted proxy in front \
             does TLS, `plaintext = \"lan\"` if only private addresses call, `plaintext = \"redirect\"` to send \
             browsers to https",
        fr: "ajoutez `tls` avec un certificat et sa clé ; ou `plaintext = \"behind_proxy\"` si un proxy de confiance \
             placé devant fait le TLS, `plaintext = \"lan\"` si seules des adresses privées appellent, `plaintext = \
             \"redirect\"` pour renvoyer les navigateurs vers https"
    })
}

/// `None` when it is switched off.
pub(super) fn admin(section: &Section<'_>, base: &Path, addresses: &mut Addresses) -> Option<AdminSettings> {
    let token = section.get("token").and_then(|field| {
        let token = secret::read(&field, base)?;
        if token.expose_secret().len() < MIN_ADMIN_TOKEN {
            field.error(
                Complaint::new(
                    Rule::WeakSecret,
                    text! { en: "the admin token is short", fr: "le jeton d'administration est court" },
                    text! {
                        en: "fewer than {MIN_ADMIN_TOKEN} characters",
                        fr: "moins de {MIN_ADMIN_TOKEN} caractères"
                    },
                )
                .hint(text! {
                    en: "make one with `openssl rand -hex 32`",
                    fr: "créez-en un avec `openssl rand -hex 32`"
                }),
            );
        }
        Some(token)
    });
    let hosts = section.value("hosts", |field| distinct(field, |name| name.parsed(address::own_name)));
    let Some(field) = section.get("address") else {
        addresses.leave_room_for_admin(section.problems);
        return Some(AdminSettings { address: DEFAULT_ADMIN, token, hosts });
    };
    if matches!(field.value, toml::de::DeValue::String(text) if text == "off") {
        return None;
    }
    let address = bindable(&field)?;
    addresses.take(address, &field);
    if !is_loopback(address) && section.get("token").is_none() {
        field.error(
            Complaint::new(
                Rule::AdminTokenRequired,
                text! {
                    en: "the admin pages would be open to the network",
                    fr: "les pages d'administration seraient ouvertes au réseau"
                },
                text! { en: "not a loopback address", fr: "ce n'est pas une adresse de loopback" },
            )
            .hint(text! {
                en: "add `token = {{ file = \"admin-token\" }}`, or listen on 127.0.0.1",
                fr: "ajoutez `token = {{ file = \"admin-token\" }}`, ou écoutez sur 127.0.0.1"
            }),
        );
    }
    Some(AdminSettings { address, token, hosts })
}
