//! One access log line from one [`Record`]: a JSON object of printable ASCII, whatever a stranger sent.
//!
//! The fields below are the whole list; nothing else of a request can reach the log. Method and path are raw bytes:
//! each byte that is not printable ASCII is written as `\u00XX`, so that byte `XX` is read back as the Latin-1
//! character of that number.

use crate::domain::exchange::Record;
use crate::domain::request::client_ip::AddressText;
use crate::domain::types::Wall;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use std::cell::Cell;
use std::time::Duration;

/// Bytes of a time up to its fraction: `2026-09-21T14:13:20.`
const SECOND: usize = 20;

/// Appends the line of `record` and its line feed. Bounded by the bounds of the record: about 7 KiB for the longest
/// path, and the names from the configuration.
pub fn encode(record: &Record, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"time\":\"");
    time(line, record.wall);
    // Made of letters, digits and `.`, `_`, `-`: it needs no escaping.
    word(line, b"\",\"request_id\":\"", record.request_id.as_str());
    line.extend_from_slice(b",\"consumer\":");
    optional(line, record.consumer.as_deref(), text);
    line.extend_from_slice(b",\"key_id\":");
    optional(line, record.key_id.as_deref(), text);
    line.extend_from_slice(b",\"client_ip\":\"");
    line.extend_from_slice(AddressText::of(record.client_ip).as_bytes());
    line.extend_from_slice(b"\",\"http\":");
    optional(line, record.http, |line, version| word(line, b"\"", version.as_str()));
    line.extend_from_slice(b",\"method\":");
    bytes(line, &record.method);
    line.extend_from_slice(b",\"path\":");
    bytes(line, &record.path);
    line.extend_from_slice(b",\"route\":");
    optional(line, record.route.as_deref(), text);
    line.extend_from_slice(b",\"status\":");
    optional(line, record.status, |line, status| decimal(line, status.into()));
    word(line, b",\"code\":\"", record.code.as_str());
    if let Some(reason) = record.reason {
        line.extend_from_slice(b",\"reason\":");
        text(line, reason.as_str());
    }
    if let Some(would) = record.would_refuse {
        word(line, b",\"would_refuse\":\"", would.code.as_str());
        if let Some(issued) = would.issued {
            word(line, b",\"issued\":\"", issued.as_str());
        }
    }
    if let Some(alarm) = record.alarm {
        word(line, b",\"alarm\":\"", alarm.as_str());
    }
    if let Some(generation) = record.generation {
        line.extend_from_slice(b",\"session_generation\":");
        decimal(line, generation);
    }
    if let Some(wait) = record.login_wait {
        line.extend_from_slice(b",\"login_wait_ms\":");
        milliseconds(line, wait);
    }
    line.extend_from_slice(b",\"bytes_in\":");
    decimal(line, record.bytes.received);
    line.extend_from_slice(b",\"bytes_out\":");
    decimal(line, record.bytes.sent);
    line.extend_from_slice(b",\"duration_ms\":");
    milliseconds(line, record.total);
    line.extend_from_slice(b",\"upstream_ms\":");
    optional(line, record.upstream, milliseconds);
    line.extend_from_slice(b",\"overhead_us\":");
    decimal(line, microseconds(record.own));
    line.extend_from_slice(b"}\n");
}

fn decimal(line: &mut Vec<u8>, value: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A member whose value is a word of ours, which needs no escaping.
fn word(line: &mut Vec<u8>, name: &[u8], word: &str) {
    line.extend_from_slice(name);
    line.extend_from_slice(word.as_bytes());
    line.push(b'"');
}

/// Whole microseconds; half a million years reads as the longest time there is.
fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn optional<T>(line: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(line, value),
        None => line.extend_from_slice(b"null"),
    }
}

/// RFC 3339 in UTC with milliseconds. A clock beyond the years of the format reads as the nearest end of them. What a
/// second is written as is kept by each thread until the next one.
pub(super) fn time(line: &mut Vec<u8>, wall: Wall) {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    thread_local! {
        static LATEST: Cell<(i64, [u8; SECOND])> = const { Cell::new((i64::MIN, [0; SECOND])) };
    }
    let (second, millis) = (wall.0.div_euclid(1000), wall.0.rem_euclid(1000));
    let (latest, written) = LATEST.get();
    if latest == second {
        line.extend_from_slice(&written);
        thousandths(line, millis.unsigned_abs());
        line.push(b'Z');
        return;
    }
    let from = line.len();
    let instant = Timestamp::from_millisecond(wall.0);
    let nearest = if wall.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let is_exact = instant.is_ok();
    // Writing to memory cannot fail.
    let _ = PRINTER.print_timestamp(&instant.unwrap_or(nearest), &mut *line);
    // Years of more than four digits are longer.
    if is_exact
        && line.len() - from == SECOND + "000Z".len()
        && let Some(written) = line[from..].first_chunk()
    {
        LATEST.set((second, *written));
    }
}

/// Milliseconds to the microsecond, as a JSON number.
fn milliseconds(line: &mut Vec<u8>, duration: Duration) {
    let micros = microseconds(duration);
    decimal(line, micros / 1000);
    line.push(b'.');
    thousandths(line, micros % 1000);
}

/// Three digits.
fn thousandths(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(&[number / 100, number / 10, number].map(|digits| b"0123456789"[(digits % 10) as usize]));
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

/// A JSON string of raw bytes, each one a character.
fn bytes(line: &mut Vec<u8>, value: &[u8]) {
    line.push(b'"');
    if value.iter().fold(true, |plain, byte| plain & is_plain(*byte)) {
        line.extend_from_slice(value);
        line.push(b'"');
        return;
    }
    for byte in value {
        if is_plain(*byte) {
            line.push(*byte);
        } else {
            escape(line, u16::from(*byte));
        }
    }
    line.push(b'"');
}

/// A JSON string of text.
fn text(line: &mut Vec<u8>, value: &str) {
    line.push(b'"');
    if value.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        line.extend_from_slice(value.as_bytes());
        line.push(b'"');
        return;
    }
    for unit in value.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if is_plain(byte) => line.push(byte),
            _ => escape(line, unit),
        }
    }
    line.push(b'"');
}

fn escape(line: &mut Vec<u8>, unit: u16) {
    line.extend_from_slice(b"\\u");
    let mut digits = [0; 4];
    HEXLOWER.encode_mut(&unit.to_be_bytes(), &mut digits);
    line.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::denial::DenyCode;
    use crate::domain::exchange::EndCode;
    use crate::telemetry::fixture;
    use proptest::prelude::*;
    use serde_json::Value;

    fn line(record: &Record) -> String {
        let mut line = Vec::new();
        encode(record, &mut line);
        String::from_utf8(line).unwrap()
    }

    /// What a reader makes of a line that must be one line of printable ASCII.
    fn parsed(record: &Record) -> Value {
        let line = line(record);
        let object = line.strip_suffix('\n').unwrap();
        assert!(object.bytes().all(|b| (0x20..=0x7e).contains(&b)), "{object:?}");
        serde_json::from_str(object).unwrap()
    }

    fn latin1(bytes: &[u8]) -> String {
        bytes.iter().map(|b| char::from(*b)).collect()
    }

    #[test]
    fn an_answered_request() {
        assert_eq!(
            line(&fixture::answered()),
            concat!(
                r#"{"time":"2026-09-21T14:13:20.123Z","request_id":"abababababababababababababababab","#,
                r#""consumer":"boutique-paris","key_id":"k1","client_ip":"203.0.113.9","http":"1.1","method":"GET","#,
                r#""path":"/v1/articles","route":"GET /v1/*","status":200,"code":"ok","bytes_in":0,"bytes_out":512,"#,
                r#""duration_ms":12.345,"upstream_ms":11.900,"overhead_us":87}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_refused_stranger() {
        let record = Record {
            consumer: None,
            key_id: None,
            client_ip: "2001:db8::7".parse().unwrap(),
            route: None,
            status: None,
            upstream: None,
            code: EndCode::Denied(DenyCode::UnknownKey),
            reason: Some(crate::domain::denial::Reason::KeyExpired),
            total: Duration::from_nanos(1_005_999),
            ..fixture::answered()
        };
        assert_eq!(
            line(&record),
            concat!(
                r#"{"time":"2026-09-21T14:13:20.123Z","request_id":"abababababababababababababababab","#,
                r#""consumer":null,"key_id":null,"client_ip":"2001:db8::7","http":"1.1","method":"GET","path":"/v1/articles","#,
                r#""route":null,"status":null,"code":"unknown_key","reason":"key expired","bytes_in":0,"bytes_out":512,"#,
                r#""duration_ms":1.005,"upstream_ms":null,"overhead_us":87}"#,
                "\n"
            )
        );
    }

    #[test]
    fn every_byte_of_a_path_is_read_back() {
        let all: Vec<u8> = (0..=255).collect();
        let value = parsed(&Record { path: all.clone().into(), method: all.clone().into(), ..fixture::answered() });
        assert_eq!(value["path"], latin1(&all));
        assert_eq!(value["method"], latin1(&all));
    }

    #[test]
    fn the_documentation_has_every_field_in_order() {
        let would_refuse = crate::domain::policy::WouldRefuse {
            code: DenyCode::SessionUnknown,
            reason: None,
            issued: Some(crate::domain::session::unfamiliar::Issued::Elsewhere),
        };
        let alarm = Some(crate::domain::exchange::Alarm::TokenShared);
        let full = Record {
            reason: Some(crate::domain::denial::Reason::KeyExpired),
            would_refuse: Some(would_refuse),
            alarm,
            generation: Some(7),
            login_wait: Some(Duration::from_millis(80)),
            ..fixture::answered()
        };
        let line = line(&full);
        let mut fields: Vec<String> =
            serde_json::from_str::<serde_json::Map<String, Value>>(&line).unwrap().keys().cloned().collect();
        fields.sort_by_key(|field| line.find(&format!("\"{field}\":")));
        for page in [include_str!("../../docs/logging.md"), include_str!("../../docs/fr/logging.md")] {
            let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
            assert_eq!(rows.take(fields.len()).collect::<Vec<_>>(), fields);
        }
    }

    #[test]
    fn the_longest_line_is_bounded() {
        let record = Record {
            method: vec![0xff; Record::MAX_METHOD].into(),
            path: vec![0xff; Record::MAX_PATH].into(),
            bytes: crate::domain::exchange::Bytes { received: u64::MAX, sent: u64::MAX },
            total: Duration::MAX,
            upstream: Some(Duration::MAX),
            own: Duration::MAX,
            ..fixture::answered()
        };
        parsed(&record);
        assert!(line(&record).len() < 7 * 1024 + 512, "{}", line(&record).len());
    }

    #[test]
    fn times_are_rfc_3339_whatever_the_clock_says() {
        let time = |wall| parsed(&Record { wall: Wall(wall), ..fixture::answered() })["time"].clone();
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(time(1_000_000_000_050), "2001-09-09T01:46:40.050Z");
        assert!(time(i64::MAX).as_str().unwrap().starts_with("9999-12-"));
        assert!(time(i64::MIN).is_string());
    }

    proptest! {
        #[test]
        fn any_request_makes_one_ascii_json_line(
            method in prop::collection::vec(any::<u8>(), 0..Record::MAX_METHOD),
            path in prop::collection::vec(any::<u8>(), 0..Record::MAX_PATH),
            consumer in any::<Option<String>>(),
            route in any::<Option<String>>(),
            status in any::<Option<u16>>(),
            (total, upstream) in any::<(Duration, Option<Duration>)>(),
            wall in any::<i64>(),
        ) {
            let value = parsed(&Record {
                method: method.clone().into(),
                path: path.clone().into(),
                consumer: consumer.as_deref().map(Into::into),
                route: route.as_deref().map(Into::into),
                status,
                total,
                upstream,
                wall: Wall(wall),
                ..fixture::answered()
            });
            prop_assert_eq!(&value["method"], &latin1(&method));
            prop_assert_eq!(&value["path"], &latin1(&path));
            prop_assert_eq!(value["consumer"].as_str(), consumer.as_deref());
            prop_assert_eq!(value["route"].as_str(), route.as_deref());
            prop_assert_eq!(value["status"].as_u64(), status.map(u64::from));
            prop_assert_eq!(value["upstream_ms"].is_null(), upstream.is_none());
        }
    }
}
