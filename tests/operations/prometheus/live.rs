//! A real Prometheus with the shipped files scrapes real gates that real things are wrong with: every alert fires, none
//! for the sound gate, and every query of every panel has data.
//!
//! The files are used as shipped, but for durations: what takes minutes is made to take seconds by [`hurried`].
//! Thresholds stay.

use super::boards::queries;
use super::files::{CONSUMER, OVERVIEW, project};
use super::rules::installed;
use super::server::{Alert, Prometheus};
use super::world::{ADMIN_TOKEN, WATCHED, World};
use crate::gate::{Config, Gate, write_secret};
use crate::support::hosts::Hosts;
use crate::support::port;
use sensgate::telemetry::catalogue;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// For everything together.
const PATIENCE: Duration = Duration::from_secs(100);

/// Every window `[5m]` becomes `[20s]`, every `for: 2m` becomes `for: 1s`, and Prometheus scrapes and evaluates every
/// second.
fn hurried(text: &str) -> String {
    let line = |line: &str| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        match rest.split_once(": ") {
            Some(("for", _)) => format!("{indent}for: 1s"),
            Some((name @ ("scrape_interval" | "evaluation_interval"), _)) => format!("{indent}{name}: 1s"),
            _ => windows_of_seconds(line),
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

fn windows_of_seconds(line: &str) -> String {
    let mut parts = line.split('[');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inside, after) = part.split_once(']').unwrap_or((part, ""));
        let is_window = inside.ends_with('m') && inside[..inside.len() - 1].parse::<u32>().is_ok();
        text.push_str(&format!("[{}]{after}", if is_window { "20s" } else { inside }));
    }
    text
}

fn start_prometheus(gates: &[SocketAddr]) -> Prometheus {
    let targets: Vec<_> = gates.iter().map(SocketAddr::to_string).collect();
    Prometheus::start(configured(&targets))
}

/// The shipped files in a hurry, with these targets.
fn configured(targets: &[String]) -> tempfile::TempDir {
    let folder = installed();
    let edit = |name: &str, change: &dyn Fn(String) -> String| {
        let path = folder.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, change(hurried(&text))).unwrap();
    };
    edit("recording.rules.yml", &|text| text);
    edit("alerts.rules.yml", &|text| text);
    edit("prometheus.yml", &|text| {
        let (shipped, indent) = ("127.0.0.1:9180 # `address` of `[admin]`", "\n          - ");
        assert!(text.contains(shipped), "{text}");
        text.replace(shipped, &targets.join(indent))
    });
    std::fs::write(folder.path().join("sensgate-admin-token"), ADMIN_TOKEN).unwrap();
    folder
}

/// Polls until there is a value; `None` at the end of the patience.
async fn eventually<T>(end: Instant, mut poll: impl FnMut() -> Option<T>) -> Option<T> {
    let mut pace = tokio::time::interval(Duration::from_millis(250));
    loop {
        pace.tick().await;
        let value = tokio::task::block_in_place(&mut poll);
        if value.is_some() || Instant::now() > end {
            return value;
        }
    }
}

/// Name and severity of an alert or of its rule.
fn identity(labels: &serde_json::Value, name: &serde_json::Value) -> (String, String) {
    (name.as_str().unwrap().to_owned(), labels["severity"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_fires_from_its_fault_and_every_panel_has_data() {
    let end = Instant::now() + PATIENCE;
    let mut world = World::start().await;
    let prometheus = start_prometheus(&world.admin_addresses());
    let doomed = world.doomed.admin;
    let scraped = format!("up{{instance=\"{doomed}\"}} == 1");
    eventually(end, || (!prometheus.query(&scraped).unwrap().is_empty()).then_some(()))
        .await
        .expect("all gates are scraped");
    world.doomed.child.kill().unwrap();

    let rules = prometheus.rules();
    let alerting = rules.iter().filter(|rule| rule["type"] == "alerting");
    let expected: BTreeSet<_> = alerting.map(|rule| identity(&rule["labels"], &rule["name"])).collect();
    assert!(expected.len() > 15, "{expected:?}");
    let mut fired = BTreeSet::new();
    eventually(end, || {
        for alert in prometheus.alerts().iter().filter(|alert| alert.firing) {
            let of_sound = alert.labels["instance"] == world.sound.admin.to_string();
            assert!(!of_sound || depends_on_this_machine(alert), "nothing is wrong there: {alert:?}");
            if fired.insert(identity(&alert.labels, &alert.labels["alertname"])) {
                assert_readable(alert);
            }
        }
        (fired == expected).then_some(())
    })
    .await
    .unwrap_or_else(|| panic!("not fired: {:?}", expected.difference(&fired)));

    for family in catalogue::ALL {
        prometheus.query(family.query).unwrap_or_else(|error| panic!("{}: {error}: {}", family.name, family.query));
    }
    let all: Vec<_> = [OVERVIEW, CONSUMER].into_iter().flat_map(|file| queries(file, WATCHED)).collect();
    assert!(all.len() > 50, "{}", all.len());
    for query in all {
        let has_data = || {
            let answer = prometheus.query(&query.expression);
            let values = answer.unwrap_or_else(|error| panic!("{}: {error}: {}", query.panel, query.expression));
            values.iter().any(|value| value.is_finite()).then_some(())
        };
        eventually(end, has_data).await.unwrap_or_else(|| panic!("{} is empty: {}", query.panel, query.expression));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_is_scraped_by_a_name_of_its_machine_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let Some(hosts) = Hosts::new(folder.path(), "127.0.0.1 gate.lan\n") else { return };
    let gate = |line: &str| {
        let folder = tempfile::tempdir().unwrap();
        write_secret(&folder.path().join("admin-token"), ADMIN_TOKEN);
        Gate::start_in(folder, &Config::new(port::closed()).with("admin", line), |command| command)
    };
    // The first one knows the token; at the second one there is none, so its name has to be in the configuration.
    let gates =
        [gate("token = { file = \"admin-token\" }"), gate("hosts = [\"gate.lan\"]"), gate("hosts = [\"other.lan\"]")];
    let targets = gates.each_ref().map(|gate| format!("gate.lan:{}", gate.admin.port()));
    let prometheus = Prometheus::start_command(configured(&targets), hosts.command("prometheus"));
    let end = Instant::now() + PATIENCE;
    for (target, up) in targets.iter().zip([1, 1, 0]) {
        let query = format!("up{{instance=\"{target}\"}} == {up}");
        let found = eventually(end, || (!prometheus.query(&query).unwrap().is_empty()).then_some(())).await;
        assert!(found.is_some(), "{query}");
    }
}

/// True for what also fires when the machine of the tests is too busy to scrape or to answer in time.
fn depends_on_this_machine(alert: &Alert) -> bool {
    ["SensgateDown", "SensgateSlow"].iter().any(|name| alert.labels["alertname"] == *name)
}

fn assert_readable(alert: &Alert) {
    for name in ["summary", "description", "runbook"] {
        let text = alert.annotations[name].as_str().unwrap_or_else(|| panic!("no {name}: {alert:?}"));
        assert!(!text.is_empty() && !text.contains("no value") && !text.contains("error expanding"), "{alert:?}");
    }
    let runbook = project(alert.annotations["runbook"].as_str().unwrap());
    assert!(runbook.is_file() && runbook.starts_with(project("docs/alerts")), "{}", runbook.display());
}
