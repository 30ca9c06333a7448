//! Files of certificate authorities that are believed.

use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::secret;
use crate::text;
use crate::text::Text;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::io::Read;
use std::path::Path;
use x509_parser::prelude::{FromDer, X509Certificate};

/// More bytes than the list of every public authority has.
const MAX_CA: u64 = 1 << 20;

/// Every certificate of a file in PEM; at least one, and none that cannot vouch for anybody.
pub(super) fn read(field: &Field<'_>, base: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let path = base.join(field.string()?);
    field.problems.depends_on(&path);
    let mut bytes = Vec::new();
    let complain = |why: Text| {
        field.error(Complaint::new(
            Rule::TlsUnusable,
            text! {
                en: "nobody can be trusted by this file",
                fr: "ce fichier ne permet de faire confiance à personne"
            },
            why,
        ));
    };
    if let Err(error) = std::fs::File::open(&path).and_then(|file| file.take(MAX_CA).read_to_end(&mut bytes)) {
        let (en, fr) = secret::io_reason(&error);
        complain(text! { en: "{en}", fr: "{fr}" });
        return None;
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let usable = |certificates: &Vec<CertificateDer<'static>>| {
        let mut roots = rustls::RootCertStore::empty();
        !certificates.is_empty()
            && certificates.iter().all(|certificate| {
                // Pingora reads them with another library than rustls does.
                roots.add(certificate.clone()).is_ok() && X509Certificate::from_der(certificate).is_ok()
            })
    };
    match read {
        Ok(certificates) if usable(&certificates) => Some(certificates),
        _ => {
            complain(text! { en: "no certificate in PEM is in this file", fr: "aucun certificat PEM dans ce fichier" });
            None
        }
    }
}
