//! An ACME directory that knows what Debian's Pebble does not: profiles, renewal windows (ARI, RFC 9773), and whatever
//! a test wants to hear. It checks no signature; validation really asks by HTTP.

use super::http::RawClient;
use super::tls::{Made, make};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the directory does.
#[derive(Clone)]
pub struct Manners {
    pub profiles: Vec<&'static str>,
    /// The renewal window of each certificate by its number, from 1, in seconds from now; of the last one for all
    /// further.
    pub windows: Vec<(i64, i64)>,
    /// Validation waits until [`AcmeDirectory::validate`] is called.
    pub holds_validation: bool,
    /// Certificates are for another name than was asked for.
    pub lies: bool,
    /// The first so many orders are refused with `rateLimited` and this `Retry-After` in seconds.
    pub rate_limited: (usize, u64),
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            profiles: vec!["classic", "shortlived"],
            windows: vec![(3600, 7200)],
            holds_validation: false,
            lies: false,
            rate_limited: (0, 0),
        }
    }
}

pub struct AcmeDirectory {
    pub made: Made,
    pub root: CertificateDer<'static>,
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    /// Where validation asks.
    http: SocketAddr,
    manners: Manners,
    issuer: Issuer<'static, KeyPair>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The payloads of all new orders.
    orders: Vec<Value>,
    status: &'static str,
    token: String,
    validates: bool,
    certificates: Vec<String>,
    /// The certificates that suggestions were asked for, by their names.
    asked: Vec<String>,
    rate_limited: usize,
}

impl AcmeDirectory {
    /// Starts a directory that validates on this port of 127.0.0.1.
    pub async fn start(http_port: u16, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let made = make(&["127.0.0.1"]);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        let shared = Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            http: ([127, 0, 0, 1], http_port).into(),
            issuer: Issuer::new(params, key),
            state: Mutex::new(State { validates: !manners.holds_validation, ..State::default() }),
            manners,
        });
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.der.clone()], PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                    tokio::spawn(async move {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        let service = service_fn(move |request| {
                            let shared = Arc::clone(&shared);
                            async move { Ok::<_, std::convert::Infallible>(shared.answer(request).await) }
                        });
                        let _ = hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
            }
        });
        Self { made, root, shared }
    }

    pub fn url(&self) -> String {
        format!("https://{}/directory", self.shared.address)
    }

    /// Lets validation go on.
    pub fn validate(&self) {
        self.shared.state.lock().unwrap().validates = true;
    }

    /// True once a challenge was said to be ready.
    pub fn is_asked_to_validate(&self) -> bool {
        self.shared.state.lock().unwrap().status == "processing challenge"
    }

    /// The payloads of all new orders that were taken.
    pub fn orders(&self) -> Vec<Value> {
        self.shared.state.lock().unwrap().orders.clone()
    }

    /// The certificates that suggestions were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().asked.clone()
    }
}

impl Shared {
    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let payload = payload(&body);
        match (method, path.as_str()) {
            (Method::GET, "/directory") => self.reply(StatusCode::OK, &self.directory()),
            (Method::HEAD, "/nonce") => self.reply(StatusCode::OK, &json!({})),
            (Method::GET, path) if path.starts_with("/renewal/") => self.window(&path["/renewal/".len()..]),
            (_, "/account") => self.reply_at(StatusCode::CREATED, "/account/1", &json!({ "status": "valid" })),
            (_, "/order") => self.new_order(payload),
            (_, "/order/1") => {
                self.validate_if_ready().await;
                self.reply(StatusCode::OK, &self.order())
            }
            (_, "/authorization/1") => self.reply(StatusCode::OK, &self.authorization()),
            (_, "/challenge/1") => {
                self.state.lock().unwrap().status = "processing challenge";
                self.reply(StatusCode::OK, &self.challenge())
            }
            (_, "/finalize/1") => {
                self.issue(&payload);
                self.reply(StatusCode::OK, &self.order())
            }
            (_, "/certificate/1") => {
                let chain = self.state.lock().unwrap().certificates.last().unwrap().clone();
                Response::builder().header("Replay-Nonce", "n").body(chain.into()).unwrap()
            }
            _ => self.reply(StatusCode::NOT_FOUND, &json!({ "type": "urn:ietf:params:acme:error:malformed" })),
        }
    }

    fn reply(&self, status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
        Response::builder().status(status).header("Replay-Nonce", "n").body(body.to_string().into()).unwrap()
    }

    fn reply_at(&self, status: StatusCode, path: &str, body: &Value) -> Response<Full<Bytes>> {
        let mut reply = self.reply(status, body);
        reply.headers_mut().insert("Location", self.url(path).parse().unwrap());
        reply
    }

    fn directory(&self) -> Value {
        let profiles: serde_json::Map<_, _> =
            self.manners.profiles.iter().map(|name| ((*name).to_owned(), json!(name))).collect();
        json!({
            "newNonce": self.url("/nonce"),
            "newAccount": self.url("/account"),
            "newOrder": self.url("/order"),
            "renewalInfo": self.url("/renewal"),
            "meta": { "profiles": profiles },
        })
    }

    fn new_order(&self, payload: Value) -> Response<Full<Bytes>> {
        let mut state = self.state.lock().unwrap();
        if state.rate_limited < self.manners.rate_limited.0 {
            state.rate_limited += 1;
            let problem = json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many orders" });
            let mut reply = self.reply(StatusCode::TOO_MANY_REQUESTS, &problem);
            reply.headers_mut().insert("Retry-After", self.manners.rate_limited.1.into());
            return reply;
        }
        state.orders.push(payload);
        state.status = "pending";
        state.token = format!("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-{}", state.orders.len());
        drop(state);
        self.reply_at(StatusCode::CREATED, "/order/1", &self.order())
    }

    fn order(&self) -> Value {
        let state = self.state.lock().unwrap();
        let last = state.orders.last().cloned().unwrap_or_default();
        let status = if state.status == "processing challenge" { "pending" } else { state.status };
        json!({
            "status": status,
            "authorizations": [self.url("/authorization/1")],
            "finalize": self.url("/finalize/1"),
            "certificate": self.url("/certificate/1"),
            "replaces": last["replaces"],
            "profile": last["profile"],
        })
    }

    fn authorization(&self) -> Value {
        let identifier = self.state.lock().unwrap().orders.last().unwrap()["identifiers"][0].clone();
        json!({ "status": "pending", "identifier": identifier, "challenges": [self.challenge()] })
    }

    fn challenge(&self) -> Value {
        let state = self.state.lock().unwrap();
        let status = if state.status == "processing challenge" { "processing" } else { "pending" };
        json!({ "type": "http-01", "url": self.url("/challenge/1"), "token": state.token, "status": status })
    }

    /// Asks the gate, once it said that it is ready.
    async fn validate_if_ready(&self) {
        let token = {
            let state = self.state.lock().unwrap();
            if state.status != "processing challenge" || !state.validates {
                return;
            }
            state.token.clone()
        };
        let request = format!("GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: gate.test\r\n\r\n");
        let answer = RawClient::connect(self.http).await.unwrap().exchange(request).await.unwrap();
        let good = answer.status == 200 && answer.text().starts_with(&format!("{token}."));
        self.state.lock().unwrap().status = if good { "ready" } else { "invalid" };
    }

    fn issue(&self, payload: &Value) {
        let csr = CertificateSigningRequestDer::from(decoded(payload["csr"].as_str().unwrap()));
        let mut request = CertificateSigningRequestParams::from_der(&csr).unwrap();
        let mut state = self.state.lock().unwrap();
        let number = u64::try_from(state.certificates.len()).unwrap() + 1;
        date(&mut request.params);
        if self.manners.lies {
            request.params.subject_alt_names = vec![rcgen::SanType::DnsName("other.test".try_into().unwrap())];
        }
        request.params.serial_number = Some(SerialNumber::from(number));
        request.params.use_authority_key_identifier_extension = true;
        state.certificates.push(request.signed_by(&self.issuer).unwrap().pem());
        state.status = "valid";
    }

    /// The window for a certificate: its name is its issuer's key and its serial number, the last byte of which is its
    /// number here.
    fn window(&self, name: &str) -> Response<Full<Bytes>> {
        let mut state = self.state.lock().unwrap();
        state.asked.push(name.to_owned());
        let serial = decoded(name.split_once('.').unwrap().1);
        let number = usize::from(*serial.last().unwrap());
        let windows = &self.manners.windows;
        let (start, end) = windows[(number - 1).min(windows.len() - 1)];
        let at = |seconds: i64| (Timestamp::now() + SignedDuration::from_secs(seconds)).to_string();
        let mut reply =
            self.reply(StatusCode::OK, &json!({ "suggestedWindow": { "start": at(start), "end": at(end) } }));
        reply.headers_mut().insert("Retry-After", 21_600.into());
        reply
    }
}

/// Valid since yesterday, for a week.
fn date(params: &mut CertificateParams) {
    let day = |from_today: i64| {
        let day = jiff::tz::TimeZone::UTC.to_datetime(Timestamp::now() + SignedDuration::from_hours(24 * from_today));
        rcgen::date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs())
    };
    params.not_before = day(-1);
    params.not_after = day(6);
}

/// What a request says, within its signature (RFC 7515 section 7.2.2).
fn payload(body: &[u8]) -> Value {
    let Ok(signed) = serde_json::from_slice::<Value>(body) else { return Value::Null };
    serde_json::from_slice(&decoded(signed["payload"].as_str().unwrap_or_default())).unwrap_or(Value::Null)
}

/// Base64url without padding (RFC 4648 section 5).
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => panic!("{text}"),
    };
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for byte in text.bytes() {
        (bits, count) = (bits << 6 | u32::from(digit(byte)), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    bytes
}
