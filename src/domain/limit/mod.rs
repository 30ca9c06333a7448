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
//! - [`named`]: buckets and budgets by consumer name;
//! - [`login_shield`]: failed logins, and who may log in whatever others have used up;
//! - [`limiter`]: all of it, as it outlives a configuration;
//! - [`headers`]: what a caller is told.

pub mod address;
pub mod bucket;
pub mod gcra;
pub mod headers;
pub mod keyed;
pub mod limiter;
pub mod login_shield;
pub mod named;
pub mod quota;
pub mod reservation;
#[cfg(test)]
mod window;

pub use address::AddressBudget;
pub use bucket::Bucket;
pub use gcra::{Remaining, Wait};
pub use limiter::{Budgets, Limiter};
pub use quota::{Quota, QuotaError};
pub use reservation::{Claim, Reservation, Shortfall};
