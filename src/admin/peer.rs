//! What is known of whoever asks, beside the request.

use std::net::IpAddr;

/// The gate's own address of a connection: what the listener is bound to, also when it is bound to every address.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalAddress(pub(super) IpAddr);

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerAddress(pub(super) IpAddr);

/// Whether an admitted request showed the token that is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    WithToken,
    WithoutToken,
}
