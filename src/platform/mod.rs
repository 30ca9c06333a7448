//! Calls that only exist on one kind of system.

mod files;
mod signals;

pub use files::{create_private, file_mode};
pub use signals::commands_from_signals;
