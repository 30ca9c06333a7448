//! `status` for people and for monitoring.

use super::site::{Site, sandbox};
use crate::gate::{Config, Gate, wait_until};
use crate::support::port;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn status(config: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sensgate")).arg("status").args(args).arg("--config").arg(config).output().unwrap()
}

/// The line for monitoring, with its exit code.
fn nagios(config: &Path, args: &[&str]) -> (i32, String) {
    let args: Vec<_> = ["--format", "nagios", "--lang", "en"].iter().chain(args).copied().collect();
    let output = status(config, &args);
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_has_its_exit_code() {
    let config = Config::new(sandbox(|_| {}).await).with("session", "mode = \"guard\"");
    let gate = Gate::start(&config);
    let path = gate.folder.path().join("sensgate.toml");
    let ok = wait_until(|| Some(nagios(&path, &[])).filter(|(_, line)| line.contains("upstream_up=1"))).unwrap();
    assert_eq!(ok.0, 0);
    assert!(
        ok.1.starts_with("SENSGATE OK - 8sens answers, mode guard, 0 sessions | sessions=0;;;0;1000000 "),
        "{}",
        ok.1
    );
    let figures = ok.1.split_once('|').unwrap().1.trim();
    for figure in figures.split(' ') {
        let (label, value) = figure.split_once('=').unwrap();
        assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{figure}");
        assert_eq!(value.split(';').count(), 5, "{figure}");
    }
    let near = nagios(&path, &["--warn-days", "99999"]);
    assert_eq!(near.0, 1);
    assert!(near.1.starts_with("SENSGATE WARNING - the key boutique-paris/k1 expires in "), "{}", near.1);

    let alone = Gate::start(&Config::new(port::closed()));
    let path = alone.folder.path().join("sensgate.toml");
    let down = wait_until(|| Some(nagios(&path, &[])).filter(|(_, line)| line.contains("upstream_up=0"))).unwrap();
    assert_eq!(down.0, 2);
    assert!(down.1.starts_with("SENSGATE CRITICAL - 8sens does not answer at "), "{}", down.1);

    let nobody = Site::new(port::closed());
    nobody.doctor(&[]);
    let (code, line) = nagios(&nobody.path("sensgate.toml"), &[]);
    assert_eq!(code, 2);
    assert!(line.starts_with("SENSGATE CRITICAL - no gate answers on "), "{line}");
    std::fs::write(nobody.path("sensgate.toml"), "nonsense").unwrap();
    let (code, line) = nagios(&nobody.path("sensgate.toml"), &[]);
    assert_eq!((code, line.as_str()), (3, "SENSGATE UNKNOWN - the configuration is not valid (see `sensgate check`)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_screen_in_both_languages() {
    let config = Config::new(sandbox(|_| {}).await).with("session", "mode = \"guard\"").and(&crate::gate::consumer(
        "a-debit",
        "sgk_rate_kS3jq8Zr0Lw5VbTn2YxUcHd7",
        "rate_limit = \"20/s, burst 40\"\n",
    ));
    let gate = Gate::start(&config);
    let path = gate.folder.path().join("sensgate.toml");
    gate.exchange(crate::gate::get("/v1/articles")).await;
    gate.wait_for_record(|record| record["path"] == "/v1/articles");
    let json = || serde_json::from_slice::<serde_json::Value>(&status(&path, &["--format", "json"]).stdout).unwrap();
    let quiet = |status: &serde_json::Value| status["upstream"]["up"] == true && status["connections"] == 0;
    let up = wait_until(|| Some(json()).filter(quiet)).unwrap();
    assert_eq!((&up["requests"], &up["refusals"]), (&1.into(), &1.into()));
    let version = up["version"].as_str().unwrap().to_owned();
    let address = up["upstream"]["address"].as_str().unwrap().to_owned();
    // Fewer than configured where descriptors are short.
    let max = up["connections_max"].to_string();
    for lang in ["en", "fr"] {
        let output = status(&path, &["--lang", lang]);
        let text =
            String::from_utf8(output.stdout).unwrap().replace(&version, "<version>").replace(&address, "<8sens>");
        let text = text.replace(&format!("of {max} "), "of <max> ").replace(&format!("sur {max},"), "sur <max>,");
        // How long it has been up, what came in the last minute and how many descriptors there are is no matter here.
        let lines = text.lines().map(|line| match line.split_once(" <version>, ") {
            Some((head, rest)) => format!("{head} <version>, {} <up>", rest.rsplit_once(' ').unwrap().0),
            None => line.split(" 0.").next().unwrap().to_owned(),
        });
        insta::assert_snapshot!(format!("status-{lang}"), lines.collect::<Vec<_>>().join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_writes_a_line_each_time_and_ends_on_ctrl_c() {
    let gate = Gate::start(&Config::new(sandbox(|_| {}).await));
    let mut watching = Command::new(env!("CARGO_BIN_EXE_sensgate"))
        .args(["status", "--watch", "--lang", "en", "--config"])
        .arg(gate.folder.path().join("sensgate.toml"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains("mode observe, 0 sessions") && !line.contains('\x1b'), "{line}");
    }
    assert!(Command::new("kill").args(["-INT", &watching.id().to_string()]).status().unwrap().success());
    let ended = wait_until(|| watching.try_wait().unwrap()).expect("the watch ends");
    assert_eq!(ended.code(), Some(0));
}
