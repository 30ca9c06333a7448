//! The access log: one line for each request.

use crate::config::AccessLogTarget;
use crate::domain::exchange::Record;
use crate::domain::request::client_ip;
use crate::telemetry::log_line;
use crate::telemetry::log_writer::{LogName, LogWriter};
use prometheus::IntCounter;
use std::cell::RefCell;
use std::io;
use std::time::Duration;

const NAME: LogName = LogName("access log");

/// The handle that requests write through.
#[derive(Debug)]
pub struct AccessLog {
    /// `None` when the access log is off.
    writer: Option<LogWriter>,
    anonymize_ip: bool,
}

impl AccessLog {
    /// Opens the target and starts the thread that writes. `queue` lines may wait for it; `dropped` counts the lines
    /// that are lost.
    ///
    /// # Errors
    /// When the target cannot be opened or the thread cannot be started.
    pub fn start(target: &AccessLogTarget, queue: usize, anonymize_ip: bool, dropped: IntCounter) -> io::Result<Self> {
        let writer = match target {
            AccessLogTarget::Off => None,
            AccessLogTarget::Stdout => Some(LogWriter::to_stdout(NAME, queue, dropped)?),
            AccessLogTarget::File(path) => Some(LogWriter::to_file(NAME, path, queue, dropped)?),
        };
        Ok(Self { writer, anonymize_ip })
    }

    /// Hands the line of one record to the writer. Never waits.
    pub fn log(&self, record: &Record) {
        thread_local! {
            /// The line that is being made: it is bounded, and so is what is kept.
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let Some(writer) = &self.writer else { return };
        LINE.with_borrow_mut(|line| {
            line.clear();
            if self.anonymize_ip {
                let client_ip = client_ip::anonymized(record.client_ip);
                log_line::encode(&Record { client_ip, ..record.clone() }, line);
            } else {
                log_line::encode(record, line);
            }
            writer.write(line);
        });
    }

    /// Lets the next line go to a newly opened file.
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.reopen();
        }
    }

    /// Waits until every line logged before this call is written or dropped, at most `deadline`. False when time ran
    /// out.
    pub fn flush(&self, deadline: Duration) -> bool {
        self.writer.as_ref().is_none_or(|writer| writer.flush(deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::fixture;

    fn counter() -> IntCounter {
        IntCounter::new("dropped_total", "Lines dropped.").unwrap()
    }

    #[test]
    fn an_access_log_that_is_off_takes_everything() {
        let dropped = counter();
        let log = AccessLog::start(&AccessLogTarget::Off, 1, false, dropped.clone()).unwrap();
        (0..10).for_each(|_| log.log(&fixture::answered()));
        log.reopen();
        assert!(log.flush(Duration::ZERO));
        assert_eq!(dropped.get(), 0);
    }

    #[test]
    fn addresses_are_shortened_when_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        for anonymize_ip in [false, true] {
            let log = AccessLog::start(&AccessLogTarget::File(path.clone()), 16, anonymize_ip, counter()).unwrap();
            log.log(&fixture::answered());
            assert!(log.flush(Duration::from_secs(20)));
        }
        let text = std::fs::read_to_string(path).unwrap();
        let address = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["client_ip"].clone();
        assert_eq!(text.lines().map(address).collect::<Vec<_>>(), ["203.0.113.9", "203.0.113.0"]);
    }
}
