//! Every command of the gate that a guide shows is one: its name, and each of its options.

use super::guide;
use crate::source;
use std::process::Command;

#[test]
fn every_command_and_every_option_is_there() {
    let mut seen = 0;
    for entry in std::fs::read_dir(source("docs/guides")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".md") {
            continue;
        }
        for line in guide(&name).lines().filter_map(|line| line.strip_prefix("    ")) {
            let line = line.strip_prefix("sudo -u sensgate ").unwrap_or(line);
            let Some(command) = line.strip_prefix("sensgate ") else { continue };
            seen += 1;
            is_a_command(command);
        }
    }
    assert!(seen > 10, "{seen} commands");
}

pub fn is_a_command(line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let deep = matches!(words[0], "keys" | "sessions");
    let help = Command::new(env!("CARGO_BIN_EXE_sensgate"))
        .args(&words[..if deep { 2 } else { 1 }])
        .args(["--lang", "en", "--help"])
        .output()
        .unwrap();
    assert!(help.status.success(), "no such command: {line}");
    let help = String::from_utf8(help.stdout).unwrap();
    for option in words.iter().filter(|word| word.starts_with("--")) {
        assert!(help.contains(option), "no {option}: {line}");
    }
}
