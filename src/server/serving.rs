//! The part of a listener that changes while it runs: its certificates.

use crate::acme::{Acme, Renewal};
use crate::config::{FileCertificates, ListenerSettings, TlsSettings};
use crate::telemetry::Telemetry;
use crate::tls::{self, Certificates};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// One listener that serves. Its certificates are watched or renewed until it is dropped.
pub(super) struct Serving {
    /// As configured, for logs and metrics.
    address: SocketAddr,
    source: Source,
    task: Option<JoinHandle<()>>,
}

/// Where certificates come from.
enum Source {
    NoTls,
    Files(Arc<Certificates>),
    Acme(Arc<Renewal>),
}

impl Serving {
    /// # Errors
    /// When what ACME keeps in the state directory cannot be used.
    pub(super) fn new(listener: &ListenerSettings, acme: &Arc<Acme>, telemetry: &Arc<Telemetry>) -> io::Result<Self> {
        let (source, task) = match &listener.tls {
            None => (Source::NoTls, None),
            Some(TlsSettings::Files(files)) => {
                let certificates = Arc::new(Certificates::new(files.certificates.clone()));
                let task = watch(listener.address, files, &certificates, telemetry);
                (Source::Files(certificates), Some(task))
            }
            Some(TlsSettings::Acme(settings)) => {
                let renewal = Arc::new(acme.listener(listener.address, settings.clone())?);
                let task = tokio::spawn(Arc::clone(&renewal).run());
                (Source::Acme(renewal), Some(task))
            }
        };
        Ok(Self { address: listener.address, source, task })
    }

    /// What handshakes take their certificates from; `None` without TLS.
    pub(super) fn certificates(&self) -> Option<Arc<Certificates>> {
        match &self.source {
            Source::NoTls => None,
            Source::Files(certificates) => Some(Arc::clone(certificates)),
            Source::Acme(renewal) => Some(Arc::clone(renewal.certificates())),
        }
    }

    /// Serves what a new configuration of the same listener says; connections that are open keep their certificate.
    pub(super) fn take_up(&mut self, listener: &ListenerSettings, telemetry: &Arc<Telemetry>) {
        match (&self.source, &listener.tls) {
            (Source::Files(certificates), Some(TlsSettings::Files(files))) => {
                certificates.replace(files.certificates.clone());
                if let Some(old) = self.task.replace(watch(self.address, files, certificates, telemetry)) {
                    old.abort();
                }
            }
            (Source::Acme(renewal), Some(TlsSettings::Acme(settings))) => renewal.adopt(settings.clone()),
            // From one source to another is for a restart.
            _ => {}
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn watch(
    address: SocketAddr,
    files: &FileCertificates,
    certificates: &Arc<Certificates>,
    telemetry: &Arc<Telemetry>,
) -> JoinHandle<()> {
    telemetry.metrics.set_certificate_expiries(address, &files.certificates);
    tokio::spawn(tls::watch(address, files.clone(), Arc::clone(certificates), Arc::clone(telemetry)))
}
