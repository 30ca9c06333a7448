//! The composition root: binds the listeners, starts the services, and ends them in order.
//!
//! Pingora's own `Server` is not used: it forks, binds late and without a usable error, and sleeps a fixed time on
//! SIGTERM. Its proxy runs here on one runtime of ours, behind listeners that are already bound.

mod file_watch;
mod reload;
mod serving;
mod supervision;

use crate::acme::Acme;
use crate::admin::command::Command;
use crate::admin::{self, AdminContext, Readiness, control};
use crate::config::{ListenerSettings, Settings};
use crate::domain::request::Transport;
use crate::domain::rules::snapshot::SessionMode;
use crate::domain::tables::Tables;
use crate::platform::clock;
use crate::platform::{Notice, ServiceManager};
use crate::proxy::acceptor::accept;
use crate::proxy::lane::Lane;
use crate::proxy::lane::upstream::Upstream;
use crate::proxy::listener::Listener;
use crate::proxy::opening::Opening;
use crate::proxy::shared::Shared;
use crate::state::{SessionLog, StateDirectory, StateError};
use crate::telemetry::audit_event::AuditEvent;
use crate::telemetry::{Telemetry, build_info, panics};
use crate::text::Lang;
use crate::tls;
use reload::{Reloader, Wanted};
use serving::Serving;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use supervision::{Rounds, Supervision};
use tokio::sync::{Semaphore, mpsc, watch};

/// How long log lines still queued at the end may take to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Reloads that may wait; past it, whoever wants one is told to come back.
const RELOADS_AT_ONCE: usize = 8;

/// Why a gate could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be bound.
    #[error("cannot listen on {0}")]
    Bind(SocketAddr, #[source] io::Error),
    /// The access log or the audit log could not be opened.
    #[error("the access log or the audit log cannot be opened")]
    Log(#[source] io::Error),
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Threads or timers could not be had.
    #[error("threads or timers cannot be had")]
    Runtime(#[source] io::Error),
}

/// A gate whose sockets are bound and which serves nothing yet.
#[derive(Debug)]
pub struct BoundGate {
    settings: Settings,
    /// Read again on reload; `None` for a gate that was made in memory.
    config_path: Option<PathBuf>,
    listeners: Vec<(ListenerSettings, TcpListener)>,
    admin: Option<TcpListener>,
    telemetry: Arc<Telemetry>,
    tables: Arc<Tables>,
    session_log: Arc<SessionLog>,
    supervision: Supervision,
}

impl BoundGate {
    /// Binds every listener, so that a failure is known before anything serves.
    pub fn bind(settings: Settings, config_path: Option<PathBuf>) -> Result<Self, StartError> {
        let bind = |address: SocketAddr| {
            let socket = TcpListener::bind(address).and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
            socket.map_err(|error| StartError::Bind(address, error))
        };
        let mut listeners = Vec::with_capacity(settings.listeners.len());
        for listener in &settings.listeners {
            listeners.push((listener.clone(), bind(listener.address)?));
        }
        let admin = settings.admin.as_ref().map(|admin| bind(admin.address)).transpose()?;
        let telemetry = Arc::new(Telemetry::start(&settings.log).map_err(StartError::Log)?);
        let (tables, session_log) = open_state(&settings, &telemetry).map_err(StartError::State)?;
        let supervision = Supervision::default();
        Ok(Self { settings, config_path, listeners, admin, telemetry, tables, session_log, supervision })
    }

    /// Tells the service manager what happens, in the operator's language.
    #[must_use]
    pub fn supervised_by(self, manager: ServiceManager, lang: Lang) -> Self {
        Self { supervision: Supervision { manager, lang }, ..self }
    }

    /// The bound traffic addresses, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|(_, socket)| socket.local_addr().ok()).collect()
    }

    /// The bound admin address.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|socket| socket.local_addr().ok())
    }

    /// Serves until [`Command::Drain`], or until the last sender of commands is gone.
    pub fn run(self, commands: mpsc::Receiver<Command>) -> Result<(), StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.settings.server.threads.max(1))
            .thread_name("gate")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let telemetry = Arc::clone(&self.telemetry);
        panics::count(&telemetry);
        let manager = self.supervision.manager.clone();
        let outcome = runtime.block_on(self.serve(commands));
        runtime.shutdown_timeout(Duration::from_secs(1));
        manager.flush(FLUSH_TIMEOUT);
        if !telemetry.flush(FLUSH_TIMEOUT) {
            tracing::warn!("log lines were still queued at the end");
        }
        outcome
    }

    async fn serve(self, mut commands: mpsc::Receiver<Command>) -> Result<(), StartError> {
        let Self { settings, config_path, listeners, admin, telemetry, tables, session_log, supervision } = self;
        let threads = settings.server.threads;
        let upstream = Arc::new(Upstream::new(&settings.upstream, Arc::clone(&telemetry)));
        let readiness = Arc::new(Readiness::default());
        let (stop, stopped) = watch::channel(false);
        let admin_token = settings.admin.as_ref().and_then(|admin| admin.token.clone());
        let lane = Arc::new(Lane::start(&settings.upstream, Arc::clone(&upstream)));
        let shared = Arc::new(Shared::new(settings, tables, Arc::clone(&telemetry)));
        publish(&shared, &shared.settings.load());
        telemetry.metrics.config_taken_up(clock::now().wall, false);
        let watching = tokio::spawn({
            let (upstream, shared) = (Arc::clone(&upstream), Arc::clone(&shared));
            let settings = shared.settings.load().upstream.clone();
            async move { upstream.watch(settings, || shared.settings.load().upstream.connect_timeout).await }
        });
        telemetry.metrics.read_tables(&shared.tables);
        let weak = Arc::downgrade(&shared);
        telemetry.metrics.read_keys_from(move || Some(Arc::clone(&weak.upgrade()?.settings.load().snapshot)));
        let (mut services, mut serving) = (Vec::new(), Vec::new());
        let signatures = Arc::new(Semaphore::new(signatures_at_once(threads)));
        let https = https_port(&listeners);
        let state = session_log.directory();
        let unusable = |error| StartError::State(StateError::Io(state.to_owned(), error));
        let acme = Arc::new(Acme::new(state.to_owned(), Arc::clone(&shared.challenges), Arc::clone(&telemetry)));
        for (listener, socket) in listeners {
            let serves = Serving::new(&listener, &acme, &telemetry).map_err(unusable)?;
            let opening = Opening {
                transport: listener.transport,
                tls: serves.certificates().map(|certificates| tls::server_config(certificates, listener.http2).into()),
                hsts: listener.hsts,
                proxy_protocol: listener.proxy_protocol,
                signatures: Arc::clone(&signatures),
            };
            let redirect = (listener.transport == Transport::Cleartext).then_some(https);
            let app = Listener::new(Arc::clone(&shared), Arc::clone(&lane), opening, redirect);
            let socket = tokio::net::TcpListener::from_std(socket).map_err(StartError::Runtime)?;
            services.push(tokio::spawn(accept(Arc::new(app), socket, stopped.clone())));
            serving.push(serves);
        }
        if let Some(socket) = admin {
            let socket = tokio::net::TcpListener::from_std(socket).map_err(StartError::Runtime)?;
            let context =
                AdminContext { shared: Arc::clone(&shared), readiness: Arc::clone(&readiness), token: admin_token };
            let mut stopped = stopped.clone();
            tokio::spawn(admin::serve(socket, context, async move {
                // The admin page stays up while the gate drains; it ends with the runtime.
                let _ = stopped.wait_for(|_| false).await;
            }));
        }
        let rounds = Arc::new(Rounds::default());
        let keeping = tokio::spawn(keep_tables(Arc::clone(&shared), Arc::clone(&session_log), Arc::clone(&rounds)));
        let (orders, mut reloads) = mpsc::channel(RELOADS_AT_ONCE);
        let control =
            control::serve(session_log.directory(), Arc::clone(&shared), orders).map_err(StartError::State)?;
        let (changed, mut changes) = mpsc::channel(1);
        let mut reloader = config_path.map(|path| Reloader::new(Arc::clone(&shared), serving, path, changed));
        if let Some(reloader) = &mut reloader {
            reloader.start_to_watch().await;
        }
        let manager = supervision.manager.clone();
        let accepting = services.iter().map(tokio::task::JoinHandle::abort_handle).collect();
        let watched = tokio::spawn(supervision.watch(upstream, rounds, accepting, stopped.clone()));
        readiness.set_listening(true);
        telemetry.audit.tell(&AuditEvent::GateStarted { version: build_info::VERSION });
        manager.tell(Notice::Ready);
        tracing::info!("ready");
        loop {
            let order = tokio::select! {
                command = commands.recv() => match command {
                    None | Some(Command::Drain) => break,
                    Some(Command::ReopenLogs) => {
                        telemetry.reopen_logs();
                        continue;
                    }
                    Some(Command::Reload) => {
                        telemetry.reopen_logs();
                        Wanted::Reload(None)
                    }
                },
                Some(order) = reloads.recv() => Wanted::Reload(Some(order)),
                Some(()) = changes.recv() => Wanted::ReloadIfChanged,
            };
            manager.tell(Notice::Reloading);
            if let Some(reloader) = &mut reloader {
                reloader.obey(order).await;
            }
            manager.tell(Notice::Ready);
        }
        manager.tell(Notice::Stopping);
        readiness.start_draining();
        telemetry.audit.tell(&AuditEvent::GateStopping);
        tracing::info!("draining");
        // Receivers live as long as the services.
        let _ = stop.send(true);
        let drain_timeout = shared.settings.load().server.drain_timeout;
        drain(&shared, services, drain_timeout).await;
        for task in [watching, keeping, control, watched] {
            task.abort();
        }
        shared.tables.flush_touches(clock::now());
        write_key_uses(&shared, &session_log);
        Ok(())
    }
}

/// How many handshakes may be signed at the same time: half of the threads stay for requests, whatever knocks.
fn signatures_at_once(threads: usize) -> usize {
    (threads / 2).max(1)
}

/// Where browsers are sent that come in clear: to the first listener with TLS, or to whoever answers on 443.
fn https_port(listeners: &[(ListenerSettings, TcpListener)]) -> u16 {
    let first = listeners.iter().find(|(listener, _)| listener.tls.is_some());
    first.and_then(|(_, socket)| socket.local_addr().ok()).map_or(443, |address| address.port())
}

/// Waits until no connection is open, at most as long as the configuration allows.
async fn drain(shared: &Shared, services: Vec<tokio::task::JoinHandle<()>>, drain_timeout: Duration) {
    let all_done = async {
        for service in services {
            // A service that panicked has nothing left to wait for.
            let _ = service.await;
        }
        shared.slots.wait_until_idle().await;
    };
    if tokio::time::timeout(drain_timeout, all_done).await.is_err() {
        tracing::warn!(connections = shared.slots.open(), "connections cut at the end of the drain");
    }
}

/// How often expired sessions are looked for, and how many places are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const SWEEP_BUDGET: usize = 20_000;

/// How often uses of sessions are written down: what a killed gate may lose of each session's idle time.
const TOUCHES_EVERY: u32 = 5;

/// How often last uses of keys are written down, if there were any: what a killed gate may forget of them.
const KEY_USES_EVERY: u32 = 120;

/// Opens the state directory and brings the sessions back that still hold.
fn open_state(settings: &Settings, telemetry: &Arc<Telemetry>) -> Result<(Arc<Tables>, Arc<SessionLog>), StateError> {
    let now = clock::now();
    let directory = StateDirectory::open(&settings.state_directory)?;
    let secret = directory.secret()?;
    let upstream = format!("{}:{}", settings.upstream.host, settings.upstream.port);
    let (log, restored) = SessionLog::open(directory, &upstream, &settings.snapshot, now, Arc::clone(telemetry))?;
    let log = Arc::new(log);
    let tables = Arc::new(Tables::new(&secret, &settings.snapshot, Box::new(Arc::clone(&log)), now));
    tables.key_uses.restore(log.state().read_key_uses());
    let limits = &settings.snapshot.session.limits;
    let loaded = tables.sessions.load(&restored, now.mono, limits);
    log.compact(&tables, limits, now)?;
    if loaded > 0 {
        tracing::info!(sessions = loaded, "sessions restored");
    } else if settings.snapshot.session.mode == SessionMode::Guard {
        tracing::warn!(
            "guarding with no session known: callers have to log in again, tokens of before this start are refused"
        );
    }
    Ok((tables, log))
}

/// Sweeps expired sessions and keeps the log short, for ever. Ends with the runtime.
async fn keep_tables(shared: Arc<Shared>, log: Arc<SessionLog>, rounds: Arc<Rounds>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    let mut until_touches = TOUCHES_EVERY;
    let mut until_key_uses = KEY_USES_EVERY;
    loop {
        ticks.tick().await;
        let settings = shared.settings.load_full();
        let limits = settings.snapshot.session.limits;
        shared.tables.sessions.sweep(clock::now().mono, SWEEP_BUDGET, &limits);
        shared.telemetry.metrics.sessions(shared.tables.sessions.len());
        shared.telemetry.sample();
        shared.telemetry.metrics.limiter_overflowed(shared.tables.limiter.overflowed());
        rounds.done();
        until_key_uses -= 1;
        if until_key_uses == 0 {
            until_key_uses = KEY_USES_EVERY;
            let (shared, log) = (Arc::clone(&shared), Arc::clone(&log));
            // A panic in there is counted; the next round tries again.
            let _ = tokio::task::spawn_blocking(move || write_key_uses(&shared, &log)).await;
        }
        until_touches -= 1;
        if until_touches > 0 {
            continue;
        }
        until_touches = TOUCHES_EVERY;
        let (shared, log) = (Arc::clone(&shared), Arc::clone(&log));
        let written = tokio::task::spawn_blocking(move || {
            shared.tables.flush_touches(clock::now());
            if log.needs_compaction() { log.compact(&shared.tables, &limits, clock::now()) } else { Ok(()) }
        });
        if let Ok(Err(error)) = written.await {
            tracing::error!(?error, "the session log cannot be compacted");
        }
    }
}

/// Writes down when keys were last used, if one was since the last time.
fn write_key_uses(shared: &Shared, log: &SessionLog) {
    let uses = &shared.tables.key_uses;
    if uses.take_changed()
        && let Err(error) = log.state().write_key_uses(&uses.all())
    {
        uses.set_changed();
        shared.telemetry.state_write_failed(&error);
    }
}

/// Makes the metrics that follow the configuration.
fn publish(shared: &Shared, settings: &Settings) {
    let (configured, max) = (settings.connections.max, shared.connections_max(settings.connections.max));
    if max < configured {
        tracing::warn!(configured, max, "fewer connections than configured: raise the limit of open files");
    }
    let metrics = &shared.telemetry.metrics;
    metrics.set_connections_max(max);
    let sessions = &settings.snapshot.session.limits;
    metrics.set_sessions_max(sessions.total, sessions.per_consumer);
}
