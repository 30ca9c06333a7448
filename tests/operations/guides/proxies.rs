//! nginx, HAProxy and Caddy in front of the gate, with the settings of the guide.

use super::{blocks, guide, merged, write_certificate};
use crate::gate::{Config, Gate, KEY, wait_until};
use crate::support::port;
use crate::support::witness::{Behaviour, Witness};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The caller of these tests: not the address of the proxies.
const CALLER: &str = "127.0.0.77";

/// A gate as the guide's `number`th block has it, in a folder with a certificate.
fn gate(witness: &Witness, number: usize) -> Gate {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let fragment = blocks(&guide("behind-a-proxy.md"), "toml").remove(number).replace("127.0.0.1:8443", "127.0.0.1:0");
    let config = merged(&Config::new(witness.addr()).text(), &fragment);
    Gate::start_text(folder, &config, |command| command)
}

/// A block of the guide, made to listen on `port` and to lead to `gate`.
fn block(language: &str, number: usize, gate: &Gate, port: u16) -> String {
    let text = blocks(&guide("behind-a-proxy.md"), language).remove(number);
    // The gate's address comes last: its port may begin with what is looked for.
    text.replace("/etc/ssl/gate/", &format!("{}/", gate.folder.path().display()))
        .replace(":443", &format!("127.0.0.1:{port}"))
        .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
        .replace("127.0.0.1:8443", &gate.address().to_string())
}

/// A proxy in the foreground; killed on drop.
pub struct Proxy(Child);

impl Proxy {
    fn start(command: &mut Command, port: u16) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let up = wait_until(|| {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{command:?} ended: {status}");
            }
            std::net::TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_ok().then_some(())
        });
        assert!(up.is_some(), "{command:?} does not listen");
        Self(child)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // SIGTERM, so that workers end with their parent.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Calls through the proxy; returns the status and the body.
fn call(folder: &Path, port: u16, key_field: &str) -> (String, String) {
    let output = Command::new("curl")
        .args(["-s", "--max-time", "20", "--interface", CALLER, "-w", "\n%{http_code}"])
        .args(["--resolve", &format!("gate.example:{port}:127.0.0.1"), "--cacert"])
        .arg(folder.join("fullchain.pem"))
        .args(["-H", &format!("{key_field}: {KEY}"), "-H", "X-Forwarded-For: 6.6.6.6"])
        .arg(format!("https://gate.example:{port}/v1/articles"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

fn answers_and_knows_the_caller(gate: &Gate, port: u16, key_field: &str) {
    let (status, body) = call(gate.folder.path(), port, key_field);
    assert_eq!(status, "200", "{body}");
    let record = gate.wait_for_record(|record| record["path"] == "/v1/articles");
    assert_eq!(record["client_ip"], CALLER, "{record}");
}

fn nginx(gate: &Gate, server: &str, port: u16) -> Proxy {
    nginx_in(gate.folder.path(), &format!("access_log off;\n{server}"), port)
}

/// nginx with its files in this folder, and these lines in its `http` block.
pub fn nginx_in(folder: &Path, http: &str, port: u16) -> Proxy {
    let (config, log) = (folder.join("nginx.conf"), folder.join("nginx.log"));
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
        .concat();
    let text = format!(
        "daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\nevents {{}}\nhttp {{\n{temporary}{http}}}\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("nginx");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("-e").arg(log).arg("-c").arg(config);
    Proxy::start(&mut command, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx() {
    let witness = Witness::start(Behaviour::answer()).await;
    let (gate, port) = (gate(&witness, 0), port::free().port());
    let server = block("nginx", 0, &gate, port);
    let _nginx = nginx(&gate, &server, port);
    answers_and_knows_the_caller(&gate, port, "api_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_eats_the_key_without_the_setting() {
    let witness = Witness::start(Behaviour::answer()).await;
    let (gate, port) = (gate(&witness, 0), port::free().port());
    let server = block("nginx", 0, &gate, port).replace("underscores_in_headers on;", "");
    let _nginx = nginx(&gate, &server, port);
    let (status, body) = call(gate.folder.path(), port, "api_key");
    assert!(status == "401" && body.contains("missing_key"), "{status} {body}");
}

fn haproxy(gate: &Gate, config: &str, port: u16) -> Proxy {
    let file = gate.folder.path().join("haproxy.cfg");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("haproxy");
    Proxy::start(command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("-db").arg("-f").arg(file), port)
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_haproxy_with_tls_there() {
    let witness = Witness::start(Behaviour::answer()).await;
    let (gate, port) = (gate(&witness, 0), port::free().port());
    let config = block("haproxy", 0, &gate, port);
    let _haproxy = haproxy(&gate, &config, port);
    answers_and_knows_the_caller(&gate, port, "api_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_haproxy_with_tls_at_the_gate() {
    let witness = Witness::start(Behaviour::answer()).await;
    let (gate, port) = (gate(&witness, 1), port::free().port());
    let config = block("haproxy", 1, &gate, port);
    let _haproxy = haproxy(&gate, &config, port);
    answers_and_knows_the_caller(&gate, port, "api_key");
}

fn caddy(gate: &Gate, port: u16) -> Proxy {
    let folder = gate.folder.path().display().to_string();
    let listen = format!(
        "https://gate.example:{port} {{\n\tbind 127.0.0.1\n\ttls {folder}/fullchain.pem {folder}/privkey.pem\n"
    );
    let site = block("caddy", 0, gate, port).replacen("gate.example {\n", &listen, 1);
    let config = format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}");
    let file = gate.folder.path().join("Caddyfile");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("caddy");
    command.env("HOME", &folder).env("XDG_DATA_HOME", &folder).env("XDG_CONFIG_HOME", &folder);
    Proxy::start(command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file), port)
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_caddy() {
    let witness = Witness::start(Behaviour::answer()).await;
    let (gate, port) = (gate(&witness, 0), port::free().port());
    let _caddy = caddy(&gate, port);
    answers_and_knows_the_caller(&gate, port, "api_key");
}

/// For a Caddy that drops names with an underscore.
#[tokio::test(flavor = "multi_thread")]
async fn behind_caddy_under_the_other_name() {
    let witness = Witness::start(Behaviour::answer()).await;
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let guide = blocks(&guide("behind-a-proxy.md"), "toml");
    let config = merged(&Config::new(witness.addr()).text(), &guide[0].replace("127.0.0.1:8443", "127.0.0.1:0"));
    let gate = Gate::start_text(folder, &merged(&config, &guide[2]), |command| command);
    let port = port::free().port();
    let _caddy = caddy(&gate, port);
    answers_and_knows_the_caller(&gate, port, "X-Api-Key");
}
