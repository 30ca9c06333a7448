//! The shipped files, and the names in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub const RULES: &str = "deploy/prometheus/recording.rules.yml";
pub const ALERTS: &str = "deploy/prometheus/alerts.rules.yml";
pub const OVERVIEW: &str = "deploy/grafana/sensgate-overview.json";
pub const CONSUMER: &str = "deploy/grafana/sensgate-consumer.json";

/// A recording rule as the file has it: its name, the comment above it, its expression on one line.
pub struct Recorded {
    pub name: String,
    pub meaning: String,
    pub expression: String,
}

pub fn recorded() -> Vec<Recorded> {
    let text = read(RULES);
    let mut rules: Vec<Recorded> = Vec::new();
    let mut comment = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("# ") {
            comment = words.to_owned();
        } else if let Some(name) = line.strip_prefix("- record: ") {
            rules.push(Recorded { name: name.to_owned(), meaning: comment.clone(), expression: String::new() });
        } else if let Some(rule) = rules.last_mut() {
            let part = line.strip_prefix("expr: ").unwrap_or(line).trim_start_matches(">-");
            rule.expression = format!("{} {part}", rule.expression).trim().to_owned();
        }
    }
    rules
}

/// The names of all alerts, once each.
pub fn alerts() -> BTreeSet<String> {
    read(ALERTS).lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

/// Every word of a text that looks like one of our series: `sensgate_…`, `process_…`, or a recorded
/// `level:sensgate_…:operation`.
pub fn series_named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let ours = |word: &&str| {
        let recorded = word.split_once(':').is_some_and(|(_, rest)| rest.starts_with("sensgate_"));
        recorded || word.starts_with("sensgate_") || word.starts_with("process_")
    };
    words.filter(ours).map(str::to_owned).collect()
}

/// The family that a series belongs to: histograms have three kinds of series.
pub fn family(series: &str, histograms: &[&str]) -> String {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| series.strip_suffix(suffix));
    base.filter(|base| histograms.contains(base)).unwrap_or(series).to_owned()
}
