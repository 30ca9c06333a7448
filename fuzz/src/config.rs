//! The configuration: any text is either one or has its mistakes shown, each in its place, and no secret with them.

use sensgate::config::{Report, Severity, parse};
use sensgate::text::Lang;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use toml::{Table, Value};

/// What secrets in an input have in them.
const CANARY: &str = "hunter2";

/// What is in the secret files beside the configuration.
const IN_FILE: &str = "fileCanary-0123456789abcdefghij";

/// Names whose values are secrets wherever they are.
const SECRETS: [&str; 6] = ["api_key", "token", "password", "secret", "upstream_key", "keys"];

thread_local! {
    /// The directory of the configuration.
    static DIRECTORY: TempDir = directory();
}

fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in ["8sens-api-key", "admin-token"] {
        let path = directory.path().join(name);
        fs::write(&path, IN_FILE).expect("a temporary file");
        only_for_its_owner(&path);
    }
    directory
}

#[cfg(unix)]
fn only_for_its_owner(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
}

#[cfg(not(unix))]
fn only_for_its_owner(_: &Path) {}

pub fn check(bytes: &[u8]) {
    // Other bytes are refused before they are text.
    let source = String::from_utf8_lossy(bytes);
    let parsed = DIRECTORY.with(|directory| parse(&source, "fuzz.toml", directory.path()));
    let report = match parsed {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.errors(), 0, "it starts in spite of errors");
            assert!(!format!("{:?}", loaded.settings).contains(IN_FILE), "settings show a secret");
            loaded.warnings
        }
        Err(report) => {
            assert!(report.errors() > 0, "it is refused without a reason");
            report
        }
    };
    places(&source, &report);
    let shown = shown(&report);
    assert!(!shown.contains(IN_FILE), "the content of a secret file: {shown}");
    if source.contains(CANARY) && only_in_secrets(&source) {
        assert!(!shown.contains(CANARY), "{shown}");
        assert!(!format!("{report:?}").contains(&format!("{CANARY}\"")), "a report holds a secret");
    }
}

/// Everything that anybody is ever shown.
fn shown(report: &Report) -> String {
    let mut shown = String::new();
    for lang in [Lang::En, Lang::Fr] {
        let json = report.to_json(lang);
        assert_eq!(json.as_array().map(Vec::len), Some(report.diagnostics().len()));
        let plain = report.render(lang, false);
        assert_eq!(plain.is_empty(), report.is_empty());
        assert!(!plain.contains('\u{1b}'), "an escape sequence reaches the terminal");
        shown.extend([plain, report.render(lang, true), json.to_string()]);
    }
    shown
}

fn places(source: &str, report: &Report) {
    let mut last = 0;
    for finding in report.diagnostics().iter().filter(|finding| finding.text == 0) {
        let related = finding.related.as_ref().map(|(spot, _)| spot).filter(|spot| spot.text == 0);
        for span in finding.span.iter().chain(related.map(|spot| &spot.span)) {
            assert!(source.get(span.clone()).is_some(), "{span:?} is no part of the text");
        }
        let (start, end) = (finding.start, finding.end);
        assert!((start.line, start.column) <= (end.line, end.column));
        assert!(end.line <= source.matches('\n').count() + 1);
        assert!(!finding.message.en.is_empty() && !finding.message.fr.is_empty());
        let at = finding.span.as_ref().map_or(usize::MAX, |span| span.start);
        assert!(at >= last, "not in the order of the file");
        last = at;
    }
    let errors = report.diagnostics().iter().filter(|finding| finding.severity == Severity::Error).count();
    assert_eq!(errors, report.errors());
}

/// True when the canary is in the values of secrets and nowhere else.
fn only_in_secrets(source: &str) -> bool {
    match source.parse::<Table>() {
        Ok(table) => {
            let mut found = 0;
            in_secrets(&table, &mut found);
            found == source.matches(CANARY).count()
        }
        // What a broken file means nobody knows; a line that begins like a secret is one, but the name of a file is
        // not.
        Err(_) => source.lines().filter(|line| line.contains(CANARY)).all(|line| {
            let name = line.split('=').next().unwrap_or_default();
            line.contains('=') && SECRETS.contains(&name.trim()) && !line.contains(['#', '{'])
        }),
    }
}

fn in_secrets(table: &Table, found: &mut usize) {
    for (name, value) in table {
        match value {
            Value::String(text) if SECRETS.contains(&name.as_str()) => *found += text.matches(CANARY).count(),
            Value::Table(inner) => in_secrets(inner, found),
            Value::Array(array) => array.iter().filter_map(Value::as_table).for_each(|inner| in_secrets(inner, found)),
            _ => {}
        }
    }
}
