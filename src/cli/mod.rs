//! The commands an admin types, one file each. stdout is data, stderr is talk.

pub mod check;
mod exit;

pub use exit::Exit;
