//! A connection to 8sens for one request whose target Pingora cannot write.
//!
//! The `http` crate takes no `"`, `<` or `>` in a query, and Pingora keeps every target as one of its own. Such a
//! request goes out with a stand-in for its target on a connection of its own, and the target is put back where the
//! bytes leave, above TLS if there is any.

use bytes::{Buf, BytesMut};
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest head that is waited for. The caller's was within its limit, and the gate adds less than this.
const MAX_HEAD: usize = 2 << 20;

/// What is written in place of what Pingora writes.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RawLine {
    pub target: Arc<[u8]>,
    /// Leaves out that the connection is closed afterwards, so that 8sens sees of a read what it sees of any other.
    pub hides_close: bool,
}

/// Without the target, which may hold a token.
impl fmt::Debug for RawLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawLine").field("hides_close", &self.hides_close).finish_non_exhaustive()
    }
}

/// The connection.
pub(super) struct RawLineStream<S> {
    inner: S,
    /// What is to be put into the first head; `None` once it is there.
    line: Option<RawLine>,
    /// The head as Pingora writes it, then what is still to be written.
    held: BytesMut,
}

impl<S> RawLineStream<S> {
    #[must_use]
    pub(super) fn new(inner: S, line: RawLine) -> Self {
        Self { inner, line: Some(line), held: BytesMut::new() }
    }
}

impl<S: AsyncWrite + Unpin> RawLineStream<S> {
    /// Takes bytes until the head is whole.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(&self.held, b"\r\n\r\n") else {
            let fits = self.held.len() <= MAX_HEAD;
            return if fits { Ok(()) } else { Err(io::Error::other("the head of the request has no end")) };
        };
        if let Some(line) = self.line.take() {
            let rest = self.held.split_off(end + 4);
            self.held = rewritten(&self.held, &line).ok_or_else(|| io::Error::other("the head has no target"))?;
            self.held.unsplit(rest);
        }
        Ok(())
    }

    /// Writes what is held, once the head is whole.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.line.is_none() && !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

/// The head with the target in its first line, and without the field that says that the connection is closed if that is
/// to be hidden.
fn rewritten(head: &[u8], line: &RawLine) -> Option<BytesMut> {
    let mut out = BytesMut::with_capacity(head.len() + line.target.len());
    let before = memchr::memchr(b' ', head)? + 1;
    let after = before + memchr::memchr(b' ', &head[before..])?;
    out.extend_from_slice(&head[..before]);
    out.extend_from_slice(&line.target);
    let mut rest = &head[after..];
    const CLOSE: &[u8] = b"\r\nconnection: close\r\n";
    let is_close = |at: &usize| rest[*at..].get(..CLOSE.len()).is_some_and(|field| field.eq_ignore_ascii_case(CLOSE));
    if line.hides_close
        && let Some(at) = memchr::memchr_iter(b'\r', rest).find(is_close)
    {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + CLOSE.len() - 2..];
    }
    out.extend_from_slice(rest);
    Some(out)
}

impl<S: AsyncRead + Unpin> AsyncRead for RawLineStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RawLineStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.line.is_some() {
            self.take(bytes)?;
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> VirtualSocket for RawLineStream<S> {
    /// Those of the socket were set when it was made.
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

/// Never shows bytes: they hold the upstream key.
impl<S> fmt::Debug for RawLineStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawLineStream").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn seen(pieces: &[&[u8]], hides_close: bool) -> Vec<u8> {
        let (near, mut far) = tokio::io::duplex(7);
        let line = RawLine { target: b"/v1/a?q=\"<\xff>\""[..].into(), hides_close };
        let mut stream = RawLineStream::new(near, line);
        let read = tokio::spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all
        });
        for piece in pieces {
            stream.write_all(piece).await.unwrap();
        }
        stream.flush().await.unwrap();
        stream.shutdown().await.unwrap();
        drop(stream);
        read.await.unwrap()
    }

    #[tokio::test]
    async fn the_target_is_put_into_the_first_line_alone() {
        let whole = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nx: / y\r\n\r\nGET / HTTP/1.1\r\nConnection: \
                      close\r\n\r\n";
        let expected = b"GET /v1/a?q=\"<\xff>\" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nx: / y\r\n\r\nGET / \
                         HTTP/1.1\r\nConnection: close\r\n\r\n";
        assert_eq!(seen(&[whole], false).await, expected);
        let bytewise: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(seen(&bytewise, false).await, expected);
        let hidden =
            b"GET /v1/a?q=\"<\xff>\" HTTP/1.1\r\nHost: a\r\nx: / y\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n";
        assert_eq!(seen(&[&whole[..20], &whole[20..]], true).await, hidden);
    }

    #[tokio::test]
    async fn a_head_without_end_is_given_up() {
        let (near, _far) = tokio::io::duplex(64);
        let line = RawLine { target: b"/"[..].into(), hides_close: false };
        let mut stream = RawLineStream::new(near, line);
        assert!(stream.write_all(&vec![b'a'; MAX_HEAD + 1]).await.is_err());
    }
}
