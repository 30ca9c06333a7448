//! A file of host names that one process sees and no other.

use std::path::{Path, PathBuf};
use std::process::Command;

/// In place of `/etc/hosts`, in a mount namespace of its own.
pub struct Hosts(PathBuf);

impl Hosts {
    /// `None`, and said so, where the system lets nobody have such a namespace or has no IPv6 on loopback.
    pub fn new(folder: &Path, lines: &str) -> Option<Self> {
        let hosts = Self(folder.join("hosts"));
        hosts.write("127.0.0.1 probe.test\n");
        let mut probe = hosts.command("getent");
        let found = probe.args(["ahostsv4", "probe.test"]).output();
        let is_possible = found.is_ok_and(|output| output.stdout.starts_with(b"127.0.0.1"));
        if !is_possible || std::net::TcpListener::bind("[::1]:0").is_err() {
            eprintln!("left out: no mount namespace of one's own here, or no IPv6");
            return None;
        }
        hosts.write(lines);
        Some(hosts)
    }

    /// What a running process sees from now on as well: the file stays the same one.
    pub fn write(&self, lines: &str) {
        std::fs::write(&self.0, lines).unwrap();
    }

    pub fn sensgate(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_sensgate"))
    }

    /// That program, where these are its names.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        let script = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
        command.args(["-Urm", "sh", "-c", script, "sh"]).arg(&self.0).arg(program);
        command
    }
}
