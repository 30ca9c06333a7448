//! Starts the binary on free ports, and reads what it writes.

use crate::support::http::{RawClient, Response};
use sensgate::domain::rules::consumer::digest;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The key that the shop of the tests sends.
pub const KEY: &str = "sgk_shop_kS3jq8Zr0Lw5VbTn2YxUcHd7";
/// The key of a partner that may only GET /v1/open/*.
pub const PARTNER_KEY: &str = "sgk_partner_Qm4Wc9Xt1Ne6Rb3Yv8Ua";
/// The key of a depot that may only call from a network nobody here is in.
pub const DEPOT_KEY: &str = "sgk_depot_Zp7Jd2Hs5Kf0Lg9Mx4Tv";
/// The key that only 8sens may see.
pub const UPSTREAM_KEY: &str = "8sens-upstream-KhT5wQz9RfLm2Vb8";

pub const DEADLINE: Duration = Duration::from_secs(20);

/// A configuration under construction; the defaults suit most tests.
#[derive(Clone)]
pub struct Config {
    upstream: String,
    tables: Vec<(&'static str, String)>,
    tail: String,
}

impl Config {
    /// In front of an 8sens at that address, or with that name and port.
    pub fn new(upstream: impl std::fmt::Display) -> Self {
        Self { upstream: upstream.to_string(), tables: Vec::new(), tail: String::new() }
    }

    /// Adds a line to a table, such as `("upstream", "read_timeout = \"300ms\"")`.
    pub fn with(mut self, table: &'static str, line: &str) -> Self {
        self.tables.push((table, line.to_owned()));
        self
    }

    /// Adds text after everything else.
    pub fn and(mut self, text: &str) -> Self {
        self.tail.push_str(text);
        self
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for table in ["upstream", "session", "login", "client_ip", "limits", "log", "admin", "server"] {
            if table == "login" && !self.tables.iter().any(|(name, _)| *name == table) {
                continue;
            }
            text.push_str(&format!("[{table}]\n"));
            match table {
                "upstream" => {
                    text.push_str(&format!(
                        "address = \"{}\"\napi_key = {{ file = \"8sens-api-key\" }}\n",
                        self.upstream
                    ));
                    if let Some(forwarder) = forwarder()
                        && !self.has("upstream", "forwarder")
                    {
                        text.push_str(&format!("forwarder = \"{forwarder}\"\n"));
                    }
                }
                // Most tests are not about sessions.
                "session" if !self.has("session", "mode") => text.push_str("mode = \"observe\"\n"),
                "log" if !self.has("log", "access") => text.push_str("access = \"access.log\"\n"),
                "admin" => text.push_str("address = \"127.0.0.1:0\"\n"),
                "server" if !self.has("server", "drain_timeout") => text.push_str("drain_timeout = \"10s\"\n"),
                _ => {}
            }
            for (_, line) in self.tables.iter().filter(|(name, _)| *name == table) {
                text.push_str(&format!("{line}\n"));
            }
        }
        text.push_str("[[listener]]\naddress = \"127.0.0.1:0\"\n");
        for (_, line) in self.tables.iter().filter(|(name, _)| *name == "listener") {
            text.push_str(&format!("{line}\n"));
        }
        text.push_str(&consumer("boutique-paris", KEY, ""));
        text.push_str(&consumer("partenaire-lyon", PARTNER_KEY, "allow = [\"GET /v1/open/*\"]\n"));
        text.push_str(&consumer("depot-lille", DEPOT_KEY, "allow_from = [\"203.0.113.0/24\"]\n"));
        text.push_str(&self.tail);
        text
    }

    fn has(&self, table: &str, key: &str) -> bool {
        self.tables.iter().any(|(name, line)| *name == table && line.starts_with(key))
    }
}

/// `FORWARDER=pingora` runs the tests over another lane than the default one.
#[allow(clippy::disallowed_methods, reason = "a test may read its environment")]
pub fn forwarder() -> Option<String> {
    std::env::var("FORWARDER").ok()
}

pub fn consumer(name: &str, key: &str, rules: &str) -> String {
    let sha256: String = digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "[[consumer]]\nname = \"{name}\"\nkeys = [ {{ id = \"k1\", sha256 = \"{sha256}\", expires = 2099-12-31 }} \
         ]\n{rules}"
    )
}

/// A running gate. Killed on drop.
pub struct Gate {
    pub child: Child,
    pub addresses: Vec<SocketAddr>,
    pub admin: SocketAddr,
    pub folder: tempfile::TempDir,
    stderr: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    /// Starts with a configuration and waits until it is ready.
    pub fn start(config: &Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, config, |command| command)
    }

    pub fn start_in(
        folder: tempfile::TempDir,
        config: &Config,
        more: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        Self::start_text(folder, &config.text(), more)
    }

    /// Starts with at most so many descriptors.
    #[cfg(target_os = "linux")]
    pub fn start_limited(folder: tempfile::TempDir, config: &Config, descriptors: usize) -> Self {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--nofile={descriptors}:{descriptors}")).arg(env!("CARGO_BIN_EXE_sensgate"));
        Self::start_command(folder, &config.text(), prlimit, |command| command)
    }

    pub fn start_text(folder: tempfile::TempDir, text: &str, more: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        Self::start_command(folder, text, Command::new(env!("CARGO_BIN_EXE_sensgate")), more)
    }

    pub fn start_command(
        folder: tempfile::TempDir,
        text: &str,
        mut command: Command,
        more: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        write_secret(&folder.path().join("8sens-api-key"), UPSTREAM_KEY);
        std::fs::write(folder.path().join("sensgate.toml"), text).unwrap();
        command.args(["run", "--lang", "en", "--config"]).arg(folder.path().join("sensgate.toml"));
        let mut child = more(&mut command).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let pipe = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn({
            let stderr = Arc::clone(&stderr);
            move || pipe.lines().map_while(Result::ok).for_each(|line| stderr.lock().unwrap().push(line))
        });
        let mut gate = Self { child, addresses: Vec::new(), admin: ([127, 0, 0, 1], 0).into(), folder, stderr };
        gate.wait_for_line("ready");
        for line in gate.stderr_lines() {
            if let Some(address) = line.strip_prefix("listening on ") {
                gate.addresses.push(address.parse().unwrap());
            }
            if let Some(address) = line.strip_prefix("admin pages on http://") {
                gate.admin = address.parse().unwrap();
            }
        }
        assert!(!gate.addresses.is_empty() && gate.admin.port() != 0, "{:?}", gate.stderr_lines());
        gate
    }

    /// Starts again in the same folder, after the process has ended.
    pub fn restart(self, config: &Config) -> Self {
        self.restart_with(config, |command| command)
    }

    pub fn restart_with(self, config: &Config, more: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        // The folder has to outlive the drop of the old gate.
        let mut old = self;
        let folder = std::mem::replace(&mut old.folder, tempfile::tempdir().unwrap());
        drop(old);
        Self::start_in(folder, config, more)
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub async fn connect(&self) -> RawClient {
        RawClient::connect(self.address()).await.unwrap()
    }

    /// One request on a connection of its own.
    pub async fn exchange(&self, request: impl AsRef<[u8]>) -> Response {
        self.connect().await.exchange(request).await.unwrap()
    }

    pub fn stderr_lines(&self) -> Vec<String> {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits for a line on stderr that contains `part`.
    pub fn wait_for_line(&mut self, part: &str) {
        let stderr = Arc::clone(&self.stderr);
        let ended = wait_until(|| {
            let seen = stderr.lock().unwrap().iter().any(|line| line.contains(part));
            (seen || self.child.try_wait().unwrap().is_some()).then_some(seen)
        });
        assert_eq!(ended, Some(true), "no line with {part:?}: {:#?}", self.stderr_lines());
    }

    pub fn access_log(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    pub fn records(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.access_log()).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for an access log line that fits.
    pub fn wait_for_record(&self, fits: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        wait_until(|| self.records().into_iter().find(|record| fits(record)))
            .unwrap_or_else(|| panic!("no such record: {:#?}", self.records()))
    }

    pub async fn metrics(&self) -> String {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", self.admin);
        RawClient::connect(self.admin).await.unwrap().exchange(request).await.unwrap().text()
    }

    /// The value of one series, by its name and labels as rendered; 0 when it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn wait_for_exit(&mut self) -> ExitStatus {
        wait_until(|| self.child.try_wait().unwrap()).expect("the gate did not end")
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until there is a value, at most for the deadline.
pub fn wait_until<T>(mut poll: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = poll() {
            return Some(value);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

pub fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// A GET with the shop's key.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\n\r\n")
}

/// A POST with the shop's key.
pub fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
