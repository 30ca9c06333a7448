//! The ways in which a caller's connection can end.

use strum::{IntoStaticStr, VariantArray};

/// How a caller's connection ended. A closed set: the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ConnectionOutcome {
    /// Closed by either side after a whole request, or before the first byte of one.
    Closed,
    /// Idle for too long between two requests.
    Idle,
    /// Nothing came in time for a first request.
    Silent,
    /// Ended in the middle of a request head.
    Broken,
    /// Its TLS handshake or its PROXY header failed, or took too long.
    Unopened,
    /// A request head was not complete in time.
    SlowHead,
    /// A request body came too slowly.
    SlowBody,
    /// An answer was taken too slowly.
    SlowReader,
    /// It sent frames of HTTP/2 that no request needs.
    Flooded,
    /// All connections were in use.
    Refused,
    /// The caller's address had all connections that one address may have.
    RefusedHost,
}

impl ConnectionOutcome {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}
