//! Calls that only exist on one kind of system.

mod signals;

pub use signals::commands_from_signals;
