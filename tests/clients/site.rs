//! A gate with a certificate, and a client that is run to its end.

use crate::gate::{Config, Gate, KEY};
use crate::support::tls::Authority;
use crate::support::witness::Witness;
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// A client that has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder for the client, with `ca.pem` in it: the authority of the gates.
pub struct Site {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Site {
    pub fn new() -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        std::fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
        Self { folder, authority }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The setting of a listener for the files of a gate with TLS.
    pub const TLS: &str = "tls = { certificate = \"gate-chain.pem\", key = \"gate-key.pem\" }";

    /// A gate that guards sessions, in front of that witness.
    pub fn gate(&self, witness: &Witness, tls: bool) -> Gate {
        self.gate_with(Config::new(witness.addr()).with("session", "mode = \"guard\""), tls)
    }

    pub fn gate_with(&self, config: Config, tls: bool) -> Gate {
        let folder = tempfile::tempdir().unwrap();
        if !tls {
            return Gate::start_in(folder, &config, |command| command);
        }
        self.authority.issue_as_usual("localhost").write(folder.path(), "gate");
        Gate::start_in(folder, &config.with("listener", Self::TLS), |command| command)
    }

    /// Runs a client that finds the gate and its key in the environment.
    pub async fn run(&self, mut command: Command, gate: &Gate, tls: bool) -> Said {
        let (scheme, port) = (if tls { "https" } else { "http" }, gate.address().port());
        command.env("SENSGATE_URL", format!("{scheme}://localhost:{port}")).env("SENSGATE_KEY", KEY);
        // Into files: what a client that hangs has printed until then is kept.
        let (out, err) = (self.folder().join("out"), self.folder().join("err"));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let ended = timeout(PATIENCE, child.wait()).await.ok().map(Result::unwrap);
        let lines = |path| {
            let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let complaint = lines(err).into_iter().next().unwrap_or_default();
        let end = ended.map_or_else(|| format!("still running after {PATIENCE:?}"), |status| status.to_string());
        Said { lines: lines(out), succeeded: ended.is_some_and(|status| status.success()), end: end + " " + &complaint }
    }
}

/// What a client printed.
pub struct Said {
    pub lines: Vec<String>,
    pub succeeded: bool,
    /// How it ended, and the first line of what it complained of.
    pub end: String,
}

impl Said {
    /// What it printed of one step.
    pub fn of(&self, step: &str) -> Vec<String> {
        let of_step = |line: &String| Some(line.strip_prefix(step)?.strip_prefix(' ')?.trim_end().to_owned());
        self.lines.iter().filter_map(of_step).collect()
    }

    pub fn instead(&self, seen: &[String], wanted: &str) -> String {
        if seen.is_empty() { format!("nothing; {}", self.end) } else { format!("{seen:?}, not {wanted}; {}", self.end) }
    }
}
