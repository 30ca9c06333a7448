//! The session log: what happened to sessions, appended as it happens, rewritten when it has grown.

use super::{StateDirectory, StateError};
use crate::domain::rules::snapshot::Snapshot;
use crate::domain::session::SessionLimits;
use crate::domain::session::log_record::{self, Header, LogRecord};
use crate::domain::session::restore::{RestoreRules, Restored, restore};
use crate::domain::tables::{Journal, Tables};
use crate::domain::types::Now;
use crate::telemetry::Telemetry;
use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A log is rewritten when it is this long, and four times as long as after its last rewriting.
const COMPACT_FROM: u64 = 1 << 20;

/// The open session log of one gate.
///
/// A record is handed to the system before `append` returns, so it outlives the process, however that ends. Against a
/// power cut only a rewriting is synced. A record that cannot be written is counted, and the gate goes on: sessions
/// stay good until a restart.
#[derive(Debug)]
pub struct SessionLog {
    directory: StateDirectory,
    header: Header,
    inner: Mutex<Inner>,
    telemetry: Arc<Telemetry>,
}

#[derive(Debug, Default)]
struct Inner {
    /// `None` until the first rewriting.
    file: Option<File>,
    len: u64,
    compacted_len: u64,
    /// What comes while the log is being rewritten; it belongs behind what is written then.
    overlay: Option<Vec<u8>>,
}

impl SessionLog {
    /// Reads what is there. A log that is damaged, or not one of ours, is set aside with a warning. Nothing is written
    /// before [`SessionLog::compact`], which has to follow once the sessions are in their table.
    ///
    /// # Errors
    /// When the log cannot be read or set aside.
    pub fn open(
        directory: StateDirectory,
        upstream: &str,
        snapshot: &Snapshot,
        now: Now,
        telemetry: Arc<Telemetry>,
    ) -> Result<(Self, Restored), StateError> {
        let rules = RestoreRules {
            upstream,
            limits: &snapshot.session.limits,
            admits: &|consumer, credential| {
                let named = snapshot.consumers.iter().filter(|known| known.name.as_ref() == consumer);
                named.flat_map(|known| &known.credentials).any(|known| known.enabled && known.id.as_ref() == credential)
            },
        };
        let restored = match directory.read_log() {
            Ok(bytes) if bytes.is_empty() => Restored::default(),
            Ok(bytes) => match restore(&bytes, &rules, now) {
                Ok(restored) => restored,
                Err(why) => {
                    set_aside(&directory, now, &why.to_string())?;
                    Restored::default()
                }
            },
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                set_aside(&directory, now, "too large")?;
                Restored::default()
            }
            Err(error) => return Err(directory.failed(error)),
        };
        let inner = Mutex::new(Inner { overlay: Some(Vec::new()), ..Inner::default() });
        let header = Header { upstream: upstream.into() };
        Ok((Self { directory, header, inner, telemetry }, restored))
    }

    /// The state directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The same, for what else is kept in it.
    #[must_use]
    pub fn state(&self) -> &StateDirectory {
        &self.directory
    }

    /// True when the log holds far more history than sessions.
    #[must_use]
    pub fn needs_compaction(&self) -> bool {
        let inner = self.inner.lock();
        inner.len >= COMPACT_FROM.max(4 * inner.compacted_len)
    }

    /// Rewrites the log from the table. Records go on being appended meanwhile and end up behind it.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn compact(&self, tables: &Tables, limits: &SessionLimits, now: Now) -> Result<(), StateError> {
        self.inner.lock().overlay.get_or_insert_default();
        let mut bytes = Vec::new();
        let written =
            log_record::encode_header(&self.header, &mut bytes).map_err(|_| io::Error::other("upstream name too long"));
        tables.sessions.export(now, limits, |record| {
            // Names come from the configuration and are short.
            let _ = log_record::encode(&record, &mut bytes);
        });
        let mut inner = self.inner.lock();
        let overlay = inner.overlay.take().unwrap_or_default();
        bytes.extend_from_slice(&overlay);
        match written.and_then(|()| self.directory.replace_log(&bytes)) {
            Ok(file) => {
                let len = bytes.len() as u64;
                *inner = Inner { file: Some(file), len, compacted_len: len, overlay: None };
                Ok(())
            }
            Err(error) => {
                self.telemetry.metrics.state_write_failed();
                Err(self.directory.failed(error))
            }
        }
    }
}

impl Journal for Arc<SessionLog> {
    fn append(&self, record: &LogRecord) {
        let mut bytes = Vec::with_capacity(128);
        if log_record::encode(record, &mut bytes).is_err() {
            return;
        }
        let mut inner = self.inner.lock();
        if let Some(overlay) = &mut inner.overlay {
            overlay.extend_from_slice(&bytes);
        }
        let Some(file) = &mut inner.file else { return };
        match file.write_all(&bytes) {
            Ok(()) => inner.len += bytes.len() as u64,
            Err(error) => self.telemetry.state_write_failed(&error),
        }
    }
}

fn set_aside(directory: &StateDirectory, now: Now, why: &str) -> Result<(), StateError> {
    let aside = directory.set_log_aside(now.wall.0).map_err(|error| directory.failed(error))?;
    tracing::warn!(file = %aside.display(), why, "the session log was damaged and has been set aside; callers have to \
                                                  log in again");
    Ok(())
}
