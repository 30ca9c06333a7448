//! The logrotate file, run by logrotate while the gate is writing.

use crate::gate::{Config, DEADLINE, Gate, KEY, wait_until};
use crate::support::witness::{Behaviour, Witness};
use crate::{run, source};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[tokio::test(flavor = "multi_thread")]
async fn no_line_is_lost_while_logs_are_rotated() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()));
    let rotation = Rotation::prepare(&gate);
    let (done, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (done, next, address) = (Arc::clone(&done), Arc::clone(&next), gate.address());
            tokio::spawn(async move {
                let mut client = crate::support::http::RawClient::connect(address).await.unwrap();
                while !done.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let request = format!("GET /{number} HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\n\r\n");
                    let answer = client.exchange(request).await.unwrap();
                    assert_eq!(answer.status, 200);
                    if answer.header("connection") == Some("close") {
                        client = crate::support::http::RawClient::connect(address).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for round in 1..=3 {
        let before = next.load(Ordering::Relaxed);
        let served = || (next.load(Ordering::Relaxed) > before + 50).then_some(());
        assert!(wait_until(served).is_some(), "no traffic in round {round}");
        rotation.rotate();
        // Rotations are a day apart; here the next one waits for the gate's new file.
        assert!(wait_until(|| gate.access_log().exists().then_some(())).is_some(), "no new file in round {round}");
    }
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        tokio::time::timeout(DEADLINE, caller).await.unwrap().unwrap();
    }
    let sent = next.load(Ordering::Relaxed);
    let seen = || Some(paths(gate.folder.path())).filter(|paths| paths.len() as u64 == sent);
    let seen = wait_until(seen).unwrap_or_else(|| panic!("{} of {sent} in the logs", paths(gate.folder.path()).len()));
    assert!(seen.values().all(|count| *count == 1), "written twice: {seen:?}");
    for file in ["access.log", "access.log.1", "access.log.2.gz", "access.log.3.gz"] {
        assert!(gate.folder.path().join(file).exists(), "{file}");
    }
}

/// How often each path is in all logs together.
fn paths(folder: &Path) -> BTreeMap<String, u32> {
    let mut paths = BTreeMap::new();
    // Plain files pass unchanged.
    let text = run(Command::new("sh")
        .arg("-c")
        .arg("for log in access.log*; do gzip -cdf \"$log\"; done")
        .current_dir(folder));
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        *paths.entry(record["path"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    paths
}

/// The shipped file for the gate's folder and this user, and a `systemctl` that knows one service: the gate.
struct Rotation {
    folder: tempfile::TempDir,
}

impl Rotation {
    fn prepare(gate: &Gate) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shipped = std::fs::read_to_string(source("deploy/logrotate/sensgate")).unwrap();
        let owner = run(Command::new("id").arg("-un"));
        let group = run(Command::new("id").arg("-gn"));
        let config = shipped
            .replace("/var/log/sensgate", gate.folder.path().to_str().unwrap())
            .replace("su sensgate sensgate", &format!("su {} {}", owner.trim(), group.trim()));
        assert!(config.contains(gate.folder.path().to_str().unwrap()) && config.contains(owner.trim()));
        write(&folder.path().join("sensgate"), &config, 0o644);
        let systemctl = format!(
            "#!/bin/sh\n[ \"$*\" = \"kill --kill-whom=main --signal=USR1 sensgate.service\" ] && exec kill -USR1 {}\n",
            gate.child.id()
        );
        write(&folder.path().join("systemctl"), &systemctl, 0o755);
        Self { folder }
    }

    fn rotate(&self) {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.folder.path().display());
        let mut logrotate = Command::new("logrotate");
        let state = self.folder.path().join("state");
        // Found before PATH is changed for it.
        run(logrotate
            .env("PATH", path)
            .arg("--force")
            .arg("--state")
            .arg(state)
            .arg(self.folder.path().join("sensgate")));
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
