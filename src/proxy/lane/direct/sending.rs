//! The way of one request to 8sens.

use super::request_body::{FRAMING, PIECE, RequestBody};
use super::stream::UpstreamStream;
use crate::domain::exchange::Fault;
use crate::proxy::buffer::{SIZE, WriteBuffer};
use crate::proxy::caller_stream::CallerStream;
use crate::proxy::lane::Carriage;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use zeroize::Zeroize;

/// A request that is being written. Its head holds the upstream key: that memory is wiped as soon as it was written,
/// and whatever becomes of the request.
#[derive(Debug)]
pub(super) struct Sending<'b> {
    out: WriteBuffer,
    written: usize,
    /// Bytes that 8sens has taken in all.
    taken: u64,
    /// Bytes of `out` that are the head.
    head: usize,
    body: &'b mut RequestBody,
    /// Written and not flushed.
    is_dirty: bool,
    /// 8sens takes no more. It may have answered before.
    is_broken: bool,
    /// Since when 8sens takes nothing of what there is to write.
    blocked_since: Option<Instant>,
    /// When it took something last.
    moved_at: Instant,
    was_polled: bool,
}

impl<'b> Sending<'b> {
    /// Sends that body behind the head that `write` makes.
    #[must_use]
    pub(super) fn new(body: &'b mut RequestBody, now: Instant, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut out = WriteBuffer::default();
        write(out.take());
        let head = out.len();
        Self {
            out,
            written: 0,
            taken: 0,
            head,
            body,
            is_dirty: false,
            is_broken: false,
            blocked_since: None,
            moved_at: now,
            was_polled: false,
        }
    }

    /// The last byte of the request was written.
    #[must_use]
    pub(super) fn is_done(&self) -> bool {
        self.body.is_done() && self.out.is_empty() && !self.is_dirty
    }

    /// There is nothing more to be written, or nobody who takes it.
    #[must_use]
    pub(super) fn is_over(&self) -> bool {
        self.is_broken || self.is_done()
    }

    #[must_use]
    pub(super) const fn body(&self) -> &RequestBody {
        self.body
    }

    /// When 8sens took something last; at first, when this was made.
    #[must_use]
    pub(super) const fn moved_at(&self) -> Instant {
        self.moved_at
    }

    /// Since when it takes nothing of what there is to write.
    #[must_use]
    pub(super) const fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since
    }

    /// Writes what there is and what comes.
    ///
    /// # Errors
    /// When the caller's body ends it.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut UpstreamStream,
        caller: &mut CallerStream,
        carriage: &mut Carriage,
    ) -> Result<(), Fault> {
        let (before, mut is_stuck) = (self.taken, false);
        while !self.is_over() && !is_stuck {
            let awaits_caller = self.gather(cx, caller, carriage)?;
            is_stuck = self.write(cx, stream).is_pending() || awaits_caller;
        }
        // What leaves at once leaves when this was made.
        if std::mem::replace(&mut self.was_polled, true) && self.taken > before {
            self.moved_at = carriage.read_clock();
        }
        Ok(())
    }

    /// Takes what has come of the body behind what is still to be written, so that both leave together. Whether the
    /// caller is waited for.
    fn gather(
        &mut self,
        cx: &mut Context<'_>,
        caller: &mut CallerStream,
        carriage: &mut Carriage,
    ) -> Result<bool, Fault> {
        // While the head is there, nothing is moved: a copy would be left behind.
        while !self.body.is_done() && self.out.take().len() + PIECE + FRAMING <= self.out.capacity().min(SIZE) {
            match self.body.poll_piece(cx, caller, carriage, &mut self.out) {
                Poll::Ready(taken) => taken?,
                Poll::Pending => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Writes what was gathered, and pushes it out.
    fn write(&mut self, cx: &mut Context<'_>, stream: &mut UpstreamStream) -> Poll<()> {
        while self.written < self.out.len() {
            match Pin::new(&mut *stream).poll_write(cx, &self.out[self.written..]) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    self.written += written;
                    self.taken += written as u64;
                    self.is_dirty = true;
                    self.blocked_since = None;
                }
                Poll::Ready(_) => return self.break_off(),
                Poll::Pending => return self.block(),
            }
        }
        self.forget();
        if self.is_dirty {
            match Pin::new(stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.is_dirty = false,
                Poll::Ready(Err(_)) => return self.break_off(),
                Poll::Pending => return self.block(),
            }
        }
        self.blocked_since = None;
        Poll::Ready(())
    }

    fn block(&mut self) -> Poll<()> {
        self.blocked_since.get_or_insert_with(Instant::now);
        Poll::Pending
    }

    fn break_off(&mut self) -> Poll<()> {
        self.is_broken = true;
        self.blocked_since = None;
        self.forget();
        Poll::Pending
    }

    /// Everything gathered was written, or never will be.
    fn forget(&mut self) {
        if let Some(head) = self.out.get_mut(..std::mem::take(&mut self.head)) {
            head.zeroize();
        }
        self.written = 0;
        self.out.clear();
        if self.body.is_done() {
            self.out.give_back();
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}
