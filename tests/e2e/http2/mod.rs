//! HTTP/2 on a TLS listener: the same answers as over HTTP/1.1 ([`requests`]), what a head may hold ([`fields`]), how
//! streams and connections end ([`endings`]), and callers that break or abuse the protocol ([`frames`]).

mod endings;
mod fields;
mod frames;
mod requests;

use crate::gate::{Config, Gate, KEY};
use crate::support::http2::{FrameClient, connector};
use crate::support::tls::{Made, make};
use crate::support::witness::{Action, Behaviour, Witness};
use crate::tls::start;
use std::time::Duration;
use tokio_rustls::TlsConnector;

const API_KEY: (&str, &str) = ("api_key", KEY);

/// A gate with TLS, and how to reach it by HTTP/2.
struct Site {
    witness: Witness,
    gate: Gate,
    made: Made,
}

impl Site {
    async fn start(behaviour: Behaviour, config: impl FnOnce(Config) -> Config) -> Self {
        let (witness, made) = (Witness::start(behaviour).await, make(&["gate.example"]));
        let gate = start(&witness, &made, config);
        Self { witness, gate, made }
    }

    fn connector(&self) -> TlsConnector {
        connector(std::slice::from_ref(&self.made.der))
    }

    async fn connect(&self) -> FrameClient {
        self.connect_with(&[]).await
    }

    async fn connect_with(&self, settings: &[(u16, u32)]) -> FrameClient {
        FrameClient::connect(self.gate.address(), &self.connector(), settings).await.unwrap()
    }

    /// Another caller is served as ever.
    async fn serves(&self) {
        let mut client = self.connect().await;
        client.get(1, "/v1/still-there", &[API_KEY]).await.unwrap();
        assert_eq!(client.outcome(1).await.status(), Some(200));
    }
}

/// `/v1/slow…` is answered late, `/v1/hang…` never, the rest at once.
fn by_path() -> Behaviour {
    Behaviour::by(|request| match request.target() {
        target if target.starts_with("/v1/slow") => Action::After(Duration::from_millis(400), Box::new(Action::Answer)),
        target if target.starts_with("/v1/hang") => Action::Hang,
        target if target.starts_with("/v1/download") => Action::Download(3 << 20),
        _ => Action::Answer,
    })
}
