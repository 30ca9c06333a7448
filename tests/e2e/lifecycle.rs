//! Starting, reloading, ending, and logs that cannot be written.

use crate::gate::{Config, DEADLINE, Gate, KEY, consumer, get, post, wait_until, write_secret};
use crate::support::http::RawClient;
use crate::support::port;
use crate::support::witness::{Action, Behaviour, Witness};
use std::process::{Command, Stdio};
use std::time::Duration;

async fn ready(gate: &Gate) -> u16 {
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", gate.admin);
    RawClient::connect(gate.admin).await.unwrap().exchange(request).await.unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_while_8sens_is_down() {
    let gate = Gate::start(&Config::new(port::closed()));
    assert_eq!(ready(&gate).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_requests_in_flight_end() {
    let witness =
        Witness::start(Behaviour::always(Action::After(Duration::from_millis(500), Box::new(Action::Answer)))).await;
    let mut gate = Gate::start(&Config::new(witness.addr()));
    let mut idle = gate.connect().await;
    idle.exchange(get("/warm")).await.unwrap();
    let (mut busy, mut ordering) = (gate.connect().await, gate.connect().await);
    busy.send(get("/busy")).await.unwrap();
    ordering.send(post("/order", "one")).await.unwrap();
    // Whose head is complete only after the signal, and who is refused after it.
    let (mut late, mut refused) = (gate.connect().await, gate.connect().await);
    let head = get("/late");
    late.send(&head[..head.len() - 2]).await.unwrap();
    refused.send(&head.replace(KEY, "nobody")[..head.len() - KEY.len()]).await.unwrap();
    witness.wait_for(3, DEADLINE).await;
    gate.signal("TERM");
    gate.wait_for_line("draining");
    assert_eq!(idle.read_to_end().await.unwrap(), b"", "an idle connection is closed at once");
    late.send("\r\n").await.unwrap();
    refused.send("\r\n\r\n").await.unwrap();
    for (client, status) in [(&mut busy, 200), (&mut ordering, 200), (&mut late, 200), (&mut refused, 401)] {
        let answer = client.read_response().await.unwrap();
        // Said, so that nobody sends the next order on it (RFC 9112 section 9.6).
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
    }
    assert!(gate.wait_for_exit().success());
    assert!(RawClient::connect(gate.address()).await.is_err());
    assert_eq!(gate.records().len(), 5, "the log is written to the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_drain_takes_no_time() {
    let mut gate = Gate::start(&Config::new(port::closed()).with("server", "drain_timeout = \"1h\""));
    gate.signal("TERM");
    assert!(gate.wait_for_exit().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_a_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_secret(&folder.path().join("8sens-api-key"), "a-key-of-8sens-that-is-long");
    let config = Config::new(port::closed()).text().replacen(
        "[[listener]]\naddress = \"127.0.0.1:0\"",
        &format!("[[listener]]\naddress = \"{}\"", taken.local_addr().unwrap()),
        1,
    );
    std::fs::write(folder.path().join("sensgate.toml"), config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sensgate"))
        .args(["run", "--lang", "fr", "--config"])
        .arg(folder.path().join("sensgate.toml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(69));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&format!("impossible d'écouter sur {}", taken.local_addr().unwrap())), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sensgate.toml"), "[upstream]\nadress = \"x\"\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sensgate"))
        .args(["run", "--lang", "en", "--config"])
        .arg(folder.path().join("sensgate.toml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("sensgate.toml:2:1") && stderr.contains("address"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_takes_up_a_good_file_and_refuses_a_bad_one() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr());
    let mut gate = Gate::start(&config);
    let file = gate.folder.path().join("sensgate.toml");
    let request = get("/").replace(KEY, "a-new-key-for-a-new-consumer");
    let mut held = gate.connect().await;
    assert_eq!(held.exchange(&request).await.unwrap().status, 401);

    std::fs::write(&file, config.clone().and(&consumer("nouvelle", "a-new-key-for-a-new-consumer", "")).text())
        .unwrap();
    gate.signal("HUP");
    gate.wait_for_line("configuration reloaded");
    assert_eq!(held.exchange(&request).await.unwrap().status, 200, "the connection lives on under the new rules");

    std::fs::write(&file, "nonsense").unwrap();
    gate.signal("HUP");
    gate.wait_for_line("configuration refused");
    assert_eq!(held.exchange(&request).await.unwrap().status, 200, "the old rules stay");
}

/// A configuration that is read when the test says so, and as a file from then on.
#[cfg(target_os = "linux")]
struct Withheld {
    folder: tempfile::TempDir,
    text: String,
}

#[cfg(target_os = "linux")]
impl Withheld {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_secret(&folder.path().join("8sens-api-key"), "a-key-of-8sens-that-is-long");
        assert!(Command::new("mkfifo").arg(folder.path().join("sensgate.toml")).status().unwrap().success());
        Self { folder, text: text.to_owned() }
    }

    fn start(&self, command: &str) -> std::process::Child {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sensgate"));
        child.args([command, "--lang", "en", "--config"]).arg(self.folder.path().join("sensgate.toml"));
        child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits until somebody reads it. Nothing of it is there to read before `end`.
    fn begin(&self) -> std::fs::File {
        let path = self.folder.path().join("sensgate.toml");
        let pipe = std::fs::File::options().write(true).open(&path).unwrap();
        std::fs::write(self.folder.path().join("new.toml"), &self.text).unwrap();
        std::fs::rename(self.folder.path().join("new.toml"), path).unwrap();
        pipe
    }

    fn end(&self, mut pipe: std::fs::File) {
        std::io::Write::write_all(&mut pipe, self.text.as_bytes()).unwrap();
    }
}

#[cfg(target_os = "linux")]
fn send(child: &std::process::Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[cfg(target_os = "linux")]
#[test]
fn signals_before_there_is_a_gate_are_kept_for_it() {
    use std::io::BufRead;
    let text = Config::new(port::closed()).text();
    for signals in [&["HUP"][..], &["USR1"], &["HUP", "USR1", "HUP", "HUP"]] {
        let withheld = Withheld::new(&text);
        let mut gate = withheld.start("run");
        let pipe = withheld.begin();
        for signal in signals {
            send(&gate, signal);
        }
        withheld.end(pipe);
        let mut lines = std::io::BufReader::new(gate.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("ready")), "{signals:?}: {:?}", gate.wait());
        if signals.contains(&"HUP") {
            assert!(lines.any(|line| line.contains("configuration reloaded")), "{signals:?}: {:?}", gate.wait());
        }
        send(&gate, "TERM");
        assert!(lines.any(|line| line.contains("draining")), "{signals:?}: {:?}", gate.wait());
        assert!(gate.wait().unwrap().success(), "{signals:?}");
    }
}

/// At whatever moment of a start they come.
#[cfg(target_os = "linux")]
#[test]
fn signals_at_any_moment_of_a_start_end_nothing() {
    use std::io::BufRead;
    let text = Config::new(port::closed()).text();
    for _ in 0..5 {
        let withheld = Withheld::new(&text);
        let mut gate = withheld.start("run");
        let pipe = withheld.begin();
        let mut lines = std::io::BufReader::new(gate.stderr.take().unwrap()).lines().map_while(Result::ok);
        let is_ready = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !is_ready.load(std::sync::atomic::Ordering::Relaxed) {
                    send(&gate, "HUP");
                    send(&gate, "USR1");
                }
            });
            withheld.end(pipe);
            let seen = lines.any(|line| line.contains("ready"));
            is_ready.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(seen, "it ended");
        });
        send(&gate, "TERM");
        assert!(lines.any(|line| line.contains("draining")));
        assert!(gate.wait().unwrap().success());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn other_commands_end_with_their_terminal() {
    use std::os::unix::process::ExitStatusExt;
    let withheld = Withheld::new("");
    for command in ["check", "doctor"] {
        let mut child = withheld.start(command);
        let path = withheld.folder.path().join("sensgate.toml");
        // Opened and waiting for what it holds.
        let _pipe = std::fs::File::options().write(true).open(path).unwrap();
        send(&child, "HUP");
        assert_eq!(child.wait().unwrap().signal(), Some(1), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigusr1_reopens_the_access_log() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()));
    gate.exchange(get("/before")).await;
    gate.wait_for_record(|record| record["path"] == "/before");
    std::fs::rename(gate.access_log(), gate.folder.path().join("access.log.1")).unwrap();
    gate.signal("USR1");
    // The signal is seen before the next request only by chance; lines go to one file or the other, and in the end to
    // the new one.
    let seen = wait_until(|| {
        futures_block(gate.exchange(get("/after")));
        gate.records().into_iter().find(|record| record["path"] == "/after")
    });
    assert!(seen.is_some());
}

/// Runs a future from a closure that is not async.
fn futures_block<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_never_stops_traffic() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("log", "access = \"/dev/full\""));
    let mut client = gate.connect().await;
    for _ in 0..200 {
        assert_eq!(client.exchange(get("/")).await.unwrap().status, 200);
    }
    let end = std::time::Instant::now() + DEADLINE;
    while gate.metric("sensgate_access_log_lines_dropped_total").await < 200.0 {
        assert!(std::time::Instant::now() < end, "{}", gate.metrics().await);
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_log_that_stops_never_stops_traffic() {
    let witness = Witness::start(Behaviour::answer()).await;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Held open and never read.
    let _reader = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let config = Config::new(witness.addr()).with("log", "access = \"./pipe\"").with("log", "queue = 64");
    let mut gate = Gate::start_in(folder, &config, |command| command);
    let mut client = gate.connect().await;
    for _ in 0..900 {
        assert_eq!(client.exchange(get("/")).await.unwrap().status, 200);
    }
    assert!(gate.metric("sensgate_access_log_lines_dropped_total").await > 0.0);
    gate.signal("TERM");
    assert!(gate.wait_for_exit().success());
}

#[test]
fn access_lines_go_to_stdout_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = std::fs::File::create(folder.path().join("stdout")).unwrap();
    let path = folder.path().join("stdout");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config::new(port::closed()).with("log", "access = \"stdout\"");
    let gate = Gate::start_in(folder, &config, |command| command.stdout(Stdio::from(log)));
    runtime.block_on(gate.exchange("GET /x HTTP/1.1\r\nHost: a\r\n\r\n"));
    let line = wait_until(|| std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["code"], "missing_key");
}

#[test]
fn demo_once_succeeds_in_both_languages() {
    for (lang, word) in [("en", "expected 401 unknown_key"), ("fr", "attendu 401 unknown_key")] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_sensgate")).args(["demo", "--once", "--lang", lang]).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && stdout.contains(word) && !stdout.contains("FAIL"), "{stdout}");
    }
}
