//! Sessions that the gate keeps itself, for consumers that send nothing but their key.
//!
//! An [`Account`] is one login at 8sens in the name of one consumer, or of all that share it. It holds the token of the
//! latest *generation*; a request takes a [`Lease`] on it without a lock, and what the answer says counts only against
//! the generation that it was sent with. Everything else is the slow path: `life` says when 8sens may be asked for the
//! next token, one [`Flight`] at a time asks, and whoever waits looks again when it has landed.
//!
//! Nothing here reads a clock, does I/O or waits: whoever carries a flight is an edge.

mod account;
mod accounts;
mod answer;
mod flight;
mod life;
mod live;
#[cfg(test)]
mod simulation;

pub use account::{Account, AccountKey, Expiry, Held, Kept, Taken, View};
pub use accounts::{Accounts, Member};
pub use answer::{LoginAnswer, judge};
pub use flight::{Flight, Landed};
pub use life::{Cause, Failure};
pub use live::{Lease, Live};
