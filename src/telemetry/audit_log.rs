//! The audit log: who logged in, what was refused, and what admins did. A file of its own that is only appended to.
//!
//! Its queue, writer and rotation are those of the access log; so is what happens at their bounds: lines are dropped
//! and counted, and nobody waits.

use crate::config::LogSettings;
use crate::domain::exchange::Record;
use crate::platform::clock;
use crate::telemetry::audit_event::AuditEvent;
use crate::telemetry::log_writer::{LogName, LogWriter};
use prometheus::IntCounter;
use std::io;
use std::time::Duration;

const NAME: LogName = LogName("audit log");

/// The handle that everything is told to.
#[derive(Debug, Default)]
pub struct AuditLog {
    /// `None` when the audit log is off.
    writer: Option<LogWriter>,
    anonymize_ip: bool,
}

impl AuditLog {
    /// Opens the file, unless the audit log is off, and starts the thread that writes.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub fn start(settings: &LogSettings, dropped: IntCounter) -> io::Result<Self> {
        let path = settings.audit.as_deref();
        let writer = path.map(|path| LogWriter::to_file(NAME, path, settings.queue, dropped)).transpose()?;
        Ok(Self { writer, anonymize_ip: settings.anonymize_ip })
    }

    /// Writes down what one ended request has to tell. Never waits.
    pub fn record(&self, record: &Record) {
        if self.writer.is_none() {
            return;
        }
        for event in AuditEvent::of(record) {
            self.tell(&event);
        }
    }

    /// Writes down one event. Never waits.
    pub fn tell(&self, event: &AuditEvent<'_>) {
        if let Some(writer) = &self.writer {
            writer.write(&event.line(clock::now().wall, self.anonymize_ip));
        }
    }

    /// Lets the next line go to a newly opened file.
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.reopen();
        }
    }

    /// Waits until every line told before this call is written or dropped, at most `deadline`. False when time ran out.
    pub fn flush(&self, deadline: Duration) -> bool {
        self.writer.as_ref().is_none_or(|writer| writer.flush(deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::fixture;

    #[test]
    fn an_audit_log_that_is_off_takes_everything() {
        let log = AuditLog::default();
        log.record(&fixture::answered());
        log.tell(&AuditEvent::GateStopping);
        log.reopen();
        assert!(log.flush(Duration::ZERO));
    }
}
