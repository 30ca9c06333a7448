//! Tells the build what made it and what it is made of, for `sensgate version` and the `sensgate_build_info` metric.

use std::process::Command;

/// What somebody who reads an advisory asks for.
const LIBRARIES: [&str; 8] = ["pingora-core", "pingora-proxy", "rustls", "ring", "h2", "hyper", "httparse", "tokio"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rustc-env=SENSGATE_RUSTC={}", rustc());
    println!("cargo::rustc-env=SENSGATE_TARGET={}", variable("TARGET"));
    println!("cargo::rustc-env=SENSGATE_FEATURES={}", variable("CARGO_CFG_FEATURE"));
    println!("cargo::rustc-env=SENSGATE_LIBRARIES={}", libraries());
}

/// What cargo tells build scripts.
fn variable(name: &str) -> String {
    std::env::var_os(name).and_then(|value| value.into_string().ok()).unwrap_or_default()
}

fn rustc() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().ok();
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    // `rustc 1.95.0 (… …)`
    text.split_whitespace().nth(1).unwrap_or("unknown").to_owned()
}

/// `name version` from the lock file, separated by commas. A crate may be there in two versions.
fn libraries() -> String {
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    let mut found = Vec::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(value) = line.strip_prefix("name = ") {
            name = value.trim_matches('"');
        } else if let Some(version) = line.strip_prefix("version = ")
            && LIBRARIES.contains(&name)
        {
            found.push(format!("{name} {}", version.trim_matches('"')));
        }
    }
    found.join(",")
}
