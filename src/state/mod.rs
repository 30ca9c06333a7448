//! The state directory: what has to survive a restart, on disk.
//!
//! It holds a lock, a 32-byte secret that keys the session hashes, an append log of session records ([`SessionLog`]),
//! the sessions that the gate keeps itself, and the control socket. All of it is 0600 in a 0700 directory, and one gate
//! at a time may use it. The files hold hashes and never tokens, but for those of managed sessions, which are sealed.

mod key_uses;
mod managed_sessions;
mod replace;
mod session_log;

pub(crate) use replace::replace;
pub use session_log::SessionLog;

use crate::platform;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const LOCK: &str = "lock";
const SECRET: &str = "secret";
const LOG: &str = "sessions.log";

/// Largest log that is read at a start: a million sessions and their history. A larger one is damaged or not ours.
pub const MAX_LOG: u64 = 512 << 20;

/// An open and locked state directory.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// Held for as long as the gate runs; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another gate runs on it.
    #[error("another gate runs on {}", .0.display())]
    Locked(PathBuf),
    #[error("{} cannot be used", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// True when a process holds the directory. One that cannot be asked is not held by anybody that is known.
#[must_use]
pub fn is_locked(path: &Path) -> bool {
    let Ok(lock) = File::open(path.join(LOCK)) else { return false };
    matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
}

impl StateDirectory {
    /// Opens the directory, making it when it is not there, and locks it.
    ///
    /// # Errors
    /// When another gate holds the directory, or it cannot be made or locked.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |error| StateError::Io(path.to_owned(), error);
        platform::create_private_folder(path).map_err(failed)?;
        let lock = platform::open_private(&path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StateError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret, made on first use. A file of another length was damaged: a new secret replaces it, and old hashes no
    /// longer match.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn secret(&self) -> Result<Zeroizing<[u8; 32]>, StateError> {
        self.read_secret().map_err(|error| self.failed(error))
    }

    /// An error that names the directory.
    fn failed(&self, error: io::Error) -> StateError {
        StateError::Io(self.path.clone(), error)
    }

    fn read_secret(&self) -> io::Result<Zeroizing<[u8; 32]>> {
        let path = self.path.join(SECRET);
        let mut secret = Zeroizing::new([0; 32]);
        match fs::read(&path).map(Zeroizing::new) {
            Ok(bytes) if bytes.len() == secret.len() => {
                secret.copy_from_slice(&bytes);
                return Ok(secret);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        getrandom::fill(secret.as_mut_slice()).map_err(|error| io::Error::other(error.to_string()))?;
        self.replace(SECRET, secret.as_slice())?;
        Ok(secret)
    }

    /// The whole log; empty when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is larger than a log can be.
    pub fn read_log(&self) -> io::Result<Vec<u8>> {
        let file = match File::open(self.path.join(LOG)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MAX_LOG + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_LOG {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the session log is too large"));
        }
        Ok(bytes)
    }

    /// Renames a damaged log, so that nothing is lost for whoever wants to look into it. Returns its new name.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn set_log_aside(&self, stamp: i64) -> io::Result<PathBuf> {
        let aside = self.path.join(format!("{LOG}.damaged-{stamp}"));
        fs::rename(self.path.join(LOG), &aside)?;
        Ok(aside)
    }

    /// Replaces the log as a whole: after a power cut it is the old one or the new one. Returns the end to append to.
    ///
    /// # Errors
    /// When it cannot be written, renamed or opened.
    pub fn replace_log(&self, bytes: &[u8]) -> io::Result<File> {
        self.replace(LOG, bytes)?;
        File::options().append(true).open(self.path.join(LOG))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        replace(&self.path, name, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn one_gate_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let first = StateDirectory::open(&path).unwrap();
        assert!(matches!(StateDirectory::open(&path), Err(StateError::Locked(_))));
        drop(first);
        StateDirectory::open(&path).unwrap();
    }

    #[test]
    fn the_secret_stays_and_a_damaged_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(folder.path()).unwrap();
        let secret = directory.secret().unwrap();
        assert_eq!(*directory.secret().unwrap(), *secret);
        fs::write(folder.path().join(SECRET), b"short").unwrap();
        let other = directory.secret().unwrap();
        assert_ne!(*other, *secret);
        assert_eq!(*directory.secret().unwrap(), *other);
    }

    #[test]
    fn a_log_is_replaced_appended_to_and_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(folder.path()).unwrap();
        assert_eq!(directory.read_log().unwrap(), b"");
        directory.replace_log(b"head ").unwrap().write_all(b"record").unwrap();
        assert_eq!(directory.read_log().unwrap(), b"head record");
        directory.replace_log(b"compact").unwrap();
        assert_eq!(directory.read_log().unwrap(), b"compact");
        let aside = directory.set_log_aside(17).unwrap();
        assert_eq!(fs::read(aside).unwrap(), b"compact");
        assert_eq!(directory.read_log().unwrap(), b"");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let directory = StateDirectory::open(&path).unwrap();
        directory.secret().unwrap();
        directory.replace_log(b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        for name in [LOCK, SECRET, LOG] {
            assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        }
    }
}
