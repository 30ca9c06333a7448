//! The file behind the access log: how it is opened, and what a failed write leaves behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// An open log target that knows whether it ends in the middle of a line.
#[derive(Debug)]
pub(crate) struct LogFile<W> {
    out: W,
    torn: bool,
}

/// Lines that were lost, and why.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) lines: u64,
    pub(crate) error: io::Error,
}

impl LogFile<File> {
    /// The standard output, without a buffer in between.
    pub(crate) fn stdout() -> io::Result<Self> {
        #[cfg(unix)]
        let handle = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
        #[cfg(windows)]
        let handle = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
        Ok(Self { out: File::from(handle), torn: false })
    }

    /// Opens `path` for appending, and creates it for owner and group only. Never waits for the reader of a FIFO.
    pub(crate) fn append(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
            options.mode(0o640);
            // Opened for writing only, a FIFO without a reader would hold up the start, and fail writes whenever its
            // reader restarts.
            let is_fifo = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
            options.read(is_fifo);
        }
        let out = options.open(path)?;
        Ok(Self { out, torn: ends_mid_line(path) })
    }
}

impl<W: Write> LogFile<W> {
    /// Writes whole lines, each ending in a line feed. Lines that do not fit are lost; the next write starts on a new
    /// line.
    pub(crate) fn write_lines(&mut self, lines: &[u8]) -> Result<(), Lost> {
        if self.torn {
            if let Err((_, error)) = write(&mut self.out, b"\n") {
                return Err(Lost { lines: count(lines), error });
            }
            self.torn = false;
        }
        write(&mut self.out, lines).map_err(|(written, error)| {
            self.torn = lines[..written].last().is_some_and(|byte| *byte != b'\n');
            Lost { lines: count(&lines[written..]), error }
        })
    }
}

/// Like `write_all`, but tells how far it came.
fn write(out: &mut impl Write, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// True when a regular file's last byte is not a line feed, for instance after a crash. A file that cannot be read is
/// taken as whole.
fn ends_mid_line(path: &Path) -> bool {
    let last_byte = || -> io::Result<u8> {
        if !std::fs::metadata(path)?.is_file() {
            return Ok(b'\n');
        }
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last[0])
    };
    last_byte().is_ok_and(|byte| byte != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct SmallDisk {
        held: Vec<u8>,
        room: usize,
    }

    impl Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.held.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn on_disk_with(room: usize) -> LogFile<SmallDisk> {
        LogFile { out: SmallDisk { held: Vec::new(), room }, torn: false }
    }

    #[test]
    fn after_a_torn_line_comes_a_new_line() {
        let mut log = on_disk_with(6);
        let lost = log.write_lines(b"one\ntwo\nsix\n").unwrap_err();
        assert_eq!((lost.lines, lost.error.kind()), (2, io::ErrorKind::StorageFull));
        assert_eq!(log.write_lines(b"ten\n").unwrap_err().lines, 1);
        log.out.room = 100;
        log.write_lines(b"new\n").unwrap();
        log.write_lines(b"end\n").unwrap();
        assert_eq!(log.out.held, b"one\ntw\nnew\nend\n");
    }

    #[test]
    fn room_for_the_line_feed_alone_is_not_a_torn_line() {
        let mut log = on_disk_with(2);
        log.write_lines(b"abc\n").unwrap_err();
        log.out.room = 1;
        assert_eq!(log.write_lines(b"def\n").unwrap_err().lines, 1);
        log.out.room = 100;
        log.write_lines(b"ghi\n").unwrap();
        assert_eq!(log.out.held, b"ab\nghi\n");
    }

    #[test]
    fn a_line_lost_whole_leaves_no_empty_line() {
        let mut log = on_disk_with(4);
        log.write_lines(b"one\n").unwrap();
        assert_eq!(log.write_lines(b"two\n").unwrap_err().lines, 1);
        log.out.room = 100;
        log.write_lines(b"six\n").unwrap();
        assert_eq!(log.out.held, b"one\nsix\n");
    }

    #[test]
    fn a_line_torn_by_a_crash_is_ended_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        for (found, left) in [("", "new\n"), ("old\n", "old\nnew\n"), ("ol", "ol\nnew\n")] {
            std::fs::write(&path, found).unwrap();
            LogFile::append(&path).unwrap().write_lines(b"new\n").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), left);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_closed_to_the_world() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        LogFile::append(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & !0o640, 0, "{mode:o}");
    }
}
