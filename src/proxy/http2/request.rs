//! The HTTP/1.1 request that a stream means (RFC 9113 sections 8.2 and 8.3).
//!
//! Only the form changes: what is wrong with a request is for the scanner and the rules to say, as for any other. What
//! could not be written down in another form was found to be malformed before.

use crate::domain::denial::{Denial, Reason};
use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, COOKIE, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Writes the head of a stream as that of an HTTP/1.1 request, but for its request line, which is [`OwnLine`]'s.
/// `ended` says that no body follows.
///
/// # Errors
/// For a method that hyper does not take.
pub(super) fn http1(method: &[u8], mut fields: HeaderMap, ended: bool) -> Result<Request<()>, Denial> {
    let method = Method::from_bytes(method).map_err(|_| Denial::because(Reason::MethodByte))?;
    join_cookies(&mut fields);
    // Says what the caller takes of this connection alone; trailers are not passed on.
    fields.remove(TE);
    if !ended && !fields.contains_key(CONTENT_LENGTH) {
        fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.headers_mut() = fields;
    Ok(request)
}

/// Cookies may come in pieces, and go on as one field (RFC 9113 section 8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    let pieces: Vec<&[u8]> = fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() < 2 {
        return;
    }
    // Made of valid values, so always one itself.
    if let Ok(joined) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        fields.insert(COOKIE, joined);
    }
}

/// A connection of hyper's client for one request, whose request line is written here: hyper's type of a target does
/// not hold every query that HTTP/1.1 does.
#[derive(Debug)]
pub(super) struct OwnLine<S> {
    inner: S,
    line: Bytes,
    /// Still in the request line that hyper writes, which goes nowhere.
    in_first_line: bool,
}

impl<S> OwnLine<S> {
    pub(super) fn new(inner: S, method: &[u8], target: &[u8]) -> Self {
        let line = [method, b" ", target, b" HTTP/1.1\r\n"].concat();
        Self { inner, line: line.into(), in_first_line: true }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for OwnLine<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for OwnLine<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { inner, line, in_first_line } = &mut *self;
        while line.has_remaining() {
            match ready!(Pin::new(&mut *inner).poll_write(cx, line))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => line.advance(written),
            }
        }
        if *in_first_line {
            let end = memchr::memchr(b'\n', bytes);
            *in_first_line = end.is_none();
            return Poll::Ready(Ok(end.map_or(bytes.len(), |at| at + 1)));
        }
        Pin::new(inner).poll_write(cx, bytes)
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
    use http::HeaderName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn written(fields: &[(&str, &str)], ended: bool) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let request = http1(b"POST", map, ended).unwrap();
        let field = |(name, value): (&HeaderName, &HeaderValue)| format!("; {name}: {}", value.to_str().unwrap());
        let mut fields: Vec<_> = request.headers().iter().map(field).collect();
        fields.sort();
        format!("{}{}", request.method(), fields.concat())
    }

    #[test]
    fn a_stream_as_a_request() {
        let fields = [("te", "trailers"), ("cookie", "a=1"), ("api_key", "k"), ("cookie", "b=2"), ("api_key", "l")];
        assert_eq!(
            written(&fields, false),
            "POST; api_key: k; api_key: l; cookie: a=1; b=2; transfer-encoding: chunked"
        );
        assert_eq!(written(&[("content-length", "3")], false), "POST; content-length: 3");
        assert_eq!(written(&[], true), "POST");
    }

    #[tokio::test]
    async fn the_request_line_is_our_own_however_it_is_cut() {
        for piece in [1, 3, 100] {
            let (near, mut far) = duplex(4);
            let read = tokio::spawn(async move {
                let mut all = Vec::new();
                far.read_to_end(&mut all).await.unwrap();
                all
            });
            let mut pipe = OwnLine::new(near, b"POST", b"/a?\"\xe9");
            for bytes in b"POST / HTTP/1.1\r\na: b\r\n\r\nc\n".chunks(piece) {
                pipe.write_all(bytes).await.unwrap();
            }
            drop(pipe);
            assert_eq!(read.await.unwrap(), b"POST /a?\"\xe9 HTTP/1.1\r\na: b\r\n\r\nc\n");
        }
    }
}
