//! The audit log of a real gate: who logged in, what was refused, what admins did, and nothing that opens a door.

use crate::gate::{DEPOT_KEY, Gate, KEY, UPSTREAM_KEY, get, wait_until};
use crate::sessions::{config, eight_sens, log_in, outcome, with_token};
use crate::support::http::RawClient;
use crate::support::witness::Witness;
use serde_json::Value;
use std::process::Command;

fn lines(gate: &Gate, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(gate.folder.path().join(file)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn wait_for(gate: &Gate, fits: impl Fn(&Value) -> bool) -> Value {
    let found = wait_until(|| lines(gate, "audit.log").into_iter().find(|line| fits(line)));
    found.unwrap_or_else(|| panic!("no such line: {:#?}", lines(gate, "audit.log")))
}

fn event<'a>(name: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |line| line["event"] == name
}

fn sessions(gate: &Gate, args: &[&str]) {
    let config = gate.folder.path().join("sensgate.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensgate"));
    let output = command.arg("sessions").args(args).arg("--config").arg(config).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_what_has_to_be_told_later() {
    let witness = Witness::start(eight_sens()).await;
    let mut gate = Gate::start(&config(&witness).with("log", "audit = \"audit.log\""));
    wait_for(&gate, event("gate_started"));

    let token = log_in(&gate, KEY).await;
    let login = wait_for(&gate, event("login"));
    assert_eq!(
        (&login["consumer"], &login["key_id"], &login["result"]),
        (&"boutique-paris".into(), &"k1".into(), &"accepted".into())
    );
    assert_eq!((&login["client_ip"], login["session"].as_str().unwrap().len()), (&"127.0.0.1".into(), 12));
    wait_for(&gate, |line| line["event"] == "key_first_used" && line["request_id"] == login["request_id"]);

    assert_eq!(outcome(&gate, get("/v1/a").replace(KEY, "not-a-key")).await.0, 401);
    let refused = wait_for(&gate, |line| line["code"] == "unknown_key");
    assert_eq!((&refused["event"], refused.get("consumer")), (&"key_refused".into(), None));
    assert_eq!(outcome(&gate, get("/v1/a").replace(KEY, DEPOT_KEY)).await.0, 403);
    assert_eq!(wait_for(&gate, |line| line["code"] == "forbidden_address")["consumer"], "depot-lille");
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", "made-up")).await.0, 401);
    wait_for(&gate, |line| line["event"] == "session_refused" && line["code"] == "session_unknown");
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &token)).await.0, 200);

    sessions(&gate, &["end", login["session"].as_str().unwrap()]);
    let ended = wait_for(&gate, event("sessions_ended"));
    assert_eq!((&ended["session"], &ended["by"], &ended["ended"]), (&login["session"], &"control".into(), &1.into()));
    assert!(ended["uid"].is_u64(), "{ended}");
    sessions(&gate, &["end", "--consumer", "boutique-paris"]);
    wait_for(&gate, |line| line["event"] == "sessions_ended" && line["consumer"] == "boutique-paris");

    gate.signal("HUP");
    std::fs::write(gate.folder.path().join("sensgate.toml"), "nonsense").unwrap();
    gate.signal("HUP");
    wait_for(&gate, event("configuration_refused"));
    gate.signal("TERM");
    gate.wait_for_exit();
    let all = lines(&gate, "audit.log");
    assert_eq!(all.iter().filter(|line| line["event"] == "gate_stopping").count(), 1);
    // One ordinary request is the access log's alone.
    let first = all.iter().filter(|line| line["event"] == "key_first_used" && line["consumer"] == "boutique-paris");
    assert_eq!(first.count(), 1);
    let text = std::fs::read_to_string(gate.folder.path().join("audit.log")).unwrap();
    assert!(text.bytes().all(|byte| matches!(byte, b'\n' | 0x20..=0x7e)));
    for secret in [KEY, DEPOT_KEY, UPSTREAM_KEY, &token, "not-a-key", "made-up"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(gate.folder.path().join("audit.log")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_rotated_with_the_other_and_both_forget_addresses_when_told() {
    let witness = Witness::start(eight_sens()).await;
    let config = config(&witness)
        .with("log", "audit = \"audit.log\"")
        .with("log", "anonymize_ip = true")
        .with("client_ip", "trusted_proxies = [\"127.0.0.1/32\"]");
    let gate = Gate::start(&config);
    let wrong = get("/v1/a").replace(KEY, "not-a-key").replacen("\r\n", "\r\nX-Forwarded-For: 203.0.113.77\r\n", 1);
    assert_eq!(outcome(&gate, wrong.clone()).await.0, 401);
    assert_eq!(wait_for(&gate, event("key_refused"))["client_ip"], "203.0.113.0");
    assert_eq!(gate.wait_for_record(|line| line["code"] == "unknown_key")["client_ip"], "203.0.113.0");

    let folder = gate.folder.path();
    std::fs::rename(folder.join("audit.log"), folder.join("audit.log.1")).unwrap();
    gate.signal("USR1");
    // When the signal is seen is a matter of chance; lines go to one file or the other, and in the end to the new one.
    let moved = wait_until(|| {
        let request = wrong.clone();
        let sent = async { RawClient::connect(gate.address()).await.unwrap().exchange(request).await.unwrap() };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(sent));
        (!lines(&gate, "audit.log").is_empty()).then_some(())
    });
    assert!(moved.is_some());
    assert!(lines(&gate, "audit.log.1").iter().any(event("gate_started")));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_nothing_and_lost_lines_are_counted() {
    let witness = Witness::start(eight_sens()).await;
    let gate = Gate::start(&config(&witness).with("log", "audit = \"/dev/full\""));
    for _ in 0..5 {
        log_in(&gate, KEY).await;
    }
    let end = std::time::Instant::now() + crate::gate::DEADLINE;
    while gate.metric("sensgate_audit_log_lines_dropped_total").await < 6.0 {
        assert!(std::time::Instant::now() < end, "{}", gate.metrics().await);
    }
}
