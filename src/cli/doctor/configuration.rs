//! The configuration file: what `check` says of it, and who may change it.

use super::Patient;
use super::finding::{Check, Finding, Severity};
use crate::config::{self, Report, Rule, Settings};
use crate::platform;
use crate::text;
use std::path::Path;

/// What other checks say better.
const SAID_ELSEWHERE: [Rule; 3] = [Rule::KeyExpired, Rule::CertificateExpires, Rule::SharedUpstreamKey];

/// Reads the file. Without settings nothing else can be looked at.
pub(super) fn read(path: &Path) -> (Option<Settings>, Vec<Finding>) {
    match config::load(path) {
        Ok(loaded) => {
            let mut findings = findings(&loaded.warnings, path);
            if findings.is_empty() {
                let shown = path.display();
                findings.push(Finding::ok(
                    Check::Configuration,
                    text! {
                        en: "{shown} is valid, its secrets are kept from others",
                        fr: "{shown} est valide, ses secrets sont à l'abri"
                    },
                ));
            }
            (Some(loaded.settings), findings)
        }
        Err(report) => (None, findings(&report, path)),
    }
}

fn findings(report: &Report, path: &Path) -> Vec<Finding> {
    let file = path.display();
    let told = report.diagnostics().iter().filter(|found| !SAID_ELSEWHERE.contains(&found.rule));
    told.map(|found| {
        let (en, fr) = (&found.message.en, &found.message.fr);
        let (label_en, label_fr) = (&found.label.en, &found.label.fr);
        let line = found.start.line;
        let location = if found.span.is_some() { format!("{file}:{line}: ") } else { String::new() };
        let what = text! { en: "{location}{en}", fr: "{location}{fr}" };
        let why = text! { en: "{label_en}", fr: "{label_fr}" };
        let finding = match found.severity {
            config::Severity::Error => Finding::error(Check::Configuration, what, why),
            config::Severity::Warning => Finding::warning(Check::Configuration, what, why),
        };
        match &found.hint {
            Some(hint) => finding.fix(hint.clone()),
            None => finding,
        }
    })
    .collect()
}

/// Whoever may write the file may give out keys.
pub(super) fn mode(patient: &Patient<'_>) -> Vec<Finding> {
    let Ok(Some(mode)) = platform::file_mode(patient.config) else { return vec![] };
    let (shown, file) = (format!("{:04o}", mode & 0o7777), patient.config.display());
    if mode & 0o022 == 0 {
        let what = text! { en: "only its owner may change {file}", fr: "seul son propriétaire peut modifier {file}" };
        return vec![Finding { severity: Severity::Ok, ..Finding::ok(Check::ConfigurationMode, what) }];
    }
    let what = text! {
        en: "others may write {file}: its mode is {shown}",
        fr: "d'autres peuvent écrire dans {file} : son mode est {shown}"
    };
    let why = text! {
        en: "who can write the configuration can make keys and open routes",
        fr: "qui peut écrire la configuration peut créer des clés et ouvrir des routes"
    };
    vec![
        Finding::error(Check::ConfigurationMode, what, why)
            .fix(text! { en: "chmod 0640 {file}", fr: "chmod 0640 {file}" }),
    ]
}
