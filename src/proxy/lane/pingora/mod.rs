//! Pingora's proxy as a lane.
//!
//! Pingora is handed the caller's stream as if it were a socket, and sees the bytes of exactly one request. Its types
//! for requests, answers and errors, and the texts of these, are named in this folder and nowhere else.

mod dial;
mod fault;
mod headers;
mod hooks;
mod loan;
mod peer;
mod raw_line;
mod target;

use self::hooks::{Boarding, Hooks};
use super::carriage::Carriage;
use super::handoff::{Carried, Handoff};
use super::upstream::Upstream;
use crate::domain::exchange::Attempts;
use crate::proxy::caller_stream::CallerStream;
use crate::proxy::lent::lend;
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use std::sync::Arc;
use tokio::sync::watch;

/// Pingora's proxy with its hurtful defaults replaced.
pub struct PingoraLane {
    proxy: Arc<HttpProxy<Hooks>>,
}

impl PingoraLane {
    /// Keeps so many idle connections to 8sens.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, pool_size: usize) -> Self {
        let conf = ServerConf {
            // Multiplied with the pool size by Pingora.
            threads: 1,
            max_retries: Attempts::MAX,
            upstream_keepalive_pool_size: pool_size,
            ..ServerConf::default()
        };
        Self { proxy: Arc::new(http_proxy(&Arc::new(conf), Hooks::new(upstream))) }
    }

    /// Lends Pingora the caller's stream for one request, and takes it back.
    pub async fn carry(
        &self,
        caller: Box<CallerStream>,
        mut handoff: Handoff,
        shutdown: &watch::Receiver<bool>,
    ) -> Carried {
        let mut caller = caller.gathering();
        let head_len = target::put_line(&mut caller, handoff.head_len, &mut handoff.plan);
        let state = caller.open_request(head_len, handoff.framing, handoff.plan.is_write);
        let keepalive = handoff.settings.connections.keepalive_timeout.as_secs().max(1);
        let (lent, loan) = lend(caller);
        let mut session = ServerSession::new_http1(Box::new(loan));
        session.set_keepalive(Some(keepalive));
        let mut persistent = HttpPersistentSettings::for_session(&session);
        let last = handoff.last;
        let carriage = Carriage::new(handoff, state);
        persistent.set_user_context(Box::new(Boarding { carriage, last, shutdown: shutdown.clone() }));
        persistent.apply_to_session(&mut session);
        let keeps = self.proxy.process_new_http(session, shutdown).await.is_some();
        match lent.returned() {
            Some(caller) if keeps && caller.is_reusable() => Carried::Reusable(Box::new(caller)),
            Some(caller) => Carried::ToClose(Box::new(caller)),
            None => Carried::Lost,
        }
    }

    /// Ends what Pingora keeps in the background.
    pub async fn close(&self) {
        self.proxy.http_cleanup().await;
    }
}
