//! The composition root: binds the listeners, starts the services, and ends them in order.
//!
//! Pingora's own `Server` is not used: it forks, binds late and without a usable error, and sleeps a fixed time on
//! SIGTERM. Its proxy runs here on one runtime of ours, behind listeners that are already bound.

mod configured;
mod file_watch;
mod reload;
mod services;
mod serving;
mod state;
mod supervision;
mod upkeep;

use crate::admin::Readiness;
use crate::admin::command::{Command, ReloadOrder};
use crate::config::{ListenerSettings, Settings};
use crate::domain::tables::Tables;
use crate::platform::clock;
use crate::platform::{Notice, ServiceManager};
use crate::proxy::lane::upstream::Upstream;
use crate::proxy::lane::{Lane, OwnRequests};
use crate::proxy::managed_login::ManagedLogins;
use crate::proxy::shared::Shared;
use crate::state::{SessionLog, StateError};
use crate::telemetry::audit_event::AuditEvent;
use crate::telemetry::{Telemetry, build_info, panics};
use crate::text::Lang;
use reload::{Reloader, Wanted};
use services::{Parts, Services};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use supervision::Supervision;
use tokio::sync::{mpsc, watch};
use upkeep::Upkeep;

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
    ///
    /// # Errors
    /// When an address cannot be bound, a log not opened, or the state directory not used.
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
        let (tables, session_log) = state::open(&settings, &telemetry)?;
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
    ///
    /// # Errors
    /// When a service cannot be started.
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
        let upstream = Arc::new(Upstream::new(&settings.upstream, Arc::clone(&telemetry)));
        let lane = Arc::new(Lane::start(&settings.upstream, Arc::clone(&upstream)));
        let readiness = Arc::new(Readiness::default());
        let shared = Arc::new(Shared::new(settings, tables, Arc::clone(&telemetry)));
        configured::publish(&shared, &shared.settings.load());
        telemetry.metrics.config_taken_up(clock::now().wall, false);
        telemetry.metrics.read_tables(&shared.tables);
        let weak = Arc::downgrade(&shared);
        telemetry.metrics.read_keys_from(move || Some(Arc::clone(&weak.upgrade()?.settings.load().snapshot)));

        let (stop, stopped) = watch::channel(false);
        let upkeep = Upkeep { shared: Arc::clone(&shared), log: session_log, rounds: Arc::default() };
        let requests = OwnRequests::new(Arc::clone(&upstream));
        let logins = Arc::new(ManagedLogins::new(Arc::clone(&shared), requests));
        let parts = Parts {
            upkeep: upkeep.clone(),
            upstream,
            lane,
            logins: Arc::clone(&logins),
            readiness: Arc::clone(&readiness),
            stopped,
        };
        let (orders, reloads) = mpsc::channel(RELOADS_AT_ONCE);
        let manager = supervision.manager.clone();
        let (services, serving) = Services::start(parts, listeners, admin, orders, supervision)?;
        let (changed, changes) = mpsc::channel(1);
        let mut reloader = config_path.map(|path| Reloader::new(Arc::clone(&shared), logins, serving, path, changed));
        if let Some(reloader) = &mut reloader {
            reloader.start_to_watch().await;
        }
        readiness.set_listening(true);
        telemetry.audit.tell(&AuditEvent::GateStarted { version: build_info::VERSION });
        manager.tell(Notice::Ready);
        tracing::info!("ready");

        let mut requests = ReloadRequests { reloads, changes, telemetry: Arc::clone(&telemetry) };
        while let Some(wanted) = requests.next(&mut commands).await {
            manager.tell(Notice::Reloading);
            if let Some(reloader) = &mut reloader {
                reloader.obey(wanted).await;
            }
            manager.tell(Notice::Ready);
        }

        manager.tell(Notice::Stopping);
        readiness.start_draining();
        telemetry.audit.tell(&AuditEvent::GateStopping);
        tracing::info!("draining");
        // Receivers live as long as the services.
        let _ = stop.send(true);
        let timeout = shared.settings.load().server.drain_timeout;
        services.drain(&shared, timeout).await;
        upkeep.finish();
        Ok(())
    }
}

/// Everybody who may want the configuration read again.
struct ReloadRequests {
    /// From the control socket and the admin page.
    reloads: mpsc::Receiver<ReloadOrder>,
    /// From the watch on its files.
    changes: mpsc::Receiver<()>,
    telemetry: Arc<Telemetry>,
}

impl ReloadRequests {
    /// The next wish; `None` when the gate is to drain.
    async fn next(&mut self, commands: &mut mpsc::Receiver<Command>) -> Option<Wanted> {
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    None | Some(Command::Drain) => return None,
                    Some(Command::ReopenLogs) => self.telemetry.reopen_logs(),
                    Some(Command::Reload) => {
                        self.telemetry.reopen_logs();
                        return Some(Wanted::Reload(None));
                    }
                },
                Some(order) = self.reloads.recv() => return Some(Wanted::Reload(Some(order))),
                Some(()) = self.changes.recv() => return Some(Wanted::ReloadIfChanged),
            }
        }
    }
}
