//! Reading a state file back: records up to its end, to a torn end, or to damage.

use super::hash::SessionHash;
use super::log_record::{FRAME, Header, LogRecord, MAGIC, MAX_NAME, MAX_PAYLOAD, VERSION};
use crate::domain::types::{Mono, Now, Wall};
use std::sync::Arc;
use std::time::Duration;

/// Why a file cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file ends within its header: it was cut off when it was begun, and holds nothing.
    #[error("it ends within its header")]
    Torn,
    /// The file does not begin as a state file does.
    #[error("it does not begin as a state file does")]
    NotAStateFile,
    #[error("its header is damaged")]
    Damaged,
    /// Written by another version.
    #[error("it is of version {0}")]
    Version(u16),
}

/// Something in the middle of the file is not what was written. Nothing behind it can be told from damage, and what
/// came before may be without its end: nothing of the file should be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is damaged at byte {offset}")]
pub struct Damage {
    /// Byte offset of the frame.
    pub offset: usize,
}

/// Reads the records of a state file one after the other.
///
/// Yields records until the end, until a torn end, or until damage, which is its last item.
#[derive(Clone, Debug)]
pub struct Decoder<'b> {
    bytes: &'b [u8],
    offset: usize,
    stopped: bool,
    torn: bool,
}

impl<'b> Decoder<'b> {
    /// Reads the header of a whole file.
    ///
    /// # Errors
    /// When this is not a state file of this version.
    pub fn new(bytes: &'b [u8]) -> Result<(Header, Self), HeaderError> {
        let Some(rest) = bytes.strip_prefix(&MAGIC) else {
            let begun = MAGIC.starts_with(bytes) || bytes.iter().all(|byte| *byte == 0);
            return Err(if begun { HeaderError::Torn } else { HeaderError::NotAStateFile });
        };
        let payload = match next_frame(rest) {
            Frame::Whole(payload) => payload,
            Frame::End | Frame::Torn => return Err(HeaderError::Torn),
            Frame::Damaged => return Err(HeaderError::Damaged),
        };
        let mut fields = Fields(payload);
        let version = u16::from_le_bytes(fields.take().ok_or(HeaderError::Damaged)?);
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let upstream = fields.name().filter(|_| fields.0.is_empty()).ok_or(HeaderError::Damaged)?;
        let offset = MAGIC.len() + FRAME + payload.len();
        Ok((Header { upstream }, Self { bytes, offset, stopped: false, torn: false }))
    }

    /// Bytes read and found good so far. After a torn end the file can be cut here and appended to.
    #[must_use]
    pub const fn good_bytes(&self) -> usize {
        self.offset
    }

    /// True when the file ended in the middle of a record.
    #[must_use]
    pub const fn is_torn(&self) -> bool {
        self.torn
    }
}

impl Iterator for Decoder<'_> {
    type Item = Result<LogRecord, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped {
            return None;
        }
        let record = match next_frame(&self.bytes[self.offset..]) {
            Frame::Whole(payload) => read(payload).map(|record| (record, payload.len())),
            Frame::Damaged => None,
            end @ (Frame::End | Frame::Torn) => {
                self.stopped = true;
                self.torn = matches!(end, Frame::Torn);
                return None;
            }
        };
        let Some((record, length)) = record else {
            self.stopped = true;
            return Some(Err(Damage { offset: self.offset }));
        };
        self.offset += FRAME + length;
        Some(Ok(record))
    }
}

enum Frame<'b> {
    Whole(&'b [u8]),
    End,
    Torn,
    Damaged,
}

fn next_frame(bytes: &[u8]) -> Frame<'_> {
    if bytes.is_empty() {
        return Frame::End;
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Frame::Torn;
    }
    let Some((&[a, b, c, d, check @ ..], rest)) = bytes.split_first_chunk::<FRAME>() else { return Frame::Torn };
    let length = u16::from_le_bytes([a, b]);
    if length != !u16::from_le_bytes([c, d]) || usize::from(length) > MAX_PAYLOAD {
        return Frame::Damaged;
    }
    match rest.split_at_checked(length.into()) {
        None => Frame::Torn,
        Some((payload, _)) if crc32fast::hash(payload) == u32::from_le_bytes(check) => Frame::Whole(payload),
        Some(_) => Frame::Damaged,
    }
}

/// A record from its payload; `None` unless it is exactly one.
fn read(payload: &[u8]) -> Option<LogRecord> {
    let mut fields = Fields(payload);
    let [kind] = fields.take()?;
    let mono = Mono(u64::from_le_bytes(fields.take()?));
    let at = Now { mono, wall: Wall(i64::from_le_bytes(fields.take()?)) };
    let record = match kind {
        1 => LogRecord::Learn {
            at,
            idle: fields.idle()?,
            hash: fields.hash()?,
            consumer: fields.name()?,
            credential: fields.name()?,
        },
        2 => LogRecord::Touch { at, idle: fields.idle()?, hash: fields.hash()?, consumer: fields.name()? },
        3 => LogRecord::End { at, hash: fields.hash()? },
        4 => LogRecord::EndOwner { at, hash: fields.hash()?, consumer: fields.name()? },
        5 => LogRecord::RevokeConsumer { at, consumer: fields.name()? },
        6 => LogRecord::RevokeCredential { at, consumer: fields.name()?, credential: fields.name()? },
        7 => LogRecord::Clear { at },
        _ => return None,
    };
    fields.0.is_empty().then_some(record)
}

/// What is left of a payload.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn idle(&mut self) -> Option<Duration> {
        self.take().map(|bytes| Duration::from_millis(u32::from_le_bytes(bytes).into()))
    }

    fn hash(&mut self) -> Option<SessionHash> {
        self.take().map(SessionHash::from_bytes)
    }

    fn name(&mut self) -> Option<Arc<str>> {
        let length = usize::from(u16::from_le_bytes(self.take()?));
        let (name, rest) = self.0.split_at_checked(length).filter(|_| length <= MAX_NAME)?;
        self.0 = rest;
        std::str::from_utf8(name).ok().map(Arc::from)
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_record::{NameTooLong, encode, encode_header, frame};
    use super::*;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = Arc<str>> {
        "[a-zé-]{0,20}".prop_map(Arc::from)
    }

    fn hash() -> impl Strategy<Value = SessionHash> {
        any::<[u8; 16]>().prop_map(SessionHash::from_bytes)
    }

    fn idle() -> impl Strategy<Value = Duration> {
        any::<u32>().prop_map(|millis| Duration::from_millis(millis.into()))
    }

    fn record() -> impl Strategy<Value = LogRecord> {
        let at = || any::<(u64, i64)>().prop_map(|(mono, wall)| Now { mono: Mono(mono), wall: Wall(wall) });
        prop_oneof![
            (at(), idle(), hash(), name(), name()).prop_map(|(at, idle, hash, consumer, credential)| {
                LogRecord::Learn { at, idle, hash, consumer, credential }
            }),
            (at(), idle(), hash(), name()).prop_map(|(at, idle, hash, consumer)| LogRecord::Touch {
                at,
                idle,
                hash,
                consumer
            }),
            (at(), hash()).prop_map(|(at, hash)| LogRecord::End { at, hash }),
            (at(), hash(), name()).prop_map(|(at, hash, consumer)| LogRecord::EndOwner { at, hash, consumer }),
            (at(), name()).prop_map(|(at, consumer)| LogRecord::RevokeConsumer { at, consumer }),
            (at(), name(), name()).prop_map(|(at, consumer, credential)| LogRecord::RevokeCredential {
                at,
                consumer,
                credential
            }),
            at().prop_map(|at| LogRecord::Clear { at }),
        ]
    }

    /// A file and the offset behind each of its records.
    fn file(upstream: &str, records: &[LogRecord]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        encode_header(&Header { upstream: upstream.into() }, &mut bytes).unwrap();
        let mut ends = vec![bytes.len()];
        for record in records {
            encode(record, &mut bytes).unwrap();
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    /// Header, records, good bytes, and whether the end is torn.
    type Decoded = (Header, Vec<Result<LogRecord, Damage>>, usize, bool);

    fn decode(bytes: &[u8]) -> Result<Decoded, HeaderError> {
        let (header, mut decoder) = Decoder::new(bytes)?;
        let records: Vec<_> = decoder.by_ref().collect();
        assert!(decoder.next().is_none());
        Ok((header, records, decoder.good_bytes(), decoder.is_torn()))
    }

    #[test]
    fn a_known_file_stays_the_same() {
        let hash = SessionHash::from_bytes([0xab; 16]);
        let idle = Duration::from_nanos(1_000_001);
        let at = |mono, wall| Now { mono: Mono(mono), wall: Wall(wall) };
        let learn = LogRecord::Learn { at: at(5, 1_000), idle, hash, consumer: "shop".into(), credential: "k1".into() };
        let (bytes, _) = file("u", &[learn, LogRecord::Clear { at: at(6, -1) }]);
        // Worked out apart from this code; later versions have to read it or to refuse it by its version.
        let known: Vec<u8> = [
            &b"sensgate\x05\x00\xfa\xff\x29\x31\xef\xda\x01\0\x01\0u"[..],
            b"\x2f\x00\xd0\xff\x00\x44\x94\xd3\x01\x05\0\0\0\0\0\0\0",
            b"\xe8\x03\0\0\0\0\0\0\x02\0\0\0",
            &[0xab; 16],
            b"\x04\0shop\x02\0k1",
            b"\x11\x00\xee\xff\x67\xe4\x8a\xfe\x07\x06\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        ]
        .concat();
        assert_eq!(bytes, known);
    }

    #[test]
    fn names_are_bounded() {
        let mut bytes = Vec::new();
        let at = Now { mono: Mono(0), wall: Wall(0) };
        let long: Arc<str> = "n".repeat(MAX_NAME + 1).into();
        assert_eq!(encode(&LogRecord::RevokeConsumer { at, consumer: long }, &mut bytes), Err(NameTooLong));
        assert!(bytes.is_empty());
        let longest: Arc<str> = "n".repeat(MAX_NAME).into();
        let record = LogRecord::RevokeCredential { at, consumer: longest.clone(), credential: longest };
        let (bytes, _) = file("", std::slice::from_ref(&record));
        assert_eq!(decode(&bytes).unwrap().1, [Ok(record)]);
    }

    #[test]
    fn what_is_no_file_of_ours() {
        assert_eq!(decode(b"").unwrap_err(), HeaderError::Torn);
        assert_eq!(decode(b"sens").unwrap_err(), HeaderError::Torn);
        assert_eq!(decode(&[0; 100]).unwrap_err(), HeaderError::Torn);
        assert_eq!(decode(b"[upstream]\n").unwrap_err(), HeaderError::NotAStateFile);
        let mut other = MAGIC.to_vec();
        frame(&mut other, |payload| payload.extend_from_slice(&[2, 0, 99]));
        assert_eq!(decode(&other).unwrap_err(), HeaderError::Version(2));
    }

    #[test]
    fn a_kind_that_is_not_known_is_damage() {
        let (mut bytes, ends) = file("", &[]);
        frame(&mut bytes, |payload| payload.extend_from_slice(&[99; 17]));
        assert_eq!(decode(&bytes).unwrap().1, [Err(Damage { offset: ends[0] })]);
    }

    proptest! {
        #[test]
        fn round_trip(upstream in name(), records in prop::collection::vec(record(), 0..20)) {
            let (bytes, _) = file(&upstream, &records);
            let (header, read, good, torn) = decode(&bytes).unwrap();
            prop_assert_eq!(header.upstream, upstream);
            prop_assert_eq!(read.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), records);
            prop_assert_eq!(good, bytes.len());
            prop_assert!(!torn);
        }

        #[test]
        fn cut_anywhere_a_prefix_is_left(records in prop::collection::vec(record(), 0..6), zeros in 0usize..20) {
            let (bytes, ends) = file("upstream", &records);
            for cut in 0..bytes.len() {
                let mut left = bytes[..cut].to_vec();
                left.resize(cut + zeros, 0);
                let whole = ends.iter().filter(|end| **end <= cut).count();
                // Zeros stand in for what was cut: now and then they are what was there.
                let zeros_fit = bytes[cut..].iter().take(zeros).any(|byte| *byte == 0);
                match decode(&left) {
                    Err(error) => {
                        prop_assert!(whole == 0);
                        prop_assert!(error == HeaderError::Torn || zeros > 0, "{:?}", error);
                    }
                    Ok((_, read, good, torn)) if zeros == 0 => {
                        let read: Result<Vec<_>, _> = read.into_iter().collect();
                        prop_assert_eq!(read.unwrap(), &records[..whole - 1]);
                        prop_assert_eq!(good, ends[whole - 1]);
                        prop_assert_eq!(torn, good < cut);
                    }
                    Ok((_, read, ..)) => {
                        // A frame filled up with zeros is damage; what is read before it is still only what was
                        // written.
                        let good: Vec<_> = read.into_iter().filter_map(Result::ok).collect();
                        prop_assert!(good.len() < whole || zeros_fit);
                        prop_assert!(records.starts_with(&good));
                    }
                }
            }
        }

        #[test]
        fn any_wrong_byte_is_noticed(records in prop::collection::vec(record(), 0..6), flip in 1u8..) {
            let (bytes, ends) = file("upstream", &records);
            for at in 0..bytes.len() {
                let mut wrong = bytes.clone();
                wrong[at] ^= flip;
                match decode(&wrong) {
                    Err(error) => prop_assert!(at < ends[0] && error != HeaderError::Torn, "{} {:?}", at, error),
                    Ok((_, read, ..)) => {
                        let hit = ends.iter().filter(|end| **end <= at).count();
                        prop_assert_eq!(read.len(), hit);
                        prop_assert_eq!(&read[hit - 1], &Err(Damage { offset: ends[hit - 1] }));
                    }
                }
            }
        }

        #[test]
        fn any_bytes_may_come(bytes: Vec<u8>, tail: Vec<u8>) {
            let _ = decode(&bytes);
            let (mut begun, _) = file("", &[]);
            begun.extend_from_slice(&tail);
            let _ = decode(&begun);
        }
    }
}
