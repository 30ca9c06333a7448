//! `make install` and `make uninstall`, into a scratch root.

use crate::{run, source};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn make(target: &str, root: &Path) -> String {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", target, "PREFIX=/usr"]).current_dir(source("."));
    make.arg(format!("DESTDIR={}", root.display())).arg(concat!("BIN=", env!("CARGO_BIN_EXE_sensgate")));
    // Not those of a make that may be running this test.
    run(make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL"))
}

/// Every file below `root` with its mode.
fn files(root: &Path) -> BTreeMap<String, u32> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, entry.metadata().unwrap().permissions().mode() & 0o777);
            }
        }
    }
    found
}

/// Whether the program has the command already.
fn has(command: &str) -> bool {
    Command::new(env!("CARGO_BIN_EXE_sensgate")).args([command, "--help"]).output().unwrap().status.success()
}

#[test]
fn it_is_installed_and_removed_and_configurations_stay() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let said = make("install", root.path());
    assert!(said.contains("first-hour.md"), "{said}");
    let installed = files(root.path());
    let mut expected = vec![
        ("usr/bin/sensgate", 0o755),
        ("usr/lib/systemd/system/sensgate.service", 0o644),
        ("usr/lib/sysusers.d/sensgate.conf", 0o644),
        ("usr/share/doc/sensgate/sensgate.example.toml", 0o644),
        ("etc/logrotate.d/sensgate", 0o644),
    ];
    if has("man") {
        expected.push(("usr/share/man/man1/sensgate.1", 0o644));
        expected.push(("usr/share/man/fr/man1/sensgate.1", 0o644));
    }
    if has("completions") {
        expected.push(("usr/share/bash-completion/completions/sensgate", 0o644));
        expected.push(("usr/share/zsh/site-functions/_sensgate", 0o644));
        expected.push(("usr/share/fish/vendor_completions.d/sensgate.fish", 0o644));
    }
    for (file, mode) in expected {
        assert_eq!(installed.get(file), Some(&mode), "{file}: {installed:#?}");
    }
    run(Command::new(root.path().join("usr/bin/sensgate")).arg("version"));
    let config = root.path().join("etc/sensgate");
    assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o750);

    let logrotate = root.path().join("etc/logrotate.d/sensgate");
    std::fs::write(config.join("sensgate.toml"), "mine").unwrap();
    std::fs::write(&logrotate, "mine too").unwrap();
    let said = make("install", root.path());
    assert!(said.contains("kept:") && said.contains("restart"), "{said}");
    assert_eq!(std::fs::read_to_string(config.join("sensgate.toml")).unwrap(), "mine");
    assert_eq!(std::fs::read_to_string(&logrotate).unwrap(), "mine too");

    make("uninstall", root.path());
    let left: Vec<String> = files(root.path()).into_keys().collect();
    assert_eq!(left, ["etc/logrotate.d/sensgate", "etc/sensgate/sensgate.toml"]);
}

#[test]
fn the_unit_starts_what_was_installed() {
    let root = tempfile::tempdir().unwrap();
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "install", "PREFIX=/opt/gate"]).current_dir(source("."));
    make.arg(format!("DESTDIR={}", root.path().display())).arg(concat!("BIN=", env!("CARGO_BIN_EXE_sensgate")));
    run(make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL"));
    let unit = std::fs::read_to_string(root.path().join("opt/gate/lib/systemd/system/sensgate.service")).unwrap();
    assert!(unit.contains("\nExecStart=/opt/gate/bin/sensgate run "), "{unit}");
    assert!(!unit.contains("=/usr/bin/sensgate"), "{unit}");
}
