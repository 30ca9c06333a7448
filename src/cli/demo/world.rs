//! What the demonstration runs: one sandbox, one gate, three consumers, made from a real configuration file in a private folder.

use crate::api_key;
use crate::config;
use crate::consumer::digest;
use crate::control::Command;
use crate::policy::PolicySet;
use crate::sandbox::{Sandbox, SandboxSettings};
use crate::server::BoundGate;
use crate::snapshot::Snapshot;
use crate::text::Lang;
use secrecy::{ExposeSecret, SecretString};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Ports that are tried first, so that the commands to paste stay the same; any free one otherwise.
const GATE_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9180;

/// A running demonstration.
pub(super) struct World {
    pub(super) gate: SocketAddr,
    /// A listener that takes requests only from a proxy that says https.
    pub(super) behind_proxy: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) sandbox: Sandbox,
    keys: [SecretString; 3],
    commands: mpsc::Sender<Command>,
    sandbox_stop: oneshot::Sender<()>,
    threads: Vec<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl World {
    /// Starts everything on loopback. The error is for people.
    pub(super) fn start(policies: PolicySet) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let settings = SandboxSettings::example();
        let upstream_key = settings.api_key.clone();
        let sandbox = Sandbox::new(settings).map_err(|error| error.message.in_lang(Lang::En).to_owned())?;
        let (upstream, sandbox_stop, sandbox_thread) = serve_sandbox(&sandbox).map_err(|error| error.to_string())?;
        let keys = [fresh_key("k1")?, fresh_key("k1")?, fresh_key("k1")?];
        let path = folder.path().join("sensgate.toml");
        let text = configuration(upstream, &keys);
        write_private(&folder.path().join("8sens-api-key"), upstream_key.expose_secret())
            .map_err(|error| error.to_string())?;
        write_private(&path, &text).map_err(|error| error.to_string())?;
        let loaded = config::load(&path).map_err(|report| report.render(Lang::En, false))?;
        let mut settings = loaded.settings;
        settings.snapshot = Arc::new(Snapshot { policies, ..Snapshot::clone(&settings.snapshot) });
        let gate = BoundGate::bind(settings, Some(path)).map_err(|error| format!("{error:?}"))?;
        let (addresses, admin) = (gate.addresses(), gate.admin_address());
        let (&[gate_address, behind_proxy], Some(admin)) = (&addresses[..], admin) else {
            return Err("a listener is missing".to_owned());
        };
        let (commands, receiver) = mpsc::channel(1);
        let gate_thread = std::thread::spawn(move || {
            if let Err(error) = gate.run(receiver) {
                tracing::error!(?error, "the gate of the demo ended");
            }
        });
        let threads = vec![gate_thread, sandbox_thread];
        let world = Self {
            gate: gate_address,
            behind_proxy,
            admin,
            sandbox,
            keys,
            commands,
            sandbox_stop,
            threads,
            _folder: folder,
        };
        Ok(world)
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

    /// Drains the gate, then ends the sandbox.
    pub(super) fn stop(self) {
        let Self { commands, sandbox_stop, threads, .. } = self;
        // A gate or sandbox that has ended already needs no telling.
        let _ = commands.blocking_send(Command::Drain);
        drop(commands);
        let mut threads = threads.into_iter();
        threads.next().map(JoinHandle::join);
        let _ = sandbox_stop.send(());
        threads.next().map(JoinHandle::join);
    }
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
    api_key::make(id, &random).map_err(|error| format!("{error:?}"))
}

/// The configuration of the demonstration, as an admin would write it.
fn configuration(upstream: SocketAddr, keys: &[SecretString; 3]) -> String {
    let sha256 = |key: &SecretString| {
        digest(key.expose_secret().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let (shop, partner, depot) = (sha256(&keys[0]), sha256(&keys[1]), sha256(&keys[2]));
    let (gate, admin) = (free_port(GATE_PORT), free_port(ADMIN_PORT));
    format!(
        r#"
[upstream]
address = "{upstream}"
api_key = {{ file = "8sens-api-key" }}

[[listener]]
address = "127.0.0.1:{gate}"

[[listener]]
address = "127.0.0.1:0"
plaintext = "behind_proxy"

[client_ip]
trusted_proxies = ["127.0.0.1/32"]

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
