//! The access log: a bounded queue in front of a thread of its own.
//!
//! A request never waits for the log. When the queue is full, or the target takes no more, lines are dropped and counted.

use crate::clock;
use crate::config::AccessLogTarget;
use crate::exchange::Record;
use crate::telemetry::log_file::{LogFile, Lost};
use crate::telemetry::log_line;
use crate::telemetry::throttle::Throttle;
use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Room for an ordinary line.
const LINE_CAPACITY: usize = 512;

/// Lines are written together up to about this many bytes.
const BATCH: usize = 64 * 1024;
/// Longest time for which lines are gathered before they are written.
const MAX_GATHER: Duration = Duration::from_millis(10);

/// The handle that requests write through.
#[derive(Debug)]
pub struct AccessLog {
    /// `None` when the access log is off.
    writer: Option<WriterHandle>,
    dropped: IntCounter,
}

#[derive(Debug)]
struct WriterHandle {
    lines: SyncSender<Vec<u8>>,
    shared: Arc<Shared>,
}

/// What requests and the writer tell each other beside the lines.
#[derive(Debug, Default)]
struct Shared {
    /// Lines that were put into the queue.
    queued: AtomicU64,
    /// Lines taken from the queue that were written or dropped.
    settled: Mutex<u64>,
    progress: Condvar,
    reopen: AtomicBool,
}

impl AccessLog {
    /// Opens the target and starts the writer thread, which ends after the handle is dropped and the queue is empty.
    ///
    /// `queue` lines may wait for the writer, at least one; `dropped` counts the lines that are lost.
    ///
    /// # Errors
    /// When the target cannot be opened or the thread cannot be started.
    pub fn start(target: &AccessLogTarget, queue: usize, dropped: IntCounter) -> io::Result<Self> {
        let (path, file) = match target {
            AccessLogTarget::Off => return Ok(Self { writer: None, dropped }),
            AccessLogTarget::Stdout => (None, LogFile::stdout()?),
            AccessLogTarget::File(path) => (Some(path.clone()), LogFile::append(path)?),
        };
        let shared = Arc::new(Shared::default());
        let (lines, received) = sync_channel(queue.max(1));
        let writer = Writer {
            path,
            file,
            shared: Arc::clone(&shared),
            dropped: dropped.clone(),
            batch: Vec::new(),
            gather: Duration::from_micros(queue as u64).min(MAX_GATHER),
            reports: Throttle::default(),
        };
        std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run(&received))?;
        Ok(Self { writer: Some(WriterHandle { lines, shared }), dropped })
    }

    /// Hands the line of one record to the writer. Never waits.
    pub fn log(&self, record: &Record) {
        let Some(writer) = &self.writer else { return };
        let mut line = Vec::with_capacity(LINE_CAPACITY);
        log_line::encode(record, &mut line);
        match writer.lines.try_send(line) {
            Ok(()) => {
                writer.shared.queued.fetch_add(1, Ordering::SeqCst);
            }
            Err(_) => self.dropped.inc(),
        }
    }

    /// Lets the next line go to a newly opened file. When it cannot be opened the old one stays in use and the failure is reported.
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.shared.reopen.store(true, Ordering::SeqCst);
        }
    }

    /// Waits until every line logged before this call is written or dropped, at most `deadline`. False when time ran out.
    pub fn flush(&self, deadline: Duration) -> bool {
        let Some(writer) = &self.writer else { return true };
        let queued = writer.shared.queued.load(Ordering::SeqCst);
        let mut settled = writer.shared.settled.lock();
        writer.shared.progress.wait_while_for(&mut settled, |settled| *settled < queued, deadline);
        *settled >= queued
    }
}

/// The thread behind the queue.
struct Writer {
    /// `None` is the standard output, which is never reopened.
    path: Option<PathBuf>,
    file: LogFile<File>,
    shared: Arc<Shared>,
    dropped: IntCounter,
    batch: Vec<u8>,
    /// How long lines are gathered before they are written: a microsecond for each line that may wait, at most 10 ms.
    gather: Duration,
    reports: Throttle,
}

impl Writer {
    fn run(mut self, lines: &Receiver<Vec<u8>>) {
        let mut more_waits = false;
        while let Ok(first) = lines.recv() {
            // A writer that waits in `recv` is woken by the thread that logs, for each line when traffic is thin. Away from the queue
            // for a moment, it is woken by nobody and finds a batch. After a full batch there is nothing to gather: the rest waits.
            if !more_waits {
                std::thread::park_timeout(self.gather);
            }
            self.batch.clear();
            self.batch.extend_from_slice(&first);
            let mut taken = 1;
            while self.batch.len() < BATCH
                && let Ok(line) = lines.try_recv()
            {
                self.batch.extend_from_slice(&line);
                taken += 1;
            }
            more_waits = self.batch.len() >= BATCH;
            // After the batch is taken: a line logged after `reopen` finds the new file.
            if self.shared.reopen.swap(false, Ordering::SeqCst) {
                self.reopen();
            }
            if let Err(lost) = self.file.write_lines(&self.batch) {
                self.lose(&lost);
            }
            *self.shared.settled.lock() += taken;
            self.shared.progress.notify_all();
        }
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match LogFile::append(path) {
            Ok(file) => self.file = file,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "access log not reopened, the old file stays in use");
            }
        }
    }

    fn lose(&mut self, lost: &Lost) {
        self.dropped.inc_by(lost.lines);
        if self.reports.lets_through(clock::now().mono) {
            tracing::error!(error = %lost.error, dropped = self.dropped.get(), "access log lines are being dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::fixture;
    use crate::types::RequestId;
    use std::path::Path;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn counter() -> IntCounter {
        IntCounter::new("dropped_total", "Lines dropped.").unwrap()
    }

    fn to_file(path: &Path, queue: usize) -> AccessLog {
        AccessLog::start(&AccessLogTarget::File(path.into()), queue, counter()).unwrap()
    }

    fn named(id: &str) -> Record {
        Record { request_id: RequestId::from_caller(id.as_bytes()).unwrap(), ..fixture::answered() }
    }

    fn ids(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["request_id"].to_string();
        text.lines().map(|line| id(line).trim_matches('"').to_owned()).collect()
    }

    #[test]
    fn every_line_arrives_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let log = to_file(&path, 2_000);
        let names: Vec<_> = (0..1_000).map(|i| format!("r{i}")).collect();
        for name in &names {
            log.log(&named(name));
        }
        assert!(log.flush(PATIENCE));
        assert_eq!(ids(&path), names);
        assert_eq!(log.dropped.get(), 0);
    }

    #[test]
    fn lines_of_many_threads_stay_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let log = to_file(&path, 16);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let log = &log;
                scope.spawn(move || (0..500).for_each(|i| log.log(&named(&format!("t{thread}.{i}")))));
            }
        });
        assert!(log.flush(PATIENCE));
        assert_eq!(ids(&path).len() as u64 + log.dropped.get(), 2_000);
    }

    #[test]
    fn a_renamed_file_is_left_at_the_next_line() {
        let directory = tempfile::tempdir().unwrap();
        let (path, rotated) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
        let log = to_file(&path, 16);
        log.log(&named("before"));
        assert!(log.flush(PATIENCE));
        std::fs::rename(&path, &rotated).unwrap();
        log.log(&named("between"));
        assert!(log.flush(PATIENCE));
        log.reopen();
        log.log(&named("after"));
        assert!(log.flush(PATIENCE));
        assert_eq!(ids(&rotated), ["before", "between"]);
        assert_eq!(ids(&path), ["after"]);
    }

    #[test]
    fn a_failed_reopen_keeps_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, rotated) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
        let log = to_file(&path, 16);
        std::fs::rename(&path, &rotated).unwrap();
        std::fs::create_dir(&path).unwrap();
        log.reopen();
        log.log(&named("kept"));
        assert!(log.flush(PATIENCE));
        assert_eq!(ids(&rotated), ["kept"]);
        assert_eq!(log.dropped.get(), 0);
    }

    #[test]
    fn a_target_that_cannot_be_opened_fails_the_start() {
        let target = AccessLogTarget::File("/nonexistent/access.log".into());
        assert_eq!(AccessLog::start(&target, 16, counter()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_access_log_that_is_off_takes_everything() {
        let log = AccessLog::start(&AccessLogTarget::Off, 1, counter()).unwrap();
        (0..10).for_each(|_| log.log(&fixture::answered()));
        log.reopen();
        assert!(log.flush(Duration::ZERO));
        assert_eq!(log.dropped.get(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_drops_and_counts_and_goes_on() {
        let log = to_file(Path::new("/dev/full"), 64);
        for round in 1..=3 {
            (0..10).for_each(|_| log.log(&fixture::answered()));
            assert!(log.flush(PATIENCE));
            assert_eq!(log.dropped.get(), 10 * round);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_reader_that_stopped_blocks_nobody() {
        use std::io::{BufRead, BufReader};
        const LOGGED: u64 = 20_000;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.fifo");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());

        let log = to_file(&path, 8);
        (0..LOGGED).for_each(|_| log.log(&fixture::answered()));
        // The pipe, one batch and the queue hold a small part; this line is reached because nothing waited for the rest.
        let lost = log.dropped.get();
        assert!(lost > LOGGED / 2, "{lost}");
        assert!(!log.flush(Duration::from_millis(1)), "the writer is stuck and a flush gives up");

        let reader = BufReader::new(File::open(&path).unwrap());
        for line in reader.lines().take(usize::try_from(LOGGED - lost).unwrap()) {
            serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap();
        }
        assert!(log.flush(PATIENCE));
    }
}
