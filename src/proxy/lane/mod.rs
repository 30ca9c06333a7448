//! The lanes: how a decided request gets to 8sens and its answer back.
//!
//! A lane is given the caller's stream and a [`Handoff`]. It writes the request by its plan, reads the answer, and
//! passes both ways what comes; what follows from what it sees is for its [`Carriage`] to say, the same for every lane.
//! No capability knows which lane carries a request.

mod carriage;
mod handoff;
mod pingora;
pub mod upstream;

pub use carriage::{Carriage, Passing};
pub use handoff::{Carried, Handoff};

use self::pingora::PingoraLane;
use self::upstream::Upstream;
use super::caller_stream::CallerStream;
use std::sync::Arc;
use tokio::sync::watch;

/// The lane of this gate.
pub enum Lane {
    /// Pingora's proxy.
    Pingora(PingoraLane),
}

impl Lane {
    /// Pingora's proxy, which keeps so many idle connections to 8sens.
    #[must_use]
    pub fn pingora(upstream: Arc<Upstream>, pool_size: usize) -> Self {
        Self::Pingora(PingoraLane::new(upstream, pool_size))
    }

    /// Carries one request to its end, records it, and gives the caller's connection back. `shutdown` turns true when
    /// the gate is ending.
    pub async fn carry(&self, caller: CallerStream, handoff: Handoff, shutdown: &watch::Receiver<bool>) -> Carried {
        match self {
            Self::Pingora(lane) => lane.carry(caller, handoff, shutdown).await,
        }
    }

    /// Ends what the lane keeps in the background, once nothing is accepted any more.
    pub async fn close(&self) {
        match self {
            Self::Pingora(lane) => lane.close().await,
        }
    }
}
