//! The configuration changes while the gate runs: what is applied, what waits for a restart, and what nobody notices.

use crate::gate::{Config, DEADLINE, Gate, KEY, consumer, get};
use crate::sessions::{eight_sens, log_in, with_token};
use crate::support::http::RawClient;
use crate::support::witness::{Action, Behaviour, Witness};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::UnixStream;

const LIMITED_KEY: &str = "sgk_limited_Wk7Tn3Pz9Qv5Rs2Jx8Lm";

fn write(gate: &Gate, config: &Config) {
    // As editors do: whole, under another name, and then over the old one.
    let file = gate.folder.path().join("sensgate.toml");
    std::fs::write(file.with_extension("new"), config.text()).unwrap();
    std::fs::rename(file.with_extension("new"), file).unwrap();
}

/// Runs the command; its exit code, stdout and stderr.
pub fn sensgate(gate: &Gate, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensgate"));
    command.args(args).env("SENSGATE_CONFIG", gate.folder.path().join("sensgate.toml"));
    told(&command.output().unwrap())
}

pub fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_says_what_changed_and_what_waits_for_a_restart() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr());
    let gate = Gate::start(&config);
    let (code, stdout, stderr) = sensgate(&gate, &["reload", "--lang", "en"]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", "nothing to apply\n"));

    let new_key = "a-new-key-for-a-new-consumer";
    let changed = config
        .clone()
        .with("limits", "body_bytes = \"1KiB\"")
        .with("server", "threads = 3")
        .with("log", "queue = 100")
        .and(&consumer("nouvelle", new_key, ""));
    write(&gate, &changed);
    let (code, stdout, _) = sensgate(&gate, &["reload", "--lang", "en"]);
    assert_eq!(code, 0);
    assert_eq!(
        stdout.lines().collect::<Vec<_>>(),
        [
            "consumers: + nouvelle",
            "[limits] body_bytes",
            "needs a restart: [log] queue",
            "needs a restart: [server] threads"
        ]
    );
    assert_eq!(gate.exchange(get("/").replace(KEY, new_key)).await.status, 200);
    assert_eq!(gate.exchange(crate::gate::post("/", &"x".repeat(2000))).await.status, 413);
    assert_eq!(gate.metric("sensgate_config_restart_needed").await, 1.0);
    assert_eq!(gate.metric("sensgate_config_reloads_total{result=\"applied\"}").await, 1.0);
    assert_eq!(gate.metric("sensgate_config_reloads_total{result=\"unchanged\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_refused_with_every_reason_and_changes_nothing() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr());
    let gate = Gate::start(&config);
    write(&gate, &config.clone().with("limits", "body_bites = 1").with("log", "level = \"loud\""));
    let (code, stdout, stderr) = sensgate(&gate, &["reload", "--lang", "fr"]);
    assert_eq!((code, stdout.as_str()), (78, ""));
    assert!(stderr.contains("body_bites") && stderr.contains("loud"), "{stderr}");
    assert!(stderr.contains("la configuration en vigueur reste"), "{stderr}");
    assert_eq!(gate.exchange(get("/")).await.status, 200);
    assert_eq!(gate.metric("sensgate_config_last_reload_successful").await, 0.0);
    let (code, stdout, _) = sensgate(&gate, &["reload", "--format", "json"]);
    assert_eq!(code, 78);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["result"], report["problems"].as_array().unwrap().len()), (&"refused".into(), 2));
    write(&gate, &config);
    assert_eq!(sensgate(&gate, &["reload"]).0, 0);
    assert_eq!(gate.metric("sensgate_config_last_reload_successful").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_gate_there_is_nobody_to_tell() {
    let witness = Witness::start(Behaviour::answer()).await;
    let mut gate = Gate::start(&Config::new(witness.addr()));
    gate.signal("TERM");
    gate.wait_for_exit();
    let (code, _, stderr) = sensgate(&gate, &["reload", "--lang", "en"]);
    assert_eq!(code, 69, "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_taken_up_by_itself_when_that_is_wanted() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr()).with("server", "reload_on_change = true");
    let mut gate = Gate::start(&config);
    let new_key = "a-new-key-for-a-new-consumer";
    write(&gate, &config.clone().and(&consumer("nouvelle", new_key, "")));
    gate.wait_for_line("consumers: + nouvelle");
    assert_eq!(gate.exchange(get("/").replace(KEY, new_key)).await.status, 200);
    // A secret that the file names counts as well.
    crate::gate::write_secret(&gate.folder.path().join("8sens-api-key"), "another-upstream-key-Kq8Zt4Wn");
    gate.wait_for_line("[upstream] api_key");
    // The level is in force at once: from here on only errors are said.
    write(&gate, &config.clone().and(&consumer("nouvelle", new_key, "")).with("log", "level = \"error\""));
    let applied = "sensgate_config_reloads_total{result=\"applied\"}";
    wait_for(async || gate.metric(applied).await == 3.0).await;
    write(&gate, &config.with("server", "thread = 3"));
    gate.wait_for_line("configuration refused");
    assert_eq!(gate.exchange(get("/").replace(KEY, new_key)).await.status, 200);
    assert!(!gate.stderr_lines().iter().any(|line| line.contains("[log] level")), "{:?}", gate.stderr_lines());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_consumers_that_comes_or_goes_is_taken_up() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr()).with("server", "reload_on_change = true");
    let mut gate = Gate::start(&config);
    let folder = gate.folder.path().join("consumers.d");
    std::fs::create_dir(&folder).unwrap();
    let text = format!("consumers = \"consumers.d/*.toml\"\n{}", config.text());
    std::fs::write(gate.folder.path().join("sensgate.toml"), text).unwrap();
    wait_for(async || gate.metric("sensgate_config_reloads_total{result=\"unchanged\"}").await >= 1.0).await;
    let new_key = "a-new-key-for-a-new-consumer";
    std::fs::write(folder.join("a.toml"), consumer("nouvelle", new_key, "")).unwrap();
    gate.wait_for_line("consumers: + nouvelle");
    assert_eq!(gate.exchange(get("/").replace(KEY, new_key)).await.status, 200);
    std::fs::remove_file(folder.join("a.toml")).unwrap();
    gate.wait_for_line("consumers: - nouvelle");
    assert_eq!(gate.exchange(get("/").replace(KEY, new_key)).await.status, 401);
}

async fn wait_for(holds: impl AsyncFn() -> bool) {
    let end = tokio::time::Instant::now() + DEADLINE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < end, "it did not come");
        tokio::task::yield_now().await;
    }
}

/// What a client of the load saw that it should not have.
type Complaint = Option<String>;

/// One connection that asks again and again until it is told to stop.
async fn keep_asking(
    gate: std::net::SocketAddr,
    request: String,
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
) -> Complaint {
    let mut connection = RawClient::connect(gate).await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(8));
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        match connection.exchange(&request).await {
            Ok(answer) if answer.status == 200 => asked.fetch_add(1, Ordering::Relaxed),
            Ok(answer) => return Some(format!("{request}: {}{}", answer.head, answer.text())),
            Err(error) => return Some(format!("{request}: {error}")),
        };
    }
    None
}

/// A hundred reloads that each change something, under about a thousand requests a second on connections that stay
/// open.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_under_load_cost_no_request_no_session_and_forgive_no_limit() {
    let sessions = eight_sens();
    let witness = Witness::start(Behaviour::by(move |request| match request.target() {
        "/slow" => Action::After(Duration::from_millis(200), Box::new(Action::Answer)),
        _ => sessions.act(request),
    }))
    .await;
    let base = Config::new(witness.addr())
        .with("session", "mode = \"guard\"")
        .with("session", "public = [\"GET /slow\"]")
        .with("limits", "requests_per_connection = 1000000");
    let variant = |n: usize| {
        let rules = format!("rate_limit = \"1/d, burst 30\"\ndeny = [\"GET /never/{n}\"]\n");
        let config = base.clone().with("limits", &format!("body_bytes = \"{}KiB\"", 100 + n));
        let config = config.and(&consumer("limitee", LIMITED_KEY, &rules));
        if n.is_multiple_of(2) { config } else { config.and(&consumer("passagere", "a-key-that-comes-and-goes", "")) }
    };
    let gate = Gate::start(&variant(0));
    let token = log_in(&gate, KEY).await;
    let limited_token = log_in(&gate, LIMITED_KEY).await;
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for n in 0..8 {
        let request = with_token(KEY, &format!("/v1/articles/{n}"), &token);
        clients.push(tokio::spawn(keep_asking(gate.address(), request, Arc::clone(&stop), Arc::clone(&asked))));
    }
    clients.push(tokio::spawn(keep_asking(gate.address(), get("/slow"), Arc::clone(&stop), Arc::clone(&asked))));

    // The login of the limited consumer took one of its thirty.
    let (mut admitted, mut refused) = (1, 0);
    let mut limited = gate.connect().await;
    let mut control =
        RawClient::over(UnixStream::connect(gate.folder.path().join("state/control.sock")).await.unwrap());
    for n in 1..=100 {
        write(&gate, &variant(n));
        let answer = control.exchange("POST /reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        let report = answer.json();
        assert_eq!((answer.status, &report["result"]), (200, &"applied".into()), "{report}");
        assert_eq!(report["changes"]["needs_restart"], serde_json::json!([]), "{report}");
        match limited.exchange(with_token(LIMITED_KEY, "/v1/a", &limited_token)).await.unwrap().status {
            200 => admitted += 1,
            429 => refused += 1,
            status => panic!("{status}"),
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.await.unwrap(), None);
    }
    assert_eq!((admitted, refused), (30, 71), "what was used stays used");
    assert_eq!(gate.exchange(with_token(KEY, "/v1/a", &token)).await.status, 200, "the session lives on");
    assert_eq!(gate.metric("sensgate_config_reloads_total{result=\"applied\"}").await, 100.0);
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > 100, "only {asked} requests were made meanwhile");
}
