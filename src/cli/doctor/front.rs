//! What is between the internet and the gate: does a request come through, and is its `api_key` still there.
//!
//! The request has a key that nobody has. The gate refuses it as `unknown_key` when the field arrived and as
//! `missing_key` when something on the way ate it; the gate's own list of recent refusals says that it was this gate
//! that answered.

use super::Patient;
use super::finding::{Check, Finding};
use super::http::{self, HttpAnswer};
use super::upstream::random_key;
use crate::cli::control_client::ask_at;
use crate::domain::denial::DenyCode;
use crate::explain::Explained;
use crate::text;
use hyper::Method;

/// Any path will do: the key is asked for before the route. This one says in every log who asked.
const PATH: &str = "/sensgate-doctor";

/// Sends one request through the public address.
pub(super) fn check(patient: &Patient<'_>, url: &str) -> Vec<Finding> {
    let url = url.trim_end_matches('/');
    let request = || -> Result<HttpAnswer, String> {
        let (key, id) = (random_key()?, format!("doctor-{}", random_key()?));
        let fields: [(&str, &[u8]); 2] = [("api_key", key.as_bytes()), ("x-request-id", id.as_bytes())];
        http::send("GET", &format!("{url}{PATH}"), &fields, None)
    };
    match request() {
        Ok(answer) => judge(patient, url, &answer),
        Err(error) => vec![
            Finding::error(
                Check::Front,
                text! { en: "{url} does not answer: {error}", fr: "{url} ne répond pas : {error}" },
                text! { en: "shops call this address", fr: "les boutiques appellent cette adresse" },
            )
            .fix(text! {
                en: "look at DNS, certificate and firewall of the proxy in front, in this order; from inside, some \
                     networks cannot call their own outer address",
                fr: "examinez DNS, certificat et pare-feu du proxy placé devant, dans cet ordre ; de l'intérieur, \
                     certains réseaux ne peuvent pas appeler leur propre adresse externe"
            }),
        ],
    }
}

fn judge(patient: &Patient<'_>, url: &str, answer: &HttpAnswer) -> Vec<Finding> {
    let status = answer.status;
    let body = answer.json();
    let code = body["code"].as_str().and_then(DenyCode::from_word);
    let id = body["request_id"].as_str().or(answer.request_id.as_deref()).unwrap_or_default().to_owned();
    let Some(code) = code else { return vec![not_ours(url, answer)] };
    let mut findings = Vec::new();
    let known = if patient.gate.is_some() { refusal(patient, &id) } else { None };
    match (&known, &patient.gate) {
        (Some(explained), _) => {
            let from = &explained.refusal.client_ip;
            findings.push(Finding::ok(
                Check::Front,
                text! {
                    en: "{url} leads to this gate, which takes the caller for {from}",
                    fr: "{url} mène à cette passerelle, qui prend l'appelant pour {from}"
                },
            ));
        }
        (None, Some(_)) => findings.push(
            Finding::warning(
                Check::Front,
                text! {
                    en: "{url} leads to a gate, but not to the one of this configuration",
                    fr: "{url} mène à une passerelle, mais pas à celle de cette configuration"
                },
                text! {
                    en: "what is fixed here is not what shops call",
                    fr: "ce qu'on corrige ici n'est pas ce que les boutiques appellent"
                },
            )
            .fix(text! {
                en: "see where the proxy in front sends requests",
                fr: "regardez où le proxy placé devant envoie les requêtes"
            }),
        ),
        (None, None) => {
            findings.push(Finding::ok(
                Check::Front,
                text! {
                    en: "{url} leads to a gate",
                    fr: "{url} mène à une passerelle"
                },
            ));
        }
    }
    findings.push(match code {
        DenyCode::UnknownKey | DenyCode::RateLimited => Finding::ok(
            Check::FrontKey,
            text! {
                en: "api_key arrives at the gate",
                fr: "api_key arrive à la passerelle"
            },
        ),
        DenyCode::MissingKey => eaten(url),
        DenyCode::HttpVersion => outdated(url),
        code => {
            let word = code.as_str();
            let mut finding = Finding::warning(
                Check::FrontKey,
                text! {
                    en: "the gate refuses the request before it looks at the key: {status} {word}",
                    fr: "la passerelle refuse la requête avant de regarder la clé : {status} {word}"
                },
                text! {
                    en: "a shop that calls this address is refused the same way",
                    fr: "une boutique qui appelle cette adresse est refusée de la même façon"
                },
            );
            finding.remedies = known.map(|explained| explained.explanation.remedies).unwrap_or_default();
            finding
        }
    });
    findings
}

fn refusal(patient: &Patient<'_>, id: &str) -> Option<Explained> {
    crate::domain::types::RequestId::from_caller(id.as_bytes())?;
    ask_at(&patient.socket(), Method::GET, &format!("/refusals/{id}")).ok()?.ok()
}

fn not_ours(url: &str, answer: &HttpAnswer) -> Finding {
    let status = answer.status;
    let server = answer.server.clone().unwrap_or_else(|| "?".to_owned());
    Finding::error(
        Check::Front,
        text! {
            en: "{url} is not answered by a gate: {status}, Server: {server}",
            fr: "{url} : ce n'est pas une passerelle qui répond : {status}, Server: {server}"
        },
        text! {
            en: "shops call this address, and their requests end there",
            fr: "les boutiques appellent cette adresse, et leurs requêtes s'arrêtent là"
        },
    )
    .fix(text! {
        en: "let the proxy send everything for this name to a listener of the gate; 400: it rejects names with an \
             underscore (Traefik: underscoreHeadersStrategy = \"keep\"); 301 or 308: write the URL with https",
        fr: "faites envoyer par le proxy tout ce qui vise ce nom à un point d'écoute de la passerelle ; 400 : il \
             rejette les noms à tiret bas (Traefik : underscoreHeadersStrategy = \"keep\") ; 301 ou 308 : écrivez \
             l'URL avec https"
    })
}

/// What this command sends is HTTP/1.1, so the old version is of something on the way.
fn outdated(url: &str) -> Finding {
    Finding::error(
        Check::FrontKey,
        text! {
            en: "what is in front at {url} speaks HTTP/1.0 to the gate",
            fr: "ce qui est placé devant, à {url}, parle HTTP/1.0 à la passerelle"
        },
        text! {
            en: "the gate takes HTTP/1.1 and HTTP/2 alone: every shop is answered 505 http_version",
            fr: "la passerelle n'accepte que HTTP/1.1 et HTTP/2 : toute boutique reçoit 505 http_version"
        },
    )
    .fix(text! {
        en: "nginx: `proxy_http_version 1.1;` and `proxy_set_header Connection \"\";` beside `proxy_pass`",
        fr: "nginx : `proxy_http_version 1.1;` et `proxy_set_header Connection \"\";` à côté de `proxy_pass`"
    })
    .fix(text! {
        en: "Apache: no `SetEnv force-proxy-request-1.0`",
        fr: "Apache : pas de `SetEnv force-proxy-request-1.0`"
    })
}

/// The header name has an underscore, and proxies that feared CGI take such fields out.
fn eaten(url: &str) -> Finding {
    Finding::error(
        Check::FrontKey,
        text! {
            en: "something on the way from {url} takes the field api_key out",
            fr: "quelque chose, sur le chemin depuis {url}, supprime le champ api_key"
        },
        text! {
            en: "its name has an underscore, and some proxies drop such fields without a word: every shop is answered \
                 401 missing_key",
            fr: "son nom contient un tiret bas, et certains proxys suppriment ces champs sans rien dire : toute \
                 boutique reçoit 401 missing_key"
        },
    )
    .fix(text! {
        en: "nginx: `underscores_in_headers on;` in the http block, or in the first server block of that port",
        fr: "nginx : `underscores_in_headers on;` dans le bloc http, ou dans le premier bloc server de ce port"
    })
    .fix(text! {
        en: "Caddy, after 2.11.4: `{{ servers {{ allow_underscore_in_headers }} }}` at the top of the Caddyfile, one \
             word or brace a line",
        fr: "Caddy, après 2.11.4 : `{{ servers {{ allow_underscore_in_headers }} }}` en tête du Caddyfile, un mot ou \
             une accolade par ligne"
    })
    .fix(text! {
        en: "Traefik: `underscoreHeadersStrategy = \"keep\"` under `http` of the entry point (and \
             `aliasHeadersStrategy = \"keep\"`)",
        fr: "Traefik : `underscoreHeadersStrategy = \"keep\"` sous `http` du point d'entrée (et `aliasHeadersStrategy \
             = \"keep\"`)"
    })
    .fix(text! {
        en: "AWS load balancer: routing.http.drop_invalid_header_fields.enabled = false; HAProxy and Apache pass the \
             field as it is",
        fr: "Répartiteur AWS : routing.http.drop_invalid_header_fields.enabled = false ; HAProxy et Apache laissent \
             passer le champ"
    })
    .fix(text! {
        en: "where none of this can be changed: aliases = [\"api-key\"] in [credentials], and let shops send api-key",
        fr: "si rien de cela ne peut être changé : aliases = [\"api-key\"] dans [credentials], et faites envoyer \
             api-key aux boutiques"
    })
}
