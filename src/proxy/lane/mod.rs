//! The lanes: how a decided request gets to 8sens and its answer back.
//!
//! A lane is given the caller's stream and a [`Handoff`]. It writes the request by its plan, reads the answer, and
//! passes both ways what comes; what follows from what it sees is for its [`Carriage`] to say, the same for every lane.
//! No capability knows which lane carries a request.

mod carriage;
mod direct;
mod handoff;
mod pingora;
pub mod upstream;

pub use carriage::{Carriage, Passing};
pub use direct::{OwnAnswer, OwnRequest, OwnRequests};
pub use handoff::{Carried, Handoff};

use self::direct::DirectLane;
use self::pingora::PingoraLane;
use self::upstream::Upstream;
use super::caller_stream::CallerStream;
use super::waiting::Logins;
use crate::config::{Forwarder, UpstreamSettings};
use std::sync::Arc;
use tokio::sync::watch;

/// The lane of this gate.
pub enum Lane {
    /// The gate's own.
    Direct(DirectLane),
    /// Pingora's proxy.
    Pingora(PingoraLane),
}

impl Lane {
    /// The lane that the configuration names. Called within the runtime, on which what is idle is watched.
    #[must_use]
    pub fn start(settings: &UpstreamSettings, upstream: Arc<Upstream>) -> Self {
        match settings.forwarder {
            Forwarder::Direct => Self::Direct(DirectLane::start(upstream, settings.pool_size)),
            Forwarder::Pingora => Self::Pingora(PingoraLane::new(upstream, settings.pool_size)),
        }
    }

    /// Carries one request to its end, records it, and gives the caller's connection back. `shutdown` turns true when
    /// the gate is ending, and `logins` are asked where the request is sent again with another token, which
    /// Pingora's lane never does.
    pub(in crate::proxy) async fn carry(
        &self,
        caller: Box<CallerStream>,
        handoff: Handoff,
        shutdown: &watch::Receiver<bool>,
        logins: &impl Logins,
    ) -> Carried {
        match self {
            Self::Direct(lane) => lane.carry(caller, handoff, shutdown, logins).await,
            Self::Pingora(lane) => lane.carry(caller, handoff, shutdown).await,
        }
    }

    /// Ends what the lane keeps in the background, once nothing is accepted any more.
    pub async fn close(&self) {
        match self {
            Self::Direct(lane) => lane.close(),
            Self::Pingora(lane) => lane.close().await,
        }
    }
}
