//! Sessions: which token belongs to whom, and for how long.
//!
//! A token that a caller brings is known by a keyed hash ([`SessionHash`]) and never kept. The [`SessionTable`] holds
//! who owns it, an owner only by its own login answer ([`login_answer`]). [`expiry`] says which answers of 8sens end a
//! session, and when not to believe them. [`log_record`], [`log_decoder`] and [`restore`] carry the table across a
//! restart without ever giving a session more time than it had left. Of the sessions that the gate keeps itself
//! ([`managed`]) it does have the token.
//!
//! Nothing here reads a clock, does I/O or waits.

mod admission;
mod callers;
mod eviction;
pub mod expiry;
mod hash;
mod idle_queue;
pub mod limits;
mod listing;
pub mod log_decoder;
pub mod log_record;
pub mod login_answer;
pub mod login_name;
mod login_outcome;
pub mod managed;
mod occupied;
mod owners;
pub mod restore;
mod table;
mod tick;
pub mod unfamiliar;

pub use admission::{Evicted, Learned};
pub use callers::{CallerId, ConsumerId, Departed};
pub use expiry::{ExpiredPattern, ExpiredWhen};
pub use hash::{HashPrefix, SessionHash};
pub use limits::SessionLimits;
pub use listing::{EndedByHash, ListedOwner, ListedSession};
pub use login_outcome::LoginOutcome;
pub use owners::MAX_OWNERS;
pub use table::{SessionTable, Standing};
