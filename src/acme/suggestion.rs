//! What the certificate authority suggests about the time of a renewal (ARI, RFC 9773).

use super::client::AcmeClient;
use super::failure::Failure;
use super::schedule::{Window, suggestion_age};
use super::store::Store;
use crate::domain::types::Wall;
use crate::tls::Certificate;
use instant_acme::{Account, CertificateIdentifier, Error};
use std::time::Duration;

/// How long a whole question may take: the directory, then the suggestion.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name of a certificate in suggestions and orders; `None` for one whose issuer has no key identifier.
#[must_use]
pub(super) fn identifier(certificate: &Certificate) -> Option<CertificateIdentifier<'static>> {
    CertificateIdentifier::try_from(certificate.leaf()?).ok()
}

/// The suggested window, and after how long to ask again. `Ok(None)` when the authority suggests nothing.
///
/// # Errors
/// When the authority could not be asked, or what it says makes no sense.
pub(super) async fn ask(
    client: &AcmeClient,
    store: &Store,
    certificate: &Certificate,
) -> Result<Option<(Window, Duration)>, Failure> {
    let Some(identifier) = identifier(certificate) else { return Ok(None) };
    let store = store.clone();
    let stored = tokio::task::spawn_blocking(move || store.account()).await.map_err(std::io::Error::other)??;
    let Some(stored) = stored else { return Ok(None) };
    let asked = async {
        let account = Account::builder_with_http(Box::new(client.clone())).from_credentials(stored.credentials).await?;
        account.renewal_info(&identifier).await
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok((info, again))) => {
            let milliseconds = |seconds: i64| Wall(seconds.saturating_mul(1000));
            let (start, end) = (info.suggested_window.start, info.suggested_window.end);
            if end <= start {
                return Err(Failure::of_order("the suggested window ends before it begins"));
            }
            let window =
                Window { start: milliseconds(start.unix_timestamp()), end: milliseconds(end.unix_timestamp()) };
            Ok(Some((window, suggestion_age(again))))
        }
        Ok(Err(Error::Unsupported(_))) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::in_time()),
    }
}
