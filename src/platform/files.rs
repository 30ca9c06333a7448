//! Files that others must not read.

use std::fs::File;
use std::io;
use std::path::Path;

/// Creates a file that only its owner can read and write, and refuses to follow or overwrite one that is there.
///
/// # Errors
/// When the file is there already, or cannot be created.
pub fn create_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens a file for writing that only its owner can read and write, creating it when it is not there.
///
/// # Errors
/// When the file cannot be opened or created.
pub fn open_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Creates a folder that only its owner can enter, with the folders above it. One that is there is left as it is.
///
/// # Errors
/// When a folder of the path cannot be created.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Sets the permission bits of a file, where there are such.
///
/// # Errors
/// When the system refuses.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    #[cfg(not(unix))]
    let _ = (path, mode);
    Ok(())
}

/// What root makes in the folder of somebody else belongs to that one, who is to read it. Nobody but root can give
/// files away.
///
/// # Errors
/// When the folder cannot be looked at, or the system refuses.
pub fn give_to_owner_of(folder: &Path, file: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, chown};
        let (folder, made) = (std::fs::metadata(folder)?, std::fs::metadata(file)?);
        if made.uid() == 0 && (folder.uid() != 0 || folder.gid() != made.gid()) {
            chown(file, Some(folder.uid()), Some(folder.gid()))?;
        }
    }
    #[cfg(not(unix))]
    let _ = (folder, file);
    Ok(())
}

/// Makes renames in a folder survive a power cut, where the system can be asked to.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// The permission bits of a file, `0o7777` at most; `None` on systems without them.
///
/// # Errors
/// When the file cannot be looked at.
#[cfg(unix)]
pub fn file_mode(path: &Path) -> io::Result<Option<u32>> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|metadata| Some(metadata.mode() & 0o7777))
}

/// The permission bits of a file, `0o7777` at most; `None` on systems without them.
///
/// # Errors
/// When the file cannot be looked at.
#[cfg(not(unix))]
pub fn file_mode(path: &Path) -> io::Result<Option<u32>> {
    std::fs::metadata(path).map(|_| None)
}

/// Bytes that this user may still write on the disk of `path`; `None` where the system cannot be asked.
#[cfg(unix)]
#[must_use]
pub fn free_space(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes that this user may still write on the disk of `path`; `None` where the system cannot be asked.
#[cfg(not(unix))]
#[must_use]
pub fn free_space(_path: &Path) -> Option<u64> {
    None
}

/// Whether `path` names this open file, and no other one.
///
/// # Errors
/// When either cannot be looked at, other than that nothing is at `path`.
#[cfg(unix)]
pub fn is_file_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (open, named) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
}

/// Where files cannot be told apart, nobody can rename another one over one that is open either.
///
/// # Errors
/// When either cannot be looked at, other than that nothing is at `path`.
#[cfg(not(unix))]
pub fn is_file_at(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Gives a file the owner and group of another one, where there are such things.
///
/// # Errors
/// When the system refuses.
#[cfg(unix)]
pub fn copy_owner(from: &File, to: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (wanted, found) = (from.metadata()?, to.metadata()?);
    let differing = |wanted: u32, found: u32| (wanted != found).then_some(wanted);
    let (uid, gid) = (differing(wanted.uid(), found.uid()), differing(wanted.gid(), found.gid()));
    if uid.is_none() && gid.is_none() { Ok(()) } else { std::os::unix::fs::fchown(to, uid, gid) }
}

/// Gives a file the owner and group of another one, where there are such things.
///
/// # Errors
/// When the system refuses.
#[cfg(not(unix))]
pub fn copy_owner(_from: &File, _to: &File) -> io::Result<()> {
    Ok(())
}
