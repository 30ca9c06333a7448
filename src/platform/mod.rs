//! What only some systems have.

use std::io;
use std::path::Path;

/// The permission bits of a file, symbolic links followed. `None` where files have no such bits.
pub fn file_mode(path: &Path) -> io::Result<Option<u32>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        Ok(Some(std::fs::metadata(path)?.permissions().mode()))
    }
    #[cfg(not(unix))]
    {
        std::fs::metadata(path).map(|_| None)
    }
}
