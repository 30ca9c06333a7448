//! Certificates that the gate gets and renews by itself (ACME, RFC 8555).
//!
//! [`Acme::listener`] finds something to serve at once and returns a [`Renewal`], whose task orders, swaps in and
//! renews the certificate of one listener. Validation is by HTTP-01 alone: [`Challenges`] holds what the authority is
//! answered, and `proxy/connection` answers it.

mod challenges;
mod client;
mod failure;
mod order;
mod renewal;
mod schedule;
mod self_signed;
mod store;
mod suggestion;

pub use challenges::{Challenges, PREFIX};
pub use renewal::{Acme, Renewal};
