//! An 8sens behind a TLS terminator: it is spoken to when it is known to be itself, and not at all otherwise.

use crate::gate::{Config, Gate, get, post, write_secret};
use crate::support::tls::{Authority, Terminator, make};
use crate::support::witness::{Behaviour, Witness};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A gate in front of that address, which believes what is in `ca`.
fn start(upstream: SocketAddr, ca: &str, more: &str) -> Gate {
    let folder = tempfile::tempdir().unwrap();
    write_secret(&folder.path().join("ca.pem"), ca);
    Gate::start_in(folder, &config(upstream, more), |command| command)
}

fn config(upstream: SocketAddr, more: &str) -> Config {
    let config = Config::new(upstream).with("upstream", "connect_timeout = \"1s\"");
    config.and(&format!("[upstream.tls]\nca = \"ca.pem\"\n{more}\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certified_8sens_is_spoken_to_by_its_name_and_in_http_1() {
    // Reads share a connection, and each write has its own. So has each target that Pingora cannot write.
    for (forwarder, connections) in [("pingora", 5), ("direct", 4)] {
        spoken_to_by_its_name(forwarder, connections).await;
    }
}

async fn spoken_to_by_its_name(forwarder: &str, connections: usize) {
    let (witness, authority) = (Witness::start(Behaviour::answer()).await, Authority::new());
    let made = authority.issue("8sens.lan", 2099);
    let terminator = Terminator::start(&made, witness.addr()).await;
    let folder = tempfile::tempdir().unwrap();
    write_secret(&folder.path().join("ca.pem"), &authority.pem);
    let config = config(terminator.address, "name = \"8sens.lan\"");
    let config = config.with("upstream", &format!("forwarder = \"{forwarder}\""));
    let gate = Gate::start_in(folder, &config, |command| command);
    let mut client = gate.connect().await;
    let odd = "/v1/e?q=\"<x>\"";
    for request in [get("/v1/a"), get("/v1/b"), post("/v1/c", "hi"), post("/v1/d", "hi"), get(odd), post(odd, "hi")] {
        assert_eq!(client.exchange(request).await.unwrap().status, 200);
    }
    let seen = terminator.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), connections, "{forwarder}");
    assert!(seen.iter().all(|shown| *shown == (Some("8sens.lan".to_owned()), Some(b"http/1.1".to_vec()))), "{seen:?}");
    assert_eq!(witness.requests().iter().filter(|request| request.target() == odd).count(), 2);
    // What the caller's side was is told, not what this side is.
    let requests = witness.requests();
    assert!(requests.len() == 6 && requests.iter().all(|request| request.values("x-forwarded-proto") == ["http"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_name_the_certificate_is_for_the_address_and_may_vouch_for_itself() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["127.0.0.1"]));
    let terminator = Terminator::start(&made, witness.addr()).await;
    let gate = start(terminator.address, &made.chain, "");
    assert_eq!(gate.exchange(get("/v1/a")).await.status, 200);
    assert_eq!(terminator.seen.lock().unwrap()[0].0, None, "an address is no name to ask for");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_certified_gets_no_request_and_the_log_says_why() {
    let witness = Witness::start(Behaviour::answer()).await;
    let (ours, others) = (Authority::new(), Authority::new());
    for (made, reason) in [
        (others.issue("8sens.lan", 2099), "certificate of 8sens is not from upstream.tls.ca"),
        (make(&["8sens.lan"]), "certificate of 8sens is not from upstream.tls.ca"),
        (ours.issue("other.lan", 2099), "certificate of 8sens does not name it"),
        (ours.issue("8sens.lan", 2020), "certificate of 8sens has expired"),
    ] {
        let terminator = Terminator::start(&made, witness.addr()).await;
        let gate = start(terminator.address, &ours.pem, "name = \"8sens.lan\"");
        refused(&gate, reason).await;
    }
    // There is no TLS at all, then nobody answers a hello in time.
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    refused(&start(address, &ours.pem, ""), "TLS handshake with 8sens failed").await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    refused(&start(silent.local_addr().unwrap(), &ours.pem, ""), "connect timed out").await;
    assert!(witness.requests().is_empty());
}

async fn refused(gate: &Gate, reason: &str) {
    for request in [get("/v1/a?\"<>"), get("/v1/a"), post("/v1/a", "hi")] {
        let refused = gate.exchange(request).await;
        assert_eq!((refused.status, refused.json()["code"].as_str()), (502, Some("upstream_unreachable")), "{reason}");
        assert!(!refused.text().contains("certificate"), "callers are not told: {}", refused.text());
    }
    gate.wait_for_record(|record| record["reason"] == reason && record["method"] == "POST");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn another_authority_is_believed_after_a_reload_and_the_old_one_no_more() {
    let (witness, old, new) = (Witness::start(Behaviour::answer()).await, Authority::new(), Authority::new());
    let terminator = Terminator::start(&old.issue("8sens.lan", 2099), witness.addr()).await;
    let mut gate = start(terminator.address, &old.pem, "name = \"8sens.lan\"");
    let mut client = gate.connect().await;
    assert_eq!(client.exchange(get("/v1/a")).await.unwrap().status, 200);
    write_secret(&gate.folder.path().join("ca.pem"), &new.pem);
    gate.signal("HUP");
    gate.wait_for_line("configuration reloaded");
    // Not even on the connection that is still in the pool.
    assert_eq!(client.exchange(get("/v1/b")).await.unwrap().status, 502);
    gate.wait_for_record(|record| record["reason"] == "certificate of 8sens is not from upstream.tls.ca");
}

/// What `doctor` says of a gate's configuration.
async fn doctor(gate: &Gate) -> String {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sensgate"));
    command.args(["doctor", "--lang", "en", "--config"]).arg(gate.folder.path().join("sensgate.toml"));
    let output = command.stdin(std::process::Stdio::null()).output().await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_a_certified_8sens_and_shows_its_key_to_nobody_else() {
    let (witness, authority, others) = (Witness::start(Behaviour::answer()).await, Authority::new(), Authority::new());
    let terminator = Terminator::start(&authority.issue("8sens.lan", 2099), witness.addr()).await;
    let said = doctor(&start(terminator.address, &others.pem, "name = \"8sens.lan\"")).await;
    assert!(said.contains("is not what [upstream.tls] describes"), "{said}");
    assert!(witness.requests().is_empty());
    let said = doctor(&start(terminator.address, &authority.pem, "name = \"8sens.lan\"")).await;
    assert!(said.contains("HTTP answers") && !said.contains("[upstream.tls]"), "{said}");
    let host = terminator.address.to_string();
    let requests = witness.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.values("host") == [host.as_str()]));
}
