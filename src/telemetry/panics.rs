//! Panics, counted and logged without their message: a message may hold what a caller sent.

use super::Telemetry;
use std::sync::Arc;

/// Replaces the process's panic hook. The last gate of a process that asks is the one that counts.
pub fn count(telemetry: &Arc<Telemetry>) {
    let telemetry = Arc::clone(telemetry);
    std::panic::set_hook(Box::new(move |panic| {
        telemetry.metrics.panicked();
        let (file, line) = panic.location().map_or(("", 0), |at| (at.file(), at.line()));
        tracing::error!(file, line, "panic; one request was lost");
    }));
}
