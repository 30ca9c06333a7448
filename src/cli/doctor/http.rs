//! One HTTP request, with every wait bounded and nothing taken from the environment.

use super::reach;
use crate::config::UpstreamSettings;
use serde_json::Value;
use std::time::Duration;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::{Request, Uri};
use ureq::tls::{Certificate, RootCerts};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use zeroize::Zeroizing;

/// Longest time for a whole exchange with 8sens or the gate.
const PATIENCE: Duration = Duration::from_secs(15);

/// Largest answer that is read.
const MAX_BODY: u64 = 256 << 10;

/// An answer.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    pub status: u16,
    pub date: Option<String>,
    pub request_id: Option<String>,
    pub server: Option<String>,
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// The body as JSON; null when it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends one request to 8sens, as the gate would: through TLS only to who proves to be it.
pub(super) fn send_upstream(
    upstream: &UpstreamSettings,
    method: &str,
    path: &str,
    fields: &[(&str, &[u8])],
    form: Option<&str>,
) -> Result<HttpAnswer, String> {
    let host = upstream.host_field.to_str().map_err(|error| error.to_string())?;
    let resolver = UpstreamResolver {
        host: upstream.host.clone(),
        port: upstream.port,
        connect_timeout: upstream.connect_timeout,
    };
    let Some(tls) = &upstream.tls else {
        let url = Zeroizing::new(format!("http://{host}{path}"));
        let agent = Agent::with_parts(config(RootCerts::PlatformVerifier), DefaultConnector::default(), resolver);
        return run(&agent, method, &url, fields, form);
    };
    let name = if tls.name.contains(':') { format!("[{}]", tls.name) } else { tls.name.clone() };
    let url = Zeroizing::new(format!("https://{name}:{}{path}", upstream.port));
    let roots = tls.authorities.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
    let agent = Agent::with_parts(config(RootCerts::from(roots)), DefaultConnector::default(), resolver);
    let fields: Vec<_> = fields.iter().copied().chain([("host", host.as_bytes())]).collect();
    run(&agent, method, &url, &fields, form)
}

/// Where 8sens listens, whatever name its certificate has: at the address that answers, as the gate finds it.
#[derive(Debug)]
struct UpstreamResolver {
    host: String,
    port: u16,
    connect_timeout: Duration,
}

impl Resolver for UpstreamResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        found.push(reach::find(&self.host, self.port, self.connect_timeout)?);
        Ok(found)
    }
}

/// Sends one request. Redirects are not followed, proxies of the environment not used; the error is for people and
/// shows no field value.
pub(super) fn send(
    method: &str,
    url: &str,
    fields: &[(&str, &[u8])],
    form: Option<&str>,
) -> Result<HttpAnswer, String> {
    run(&config(RootCerts::PlatformVerifier).into(), method, url, fields, form)
}

fn config(roots: RootCerts) -> Config {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .tls_config(tls(roots))
        .build()
}

fn run(
    agent: &Agent,
    method: &str,
    url: &str,
    fields: &[(&str, &[u8])],
    form: Option<&str>,
) -> Result<HttpAnswer, String> {
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
    Ok(HttpAnswer { status, date, request_id, server, body })
}

/// The one crypto library of the gate.
fn tls(roots: RootCerts) -> ureq::tls::TlsConfig {
    ureq::tls::TlsConfig::builder()
        .provider(ureq::tls::TlsProvider::Rustls)
        .root_certs(roots)
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}
