//! A downstream connection on loan to a library.
//!
//! Pingora and the HTTP/2 library drop a connection that they are done with, and a drop with unread bytes resets it:
//! the reset can overtake the answer and take it away (RFC 9112 section 9.6). A [`Loan`] is all that they get, so the
//! connection always comes back to be closed in order.

use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the lender keeps.
#[derive(Debug)]
pub struct Lent<S>(Arc<Mutex<S>>);

/// What the borrower gets: the stream in every respect. Only one side uses it at a time, so the lock is never waited
/// for.
#[derive(Debug)]
pub struct Loan<S>(Arc<Mutex<S>>);

/// Lends a connection out.
#[must_use]
pub fn lend<S>(stream: S) -> (Lent<S>, Loan<S>) {
    let shared = Arc::new(Mutex::new(stream));
    (Lent(Arc::clone(&shared)), Loan(shared))
}

impl<S> Lent<S> {
    /// The connection, once the loan was dropped. `None` while somebody still holds it.
    #[must_use]
    pub fn returned(self) -> Option<S> {
        Arc::into_inner(self.0).map(Mutex::into_inner)
    }

    /// Looks at the connection while it is lent.
    pub fn look<T>(&self, at: impl FnOnce(&S) -> T) -> T {
        at(&self.0.lock())
    }
}

impl<S> Loan<S> {
    /// Looks at the connection.
    pub fn look<T>(&self, at: impl FnOnce(&S) -> T) -> T {
        at(&self.0.lock())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Loan<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Loan<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_shutdown(cx)
    }
}
