//! A request of the gate's own to 8sens: a login, or the end of a session. Small both ways, and on a connection of its
//! own, as every write is.

use super::connect::Connector;
use super::request_head::field;
use crate::config::UpstreamSettings;
use crate::domain::answer::framing::Content;
use crate::domain::answer::head::{AnswerScanner, Scan};
use crate::domain::exchange::Fault;
use crate::domain::request::Method;
use crate::domain::request::chunked::ChunkScanner;
use crate::domain::session::login_answer::MAX_BODY;
use crate::domain::types::Mono;
use crate::platform::clock;
use crate::proxy::lane::upstream::Upstream;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

/// Most bytes of an answer, head and framing included.
const MAX_ANSWER: usize = 2 * MAX_BODY;

/// What asks 8sens in the gate's own name. It has no part in the connections of any lane.
#[derive(Debug)]
pub struct OwnRequests {
    upstream: Arc<Upstream>,
    connector: Connector,
}

/// A POST of the gate's own.
#[derive(Clone, Copy)]
pub struct OwnRequest<'r> {
    pub target: &'r str,
    /// Beside those that every request of the gate's own has.
    pub fields: &'r [(&'r str, &'r [u8])],
    pub body: &'r [u8],
}

/// A whole answer.
#[derive(Debug)]
pub struct OwnAnswer {
    pub status: u16,
    pub body: Zeroizing<Vec<u8>>,
    /// When the first byte of the request was written.
    pub sent: Mono,
}

impl OwnRequests {
    #[must_use]
    pub fn new(upstream: Arc<Upstream>) -> Self {
        Self { upstream, connector: Connector::new(0) }
    }

    /// Sends it and reads the whole answer, within that time.
    ///
    /// # Errors
    /// Why there is no answer. Whether 8sens had the request is not known then.
    pub async fn post(
        &self,
        settings: &UpstreamSettings,
        request: OwnRequest<'_>,
        within: Duration,
    ) -> Result<OwnAnswer, Fault> {
        timeout(within, self.exchange(settings, request)).await.unwrap_or(Err(Fault::Silent))
    }

    async fn exchange(&self, settings: &UpstreamSettings, request: OwnRequest<'_>) -> Result<OwnAnswer, Fault> {
        let found = self.upstream.whereabouts(settings.connect_timeout, false).await;
        let (addresses, within) = found.ok_or(Fault::NotResolved)?;
        let generation = self.upstream.generation();
        let connected = self.connector.connect(settings, (&addresses, Instant::now(), within), generation, true).await;
        let mut connected = connected.inspect_err(|_| self.upstream.proven_down())?;
        self.upstream.connected(false, clock::now().mono);
        self.upstream.answered(connected.route.address);
        let bytes = written(settings, request);
        let sent = clock::now().mono;
        let write = async {
            connected.stream.write_all(&bytes).await?;
            connected.stream.flush().await
        };
        write.await.map_err(|_| Fault::ClosedBeforeAnswer { reused: false })?;
        let (status, body) = read(&mut connected.stream).await?;
        Ok(OwnAnswer { status, body, sent })
    }
}

/// The whole request, in memory that is wiped.
fn written(settings: &UpstreamSettings, request: OwnRequest<'_>) -> Zeroizing<Vec<u8>> {
    let OwnRequest { target, fields, body } = request;
    let (host, key) = (settings.host_field.as_bytes(), settings.api_key.as_bytes());
    let of_fields: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    // Room for all of it from the beginning, so that no copy is left behind.
    let room = 256 + target.len() + host.len() + key.len() + of_fields + body.len();
    let mut out = Zeroizing::new(Vec::with_capacity(room));
    for part in [b"POST ", target.as_bytes(), b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    field(&mut out, "Host", host);
    field(&mut out, "Accept", b"application/json");
    fields.iter().for_each(|(name, value)| field(&mut out, name, value));
    field(&mut out, "Content-Length", itoa::Buffer::new().format(body.len()).as_bytes());
    field(&mut out, "Connection", b"close");
    field(&mut out, "api_key", key);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    debug_assert!(out.len() <= room, "a copy was left behind");
    out
}

/// Reads one whole answer, by the grammar of the lane.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<(u16, Zeroizing<Vec<u8>>), Fault> {
    let mut scanner = AnswerScanner::new(Method::Post);
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 * 1024));
    let head = loop {
        match scanner.scan(&bytes) {
            Scan::Partial => more(stream, &mut bytes).await?,
            Scan::Interim(len) => drop(bytes.drain(..len)),
            Scan::Complete(head) => break head,
            Scan::Invalid(_) => return Err(Fault::AnswerNotParsed),
        }
    };
    drop(bytes.drain(..head.len));
    let body = match head.framing.content {
        Content::Length(length) => {
            let length = usize::try_from(length).ok().filter(|length| *length <= MAX_BODY);
            let length = length.ok_or(Fault::AnswerNotValid)?;
            while bytes.len() < length {
                more(stream, &mut bytes).await?;
            }
            bytes.truncate(length);
            bytes
        }
        Content::Chunked => unchunked(stream, bytes).await?,
        Content::UntilClose => {
            while is_more(stream, &mut bytes).await? {}
            bytes
        }
        Content::None | Content::Dropped => Zeroizing::default(),
    };
    Ok((head.status, body))
}

async fn unchunked(
    stream: &mut (impl AsyncRead + Unpin),
    mut bytes: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut scanner = ChunkScanner::default();
    let mut body = Zeroizing::new(Vec::with_capacity(bytes.len()));
    loop {
        let used = scanner.decode(&bytes, |data| body.extend_from_slice(data)).map_err(|_| Fault::AnswerNotValid)?;
        drop(bytes.drain(..used));
        if body.len() > MAX_BODY {
            return Err(Fault::AnswerNotValid);
        }
        if scanner.is_done() {
            return Ok(body);
        }
        more(stream, &mut bytes).await?;
    }
}

/// Reads on, where there has to be more.
async fn more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Result<(), Fault> {
    if is_more(stream, bytes).await? { Ok(()) } else { Err(Fault::ClosedInAnswer) }
}

/// Reads on; false at the end.
async fn is_more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Result<bool, Fault> {
    if bytes.len() > MAX_ANSWER {
        return Err(Fault::AnswerNotValid);
    }
    stream.read_buf(bytes).await.map(|read| read > 0).map_err(|_| Fault::ClosedInAnswer)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome(answer: &[u8]) -> Result<(u16, Vec<u8>), Fault> {
        let (mut near, far) = tokio::io::duplex(7);
        let answer = answer.to_owned();
        let writing = tokio::spawn(async move {
            let mut far = far;
            // Whoever reads may have seen enough.
            let _ = far.write_all(&answer).await;
        });
        let outcome = read(&mut near).await.map(|(status, body)| (status, body.to_vec()));
        drop(near);
        writing.await.unwrap();
        outcome
    }

    #[tokio::test]
    async fn an_answer_is_read_whole_however_it_ends() {
        let good = |status, body: &[u8]| Ok((status, body.to_vec()));
        assert_eq!(outcome(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}more").await, good(200, b"{}"));
        assert_eq!(
            outcome(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\n\r\n").await,
            good(200, b"{}")
        );
        assert_eq!(outcome(b"HTTP/1.1 100 C\r\n\r\nHTTP/1.0 401 No\r\n\r\nwhy").await, good(401, b"why"));
        assert_eq!(outcome(b"HTTP/1.1 204 No\r\n\r\n").await, good(204, b""));
    }

    #[tokio::test]
    async fn one_that_is_broken_or_too_long_is_none() {
        assert_eq!(outcome(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}").await, Err(Fault::ClosedInAnswer));
        assert_eq!(outcome(b"").await, Err(Fault::ClosedInAnswer));
        assert_eq!(outcome(b"what?").await, Err(Fault::AnswerNotParsed));
        assert_eq!(outcome(b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n").await, Err(Fault::AnswerNotValid));
        let endless = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b'x'; 200_000]].concat();
        assert_eq!(outcome(&endless).await, Err(Fault::AnswerNotValid));
        let chunks = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &b"4\r\nxxxx\r\n".repeat(17_000)];
        assert_eq!(outcome(&chunks.concat()).await, Err(Fault::AnswerNotValid));
    }
}
