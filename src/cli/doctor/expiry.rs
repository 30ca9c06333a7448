//! Keys and certificates: what ends soon, and what should have ended.

use super::finding::{Check, Finding};
use super::{Patient, days};
use crate::config::TlsSettings;
use crate::text;
use crate::text::Text;
use crate::tls::Certificate;
use std::net::SocketAddr;

/// Keys of consumers: ended, near their end, or the one of 8sens itself.
pub(super) fn keys(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut legacy = Vec::new();
    let mut soonest = true;
    let all =
        patient.settings.snapshot.consumers.iter().flat_map(|c| c.credentials.iter().map(move |key| (&c.name, key)));
    for (consumer, key) in all.filter(|(_, key)| key.enabled) {
        let name = format!("{consumer}/{}", key.id);
        if key.is_upstream_key {
            legacy.push(name.clone());
        }
        let Some(left) = key.expires.map(|end| (end.0 - patient.now.0).div_euclid(1000)) else { continue };
        if left > i64::from(patient.warn_days) * 86_400 {
            continue;
        }
        soonest = false;
        let remedy = text! {
            en: "make a new one beside it (sensgate keys rotate) and hand it out before the old one ends",
            fr: "créez-en une nouvelle à côté (sensgate keys rotate) et transmettez-la avant la fin de l'ancienne"
        };
        let why = text! {
            en: "from its end on, every request of the shop is refused",
            fr: "à son terme, toute requête de la boutique est refusée"
        };
        let what = if left <= 0 {
            text! { en: "the key {name} has expired", fr: "la clé {name} a expiré" }
        } else {
            let when = days(left);
            let (en, fr) = (&when.en, &when.fr);
            text! { en: "the key {name} expires {en}", fr: "la clé {name} expire {fr}" }
        };
        findings.push(Finding::warning(Check::Keys, what, why).fix(remedy));
    }
    if soonest {
        let days = patient.warn_days;
        findings.push(Finding::ok(
            Check::Keys,
            text! { en: "no key ends within {days} days", fr: "aucune clé ne se termine dans les {days} jours" },
        ));
    }
    findings.push(legacy_keys(&legacy));
    findings
}

fn legacy_keys(legacy: &[String]) -> Finding {
    if legacy.is_empty() {
        let what =
            text! { en: "no consumer knows the key of 8sens", fr: "aucun consommateur ne connaît la clé de 8sens" };
        return Finding::ok(Check::LegacyKey, what);
    }
    let names = legacy.join(", ");
    Finding::warning(
        Check::LegacyKey,
        text! {
            en: "{names}: the key of 8sens itself is still accepted",
            fr: "{names} : la clé de 8sens elle-même est encore acceptée"
        },
        text! {
            en: "whoever has that key gets past the gate wherever 8sens can be reached directly, and it cannot be \
                 taken from one shop alone",
            fr: "qui détient cette clé contourne la passerelle partout où 8sens est joignable directement, et on ne \
                 peut la retirer à une seule boutique"
        },
    )
    .fix(text! {
        en: "give these shops keys of their own (sensgate keys new), take the line out, then change the key in 8sens",
        fr: "donnez à ces boutiques leurs propres clés (sensgate keys new), retirez la ligne, puis changez la clé dans \
             8sens"
    })
}

/// Certificates of the listeners: those of files as the files are now, those of ACME as the running gate serves them.
pub(super) fn certificates(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for listener in &patient.settings.listeners {
        let address = listener.address;
        match &listener.tls {
            None => {}
            Some(TlsSettings::Files(files)) => {
                findings.extend(files.certificates.iter().map(|certificate| of_file(patient, address, certificate)));
            }
            Some(TlsSettings::Acme(acme)) => findings.extend(of_acme(patient, address, &acme.directory)),
        }
    }
    findings
}

fn why() -> Text {
    text! {
        en: "callers refuse a certificate that is not valid, and no shop can connect",
        fr: "les appelants refusent un certificat qui n'est pas valable, et aucune boutique ne peut se connecter"
    }
}

fn of_file(patient: &Patient<'_>, address: SocketAddr, certificate: &Certificate) -> Finding {
    let name = certificate.names().next().unwrap_or_default();
    let left = (certificate.not_after().0 - patient.now.0).div_euclid(1000);
    let renew = text! {
        en: "renew it and put it in the same place: the gate notices it by itself",
        fr: "renouvelez-le et mettez-le au même endroit : la passerelle s'en aperçoit d'elle-même"
    };
    if left > 0 && !certificate.is_valid_at(patient.now) {
        let what = text! {
            en: "{address}: the certificate of {name} is not valid yet",
            fr: "{address} : le certificat de {name} n'est pas encore valable"
        };
        return Finding::error(Check::Certificates, what, why()).fix(
            text! { en: "see whether the clock of this machine is right", fr: "vérifiez l'horloge de cette machine" },
        );
    }
    ending(patient, &address.to_string(), name, left, renew)
}

fn of_acme(patient: &Patient<'_>, address: SocketAddr, directory: &str) -> Vec<Finding> {
    let Some(gate) = &patient.gate else {
        let what = text! {
            en: "{address}: a running gate has its certificate from {directory}",
            fr: "{address} : la passerelle en service tient son certificat de {directory}"
        };
        return vec![Finding::info(Check::Certificates, what)];
    };
    let log = || {
        text! {
            en: "the log of the gate says why it is not renewed; {directory} has to be reachable from here, and port \
                 80 or 443 from there",
            fr: "le journal de la passerelle dit pourquoi il n'est pas renouvelé ; {directory} doit être joignable \
                 d'ici, et le port 80 ou 443 de là-bas"
        }
    };
    let listener = address.to_string();
    let served: Vec<_> = gate.certificates.iter().filter(|certificate| certificate.listener == listener).collect();
    if served.is_empty() {
        let what = text! {
            en: "{address}: no certificate from {directory} yet",
            fr: "{address} : pas encore de certificat de {directory}"
        };
        return vec![Finding::error(Check::Certificates, what, why()).fix(log())];
    }
    let told = served.iter().map(|found| ending(patient, &listener, &found.name, found.expires_in_seconds, log()));
    told.collect()
}

fn ending(patient: &Patient<'_>, listener: &str, name: &str, left: i64, remedy: Text) -> Finding {
    if left <= 0 {
        let what = text! {
            en: "{listener}: the certificate of {name} has expired",
            fr: "{listener} : le certificat de {name} a expiré"
        };
        return Finding::error(Check::Certificates, what, why()).fix(remedy);
    }
    let when = days(left);
    let (en, fr) = (&when.en, &when.fr);
    let what = text! {
        en: "{listener}: the certificate of {name} expires {en}",
        fr: "{listener} : le certificat de {name} expire {fr}"
    };
    if left > i64::from(patient.warn_days) * 86_400 {
        Finding::ok(Check::Certificates, what)
    } else {
        Finding::warning(Check::Certificates, what, why()).fix(remedy)
    }
}
