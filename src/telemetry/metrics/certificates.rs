//! Certificates of the listeners: until when they are good, and whether the next ones come.

use super::Metrics;
use crate::tls::Certificate;
use std::net::SocketAddr;

/// The first name of a certificate, and when it expires in seconds since the Unix epoch.
pub(super) type Expiry = (Box<str>, i64);

impl Metrics {
    /// The expiry of what a listener serves from now on, each certificate under its first name.
    pub fn set_certificate_expiries(&self, listener: SocketAddr, certificates: &[Certificate]) {
        let expiry = |certificate: &Certificate| {
            let name = certificate.names().next().unwrap_or_default();
            (name.into(), certificate.not_after().0.div_euclid(1000))
        };
        let mut all = self.certificates.lock();
        all.insert(listener, certificates.iter().map(expiry).collect());
        let listeners: Vec<_> = all.iter().map(|(listener, served)| (listener.to_string(), served)).collect();
        self.series.certificate_expiry.replace(listeners.iter().flat_map(|(listener, served)| {
            served.iter().map(|(name, expiry)| ([listener.as_str(), name.as_ref()], *expiry))
        }));
    }

    /// States whether a listener still waits for its first certificate.
    pub fn set_self_signed(&self, listener: SocketAddr, self_signed: bool) {
        self.series.certificate_self_signed.with_label_values(&[listener.to_string()]).set(i64::from(self_signed));
    }

    /// Counts an attempt to get a certificate.
    pub fn acme_order(&self, issued: bool) {
        self.series.acme_orders.with_label_values(&[if issued { "issued" } else { "failed" }]).inc();
    }

    /// Counts a changed certificate that could not be used.
    pub fn certificate_refused(&self) {
        self.series.certificates_refused.inc();
    }
}
