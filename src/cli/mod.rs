//! The commands an admin types, one file each. stdout is data, stderr is talk.

mod exit;
mod format;
pub mod keys;
pub mod sandbox;

pub use exit::Exit;
pub use format::Format;
