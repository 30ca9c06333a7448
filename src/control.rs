//! What a running gate can be told, whoever tells it: a signal, the control socket, a test.

/// One order to a running gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take no new connection, let requests in flight end, then stop.
    Drain,
    /// Read the configuration again, and reopen the logs.
    Reload,
    ReopenLogs,
}
