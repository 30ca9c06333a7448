//! Rate limits: quotas that consumers may use, budgets that abuse may use.
//!
//! Nothing here reads a clock: every operation takes the instant at which it happens. The pieces, from the bottom up:
//!
//! - [`quota`]: how much, as written in the configuration;
//! - [`gcra`]: the algorithm, one pure step on one number;
//! - [`bucket`]: one bucket of a configured name, and what is reserved in it;
//! - [`reservation`]: quota taken from several buckets at once, kept or given back exactly once;
//! - [`keyed`]: buckets of callers that no configuration names, in memory that never grows;
//! - [`address`]: a budget per client address;

pub mod address;
pub mod bucket;
pub mod gcra;
pub mod keyed;
pub mod quota;
pub mod reservation;
#[cfg(test)]
mod window;

pub use address::AddressBudget;
pub use bucket::Bucket;
pub use gcra::{Remaining, Wait};
pub use quota::{Quota, QuotaError};
pub use reservation::{Claim, Reservation, Shortfall};
