//! One HTTP request, with every wait bounded and nothing taken from the environment.

use serde_json::Value;
use std::time::Duration;
use ureq::http::Request;

/// Longest time for a whole exchange with 8sens or the gate.
const PATIENCE: Duration = Duration::from_secs(15);

/// Largest answer that is read.
const MAX_BODY: u64 = 256 << 10;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub date: Option<String>,
    pub request_id: Option<String>,
    pub server: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends one request. Redirects are not followed, proxies of the environment not used; the error is for people and shows no field value.
pub(super) fn send(method: &str, url: &str, fields: &[(&str, &[u8])], form: Option<&str>) -> Result<Answer, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .tls_config(tls())
        .build()
        .into();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let sent = match form {
        Some(form) => {
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            agent.run(request.body(form).map_err(|error| error.to_string())?)
        }
        None => agent.run(request.body(()).map_err(|error| error.to_string())?),
    };
    let mut answer = sent.map_err(|error| error.to_string())?;
    let field = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (date, request_id, server) = (field("date"), field("x-request-id"), field("server"));
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(MAX_BODY).read_to_vec().map_err(|error| error.to_string())?;
    Ok(Answer { status, date, request_id, server, body })
}

/// The certificates that this machine trusts, with the one crypto library of the gate.
fn tls() -> ureq::tls::TlsConfig {
    ureq::tls::TlsConfig::builder()
        .provider(ureq::tls::TlsProvider::Rustls)
        .root_certs(ureq::tls::RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}
