//! A real nginx in front of the gate: with its default it takes `api_key` out.

use super::site::{Diagnosis, doctor, sandbox};
use crate::gate::{Config, Gate, wait_until};
use crate::support::port;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn start(gate: SocketAddr, more: &str) -> Self {
        Self::speaking("proxy_http_version 1.1; proxy_set_header Connection \"\";", gate, more)
    }

    /// With these directives beside `proxy_pass`.
    fn speaking(version: &str, gate: SocketAddr, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = port::free();
        let path = folder.path().display();
        let conf = format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\nevents {{ worker_connections \
             64; }}\n\
             http {{ access_log off; client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path \
             {path}/f;\n\
             uwsgi_temp_path {path}/u; scgi_temp_path {path}/s; {more}\n\
             server {{ listen {address}; location / {{ proxy_pass http://{gate}; {version} }} }} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), conf).unwrap();
        let child = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/sbin:/bin")
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        let nginx = Self { child, address, _folder: folder };
        assert!(wait_until(|| TcpStream::connect(address).ok()).is_some(), "nginx does not listen");
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn through(gate: &Gate, url: &str) -> Diagnosis {
    let config = gate.folder.path().join("sensgate.toml");
    doctor(Command::new(env!("CARGO_BIN_EXE_sensgate")), &config, &["--through", url], "")
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_eats_the_key_until_it_is_told_not_to() {
    let gate = Gate::start(&Config::new(sandbox(|_| {}).await));
    let default = Nginx::start(gate.address(), "");
    let diagnosis = through(&gate, &format!("http://{}", default.address));
    diagnosis.expect("front", "ok", "leads to this gate");
    diagnosis.expect("front_key", "error", "takes the field api_key out");
    assert_eq!(diagnosis.code, 69);
    let remedies =
        diagnosis.findings.iter().find(|finding| finding["check"] == "front_key").unwrap()["remedies"].to_string();
    for setting in ["underscores_in_headers on;", "allow_underscore_in_headers", "underscoreHeadersStrategy"] {
        assert!(remedies.contains(setting), "{remedies}");
    }
    let told = Nginx::start(gate.address(), "underscores_in_headers on;");
    through(&gate, &format!("http://{}/", told.address)).expect("front_key", "ok", "arrives");
    through(&gate, &format!("http://{}", gate.address())).expect("front_key", "ok", "arrives");
}

/// nginx speaks HTTP/1.0 until it is told not to.
#[tokio::test(flavor = "multi_thread")]
async fn a_front_that_speaks_http_1_0() {
    let gate = Gate::start(&Config::new(sandbox(|_| {}).await));
    let old = Nginx::speaking("proxy_http_version 1.0;", gate.address(), "underscores_in_headers on;");
    let diagnosis = through(&gate, &format!("http://{}", old.address));
    diagnosis.expect("front_key", "error", "speaks HTTP/1.0 to the gate");
    assert_eq!(diagnosis.code, 69);
    let finding = diagnosis.findings.iter().find(|finding| finding["check"] == "front_key").unwrap();
    assert!(finding["remedies"].to_string().contains("proxy_http_version 1.1;"), "{finding}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_that_leads_elsewhere() {
    let upstream = sandbox(|_| {}).await;
    let gate = Gate::start(&Config::new(upstream));
    through(&gate, &format!("http://{}", port::closed())).expect("front", "error", "does not answer");
    through(&gate, &format!("http://{upstream}")).expect(
        "front",
        "error",
        "not answered by a gate: 404, Server: 8sens-sandbox",
    );
    let other = Gate::start(&Config::new(upstream));
    through(&gate, &format!("http://{}", other.address())).expect(
        "front",
        "warning",
        "not to the one of this configuration",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_that_hides_https() {
    let config = Config::new(sandbox(|_| {}).await)
        .with("client_ip", "trusted_proxies = [\"127.0.0.1\"]")
        .with("listener", "plaintext = \"behind_proxy\"");
    let gate = Gate::start(&config);
    let silent = Nginx::start(gate.address(), "underscores_in_headers on;");
    let diagnosis = through(&gate, &format!("http://{}", silent.address));
    diagnosis.expect("front_key", "warning", "403 insecure_transport");
}
