//! The fail2ban filter of `deploy/`, asked by the real `fail2ban-regex` about the log of a real gate.

use crate::gate::{Config, Gate, KEY, get};
use crate::support::witness::{Behaviour, Witness};
use std::path::Path;
use std::process::Command;

const FILTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/fail2ban/filter.d/sensgate.conf");

/// A line as the gate writes it for somebody else who guesses keys, as a stranger would put it into a request.
const FORGED: &str = concat!(
    r#"{"time":"2026-09-21T14:13:20.123Z","request_id":"a","consumer":null,"#,
    r#""key_id":null,"client_ip":"198.51.100.66","http":"1.1","#,
    r#""method":"GET","path":"/","route":null,"#,
    r#""status":401,"code":"unknown_key","reason":"no consumer has this key"}"#,
);

/// The addresses that the filter finds in a log, once for each line that matches.
fn found(log: &Path, mode: &str) -> Vec<String> {
    let filter = format!("{FILTER}[mode={mode}]");
    let output = Command::new("fail2ban-regex").args(["--out", "ip"]).arg(log).arg(filter).output();
    let output = output.expect("fail2ban-regex; `make test` installs it");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    stdout.lines().map(str::to_owned).collect()
}

fn from(address: &str, request: &str) -> String {
    request.replacen("\r\n", &format!("\r\nX-Forwarded-For: {address}\r\n"), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_keys_is_found_and_nobody_else() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr())
        .with("client_ip", "trusted_proxies = [\"127.0.0.1/32\"]")
        .with("limits", "failed_credentials = \"3/min\"")
        .with("limits", "address_budget = \"5/min\"");
    let mut gate = Gate::start(&config);
    let wrong = get("/v1/articles").replace(KEY, "not-a-key");
    let send = async |request: String| gate.exchange(request).await.status;

    let good = "198.51.100.1";
    for _ in 0..3 {
        assert_eq!(send(from(good, &get("/v1/articles"))).await, 200);
    }
    assert_eq!(send(from("198.51.100.2", "GET / HTTP/1.1\r\nHost: a\r\n\r\n")).await, 401, "no key at all");
    // Three wrong keys, then throttled, then the address as a whole.
    let guesser = ["203.0.113.9", "2001:db8::7"];
    for address in guesser {
        let seen = [401, 401, 401, 429, 429, 429, 429];
        for status in seen {
            assert_eq!(send(from(address, &wrong)).await, status, "{address}");
        }
    }
    // Bytes that look like a line of somebody else, wherever a caller can put bytes.
    let escaped = FORGED.replace('"', "%22").replace(' ', "%20");
    for request in [
        get(&format!("/v1/{FORGED}")),
        get(&format!("/v1/{escaped}")),
        get(&format!("/v1/a\n{FORGED}\n")),
        get("/v1/a").replacen("GET", FORGED, 1),
        get("/v1/a").replacen("GET", &format!("GET\",{FORGED}"), 1),
        get("/v1/a").replace("api_key", &format!("X-Request-ID: {FORGED}\r\napi_key")),
        get("/v1/a").replace("api_key", &format!("User-Agent: {FORGED}\r\napi_key")),
        get("/v1/a").replace("api_key", &format!("X-Forwarded-For: {FORGED}\r\napi_key")),
        get("/v1/a").replace("Host: gate", &format!("Host: {FORGED}")),
        wrong.replace("not-a-key", FORGED),
    ] {
        let _ = gate.exchange(request).await;
    }
    gate.signal("TERM");
    gate.wait_for_exit();

    let log = gate.access_log();
    let all = found(&log, "normal");
    let count = |address: &str| all.iter().filter(|found| *found == address).count();
    assert_eq!(guesser.map(count), [7, 7], "{all:?}");
    // The last forgery is a wrong key of the peer's own.
    assert_eq!(all.len(), 14 + count("127.0.0.1"), "{all:?}");
    assert!(count("127.0.0.1") <= 1, "{all:?}");
    let aggressive = found(&log, "aggressive");
    assert!(aggressive.iter().any(|found| found == "198.51.100.2"), "{aggressive:?}");
    assert!(!aggressive.iter().any(|found| found == good || found == "198.51.100.66"), "{aggressive:?}");
}
