//! `listener.tls`: pairs of files, read and checked, so that a file that loads can be served; or ACME instead of them.

use super::acme;
use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::settings::{AcmeSettings, CertificateFiles, FileCertificates, TlsSettings};
use crate::config::{secret, shape};
use crate::domain::types::Wall;
use crate::platform::clock;
use crate::text;
use crate::text::Text;
use crate::tls::{Certificate, CertificateError};
use std::io::Read;
use std::path::Path;
use toml::de::DeValue;

/// A chain of more bytes than this is none.
const MAX_CHAIN: u64 = 256 << 10;

/// A certificate that ends within this many days is worth a warning.
const WARN_DAYS: i64 = 14;
const DAY: i64 = 24 * 3600 * 1000;

/// One pair, a list of them for several names, or ACME.
pub(super) fn read(field: &Field<'_>, base: &Path) -> Option<TlsSettings> {
    let pairs: Vec<_> = match field.value {
        DeValue::Table(table) if table.contains_key("acme") => return acme(field, base).map(TlsSettings::Acme),
        DeValue::Table(_) => vec![pair(field, base)?],
        DeValue::Array(array) if !array.is_empty() => {
            // Every mistake of every pair is reported.
            let pairs: Vec<_> = array.iter().map(|element| pair(&field.element(element), base)).collect();
            pairs.into_iter().collect::<Option<_>>()?
        }
        _ => {
            field.wrong_type(
                &text! { en: "a certificate and its key", fr: "un certificat et sa clé" },
                Some(text! {
                    en: "write {{ certificate = \"fullchain.pem\", key = \"privkey.pem\" }}",
                    fr: "écrivez {{ certificate = \"fullchain.pem\", key = \"privkey.pem\" }}"
                }),
            );
            return None;
        }
    };
    let (files, certificates) = pairs.into_iter().unzip();
    Some(TlsSettings::Files(FileCertificates { files, certificates }))
}

fn acme(field: &Field<'_>, base: &Path) -> Option<AcmeSettings> {
    let DeValue::Table(table) = field.value else { return None };
    let section = Section::open(&shape::TLS, table, Some(field.span.clone()), field.problems);
    for beside in [section.get("certificate"), section.get("key")].into_iter().flatten() {
        beside.error(acme_and_files());
    }
    acme::read(&section.get("acme")?, base)
}

fn acme_and_files() -> Complaint {
    Complaint::new(
        Rule::AcmeAndFiles,
        text! {
            en: "a listener has certificates from files or by ACME",
            fr: "un point d'écoute a des certificats par fichiers ou par ACME"
        },
        text! { en: "beside `acme`", fr: "à côté de `acme`" },
    )
    .hint(text! { en: "remove one of the two", fr: "supprimez l'un des deux" })
}

fn pair(field: &Field<'_>, base: &Path) -> Option<(CertificateFiles, Certificate)> {
    let DeValue::Table(table) = field.value else {
        field.wrong_type(&text! { en: "a certificate and its key", fr: "un certificat et sa clé" }, None);
        return None;
    };
    let section = Section::open(&shape::TLS, table, Some(field.span.clone()), field.problems);
    if let Some(acme) = section.get("acme") {
        acme.error(acme_and_files());
        return None;
    }
    let (certificate, key) = (
        section.required("certificate", "certificate = \"fullchain.pem\""),
        section.required("key", "key = \"privkey.pem\""),
    );
    let (certificate, key) = (certificate?, key?);
    let files = CertificateFiles { certificate: base.join(certificate.string()?), key: base.join(key.string()?) };
    let (chain, secret) = (chain(&certificate, &files.certificate), secret::read_key(&key, &files.key));
    let (chain, secret) = (chain?, secret?);
    match Certificate::from_pem(&chain, &secret) {
        Ok(read) => {
            check_dates(&certificate, &read, clock::now().wall);
            Some((files, read))
        }
        Err(error) => {
            unusable(if concerns_key(&error) { &key } else { &certificate }, &error);
            None
        }
    }
}

fn chain(field: &Field<'_>, path: &Path) -> Option<Vec<u8>> {
    field.problems.depends_on(path);
    let mut chain = Vec::new();
    match std::fs::File::open(path).and_then(|file| file.take(MAX_CHAIN).read_to_end(&mut chain)) {
        Ok(_) => Some(chain),
        Err(error) => {
            let (en, fr) = secret::io_reason(&error);
            complain(field, text! { en: "{en}", fr: "{fr}" }, None);
            None
        }
    }
}

fn concerns_key(error: &CertificateError) -> bool {
    matches!(error, CertificateError::NoKey | CertificateError::OtherKey)
}

fn unusable(field: &Field<'_>, error: &CertificateError) {
    let why = match error {
        CertificateError::NoCertificate => {
            text! { en: "no certificate in PEM is in this file", fr: "aucun certificat PEM dans ce fichier" }
        }
        CertificateError::BadCertificate => {
            text! { en: "its first certificate cannot be read", fr: "son premier certificat est illisible" }
        }
        CertificateError::NoKey => {
            text! { en: "no private key in PEM is in this file", fr: "aucune clé privée PEM dans ce fichier" }
        }
        CertificateError::OtherKey => {
            text! { en: "this key is not that of the certificate", fr: "cette clé n'est pas celle du certificat" }
        }
        CertificateError::NoName => {
            text! { en: "the certificate names no host", fr: "le certificat ne nomme aucun hôte" }
        }
    };
    let hint = text! {
        en: "the first file holds the server's certificate and then its issuers, the second one its key",
        fr: "le premier fichier contient le certificat du serveur puis ses émetteurs, le second sa clé"
    };
    complain(field, why, Some(hint));
}

fn complain(field: &Field<'_>, why: Text, hint: Option<Text>) {
    let complaint = Complaint::new(
        Rule::TlsUnusable,
        text! { en: "this certificate cannot be served", fr: "ce certificat est inutilisable" },
        why,
    );
    field.error(match hint {
        Some(hint) => complaint.hint(hint),
        None => complaint,
    });
}

fn check_dates(field: &Field<'_>, certificate: &Certificate, now: Wall) {
    let days = (certificate.not_after().0 - now.0).div_euclid(DAY);
    let (message, label) = if !certificate.is_valid_at(now) {
        (
            text! { en: "this certificate is not valid today", fr: "ce certificat n'est pas valable aujourd'hui" },
            text! { en: "callers will refuse it", fr: "les appelants le refuseront" },
        )
    } else if days < WARN_DAYS {
        (
            text! { en: "this certificate expires soon", fr: "ce certificat expire bientôt" },
            text! { en: "in {days} days", fr: "dans {days} jours" },
        )
    } else {
        return;
    };
    field.warn(Complaint::new(Rule::CertificateExpires, message, label).hint(text! {
        en: "renew it; the gate takes the new files up by itself",
        fr: "renouvelez-le ; la passerelle reprend d'elle-même les nouveaux fichiers"
    }));
}
