//! `[client_ip]` and `[credentials]`: whose word is taken for an address, and how keys are presented. Route rules as
//! well.

use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::{address, value};
use crate::domain::request::client_ip::TrustedProxies;
use crate::domain::request::grammar::is_token;
use crate::domain::request::{FieldRole, FieldTable};
use crate::domain::rules::route::{RouteError, RouteRule};
use crate::text;
use ipnet::IpNet;

const DEFAULT_HEADER: &str = "x-forwarded-for";

/// Spellings of the key's field that may be switched on.
const KEY_ALIASES: [(&str, &str); 2] = [("api-key", "api-key"), ("x-api-key", "x-api-key")];

/// Fields in which proxies put an address. Others with the role [`FieldRole::Forwarding`] name hosts, methods or
/// targets.
const ADDRESS_FIELDS: [&str; 6] =
    ["x-forwarded-for", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip"];

/// The values of a list that may hold each only once.
pub(super) fn distinct<T: PartialEq>(field: &Field<'_>, read: impl Fn(&Field<'_>) -> Option<T>) -> Option<Vec<T>> {
    let mut values: Vec<T> = Vec::new();
    for element in field.list()? {
        match read(&element) {
            Some(value) if values.contains(&value) => element.error(
                Complaint::new(
                    Rule::DuplicateValue,
                    text! { en: "this is in the list twice", fr: "cette valeur figure deux fois dans la liste" },
                    text! { en: "again here", fr: "à nouveau ici" },
                )
                .hint(text! { en: "remove one of them", fr: "supprimez l'une des deux" }),
            ),
            Some(value) => values.push(value),
            None => {}
        }
    }
    Some(values)
}

/// Reads a list of route rules. Broken ones are reported and left out.
pub(super) fn routes(field: &Field<'_>) -> Option<Vec<RouteRule>> {
    Some(field.list()?.iter().filter_map(route).collect())
}

pub(super) fn route(field: &Field<'_>) -> Option<RouteRule> {
    let text = field.string()?;
    let error = match RouteRule::parse(text) {
        Ok(rule) => return Some(rule),
        Err(error) => error,
    };
    let shown = value::quoted(text);
    let upper = value::quoted(&text.split(' ').next().unwrap_or_default().to_ascii_uppercase());
    let (label, hint) = match error {
        RouteError::Shape => (
            text! {
                en: "expected a method, one space and a path",
                fr: "une méthode, un espace et un chemin sont attendus"
            },
            text! { en: "write a rule such as \"GET /v1/*\"", fr: "écrivez une règle, par exemple \"GET /v1/*\"" },
        ),
        RouteError::Method if crate::domain::request::Method::from_bytes(upper.as_bytes()).is_some() => (
            text! { en: "methods are written in capitals", fr: "une méthode s'écrit en majuscules" },
            text! { en: "write \"{upper}\"", fr: "écrivez \"{upper}\"" },
        ),
        RouteError::Method => (
            text! { en: "this method is never forwarded", fr: "cette méthode n'est jamais transmise" },
            text! {
                en: "write GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, or * for all of them",
                fr: "écrivez GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, ou * pour toutes"
            },
        ),
        RouteError::NotAbsolute => (
            text! { en: "the path does not start with `/`", fr: "le chemin ne commence pas par `/`" },
            text! {
                en: "one space, then the path from its first `/`, without scheme and host",
                fr: "un espace, puis le chemin depuis son premier `/`, sans protocole ni hôte"
            },
        ),
        RouteError::Star => (
            text! {
                en: "this `*` is neither at the end nor a whole segment",
                fr: "ce `*` n'est ni à la fin ni un segment entier"
            },
            text! {
                en: "`/v1/devis*` is any rest, `/v1/*/lignes` is any one segment",
                fr: "`/v1/devis*` accepte n'importe quelle suite, `/v1/*/lignes` un segment quelconque"
            },
        ),
        RouteError::NotCanonical => (
            text! {
                en: "a query, `//`, a dot segment, or a character with a second spelling",
                fr: "des paramètres, `//`, un segment `.` ou `..`, ou un caractère qui peut s'écrire autrement"
            },
            text! {
                en: "a rule names a plain path of letters, digits, `-`, `.`, `_`, `~`; the query is never looked at",
                fr: "une règle nomme un chemin simple fait de lettres, chiffres, `-`, `.`, `_`, `~` ; les paramètres \
                     (`?…`) ne sont jamais examinés"
            },
        ),
    };
    let message = text! { en: "\"{shown}\" is not a route rule", fr: "\"{shown}\" n'est pas une règle de route" };
    field.error(Complaint::new(Rule::InvalidRoute, message, label).hint(hint));
    None
}

/// `[client_ip]`, compiled.
pub(super) struct ClientIpRules {
    pub trusted_proxies: TrustedProxies,
    /// Whether the list names any, readable or not.
    pub any_proxy: bool,
    pub header: String,
}

pub(super) fn client_ip(section: &Section<'_>) -> ClientIpRules {
    let list = section.get("trusted_proxies").and_then(|field| field.list()).unwrap_or_default();
    let networks = list.iter().filter_map(trusted_proxy).collect();
    ClientIpRules {
        trusted_proxies: TrustedProxies::new(networks),
        any_proxy: !list.is_empty(),
        header: section.value("header", header),
    }
}

/// A list of networks whose senders are believed about addresses.
pub(super) fn networks(field: &Field<'_>) -> TrustedProxies {
    TrustedProxies::new(field.list().unwrap_or_default().iter().filter_map(trusted_proxy).collect())
}

fn trusted_proxy(field: &Field<'_>) -> Option<IpNet> {
    let network = field.parsed(address::network)?;
    let least = match network {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 16,
    };
    if network.prefix_len() < least {
        field.error(
            Complaint::new(
                Rule::NetworkTooWide,
                text! {
                    en: "\"{network}\" is too wide for a trusted proxy",
                    fr: "\"{network}\" est trop large pour un proxy de confiance"
                },
                text! { en: "wider than /{least}", fr: "plus large que /{least}" },
            )
            .hint(text! {
                en: "everyone in it may claim any address; name the proxies themselves",
                fr: "tous ceux qui s'y trouvent peuvent prétendre à n'importe quelle adresse ; nommez les proxys \
                     eux-mêmes"
            }),
        );
        return None;
    }
    Some(network)
}

/// The name of the field that names the client: a token (RFC 9110 section 5.1) that the gate does not need for itself.
fn header(field: &Field<'_>) -> Option<String> {
    let name = field.string()?;
    let shown = value::quoted(name);
    let complain = |label, hint| {
        let message = text! {
            en: "\"{shown}\" cannot name the client's address",
            fr: "\"{shown}\" ne peut pas donner l'adresse du client"
        };
        field.error(Complaint::new(Rule::ReservedField, message, label).hint(hint));
        None
    };
    let usual = || {
        text! {
            en: "write \"{DEFAULT_HEADER}\", or \"x-real-ip\" if your proxy sets that",
            fr: "écrivez \"{DEFAULT_HEADER}\", ou \"x-real-ip\" si c'est ce que votre proxy renseigne"
        }
    };
    if name.len() > 64 || !is_token(name.as_bytes()) {
        return complain(text! { en: "not the name of a header field", fr: "ce n'est pas un nom d'en-tête" }, usual());
    }
    let lower = name.to_ascii_lowercase();
    if lower == "forwarded" {
        return complain(
            text! { en: "this version cannot read this field", fr: "cette version ne sait pas lire cet en-tête" },
            usual(),
        );
    }
    let role = FieldTable::new(KEY_ALIASES.map(|(name, _)| name), DEFAULT_HEADER).role(lower.as_bytes());
    match role {
        None | Some(FieldRole::ClientAddress) => Some(lower),
        Some(FieldRole::Forwarding) if ADDRESS_FIELDS.contains(&lower.as_str()) => Some(lower),
        Some(_) => complain(text! { en: "this field has another meaning", fr: "cet en-tête a un autre sens" }, usual()),
    }
}

/// `[credentials]`: further spellings of the key's field.
pub(super) fn key_aliases(section: &Section<'_>) -> Vec<&'static str> {
    section.value("aliases", |field| distinct(field, |element| element.choice(&KEY_ALIASES)))
}
