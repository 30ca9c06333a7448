//! Certificates that change on disk: a renewal is applied without a command.

use super::certificate::Certificate;
use super::resolver::Certificates;
use crate::config::{CertificateFiles, FileCertificates};
use crate::platform;
use crate::telemetry::Telemetry;
use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// How often files are looked at. A renewal has weeks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// More bytes than a chain or a key has.
const MAX_FILE: u64 = 256 << 10;

/// What tells that a file is another one, without reading it: when it was written, and how long it is.
type Look = Option<(SystemTime, u64)>;

/// Why new files are not applied, for the log.
#[derive(Debug)]
struct Fault {
    file: PathBuf,
    reason: String,
}

/// Takes new pairs up until it is dropped. A pair that is not one leaves the old one in place. It is counted and said
/// once for each change, and only when it still is none at the next look: while one half is written, the other is not
/// there yet.
pub async fn watch(
    address: SocketAddr,
    settings: FileCertificates,
    certificates: Arc<Certificates>,
    telemetry: Arc<Telemetry>,
) {
    let files = Arc::new(settings.files);
    // Whatever happened since they were read for the configuration is a change.
    let mut seen = None;
    // There while the files are at fault; true once that was said.
    let mut at_fault = None;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let at = Arc::clone(&files);
        let Ok(now) = tokio::task::spawn_blocking(move || looks(&at)).await else { continue };
        let changed = seen.replace(now.clone()).is_none_or(|before| before != now);
        if !changed && at_fault.is_none() {
            continue;
        }
        let at = Arc::clone(&files);
        let Ok(read) = tokio::task::spawn_blocking(move || read_all(&at)).await else { continue };
        match read {
            Ok(new) => {
                at_fault = None;
                if *certificates.current() != new {
                    telemetry.metrics.set_certificate_expiries(address, &new);
                    certificates.replace(new);
                    tracing::info!(%address, "certificates replaced");
                }
            }
            Err(_) if changed => at_fault = Some(false),
            Err(Fault { file, reason }) if at_fault == Some(false) => {
                at_fault = Some(true);
                telemetry.metrics.certificate_refused();
                let file = file.display();
                tracing::error!(%address, %file, reason, "certificate cannot be used, the old one is served");
            }
            Err(_) => {}
        }
    }
}

fn looks(files: &[CertificateFiles]) -> Vec<[Look; 2]> {
    let look = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(|pair| [look(&pair.certificate), look(&pair.key)]).collect()
}

/// Reads every pair by the rules of the configuration, so that what is applied is what the next start would take.
fn read_all(files: &[CertificateFiles]) -> Result<Vec<Certificate>, Fault> {
    files.iter().map(read_pair).collect()
}

fn read_pair(pair: &CertificateFiles) -> Result<Certificate, Fault> {
    let fault = |file: &Path, reason: &dyn fmt::Display| Fault { file: file.to_owned(), reason: reason.to_string() };
    let chain = read(&pair.certificate).map_err(|_| fault(&pair.certificate, &"cannot be read"))?;
    if platform::file_mode(&pair.key).ok().flatten().is_some_and(|mode| mode & 0o007 != 0) {
        return Err(fault(&pair.key, &"everyone on this machine can use this key"));
    }
    let key = read(&pair.key).map_err(|_| fault(&pair.key, &"cannot be read"))?;
    Certificate::from_pem(&chain, &key).map_err(|error| fault(&pair.certificate, &error))
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
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
            #[cfg(unix)]
            std::fs::set_permissions(&files.key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
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
