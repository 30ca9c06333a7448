//! Callers that are slow, silent or many: what they are cut for, what is left of it, and that others do not notice.

use crate::gate::{Config, DEADLINE, Gate, get, post};
use crate::support::http::RawClient;
use crate::support::witness::{Action, Behaviour, Witness};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};

/// A client on another loopback address.
async fn connect_from(source: [u8; 4], gate: &Gate) -> RawClient<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    RawClient::over(socket.connect(gate.address()).await.unwrap())
}

async fn wait_for_metric(gate: &Gate, series: &str, at_least: f64) {
    let end = Instant::now() + DEADLINE;
    while gate.metric(series).await < at_least {
        assert!(Instant::now() < end, "{series}: {}", gate.metrics().await);
    }
}

fn ended(outcome: &str) -> String {
    format!("sensgate_connections_total{{outcome=\"{outcome}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_gets_its_share_of_connections_and_no_more() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("limits", "connections_per_address = 2"));
    let (mut first, mut second) = (gate.connect().await, gate.connect().await);
    for client in [&mut first, &mut second] {
        assert_eq!(client.exchange(get("/")).await.unwrap().status, 200);
    }
    let refused = gate.connect().await.read_response().await.unwrap();
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("too_many_connections")));
    let record = gate.wait_for_record(|record| record["code"] == "too_many_connections");
    assert_eq!((&record["reason"], &record["client_ip"]), (&"too many from one address".into(), &"127.0.0.1".into()));
    wait_for_metric(&gate, &ended("refused_host"), 1.0).await;
    let mut other = connect_from([127, 0, 0, 2], &gate).await;
    assert_eq!(other.exchange(get("/")).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_speaks_for_many() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr())
        .with("limits", "connections_per_address = 1")
        .with("client_ip", "trusted_proxies = [\"127.0.0.1/32\"]");
    let gate = Gate::start(&config);
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut client = gate.connect().await;
        assert_eq!(client.exchange(get("/")).await.unwrap().status, 200);
        held.push(client);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dripping_body_is_given_up_although_it_is_never_silent() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config =
        Config::new(witness.addr()).with("limits", "body_timeout = \"500ms\"").with("limits", "body_rate = \"1KiB/s\"");
    let gate = Gate::start(&config);
    let mut client = gate.connect().await;
    let request = post("/v1/devis", &"x".repeat(1000));
    let (head, body) = request.split_at(request.len() - 1000);
    client.send(head).await.unwrap();
    let mut drip = tokio::time::interval(Duration::from_millis(50));
    for byte in body.bytes() {
        drip.tick().await;
        if gate.records().iter().any(|record| record["code"] == "request_timeout") {
            break;
        }
        // The last bytes may come after the gate has closed.
        let _ = client.send([byte]).await;
    }
    let record = gate.wait_for_record(|record| record["method"] == "POST");
    assert_eq!((&record["code"], &record["reason"]), (&"request_timeout".into(), &"body comes too slowly".into()));
    assert_eq!(client.read_response().await.unwrap().status, 408);
    wait_for_metric(&gate, &ended("slow_body"), 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dripping_reader_is_let_go_although_it_never_stops() {
    let witness = Witness::start(Behaviour::always(Action::Download(64 << 20))).await;
    let config = Config::new(witness.addr())
        .with("limits", "write_timeout = \"500ms\"")
        .with("limits", "write_rate = \"1MiB/s\"");
    let gate = Gate::start(&config);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(gate.address()).await.unwrap();
    let mut client = RawClient::over(stream);
    client.send(get("/v1/export")).await.unwrap();
    let mut drip = tokio::time::interval(Duration::from_millis(20));
    let mut piece = [0; 512];
    let end = Instant::now() + DEADLINE;
    while gate.records().is_empty() {
        assert!(Instant::now() < end, "still read to");
        drip.tick().await;
        let _ = tokio::io::AsyncReadExt::read(client.stream_mut(), &mut piece).await;
    }
    assert_eq!(gate.wait_for_record(|record| record["method"] == "GET")["code"], "caller_left");
    wait_for_metric(&gate, &ended("slow_reader"), 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_cut_leaves_a_record() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("limits", "head_timeout = \"300ms\""));
    let mut silent = gate.connect().await;
    assert_eq!(silent.read_to_end().await.unwrap(), b"");
    let record = gate.wait_for_record(|record| record["reason"] == "nothing was sent in time");
    assert_eq!((&record["code"], &record["status"]), (&"request_timeout".into(), &serde_json::Value::Null));

    let mut slow = gate.connect().await;
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n").await.unwrap();
    assert_eq!(slow.read_response().await.unwrap().status, 408);
    let record = gate.wait_for_record(|record| record["path"] == "/slow");
    assert_eq!((&record["code"], &record["status"]), (&"request_timeout".into(), &408.into()));

    let mut broken = gate.connect().await;
    broken.send("GET /broken HTTP/1.1\r\nHost: a\r\n").await.unwrap();
    broken.finish_sending().await.unwrap();
    let record = gate.wait_for_record(|record| record["path"] == "/broken");
    assert_eq!((&record["code"], &record["status"]), (&"caller_left".into(), &serde_json::Value::Null));
    drop((silent, slow, broken));
    for outcome in ["silent", "slow_head", "broken"] {
        wait_for_metric(&gate, &ended(outcome), 1.0).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn running_out_of_descriptors_is_survived_and_left() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()));
    let mut kept = gate.connect().await;
    assert_eq!(kept.exchange(get("/")).await.unwrap().status, 200);
    let open = std::fs::read_dir(format!("/proc/{}/fd", gate.child.id())).unwrap().count();
    limit_descriptors(&gate, open + 3);
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(gate.connect().await);
    }
    let mut gate = gate;
    gate.wait_for_line("connections cannot be accepted");
    drop(waiting);
    // Those that left free their descriptors, and whoever waits in the backlog has its turn.
    assert_eq!(gate.exchange(get("/")).await.status, 200);
    assert_eq!(kept.exchange(get("/")).await.unwrap().status, 200);
    assert!(gate.metric("sensgate_accept_failures_total").await >= 1.0);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn descriptors_are_kept_back_for_everything_but_callers() {
    let witness = Witness::start(Behaviour::answer()).await;
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(witness.addr());
    // 64 are kept back, and a caller may need two.
    let gate = Gate::start_limited(folder, &config, 84);
    assert_eq!(gate.metric("sensgate_connections_max").await, 10.0);
    let mut held = Vec::new();
    for _ in 0..10 {
        let mut client = gate.connect().await;
        assert_eq!(client.exchange(get("/")).await.unwrap().status, 200);
        held.push(client);
    }
    assert_eq!(gate.connect().await.read_response().await.unwrap().status, 503);
    assert_eq!(gate.metric("sensgate_accept_failures_total").await, 0.0);
    assert_eq!(held[0].exchange(get("/")).await.unwrap().status, 200);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_no_core() {
    let witness = Witness::start(Behaviour::answer()).await;
    let mut gate = Gate::start(&Config::new(witness.addr()));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gate.child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    gate.signal("ABRT");
    let status = gate.wait_for_exit();
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&status), "{status:?}");
}

#[cfg(target_os = "linux")]
fn limit_descriptors(gate: &Gate, max: usize) {
    let set = format!("--nofile={max}:{max}");
    let status = std::process::Command::new("prlimit").args(["--pid", &gate.child.id().to_string(), &set]).status();
    assert!(status.unwrap().success());
}
