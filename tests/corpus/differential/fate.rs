//! What became of a request at one server.

use crate::format::RequestCase;
use crate::support::witness::Witness;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer is waited for. All servers are on this machine and none has much to do.
const PATIENCE: Duration = Duration::from_millis(700);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A whole request reached the witness behind it.
    Forwarded,
    /// Answered by the server itself.
    Answered(u16),
    /// Closed without an answer.
    Closed,
    /// Nothing yet: the server takes the request for incomplete.
    Waiting,
}

impl Fate {
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Answered(400..) | Self::Closed)
    }
}

/// Sends a case and says what became of it, with the word that the server had for it.
pub async fn of(case: &RequestCase, server: SocketAddr, witness: &Witness) -> (Fate, String) {
    let before = witness.requests().len();
    let answer = converse(case, server).await;
    if witness.requests().len() > before {
        return (Fate::Forwarded, "forwarded".to_owned());
    }
    match answer {
        None => (Fate::Waiting, "waits".to_owned()),
        Some(bytes) => match status(&bytes) {
            Some(status) => (Fate::Answered(status), code(&bytes).unwrap_or_else(|| status.to_string())),
            None => (Fate::Closed, "closed".to_owned()),
        },
    }
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
            patience = Duration::from_millis(10);
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

/// The gate's code of a refusal.
fn code(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once("\"code\":\"")?;
    rest.split_once('"').map(|(code, _)| code.to_owned())
}
