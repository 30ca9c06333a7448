//! The commands an admin types, one file each. stdout is data, stderr is talk.

mod exit;
pub mod sandbox;

pub use exit::Exit;
