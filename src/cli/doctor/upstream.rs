//! The way to 8sens: its name, its port, HTTP there, its key, its clock, and who else can walk it.

use super::Patient;
use super::finding::{Check, Finding};
use super::http::{self, HttpAnswer};
use super::reach;
use crate::proxy::lane::upstream::race::Failure;
use crate::text;
use crate::text::Text;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// The one request that the vendor documents, without a user and a password: whatever comes of it, nobody is logged in.
const PROBE: &str = "/v1/login/user";

/// How far 8sens's clock may be from ours before somebody is confused by its dates.
const CLOCK_SECONDS: u64 = 120;

/// Step by step: what comes after a step that fails cannot be known.
pub(super) fn check(patient: &Patient<'_>) -> Vec<Finding> {
    let upstream = &patient.settings.upstream;
    let (host, port) = (upstream.host.clone(), upstream.port);
    let addresses = match reach::resolve(&host, port) {
        Ok(addresses) => addresses,
        Err(why) => return vec![no_name(&host, &why)],
    };
    let mut findings = Vec::new();
    if host.parse::<IpAddr>().is_err() {
        let ips = listed(addresses.in_order().iter().map(SocketAddr::ip));
        findings.push(Finding::ok(Check::Name, text! { en: "{host} is {ips}", fr: "{host} est {ips}" }));
    }
    match reach::connect(&addresses, upstream.connect_timeout) {
        Ok(found) => {
            findings.push(takes_connections(&found));
            findings.extend(speaks_http(patient, found.address));
            findings.push(exposure(found.address, found.ours));
        }
        Err(failures) => findings.push(no_connection(&failures)),
    }
    findings
}

fn no_name(host: &str, why: &Text) -> Finding {
    let (en, fr) = (&why.en, &why.fr);
    Finding::error(
        Check::Name,
        text! { en: "the name {host} cannot be resolved: {en}", fr: "le nom {host} ne peut pas être résolu : {fr}" },
        text! {
            en: "without its address no request reaches 8sens",
            fr: "sans son adresse, aucune requête n'atteint 8sens"
        },
    )
    .fix(text! {
        en: "correct the name in `address` of [upstream] or in the DNS, or write the IP address, which needs no DNS",
        fr: "corrigez le nom dans `address` de [upstream] ou dans le DNS, ou écrivez l'adresse IP, qui s'en passe"
    })
}

fn takes_connections(found: &reach::Found) -> Finding {
    let address = found.address;
    if found.failures.is_empty() {
        return Finding::ok(
            Check::Port,
            text! { en: "{address} takes connections", fr: "{address} accepte les connexions" },
        );
    }
    let others = with_reasons(&found.failures);
    Finding::ok(
        Check::Port,
        text! {
            en: "{address} takes connections, and so the gate uses it; other addresses of the name do not: {others}",
            fr: "{address} accepte les connexions, la passerelle l'utilise donc ; d'autres adresses du nom non : \
                 {others}"
        },
    )
}

fn no_connection(failures: &[Failure]) -> Finding {
    let refused = failures.iter().all(|failure| failure.error.kind() == std::io::ErrorKind::ConnectionRefused);
    let what = if refused {
        let all = listed(failures.iter().map(|failure| failure.address));
        text! { en: "nothing listens on {all}", fr: "rien n'écoute sur {all}" }
    } else {
        let all = with_reasons(failures);
        text! { en: "no connection to {all}", fr: "pas de connexion à {all}" }
    };
    let why =
        text! { en: "every request of a shop is answered with 502", fr: "toute requête d'une boutique reçoit 502" };
    let finding = Finding::error(Check::Port, what, why);
    if refused {
        finding.fix(text! {
            en: "start the REST server in the 8sens client until it shows \"Serveur REST lancé\", and compare the Port \
                 of its screen with `address` of [upstream]",
            fr: "lancez le serveur REST dans le poste 8sens jusqu'à ce qu'il affiche « Serveur REST lancé », et \
                 comparez le Port de son écran avec `address` de [upstream]"
        })
    } else {
        finding.fix(text! {
            en: "see whether the machine of 8sens is on, and whether a firewall in between drops connections from here",
            fr: "vérifiez que la machine de 8sens est allumée, et qu'aucun pare-feu n'écarte les connexions venant \
                 d'ici"
        })
    }
}

fn with_reasons(failures: &[Failure]) -> String {
    listed(failures.iter().map(|Failure { address, error }| format!("{address} ({error})")))
}

fn listed(all: impl Iterator<Item = impl ToString>) -> String {
    all.map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

/// Asks twice, with the configured key and with a random one: only the difference tells whether the key counts.
fn speaks_http(patient: &Patient<'_>, address: SocketAddr) -> Vec<Finding> {
    let upstream = &patient.settings.upstream;
    let ask = |key: &[u8]| http::send_upstream(upstream, "POST", PROBE, &[("api_key", key)], Some(""));
    let ours = match ask(upstream.api_key.as_bytes()) {
        Ok(answer) => answer,
        Err(error) if upstream.tls.is_some() => return vec![no_tls(address, &error)],
        Err(error) => {
            return vec![
                Finding::error(
                    Check::Http,
                    text! {
                        en: "{address} does not answer HTTP: {error}",
                        fr: "{address} ne répond pas en HTTP : {error}"
                    },
                    text! {
                        en: "the gate forwards HTTP/1.1; something else sits on this port",
                        fr: "la passerelle transmet du HTTP/1.1 ; autre chose occupe ce port"
                    },
                )
                .fix(text! {
                    en: "compare the Port of the REST screen of 8sens with `address` of [upstream]",
                    fr: "comparez le Port de l'écran REST de 8sens avec `address` de [upstream]"
                }),
            ];
        }
    };
    let status = ours.status;
    let mut findings = vec![Finding::ok(
        Check::Http,
        text! {
            en: "HTTP answers (an empty POST {PROBE}: {status})",
            fr: "HTTP répond (un POST {PROBE} vide : {status})"
        },
    )];
    findings.extend(clock_of(&ours, patient));
    if let Ok(theirs) = random_key().and_then(|key| ask(key.as_bytes())) {
        findings.push(key(&ours, &theirs));
    }
    findings
}

fn no_tls(address: SocketAddr, error: &str) -> Finding {
    Finding::error(
        Check::Http,
        text! {
            en: "{address} is not what [upstream.tls] describes: {error}",
            fr: "{address} n'est pas ce que décrit [upstream.tls] : {error}"
        },
        text! {
            en: "the gate sends no request to who cannot prove to be 8sens",
            fr: "la passerelle n'envoie aucune requête à qui ne peut prouver qu'il est 8sens"
        },
    )
    .fix(text! {
        en: "compare `ca` and `name` of [upstream.tls] with the certificate there: `openssl s_client -connect \
             {address} -showcerts`",
        fr: "comparez `ca` et `name` de [upstream.tls] avec le certificat présenté : `openssl s_client -connect \
             {address} -showcerts`"
    })
}

/// A key that nobody has.
pub(super) fn random_key() -> Result<String, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

fn key(ours: &HttpAnswer, theirs: &HttpAnswer) -> Finding {
    let status = ours.status;
    if ours.status != theirs.status || ours.body != theirs.body {
        return Finding::ok(
            Check::UpstreamKey,
            text! {
                en: "8sens answers the configured key differently from a random one",
                fr: "8sens ne répond pas de même à la clé configurée et à une clé au hasard"
            },
        );
    }
    let remedy = text! {
        en: "copy the API Key of the REST screen of 8sens again into the file that `api_key` of [upstream] names, then \
             reload; `--login USER` makes sure",
        fr: "recopiez l'API Key de l'écran REST de 8sens dans le fichier que nomme `api_key` de [upstream], puis \
             rechargez ; `--login UTILISATEUR` lève le doute"
    };
    // An error in another answer, such as a 405 for the method, says nothing of the key.
    let refuses = matches!(status, 401 | 403) || (status < 300 && ours.json().get("error").is_some());
    if refuses {
        Finding::warning(
            Check::UpstreamKey,
            text! {
                en: "8sens refuses the configured key exactly as a random one ({status}): it is not its key, or 8sens \
                     looks at the login first",
                fr: "8sens refuse la clé configurée exactement comme une clé au hasard ({status}) : ce n'est pas la \
                     sienne, ou 8sens regarde d'abord la connexion"
            },
            text! {
                en: "with a wrong key 8sens refuses every login of every shop",
                fr: "avec une mauvaise clé, 8sens refuse toute connexion de toute boutique"
            },
        )
        .fix(remedy)
    } else {
        Finding::info(
            Check::UpstreamKey,
            text! {
                en: "8sens answers every key alike here ({status}): whether ours is right cannot be told without a \
                     login",
                fr: "8sens répond pareil à toute clé ici ({status}) : sans connexion, on ne peut pas dire si la nôtre \
                     est la bonne"
            },
        )
        .fix(remedy)
    }
}

fn clock_of(answer: &HttpAnswer, patient: &Patient<'_>) -> Option<Finding> {
    let date = httpdate::parse_http_date(answer.date.as_deref()?).ok()?;
    let theirs = i64::try_from(date.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?.as_secs()).ok()?;
    let off = theirs - patient.now.0.div_euclid(1000);
    if off.unsigned_abs() <= CLOCK_SECONDS {
        return Some(Finding::ok(
            Check::ClockOf8sens,
            text! { en: "8sens's clock and ours agree", fr: "l'horloge de 8sens et la nôtre concordent" },
        ));
    }
    Some(
        Finding::warning(
            Check::ClockOf8sens,
            text! { en: "8sens's clock is {off} s off ours", fr: "l'horloge de 8sens est à {off} s de la nôtre" },
            text! {
                en: "orders carry its dates; times in its logs and in ours do not fit together",
                fr: "les commandes portent ses dates ; les heures de ses journaux et des nôtres ne se recoupent pas"
            },
        )
        .fix(text! {
            en: "let a time service keep both clocks",
            fr: "faites tenir les deux horloges par un service de temps"
        }),
    )
}

/// Whoever reaches the port with the one key is past the gate.
fn exposure(address: SocketAddr, ours: Option<IpAddr>) -> Finding {
    let port = address.port();
    let why = || {
        text! {
            en: "whoever reaches 8sens's port and knows its one key goes past the gate: no limits, no log, and no key \
                 of its own to revoke",
            fr: "qui atteint le port de 8sens et connaît sa clé unique contourne la passerelle : ni limites, ni \
                 journal, ni clé propre à révoquer"
        }
    };
    if !address.ip().is_loopback() {
        let from = ours.map_or_else(|| "GATE".to_owned(), |ip| ip.to_string());
        return Finding::info(
            Check::Exposure,
            text! {
                en: "8sens is on another address; who else reaches {address} cannot be known from here",
                fr: "8sens est à une autre adresse ; qui d'autre atteint {address} ne peut pas se savoir d'ici"
            },
        )
        .fix(text! {
            en: "on the machine of 8sens let only {from} in. Windows: a firewall rule for the port, with {from} as its \
                 remote address:\n\
                 netsh advfirewall firewall add rule name=sensgate dir=in action=allow protocol=TCP localport={port} \
                 remoteip={from}\n\
                 and no other rule that allows 8sens in. macOS (pf): pass in proto tcp from {from} to any port {port}, \
                 before block in proto tcp to any port {port}",
            fr: "sur la machine de 8sens, ne laissez entrer que {from}. Windows : une règle de pare-feu pour le port, \
                 avec {from} comme adresse distante :\n\
                 netsh advfirewall firewall add rule name=sensgate dir=in action=allow protocol=TCP localport={port} \
                 remoteip={from}\n\
                 et aucune autre règle qui laisse entrer 8sens. macOS (pf) : pass in proto tcp from {from} to any port \
                 {port}, avant block in proto tcp to any port {port}"
        })
        .fix(text! {
            en: "try it from a third machine of the network: curl http://{address}/ must not connect",
            fr: "essayez depuis une troisième machine du réseau : curl http://{address}/ ne doit pas aboutir"
        });
    }
    let elsewhere = outside_address().map(|ip| SocketAddr::new(ip, port));
    match elsewhere.filter(|other| TcpStream::connect_timeout(other, Duration::from_secs(2)).is_ok()) {
        Some(other) => Finding::warning(
            Check::Exposure,
            text! {
                en: "the port of 8sens answers on {other} too, not only to this machine",
                fr: "le port de 8sens répond aussi sur {other}, pas seulement à cette machine"
            },
            why(),
        )
        .fix(text! {
            en: "close it in the firewall of this machine. Linux: nft add rule inet filter input iifname != lo tcp \
                 dport {port} drop. Windows: block TCP port {port} inbound. macOS (pf): block in on ! lo0 proto tcp to \
                 any port {port}",
            fr: "fermez-le dans le pare-feu de cette machine. Linux : nft add rule inet filter input iifname != lo tcp \
                 dport {port} drop. Windows : bloquez le port TCP {port} en entrée. macOS (pf) : block in on ! lo0 \
                 proto tcp to any port {port}"
        }),
        None => Finding::ok(
            Check::Exposure,
            text! {
                en: "port {port} answers on loopback and not on this machine's outer address",
                fr: "le port {port} répond en local et non sur l'adresse externe de cette machine"
            },
        ),
    }
}

/// The address that this machine has for others. Nothing is sent: connecting a UDP socket only asks the routing table.
fn outside_address() -> Option<IpAddr> {
    let toward = |local: &str, far: &str| {
        let socket = UdpSocket::bind(local).ok()?;
        socket.connect(far).ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    };
    // Addresses for documentation (RFC 5737, RFC 3849): nobody is there.
    let found = toward("0.0.0.0:0", "198.51.100.1:9").or_else(|| toward("[::]:0", "[2001:db8::1]:9"));
    found.filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}
