//! What systemd hears, on a socket of the test's own.

use crate::gate::{Config, Gate, wait_until};
use crate::support::port;
use crate::support::witness::{Behaviour, Witness};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Stands where systemd would: keeps every message, in order.
struct Manager {
    folder: tempfile::TempDir,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let messages = Arc::clone(&messages);
            move || {
                let mut buffer = [0; 4096];
                while let Ok(length) = socket.recv(&mut buffer) {
                    messages.lock().unwrap().push(String::from_utf8(buffer[..length].to_vec()).unwrap());
                }
            }
        });
        Self { folder, messages }
    }

    fn gate(&self, config: &Config, watchdog: Option<Duration>) -> Gate {
        Gate::start_in(tempfile::tempdir().unwrap(), config, |command| {
            if let Some(watchdog) = watchdog {
                command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
            }
            command.env("NOTIFY_SOCKET", self.folder.path().join("notify"))
        })
    }

    fn heard(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }

    /// Waits until `line` was heard for the `count`th time; returns at which place.
    fn wait_for(&self, line: &str, count: usize) -> usize {
        let place = || {
            let heard = self.heard();
            let found = heard.iter().enumerate().filter(|(_, message)| message.lines().any(|said| said == line));
            found.map(|(place, _)| place).nth(count - 1)
        };
        wait_until(place).unwrap_or_else(|| panic!("not heard {count} times: {line}: {:#?}", self.heard()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_hears_of_start_reload_and_end_in_this_order() {
    let manager = Manager::start();
    let mut gate = manager.gate(&Config::new(port::closed()), None);
    let ready = manager.wait_for("READY=1", 1);
    gate.signal("HUP");
    let reloading = manager.wait_for("RELOADING=1", 1);
    let again = manager.wait_for("READY=1", 2);
    let message = manager.heard()[reloading].clone();
    let when: u64 = message.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse().ok()).unwrap();
    assert!(when > 0, "{message}");

    std::fs::write(gate.folder.path().join("sensgate.toml"), "nonsense").unwrap();
    gate.signal("HUP");
    gate.wait_for_line("configuration refused");
    let refused = manager.wait_for("READY=1", 3);
    gate.signal("TERM");
    let stopping = manager.wait_for("STOPPING=1", 1);
    assert!(gate.wait_for_exit().success());
    assert!(ready < reloading && reloading < again && again < refused && refused < stopping, "{:#?}", manager.heard());
    assert!(manager.heard().iter().all(|message| !message.contains("WATCHDOG")), "nobody asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_hears_whether_8sens_is_reachable() {
    let manager = Manager::start();
    let witness = Witness::start(Behaviour::answer()).await;
    let _up = manager.gate(&Config::new(witness.addr()), None);
    manager.wait_for("STATUS=8sens is reachable", 1);
    let _down = manager.gate(&Config::new(port::closed()), None);
    manager.wait_for("STATUS=8sens is not reachable", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_hears_a_gate_that_lives_and_none_that_is_held_up() {
    let manager = Manager::start();
    let gate = manager.gate(&Config::new(port::closed()), Some(Duration::from_millis(60)));
    manager.wait_for("WATCHDOG=1", 5);
    gate.signal("STOP");
    // What was sent before the signal may still be under way: quiet is two looks in a row that find the same.
    let beats = || manager.heard().iter().filter(|message| message.contains("WATCHDOG=1")).count();
    let stopped = wait_until(|| {
        let before = beats();
        std::thread::park_timeout(Duration::from_millis(200));
        (before == beats()).then_some(before)
    });
    assert!(stopped.is_some());
    gate.signal("CONT");
    manager.wait_for("WATCHDOG=1", stopped.unwrap() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_for_another_process_is_not_answered() {
    let manager = Manager::start();
    let gate = Gate::start_in(tempfile::tempdir().unwrap(), &Config::new(port::closed()), |command| {
        let command = command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
        command.env("NOTIFY_SOCKET", manager.folder.path().join("notify"))
    });
    manager.wait_for("STATUS=8sens is not reachable", 1);
    assert!(manager.heard().iter().all(|message| !message.contains("WATCHDOG")), "{:#?}", manager.heard());
    drop(gate);
}

/// `systemctl stop` of a gate whose service manager reads nothing any more ends all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_that_reads_nothing_holds_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let _deaf = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    let filling = UnixDatagram::unbound().unwrap();
    filling.connect(folder.path().join("notify")).unwrap();
    filling.set_nonblocking(true).unwrap();
    while filling.send(b"full").is_ok() {}
    let mut gate = Gate::start_in(tempfile::tempdir().unwrap(), &Config::new(port::closed()), |command| {
        command.env("WATCHDOG_USEC", "3000").env("NOTIFY_SOCKET", folder.path().join("notify"))
    });
    gate.signal("HUP");
    gate.wait_for_line("configuration reloaded");
    gate.signal("TERM");
    assert!(gate.wait_for_exit().success());
}
