//! The append end of the session log.

use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

/// Appends whole records. A record is handed to the system in one write before `append` returns, so it survives the death of the process;
/// against a power cut only compaction syncs, which costs at most the sessions of the last minutes.
#[derive(Debug)]
pub struct FileJournal {
    file: Mutex<File>,
    len: AtomicU64,
}

impl FileJournal {
    pub(super) fn new(file: File, len: u64) -> Self {
        Self { file: Mutex::new(file), len: AtomicU64::new(len) }
    }

    /// Appends one or several whole records.
    pub fn append(&self, records: &[u8]) -> io::Result<()> {
        self.file.lock().write_all(records)?;
        self.len.fetch_add(records.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes in the log: what compaction goes by.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
