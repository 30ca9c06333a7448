//! Certificates that the gate gets and renews by itself (ACME, RFC 8555).

mod challenges;

pub use challenges::{Challenges, PREFIX};
