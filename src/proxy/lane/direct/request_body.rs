//! The body of a request on its way from its caller.

use crate::domain::exchange::{Fault, has_body};
use crate::domain::request::Framing;
use crate::domain::request::chunked::ChunkScanner;
use crate::proxy::caller_stream::CallerStream;
use crate::proxy::lane::Carriage;
use std::fmt;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Most bytes that are taken from the caller at a time.
pub(super) const PIECE: usize = 4096;

/// Most bytes that framing adds to a piece: size and line ends of a chunk, and the last chunk.
pub(super) const FRAMING: usize = 32;

/// Most bytes of a body that are kept in case the request is sent again.
const KEPT_MAX: usize = 64 * 1024;

/// Reads the body and frames it anew. Where the request may be sent again, what was read is kept.
pub(super) struct RequestBody {
    framing: Framing,
    /// Bytes that are still to come of a body with a length.
    left: u64,
    decoder: ChunkScanner,
    /// Bytes of data that came.
    read: u64,
    kept: Kept,
    /// Of what is kept, how much was sent by this attempt.
    sent_of_kept: usize,
    /// The last chunk was written.
    has_last_chunk: bool,
}

enum Kept {
    /// Nothing is kept: nobody will want it, or it was too much.
    Nothing,
    All(Vec<u8>),
}

/// Never shows bytes.
impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = &mut f.debug_struct("RequestBody");
        body.field("framing", &self.framing).field("read", &self.read).finish_non_exhaustive()
    }
}

impl RequestBody {
    /// `may_be_resent` says that it is worth keeping.
    #[must_use]
    pub(super) fn new(framing: Framing, may_be_resent: bool) -> Self {
        Self {
            framing,
            left: if let Framing::Length(length) = framing { length } else { 0 },
            decoder: ChunkScanner::default(),
            read: 0,
            kept: if may_be_resent && has_body(framing) { Kept::All(Vec::new()) } else { Kept::Nothing },
            sent_of_kept: 0,
            has_last_chunk: false,
        }
    }

    /// All of it came from the caller.
    #[must_use]
    pub(super) fn has_come(&self) -> bool {
        match self.framing {
            Framing::None => true,
            Framing::Length(_) => self.left == 0,
            Framing::Chunked => self.decoder.is_done(),
        }
    }

    /// All of it was given out.
    #[must_use]
    pub(super) fn is_done(&self) -> bool {
        let is_framed = self.has_last_chunk || self.framing != Framing::Chunked;
        self.has_come() && self.unsent().is_empty() && is_framed
    }

    /// Bytes of data that came.
    #[must_use]
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// Whether it can be sent from its beginning.
    #[must_use]
    pub(super) const fn can_restart(&self) -> bool {
        self.read == 0 || matches!(self.kept, Kept::All(_))
    }

    /// Begins again with what was kept.
    pub(super) fn restart(&mut self) {
        self.sent_of_kept = 0;
        self.has_last_chunk = false;
    }

    /// Appends one piece to `out`, framed; at most [`PIECE`] and [`FRAMING`]. It may be nothing, of a body whose next
    /// bytes are framing.
    ///
    /// # Errors
    /// When the caller has left or has sent what is no body, and when the body is larger than allowed.
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        caller: &mut CallerStream,
        carriage: &mut Carriage,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), Fault>> {
        if self.unsent().is_empty() && !self.has_come() {
            ready!(self.poll_caller(cx, caller, carriage, out))?;
        } else {
            let piece = self.unsent().len().min(PIECE);
            carriage.request_chunk(piece)?;
            self.frame(out, &self.unsent()[..piece]);
            self.sent_of_kept += piece;
        }
        if self.has_come() && self.unsent().is_empty() && self.framing == Framing::Chunked && !self.has_last_chunk {
            out.extend_from_slice(b"0\r\n\r\n");
            self.has_last_chunk = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_caller(
        &mut self,
        cx: &mut Context<'_>,
        caller: &mut CallerStream,
        carriage: &mut Carriage,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), Fault>> {
        let mut piece = [const { MaybeUninit::<u8>::uninit() }; PIECE];
        let mut piece = ReadBuf::uninit(&mut piece);
        // The caller's stream has seen whether it left or sent too slowly, or something else.
        ready!(Pin::new(caller).poll_read(cx, &mut piece)).map_err(|_| Fault::CallerLeft)?;
        let piece = piece.filled();
        if piece.is_empty() {
            return Poll::Ready(Err(Fault::CallerLeft));
        }
        if self.framing == Framing::Chunked {
            let (mut data, mut len) = ([0; PIECE], 0);
            let decoded = self.decoder.decode(piece, |part| {
                data[len..len + part.len()].copy_from_slice(part);
                len += part.len();
            });
            decoded.map_err(|_| Fault::BadChunk)?;
            self.take(carriage, out, &data[..len])?;
        } else {
            self.left = self.left.saturating_sub(piece.len() as u64);
            self.take(carriage, out, piece)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Counts, keeps and frames data that came.
    fn take(&mut self, carriage: &mut Carriage, out: &mut Vec<u8>, data: &[u8]) -> Result<(), Fault> {
        self.read += data.len() as u64;
        carriage.request_chunk(data.len())?;
        self.frame(out, data);
        if let Kept::All(kept) = &mut self.kept {
            if kept.len() + data.len() > KEPT_MAX {
                (self.kept, self.sent_of_kept) = (Kept::Nothing, 0);
            } else {
                kept.extend_from_slice(data);
                self.sent_of_kept += data.len();
            }
        }
        Ok(())
    }

    fn frame(&self, out: &mut Vec<u8>, data: &[u8]) {
        if self.framing == Framing::Chunked { chunk(out, data) } else { out.extend_from_slice(data) }
    }

    fn unsent(&self) -> &[u8] {
        match &self.kept {
            Kept::All(kept) => &kept[self.sent_of_kept..],
            Kept::Nothing => &[],
        }
    }
}

/// Appends data as one chunk (RFC 9112 section 7.1). An empty one would be the end.
pub(super) fn chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let bits = usize::BITS - data.len().leading_zeros();
    for digit in (0..bits.div_ceil(4)).rev() {
        out.push(b"0123456789abcdef"[(data.len() >> (4 * digit)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_says_its_size() {
        for size in [0, 1, 15, 16, 255, 4096, 70_000] {
            let mut out = b"before".to_vec();
            chunk(&mut out, &vec![b'x'; size]);
            let expected = if size == 0 { String::new() } else { format!("{size:x}\r\n{}\r\n", "x".repeat(size)) };
            assert_eq!(out, format!("before{expected}").into_bytes());
        }
    }
}
