//! Calls that only exist on one kind of system.

mod files;
mod signals;

pub use files::{create_private, create_private_folder, file_mode, open_private, sync_folder};
pub use signals::commands_from_signals;
