//! Connections: each is served by hyper, with a service that may fail, so that a fault can really drop it.

use super::fault::Faults;
use super::{Sandbox, routes};
use axum::Router;
use axum::body::{Body, to_bytes};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Open connections; further ones wait in the backlog of the listener.
const MAX_CONNECTIONS: usize = 1_024;
/// Longest wait for a request head, idle time between two requests included.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
const MAX_HEAD: usize = 64 << 10;
const MAX_BODY: usize = 8 << 20;
/// How long requests in flight may take to end after the shutdown.
const DRAIN: Duration = Duration::from_secs(1);

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the fault close")]
struct Closed;

impl Sandbox {
    /// Serves connections of `listener` until `shutdown` ends, then for at most one second more.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let router = routes::router(self.clone());
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve_connection(self.clone(), router.clone(), stream, graceful.watcher()));
                    }
                    // Out of file descriptors, most likely: accepting again at once would only spin.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
            }
        }
        drop(listener);
        // What is left after that is dropped with the set.
        let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    }

    async fn answer(&self, router: Router, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let (parts, body) = request.into_parts();
        let number = self.shared.record.lock().arrived(&parts);
        let mut response = match to_bytes(Body::new(body), MAX_BODY).await {
            Err(_) => routes::error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Ok(body) => {
                self.shared.record.lock().body_read(number, body.len());
                match self.faults_of(&parts) {
                    Err(fault) => routes::error(StatusCode::BAD_REQUEST, &format!("unknown_fault {fault}")),
                    Ok(faults) => respond(router, Request::from_parts(parts, Body::from(body)), &faults).await?,
                }
            }
        };
        response.headers_mut().insert(header::SERVER, HeaderValue::from_static("8sens-sandbox"));
        self.shared.record.lock().answered(number, response.status().as_u16());
        Ok(response)
    }

    /// What becomes of the answer to this request.
    fn faults_of(&self, parts: &Parts) -> Result<Faults, String> {
        let login = parts.uri.path() == routes::LOGIN;
        let faults = if login { self.shared.login_fault.lock().clone() } else { Faults::default() };
        if self.shared.settings.faults { faults.with_headers(&parts.headers) } else { Ok(faults) }
    }
}

async fn serve_connection(sandbox: Sandbox, router: Router, stream: TcpStream, watcher: Watcher) {
    let service = service_fn(|request| {
        let (sandbox, router) = (sandbox.clone(), router.clone());
        async move { sandbox.answer(router, request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // A connection that broke is its caller's affair.
    let _ = watcher.watch(connection).await;
}

/// Runs the route, under the faults.
async fn respond(router: Router, request: Request<Body>, faults: &Faults) -> Result<Response<Body>, Closed> {
    if let Some(delay) = faults.delay {
        tokio::time::sleep(delay).await;
    }
    if faults.hang {
        return std::future::pending().await;
    }
    if faults.close {
        return Err(Closed);
    }
    let response = match faults.status {
        Some(status) => routes::error(status, "fault"),
        None => match TowerToHyperService::new(router).call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
    };
    if !faults.touch_body() {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    // The routes hold their bodies in memory, and none is large.
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| Closed)?;
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, faults.body(body)))
}
