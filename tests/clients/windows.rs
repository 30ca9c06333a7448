//! TLS as Windows Server 2012 R2 speaks it, spoken by curl: what docs/callers.md says of its certificates.

use crate::gate::{Config, Gate, KEY, write_secret};
use crate::site::Site;
use crate::support::witness::{Behaviour, Witness};
use std::path::Path;
use std::process::{Command, Output};

/// What its Schannel offers, most wanted first: with RSA nothing that is both authenticated and forward secret but by
/// finite-field Diffie-Hellman.
const OFFERED: &str = "ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA:\
                       DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA:\
                       AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-SHA256:AES128-SHA256:AES256-SHA:AES128-SHA:\
                       ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA384:\
                       ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA";

fn call(gate: &Gate, authority: &Path) -> Output {
    Command::new("curl")
        .args(["-sS", "--max-time", "20", "--tls-max", "1.2", "--curves", "P-256:P-384", "--ciphers", OFFERED, "-w"])
        .args(["%{http_code}", "-o", "/dev/null", "-H", &format!("api_key: {KEY}"), "--cacert"])
        .arg(authority)
        .arg(format!("https://localhost:{}/v1/articles", gate.address().port()))
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_server_calls_a_gate_with_an_ecdsa_certificate_and_not_one_with_an_rsa_certificate() {
    let witness = Witness::start(Behaviour::answer()).await;
    let site = Site::new();
    let gate = site.gate_with(Config::new(witness.addr()), true);
    let called = call(&gate, &site.folder().join("ca.pem"));
    assert_eq!(String::from_utf8_lossy(&called.stdout), "200", "{}", String::from_utf8_lossy(&called.stderr));

    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("gate-chain.pem"), folder.path().join("gate-key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "9", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-out"])
        .arg(&chain)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    write_secret(&key, &std::fs::read_to_string(&key).unwrap());
    let gate = Gate::start_in(folder, &Config::new(witness.addr()).with("listener", Site::TLS), |command| command);
    let called = call(&gate, &chain);
    // 35: the handshake failed.
    assert_eq!(called.status.code(), Some(35), "{}", String::from_utf8_lossy(&called.stderr));
    assert_eq!(witness.requests().len(), 1);
}
