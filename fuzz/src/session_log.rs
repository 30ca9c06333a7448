//! The session log: what is read back is what was written, and nothing else is believed.

use sensgate::domain::session::SessionHash;
use sensgate::domain::session::log_decoder::{Damage, Decoder, HeaderError};
use sensgate::domain::session::log_record::{Header, LogRecord, MAX_NAME, MAX_PAYLOAD, encode, encode_header};
use sensgate::domain::types::{Mono, Now, Wall};
use std::sync::Arc;
use std::time::Duration;

/// Most places at which one file is cut or damaged: all of those of a short one.
const PLACES: usize = 150;

/// The input is taken as a file, as the payloads of frames that are in order, and as a list of records.
pub fn check(bytes: &[u8]) {
    only_what_was_written(bytes);
    only_what_was_written(&framed(bytes));
    let records = records(bytes);
    let (file, ends) = written(&records);
    let (read, good, torn) = decode(&file).expect("a file of ours");
    assert_eq!((read, good, torn), (records.iter().cloned().map(Ok).collect(), file.len(), false));
    let step = file.len().div_ceil(PLACES).max(1);
    for at in (0..file.len()).step_by(step) {
        cut_off(&file, &ends, &records, at);
        damaged(&file, &ends, &records, at);
    }
}

type Read = Vec<Result<LogRecord, Damage>>;

/// Records, good bytes, and whether the end is torn.
fn decode(file: &[u8]) -> Result<(Read, usize, bool), HeaderError> {
    let (_, mut decoder) = Decoder::new(file)?;
    let read: Read = decoder.by_ref().collect();
    assert!(decoder.next().is_none(), "it goes on after its end");
    assert!(read.iter().rev().skip(1).all(Result::is_ok), "something is read after damage");
    Ok((read, decoder.good_bytes(), decoder.is_torn()))
}

/// There is one way to write what was read.
fn only_what_was_written(file: &[u8]) {
    let Ok((header, _)) = Decoder::new(file) else { return };
    let (read, good, torn) = decode(file).expect("its header was read");
    let mut again = Vec::new();
    encode_header(&header, &mut again).expect("a name that was read can be written");
    for record in read.iter().flatten() {
        encode(record, &mut again).expect("a name that was read can be written");
    }
    assert_eq!(again, file[..good]);
    match read.last() {
        Some(Err(damage)) => assert_eq!((damage.offset, torn), (good, false)),
        _ => assert_eq!(torn, good < file.len()),
    }
}

fn cut_off(file: &[u8], ends: &[usize], records: &[LogRecord], at: usize) {
    let whole = ends.iter().filter(|end| **end <= at).count();
    match decode(&file[..at]) {
        Err(error) => assert_eq!((error, whole), (HeaderError::Torn, 0)),
        Ok((read, good, torn)) => {
            assert_eq!(read, records[..whole - 1].iter().cloned().map(Ok).collect::<Vec<_>>(), "not a prefix");
            assert_eq!((good, torn), (ends[whole - 1], good < at));
        }
    }
}

fn damaged(file: &[u8], ends: &[usize], records: &[LogRecord], at: usize) {
    let mut wrong = file.to_vec();
    wrong[at] ^= 1 << (at % 8);
    let before = ends.iter().filter(|end| **end <= at).count();
    match decode(&wrong) {
        Err(_) => assert_eq!(before, 0),
        Ok((read, good, _)) => {
            assert_eq!(good, ends[before - 1]);
            assert_eq!(read.len(), before, "a wrong byte went unnoticed");
            assert_eq!(read[before - 1], Err(Damage { offset: good }));
            assert!(read.iter().flatten().eq(&records[..before - 1]));
        }
    }
}

/// A file and the offset behind its header and behind each record.
fn written(records: &[LogRecord]) -> (Vec<u8>, Vec<usize>) {
    let mut file = Vec::new();
    encode_header(&Header { upstream: "erp.lan:8082".into() }, &mut file).expect("a short name");
    let mut ends = vec![file.len()];
    for record in records {
        encode(record, &mut file).expect("names are cut to fit");
        ends.push(file.len());
    }
    (file, ends)
}

/// The lines of the input as payloads, so that a mutation of them is not stopped by a checksum.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let (mut file, _) = written(&[]);
    for payload in bytes.split(|byte| *byte == b'\n') {
        let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
        let length = u16::try_from(payload.len()).expect("a payload is short");
        file.extend_from_slice(&length.to_le_bytes());
        file.extend_from_slice(&(!length).to_le_bytes());
        file.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
        file.extend_from_slice(payload);
    }
    file
}

/// One record for each line: its first byte is the kind, the rest is what it is filled with.
fn records(bytes: &[u8]) -> Vec<LogRecord> {
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| line.split_first());
    lines.take(16).map(|(kind, rest)| record(*kind, rest)).collect()
}

fn record(kind: u8, rest: &[u8]) -> LogRecord {
    let number = |skip: usize| {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(rest.iter().skip(skip)).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(bytes)
    };
    let at = Now { mono: Mono(number(0)), wall: Wall(number(8).cast_signed()) };
    let idle = Duration::from_millis(number(4) & u64::from(u32::MAX));
    let hash = SessionHash::from_bytes((u128::from(number(2)) << 64 | u128::from(number(9))).to_le_bytes());
    let (consumer, credential) = rest.split_at(rest.len() / 2);
    let (consumer, credential) = (name(consumer), name(credential));
    match kind % 7 {
        0 => LogRecord::Learn { at, idle, hash, consumer, credential },
        1 => LogRecord::Touch { at, idle, hash, consumer },
        2 => LogRecord::End { at, hash },
        3 => LogRecord::EndOwner { at, hash, consumer },
        4 => LogRecord::RevokeConsumer { at, consumer },
        5 => LogRecord::RevokeCredential { at, consumer, credential },
        _ => LogRecord::Clear { at },
    }
}

fn name(bytes: &[u8]) -> Arc<str> {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.truncate(text.floor_char_boundary(MAX_NAME));
    text.into()
}
