//! Reading HTTP/1.1 messages off a stream, tolerant of what it reads: a test wants to see bad messages, not to be
//! spared them.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest head read.
const MAX_HEAD: usize = 4 << 20;

/// How the length of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// The header fields of a head, names as sent.
pub fn fields(head: &str) -> Vec<(String, String)> {
    let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// The first value of a field, by its name in any case.
pub fn field<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Framing by the fields alone; `otherwise` without any.
pub fn framing(fields: &[(String, String)], otherwise: Framing) -> Framing {
    let chunked = |coding: &str| coding.to_ascii_lowercase().contains("chunked");
    match (field(fields, "transfer-encoding"), field(fields, "content-length")) {
        (Some(coding), _) if chunked(coding) => Framing::Chunked,
        (Some(_), _) => Framing::UntilClose,
        (None, Some(length)) => length.parse().map_or(otherwise, Framing::Length),
        (None, None) => otherwise,
    }
}

/// A stream with what was read and not yet used.
pub struct Reader<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Reads up to and including the empty line. `None` when the stream ends before its first byte.
    pub async fn head(&mut self) -> io::Result<Option<String>> {
        let mut searched = 0;
        loop {
            if let Some(end) = find(&self.buffer[searched..], b"\r\n\r\n") {
                let head = self.take(searched + end + 4);
                return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
            }
            searched = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > MAX_HEAD {
                return Err(io::Error::other("no end of head"));
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Reads a body, decoded; trailers are dropped.
    pub async fn body(&mut self, framing: Framing) -> io::Result<Vec<u8>> {
        match framing {
            Framing::None => Ok(Vec::new()),
            Framing::Length(length) => self.exactly(usize::try_from(length).map_err(io::Error::other)?).await,
            Framing::Chunked => self.chunked().await,
            Framing::UntilClose => self.rest().await,
        }
    }

    /// Everything up to the end of the stream.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.fill().await? != 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    async fn chunked(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let (start, size) = loop {
                match httparse::parse_chunk_size(&self.buffer).map_err(|_| io::Error::other("bad chunk size"))? {
                    httparse::Status::Complete(found) => break found,
                    httparse::Status::Partial => self.fill_more().await?,
                }
            };
            self.take(start);
            if size == 0 {
                // Trailers, then an empty line.
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(usize::try_from(size).map_err(io::Error::other)?).await?);
            if !self.line().await?.is_empty() {
                return Err(io::Error::other("a chunk is longer than its size"));
            }
        }
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let mut line = self.take(end + 2);
                line.truncate(end);
                return Ok(line);
            }
            self.fill_more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill_more().await?;
        }
        Ok(self.take(length))
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    async fn fill_more(&mut self) -> io::Result<()> {
        if self.fill().await? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(64 << 10);
        self.stream.read_buf(&mut self.buffer).await
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
