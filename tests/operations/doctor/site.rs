//! A configuration beside a sandbox, and what the doctor says of it.

use crate::gate::{UPSTREAM_KEY, write_secret};
use sensgate::sandbox::{Sandbox, SandboxSettings};
use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A sandbox that knows the key of the tests, on a free port, for as long as the runtime of the test.
pub async fn sandbox(change: impl FnOnce(&mut SandboxSettings)) -> SocketAddr {
    let mut settings = SandboxSettings { api_key: UPSTREAM_KEY.into(), ..SandboxSettings::example() };
    change(&mut settings);
    let bind = settings.bind;
    let sandbox = Sandbox::new(settings).unwrap();
    let listener = tokio::net::TcpListener::bind((bind, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { sandbox.serve(listener, std::future::pending()).await });
    address
}

/// A folder with a configuration that is in order.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub text: String,
}

impl Site {
    pub fn new(upstream: impl std::fmt::Display) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_secret(&folder.path().join("8sens-api-key"), UPSTREAM_KEY);
        let text = format!(
            "[upstream]\naddress = \"{upstream}\"\napi_key = {{ file = \"8sens-api-key\" }}\n\
             [admin]\naddress = \"off\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n{}",
            crate::gate::consumer("boutique-paris", crate::gate::KEY, "")
        );
        Self { folder, text }
    }

    /// Replaces a part of the configuration, which has to be there.
    pub fn with(mut self, old: &str, new: &str) -> Self {
        assert!(self.text.contains(old), "{old} is not in {}", self.text);
        self.text = self.text.replacen(old, new, 1);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn doctor(&self, args: &[&str]) -> Diagnosis {
        self.doctor_under(Command::new(env!("CARGO_BIN_EXE_sensgate")), args, "")
    }

    /// With something typed into its standard input.
    pub fn doctor_under(&self, command: Command, args: &[&str], input: &str) -> Diagnosis {
        let path = self.path("sensgate.toml");
        std::fs::write(&path, &self.text).unwrap();
        chmod(&path, 0o640);
        doctor(command, &path, args, input)
    }
}

pub fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// Runs the doctor on a configuration file.
pub fn doctor(mut command: Command, config: &Path, args: &[&str], input: &str) -> Diagnosis {
    command.args(["doctor", "--format", "json", "--lang", "en", "--config"]).arg(config).args(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A doctor that asks for nothing has ended by then.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let findings = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{stderr}"));
    Diagnosis { code: output.status.code().unwrap(), findings }
}

/// What the doctor said.
#[derive(Debug)]
pub struct Diagnosis {
    pub code: i32,
    pub findings: Vec<Value>,
}

impl Diagnosis {
    /// Every finding of a check, as `severity: what`.
    pub fn of(&self, check: &str) -> Vec<String> {
        let found = self.findings.iter().filter(|finding| finding["check"] == check);
        found.map(|f| format!("{}: {}", f["severity"].as_str().unwrap(), f["what"].as_str().unwrap())).collect()
    }

    /// The one finding of a check, which has to be as bad as that and say this.
    #[track_caller]
    pub fn expect(&self, check: &str, severity: &str, part: &str) {
        let found = self.of(check);
        let fits = |found: &String| found.starts_with(&format!("{severity}: ")) && found.contains(part);
        assert!(found.iter().any(fits), "{check} {severity} {part:?}: {found:#?}\n{:#?}", self.findings);
        let of_check =
            self.findings.iter().filter(|finding| finding["check"] == check && finding["severity"] == severity);
        for finding in of_check.filter(|_| matches!(severity, "warning" | "error")) {
            assert!(finding["why"].is_string(), "{finding:#?}");
            assert!(!finding["remedies"].as_array().unwrap().is_empty(), "{finding:#?}");
        }
    }

    /// Nothing is worse than worth knowing.
    #[track_caller]
    pub fn expect_health(&self) {
        let bad = |finding: &&Value| matches!(finding["severity"].as_str(), Some("warning" | "error"));
        let bad: Vec<_> = self.findings.iter().filter(bad).collect();
        assert!(bad.is_empty() && self.code == 0, "{} {bad:#?}", self.code);
    }
}
