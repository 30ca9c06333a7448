//! TLS on the gate's own listeners.

use crate::gate::{Config, DEADLINE, Gate, KEY, get, write_secret};
use crate::support::http::{RawClient, Response};
use crate::support::port;
use crate::support::tls::{Made, connector, make, shake};
use crate::support::witness::{Action, Behaviour, Witness};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

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
    let pairs = "tls = [ { certificate = \"one-chain.pem\", key = \"one-key.pem\" }, { certificate = \
                 \"two-chain.pem\", key = \"two-key.pem\" } ]";
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

/// Callers that ask 500 times a second over connections that they keep, and 40 times on a new one each; all answers
/// have to be 200.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(address: SocketAddr, connector: &TlsConnector) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let kept = std::iter::repeat_n((true, Duration::from_millis(16)), 8);
        let new = std::iter::repeat_n((false, Duration::from_millis(50)), 2);
        let callers = kept.chain(new).map(|(keeps, pause)| {
            let (stop, asked, connector) = (Arc::clone(&stop), Arc::clone(&asked), connector.clone());
            tokio::spawn(async move {
                // What a busy machine delays is made up for.
                let mut ticks = tokio::time::interval(pause);
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let mut client = match kept.take() {
                        Some(client) => client,
                        None => RawClient::over(shake(address, &connector, "gate.example").await.unwrap()),
                    };
                    assert_eq!(client.exchange(get("/v1/a")).await.unwrap().status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                    kept = keeps.then_some(client);
                }
            })
        });
        let callers = callers.collect();
        Self { stop, asked, callers }
    }

    /// Fails when one request did.
    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_swapped_under_load_costs_no_request_and_a_broken_one_is_not_taken() {
    let witness = Witness::start(Behaviour::answer()).await;
    let made: Vec<Made> = (0..4).map(|_| make(&["gate.example"])).collect();
    let mut gate = start(&witness, &made[0], |config| config.with("limits", "requests_per_connection = 1000000"));
    let any = connector(&made.iter().collect::<Vec<_>>(), rustls::ALL_VERSIONS);
    let load = Load::start(gate.address(), &any);
    for new in &made[1..3] {
        new.write(gate.folder.path(), "one");
        until_served(&gate, new).await;
    }
    let refused = "sensgate_certificates_refused_total";
    assert!(gate.metric(refused).await < 1.0, "half of a pair is no fault while the other half is written");
    // The key of the next one, and a certificate to which it does not belong.
    write_secret(&gate.folder.path().join("one-key.pem"), &made[3].key);
    wait_for_metric(&gate, refused, 1.0).await;
    let last_good = connector(&[&made[2]], rustls::ALL_VERSIONS);
    assert!(shake(gate.address(), &last_good, "gate.example").await.is_ok(), "the last good one is served on");
    gate.wait_for_line("reason=\"the key is not that of the certificate\"");
    assert!(gate.stderr_lines().iter().any(|line| line.contains("certificate cannot be used, the old one is served")));
    assert!(!gate.stderr_lines().join("").contains(&made[3].key[40..60]));
    std::fs::write(gate.folder.path().join("one-chain.pem"), &made[3].chain).unwrap();
    until_served(&gate, &made[3]).await;
    assert!(load.end().await > 500);
    assert!((gate.metric(refused).await - 1.0).abs() < 0.5, "said once");
}

async fn until_served(gate: &Gate, made: &Made) {
    let (connector, end) = (connector(&[made], rustls::ALL_VERSIONS), Instant::now() + DEADLINE);
    while shake(gate.address(), &connector, "gate.example").await.is_err() {
        assert!(Instant::now() < end, "another certificate is served");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_everybody_can_read_is_not_taken_up() {
    let (witness, old, new) =
        (Witness::start(Behaviour::answer()).await, make(&["gate.example"]), make(&["gate.example"]));
    let mut gate = start(&witness, &old, |config| config);
    let key = gate.folder.path().join("one-key.pem");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&key, &new.key).unwrap();
    std::fs::write(gate.folder.path().join("one-chain.pem"), &new.chain).unwrap();
    wait_for_metric(&gate, "sensgate_certificates_refused_total", 1.0).await;
    gate.wait_for_line("everyone on this machine can use this key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&key, &new.key).unwrap();
    until_served(&gate, &new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hsts_is_told_through_tls_alone_and_with_refusals_too() {
    let own = ("Strict-Transport-Security".to_owned(), "max-age=1; includeSubDomains".to_owned());
    let answer = Action::AnswerWith { status: 200, headers: vec![own], body: b"{}".to_vec() };
    let (witness, made) = (Witness::start(Behaviour::always(answer)).await, make(&["gate.example"]));
    let told = |response: &Response| response.header("strict-transport-security").map(str::to_owned);
    for (line, wanted) in
        [("hsts = \"365d\"", Some("max-age=31536000")), ("hsts = \"0s\"", Some("max-age=0")), ("", None)]
    {
        let gate = start(&witness, &made, |config| config.with("listener", line));
        let stream = shake(gate.address(), &connector(&[&made], rustls::ALL_VERSIONS), "gate.example").await.unwrap();
        let mut client = RawClient::over(stream);
        let requests = [get("/v1/a"), get("/v1/a").replace(KEY, "nobody"), "GET /v1/a HTTP/9.9\r\n\r\n".to_owned()];
        for (request, status) in requests.into_iter().zip([200, 401, 505]) {
            let response = client.exchange(request).await.unwrap();
            assert_eq!((response.status, told(&response).as_deref()), (status, wanted), "{line}");
        }
        let clear = gate.exchange(get("/v1/a")).await;
        assert_eq!((clear.status, told(&clear)), (403, None), "never in clear");
    }
    // A refusal that is written once 8sens was asked.
    let folder = tempfile::tempdir().unwrap();
    made.write(folder.path(), "one");
    let config = Config::new(port::closed()).with("listener", PAIR).with("listener", "hsts = \"1d\"");
    let gate = Gate::start_in(folder, &config, |command| command);
    let stream = shake(gate.address(), &connector(&[&made], rustls::ALL_VERSIONS), "gate.example").await.unwrap();
    let response = RawClient::over(stream).exchange(get("/v1/a")).await.unwrap();
    assert_eq!((response.status, told(&response).as_deref()), (502, Some("max-age=86400")));
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
