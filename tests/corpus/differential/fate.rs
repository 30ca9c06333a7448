//! What became of a request at one server.

use super::reading::Reading;
use crate::format::RequestCase;
use crate::support::witness::Witness;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer is waited for. All servers are on this machine and none has much to do.
const PATIENCE: Duration = Duration::from_millis(700);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Whole requests reached the witness behind it.
    Forwarded(Vec<Reading>),
    /// Answered by the server itself.
    Answered(u16),
    /// Closed without an answer.
    Closed,
    /// Nothing yet: the server takes the request for incomplete.
    Waiting,
}

impl Fate {
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Answered(400..) | Self::Closed)
    }

    pub fn is_forwarded(&self) -> bool {
        matches!(self, Self::Forwarded(_))
    }
}

/// What became of a case at the gate.
pub struct Own {
    pub fate: Fate,
    /// The code of the refusal, or a word for what happened otherwise.
    pub word: String,
    /// The id of the refused request, by which its record is found.
    pub request_id: Option<String>,
}

/// Sends a case to one of the others and says what became of it.
pub async fn of(case: &RequestCase, server: SocketAddr, witness: &Witness) -> Fate {
    let before = witness.requests().len();
    let answer = converse(case, server).await;
    let seen = witness.requests().split_off(before);
    if !seen.is_empty() {
        return Fate::Forwarded(seen.iter().map(Reading::of).collect());
    }
    match answer {
        None => Fate::Waiting,
        Some(bytes) => status(&bytes).map_or(Fate::Closed, Fate::Answered),
    }
}

/// Sends a case to the gate.
pub async fn own(case: &RequestCase, gate: SocketAddr, witness: &Witness) -> Own {
    let before = witness.requests().len();
    let answer = converse(case, gate).await;
    let seen = witness.requests().split_off(before);
    if !seen.is_empty() {
        let fate = Fate::Forwarded(seen.iter().map(Reading::of).collect());
        return Own { fate, word: "forwarded".to_owned(), request_id: None };
    }
    let Some(bytes) = answer else { return Own { fate: Fate::Waiting, word: "waits".to_owned(), request_id: None } };
    let Some(status) = status(&bytes) else {
        return Own { fate: Fate::Closed, word: "closed".to_owned(), request_id: None };
    };
    let word = member(&bytes, "code").unwrap_or_else(|| status.to_string());
    // An answer to HEAD has no document, and the same id in its head.
    let request_id = member(&bytes, "request_id").or_else(|| field(&bytes, "X-Request-ID"));
    Own { fate: Fate::Answered(status), word, request_id }
}

/// What came before the end of the connection or of the patience; `None` when nothing did.
async fn converse(case: &RequestCase, server: SocketAddr) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let mut received = Vec::new();
    for piece in &case.send {
        // One that is closed already shows it when it is read.
        let _ = stream.write_all(piece).await;
        let ended = read_answer(&mut stream, &mut received).await;
        if ended || status(&received).is_some() {
            return Some(received);
        }
    }
    if case.finish {
        let _ = stream.shutdown().await;
        read_answer(&mut stream, &mut received).await;
    }
    (!received.is_empty()).then_some(received)
}

/// Reads until there is a final status and all that came with it. True at the end of the connection.
async fn read_answer(stream: &mut TcpStream, received: &mut Vec<u8>) -> bool {
    let mut piece = [0; 4096];
    let mut patience = PATIENCE;
    loop {
        match timeout(patience, stream.read(&mut piece)).await {
            Err(_) => return false,
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(read)) => received.extend_from_slice(&piece[..read]),
        }
        if status(received).is_some() {
            // The head and a short body usually come together; a little later is soon enough for the rest.
            patience = Duration::from_millis(25);
        }
    }
}

/// The first final status.
fn status(bytes: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(bytes);
    let statuses = text.split("\r\n").filter_map(|line| {
        line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse::<u16>().ok()
    });
    statuses.into_iter().find(|status| *status >= 200)
}

/// A member of the gate's problem document.
fn member(bytes: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

fn field(bytes: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once(&format!("\r\n{name}: "))?;
    rest.split_once("\r\n").map(|(value, _)| value.to_owned())
}
