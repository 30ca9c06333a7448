//! Exit codes, after sysexits(3) where it has one.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok,
    Failure,
    Usage,
    /// Something this command needs cannot be had: an address in use, a server that is down.
    Unavailable,
    Permission,
    /// The configuration is not valid.
    Config,
    /// The state that a monitoring plugin reports: 0 ok, 1 warning, 2 critical, 3 unknown.
    Monitor(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Unavailable => 69,
            Self::Permission => 77,
            Self::Config => 78,
            Self::Monitor(state) => state,
        }
    }
}
