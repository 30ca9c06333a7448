//! The PROXY header: who calls, as a proxy in front states it.

use crate::gate::{Config, DEADLINE, Gate, KEY, get};
use crate::support::http::RawClient;
use crate::support::port;
use crate::support::tls::{connector, make};
use crate::support::witness::{Behaviour, Witness};
use crate::tls::{start, wait_for_metric};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_header_says_who_calls_before_tls_and_after_it() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| {
        config.with("listener", "proxy_protocol = [\"127.0.0.1\"]").with("limits", "connections_per_address = 2")
    });
    let header = b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443\r\n";
    let connector = connector(&[&made], rustls::ALL_VERSIONS);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(gate.address()).await.unwrap();
        stream.write_all(header).await.unwrap();
        let stream = connector.connect(ServerName::try_from("gate.example").unwrap(), stream).await.unwrap();
        let mut client = RawClient::over(stream);
        assert_eq!(client.exchange(get("/v1/a")).await.unwrap().status, 200);
        held.push(client);
    }
    assert_eq!(gate.wait_for_record(|record| record["path"] == "/v1/a")["client_ip"], "203.0.113.9");
    assert_eq!(witness.requests()[0].values("x-forwarded-for"), ["203.0.113.9"]);
    // A third of that address has no place; the proxy itself is not counted.
    let mut stream = TcpStream::connect(gate.address()).await.unwrap();
    stream.write_all(header).await.unwrap();
    let mut refused =
        RawClient::over(connector.connect(ServerName::try_from("gate.example").unwrap(), stream).await.unwrap());
    assert_eq!(refused.read_response().await.unwrap().status, 503);
    // Without the header a listed proxy is not heard.
    let mut bare = RawClient::connect(gate.address()).await.unwrap();
    bare.send(get("/v1/b").replace(KEY, "nobody")).await.unwrap();
    let _ = bare.read_to_end().await;
    gate.wait_for_record(|record| record["reason"] == "no PROXY header from a proxy");
}

/// A version 2 header: a command, and a source with its port; to nowhere in particular.
fn v2(command: u8, source: Option<[u8; 4]>) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.push(0x20 | command);
    match source {
        Some(source) => header.extend([&[0x11, 0, 12][..], &source, &[192, 0, 2, 1, 0x1f, 0x90, 0x01, 0xbb]].concat()),
        None => header.extend([0, 0, 0]),
    }
    header
}

/// The address that a request is counted for which comes behind this header.
async fn counted_for(gate: &Gate, address: SocketAddr, path: &str, header: &[u8], fields: &str) -> serde_json::Value {
    let request = get(path).replace("\r\n\r\n", &format!("\r\n{fields}\r\n"));
    let mut client = RawClient::connect(address).await.unwrap();
    client.send([header, request.as_bytes()].concat()).await.unwrap();
    assert_eq!(client.read_response().await.unwrap().status, 200, "{path}");
    gate.wait_for_record(|record| record["path"] == path)["client_ip"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_name_the_peer_of_client_ip_on_a_plain_listener() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr())
        .with("client_ip", "trusted_proxies = [\"203.0.113.9\"]")
        .with("listener", "proxy_protocol = [\"127.0.0.0/8\"]");
    let gate = Gate::start(&config);
    let claims = "X-Forwarded-For: 198.51.100.5\r\n";
    for (path, header, fields, client) in [
        ("/v1/a", b"PROXY TCP4 203.0.113.7 192.0.2.1 8080 443\r\n".to_vec(), "", "203.0.113.7"),
        ("/v1/b", b"PROXY TCP6 2001:db8::7 2001:db8::1 8080 443\r\n".to_vec(), "", "2001:db8::7"),
        ("/v1/c", v2(1, Some([203, 0, 113, 8])), "", "203.0.113.8"),
        // The stated address is a stranger, or a trusted proxy of its own.
        ("/v1/d", v2(1, Some([203, 0, 113, 8])), claims, "203.0.113.8"),
        ("/v1/e", v2(1, Some([203, 0, 113, 9])), claims, "198.51.100.5"),
        // The proxy speaks for itself.
        ("/v1/f", v2(0, None), "", "127.0.0.1"),
        ("/v1/g", v2(0, Some([203, 0, 113, 8])), "", "127.0.0.1"),
        ("/v1/h", b"PROXY UNKNOWN\r\n".to_vec(), "", "127.0.0.1"),
    ] {
        assert_eq!(counted_for(&gate, gate.address(), path, &header, fields).await, client, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_may_come_in_one_segment_with_the_hello() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| config.with("listener", "proxy_protocol = [\"127.0.0.1\"]"));
    for (path, header) in
        [("/v1/a", b"PROXY TCP4 203.0.113.7 192.0.2.1 8080 443\r\n".to_vec()), ("/v1/b", v2(1, Some([203, 0, 113, 7])))]
    {
        // What is written waits here until the hello is flushed.
        let mut stream = BufWriter::with_capacity(16 << 10, TcpStream::connect(gate.address()).await.unwrap());
        stream.write_all(&header).await.unwrap();
        let name = ServerName::try_from("gate.example").unwrap();
        let stream = connector(&[&made], rustls::ALL_VERSIONS).connect(name, stream).await.unwrap();
        assert_eq!(RawClient::over(stream).exchange(get(path)).await.unwrap().status, 200);
        assert_eq!(gate.wait_for_record(|record| record["path"] == path)["client_ip"], "203.0.113.7");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_of_somebody_who_is_not_listed_is_no_request() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("listener", "proxy_protocol = [\"192.0.2.7\"]"));
    for header in [b"PROXY TCP4 203.0.113.7 192.0.2.1 8080 443\r\n".to_vec(), v2(1, Some([203, 0, 113, 7]))] {
        let mut client = RawClient::connect(gate.address()).await.unwrap();
        client.send([header, get("/v1/a").into_bytes()].concat()).await.unwrap();
        let refused = client.read_response().await.unwrap();
        assert_eq!(refused.json()["code"], "malformed_request");
        assert!(client.read_to_end().await.unwrap().is_empty(), "nothing is answered behind it");
    }
    assert_eq!(gate.exchange(get("/v1/b")).await.status, 200);
    assert_eq!(gate.wait_for_record(|record| record["path"] == "/v1/b")["client_ip"], "127.0.0.1");
    assert_eq!(witness.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_is_awaited_no_longer_than_a_handshake() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr())
        .with("limits", "handshake_timeout = \"300ms\"")
        .with("listener", "proxy_protocol = [\"127.0.0.1\"]");
    let gate = Gate::start(&config);
    for part in [&b"PROXY TCP4 203.0"[..], &v2(1, Some([203, 0, 113, 7]))[..18], b""] {
        let mut client = RawClient::connect(gate.address()).await.unwrap();
        client.send(part).await.unwrap();
        assert_eq!(client.read_to_end().await.unwrap(), b"");
    }
    wait_for_metric(&gate, "sensgate_connections_total{outcome=\"unopened\"}", 3.0).await;
    gate.wait_for_record(|record| record["reason"] == "connection not opened in time");
    // Garbage from a listed proxy is not answered either.
    let mut client = RawClient::connect(gate.address()).await.unwrap();
    client.send(b"PROXY TCP4 nobody nowhere 1 2\r\n").await.unwrap();
    let _ = client.read_to_end().await;
    gate.wait_for_record(|record| record["reason"] == "no PROXY header from a proxy");
    assert!(witness.requests().is_empty());
}

/// HAProxy in front of both kinds of listener, as an admin would write it.
const HAPROXY: &str = "
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen v1
    bind 127.0.0.1:{v1}
    server gate {plain} send-proxy
listen v2
    bind 127.0.0.1:{v2}
    server gate {tls} send-proxy-v2
";

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn haproxy_says_who_calls() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| {
        let plain = "[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = [\"127.0.0.1\"]\n";
        config.with("listener", "proxy_protocol = [\"127.0.0.1\"]").and(plain)
    });
    let (v1, v2) = (port::free(), port::free());
    let text = HAPROXY
        .replace("{v1}", &v1.port().to_string())
        .replace("{v2}", &v2.port().to_string())
        .replace("{tls}", &gate.address().to_string())
        .replace("{plain}", &gate.addresses[1].to_string());
    let file = gate.folder.path().join("haproxy.cfg");
    std::fs::write(&file, text).unwrap();
    let program = if Path::new("/usr/sbin/haproxy").exists() { "/usr/sbin/haproxy" } else { "haproxy" };
    let command =
        Command::new(program).arg("-db").arg("-f").arg(file).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    let _haproxy = Ended(command.unwrap_or_else(|error| panic!("{error}; run `make test`, which installs HAProxy")));
    // The callers of HAProxy have an address of their own.
    let from = |to: SocketAddr| async move {
        let end = Instant::now() + DEADLINE;
        loop {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.77:0".parse().unwrap()).unwrap();
            match socket.connect(to).await {
                Ok(stream) => return stream,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
        }
    };
    assert_eq!(RawClient::over(from(v1).await).exchange(get("/v1/plain")).await.unwrap().status, 200);
    let name = ServerName::try_from("gate.example").unwrap();
    let stream = connector(&[&made], rustls::ALL_VERSIONS).connect(name, from(v2).await).await.unwrap();
    assert_eq!(RawClient::over(stream).exchange(get("/v1/tls")).await.unwrap().status, 200);
    for path in ["/v1/plain", "/v1/tls"] {
        assert_eq!(gate.wait_for_record(|record| record["path"] == path)["client_ip"], "127.0.0.77");
    }
}

#[cfg(target_os = "linux")]
struct Ended(Child);

#[cfg(target_os = "linux")]
impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
