//! What only a running gate knows.

use super::site::{Diagnosis, doctor, sandbox};
use crate::gate::{Config, Gate, KEY, PARTNER_KEY, UPSTREAM_KEY, wait_until};
use crate::support::port;
use std::process::Command;

fn examined(gate: &Gate) -> Diagnosis {
    doctor(Command::new(env!("CARGO_BIN_EXE_sensgate")), &gate.folder.path().join("sensgate.toml"), &[], "")
}

/// Logs in through the gate and returns the token.
async fn log_in(gate: &Gate, key: &str) -> String {
    let form = "login=CLIENTREST&password=clientrest";
    let request = format!(
        "POST /v1/login/user HTTP/1.1\r\nHost: gate\r\napi_key: {key}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = gate.exchange(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_is_in_order() {
    let gate = Gate::start(&Config::new(sandbox(|_| {}).await).with("session", "mode = \"guard\""));
    super::site::chmod(&gate.folder.path().join("sensgate.toml"), 0o640);
    let diagnosis = examined(&gate);
    diagnosis.expect_health();
    diagnosis.expect("gate", "ok", "a gate runs");
    diagnosis.expect("token_places", "info", "no token");
    diagnosis.expect("shared_tokens", "ok", "no token belongs to two");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_for_two_consumers() {
    let gate = Gate::start(&Config::new(sandbox(|settings| settings.token_shared = true).await));
    log_in(&gate, KEY).await;
    log_in(&gate, PARTNER_KEY).await;
    examined(&gate).expect("shared_tokens", "warning", "boutique-paris, partenaire-lyon");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tokens_travel() {
    let gate = Gate::start(
        &Config::new(sandbox(|_| {}).await).with("session", "mode = \"guard\"\ntoken_from = [\"header:access_token\"]"),
    );
    let token = log_in(&gate, KEY).await;
    let shown = |field: &str| format!("GET /v1/articles HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\n{field}\r\n\r\n");
    assert_eq!(gate.exchange(shown(&format!("access_token: {token}"))).await.status, 200);
    gate.wait_for_record(|record| record["path"] == "/v1/articles");
    examined(&gate).expect("token_places", "ok", "header:access_token (1)");
    gate.exchange(shown(&format!("Authorization: Bearer {token}"))).await;
    let seen = wait_until(|| {
        let diagnosis = examined(&gate);
        diagnosis.of("token_places")[0].contains("bearer (1)").then_some(diagnosis)
    });
    seen.expect("the place was counted").expect("token_places", "warning", "bearer (1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn observing_and_whether_guard_is_safe() {
    let upstream = sandbox(|_| {}).await;
    let site = super::site::Site::new(upstream).with("[admin]", "[session]\nmode = \"observe\"\n[admin]");
    site.doctor(&[]).expect("mode", "warning", "observe: sessions are not guarded");

    let quick = Config::new(upstream)
        .with("upstream", "idle_timeout = \"1s\"")
        .with("session", "mode = \"observe\"\nmargin = \"100ms\"");
    let gate = Gate::start(&quick);
    let request = format!("GET /v1/articles HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\naccess_token: stray\r\n\r\n");
    gate.exchange(request).await;
    gate.wait_for_record(|record| record["would_refuse"] == "session_unknown");
    examined(&gate).expect("mode", "warning", "guard would have refused: boutique-paris session_unknown (1)");
    let safe = wait_until(|| {
        let diagnosis = examined(&gate);
        diagnosis.of("mode")[0].contains("nothing of the last 1 s").then_some(diagnosis)
    });
    safe.expect("guard became safe").expect("mode", "warning", "nothing of the last 1 s would have been refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_were_lost() {
    let gate = Gate::start(&Config::new(sandbox(|_| {}).await).with("log", "access = \"/dev/full\""));
    gate.exchange(crate::gate::get("/v1/articles")).await;
    let lost = wait_until(|| {
        let diagnosis = examined(&gate);
        diagnosis.of("losses")[0].starts_with("warning").then_some(diagnosis)
    });
    lost.expect("a line was dropped").expect("losses", "warning", "access log lines were dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_was_refused() {
    let gate = Gate::start(&Config::new(sandbox(|_| {}).await));
    let path = gate.folder.path().join("sensgate.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, "broken").unwrap();
    gate.signal("HUP");
    let refused = wait_until(|| {
        // The doctor has to read a file that is valid, the gate has read one that was not.
        std::fs::write(&path, "broken").unwrap();
        std::thread::park_timeout(std::time::Duration::from_millis(50));
        std::fs::write(&path, &good).unwrap();
        let diagnosis = examined(&gate);
        diagnosis.of("reload")[0].starts_with("warning").then_some(diagnosis)
    });
    refused.expect("the reload was refused").expect("reload", "warning", "the last reload was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_the_gate_does_not_have() {
    let gate = Gate::start(&Config::new(sandbox(|_| {}).await));
    let path = gate.folder.path().join("sensgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let elsewhere = port::closed();
    std::fs::write(
        &path,
        text.replace("[[listener]]\naddress = \"127.0.0.1:0\"", &format!("[[listener]]\naddress = \"{elsewhere}\"")),
    )
    .unwrap();
    examined(&gate).expect("listeners", "error", "a gate runs, but does not answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_under_the_gate() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "+0\n").unwrap();
    let config = Config::new(sandbox(|_| {}).await);
    let gate = Gate::start_in(tempfile::tempdir().unwrap(), &config, |command| {
        command
            .env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1")
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
    });
    assert!(examined(&gate).of("clock_jump").is_empty());
    std::fs::write(&clock, "+2h\n").unwrap();
    examined(&gate).expect("clock_jump", "warning", "the clock was set by 7");
}

/// Only root can become somebody else; for anybody else there is nobody to be.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_may_not_be_asked() {
    use std::os::unix::fs::MetadataExt;
    const NOBODY: u32 = 65534;
    let gate = Gate::start(&Config::new(sandbox(|_| {}).await));
    let folder = gate.folder.path();
    if std::fs::metadata(folder).unwrap().uid() != 0 {
        eprintln!("left out: only root can become somebody else");
        return;
    }
    super::site::chmod(folder, 0o755);
    std::os::unix::fs::chown(folder.join("8sens-api-key"), Some(NOBODY), None).unwrap();
    // The build may stand where nobody else looks.
    let binary = folder.join("sensgate");
    std::fs::copy(env!("CARGO_BIN_EXE_sensgate"), &binary).unwrap();
    super::site::chmod(&binary, 0o755);
    let mut stranger = Command::new("setpriv");
    stranger.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary);
    let diagnosis = doctor(stranger, &folder.join("sensgate.toml"), &[], "");
    diagnosis.expect("gate", "warning", "no right to ask the gate");
}

/// No key, no password and no token is in anything that the doctor says.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_keeps_secrets() {
    let site = super::site::Site::new(sandbox(|_| {}).await);
    let command = Command::new(env!("CARGO_BIN_EXE_sensgate"));
    let diagnosis = site.doctor_under(command, &["--login", "CLIENTREST"], "clientrest");
    let said = serde_json::to_string(&diagnosis.findings).unwrap();
    assert!(!said.contains(UPSTREAM_KEY) && !said.contains("clientrest"), "{said}");
}
