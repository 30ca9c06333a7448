//! promtool's word on the shipped files.

use super::files::{alerts, project, read};
use crate::support::port;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn promtool(arguments: &[&str], folder: &Path, stdin: Stdio) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(folder).stdin(stdin);
    command.output().expect("Debian's package prometheus is installed by `make deps test`")
}

fn assert_passes(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// The folder as an admin has it: the files beside each other, and the token.
pub fn installed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(project("deploy/prometheus")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    crate::gate::write_secret(&folder.path().join("sensgate-admin-token"), crate::gate::KEY);
    folder
}

#[test]
fn the_scrape_configuration_and_the_rules_are_valid() {
    let folder = installed();
    assert_passes(&promtool(&["check", "config", "prometheus.yml"], folder.path(), Stdio::null()));
    let rules = ["check", "rules", "--lint-fatal", "recording.rules.yml", "alerts.rules.yml"];
    assert_passes(&promtool(&rules, folder.path(), Stdio::null()));
}

#[test]
fn each_alert_fires_when_it_should_and_stays_silent_below() {
    let tests = read("deploy/prometheus/alerts_test.yml");
    for alert in alerts() {
        for side in ["fires", "stays silent"] {
            assert!(tests.contains(&format!("- name: {alert} {side}, ")), "no test that {alert} {side}");
        }
    }
    let folder = installed();
    assert_passes(&promtool(&["test", "rules", "alerts_test.yml"], folder.path(), Stdio::null()));
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_wrong_with_a_scrape() {
    let gate = crate::gate::Gate::start(&crate::gate::Config::new(port::closed()));
    gate.exchange(crate::gate::get("/v1/a")).await;
    let file = gate.folder.path().join("scrape");
    std::fs::write(&file, gate.metrics().await).unwrap();
    let output = promtool(&["check", "metrics"], gate.folder.path(), Stdio::from(std::fs::File::open(file).unwrap()));
    assert_passes(&output);
}

#[test]
fn each_alert_has_its_pages_and_each_page_its_alert() {
    let alerts = alerts();
    assert!(alerts.len() > 10);
    for folder in ["docs/alerts", "docs/fr/alerts"] {
        for alert in &alerts {
            let page = read(&format!("{folder}/{alert}.md"));
            assert!(page.starts_with(&format!("# {alert}\n")), "{folder}/{alert}.md");
        }
        for entry in std::fs::read_dir(project(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let page = name.trim_end_matches(".md");
            assert!(page == "README" || alerts.contains(page), "{folder}/{name} is of no alert");
        }
    }
}
