//! The cron job in PHP, run by PHP through a gate.

use super::{ANY, sandbox_at};
use crate::gate::{Config, Gate, KEY, UPSTREAM_KEY, write_secret};
use crate::support::witness::{Action, Behaviour, Witness};
use crate::{said, source};
use std::path::Path;
use std::process::{Command, Output};

fn cron(gate: &Gate, arguments: &[&str]) -> Output {
    let folder = gate.folder.path();
    write_secret(&folder.join("shop-key"), KEY);
    Command::new("php")
        .arg(source("docs/guides/php-shop/cron.php"))
        .args(arguments)
        .env("SENSGATE_URL", format!("http://{}", gate.address()))
        .env("SENSGATE_KEY_FILE", folder.join("shop-key"))
        .env("SENSGATE_TOKEN_FILE", token(folder))
        .output()
        .unwrap()
}

fn token(folder: &Path) -> std::path::PathBuf {
    folder.join("shop-token")
}

fn guarding(upstream: std::net::SocketAddr) -> Config {
    Config::new(upstream).with("session", "mode = \"guard\"")
}

fn count(gate: &Gate, code: &str) -> usize {
    gate.records().iter().filter(|record| record["code"] == code).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_session_and_logs_in_again_when_it_has_ended() {
    let (sandbox, address) = sandbox_at(ANY).await;
    let gate = Gate::start(&guarding(address));
    let first = cron(&gate, &["--quote"]);
    assert!(first.status.success() && said(&first).contains("quote made"), "{}", said(&first));
    let kept = std::fs::read_to_string(token(gate.folder.path())).unwrap();
    let second = cron(&gate, &[]);
    assert!(second.status.success(), "{}", said(&second));
    assert_eq!(std::fs::read_to_string(token(gate.folder.path())).unwrap(), kept, "one session for both runs");
    assert_eq!(sandbox.quotes(), 1);

    // The gate does not know this token.
    write_secret(&token(gate.folder.path()), "00000000000000000000000000000000");
    let third = cron(&gate, &["--quote"]);
    assert!(third.status.success(), "{}", said(&third));
    gate.wait_for_record(|record| record["code"] == "session_unknown");
    assert_eq!(sandbox.quotes(), 2);

    // 8sens does not know any token any more.
    sandbox.forget_sessions();
    let fourth = cron(&gate, &["--quote"]);
    assert!(fourth.status.success(), "{}", said(&fourth));
    assert_eq!(sandbox.quotes(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_as_long_as_it_is_told() {
    let (_sandbox, address) = sandbox_at(ANY).await;
    let config = guarding(address).text().replacen(
        "name = \"boutique-paris\"\n",
        "name = \"boutique-paris\"\nrate_limit = \"60/min, burst 1\"\n",
        1,
    );
    let gate = Gate::start_text(tempfile::tempdir().unwrap(), &config, |command| command);
    let output = cron(&gate, &["--quote"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(count(&gate, "rate_limited") >= 1, "{:#?}", gate.records());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_outcome_is_unknown_is_not_sent_again() {
    let witness = Witness::start(Behaviour::by(|request| match (request.method(), request.target()) {
        ("POST", "/v1/login/user") => Action::AnswerWith {
            status: 200,
            headers: Vec::new(),
            body: b"{\"access_token\":\"t0k3n-of-the-witness\"}".to_vec(),
        },
        ("POST", _) => Action::Close,
        _ => Action::Answer,
    }))
    .await;
    let gate = Gate::start(&guarding(witness.addr()));
    let output = cron(&gate, &["--quote"]);
    assert_eq!(output.status.code(), Some(65), "{}", said(&output));
    assert!(said(&output).contains("OUTCOME UNKNOWN"), "{}", said(&output));
    let posts = witness.requests().iter().filter(|request| request.target() == "/v1/devis").count();
    assert_eq!(posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_known_is_for_a_human() {
    let (_sandbox, address) = sandbox_at(ANY).await;
    let gate = Gate::start(&guarding(address));
    let output = Command::new("php")
        .arg(source("docs/guides/php-shop/cron.php"))
        .env("SENSGATE_URL", format!("http://{}", gate.address()))
        .env("SENSGATE_KEY_FILE", gate.folder.path().join("8sens-api-key"))
        .env("SENSGATE_TOKEN_FILE", token(gate.folder.path()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(65), "{}", said(&output));
    assert!(said(&output).contains("unknown_key") && !said(&output).contains(UPSTREAM_KEY), "{}", said(&output));
}
