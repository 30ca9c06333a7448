//! `docs/metrics.md` is what the code says, and the shipped files name nothing else.

use super::files::{ALERTS, CONSUMER, OVERVIEW, RULES, family, project, read, recorded, series_named};
use sensgate::telemetry::Metrics;
use sensgate::telemetry::catalogue::{self, DURATION_BUCKETS, OVERHEAD_BUCKETS};
use sensgate::telemetry::family::{Family, FamilyKind, Purpose};
use sensgate::telemetry::label::Label;
use std::collections::BTreeSet;
use std::fmt::Write;

const PAGE: &str = "docs/metrics.md";

const HEAD: &str = "\
# Metrics

This page is written from `src/telemetry/catalogue.rs` and `deploy/prometheus/recording.rules.yml` by `make reference`;
a test fails when it is not up to date.

`GET /metrics` on the admin listener answers in the Prometheus text format. Counters start at zero with the process.
Label values come from the configuration or from closed sets, never from a request, so the number of series does not
depend on who calls with what. How to scrape:
[deploy/prometheus](../deploy/prometheus/README.md). Boards: [deploy/grafana](../deploy/grafana/README.md).

";

fn kind(kind: FamilyKind) -> &'static str {
    match kind {
        FamilyKind::Counter => "counter",
        FamilyKind::Gauge => "gauge",
        FamilyKind::Histogram => "histogram",
    }
}

/// Where a family is used, in the order in which somebody would look.
fn users(family: &Family) -> Vec<&'static str> {
    let files =
        [("overview board", OVERVIEW), ("consumer board", CONSUMER), ("alerts", ALERTS), ("recording rules", RULES)];
    files
        .into_iter()
        .filter(|(_, file)| families_named(&read(file)).contains(family.name))
        .map(|(user, _)| user)
        .collect()
}

fn families_named(text: &str) -> BTreeSet<String> {
    let histograms: Vec<_> =
        catalogue::ALL.iter().filter(|family| family.kind == FamilyKind::Histogram).map(|family| family.name).collect();
    series_named(text).iter().map(|series| family(series, &histograms)).collect()
}

fn family_section(page: &mut String, family: &Family) {
    let users = users(family);
    let used = if users.is_empty() { "for digging".to_owned() } else { users.join(", ") };
    writeln!(page, "## `{}`\n\n{}\n", family.name, family.help).unwrap();
    writeln!(page, "{}, in {}. Used by: {used}.\n", kind(family.kind), family.unit).unwrap();
    for label in family.label_docs {
        let values =
            if (label.values)().is_empty() { String::new() } else { format!(" [Values](#{}).", anchor(label)) };
        writeln!(page, "- `{}`: {}{values}", label.name, label.meaning).unwrap();
    }
    if !family.labels.is_empty() {
        page.push('\n');
    }
    writeln!(page, "```promql\n{}\n```\n", family.query).unwrap();
}

fn index(page: &mut String) {
    page.push_str("| metric | type | labels |\n|---|---|---|\n");
    for family in catalogue::ALL {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| [`{0}`](#{0}) | {1} | {2} |", family.name, kind(family.kind), labels.join(" ")).unwrap();
    }
    let seconds = |buckets: &[f64]| buckets.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    writeln!(page, "\nBuckets of durations, in seconds: {}.", seconds(DURATION_BUCKETS)).unwrap();
    writeln!(page, "Of `{}`: {}.\n", catalogue::overhead().name, seconds(OVERHEAD_BUCKETS)).unwrap();
}

/// Where the values of a label are explained: GitHub's name for the heading that [`values`] writes.
fn anchor(label: &Label) -> String {
    format!("{}-of-{}", label.name, first_with(label).name)
}

/// The first family that has a label of this meaning.
fn first_with(label: &Label) -> &'static Family {
    let has = |family: &&Family| family.label_docs.iter().any(|known| known.meaning == label.meaning);
    catalogue::ALL.iter().find(has).unwrap()
}

/// Each closed set once.
fn values(page: &mut String) {
    page.push_str("# Label values\n\n");
    let mut written: Vec<&Label> = Vec::new();
    let labels = catalogue::ALL.iter().flat_map(|family| family.label_docs.iter().map(move |label| (family, label)));
    for (first, label) in labels {
        let values = (label.values)();
        if values.is_empty() || written.iter().any(|known| known.meaning == label.meaning) {
            continue;
        }
        written.push(label);
        writeln!(
            page,
            "## `{}` of `{}`\n\n{}\n\n| value | meaning |\n|---|---|",
            label.name, first.name, label.meaning
        )
        .unwrap();
        for (value, meaning) in values {
            writeln!(page, "| `{value}` | {} |", meaning.replace('|', "\\|")).unwrap();
        }
        page.push('\n');
    }
}

/// What the process says of itself: name, type and help as scraped.
fn process_metrics() -> Vec<(String, String, String)> {
    let scrape = String::from_utf8(Metrics::new().render().1).unwrap();
    let comment = |word: &str, name: &str| {
        let prefix = format!("# {word} {name} ");
        scrape.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
    };
    let names = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE process_"));
    names
        .map(|rest| format!("process_{}", rest.split(' ').next().unwrap()))
        .map(|name| (name.clone(), comment("TYPE", &name), comment("HELP", &name)))
        .collect()
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    index(&mut page);
    for family in catalogue::ALL {
        family_section(&mut page, family);
    }
    values(&mut page);
    page.push_str("# Of the process\n\nOn Linux, what Prometheus clients usually say of their process.\n\n");
    page.push_str("| metric | type | meaning |\n|---|---|---|\n");
    for (name, kind, help) in process_metrics() {
        writeln!(page, "| `{name}` | {kind} | {help} |").unwrap();
    }
    page.push_str("\n# Recording rules\n\nOf `deploy/prometheus/recording.rules.yml`; the alerts ask for them.\n\n");
    for rule in recorded() {
        writeln!(page, "## `{}`\n\n{}\n\n```promql\n{}\n```\n", rule.name, rule.meaning, rule.expression).unwrap();
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

#[cfg(target_os = "linux")]
#[test]
fn the_page_is_what_the_code_says() {
    let page = page();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(project(PAGE), &page).unwrap();
    }
    let old = std::fs::read_to_string(project(PAGE)).unwrap_or_default();
    let differs = old.lines().zip(page.lines()).position(|(old, new)| old != new);
    assert!(old == page, "{PAGE} is not up to date (line {:?}); `make reference` writes it anew", differs);
}

#[test]
fn every_series_in_a_panel_rule_or_alert_is_on_the_page() {
    let page = read(PAGE);
    for file in [OVERVIEW, CONSUMER, ALERTS, RULES] {
        let named = families_named(&read(file));
        assert!(named.len() > 5, "{file}: {named:?}");
        for family in named {
            assert!(page.contains(&format!("`{family}`")), "{file} names {family}, which is not in {PAGE}");
        }
    }
}

#[test]
fn every_metric_is_looked_at_or_said_to_be_for_digging() {
    for family in catalogue::ALL {
        let users = users(family);
        match family.purpose {
            Purpose::Watched => assert!(!users.is_empty(), "{} is on no board and in no alert", family.name),
            Purpose::Digging => assert!(users.is_empty(), "{} is not only for digging: {users:?}", family.name),
        }
    }
}

#[test]
fn every_recording_rule_is_explained_and_used() {
    let (alerts, rules) = (read(ALERTS), read(RULES));
    let recorded = recorded();
    assert!(recorded.len() > 5);
    for rule in recorded {
        assert!(rule.meaning.ends_with('.') && !rule.expression.is_empty(), "{}", rule.name);
        let used = alerts.contains(&rule.name) || rules.matches(&rule.name).count() > 1;
        assert!(used, "{} is asked for by nothing", rule.name);
    }
}
