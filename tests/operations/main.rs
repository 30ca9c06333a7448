//! What an admin has beside the gate: the files of `deploy/`, the guides, Prometheus and Grafana, `doctor`. Each is
//! tried with the programs that it is for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../e2e/gate.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod gate;
#[path = "../support/mod.rs"]
mod support;

#[cfg(target_os = "linux")]
mod deploy;
mod doctor;
#[cfg(target_os = "linux")]
mod guides;
mod prometheus;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A path of the source tree.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs to the end and shows what was said when it did not succeed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    said(&output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}
