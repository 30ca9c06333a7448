//! TLS on the gate's own listeners.

use crate::gate::{Config, DEADLINE, Gate, get};
use crate::support::http::RawClient;
use crate::support::tls::{Made, connector, make, shake};
use crate::support::witness::{Behaviour, Witness};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub const PAIR: &str = "tls = { certificate = \"one-chain.pem\", key = \"one-key.pem\" }";

pub fn start(witness: &Witness, made: &Made, config: impl FnOnce(Config) -> Config) -> Gate {
    let folder = tempfile::tempdir().unwrap();
    made.write(folder.path(), "one");
    Gate::start_in(folder, &config(Config::new(witness.addr()).with("listener", PAIR)), |command| command)
}

pub async fn wait_for_metric(gate: &Gate, series: &str, at_least: f64) {
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

/// A ClientHello that offers one version at most, and suites by their numbers (RFC 5246 section 7.4.1.2).
fn hello(version: [u8; 2], suites: &[u8]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(u16::try_from(suites.len()).unwrap().to_be_bytes());
    body.extend(suites);
    // No compression; the curves and signatures that everybody has.
    body.extend([1, 0]);
    let extensions = [[0, 10, 0, 4, 0, 2, 0, 23].as_slice(), &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 4, 0, 2, 4, 3]].concat();
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1], &len[1..], &body].concat();
    [&[0x16, 3, 1], &u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_and_suites_are_refused() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| config);
    // ECDHE-ECDSA with AES-128-GCM; with AES-128-CBC; ECDHE-RSA with 3DES, and RSA with RC4.
    let (gcm, cbc, old) = ([0xc0, 0x2b], [0xc0, 0x09], [0xc0, 0x12, 0x00, 0x05]);
    for (version, suites, alert) in [
        ([3, 0], &gcm[..], Some(70)),
        ([3, 1], &gcm, Some(70)),
        ([3, 2], &gcm, Some(70)),
        ([3, 3], &cbc, Some(40)),
        ([3, 3], &old, Some(40)),
        // The same bytes with what the gate has: what is above is refused for what it says.
        ([3, 3], &gcm, None),
    ] {
        let mut client = RawClient::connect(gate.address()).await.unwrap();
        client.send(hello(version, suites)).await.unwrap();
        client.finish_sending().await.unwrap();
        let answer = client.read_to_end().await.unwrap();
        match alert {
            // A fatal alert (RFC 8446 section 6): protocol_version or handshake_failure, and nothing else.
            Some(alert) => assert_eq!((answer[0], &answer[5..]), (0x15, &[2, alert][..]), "{version:?} {suites:?}"),
            None => assert_eq!((answer[0], answer[5]), (0x16, 2), "a ServerHello"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_handshakes_keep_nobody_from_theirs() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| config.with("limits", "handshake_timeout = \"1h\""));
    let mut held = Vec::new();
    for n in 0..200 {
        let mut client = RawClient::connect(gate.address()).await.unwrap();
        let hello = hello([3, 3], &[0xc0, 0x2b]);
        // Silent within its hello, or with the answer to it.
        client.send(&hello[..if n % 2 == 0 { 20 } else { hello.len() }]).await.unwrap();
        held.push(client);
    }
    let connector = connector(&[&made], rustls::ALL_VERSIONS);
    let stream = shake(gate.address(), &connector, "gate.example");
    let stream = tokio::time::timeout(DEADLINE, stream).await.expect("a handshake while others are under way").unwrap();
    assert_eq!(RawClient::over(stream).exchange(get("/v1/a")).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_certificates_is_shown_to_who_asks_for_it() {
    let witness = Witness::start(Behaviour::answer()).await;
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("shop-{n}.example")).collect();
    let made: Vec<Made> = names.iter().map(|name| make(&[name])).collect();
    let pairs = made.iter().zip(&names).map(|(made, name)| {
        made.write(folder.path(), name);
        format!("{{ certificate = \"{name}-chain.pem\", key = \"{name}-key.pem\" }}")
    });
    let line = format!("tls = [ {} ]", pairs.collect::<Vec<_>>().join(", "));
    let gate = Gate::start_in(folder, &Config::new(witness.addr()).with("listener", &line), |command| command);
    let everything = connector(&made.iter().collect::<Vec<_>>(), rustls::ALL_VERSIONS);
    let shown = |name: &'static str| {
        let (address, everything) = (gate.address(), &everything);
        async move {
            // A name that the certificate does not hold is refused by the client, which then has seen it.
            shake(address, everything, name)
                .await
                .map(|stream| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
        }
    };
    for n in [0, 1, 17, 39] {
        let name: &'static str = Box::leak(names[n].clone().into_boxed_str());
        assert_eq!(shown(name).await.unwrap(), made[n].der.to_vec(), "{name}");
    }
    let error = shown("unknown.example").await.unwrap_err().to_string();
    assert!(error.contains("shop-0.example"), "the first is for every other name: {error}");
}
