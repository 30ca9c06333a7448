//! The resolved configuration: every value checked, every default filled in, no trace of TOML.
//!
//! [`Settings::snapshot`] is what the core decides on; the rest is for the edges. Each field's meaning and default
//! are in `config/sensgate.example.toml`.

use super::positions::Positions;
use crate::domain::answer::own_name::{Alias, Itself};
use crate::domain::request::Transport;
use crate::domain::request::client_ip::TrustedProxies;
use crate::domain::rules::snapshot::Snapshot;
use crate::tls::Certificate;
use http::HeaderValue;
use rustls_pki_types::CertificateDer;
use secrecy::SecretString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A whole valid configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    pub snapshot: Arc<Snapshot>,
    pub upstream: UpstreamSettings,
    pub listeners: Vec<ListenerSettings>,
    pub connections: ConnectionSettings,
    pub log: LogSettings,
    /// `None` when `admin.address` is `"off"`: then nothing is served.
    pub admin: Option<AdminSettings>,
    pub server: ServerSettings,
    /// Where sessions survive a restart.
    pub state_directory: PathBuf,
    /// Where the file says what it says, for explanations.
    pub positions: Arc<Positions>,
}

/// Where 8sens listens and how patient the gate is with it.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// A host name or IP address, without brackets.
    pub host: String,
    pub port: u16,
    /// `Host` of every request that 8sens receives: where it listens, never what the caller asked for.
    pub host_field: HeaderValue,
    /// What else 8sens may call itself in its answers.
    pub also_known_as: Vec<Alias>,
    /// The one `api_key` that 8sens knows: marked sensitive, and wiped when the last configuration that uses it is
    /// gone.
    pub api_key: HeaderValue,
    pub connect_timeout: Duration,
    /// Longest silence of 8sens while its answer is awaited or under way.
    pub read_timeout: Duration,
    /// Longest time from the last byte of a request to the whole head of its answer.
    pub answer_timeout: Duration,
    pub write_timeout: Duration,
    /// How long an idle pooled connection to 8sens is kept.
    pub keepalive_timeout: Duration,
    /// Idle pooled connections to 8sens, in all.
    pub pool_size: usize,
    pub forwarder: Forwarder,
    /// There when 8sens is behind a TLS terminator.
    pub tls: Option<UpstreamTls>,
}

impl UpstreamSettings {
    /// By which names 8sens is recognised in what it answers; `addresses` are those of its name.
    #[must_use]
    pub fn itself<'s>(&'s self, addresses: &'s [IpAddr]) -> Itself<'s> {
        Itself { host: &self.host, also_known_as: &self.also_known_as, addresses }
    }
}

/// What carries requests to 8sens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarder {
    /// The gate's own lane.
    Direct,
    /// Pingora's proxy.
    Pingora,
}

/// How 8sens is known to be itself. There is no way to ask for less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Who may have issued its certificate. Never empty.
    pub authorities: Arc<[CertificateDer<'static>]>,
    /// What its certificate has to name, and what it is asked for (SNI). Never empty.
    pub name: String,
}

/// One bound address.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    pub address: SocketAddr,
    pub transport: Transport,
    /// There exactly when the transport is [`Transport::Tls`].
    pub tls: Option<TlsSettings>,
    /// Whether HTTP/2 is offered beside HTTP/1.1, in the TLS handshake and nowhere else.
    pub http2: bool,
    /// `Strict-Transport-Security` of every answer through TLS (RFC 6797).
    pub hsts: Option<HeaderValue>,
    /// Who begins connections with a PROXY header, and must.
    pub proxy_protocol: Arc<TrustedProxies>,
}

/// Where the certificates of a listener come from.
#[derive(Clone, Debug)]
pub enum TlsSettings {
    Files(FileCertificates),
    Acme(AcmeSettings),
}

/// Certificates read from files, the one for unknown names first.
#[derive(Clone, Debug)]
pub struct FileCertificates {
    pub files: Vec<CertificateFiles>,
    pub certificates: Vec<Certificate>,
}

/// Where a certificate chain and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// One certificate, had and renewed by ACME (RFC 8555).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeSettings {
    /// The https URL of the certificate authority's directory.
    pub directory: String,
    /// A `mailto:` URL.
    pub contact: Option<String>,
    /// What the certificate is for, each once, in the order of the file.
    pub identifiers: Vec<AcmeIdentifier>,
    /// Asked for when the directory offers it.
    pub profile: Option<String>,
    /// Who may vouch for the directory, in place of those that the system trusts.
    pub ca: Option<Vec<CertificateDer<'static>>>,
}

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AcmeIdentifier {
    /// A host name in lower case, without a wildcard.
    Name(Box<str>),
    Address(IpAddr),
}

impl fmt::Display for AcmeIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// What one downstream connection may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Open downstream connections, in all.
    pub max: usize,
    /// Open downstream connections of one IPv4 address or IPv6 /64 that is not a trusted proxy.
    pub max_per_address: usize,
    /// From the connection to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a head to its last.
    pub head_timeout: Duration,
    /// What is asked of a request body on its way in.
    pub body: MinimumRate,
    /// What is asked of a caller that takes its answer.
    pub answer: MinimumRate,
    /// Longest idle time between two requests.
    pub keepalive_timeout: Duration,
    /// Requests on one connection before it is closed.
    pub max_requests: u32,
}

#[cfg(test)]
impl ConnectionSettings {
    /// Settings under which nothing of a test is cut short.
    pub(crate) fn for_tests() -> Self {
        let long = Duration::from_secs(60);
        let rate = MinimumRate { grace: long, rate: 1 };
        Self {
            max: 100,
            max_per_address: 100,
            handshake_timeout: long,
            head_timeout: long,
            body: rate,
            answer: rate,
            keepalive_timeout: long,
            max_requests: 100,
        }
    }
}

/// The least that a caller has to move while the gate waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinimumRate {
    /// The longest silence, and how long the rate may stay below the minimum at the beginning.
    pub grace: Duration,
    /// Bytes a second, at least 1.
    pub rate: u64,
}

/// What is written down, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    pub level: LogLevel,
    pub access: AccessLogTarget,
    /// Lines of each log waiting for its writer; further ones are dropped and counted.
    pub queue: usize,
    /// Where audit log lines go; `None` when it is off.
    pub audit: Option<PathBuf>,
    /// Whether all logs hold the networks of client addresses in their place.
    pub anonymize_ip: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: LogLevel::Info, access: AccessLogTarget::Stdout, queue: 8192, audit: None, anonymize_ip: false }
    }
}

/// The least severe application log line that is written. There is no debug level: Pingora's debug lines show header
/// values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
}

/// Where access log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    Off,
    Stdout,
    File(PathBuf),
}

/// The admin listener.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    pub address: SocketAddr,
    /// Required for every page when the address is not a loopback one.
    pub token: Option<SecretString>,
    /// Names that it is asked by without the token, beside loopback names and its own address.
    pub hosts: Vec<Alias>,
}

/// The process itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Worker threads.
    pub threads: usize,
    /// How long requests in flight may take to end after SIGTERM.
    pub drain_timeout: Duration,
    /// Whether the configuration is applied by itself when its file changes.
    pub reload_on_change: bool,
}
