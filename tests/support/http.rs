//! A raw HTTP/1.1 client: it sends the bytes it is given and reads answers as they come, never longer than its
//! deadline.

use super::wire::{Framing, Reader, field, fields, framing};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Deadline of each operation unless [`RawClient::with_deadline`] says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

/// One connection.
pub struct RawClient<S = TcpStream> {
    reader: Reader<S>,
    deadline: Duration,
}

/// One answer. Also an interim one (1xx), which has no body.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Names and values as sent, in order.
    pub headers: Vec<(String, String)>,
    /// Decoded.
    pub body: Vec<u8>,
    /// Everything up to and including the empty line.
    pub head: String,
}

impl Response {
    /// The first value of a field, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the answer when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}{}", self.head, self.text()))
    }
}

impl RawClient<TcpStream> {
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = within(DEADLINE, TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> RawClient<S> {
    /// A client over a stream that is already there, TLS for one.
    pub fn over(stream: S) -> Self {
        Self { reader: Reader::new(stream), deadline: DEADLINE }
    }

    #[must_use]
    /// The stream itself, for a client that reads in its own way.
    pub fn stream_mut(&mut self) -> &mut S {
        self.reader.stream_mut()
    }

    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let deadline = self.deadline;
        let stream = self.reader.stream_mut();
        within(deadline, async {
            stream.write_all(bytes.as_ref()).await?;
            stream.flush().await
        })
        .await
    }

    /// Closes our half: the other side reads the end of the stream.
    pub async fn finish_sending(&mut self) -> io::Result<()> {
        within(self.deadline, self.reader.stream_mut().shutdown()).await
    }

    /// Reads one answer: by `Content-Length`, chunked, or up to the close. An end of stream before or within it is
    /// `UnexpectedEof`, a passed deadline `TimedOut`.
    pub async fn read_response(&mut self) -> io::Result<Response> {
        within(self.deadline, read(&mut self.reader, false)).await
    }

    /// Reads the answer to a HEAD request: a head alone.
    pub async fn read_response_to_head(&mut self) -> io::Result<Response> {
        within(self.deadline, read(&mut self.reader, true)).await
    }

    /// Sends one request and reads its answer; a request that starts with `HEAD ` gets a head.
    pub async fn exchange(&mut self, request: impl AsRef<[u8]>) -> io::Result<Response> {
        let request = request.as_ref();
        self.send(request).await?;
        within(self.deadline, read(&mut self.reader, request.starts_with(b"HEAD "))).await
    }

    /// Everything up to the end of the stream.
    pub async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        within(self.deadline, self.reader.rest()).await
    }
}

async fn read<S: AsyncRead + Unpin>(reader: &mut Reader<S>, to_head: bool) -> io::Result<Response> {
    let head = reader.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5)?.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("not an answer: {head:?}")))?;
    let headers = fields(&head);
    let bodiless = to_head || matches!(status, 100..=199 | 204 | 304);
    let framing = if bodiless { Framing::None } else { framing(&headers, Framing::UntilClose) };
    let body = reader.body(framing).await?;
    Ok(Response { status, headers, body, head })
}

async fn within<T>(deadline: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(deadline, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
