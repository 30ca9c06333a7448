//! Lines on their way to a log: a bounded queue in front of a thread of its own.
//!
//! Whoever writes a line never waits. When the queue is full, or the target takes no more, lines are dropped and
//! counted.

use crate::platform::clock;
use crate::telemetry::log_file::{LogFile, Lost};
use crate::telemetry::throttle::Throttle;
use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// With this many bytes, nobody waits for more of them before they are written.
const BATCH: usize = 64 * 1024;
/// A buffer that had to become larger than this is not kept.
const SPARE_MAX: usize = 4 * BATCH;
/// Longest time for which lines are gathered before they are written.
const MAX_GATHER: Duration = Duration::from_millis(10);

/// What a log is called, in messages and as the name of its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogName(pub(crate) &'static str);

/// The handle that lines are written through. The thread ends after it is dropped and the queue is empty.
#[derive(Debug)]
pub(crate) struct LogWriter {
    shared: Arc<WriterState>,
    /// Lines that may wait.
    queue: u64,
    dropped: IntCounter,
}

/// What writers of lines and the thread tell each other.
#[derive(Debug, Default)]
struct WriterState {
    waiting: Mutex<Waiting>,
    /// Told when there is a line for a thread that sleeps, and at the end.
    filled: Condvar,
    /// Lines taken from the queue that were written or dropped.
    settled: Mutex<u64>,
    progress: Condvar,
    reopen: AtomicBool,
}

/// Lines that wait to be written, one behind the other: a line costs a copy, and no memory of its own.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines: u64,
    /// Lines that were ever put here.
    queued: u64,
    /// The thread sleeps until there is a line.
    sleeps: bool,
    ended: bool,
}

impl LogWriter {
    /// Opens the file and starts the thread. `queue` lines may wait, at least one; `dropped` counts the lines that are
    /// lost.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub(crate) fn to_file(name: LogName, path: &Path, queue: usize, dropped: IntCounter) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        Self::start(name, Some(path.to_owned()), LogFile::append(path).map_err(named)?, queue, dropped)
    }

    /// The same for the standard output, which is never reopened.
    ///
    /// # Errors
    /// When there is no standard output or the thread cannot be started.
    pub(crate) fn to_stdout(name: LogName, queue: usize, dropped: IntCounter) -> io::Result<Self> {
        Self::start(name, None, LogFile::stdout()?, queue, dropped)
    }

    fn start(
        name: LogName,
        path: Option<PathBuf>,
        file: LogFile<File>,
        queue: usize,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let shared = Arc::new(WriterState::default());
        let thread = Thread {
            name,
            path,
            file,
            shared: Arc::clone(&shared),
            dropped: dropped.clone(),
            batch: Vec::new(),
            gather: Duration::from_micros(queue as u64).min(MAX_GATHER),
            reports: Throttle::default(),
        };
        std::thread::Builder::new().name(name.0.replace(' ', "-")).spawn(move || thread.run())?;
        Ok(Self { shared, queue: queue.max(1) as u64, dropped })
    }

    /// Hands over one line, which ends in a line feed. Never waits for the target.
    pub(crate) fn write(&self, line: &[u8]) {
        let mut waiting = self.shared.waiting.lock();
        if waiting.lines >= self.queue {
            drop(waiting);
            self.dropped.inc();
            return;
        }
        waiting.bytes.extend_from_slice(line);
        waiting.lines += 1;
        waiting.queued += 1;
        let sleeps = std::mem::take(&mut waiting.sleeps);
        drop(waiting);
        if sleeps {
            self.shared.filled.notify_one();
        }
    }

    /// Lets the next line go to a newly opened file. When it cannot be opened the old one stays in use and the failure
    /// is reported.
    pub(crate) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::SeqCst);
    }

    /// Waits until every line handed over before this call is written or dropped, at most `deadline`. False when time
    /// ran out.
    pub(crate) fn flush(&self, deadline: Duration) -> bool {
        let queued = self.shared.waiting.lock().queued;
        let mut settled = self.shared.settled.lock();
        self.shared.progress.wait_while_for(&mut settled, |settled| *settled < queued, deadline);
        *settled >= queued
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.shared.waiting.lock().ended = true;
        self.shared.filled.notify_one();
    }
}

/// The thread behind the queue.
struct Thread {
    name: LogName,
    /// `None` is the standard output, which is never reopened.
    path: Option<PathBuf>,
    file: LogFile<File>,
    shared: Arc<WriterState>,
    dropped: IntCounter,
    batch: Vec<u8>,
    /// How long lines are gathered before they are written: a microsecond for each line that may wait, at most 10 ms.
    gather: Duration,
    reports: Throttle,
}

impl Thread {
    fn run(mut self) {
        while let Some(taken) = self.take() {
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

    /// Waits for lines and takes all that wait; how many, or `None` when there will be no more.
    fn take(&mut self) -> Option<u64> {
        let mut waiting = self.shared.waiting.lock();
        while waiting.lines == 0 {
            if waiting.ended {
                return None;
            }
            waiting.sleeps = true;
            self.shared.filled.wait(&mut waiting);
        }
        // A thread that sleeps until there is a line is woken by whoever logs, for each line when traffic is thin. Away
        // for a moment, it is woken by nobody and finds a batch.
        if waiting.bytes.len() < BATCH && !waiting.ended {
            drop(waiting);
            std::thread::park_timeout(self.gather);
            waiting = self.shared.waiting.lock();
        }
        self.batch.clear();
        if self.batch.capacity() > SPARE_MAX {
            self.batch = Vec::new();
        }
        std::mem::swap(&mut waiting.bytes, &mut self.batch);
        Some(std::mem::take(&mut waiting.lines))
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match LogFile::append(path) {
            Ok(file) => self.file = file,
            Err(error) => {
                let log = self.name.0;
                tracing::error!(log, path = %path.display(), %error, "log not reopened, the old file stays in use");
            }
        }
    }

    fn lose(&mut self, lost: &Lost) {
        self.dropped.inc_by(lost.lines);
        if self.reports.lets_through(clock::now().mono) {
            let (log, dropped) = (self.name.0, self.dropped.get());
            tracing::error!(log, error = %lost.error, dropped, "log lines are being dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn counter() -> IntCounter {
        IntCounter::new("dropped_total", "Lines dropped.").unwrap()
    }

    fn to_file(path: &Path, queue: usize) -> LogWriter {
        LogWriter::to_file(LogName("test log"), path, queue, counter()).unwrap()
    }

    fn line(text: &str) -> Vec<u8> {
        format!("{text}\n").into_bytes()
    }

    /// Sixteen of these fill a pipe.
    fn long() -> Vec<u8> {
        line(&"x".repeat(4095))
    }

    fn lines(path: &Path) -> Vec<String> {
        std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_line_arrives_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let log = to_file(&path, 2_000);
        let names: Vec<_> = (0..1_000).map(|i| format!("r{i}")).collect();
        for name in &names {
            log.write(&line(name));
        }
        assert!(log.flush(PATIENCE));
        assert_eq!(lines(&path), names);
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
                scope.spawn(move || (0..500).for_each(|i| log.write(&line(&format!("t{thread}.{i}")))));
            }
        });
        assert!(log.flush(PATIENCE));
        assert_eq!(lines(&path).len() as u64 + log.dropped.get(), 2_000);
    }

    #[test]
    fn a_renamed_file_is_left_at_the_next_line() {
        let directory = tempfile::tempdir().unwrap();
        let (path, rotated) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
        let log = to_file(&path, 16);
        log.write(&line("before"));
        assert!(log.flush(PATIENCE));
        std::fs::rename(&path, &rotated).unwrap();
        log.write(&line("between"));
        assert!(log.flush(PATIENCE));
        log.reopen();
        log.write(&line("after"));
        assert!(log.flush(PATIENCE));
        assert_eq!(lines(&rotated), ["before", "between"]);
        assert_eq!(lines(&path), ["after"]);
    }

    #[test]
    fn a_failed_reopen_keeps_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, rotated) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
        let log = to_file(&path, 16);
        std::fs::rename(&path, &rotated).unwrap();
        std::fs::create_dir(&path).unwrap();
        log.reopen();
        log.write(&line("kept"));
        assert!(log.flush(PATIENCE));
        assert_eq!(lines(&rotated), ["kept"]);
        assert_eq!(log.dropped.get(), 0);
    }

    #[test]
    fn a_target_that_cannot_be_opened_fails_the_start() {
        let path = Path::new("/nonexistent/access.log");
        let failed = LogWriter::to_file(LogName("test log"), path, 16, counter());
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_drops_and_counts_and_goes_on() {
        let log = to_file(Path::new("/dev/full"), 64);
        for round in 1..=3 {
            (0..10).for_each(|_| log.write(&long()));
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

        let log = to_file(&path, 64);
        (0..LOGGED).for_each(|_| log.write(&long()));
        // The pipe, one batch and the queue hold a small part; this line is reached because nothing waited for the
        // rest.
        let lost = log.dropped.get();
        assert!(lost > LOGGED / 2, "{lost}");
        assert!(!log.flush(Duration::from_millis(1)), "the writer is stuck and a flush gives up");

        let reader = BufReader::new(File::open(&path).unwrap());
        for line in reader.lines().take(usize::try_from(LOGGED - lost).unwrap()) {
            assert_eq!(line.unwrap().len(), 4095);
        }
        assert!(log.flush(PATIENCE));
    }
}
