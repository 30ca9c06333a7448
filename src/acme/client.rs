//! HTTP towards the certificate authority: https alone, each exchange under a deadline, answers of bounded size.

use bytes::Bytes;
use http::header::{RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// From the first byte of a request, its connect included, to the last of its answer.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer: a chain of certificates is some kilobytes.
const MAX_ANSWER: usize = 1 << 20;

/// Who asks (RFC 8555 section 6.1).
const AGENT: &str = concat!("sensgate/", env!("CARGO_PKG_VERSION"), " instant-acme");

/// A client, of which each use may have a clone.
#[derive(Clone)]
pub(super) struct AcmeClient {
    http: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    /// What the last refusal asked for, until it is taken.
    retry_after: Arc<Mutex<Option<Duration>>>,
}

impl AcmeClient {
    /// Trusts these issuers, or without them those of the system.
    ///
    /// # Errors
    /// When the system names nobody who can be trusted.
    pub(super) fn new(ca: Option<&[CertificateDer<'static>]>) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = HttpsConnectorBuilder::new();
        let builder = match ca {
            None => builder.with_provider_and_native_roots(provider)?,
            Some(issuers) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add_parsable_certificates(issuers.iter().cloned());
                let config = rustls::ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map_err(io::Error::other)?;
                builder.with_tls_config(config.with_root_certificates(roots).with_no_client_auth())
            }
        };
        let connector = builder.https_only().enable_http1().build();
        Ok(Self { http: Client::builder(TokioExecutor::new()).build(connector), retry_after: Arc::default() })
    }

    /// How long the last refusal wants to be waited for, once.
    #[must_use]
    pub(super) fn take_retry_after(&self) -> Option<Duration> {
        self.retry_after.lock().take()
    }

    async fn exchange(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let exchanged = async {
            let answer = self.http.request(request).await.map_err(|error| Error::Other(Box::new(error)))?;
            let (head, body) = answer.into_parts();
            if head.status.is_client_error() || head.status.is_server_error() {
                *self.retry_after.lock() = head.headers.get(RETRY_AFTER).and_then(retry_after);
            }
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(Error::Other)?.to_bytes();
            Ok(BytesResponse::from(Response::from_parts(head, Full::new(body))))
        };
        let timed_out = |_| Error::Other("the certificate authority did not answer in time".into());
        tokio::time::timeout(EXCHANGE_TIMEOUT, exchanged).await.map_err(timed_out)?
    }
}

impl HttpClient for AcmeClient {
    fn request(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        Box::pin(self.clone().exchange(request))
    }
}

/// Seconds or a date (RFC 9110 section 10.2.3).
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let now = u64::try_from(crate::platform::clock::now().wall.0).ok()?;
    Some(date.saturating_sub(Duration::from_millis(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let read = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap());
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert!(read("Fri, 31 Dec 2100 23:59:59 GMT").unwrap() > Duration::from_secs(86_400));
        assert_eq!(read("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
    }
}
