//! `explain` against a running gate, a log line and a configuration file, in both languages.

use super::site::sandbox;
use crate::gate::{Config, Gate, KEY, PARTNER_KEY, consumer};
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn explain(gate: &Gate, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sensgate"))
        .arg("explain")
        .args(args)
        .arg("--config")
        .arg(gate.folder.path().join("sensgate.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// What was printed, without what differs from run to run.
fn shown(gate: &Gate, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let text = text.replace(&gate.folder.path().display().to_string(), "<folder>");
    let dated = |line: &str| match line.split_once("Z  ") {
        Some((date, rest)) if date.starts_with("20") => format!("<time>  {rest}"),
        _ => line.to_owned(),
    };
    let lines: Vec<_> = text.lines().map(dated).collect();
    format!("{}\nexit {}\n", lines.join("\n"), output.status.code().unwrap())
}

/// Requests that a rule of each kind refuses, with their ids.
async fn refused(gate: &Gate, id: &str, key: &str, request: &str) {
    let key = if key.is_empty() { String::new() } else { format!("api_key: {key}\r\n") };
    gate.exchange(format!("{request} HTTP/1.1\r\nHost: gate\r\nX-Request-ID: {id}\r\n{key}\r\n")).await;
    gate.wait_for_record(|record| record["request_id"] == id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_explained_from_the_gate_and_from_its_log() {
    let config = Config::new(sandbox(|_| {}).await)
        .with("session", "mode = \"guard\"")
        .and(&consumer("vieille-boutique", "sgk_old_kS3jq8Zr0Lw5VbTn2YxUcHd7", "").replace("2099-12-31", "2020-12-31"));
    let gate = Gate::start(&config);
    refused(&gate, "no-key", "", "GET /v1/articles").await;
    refused(&gate, "no-route", PARTNER_KEY, "GET /v1/clients?page=2").await;
    refused(&gate, "no-token", KEY, "GET /v1/articles").await;
    refused(&gate, "old-key", "sgk_old_kS3jq8Zr0Lw5VbTn2YxUcHd7", "GET /v1/articles").await;
    for id in ["no-key", "no-route", "no-token", "old-key"] {
        for lang in ["en", "fr"] {
            let asked = explain(&gate, &[id, "--lang", lang], "");
            insta::assert_snapshot!(format!("{id}-{lang}"), shown(&gate, &asked));
            let line = gate.wait_for_record(|record| record["request_id"] == id).to_string();
            let from_log = explain(&gate, &["-", "--lang", lang], &line);
            assert_eq!(shown(&gate, &from_log), shown(&gate, &asked));
        }
    }
    let json: serde_json::Value =
        serde_json::from_slice(&explain(&gate, &["no-route", "--format", "json"], "").stdout).unwrap();
    assert_eq!(json["code"], "forbidden_route");
    assert_eq!(json["explanation"]["setting"]["key"], "consumer.partenaire-lyon.allow");
    let text = std::fs::read_to_string(gate.folder.path().join("sensgate.toml")).unwrap();
    let line = json["explanation"]["setting"]["place"]["line"].as_u64().unwrap();
    assert_eq!(text.lines().nth(usize::try_from(line).unwrap() - 1), Some("allow = [\"GET /v1/open/*\"]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_to_be_not_there() {
    let gate = Gate::start(&Config::new(sandbox(|_| {}).await));
    insta::assert_snapshot!("unknown-id-en", shown(&gate, &explain(&gate, &["r-1", "--lang", "en"], "")));
    insta::assert_snapshot!("unknown-id-fr", shown(&gate, &explain(&gate, &["r-1", "--lang", "fr"], "")));
    assert_eq!(explain(&gate, &["-"], "nonsense").status.code(), Some(1));
    assert_eq!(explain(&gate, &["GET /v1/x", "--consumer", "nobody"], "").status.code(), Some(1));
    assert_eq!(explain(&gate, &["/v1/x", "--consumer", "boutique-paris"], "").status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_never_made() {
    let gate = Gate::start(&Config::new(sandbox(|_| {}).await).with("session", "mode = \"guard\""));
    for (name, args) in [
        ("dry-passes", &["GET /v1/open/articles", "--consumer", "partenaire-lyon", "--from", "192.0.2.1"][..]),
        ("dry-route", &["POST /v1/devis", "--consumer", "partenaire-lyon", "--token", "no"]),
        ("dry-address", &["GET /v1/articles", "--consumer", "depot-lille", "--from", "192.0.2.1"]),
    ] {
        for lang in ["en", "fr"] {
            let args: Vec<_> = args.iter().chain(&["--lang", lang]).copied().collect();
            insta::assert_snapshot!(format!("{name}-{lang}"), shown(&gate, &explain(&gate, &args, "")));
        }
    }
    // What the dry run says is what the gate does.
    refused(&gate, "real", PARTNER_KEY, "POST /v1/devis").await;
    let real = gate.wait_for_record(|record| record["request_id"] == "real");
    let dry =
        explain(&gate, &["POST /v1/devis", "--consumer", "partenaire-lyon", "--token", "no", "--format", "json"], "");
    let dry: serde_json::Value = serde_json::from_slice(&dry.stdout).unwrap();
    assert_eq!(dry["code"], real["code"]);
}
