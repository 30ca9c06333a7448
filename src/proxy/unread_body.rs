//! The part of a request that nobody wants any more: read away when it is small, so that the connection can go on.

use super::caller_stream::CallerStream;
use crate::domain::request::Framing;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Most bytes of an unwanted body that are read to keep a connection.
const WORTH_READING: u64 = 64 * 1024;

/// How long such a body is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What follows the head of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    pub head_len: usize,
    pub framing: Framing,
    pub expects_continue: bool,
}

impl Body {
    /// Reads an unwanted body away when it is small and of known length. False when the connection cannot be used
    /// further.
    pub(super) async fn drain(self, caller: &mut CallerStream) -> bool {
        // Who waits to be told to send the body will not send it after a refusal, or will: nobody knows.
        let mut left = match self.framing {
            Framing::None | Framing::Length(0) => return true,
            Framing::Length(length) if length <= WORTH_READING && !self.expects_continue => length,
            Framing::Length(_) | Framing::Chunked => return false,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(caller.buffered().len());
            caller.discard(take);
            left -= take as u64;
            if left == 0 {
                return true;
            }
            match timeout_at(deadline, caller.fill()).await {
                Ok(Ok(read)) if read > 0 => {}
                _ => return false,
            }
        }
    }
}

/// True when a body of which `read` bytes were read has a small rest of known length.
#[must_use]
pub(super) fn has_small_rest(framing: Framing, read: u64) -> bool {
    match framing {
        Framing::None => true,
        Framing::Length(length) => length.saturating_sub(read) <= WORTH_READING,
        Framing::Chunked => false,
    }
}
