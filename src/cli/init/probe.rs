//! Looks whether something answers where 8sens is said to be. No key is sent.

use crate::text;
use crate::text::Text;
use std::io;
use std::time::Duration;
use ureq::{Agent, Error, Timeout};

/// How long the name may take, then the connection, then the answer.
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
    pub(super) fn is_http(&self) -> bool {
        matches!(self, Self::Http(_))
    }

    /// What to tell the operator.
    pub(super) fn sentence(&self, address: &str) -> Text {
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

/// Connects to any address of the name and asks for `/`. Proxies of the environment are not used.
pub(super) fn probe(address: &str) -> Seen {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_resolve(Some(PATIENCE))
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .build();
    let request = Agent::new_with_config(config).get(format!("http://{address}/"));
    match request.header("accept", "application/json").call() {
        Ok(answer) => Seen::Http(answer.status().as_u16()),
        Err(error) => without_answer(&error),
    }
}

/// What it means that there is no answer: nobody was reached, or who was reached speaks no HTTP.
fn without_answer(error: &Error) -> Seen {
    use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    match error {
        Error::Io(error)
            if matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable) =>
        {
            Seen::NoAnswer(error.kind())
        }
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => Seen::NoAnswer(TimedOut),
        Error::HostNotFound | Error::ConnectionFailed | Error::BadUri(_) | Error::Http(_) => {
            Seen::NoAnswer(io::ErrorKind::NotFound)
        }
        _ => Seen::NotHttp,
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
