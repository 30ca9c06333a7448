//! Calls that only exist on one kind of system.

pub mod clock;
mod files;
mod process;
mod service_manager;
mod signals;

pub use files::{
    copy_owner, create_private, create_private_folder, file_mode, free_space, give_to_owner_of, is_file_at,
    open_private, set_mode, sync_folder,
};
pub use process::{forbid_dumps, is_exhaustion, raise_descriptor_limit};
pub use service_manager::{Notice, ServiceManager};
pub use signals::{EarlySignals, commands_from_signals};
