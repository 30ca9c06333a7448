//! The admin listener: the live page, `/metrics`, `/livez` and `/readyz`. All of it reads, but for the end of a
//! session.
//!
//! It is meant for a loopback address or a trusted network, and still does not trust who calls: `guard` refuses what a
//! browser could be tricked into sending, and asks for the bearer token when there is one. Connections, their number,
//! their age and the size of a head are bounded.

mod api;
pub mod command;
pub mod control;
mod guard;
mod host;
mod page;
mod pages;
mod paths;
mod peer;
mod readiness;
mod refusal;
pub mod refusals;

pub use readiness::Readiness;
pub use refusal::AdminCode;

use crate::platform::clock;
use crate::proxy::shared::Shared;
use crate::telemetry::throttle::Throttle;
use axum::Router;
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use peer::{LocalAddress, PeerAddress};
use secrecy::SecretString;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Open admin connections; further ones wait in the listener's backlog.
pub const MAX_CONNECTIONS: usize = 64;

/// From the start of a connection, or the end of an answer, to the end of the next request head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Oldest age of a connection; then it ends after the answer under way.
const MAX_AGE: Duration = Duration::from_secs(60);

/// How long the answer under way may take when a connection has to end.
const GRACE: Duration = Duration::from_secs(2);

/// How long accepting pauses after it failed, for lack of descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Largest request head in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// What the pages show and who may see them.
#[derive(Clone)]
pub struct AdminContext {
    pub shared: Arc<Shared>,
    pub readiness: Arc<Readiness>,
    /// Everything but health and the files of the page asks for it when there is one; what changes something always
    /// does.
    pub token: Option<SecretString>,
}

/// Serves the admin pages until `shutdown` is ready, then lets answers under way end, at most 2 s.
pub async fn serve(listener: TcpListener, admin: AdminContext, shutdown: impl Future<Output = ()>) {
    let pages = pages::router(admin);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut reports = Throttle::default();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &slots) => match accepted {
                Ok((stream, slot)) => {
                    let conversation = converse(stream, pages.clone(), graceful.watcher());
                    connections.spawn(async move {
                        conversation.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    if reports.lets_through(clock::now().mono) {
                        tracing::warn!(%error, "an admin connection could not be accepted");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    // What is left then is dropped with the set.
    let _ = timeout(GRACE, graceful.shutdown()).await;
}

/// Takes a connection only when there is a slot for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

/// Serves one connection until it ends, grows too old or the gate stops.
async fn converse(stream: TcpStream, pages: Router, watcher: Watcher) {
    let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return };
    let born = Instant::now();
    let pages = TowerToHyperService::new(pages);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(LocalAddress(local.ip()));
        request.extensions_mut().insert(PeerAddress(peer.ip()));
        let answer = pages.call(request);
        async move {
            let mut answer = answer.await;
            if let Ok(answer) = &mut answer
                && born.elapsed() >= MAX_AGE
            {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // How a connection fails is of no interest: there is nobody to tell.
    let _ = timeout(MAX_AGE + GRACE, watcher.watch(connection)).await;
}
