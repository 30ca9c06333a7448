//! What a running gate can be told, whoever tells it: a signal, the control socket, a test.

use crate::config::Report;
use crate::config::changes::Changes;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::oneshot;

/// One order to a running gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take no new connection, let requests in flight end, then stop.
    Drain,
    /// Read the configuration again, and reopen the logs.
    Reload,
    ReopenLogs,
}

/// An order to read the configuration again, by somebody who waits for what comes of it.
pub type ReloadOrder = oneshot::Sender<Reloaded>;

/// What came of reading the configuration again.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The file that was read.
    pub file: PathBuf,
    pub outcome: ReloadOutcome,
}

#[derive(Clone, Debug)]
pub enum ReloadOutcome {
    /// It is in force, but for what it says itself to need a restart. The report holds warnings.
    TakenUp(Changes, Arc<Report>),
    /// It is not valid: what was in force stays.
    Refused(Arc<Report>),
}
