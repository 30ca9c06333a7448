//! The bytes of the state file: a header and then one record after the other, appended as things happen.
//!
//! Everything is in a frame: the length of the payload and its complement (two bytes each), the CRC-32 of the
//! payload (four bytes), the payload, at most [`MAX_PAYLOAD`] bytes. All numbers are little-endian. The complement
//! tells a length that was damaged from a frame that was cut off: a file that ends in the middle of a frame is a torn
//! write, which nobody was promised anything about. Zeros to the end of the file are one too: some file systems show
//! them after a power cut. Everything else that does not fit is damage.
//!
//! Records hold hashes and names, never tokens or keys.
//!
//! # Times
//!
//! Every record carries both clocks as they were when it was made. While the process runs, the monotonic one says how
//! much time passed, whatever is done to the wall clock; only from the last record to the next start the wall clock has
//! to be believed. So a file holds the records of one process: the next one begins with a file of its own. Records may
//! are a little out of order, as threads do.

use super::hash::SessionHash;
use crate::domain::types::Now;
use std::sync::Arc;
use std::time::Duration;

/// First bytes of a state file.
pub const MAGIC: [u8; 8] = *b"sensgate";
/// The version that is written and read.
pub const VERSION: u16 = 1;
/// Longest payload of a frame, in bytes.
pub const MAX_PAYLOAD: usize = 4_096;
/// Longest consumer name, credential id or upstream id, in bytes.
pub const MAX_NAME: usize = 1_024;
/// Bytes of a frame before its payload.
pub(super) const FRAME: usize = 8;

/// What a state file belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which 8sens the tokens are of. Another one has never seen them.
    pub upstream: Arc<str>,
}

/// Something that happened to sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRecord {
    /// A caller became an owner by its login, or was one when the file was begun. Its last use was `idle` before `at`,
    /// which is kept in milliseconds, rounded up.
    Learn { at: Now, idle: Duration, hash: SessionHash, consumer: Arc<str>, credential: Arc<str> },
    /// An owner's last use, `idle` before `at`.
    Touch { at: Now, idle: Duration, hash: SessionHash, consumer: Arc<str> },
    /// The session ended for all its owners.
    End { at: Now, hash: SessionHash },
    /// One owner lost its entry.
    EndOwner { at: Now, hash: SessionHash, consumer: Arc<str> },
    /// All entries of a consumer ended, or it left.
    RevokeConsumer { at: Now, consumer: Arc<str> },
    /// All entries that were learned under a credential ended, because it left.
    RevokeCredential { at: Now, consumer: Arc<str>, credential: Arc<str> },
    /// All sessions ended.
    Clear { at: Now },
}

impl LogRecord {
    #[must_use]
    pub const fn at(&self) -> Now {
        match self {
            Self::Learn { at, .. }
            | Self::Touch { at, .. }
            | Self::End { at, .. }
            | Self::EndOwner { at, .. }
            | Self::RevokeConsumer { at, .. }
            | Self::RevokeCredential { at, .. }
            | Self::Clear { at } => *at,
        }
    }
}

/// A name is longer than [`MAX_NAME`]. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("longer than {MAX_NAME} bytes")]
pub struct NameTooLong;

/// Appends the beginning of a state file.
///
/// # Errors
/// When the upstream id is too long.
pub fn encode_header(header: &Header, out: &mut Vec<u8>) -> Result<(), NameTooLong> {
    check_name(&header.upstream)?;
    out.extend_from_slice(&MAGIC);
    frame(out, |payload| {
        payload.extend_from_slice(&VERSION.to_le_bytes());
        put_name(payload, &header.upstream);
    });
    Ok(())
}

/// Appends one record.
///
/// # Errors
/// When a name is too long.
pub fn encode(record: &LogRecord, out: &mut Vec<u8>) -> Result<(), NameTooLong> {
    match record {
        LogRecord::Learn { consumer, credential, .. } | LogRecord::RevokeCredential { consumer, credential, .. } => {
            check_name(consumer)?;
            check_name(credential)?;
        }
        LogRecord::Touch { consumer, .. }
        | LogRecord::EndOwner { consumer, .. }
        | LogRecord::RevokeConsumer { consumer, .. } => {
            check_name(consumer)?;
        }
        LogRecord::End { .. } | LogRecord::Clear { .. } => {}
    }
    frame(out, |payload| put(record, payload));
    Ok(())
}

fn put(record: &LogRecord, out: &mut Vec<u8>) {
    let head = |out: &mut Vec<u8>, kind: u8| {
        out.push(kind);
        out.extend_from_slice(&record.at().mono.0.to_le_bytes());
        out.extend_from_slice(&record.at().wall.0.to_le_bytes());
    };
    match record {
        LogRecord::Learn { idle, hash, consumer, credential, .. } => {
            head(out, 1);
            put_idle(out, *idle);
            out.extend_from_slice(hash.as_bytes());
            put_name(out, consumer);
            put_name(out, credential);
        }
        LogRecord::Touch { idle, hash, consumer, .. } => {
            head(out, 2);
            put_idle(out, *idle);
            out.extend_from_slice(hash.as_bytes());
            put_name(out, consumer);
        }
        LogRecord::End { hash, .. } => {
            head(out, 3);
            out.extend_from_slice(hash.as_bytes());
        }
        LogRecord::EndOwner { hash, consumer, .. } => {
            head(out, 4);
            out.extend_from_slice(hash.as_bytes());
            put_name(out, consumer);
        }
        LogRecord::RevokeConsumer { consumer, .. } => {
            head(out, 5);
            put_name(out, consumer);
        }
        LogRecord::RevokeCredential { consumer, credential, .. } => {
            head(out, 6);
            put_name(out, consumer);
            put_name(out, credential);
        }
        LogRecord::Clear { .. } => head(out, 7),
    }
}

pub(super) fn frame(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    payload(out);
    let payload = &out[start + FRAME..];
    // Two names of at most MAX_NAME and 41 bytes beside them stay below MAX_PAYLOAD.
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let check = crc32fast::hash(payload);
    out[start..start + 2].copy_from_slice(&length.to_le_bytes());
    out[start + 2..start + 4].copy_from_slice(&(!length).to_le_bytes());
    out[start + 4..start + FRAME].copy_from_slice(&check.to_le_bytes());
}

fn check_name(name: &str) -> Result<(), NameTooLong> {
    if name.len() > MAX_NAME { Err(NameTooLong) } else { Ok(()) }
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    // Checked before: at most MAX_NAME.
    out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
}

/// Rounded up to whole milliseconds, so that reading it back never gives time.
fn put_idle(out: &mut Vec<u8>, idle: Duration) {
    let millis = u32::try_from(idle.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
    out.extend_from_slice(&millis.to_le_bytes());
}
