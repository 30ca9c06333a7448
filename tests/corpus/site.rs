//! One worker's place: a witness as 8sens, and the gates before it. Cases of one site run one after the other, so that
//! every byte the witness sees belongs to the case under way.

use crate::format::{DENIED_KEY, GateKind};
use crate::gate::{Config, Gate, UPSTREAM_KEY, consumer};
use crate::support::http2::{FrameClient, connector};
use crate::support::tls::{Made, make};
use crate::support::wire::fields;
use crate::support::witness::{Action, Behaviour, SeenRequest, Witness};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio_rustls::TlsConnector;

/// The fields that the gate sets on every request.
pub const STANDARD_FIELDS: [&str; 7] =
    ["host", "via", "x-request-id", "x-forwarded-for", "x-forwarded-proto", "api_key", "connection"];

/// What carries requests to 8sens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarder {
    Direct,
    Pingora,
}

impl Forwarder {
    pub const ALL: [Self; 2] = [Self::Direct, Self::Pingora];

    /// The line of `[upstream]` that names it.
    const fn line(self) -> &'static str {
        match self {
            Self::Direct => "forwarder = \"direct\"",
            Self::Pingora => "forwarder = \"pingora\"",
        }
    }
}

pub struct Site {
    pub witness: Witness,
    pub forwarder: Forwarder,
    gates: BTreeMap<GateKind, Gate>,
    /// The same gates with TLS, and what their certificate is.
    tls_gates: BTreeMap<GateKind, Gate>,
    certificate: Made,
    /// A connection to one of them, and its next stream.
    pub http2: Option<(GateKind, FrameClient, u32)>,
    /// What the witness does about a target instead of echoing it.
    script: Arc<Mutex<BTreeMap<String, Action>>>,
}

/// What the witness had seen at some moment.
pub struct Mark {
    requests: usize,
    bytes: BTreeMap<u64, usize>,
}

impl Site {
    /// Starts inside the current runtime. The witness answers each request with its own target.
    pub async fn start(forwarder: Forwarder) -> Self {
        let script = Arc::new(Mutex::new(BTreeMap::<String, Action>::new()));
        let witness = Witness::start(Behaviour::by({
            let script = Arc::clone(&script);
            move |request| match script.lock().unwrap().get(request.target()) {
                Some(action) => action.clone(),
                None => Action::AnswerWith { status: 200, headers: vec![], body: request.target().as_bytes().to_vec() },
            }
        }))
        .await;
        Self {
            witness,
            forwarder,
            gates: BTreeMap::new(),
            tls_gates: BTreeMap::new(),
            certificate: make(&["gate.example"]),
            http2: None,
            script,
        }
    }

    /// The gate of that kind; started when first asked for.
    pub fn gate(&mut self, kind: GateKind) -> &Gate {
        let upstream = self.witness.addr();
        let line = self.forwarder.line();
        self.gates.entry(kind).or_insert_with(|| Gate::start(&config(upstream, kind).with("upstream", line)))
    }

    /// Where to reach the gate of that kind that has TLS, and how.
    pub fn tls_gate(&mut self, kind: GateKind) -> (SocketAddr, TlsConnector) {
        let (upstream, certificate, line) = (self.witness.addr(), &self.certificate, self.forwarder.line());
        let gate = self.tls_gates.entry(kind).or_insert_with(|| {
            let folder = tempfile::tempdir().unwrap();
            certificate.write(folder.path(), "one");
            let pair = "tls = { certificate = \"one-chain.pem\", key = \"one-key.pem\" }";
            Gate::start_in(folder, &config(upstream, kind).with("upstream", line).with("listener", pair), |command| {
                command
            })
        });
        (gate.address(), connector(std::slice::from_ref(&certificate.der)))
    }

    /// The reason of every refusal so far, by the id of its request; `None` where its code says it all.
    pub fn reasons(&self) -> BTreeMap<String, Option<String>> {
        let text = |record: &serde_json::Value, name: &str| record.get(name)?.as_str().map(str::to_owned);
        let records = self.gates.values().flat_map(Gate::records);
        records.filter_map(|record| Some((text(&record, "request_id")?, text(&record, "reason")))).collect()
    }

    /// From now on, a request for `target` is met by `action`.
    pub fn act(&self, target: &str, action: Action) {
        self.script.lock().unwrap().insert(target.to_owned(), action);
    }

    pub fn mark(&self) -> Mark {
        let bytes = self.witness.raw_bytes();
        Mark {
            requests: self.witness.requests().len(),
            bytes: bytes.into_iter().map(|(connection, bytes)| (connection, bytes.len())).collect(),
        }
    }

    /// The whole requests, and every byte, that the witness has seen since.
    pub fn since(&self, mark: &Mark) -> (Vec<SeenRequest>, Vec<u8>) {
        let requests = self.witness.requests().split_off(mark.requests);
        let bytes = self.witness.raw_bytes().into_iter().flat_map(|(connection, bytes)| {
            let known = mark.bytes.get(&connection).copied().unwrap_or(0);
            bytes[known..].to_vec()
        });
        (requests, bytes.collect())
    }

    /// Checks what the gate sets on every request. `expected` may write a field down itself.
    pub fn standard_fields(
        &self,
        seen: &SeenRequest,
        kind: GateKind,
        proto: &str,
        expected: &[u8],
    ) -> Result<(), String> {
        let listed = fields(&String::from_utf8_lossy(expected));
        let expect = |name: &str, values: &[&str]| {
            let found = seen.values(name);
            let right = found == values || listed.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
            if right { Ok(()) } else { Err(format!("8sens saw {name}: {found:?}")) }
        };
        if seen.values("api_key") != [UPSTREAM_KEY] {
            return Err(format!("8sens saw api_key: {:?}", seen.values("api_key")));
        }
        expect("host", &[&self.witness.addr().to_string()])?;
        expect("via", &["1.1 sensgate"])?;
        expect("x-forwarded-for", &["127.0.0.1"])?;
        expect("x-forwarded-proto", &[proto])?;
        let is_read = matches!(seen.method(), "GET" | "HEAD" | "OPTIONS");
        expect("connection", if is_read { &[] } else { &["close"] })?;
        match seen.values("x-request-id").as_slice() {
            [id] if !id.is_empty() => Ok(()),
            other => Err(format!("{kind:?} gate: 8sens saw x-request-id: {other:?}")),
        }
    }
}

fn config(upstream: std::net::SocketAddr, kind: GateKind) -> Config {
    let config = Config::new(upstream)
        .with("upstream", "read_timeout = \"1s\"")
        .with("upstream", "also_known_as = [\"192.168.1.10\", \"fd00::10\", \"srv-erp\"]")
        .with("limits", "head_bytes = \"4KiB\"")
        .with("limits", "uri_bytes = \"1KiB\"")
        .with("limits", "fields = 32")
        .with("limits", "body_bytes = \"128KiB\"")
        .with("limits", "head_timeout = \"1500ms\"")
        .with("limits", "body_timeout = \"1500ms\"")
        // Thousands of refusals are the point here.
        .with("limits", "address_budget = \"1000000/s\"")
        .with("limits", "failed_credentials = \"1000000/s\"")
        .with("limits", "failed_tokens = \"1000000/s\"")
        .with("server", "threads = 1")
        .and(&consumer("sans-secret", DENIED_KEY, "deny = [\"* /v1/secret*\", \"POST /v1/login/user\"]\n"));
    match kind {
        GateKind::Plain => config,
        GateKind::Aliases => config.and("[credentials]\naliases = [\"api-key\", \"x-api-key\"]\n"),
        GateKind::OneTokenPlace => config.with("session", "token_from = [\"header:access_token\"]"),
        GateKind::Cookies => config.with("session", "cookies = \"pass\""),
        GateKind::EncodedSlash => config.with("upstream", "encoded_slash = [\"GET /v1/articles/*\"]"),
        GateKind::EncodedSlashAnywhere => config.with("upstream", "encoded_slash = [\"* /*\"]"),
        GateKind::TrustedProxy => config.with("client_ip", "trusted_proxies = [\"127.0.0.0/8\"]"),
    }
}
