//! The state directory, saved and brought back under another path with the commands of the guide.

use super::{ANY, guide, merged, sandbox_at};
use crate::gate::{Config, Gate, KEY};
use crate::run;
use std::process::Command;

/// The one line of the guide with this beginning, for other paths than the guide's.
fn command(beginning: &str, state: &str, archive: &str) -> String {
    let text = guide("backup.md");
    let mut found =
        text.lines().filter_map(|line| line.strip_prefix("    sudo ")).filter(|line| line.starts_with(beginning));
    let line = found.next().unwrap();
    assert!(found.next().is_none(), "{beginning} stands there twice");
    line.replace("/var/lib/sensgate", state).replace("/root/sensgate-state.tar.gz", archive)
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_there_after_a_restore_under_another_path() {
    let (_sandbox, address) = sandbox_at(ANY).await;
    let config = Config::new(address).with("session", "mode = \"guard\"");
    let mut gate = Gate::start(&config);
    let body = "login=CLIENTREST&password=clientrest";
    let login = gate
        .exchange(format!(
            "POST /v1/login/user HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\nContent-Type: \
             application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    let token = login.json()["access_token"].as_str().unwrap().to_owned();
    gate.signal("TERM");
    assert!(gate.wait_for_exit().success());

    let other = tempfile::tempdir().unwrap();
    let (archive, state) = (other.path().join("state.tar.gz"), other.path().join("moved"));
    let (archive, state) = (archive.to_str().unwrap(), state.to_str().unwrap());
    let save =
        command("tar -C /var/lib/sensgate --exclude", gate.folder.path().join("state").to_str().unwrap(), archive);
    run(Command::new("sh").args(["-c", &save]));
    // As `install -d -m 0700` of the guide, without its owner.
    run(Command::new("install").args(["-d", "-m", "0700", state]));
    run(Command::new("sh").args(["-c", &command("tar -C /var/lib/sensgate -xzf", state, archive)]));

    let restored = merged(&config.text(), &format!("[state]\ndirectory = \"{state}\"\n"));
    let mut gate = Gate::start_text(tempfile::tempdir().unwrap(), &restored, |command| command);
    gate.wait_for_line("sessions restored");
    let request = format!("GET /v1/articles HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\naccess_token: {token}\r\n\r\n");
    assert_eq!(gate.exchange(&request).await.status, 200);
    let unknown = gate.exchange(request.replace(&token, "00000000000000000000000000000000")).await;
    assert_eq!((unknown.status, unknown.json()["code"].as_str()), (401, Some("session_unknown")));
}
