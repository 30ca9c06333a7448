//! A file that is replaced whole: after a power cut it is the old one or the new one.

use crate::platform;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes a file that only its owner can read in place of the one of that name. What was left of an earlier, broken
/// attempt is removed.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = platform::create_private(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    platform::sync_folder(folder)
}
