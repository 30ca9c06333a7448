//! The systemd unit: systemd's own tools find nothing wrong, and a refused configuration is not tried again and again.

use crate::{run, said, source};
use std::process::Command;

fn unit() -> String {
    std::fs::read_to_string(source("deploy/systemd/sensgate.service")).unwrap()
}

fn values(key: &str) -> Vec<String> {
    unit().lines().filter_map(|line| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned())).collect()
}

#[test]
fn systemd_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("sensgate.service");
    // The program has to be where the unit says.
    std::fs::write(&copy, unit().replace("/usr/bin/sensgate", env!("CARGO_BIN_EXE_sensgate"))).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(!said(&output).contains("sensgate.service"), "{}", said(&output));

    std::fs::write(&copy, unit().replace("WatchdogSec=30s", "WatchdogSec=soon")).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy).output().unwrap();
    assert!(said(&output).contains("Failed to parse"), "verify would not have seen it: {}", said(&output));
}

#[test]
fn its_exposure_is_two_at_most() {
    // The threshold is in tenths.
    let arguments = ["security", "--offline=true", "--no-pager", "--threshold=20"];
    run(Command::new("systemd-analyze").args(arguments).arg(source("deploy/systemd/sensgate.service")));
}

#[test]
fn a_refused_configuration_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sensgate.toml"), "nonsense").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sensgate"))
        .args(["run", "--config"])
        .arg(folder.path().join("sensgate.toml"))
        .output()
        .unwrap();
    let code = output.status.code().unwrap().to_string();
    let prevented = values("RestartPreventExitStatus").concat();
    assert!(prevented.split(' ').any(|status| status == code), "{code} is not in {prevented}");
}

#[test]
fn the_commands_of_the_unit_are_commands_of_the_program() {
    let commands = [values("ExecStart"), values("ExecReload")].concat();
    assert!(!commands.is_empty());
    for command in commands.iter().filter_map(|command| command.strip_prefix("/usr/bin/sensgate ")) {
        let words: Vec<&str> = command.split(' ').collect();
        run(Command::new(env!("CARGO_BIN_EXE_sensgate")).args(words).arg("--help"));
    }
}
