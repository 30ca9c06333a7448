//! Findings as a person reads them, and as a program does.

use super::finding::{Finding, Severity};
use crate::text;
use crate::text::Lang;
use serde_json::json;

/// All findings in the order in which things were looked at, and how many of each severity there are.
pub(super) fn text(findings: &[Finding], lang: Lang, colour: bool) -> String {
    let mut lines = Vec::new();
    for finding in findings {
        let mark = match finding.severity {
            Severity::Ok => text! { en: "ok", fr: "ok" },
            Severity::Info => text! { en: "info", fr: "info" },
            Severity::Warning => text! { en: "warning", fr: "attention" },
            Severity::Error => text! { en: "error", fr: "erreur" },
        };
        let mark = format!("{:<9}", mark.in_lang(lang));
        lines.push(format!("{} {}", painted(&mark, finding.severity, colour), finding.what.in_lang(lang)));
        if finding.severity == Severity::Ok && finding.remedies.is_empty() {
            continue;
        }
        let (indent, why) = (" ".repeat(10), text! { en: "why:", fr: "pourquoi :" });
        if let Some(reason) = &finding.why {
            lines.push(format!("{indent}{} {}", why.in_lang(lang), reason.in_lang(lang)));
        }
        lines.extend(finding.remedies.iter().map(|remedy| {
            let arrow = format!("{indent}→ {}", remedy.in_lang(lang));
            arrow.replace('\n', &format!("\n{indent}  "))
        }));
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings, oks) = (count(Severity::Error), count(Severity::Warning), count(Severity::Ok));
    let summary = text! {
        en: "errors: {errors}, warnings: {warnings}, in order: {oks}",
        fr: "erreurs : {errors}, avertissements : {warnings}, en ordre : {oks}",
    };
    lines.push(String::new());
    lines.push(summary.in_lang(lang).to_owned());
    lines.join("\n")
}

/// An array, one element a finding. `check` and `severity` are for programs, the sentences in the operator's language.
pub(super) fn json(findings: &[Finding], lang: Lang) -> String {
    let all: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check.word(),
                "severity": finding.severity.word(),
                "question": finding.check.question().in_lang(lang),
                "what": finding.what.in_lang(lang),
                "why": finding.why.as_ref().map(|why| why.in_lang(lang)),
                "remedies": finding.remedies.iter().map(|remedy| remedy.in_lang(lang)).collect::<Vec<_>>(),
            })
        })
        .collect();
    serde_json::Value::Array(all).to_string()
}

fn painted(text: &str, severity: Severity, on: bool) -> String {
    let colour = match severity {
        Severity::Ok => "32",
        Severity::Info => "36",
        Severity::Warning => "33",
        Severity::Error => "31",
    };
    if on { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}
