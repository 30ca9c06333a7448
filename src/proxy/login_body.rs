//! The body of a login, read before it is known whether the login may go on. It stays in the buffer, from where it is
//! forwarded like any other.

use super::caller_stream::CallerStream;
use super::reply::ANSWER_TIMEOUT;
use super::unread_body::Body;
use crate::domain::denial::{Denial, Reason};
use crate::domain::exchange::{Event, LoginBody, has_body};
use crate::domain::request::Framing;
use crate::domain::request::chunked::ChunkScanner;
use crate::domain::session::login_name::MAX_BODY;
use zeroize::Zeroizing;

/// The caller closed its connection before its request could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left;

/// Reads the whole body, of at most [`MAX_BODY`] bytes, for as long as it takes.
///
/// # Errors
/// When the caller is gone.
pub(super) async fn read(caller: &mut CallerStream, body: Body) -> Result<Event, Left> {
    let Body { head_len, framing, expects_continue } = body;
    if matches!(framing, Framing::Length(length) if length > MAX_BODY as u64) {
        return Ok(Event::Refused(Denial::because(Reason::LoginBodyTooLong)));
    }
    let awaits_word = expects_continue && has_body(framing) && caller.buffered().len() == head_len;
    if awaits_word && !caller.send(b"HTTP/1.1 100 Continue\r\n\r\n", ANSWER_TIMEOUT).await {
        return Err(Left);
    }
    let mut collected = Collected::new(framing);
    let mut seen = head_len;
    loop {
        match collected.follow(&caller.buffered()[seen..]) {
            Err(denial) => return Ok(Event::Refused(denial)),
            Ok(Some(bytes)) => return Ok(Event::Body(LoginBody::new(bytes))),
            Ok(None) => seen = caller.buffered().len(),
        }
        if !matches!(caller.fill().await, Ok(read) if read > 0) {
            return Err(Left);
        }
    }
}

/// A body as it comes, decoded.
struct Collected {
    bytes: Zeroizing<Vec<u8>>,
    framing: Framing,
    chunks: ChunkScanner,
}

impl Collected {
    fn new(framing: Framing) -> Self {
        // Never moved in memory while it grows: what is left behind would hold a password.
        Self { bytes: Zeroizing::new(Vec::with_capacity(MAX_BODY)), framing, chunks: ChunkScanner::default() }
    }

    /// Takes what comes next on the connection, and gives the body once it is whole.
    fn follow(&mut self, next: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Denial> {
        let had = self.bytes.len();
        let (mut fits, bytes) = (true, &mut self.bytes);
        let mut take = |data: &[u8]| {
            fits &= bytes.len() + data.len() <= MAX_BODY;
            if fits {
                bytes.extend_from_slice(data);
            }
        };
        let is_whole = match self.framing {
            Framing::None => true,
            Framing::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                take(&next[..next.len().min(length - had)]);
                had + next.len() >= length
            }
            Framing::Chunked => {
                self.chunks.decode(next, take).map_err(|_| Denial::because(Reason::BadChunk))?;
                self.chunks.is_done()
            }
        };
        if !fits {
            return Err(Denial::because(Reason::LoginBodyTooLong));
        }
        Ok(is_whole.then(|| std::mem::take(&mut self.bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConnectionSettings;
    use crate::proxy::socket::Socket;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const HEAD: &[u8] = b"POST /v1/login/user HTTP/1.1\r\n\r\n";

    fn pair() -> (DuplexStream, CallerStream) {
        let (near, far) = duplex(1 << 20);
        (near, CallerStream::new(Socket::piped(far), &ConnectionSettings::for_tests()))
    }

    fn body(framing: Framing) -> Body {
        Body { head_len: HEAD.len(), framing, expects_continue: false }
    }

    /// What is read of a body that comes in pieces of so many bytes, and what is in the buffer then.
    async fn read_in_pieces(framing: Framing, sent: &[u8], pieces: usize) -> (Result<Event, Left>, Vec<u8>) {
        let (mut near, mut caller) = pair();
        near.write_all(HEAD).await.unwrap();
        while caller.buffered().len() < HEAD.len() {
            caller.fill().await.unwrap();
        }
        let sending = async {
            for piece in sent.chunks(pieces) {
                near.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(near);
        };
        let (event, ()) = tokio::join!(read(&mut caller, body(framing)), sending);
        (event, caller.buffered().to_vec())
    }

    fn event(bytes: &[u8]) -> Event {
        Event::Body(LoginBody::new(Zeroizing::new(bytes.to_vec())))
    }

    fn refused(reason: Reason) -> Event {
        Event::Refused(Denial::because(reason))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_and_stays_in_the_buffer() {
        for pieces in [1, 3, 1_000] {
            let form = b"login=a&password=b";
            let (read, buffered) = read_in_pieces(Framing::Length(18), form, pieces).await;
            assert_eq!((read, &buffered[HEAD.len()..]), (Ok(event(form)), &form[..]));
            let chunked = b"5\r\nlogin\r\n2\r\n=a\r\n0\r\n\r\n";
            let (read, buffered) = read_in_pieces(Framing::Chunked, chunked, pieces).await;
            assert_eq!((read, &buffered[HEAD.len()..]), (Ok(event(b"login=a")), &chunked[..]));
        }
        let (read, buffered) = read_in_pieces(Framing::Length(7), b"login=aGET /next", 100).await;
        assert_eq!(read, Ok(event(b"login=a")), "what follows is another request");
        assert!(buffered.ends_with(b"GET /next"));
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_broken_or_cut_goes_no_further() {
        let chunks = |length: usize| {
            let mut body = format!("{length:x}\r\n").into_bytes();
            body.resize(body.len() + length, b'x');
            body.extend_from_slice(b"\r\n0\r\n\r\n");
            body
        };
        for (framing, sent, expected) in [
            (Framing::Length(MAX_BODY as u64), vec![b'x'; MAX_BODY], Ok(event(&[b'x'; MAX_BODY]))),
            (Framing::Length(MAX_BODY as u64 + 1), vec![], Ok(refused(Reason::LoginBodyTooLong))),
            (Framing::Chunked, chunks(MAX_BODY), Ok(event(&[b'x'; MAX_BODY]))),
            (Framing::Chunked, chunks(MAX_BODY + 1), Ok(refused(Reason::LoginBodyTooLong))),
            (Framing::Chunked, b"zz\r\n".to_vec(), Ok(refused(Reason::BadChunk))),
            (Framing::Length(10), b"login=a".to_vec(), Err(Left)),
            (Framing::Chunked, b"5\r\nlog".to_vec(), Err(Left)),
        ] {
            assert_eq!(read_in_pieces(framing, &sent, 10_000).await.0, expected, "{framing:?} {}", sent.len());
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_word_gets_it() {
        let (mut near, mut caller) = pair();
        near.write_all(HEAD).await.unwrap();
        caller.fill().await.unwrap();
        let waiting = Body { expects_continue: true, ..body(Framing::Length(7)) };
        let answering = async {
            let mut word = [0; 25];
            near.read_exact(&mut word).await.unwrap();
            near.write_all(b"login=a").await.unwrap();
            word
        };
        let (read, word) = tokio::join!(read(&mut caller, waiting), answering);
        assert_eq!((read, &word), (Ok(event(b"login=a")), b"HTTP/1.1 100 Continue\r\n\r\n"));
    }
}
