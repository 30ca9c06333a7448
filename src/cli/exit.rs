//! Exit codes, after sysexits(3) where it has one.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    Failure = 1,
    Usage = 2,
    /// Something this command needs cannot be had: an address in use, a server that is down.
    Unavailable = 69,
    Permission = 77,
    /// The configuration is not valid.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
