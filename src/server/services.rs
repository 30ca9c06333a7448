//! What runs beside the loop of commands: accept loops, the admin page, the control socket, upkeep.

use super::StartError;
use super::serving::Serving;
use super::supervision::Supervision;
use super::upkeep::Upkeep;
use crate::acme::Acme;
use crate::admin::command::ReloadOrder;
use crate::admin::{self, AdminContext, Readiness, control};
use crate::config::ListenerSettings;
use crate::domain::request::Transport;
use crate::proxy::acceptor::accept;
use crate::proxy::lane::Lane;
use crate::proxy::lane::upstream::Upstream;
use crate::proxy::listener::Listener;
use crate::proxy::managed_login::ManagedLogins;
use crate::proxy::opening::Opening;
use crate::proxy::shared::Shared;
use crate::state::StateError;
use crate::tls;
use secrecy::SecretString;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

/// A socket that is bound, and what it is for.
pub(super) type Bound = (ListenerSettings, TcpListener);

/// What services are made of.
pub(super) struct Parts {
    pub(super) upkeep: Upkeep,
    pub(super) upstream: Arc<Upstream>,
    pub(super) lane: Arc<Lane>,
    pub(super) logins: Arc<ManagedLogins>,
    pub(super) readiness: Arc<Readiness>,
    /// True once the gate drains.
    pub(super) stopped: watch::Receiver<bool>,
}

/// Everything that was started.
pub(super) struct Services {
    /// Accept loops: each ends by itself when the gate drains.
    accepting: Vec<JoinHandle<()>>,
    /// Ended once nothing is left to drain.
    background: Vec<JoinHandle<()>>,
}

impl Services {
    /// Starts all of them. The second value takes new certificates up, in the order of the listeners.
    ///
    /// # Errors
    /// When a socket cannot be served, or what ACME keeps in the state directory cannot be used.
    pub(super) fn start(
        parts: Parts,
        listeners: Vec<Bound>,
        admin: Option<TcpListener>,
        orders: mpsc::Sender<ReloadOrder>,
        supervision: Supervision,
    ) -> Result<(Self, Vec<Serving>), StartError> {
        let Upkeep { shared, log, rounds } = &parts.upkeep;
        let (accepting, serving) = listen(&parts, listeners)?;
        if let Some(socket) = admin {
            // Not ended: the page stays up while the gate drains, and ends with the runtime.
            tokio::spawn(admin_page(&parts, socket)?);
        }
        let loops = accepting.iter().map(JoinHandle::abort_handle).collect();
        let background = vec![
            control::serve(log.directory(), Arc::clone(shared), orders).map_err(StartError::State)?,
            tokio::spawn(watch_upstream(Arc::clone(&parts.upstream), Arc::clone(shared))),
            tokio::spawn(parts.upkeep.clone().run()),
            tokio::spawn(supervision.watch(Arc::clone(&parts.upstream), Arc::clone(rounds), loops, parts.stopped)),
        ];
        Ok((Self { accepting, background }, serving))
    }

    /// Waits until no connection is open, at most so long, and ends what runs in the background.
    pub(super) async fn drain(self, shared: &Shared, timeout: Duration) {
        let all_done = async {
            for service in self.accepting {
                // A service that panicked has nothing left to wait for.
                let _ = service.await;
            }
            shared.slots.wait_until_idle().await;
        };
        if tokio::time::timeout(timeout, all_done).await.is_err() {
            tracing::warn!(connections = shared.slots.open(), "connections cut at the end of the drain");
        }
        for task in self.background {
            task.abort();
        }
    }
}

/// Starts an accept loop on every listener.
fn listen(parts: &Parts, listeners: Vec<Bound>) -> Result<(Vec<JoinHandle<()>>, Vec<Serving>), StartError> {
    let Upkeep { shared, log, .. } = &parts.upkeep;
    let telemetry = &shared.telemetry;
    let signatures = Arc::new(Semaphore::new(signatures_at_once(shared.settings.load().server.threads)));
    let https = https_port(&listeners);
    let state = log.directory();
    let unusable = |error| StartError::State(StateError::Io(state.to_owned(), error));
    let acme = Arc::new(Acme::new(state.to_owned(), Arc::clone(&shared.challenges), Arc::clone(telemetry)));
    let (mut accepting, mut serving) = (Vec::new(), Vec::new());
    for (listener, socket) in listeners {
        let serves = Serving::new(&listener, &acme, telemetry).map_err(unusable)?;
        let opening = Opening {
            transport: listener.transport,
            tls: serves.certificates().map(|certificates| tls::server_config(certificates, listener.http2).into()),
            hsts: listener.hsts,
            proxy_protocol: listener.proxy_protocol,
            signatures: Arc::clone(&signatures),
        };
        let redirect = (listener.transport == Transport::Cleartext).then_some(https);
        let app =
            Listener::new(Arc::clone(shared), Arc::clone(&parts.lane), Arc::clone(&parts.logins), opening, redirect);
        let socket = tokio::net::TcpListener::from_std(socket).map_err(StartError::Runtime)?;
        accepting.push(tokio::spawn(accept(Arc::new(app), socket, parts.stopped.clone())));
        serving.push(serves);
    }
    Ok((accepting, serving))
}

/// The admin page, until the last sender of `stopped` is gone.
fn admin_page(parts: &Parts, socket: TcpListener) -> Result<impl Future<Output = ()> + use<>, StartError> {
    let socket = tokio::net::TcpListener::from_std(socket).map_err(StartError::Runtime)?;
    let shared = Arc::clone(&parts.upkeep.shared);
    let token: Option<SecretString> = shared.settings.load().admin.as_ref().and_then(|admin| admin.token.clone());
    let context = AdminContext { shared, readiness: Arc::clone(&parts.readiness), token };
    let mut stopped = parts.stopped.clone();
    Ok(admin::serve(socket, context, async move {
        let _ = stopped.wait_for(|_| false).await;
    }))
}

/// Looks for 8sens, with the patience that is configured at the time.
async fn watch_upstream(upstream: Arc<Upstream>, shared: Arc<Shared>) {
    let settings = shared.settings.load().upstream.clone();
    upstream.watch(settings, || shared.settings.load().upstream.connect_timeout).await;
}

/// How many handshakes may be signed at the same time: half of the threads stay for requests, whatever knocks.
fn signatures_at_once(threads: usize) -> usize {
    (threads / 2).max(1)
}

/// Where browsers are sent that come in clear: to the first listener with TLS, or to whoever answers on 443.
fn https_port(listeners: &[Bound]) -> u16 {
    let first = listeners.iter().find(|(listener, _)| listener.tls.is_some());
    first.and_then(|(_, socket)| socket.local_addr().ok()).map_or(443, |address| address.port())
}
