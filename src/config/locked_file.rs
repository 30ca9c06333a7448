//! The configuration file, held against other editors of ours and replaced whole.
//!
//! The lock is advisory and lies on the file itself, so nothing is left beside it. A file of another name is written,
//! synced and renamed over the old one: whoever reads sees the old text or the new one. A symbolic link stays, and its
//! target is replaced.

use super::bounds::MAX_FILE;
use crate::platform;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// How long another editor is waited for.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(5);

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The file, while nobody else edits it.
#[derive(Debug)]
pub struct LockedFile {
    /// Without symbolic links.
    path: PathBuf,
    source: String,
    file: File,
}

/// Why a file could not be had or replaced. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Somebody else held it for all of [`LOCK_PATIENCE`].
    #[error("somebody else holds the file")]
    Locked,
    #[error("the file is not UTF-8")]
    NotUtf8,
    /// The new file could not be given the owner and group of the old one, so that the gate might not be able to read
    /// it.
    #[error("the new file cannot be given the owner of the old one")]
    Owner(#[source] io::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl LockedFile {
    /// Waits for the file, at most so long.
    ///
    /// # Errors
    /// When somebody else holds the file for that long, or it cannot be read as UTF-8.
    pub fn open(path: &Path, patience: Duration) -> Result<Self, FileError> {
        let path = fs::canonicalize(path)?;
        let end = Instant::now() + patience;
        loop {
            let file = File::open(&path)?;
            match file.try_lock() {
                // Somebody may have renamed another file to this name in between; then the lock is one on a file that
                // is gone.
                Ok(()) if platform::is_file_at(&file, &path)? => return Self::read(path, file),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::park_timeout(LOOK_AGAIN),
                Err(TryLockError::WouldBlock) => return Err(FileError::Locked),
                Err(TryLockError::Error(error)) => return Err(FileError::Io(error)),
            }
        }
    }

    fn read(path: PathBuf, file: File) -> Result<Self, FileError> {
        let mut bytes = Vec::new();
        (&file).take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MAX_FILE {
            return Err(FileError::Io(io::ErrorKind::FileTooLarge.into()));
        }
        let source = String::from_utf8(bytes).map_err(|_| FileError::NotUtf8)?;
        Ok(Self { path, source, file })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Writes the new text beside the file, with its mode and owner. Nothing is replaced before
    /// [`Replacement::commit`].
    ///
    /// # Errors
    /// When the new file cannot be written, or not with the same owner.
    pub fn prepare(self, text: &str) -> Result<Replacement, FileError> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let mut new = tempfile::Builder::new().prefix(".sensgate-").suffix(".new").tempfile_in(folder)?;
        new.write_all(text.as_bytes())?;
        platform::copy_owner(&self.file, new.as_file()).map_err(FileError::Owner)?;
        new.as_file().set_permissions(self.file.metadata()?.permissions())?;
        new.as_file().sync_all()?;
        Ok(Replacement { old: self, new })
    }
}

/// A new text that waits to be put in place. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Replacement {
    old: LockedFile,
    new: NamedTempFile,
}

impl Replacement {
    /// Puts the new text in place, whole.
    ///
    /// # Errors
    /// When the file cannot be replaced; it is as it was then.
    pub fn commit(self) -> Result<(), FileError> {
        let path = &self.old.path;
        self.new.persist(path).map_err(|error| error.error)?;
        // The text is in place: that it would survive a power cut this instant is no reason to say that it is not.
        let _ = path.parent().map(platform::sync_folder);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sensgate.toml");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn one_editor_at_a_time() {
        let (_folder, path) = folder_with("a");
        let first = LockedFile::open(&path, Duration::ZERO).unwrap();
        assert!(matches!(LockedFile::open(&path, Duration::from_millis(50)), Err(FileError::Locked)));
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || LockedFile::open(&path, Duration::from_secs(20)).unwrap().source().to_owned()
        });
        first.prepare("b").unwrap().commit().unwrap();
        assert_eq!(waiting.join().unwrap(), "b", "who waited sees what was written");
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let (folder, path) = folder_with("a");
        drop(LockedFile::open(&path, Duration::ZERO).unwrap().prepare("b").unwrap());
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), names(folder.path())),
            ("a", vec!["sensgate.toml".into()])
        );
    }

    #[cfg(unix)]
    #[test]
    fn mode_and_link_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (folder, path) = folder_with("a");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        let link = folder.path().join("etc/linked.toml");
        symlink(&path, &link).unwrap();
        LockedFile::open(&link, Duration::ZERO).unwrap().prepare("b").unwrap().commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "b");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(names(&folder.path().join("etc")), ["linked.toml"]);
    }
}
