//! Certificates that change on disk: a renewal is taken up without a command.

use super::certificate::Certificate;
use super::resolver::Certificates;
use crate::config::{CertificateFiles, FileCertificates};
use crate::telemetry::Telemetry;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often files are looked at. A renewal has weeks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What tells that a file is another one, without reading it: when it was written, and how long it is.
type Look = Option<(SystemTime, u64)>;

/// Takes new pairs up until it is dropped. A pair that is not one, as one half of it is while the other is still being written, leaves the
/// old one in place: it is counted and said once for each change, and looked at again.
pub async fn watch(
    address: SocketAddr,
    settings: FileCertificates,
    certificates: Arc<Certificates>,
    telemetry: Arc<Telemetry>,
) {
    // What was read at the start may have changed since, so the first look counts as a change.
    let mut seen = Vec::new();
    let mut told = false;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let files = settings.files.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || looks(&files)).await else { continue };
        let changed = now != seen;
        if !changed && !told {
            continue;
        }
        let files = settings.files.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || read_all(&files)).await else { continue };
        match read {
            Ok(new) if new == *certificates.current() => told = false,
            Ok(new) => {
                telemetry.metrics.set_certificate_expiries(address, &new);
                certificates.replace(new);
                tracing::info!(%address, "certificates replaced");
                told = false;
            }
            Err(path) if changed => {
                telemetry.metrics.certificate_refused();
                tracing::error!(%address, file = %path.display(), "certificate cannot be used, the old one is served");
                told = true;
            }
            Err(_) => {}
        }
        seen = now;
    }
}

fn looks(files: &[CertificateFiles]) -> Vec<[Look; 2]> {
    let look = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(|pair| [look(&pair.certificate), look(&pair.key)]).collect()
}

/// Reads every pair, or names the first file that is not what it should be.
fn read_all(files: &[CertificateFiles]) -> Result<Vec<Certificate>, std::path::PathBuf> {
    let read = |pair: &CertificateFiles| {
        let chain = std::fs::read(&pair.certificate).map_err(|_| pair.certificate.clone())?;
        let key = zeroize::Zeroizing::new(std::fs::read(&pair.key).map_err(|_| pair.key.clone())?);
        Certificate::from_pem(&chain, &key).map_err(|_| pair.certificate.clone())
    };
    files.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::pair;
    use super::*;
    use crate::config::{AccessLogTarget, LogSettings};

    #[tokio::test]
    async fn a_change_before_the_first_look_is_not_missed() {
        let folder = tempfile::tempdir().unwrap();
        let files = CertificateFiles { certificate: folder.path().join("chain"), key: folder.path().join("key") };
        let write = |(chain, key): (String, String)| {
            std::fs::write(&files.certificate, chain).unwrap();
            std::fs::write(&files.key, key).unwrap();
            read_all(std::slice::from_ref(&files)).unwrap()
        };
        let old = write(pair(&["gate.example"]));
        let certificates = Arc::new(Certificates::new(old.clone()));
        let new = write(pair(&["gate.example"]));
        assert!(old != new);
        let settings = FileCertificates { files: vec![files.clone()], certificates: old };
        let log = LogSettings { access: AccessLogTarget::Off, ..LogSettings::default() };
        let telemetry = Arc::new(Telemetry::start(&log).unwrap());
        let address = "127.0.0.1:443".parse().unwrap();
        let watching = tokio::spawn(watch(address, settings, Arc::clone(&certificates), telemetry));
        let taken_up = async {
            while *certificates.current() != new {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), taken_up).await.unwrap();
        watching.abort();
    }
}
