//! What the demonstration runs: one sandbox, one gate, three consumers, made from a real configuration file in a
//! private folder.

use crate::admin::command::Command;
use crate::config;
use crate::domain::rules::api_key;
use crate::domain::rules::consumer::digest;
use crate::sandbox::{Sandbox, SandboxSettings};
use crate::server::BoundGate;
use crate::text::Lang;
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What a demonstration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Staging {
    /// Ports that are tried first, so that the commands to paste stay the same; any free one otherwise.
    pub(super) gate_port: u16,
    pub(super) admin_port: u16,
    /// After how long without use the sandbox, and so the gate, forgets a token.
    pub(super) idle_timeout: Duration,
}

impl Staging {
    /// For a person who pastes commands.
    pub(super) const LIVE: Self = Self { gate_port: 8080, admin_port: 9180, idle_timeout: Duration::from_secs(900) };
    /// For the visit that plays by itself, several at once if need be.
    pub(super) const VISIT: Self = Self { gate_port: 0, admin_port: 0, idle_timeout: Duration::from_secs(5) };
}

/// Requests that `comparateur` may send at once.
pub(super) const BURST: usize = 5;

/// Wrong keys that one address may show before it is asked to wait.
pub(super) const FAILED_KEYS: usize = 3;

/// A running demonstration.
pub(super) struct World {
    pub(super) gate: SocketAddr,
    /// A listener that takes requests only from a proxy that says https.
    pub(super) behind_proxy: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) sandbox: Sandbox,
    keys: [SecretString; 4],
    running: RunningGate,
    sandbox_stop: oneshot::Sender<()>,
    sandbox_thread: JoinHandle<()>,
    folder: tempfile::TempDir,
}

/// The gate on its thread.
struct RunningGate {
    commands: mpsc::Sender<Command>,
    thread: JoinHandle<()>,
}

impl RunningGate {
    /// Drains the gate and waits for its end.
    fn stop(self) {
        // A gate that has ended already needs no telling.
        let _ = self.commands.blocking_send(Command::Drain);
        let _ = self.thread.join();
    }
}

impl World {
    /// Starts everything on loopback. The error is for people.
    pub(super) fn start(staging: Staging) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let settings = SandboxSettings { idle_timeout: staging.idle_timeout, ..SandboxSettings::example() };
        let upstream_key = settings.api_key.clone();
        let sandbox = Sandbox::new(settings).map_err(|error| error.message.in_lang(Lang::En).to_owned())?;
        let (upstream, sandbox_stop, sandbox_thread) = serve_sandbox(&sandbox).map_err(|error| error.to_string())?;
        let keys = [fresh_key("k1")?, fresh_key("k1")?, fresh_key("k1")?, fresh_key("k1")?];
        let write =
            |name: &str, text: &str| write_private(&folder.path().join(name), text).map_err(|error| error.to_string());
        write("8sens-api-key", upstream_key.expose_secret())?;
        write(CONFIG, &configuration(upstream, &keys, staging))?;
        let (running, [gate, behind_proxy, admin]) = start_gate(folder.path())?;
        Ok(Self { gate, behind_proxy, admin, sandbox, keys, running, sandbox_stop, sandbox_thread, folder })
    }

    /// Ends the gate and starts it again on the same state; its addresses may change.
    pub(super) fn restart_gate(self) -> Result<Self, String> {
        let Self { running, folder, .. } = self;
        running.stop();
        let (running, [gate, behind_proxy, admin]) = start_gate(folder.path())?;
        Ok(Self { gate, behind_proxy, admin, running, folder, ..self })
    }

    /// `boutique-paris`: may do everything.
    pub(super) fn shop_key(&self) -> &str {
        self.keys[0].expose_secret()
    }

    /// `partenaire-lyon`: may only log in.
    pub(super) fn partner_key(&self) -> &str {
        self.keys[1].expose_secret()
    }

    /// `depot-lille`: may only call from a network that is not this one.
    pub(super) fn depot_key(&self) -> &str {
        self.keys[2].expose_secret()
    }

    /// `comparateur`: may send [`BURST`] requests and then one an hour.
    pub(super) fn comparer_key(&self) -> &str {
        self.keys[3].expose_secret()
    }

    /// Drains the gate, then ends the sandbox.
    pub(super) fn stop(self) {
        self.running.stop();
        // A sandbox that has ended already needs no telling.
        let _ = self.sandbox_stop.send(());
        let _ = self.sandbox_thread.join();
    }
}

/// The name of the configuration file in the folder of the demonstration.
const CONFIG: &str = "sensgate.toml";

/// Starts the gate of a folder. Returns its two traffic addresses and the admin one.
fn start_gate(folder: &Path) -> Result<(RunningGate, [SocketAddr; 3]), String> {
    let path = folder.join(CONFIG);
    let loaded = config::load(&path).map_err(|report| report.render(Lang::En, false))?;
    let gate = BoundGate::bind(loaded.settings, Some(path)).map_err(|error| format!("{error:?}"))?;
    let (addresses, admin) = (gate.addresses(), gate.admin_address());
    let (&[address, behind_proxy], Some(admin)) = (&addresses[..], admin) else {
        return Err("a listener is missing".to_owned());
    };
    let (commands, receiver) = mpsc::channel(1);
    let thread = std::thread::spawn(move || {
        if let Err(error) = gate.run(receiver) {
            tracing::error!(?error, "the gate of the demo ended");
        }
    });
    Ok((RunningGate { commands, thread }, [address, behind_proxy, admin]))
}

fn serve_sandbox(sandbox: &Sandbox) -> io::Result<(SocketAddr, oneshot::Sender<()>, JoinHandle<()>)> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sandbox = sandbox.clone();
    let thread = std::thread::spawn(move || {
        runtime.block_on(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    let stopped = async {
                        // Dropped without a word, it is to stop as well.
                        let _ = stopped.await;
                    };
                    sandbox.serve(listener, stopped).await;
                }
                Err(error) => tracing::error!(%error, "the sandbox of the demo cannot listen"),
            }
        });
    });
    Ok((address, stop, thread))
}

fn fresh_key(id: &str) -> Result<SecretString, String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    api_key::make(id, &random).map_err(|error| error.to_string())
}

/// The configuration of the demonstration, as an admin would write it.
fn configuration(upstream: SocketAddr, keys: &[SecretString; 4], staging: Staging) -> String {
    let sha256 = |key: &SecretString| HEXLOWER.encode(&digest(key.expose_secret().as_bytes()));
    let [shop, partner, depot, comparer] = keys.each_ref().map(sha256);
    let (burst, failed_keys, idle) = (BURST, FAILED_KEYS, staging.idle_timeout.as_secs());
    let (gate, admin) = (free_port(staging.gate_port), free_port(staging.admin_port));
    format!(
        r#"
[upstream]
address = "{upstream}"
api_key = {{ file = "8sens-api-key" }}
idle_timeout = "{idle}s"

[[listener]]
address = "127.0.0.1:{gate}"

[[listener]]
address = "127.0.0.1:0"
plaintext = "behind_proxy"

[client_ip]
trusted_proxies = ["127.0.0.1/32"]

[limits]
failed_credentials = "{failed_keys}/h"

[log]
access = "access.log"
level = "warn"

[admin]
address = "127.0.0.1:{admin}"

[server]
drain_timeout = "5s"

[[consumer]]
name = "boutique-paris"
keys = [ {{ id = "k1", sha256 = "{shop}", expires = 2099-12-31 }} ]

[[consumer]]
name = "partenaire-lyon"
keys = [ {{ id = "k1", sha256 = "{partner}", expires = 2099-12-31 }} ]
allow = ["POST /v1/login/user"]

[[consumer]]
name = "depot-lille"
keys = [ {{ id = "k1", sha256 = "{depot}", expires = 2099-12-31 }} ]
allow_from = ["203.0.113.0/24"]

[[consumer]]
name = "comparateur"
keys = [ {{ id = "k1", sha256 = "{comparer}", expires = 2099-12-31 }} ]
rate_limit = "1/h, burst {burst}"
"#
    )
}

/// `port` when it is free, else 0: any free one.
fn free_port(port: u16) -> u16 {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_or(0, |_| port)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    crate::platform::create_private(path).and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))?;
    fs::metadata(path).map(|_| ())
}
