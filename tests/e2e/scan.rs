//! What testssl.sh finds at a TLS listener: `make tls-scan`. Not a part of `make test`: it takes minutes.

use crate::gate::{Config, DEADLINE, Gate};
use crate::support::port;
use crate::support::tls::Authority;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Findings that a certificate made for a test cannot avoid, each with its reason. Every other one from LOW upwards is
/// a failure.
const ALLOWED: [(&str, &str); 3] = [
    ("cert_chain_of_trust", "no public authority knows the one of this test"),
    ("cert_revocation", "the authority of this test has neither CRL nor OCSP"),
    ("DNS_CAArecord", "localhost has no DNS"),
];

/// How long a scan may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(1200);

#[test]
#[ignore = "takes minutes: make tls-scan"]
fn testssl_finds_nothing_but_what_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue_as_usual("localhost").write(folder.path(), "one");
    let config = Config::new(port::closed())
        .with("limits", "address_budget = \"1000/s\"")
        .with("listener", "tls = { certificate = \"one-chain.pem\", key = \"one-key.pem\" }\nhsts = \"365d\"");
    let gate = Gate::start_in(folder, &config, |command| command);
    let (out, log) = (gate.folder.path().join("scan.json"), gate.folder.path().join("scan.log"));
    let mut scan = Command::new("testssl")
        .args(["--quiet", "--warnings", "batch", "--color", "0", "--ip", "127.0.0.1", "--jsonfile"])
        .arg(&out)
        .arg(format!("localhost:{}", gate.address().port()))
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&log).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("testssl: {error}; run `make tls-scan`"));
    let end = Instant::now() + PATIENCE;
    while scan.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            let _ = scan.kill();
            panic!("no end of the scan: {}", std::fs::read_to_string(&log).unwrap_or_default());
        }
        std::thread::park_timeout(DEADLINE / 100);
    }
    let findings: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    // A scan that saw nothing finds nothing.
    let seen = |id: &str| findings.iter().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("no {id}"));
    for (id, finding) in [("TLS1", "not offered"), ("TLS1_1", "not offered"), ("TLS1_2", "offered")] {
        assert_eq!(seen(id)["finding"], finding, "{id}");
    }
    assert!(seen("TLS1_3")["finding"].as_str().unwrap().starts_with("offered"));
    // WARN is about the scan itself, such as an OpenSSL without old engines.
    let is_harmless =
        |finding: &&serde_json::Value| matches!(finding["severity"].as_str(), Some("OK" | "INFO" | "WARN"));
    let (harmless, rest): (Vec<_>, Vec<_>) = findings.iter().partition(is_harmless);
    println!("{} findings are fine, {} are not:", harmless.len(), rest.len());
    let mut unlisted = 0;
    for finding in rest {
        let id = finding["id"].as_str().unwrap();
        let reason =
            ALLOWED.iter().find(|(allowed, _)| id.split(' ').next() == Some(allowed)).map(|(_, reason)| *reason);
        println!(
            "{:8} {id}: {} ({})",
            finding["severity"].as_str().unwrap(),
            finding["finding"],
            reason.unwrap_or("NOT LISTED")
        );
        unlisted += usize::from(reason.is_none());
    }
    assert_eq!(unlisted, 0);
}
