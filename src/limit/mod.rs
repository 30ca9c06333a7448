//! Rate limits: quotas that consumers may use, budgets that abuse may use.
//!
//! Nothing here reads a clock: every operation takes the instant at which it happens. The pieces, from the bottom up:
//!
//! - [`quota`]: how much, as written in the configuration;
//! - [`gcra`]: the algorithm, one pure step on one number;

pub mod gcra;
pub mod quota;
#[cfg(test)]
mod window;

pub use gcra::{Remaining, Wait};
pub use quota::{Quota, QuotaError};
