//! Certificates by ACME, had from Pebble: issued, renewed, in spite of refused nonces, failed validations and restarts.

use crate::gate::{Config, DEADLINE, Gate, KEY, get};
use crate::support::http::RawClient;
use crate::support::pebble::{Behaviour, Pebble, free_port};
use crate::support::tls::{shake, trusting};
use crate::support::witness::{self, Witness};
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ISSUED: &str = "sensgate_acme_orders_total{result=\"issued\"}";
const FAILED: &str = "sensgate_acme_orders_total{result=\"failed\"}";
const SELF_SIGNED: &str = "sensgate_certificate_self_signed{listener=\"127.0.0.1:0\"}";

/// A gate with ACME, a listener in clear, and what it needs around it.
struct Site {
    pebble: Pebble,
    witness: Witness,
    root: CertificateDer<'static>,
    plain: u16,
}

impl Site {
    async fn new(behaviour: Behaviour) -> Self {
        let plain = free_port();
        let (pebble, witness) =
            (Pebble::start(plain, behaviour).await, Witness::start(witness::Behaviour::answer()).await);
        Self { root: pebble.root().await, pebble, witness, plain }
    }

    fn config(&self, domains: &str) -> Config {
        let directory = self.pebble.directory();
        let acme = format!(
            "tls = {{ acme = {{ domains = {domains}, contact = \"admin@gate.test\", directory = \"{directory}\", ca = \
             \"pebble-chain.pem\" }} }}"
        );
        let plain = format!("[[listener]]\naddress = \"127.0.0.1:{}\"\nplaintext = \"redirect\"\n", self.plain);
        Config::new(self.witness.addr()).with("listener", &acme).and(&plain)
    }

    fn start(&self, domains: &str) -> Gate {
        let folder = tempfile::tempdir().unwrap();
        self.pebble.made.write(folder.path(), "pebble");
        Gate::start_in(folder, &self.config(domains), |command| command)
    }

    /// Asks on the listener in clear, as an authority does.
    async fn ask(&self, path: &str) -> crate::support::http::Response {
        let request = format!("GET {path} HTTP/1.1\r\nHost: gate.test\r\n\r\n");
        let address = SocketAddr::from(([127, 0, 0, 1], self.plain));
        RawClient::connect(address).await.unwrap().exchange(request).await.unwrap()
    }
}

/// The certificate that a caller is shown who trusts this root alone; `None` when it would not believe it.
pub async fn shown(gate: &Gate, root: &CertificateDer<'static>, name: &str) -> Option<CertificateDer<'static>> {
    let stream = shake(gate.address(), &trusting(root), name).await.ok()?;
    Some(stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned())
}

pub async fn wait_for<T>(gate: &Gate, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}: {:#?}", gate.stderr_lines());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn wait_for_certificate(gate: &Gate, root: &CertificateDer<'static>, name: &str) -> CertificateDer<'static> {
    wait_for(gate, "no certificate", async || shown(gate, root, name).await).await
}

pub async fn wait_for_metric(gate: &Gate, series: &str, least: f64) {
    wait_for(gate, series, async || (gate.metric(series).await >= least).then_some(())).await;
}

/// Everything that ACME keeps.
pub fn kept(gate: &Gate) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![gate.folder.path().join("state/acme")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn only(gate: &Gate, end: &str) -> PathBuf {
    let mut fitting: Vec<_> = kept(gate).into_iter().filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    assert_eq!(fitting.len(), 1, "{end}: {:?}", kept(gate));
    fitting.remove(0)
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap()) & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_ends_with_a_certificate_and_tells_nobody_its_secrets() {
    let site = Site::new(Behaviour::default()).await;
    // Nobody answers at first, so that there is time to see what a first start serves.
    site.pebble.lead("gate.test", "127.0.0.9").await;
    let mut gate = site.start("[\"gate.test\", \"127.0.0.1\"]");
    gate.wait_for_line("a self-signed certificate is served until the first one is issued");
    assert_eq!(gate.metric(SELF_SIGNED).await, 1.0);
    assert!(shown(&gate, &site.root, "gate.test").await.is_none());
    wait_for_metric(&gate, FAILED, 1.0).await;
    gate.wait_for_line("no certificate could be had");
    site.pebble.lead("gate.test", "127.0.0.1").await;
    gate.signal("HUP");
    wait_for_certificate(&gate, &site.root, "gate.test").await;

    // Both a name and an address, and the gate behind it works.
    let stream = shake(gate.address(), &trusting(&site.root), "127.0.0.1").await.unwrap();
    assert_eq!(RawClient::over(stream).exchange(get("/v1/a")).await.unwrap().status, 200);
    wait_for_metric(&gate, ISSUED, 1.0).await;
    assert_eq!(gate.metric(SELF_SIGNED).await, 0.0);
    let expiry = gate.metrics().await;
    let expiry =
        expiry.lines().find(|line| line.starts_with("sensgate_certificate_expiry_timestamp_seconds{")).unwrap();
    assert!(expiry.rsplit(' ').next().unwrap().parse::<f64>().unwrap() > 1.7e9, "{expiry}");

    // The authority asked in clear; its question is in the access log, and went no further. A token is in no log.
    let record = gate.wait_for_record(|record| record["path"] == "/.well-known/acme-challenge/");
    assert_eq!((&record["status"], &record["code"], &record["method"]), (&200.into(), &"ok".into(), &"GET".into()));
    assert_eq!(record["client_ip"], "127.0.0.1");
    assert!(site.witness.requests().iter().all(|request| request.target() == "/v1/a"));

    let account: serde_json::Value =
        serde_json::from_slice(&std::fs::read(only(&gate, "account.json")).unwrap()).unwrap();
    assert_eq!(account["contact"], "mailto:admin@gate.test");
    let account_key = account["credentials"]["key_pkcs8"].as_str().unwrap().to_owned();
    let pair = std::fs::read_to_string(only(&gate, ".pem")).unwrap();
    let key_line = pair.lines().nth(1).unwrap().to_owned();
    let token = site.pebble.log().split("/.well-known/acme-challenge/").nth(1).unwrap()[..40].to_owned();
    let logs =
        [gate.stderr_lines().join("\n"), std::fs::read_to_string(gate.access_log()).unwrap(), gate.metrics().await];
    for secret in [&account_key[40..], &key_line, &token] {
        assert!(logs.iter().all(|log| !log.contains(secret)), "{secret} is in {logs:#?}");
    }
    #[cfg(unix)]
    for file in kept(&gate) {
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700), "{file:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_challenges_that_are_open_are_answered() {
    let site = Site::new(Behaviour::default()).await;
    let gate = site.start("[\"gate.test\"]");
    for path in [
        "/.well-known/acme-challenge/",
        "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ",
        "/.well-known/acme-challenge/../x",
    ] {
        let answer = site.ask(path).await;
        assert_eq!((answer.status, answer.text().as_str()), (404, "no such challenge\n"), "{path}");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let record = gate.wait_for_record(|record| record["status"] == 404);
    assert_eq!((&record["path"], &record["code"]), (&"/.well-known/acme-challenge/".into(), &"ok".into()));
    // Anything else is as it was: a redirect, or a key in clear that is refused.
    assert_eq!(site.ask("/.well-known/security.txt").await.status, 308);
    let with_key = format!("GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: a\r\napi_key: {KEY}\r\n\r\n");
    let address = SocketAddr::from(([127, 0, 0, 1], site.plain));
    assert_eq!(RawClient::connect(address).await.unwrap().exchange(with_key).await.unwrap().status, 403);
    let post = "POST /.well-known/acme-challenge/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(RawClient::connect(address).await.unwrap().exchange(post).await.unwrap().status, 403);
    assert!(site.witness.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_while_callers_are_served() {
    let site = Site::new(Behaviour { lifetime: 9, ..Behaviour::default() }).await;
    let gate = site.start("[\"gate.test\"]");
    let first = wait_for_certificate(&gate, &site.root, "gate.test").await;
    let stream = shake(gate.address(), &trusting(&site.root), "gate.test").await.unwrap();
    let mut kept_open = RawClient::over(stream);
    let second = wait_for(&gate, "not renewed", async || {
        assert_eq!(kept_open.exchange(get("/v1/a")).await.unwrap().status, 200);
        shown(&gate, &site.root, "gate.test").await.filter(|now| *now != first)
    })
    .await;
    assert_ne!(first, second);
    assert!(gate.metric(ISSUED).await >= 2.0);
    assert_eq!(gate.metric(FAILED).await, 0.0);
    assert_eq!(site.pebble.log().matches("POST /sign-me-up").count(), 1, "one account");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_nonces_do_no_harm() {
    let site = Site::new(Behaviour { refused_nonces: 30, ..Behaviour::default() }).await;
    let gate = site.start("[\"gate.test\"]");
    let mut told = 0.0;
    wait_for(&gate, "no certificate", async || {
        // Five attempts in a row may lose all their nonces; then it is tried again, here at once.
        let failed = gate.metric(FAILED).await;
        if failed > told {
            told = failed;
            gate.signal("HUP");
        }
        shown(&gate, &site.root, "gate.test").await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_certificate_and_other_names_get_another_one() {
    let site = Site::new(Behaviour::default()).await;
    let gate = site.start("[\"gate.test\"]");
    let first = wait_for_certificate(&gate, &site.root, "gate.test").await;
    let gate = gate.restart(&site.config("[\"gate.test\"]"));
    assert_eq!(shown(&gate, &site.root, "gate.test").await.as_ref(), Some(&first), "served from the first moment on");
    assert_eq!(gate.metric(SELF_SIGNED).await, 0.0);
    gate.signal("HUP");
    assert_eq!((site.pebble.orders(), gate.metric(ISSUED).await), (1, 0.0), "no order while the certificate is good");

    // A name more, by reload: the old certificate serves until the new one is there.
    let more = site.config("[\"gate.test\", \"shop.test\"]");
    std::fs::write(gate.folder.path().join("sensgate.toml"), more.text()).unwrap();
    gate.signal("HUP");
    wait_for(&gate, "no certificate for the new name", async || {
        assert!(shown(&gate, &site.root, "gate.test").await.is_some());
        shown(&gate, &site.root, "shop.test").await
    })
    .await;
    // And a name more by restart: what was there serves its names.
    site.pebble.lead("late.test", "127.0.0.9").await;
    let gate = gate.restart(&site.config("[\"gate.test\", \"shop.test\", \"late.test\"]"));
    assert!(shown(&gate, &site.root, "shop.test").await.is_some());
    assert!(shown(&gate, &site.root, "late.test").await.is_none());
    site.pebble.lead("late.test", "127.0.0.1").await;
    gate.signal("HUP");
    wait_for_certificate(&gate, &site.root, "late.test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_killed_within_an_order_gets_its_certificate_after_all() {
    let site = Site::new(Behaviour::default()).await;
    // The authority's question is caught on its way, so the order is under way for certain.
    let held = tokio::net::TcpListener::bind(("127.0.0.8", site.plain)).await.unwrap();
    site.pebble.lead("gate.test", "127.0.0.8").await;
    let gate = site.start("[\"gate.test\"]");
    let (question, _) = tokio::time::timeout(DEADLINE, held.accept()).await.unwrap().unwrap();
    assert!(only(&gate, ".order.json").exists());
    gate.signal("KILL");
    drop((question, held));
    site.pebble.lead("gate.test", "127.0.0.1").await;
    let gate = gate.restart(&site.config("[\"gate.test\"]"));
    let mut told = 0.0;
    wait_for(&gate, "no certificate", async || {
        let failed = gate.metric(FAILED).await;
        if failed > told {
            told = failed;
            gate.signal("HUP");
        }
        shown(&gate, &site.root, "gate.test").await
    })
    .await;
    assert!(!kept(&gate).iter().any(|path| path.to_str().unwrap().ends_with(".order.json")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_the_authority_forgot_is_made_anew() {
    let site = Site::new(Behaviour::default()).await;
    let gate = site.start("[\"gate.test\"]");
    wait_for_certificate(&gate, &site.root, "gate.test").await;
    // The same address, another server: what the folder knows is from another life.
    let account = only(&gate, "account.json");
    let stored = std::fs::read_to_string(&account).unwrap();
    let id = stored.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
    let unknown = format!("{id}0000");
    std::fs::write(&account, stored.replace(id, &unknown)).unwrap();
    let more = site.config("[\"gate.test\", \"shop.test\"]");
    std::fs::write(gate.folder.path().join("sensgate.toml"), more.text()).unwrap();
    gate.signal("HUP");
    wait_for_certificate(&gate, &site.root, "shop.test").await;
    assert!(!std::fs::read_to_string(&account).unwrap().contains(&unknown));
}
