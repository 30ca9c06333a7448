//! What a caller may be answered, and what it was.

use crate::escape::shown;
use crate::support::wire::{Framing, Reader, field, fields, framing};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No single wait of a case is longer.
const PATIENCE: Duration = Duration::from_secs(8);

/// One allowed outcome, such as `400 malformed_request close`, `200`, `200 broken`, `close`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    status: Option<u16>,
    /// The `code` of a refusal.
    code: Option<String>,
    /// Whether the connection must stay; `None` when either is right.
    stays: Option<bool>,
    /// The answer breaks off so that the caller can tell.
    broken: bool,
    /// An answer to HEAD: no body, whatever it announces.
    pub to_head: bool,
}

impl Expected {
    pub fn read(text: &str) -> Result<Self, String> {
        let mut expected = Self::default();
        for word in text.split_ascii_whitespace() {
            match word {
                "close" => expected.stays = Some(false),
                "keep-alive" => expected.stays = Some(true),
                "broken" => expected.broken = true,
                "head" => expected.to_head = true,
                word if word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit()) => {
                    expected.status = word.parse().ok();
                }
                word if word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => {
                    expected.code = Some(word.to_owned());
                }
                word => return Err(format!("{word:?} in {text:?}")),
            }
        }
        if expected == Self::default() { Err("empty outcome".into()) } else { Ok(expected) }
    }

    /// Whether the answer is one that breaks off.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether an answer of this status would be right, whatever it says.
    pub fn admits_status(&self, status: u16) -> bool {
        !self.broken && self.status == Some(status)
    }

    /// The same with the code of a refusal, on a connection whose end is another matter.
    pub fn admits_answer(&self, status: u16, code: Option<&str>) -> bool {
        self.admits_status(status) && self.code.as_deref().is_none_or(|expected| code == Some(expected))
    }

    pub fn admits(&self, seen: &Seen) -> bool {
        match seen {
            Seen::Answer(answer) => {
                !self.broken
                    && self.status == Some(answer.status)
                    && self.code.as_deref().is_none_or(|code| answer.code().as_deref() == Some(code))
                    && self.stays.is_none_or(|stays| stays != answer.closes())
            }
            Seen::Broken { status, .. } => self.broken && self.status == *status,
            Seen::Closed => self.status.is_none() && self.stays == Some(false),
            Seen::Silent => false,
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub enum Seen {
    Answer(Answer),
    /// The connection ended within an answer, or the answer is none.
    Broken {
        status: Option<u16>,
        bytes: Vec<u8>,
    },
    /// The connection ended before an answer.
    Closed,
    /// Nothing came in time.
    Silent,
}

/// One whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn closes(&self) -> bool {
        field(&fields(&self.head), "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The code of a refusal of the gate's own.
    pub fn code(&self) -> Option<String> {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(problem.get("code")?.as_str()?.to_owned())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => write!(f, "{}{}", shown(answer.head.as_bytes()), shown(&answer.body)),
            Self::Broken { status, bytes } => write!(f, "broken off, status {status:?}: {}", shown(bytes)),
            Self::Closed => f.write_str("closed without an answer"),
            Self::Silent => write!(f, "nothing within {PATIENCE:?}"),
        }
    }
}

/// A connection of a caller who sends anything.
pub struct Caller {
    reader: Reader<TcpStream>,
}

impl Caller {
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: Reader::new(stream) })
    }

    /// Sends what the other end still takes; an end that has closed shows in its answer.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.reader.stream_mut().write_all(bytes)).await;
    }

    /// One byte in each segment.
    pub async fn send_bytewise(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]).await;
            tokio::task::yield_now().await;
        }
    }

    pub async fn finish(&mut self) {
        let _ = self.reader.stream_mut().shutdown().await;
    }

    /// The next final answer; interim ones are passed over.
    pub async fn answer(&mut self, to_head: bool) -> Seen {
        loop {
            match self.any_answer(to_head).await {
                Seen::Answer(answer) if answer.status < 200 => {}
                seen => return seen,
            }
        }
    }

    /// The next answer, an interim one too.
    pub async fn any_answer(&mut self, to_head: bool) -> Seen {
        let head = match timeout(PATIENCE, self.reader.head()).await {
            Err(_) => return Seen::Silent,
            Ok(Ok(None)) => return Seen::Closed,
            Ok(Err(_)) => return self.broken(None, Vec::new()).await,
            Ok(Ok(Some(head))) => head,
        };
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let Some(status) = status else { return self.broken(None, head.into_bytes()).await };
        let bodiless = to_head || matches!(status, 100..=199 | 204 | 304);
        let framing = if bodiless { Framing::None } else { framing(&fields(&head), Framing::UntilClose) };
        match timeout(PATIENCE, self.reader.body(framing)).await {
            Err(_) => Seen::Silent,
            Ok(Ok(body)) => Seen::Answer(Answer { status, head, body }),
            Ok(Err(_)) => self.broken(Some(status), head.into_bytes()).await,
        }
    }

    async fn broken(&mut self, status: Option<u16>, mut bytes: Vec<u8>) -> Seen {
        if let Ok(Ok(rest)) = timeout(PATIENCE, self.reader.rest()).await {
            bytes.extend(rest);
        }
        if bytes.is_empty() && status.is_none() { Seen::Closed } else { Seen::Broken { status, bytes } }
    }

    /// What else comes before the end of the stream; `Err` when that is no orderly end.
    pub async fn rest(&mut self) -> Result<Vec<u8>, String> {
        match timeout(PATIENCE, self.reader.rest()).await {
            Ok(Ok(rest)) => Ok(rest),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("still open".into()),
        }
    }
}

#[test]
fn outcomes_are_told_apart() {
    let answer = |head: &str, body: &str| {
        Seen::Answer(Answer { status: 400, head: head.to_owned(), body: body.as_bytes().to_vec() })
    };
    let refused = answer("HTTP/1.1 400 B\r\nConnection: close\r\n\r\n", "{\"code\":\"malformed_request\"}");
    for (text, admitted) in [
        ("400 malformed_request close", true),
        ("400", true),
        ("400 malformed_request keep-alive", false),
        ("400 key_in_url", false),
        ("401", false),
        ("close", false),
        ("400 broken", false),
    ] {
        assert_eq!(Expected::read(text).unwrap().admits(&refused), admitted, "{text}");
    }
    assert!(Expected::read("close").unwrap().admits(&Seen::Closed));
    assert!(!Expected::read("close").unwrap().admits(&Seen::Silent));
    assert!(Expected::read("").is_err() && Expected::read("4OO").is_err());
}
