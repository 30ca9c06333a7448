//! Buffers that are used again by whoever comes next on the same thread.
//!
//! One is taken when there are bytes for it and given back when it is empty, so a request that waits for 8sens holds
//! none.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread::LocalKey;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of a buffer, before it has to grow.
pub(super) const SIZE: usize = 16 * 1024;

/// Bytes of a buffer for what a caller sends: strangers may hold one each.
pub(super) const SMALL: usize = 4 * 1024;

/// Buffers of each kind that a thread keeps for later.
const SPARE_MAX: usize = 32;

thread_local! {
    /// All of their bytes are initialised, so that they can be read into.
    static FOR_READING: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static FOR_CALLERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static FOR_WRITING: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// What came and was not used yet. A buffer of it has `LEN` bytes at first: [`SIZE`] or [`SMALL`].
#[derive(Default)]
pub(super) struct ReadBuffer<const LEN: usize> {
    /// Empty while nothing is held; otherwise at least `LEN` long.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// Never shows bytes: they may hold tokens.
impl<const LEN: usize> fmt::Debug for ReadBuffer<LEN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer").field("filled", &self.filled().len()).finish_non_exhaustive()
    }
}

impl<const LEN: usize> ReadBuffer<LEN> {
    const SPARE: &'static LocalKey<RefCell<Vec<Vec<u8>>>> = if LEN == SMALL { &FOR_CALLERS } else { &FOR_READING };

    #[must_use]
    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Takes the first `len` bytes away.
    pub(super) fn consume(&mut self, len: usize) {
        self.start = self.end.min(self.start.saturating_add(len));
    }

    /// Puts other bytes in place of some of them.
    pub(super) fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        let mut filled = self.filled().to_vec();
        filled.splice(range, with.iter().copied());
        (self.start, self.end) = (0, filled.len());
        if self.bytes.len() < filled.len() {
            self.bytes.resize(filled.len(), 0);
        }
        self.bytes[..filled.len()].copy_from_slice(&filled);
    }

    /// Reads once, behind what is there; 0 is the end of the stream. What is there grows by what is not consumed: its
    /// bound is for whoever consumes it.
    ///
    /// # Errors
    /// When the stream is broken.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut room = ReadBuf::new(&mut self.bytes[self.end..]);
        let outcome = Pin::new(stream).poll_read(cx, &mut room);
        let read = room.filled().len();
        if outcome.is_pending() && self.start == self.end {
            self.give_back();
        }
        ready!(outcome)?;
        self.end += read;
        Poll::Ready(Ok(read))
    }

    fn make_room(&mut self) {
        if self.bytes.is_empty() {
            let spare = Self::SPARE.with_borrow_mut(Vec::pop);
            self.bytes = spare.unwrap_or_else(|| vec![0; LEN]);
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }

    fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        (self.start, self.end) = (0, 0);
        if bytes.len() == LEN {
            keep(bytes, Self::SPARE);
        }
    }
}

impl<const LEN: usize> Drop for ReadBuffer<LEN> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Bytes to be written: a vector that comes from the thread and goes back to it.
#[derive(Default)]
pub(super) struct WriteBuffer(Vec<u8>);

/// Never shows bytes: they may hold keys.
impl fmt::Debug for WriteBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBuffer").field("len", &self.0.len()).finish_non_exhaustive()
    }
}

impl WriteBuffer {
    /// Makes sure that there is one, with its room.
    pub(super) fn take(&mut self) -> &mut Vec<u8> {
        if self.0.capacity() == 0 {
            let spare = FOR_WRITING.with_borrow_mut(Vec::pop);
            self.0 = spare.unwrap_or_else(|| Vec::with_capacity(SIZE));
        }
        &mut self.0
    }

    /// Forgets the bytes and gives the memory back.
    pub(super) fn give_back(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        bytes.clear();
        if (SIZE..=2 * SIZE).contains(&bytes.capacity()) {
            keep(bytes, &FOR_WRITING);
        }
    }
}

impl Deref for WriteBuffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for WriteBuffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for WriteBuffer {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn keep(bytes: Vec<u8>, spare: &'static LocalKey<RefCell<Vec<Vec<u8>>>>) {
    // A thread that ends keeps nothing.
    let _ = spare.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < SPARE_MAX {
            spare.push(bytes);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn what_is_not_consumed_stays_in_front() {
        let (mut near, mut far) = tokio::io::duplex(4 * SIZE);
        let sent: Vec<u8> = (0..3 * SIZE).map(|at| u8::try_from(at % 251).unwrap()).collect();
        far.write_all(&sent).await.unwrap();
        drop(far);
        let mut buffer = ReadBuffer::<SIZE>::default();
        let mut seen = Vec::new();
        while poll_fn(|cx| buffer.poll_fill(cx, &mut near)).await.unwrap() > 0 {
            let take = buffer.filled().len() / 2;
            seen.extend_from_slice(&buffer.filled()[..take]);
            buffer.consume(take);
        }
        seen.extend_from_slice(buffer.filled());
        assert_eq!(seen, sent);
    }

    #[tokio::test]
    async fn nothing_is_held_while_nothing_comes() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let mut buffer = ReadBuffer::<SIZE>::default();
        let pending = poll_fn(|cx| Poll::Ready(buffer.poll_fill(cx, &mut near).is_pending())).await;
        assert!(pending && buffer.bytes.is_empty());
        far.write_all(b"bytes").await.unwrap();
        assert_eq!(poll_fn(|cx| buffer.poll_fill(cx, &mut near)).await.unwrap(), 5);
        let pending = poll_fn(|cx| Poll::Ready(buffer.poll_fill(cx, &mut near).is_pending())).await;
        assert!(pending && buffer.filled() == b"bytes");
    }
}
