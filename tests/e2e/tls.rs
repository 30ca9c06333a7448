//! TLS on the gate's own listeners, and what comes to them without it.

use crate::gate::{Config, DEADLINE, Gate, KEY, get, write_secret};
use crate::support::http::RawClient;
use crate::support::witness::{Behaviour, Witness};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate in the gate's folder, and what a client needs to trust it.
struct Made {
    chain: String,
    key: String,
    der: CertificateDer<'static>,
}

fn make(names: &[&str]) -> Made {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let chain = made.cert.pem();
    Made {
        der: CertificateDer::from_pem_slice(chain.as_bytes()).unwrap(),
        chain,
        key: made.signing_key.serialize_pem(),
    }
}

impl Made {
    fn write(&self, folder: &Path, name: &str) {
        // As a renewal does it: each file whole, one after the other.
        for (file, content) in [("key", &self.key), ("chain", &self.chain)] {
            let (new, path) = (folder.join("new.pem"), folder.join(format!("{name}-{file}.pem")));
            write_secret(&new, content);
            std::fs::rename(new, path).unwrap();
        }
    }
}

fn connector(trusted: &[&Made], versions: &[&'static rustls::SupportedProtocolVersion]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    trusted.iter().for_each(|made| roots.add(made.der.clone()).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn shake(gate: SocketAddr, connector: &TlsConnector, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    connector.connect(name, TcpStream::connect(gate).await?).await
}

const PAIR: &str = "tls = { certificate = \"one-chain.pem\", key = \"one-key.pem\" }";

fn start(witness: &Witness, made: &Made, config: impl FnOnce(Config) -> Config) -> Gate {
    let folder = tempfile::tempdir().unwrap();
    made.write(folder.path(), "one");
    Gate::start_in(folder, &config(Config::new(witness.addr()).with("listener", PAIR)), |command| command)
}

async fn wait_for_metric(gate: &Gate, series: &str, at_least: f64) {
    let end = Instant::now() + DEADLINE;
    while gate.metric(series).await < at_least {
        assert!(Instant::now() < end, "{series}: {}", gate.metrics().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_serve_http_1_and_8sens_is_told_https() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| config);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = shake(gate.address(), &connector(&[&made], &[version]), "gate.example").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut client = RawClient::over(stream);
        for _ in 0..3 {
            assert_eq!(client.exchange(get("/v1/a")).await.unwrap().status, 200);
        }
    }
    let seen = witness.requests();
    assert!(seen.len() == 6 && seen.iter().all(|request| request.values("x-forwarded-proto") == ["https"]));
    let expiry = "sensgate_certificate_expiry_timestamp_seconds{listener=\"127.0.0.1:0\",name=\"gate.example\"}";
    assert!(gate.metric(expiry).await > 4e9, "{}", gate.metrics().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_chooses_the_certificate() {
    let (witness, one, two) =
        (Witness::start(Behaviour::answer()).await, make(&["one.example"]), make(&["two.example"]));
    let folder = tempfile::tempdir().unwrap();
    one.write(folder.path(), "one");
    two.write(folder.path(), "two");
    let pairs = "tls = [ { certificate = \"one-chain.pem\", key = \"one-key.pem\" }, { certificate = \"two-chain.pem\", key = \"two-key.pem\" } ]";
    let gate = Gate::start_in(folder, &Config::new(witness.addr()).with("listener", pairs), |command| command);
    for (made, name) in [(&one, "one.example"), (&two, "two.example")] {
        assert!(shake(gate.address(), &connector(&[made], rustls::ALL_VERSIONS), name).await.is_ok(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_clear_is_refused_and_reported() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| {
        config.and("[[listener]]\naddress = \"127.0.0.1:0\"\nplaintext = \"redirect\"\n")
    });
    let plain = gate.addresses[1];
    for address in [gate.address(), plain] {
        let refused = RawClient::connect(address).await.unwrap().exchange(get("/v1/a")).await.unwrap();
        assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("insecure_transport")));
    }
    let record = gate.wait_for_record(|record| record["code"] == "insecure_transport");
    assert_eq!(record["alarm"], "key_in_clear");
    wait_for_metric(&gate, "sensgate_alarms_total{alarm=\"key_in_clear\"}", 2.0).await;
    assert!(witness.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_sent_to_https() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| {
        config.and("[[listener]]\naddress = \"127.0.0.1:0\"\nplaintext = \"redirect\"\n")
    });
    let request = "GET /v1/a?access=1 HTTP/1.1\r\nHost: gate.example:80\r\n\r\n";
    let answer = RawClient::connect(gate.addresses[1]).await.unwrap().exchange(request).await.unwrap();
    let location = format!("https://gate.example:{}/v1/a", gate.address().port());
    assert_eq!((answer.status, answer.header("location")), (308, Some(location.as_str())));
    let record = gate.wait_for_record(|record| record["status"] == 308);
    assert_eq!((&record["code"], &record["path"]), (&"ok".into(), &"/v1/a".into()));
    let post = "POST /v1/a HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(RawClient::connect(gate.addresses[1]).await.unwrap().exchange(post).await.unwrap().status, 403);
    assert!(witness.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_takes_too_long_or_fails_is_cut() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| config.with("limits", "handshake_timeout = \"300ms\""));
    let mut silent = RawClient::connect(gate.address()).await.unwrap();
    assert_eq!(silent.read_to_end().await.unwrap(), b"");
    gate.wait_for_record(|record| record["reason"] == "connection not opened in time");
    let mut half = RawClient::connect(gate.address()).await.unwrap();
    half.send(b"\x16\x03\x01\x02").await.unwrap();
    assert_eq!(half.read_to_end().await.unwrap(), b"");
    let mut broken = RawClient::connect(gate.address()).await.unwrap();
    broken.send(b"\x16\x03\x01\x00\x05hello and more than that").await.unwrap();
    // An alert may come first.
    let _ = broken.read_to_end().await;
    gate.wait_for_record(|record| record["reason"] == "TLS handshake failed");
    wait_for_metric(&gate, "sensgate_connections_total{outcome=\"unopened\"}", 3.0).await;
    let stream = shake(gate.address(), &connector(&[&made], rustls::ALL_VERSIONS), "gate.example").await.unwrap();
    assert_eq!(RawClient::over(stream).exchange(get("/v1/a")).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
    let (witness, old, new) =
        (Witness::start(Behaviour::answer()).await, make(&["gate.example"]), make(&["gate.example"]));
    let gate = start(&witness, &old, |config| config.with("limits", "requests_per_connection = 1000000"));
    let (address, both) = (gate.address(), connector(&[&old, &new], rustls::ALL_VERSIONS));
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = [true, true, false, false]
        .into_iter()
        .map(|keeps| {
            let (stop, asked, both) = (Arc::clone(&stop), Arc::clone(&asked), both.clone());
            tokio::spawn(async move {
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    let mut client = match kept.take() {
                        Some(client) => client,
                        None => RawClient::over(shake(address, &both, "gate.example").await.unwrap()),
                    };
                    assert_eq!(client.exchange(get("/v1/a")).await.unwrap().status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                    kept = keeps.then_some(client);
                }
            })
        })
        .collect();
    new.write(gate.folder.path(), "one");
    let only_new = connector(&[&new], rustls::ALL_VERSIONS);
    let end = Instant::now() + DEADLINE;
    while shake(address, &only_new, "gate.example").await.is_err() {
        assert!(Instant::now() < end, "the old certificate is still served");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::fs::write(gate.folder.path().join("one-chain.pem"), "no certificate").unwrap();
    wait_for_metric(&gate, "sensgate_certificates_refused_total", 1.0).await;
    assert!(shake(address, &only_new, "gate.example").await.is_ok(), "the last good one is served on");
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(asked.load(Ordering::Relaxed) > 100);
    assert!(gate.stderr_lines().iter().any(|line| line.contains("certificate cannot be used")));
}

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
        tokio::io::AsyncWriteExt::write_all(&mut stream, header).await.unwrap();
        let stream = connector.connect(ServerName::try_from("gate.example").unwrap(), stream).await.unwrap();
        let mut client = RawClient::over(stream);
        assert_eq!(client.exchange(get("/v1/a")).await.unwrap().status, 200);
        held.push(client);
    }
    assert_eq!(gate.wait_for_record(|record| record["path"] == "/v1/a")["client_ip"], "203.0.113.9");
    assert_eq!(witness.requests()[0].values("x-forwarded-for"), ["203.0.113.9"]);
    // A third of that address has no place; the proxy itself is not counted.
    let mut stream = TcpStream::connect(gate.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, header).await.unwrap();
    let mut refused =
        RawClient::over(connector.connect(ServerName::try_from("gate.example").unwrap(), stream).await.unwrap());
    assert_eq!(refused.read_response().await.unwrap().status, 503);
    // Without the header a listed proxy is not heard.
    let mut bare = RawClient::connect(gate.address()).await.unwrap();
    bare.send(get("/v1/b").replace(KEY, "nobody")).await.unwrap();
    let _ = bare.read_to_end().await;
    gate.wait_for_record(|record| record["reason"] == "no PROXY header from a proxy");
}
