//! Frames that cost and ask for nothing: SETTINGS, PING, PRIORITY, resets and the like, counted against what requests
//! need of them.
//!
//! The HTTP/2 library answers each of them and bounds most; a caller that sends nothing else keeps a core busy all the
//! same (CVE-2019-9512, CVE-2019-9513, CVE-2019-9515, CVE-2023-44487). So each connection has a credit. Requests and
//! moved bytes add to it, other frames use it up, and a connection without credit is ended.

use super::front::Front;
use super::layout::{END_STREAM, FrameHeader, HEADER_LEN, PREFACE_LEN, TYPE_DATA, TYPE_HEADERS, TYPE_RST_STREAM};
use bytes::BytesMut;
use h2::Reason as ErrorCode;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// What a connection begins with, and the most that it can save up.
const FIRST_CREDIT: i64 = 1000;
const MAX_CREDIT: i64 = 4000;

/// What a request adds, and what giving one up takes: who gives all of them up has no credit left after some 200.
const REQUEST: i64 = 20;
const RESET: i64 = -25;

/// What a full DATA frame adds and any other frame takes. Bytes sent add one for each KiB: their windows have to be
/// opened again.
const DATA: i64 = 1;
const OTHER: i64 = -1;
const SENT_PER_CREDIT: usize = 1024;

/// DATA with fewer bytes moves nothing, unless it ends its stream.
const SMALL_DATA: usize = 64;

/// Follows the frames of one caller, however its bytes are cut.
#[derive(Debug)]
struct Meter {
    credit: i64,
    /// Bytes of the preface or of a payload that are still to come.
    skip: usize,
    header: [u8; HEADER_LEN],
    header_len: usize,
}

impl Meter {
    const fn new() -> Self {
        Self { credit: FIRST_CREDIT, skip: PREFACE_LEN, header: [0; HEADER_LEN], header_len: 0 }
    }

    fn received(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = bytes.len().min(self.skip);
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = bytes.len().min(HEADER_LEN - self.header_len);
            self.header[self.header_len..self.header_len + taken].copy_from_slice(&bytes[..taken]);
            self.header_len += taken;
            bytes = &bytes[taken..];
            if self.header_len == HEADER_LEN {
                self.header_len = 0;
                self.frame();
            }
        }
    }

    fn frame(&mut self) {
        let Some(header) = FrameHeader::read(&self.header) else { return };
        self.skip = header.len;
        self.add(match header.kind {
            TYPE_HEADERS => REQUEST,
            TYPE_DATA if header.len >= SMALL_DATA || header.flags & END_STREAM != 0 => DATA,
            TYPE_RST_STREAM => RESET,
            _ => OTHER,
        });
    }

    fn sent(&mut self, bytes: usize) {
        self.add(i64::try_from(bytes / SENT_PER_CREDIT).unwrap_or(MAX_CREDIT));
    }

    fn add(&mut self, credit: i64) {
        // Once it is used up, nothing restores it.
        if self.credit >= 0 {
            self.credit = (self.credit + credit).min(MAX_CREDIT);
        }
    }

    const fn is_used_up(&self) -> bool {
        self.credit < 0
    }
}

/// Tells the connection that its caller broke a rule that ends it: used its credit up, or sent what cannot be followed.
#[derive(Debug, Default)]
pub(super) struct Breach {
    code: OnceLock<ErrorCode>,
    bell: Notify,
}

impl Breach {
    /// Waits until there is one, and tells what the caller is told (RFC 9113 section 7).
    pub(super) async fn noticed(&self) -> ErrorCode {
        loop {
            if let Some(code) = self.code() {
                return code;
            }
            self.bell.notified().await;
        }
    }

    #[must_use]
    pub(super) fn code(&self) -> Option<ErrorCode> {
        self.code.get().copied()
    }

    fn notice(&self, code: ErrorCode) {
        // The first one ends the connection.
        let _ = self.code.set(code);
        self.bell.notify_one();
    }
}

/// A caller's connection whose frames are counted, and whose field blocks are read in front of the library. After a
/// breach nothing more is read; writing goes on, for the GOAWAY.
#[derive(Debug)]
pub(super) struct Metered<S> {
    inner: S,
    meter: Meter,
    breach: Arc<Breach>,
    front: Front,
    /// Read and changed, and not yet taken.
    changed: BytesMut,
}

impl<S> Metered<S> {
    pub(super) fn new(inner: S, front: Front) -> (Self, Arc<Breach>) {
        let breach = Arc::new(Breach::default());
        (Self { inner, meter: Meter::new(), breach: Arc::clone(&breach), front, changed: BytesMut::new() }, breach)
    }

    fn is_over(&self) -> bool {
        self.meter.is_used_up() || self.front.breach().is_some()
    }

    /// Counts and follows what was read; what goes on in its place, when that is something else.
    fn follow(&mut self, read: &[u8]) -> Option<Vec<u8>> {
        self.meter.received(read);
        let changed = self.front.pass(read);
        if let Some(code) = self.front.breach() {
            self.breach.notice(code);
        }
        if self.meter.is_used_up() {
            self.breach.notice(ErrorCode::ENHANCE_YOUR_CALM);
        }
        changed
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.changed.is_empty() {
                let len = self.changed.len().min(out.remaining());
                out.put_slice(&self.changed.split_to(len));
                return Poll::Ready(Ok(()));
            }
            if self.is_over() {
                // Woken by the connection, which ends.
                return Poll::Pending;
            }
            let before = out.filled().len();
            ready!(Pin::new(&mut self.inner).poll_read(cx, out))?;
            let read = &out.filled()[before..];
            if read.is_empty() {
                // The end. Of a block that is not whole nothing was handed on.
                return Poll::Ready(Ok(()));
            }
            let Some(changed) = self.follow(read) else { return Poll::Ready(Ok(())) };
            self.changed.extend_from_slice(&changed);
            out.set_filled(before);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.meter.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let len = u32::try_from(payload).unwrap().to_be_bytes();
        [&[len[1], len[2], len[3], kind, flags, 0, 0, 0, 1][..], &vec![kind; payload]].concat()
    }

    fn credit_after(frames: &[Vec<u8>]) -> i64 {
        let mut meter = Meter::new();
        meter.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        frames.iter().for_each(|frame| meter.received(frame));
        meter.credit
    }

    #[test]
    fn ordinary_traffic_never_runs_out() {
        let request = [frame(TYPE_HEADERS, 4, 120), frame(TYPE_DATA, 0, 9000), frame(TYPE_DATA, 1, 0), frame(8, 0, 4)];
        let traffic: Vec<_> = request.iter().cycle().take(40_000).cloned().collect();
        assert_eq!(credit_after(&traffic), MAX_CREDIT - 1);
    }

    #[test]
    fn floods_run_out() {
        let pings = |count| credit_after(&vec![frame(PING, 0, 8); count]);
        assert_eq!((pings(1000), pings(1001)), (0, -1));
        assert_eq!(pings(5000), -1, "nothing is counted after the end");
        assert!(credit_after(&vec![frame(TYPE_DATA, 0, 0); 1001]) < 0);
        assert_eq!(credit_after(&vec![frame(TYPE_DATA, 0, 20_000); 1001]), FIRST_CREDIT + 1001);
        let given_up = vec![[frame(TYPE_HEADERS, 5, 30), frame(TYPE_RST_STREAM, 0, 4)]; 205].concat();
        assert!(credit_after(&given_up) < 0);
        assert!(credit_after(&given_up[..300]) > 0);
    }

    proptest! {
        #[test]
        fn it_makes_no_difference_where_the_bytes_are_cut(
            frames in prop::collection::vec((any::<u8>(), any::<u8>(), 0usize..300), 0..40),
            cuts in prop::collection::vec(1usize..50, 1..50),
        ) {
            let frames: Vec<_> = frames.into_iter().map(|(kind, flags, len)| frame(kind, flags, len)).collect();
            let whole = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frames.concat()].concat();
            let mut meter = Meter::new();
            let (mut rest, mut cuts) = (&whole[..], cuts.into_iter().cycle());
            while !rest.is_empty() {
                let at = cuts.next().unwrap().min(rest.len());
                meter.received(&rest[..at]);
                rest = &rest[at..];
            }
            prop_assert_eq!(meter.credit, credit_after(&frames));
            prop_assert_eq!((meter.skip, meter.header_len), (0, 0));
        }
    }
}
