//! What the guides say is done here: their configuration is read, their proxies run, their scripts call.

mod backup;
mod commands;
mod configuration;
mod links;
mod php;
mod proxies;
mod readme;
mod restarted;
use crate::gate::{UPSTREAM_KEY, write_secret};
use crate::{run, source};
use sensgate::sandbox::{Sandbox, SandboxSettings};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::{Table, Value};

fn read(path: &str) -> String {
    std::fs::read_to_string(source(path)).unwrap()
}

fn guide(name: &str) -> String {
    read(&format!("docs/guides/{name}"))
}

/// Every page in Markdown under these paths.
fn pages(paths: &[&str]) -> Vec<PathBuf> {
    let found = run(Command::new("find").args(paths.iter().map(|path| source(path))).args(["-name", "*.md"]));
    found.lines().map(PathBuf::from).collect()
}

/// The fenced blocks of that language, in order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            blocks.push(lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect());
        }
    }
    blocks
}

/// Lays a fragment over a whole configuration: tables are merged, everything else is replaced.
fn merged(base: &str, fragment: &str) -> String {
    let mut table: Table = base.parse().unwrap();
    merge(&mut table, fragment.parse().unwrap_or_else(|error| panic!("{error}: {fragment}")));
    toml::to_string(&table).unwrap()
}

fn merge(base: &mut Table, fragment: Table) {
    for (key, value) in fragment {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => drop(base.insert(key, value)),
        }
    }
}

/// A certificate for `gate.example` and its key, under the names that the guides use.
fn write_certificate(folder: &Path) {
    let made = crate::support::tls::make(&["gate.example"]);
    std::fs::write(folder.join("fullchain.pem"), &made.chain).unwrap();
    write_secret(&folder.join("privkey.pem"), &made.key);
    write_secret(&folder.join("both.pem"), &format!("{}{}", made.chain, made.key));
}

/// The sandbox, with the key that the gates of the tests have.
async fn sandbox_at(address: SocketAddr) -> (Sandbox, SocketAddr) {
    let example = std::fs::read_to_string(source("config/sandbox.example.toml")).unwrap();
    let sandbox =
        Sandbox::new(SandboxSettings::from_toml(&example.replace("ZghY887665YhGH", UPSTREAM_KEY)).unwrap()).unwrap();
    let address = serve(&sandbox, address).await;
    (sandbox, address)
}

/// Serves on an address until the test ends.
async fn serve(sandbox: &Sandbox, address: SocketAddr) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let sandbox = sandbox.clone();
    tokio::spawn(async move { sandbox.serve(listener, std::future::pending()).await });
    address
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
