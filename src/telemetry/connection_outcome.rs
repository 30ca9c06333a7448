//! The ways in which a caller's connection can go.

/// What became of a caller's connection. A closed set: the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionOutcome {
    /// Its first request is awaited.
    Accepted,
    /// All connections were in use.
    Refused,
    /// The PROXY header in front of it was missing or not readable.
    ProxyHeaderInvalid,
    /// The TLS handshake failed or took too long.
    TlsFailed,
    /// The system could not hand it over, for lack of descriptors for instance.
    AcceptFailed,
}

impl ConnectionOutcome {
    pub const ALL: [Self; 5] =
        [Self::Accepted, Self::Refused, Self::ProxyHeaderInvalid, Self::TlsFailed, Self::AcceptFailed];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::ProxyHeaderInvalid => "proxy_header_invalid",
            Self::TlsFailed => "tls_failed",
            Self::AcceptFailed => "accept_failed",
        }
    }
}
