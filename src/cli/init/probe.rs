//! Looks whether something answers where 8sens is said to be. No key is sent.

use crate::proxy::lane::upstream::{Addresses, race};
use crate::text;
use crate::text::Text;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the connection may take, name resolution included, and then the answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Http(u16),
    /// Connected, and then nothing or something else.
    NotHttp,
    NoAnswer(io::ErrorKind),
}

impl Seen {
    pub fn is_http(&self) -> bool {
        matches!(self, Self::Http(_))
    }

    /// What to tell the operator.
    pub fn sentence(&self, address: &str) -> Text {
        match self {
            Self::Http(status) => text! {
                en: "{address} answers in HTTP (status {status} without a key)",
                fr: "{address} répond en HTTP (statut {status} sans clé)"
            },
            Self::NotHttp => text! {
                en: "{address} accepts connections, but does not answer in HTTP: is this the Port of the REST screen?",
                fr: "{address} accepte les connexions mais ne répond pas en HTTP : est-ce bien le Port de l'écran REST \
                     ?"
            },
            Self::NoAnswer(io::ErrorKind::ConnectionRefused) => text! {
                en: "nothing listens on {address}: is the REST server of 8sens started?",
                fr: "rien n'écoute sur {address} : le serveur REST de 8sens est-il lancé ?"
            },
            Self::NoAnswer(io::ErrorKind::TimedOut) => text! {
                en: "{address} did not answer in time: a firewall, or another machine?",
                fr: "{address} n'a pas répondu à temps : un pare-feu, ou une autre machine ?"
            },
            Self::NoAnswer(_) => text! {
                en: "{address} cannot be reached: is its name right?",
                fr: "{address} est injoignable : son nom est-il juste ?"
            },
        }
    }
}

/// Connects and asks for `/`.
pub(super) fn probe(address: &str) -> Seen {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let seen = runtime.block_on(look(address));
            // A resolver that hangs is not waited for.
            runtime.shutdown_background();
            seen
        }
        Err(error) => Seen::NoAnswer(error.kind()),
    }
}

async fn look(address: &str) -> Seen {
    let mut stream = match timeout(PATIENCE, connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Seen::NoAnswer(error),
        Err(_) => return Seen::NoAnswer(io::ErrorKind::TimedOut),
    };
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
    let answer = timeout(PATIENCE, async {
        stream.write_all(request.as_bytes()).await?;
        let mut start = [0; 12];
        stream.read_exact(&mut start).await?;
        io::Result::Ok(start)
    });
    // `HTTP/1.1 401`
    match answer.await {
        Ok(Ok(start)) if start.starts_with(b"HTTP/1.") => std::str::from_utf8(&start[9..])
            .ok()
            .and_then(|status| status.parse().ok())
            .map_or(Seen::NotHttp, Seen::Http),
        _ => Seen::NotHttp,
    }
}

/// To any address of the name, as the gate does.
async fn connect(address: &str) -> Result<TcpStream, io::ErrorKind> {
    let found = tokio::net::lookup_host(address).await.map_err(|error| error.kind())?;
    let addresses = Addresses::found(found, None).ok_or(io::ErrorKind::NotFound)?;
    match race::connect(addresses.in_order(), PATIENCE).await {
        Ok(reached) => Ok(reached.stream),
        Err(failures) => Err(race::most_telling(failures).map_or(io::ErrorKind::NotFound, |one| one.error.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// The address of somebody who reads a line and answers this.
    fn somebody(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        });
        address
    }

    #[test]
    fn it_says_what_it_saw() {
        assert_eq!(probe(&somebody(b"HTTP/1.1 401 Unauthorized\r\n\r\n")), Seen::Http(401));
        assert_eq!(probe(&somebody(b"220 mail.example ESMTP\r\n")), Seen::NotHttp);
        assert_eq!(probe(&somebody(b"")), Seen::NotHttp);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        assert_eq!(probe(&closed), Seen::NoAnswer(io::ErrorKind::ConnectionRefused));
    }
}
