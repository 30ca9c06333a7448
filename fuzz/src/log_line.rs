//! The access log: one record is one line of JSON, whatever is in it, and every byte of it is read back.

use sensgate::domain::denial::{DenyCode, Reason};
use sensgate::domain::exchange::{Alarm, Bytes, EndCode, Record};
use sensgate::domain::policy::WouldRefuse;
use sensgate::domain::session::LoginOutcome;
use sensgate::domain::session::unfamiliar::Issued;
use sensgate::domain::types::{HttpVersion, RequestId, Wall};
use sensgate::telemetry::log_line::encode;
use serde_json::Value;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// The whole list of what may be told of a request.
const KEYS: [&str; 22] = [
    "time",
    "request_id",
    "consumer",
    "key_id",
    "client_ip",
    "http",
    "method",
    "path",
    "route",
    "status",
    "code",
    "reason",
    "would_refuse",
    "issued",
    "alarm",
    "session_generation",
    "login_wait_ms",
    "bytes_in",
    "bytes_out",
    "duration_ms",
    "upstream_ms",
    "overhead_us",
];

/// The bytes of the input are in every field that can hold them.
pub fn check(bytes: &[u8]) {
    let record = record(bytes);
    let mut lines = b"{\"before\":1}\n".to_vec();
    encode(&record, &mut lines);
    let line = lines.strip_prefix(b"{\"before\":1}\n").expect("what was there stays");
    let object = line.strip_suffix(b"\n").expect("a line ends");
    assert!(object.iter().all(|byte| (0x20..=0x7e).contains(byte)), "a byte that no terminal should see");
    assert!(line.len() < 1024 + 6 * (record.method.len() + record.path.len()) + 18 * bytes.len() * 3, "too long");
    let Value::Object(read) = serde_json::from_slice(object).expect("JSON") else { panic!("not an object") };
    let text = std::str::from_utf8(object).expect("ASCII");
    assert!(read.keys().all(|key| KEYS.contains(&key.as_str())), "a field from nowhere");
    for key in read.keys() {
        assert_eq!(text.matches(&format!("\"{key}\":")).count(), 1, "{key} appears twice");
    }
    let latin1 = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    assert_eq!(read["method"], latin1(&record.method));
    assert_eq!(read["path"], latin1(&record.path));
    assert_eq!(read["request_id"], record.request_id.as_str());
    assert_eq!(read["client_ip"], record.client_ip.to_string());
    assert_eq!(read["consumer"].as_str(), record.consumer.as_deref());
    assert_eq!(read["key_id"].as_str(), record.key_id.as_deref());
    assert_eq!(read["route"].as_str(), record.route.as_deref());
    assert_eq!(read["status"].as_u64(), record.status.map(u64::from));
    assert_eq!(read["code"], record.code.as_str());
    assert_eq!(
        (read["bytes_in"].as_u64(), read["bytes_out"].as_u64()),
        (Some(record.bytes.received), Some(record.bytes.sent))
    );
    assert_eq!(read["upstream_ms"].is_null(), record.upstream.is_none());
    assert!(read["duration_ms"].is_number() && read["overhead_us"].is_number() && read["time"].is_string());
}

fn record(bytes: &[u8]) -> Record {
    let text: Arc<str> = String::from_utf8_lossy(bytes).into();
    let latin1: Arc<str> = bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into();
    let mut number = [0_u8; 16];
    for (at, byte) in bytes.iter().enumerate() {
        number[at % 16] = number[at % 16].wrapping_mul(31).wrapping_add(*byte);
    }
    let [low, high] = [0, 8].map(|at| u64::from_le_bytes(number[at..at + 8].try_into().expect("eight bytes")));
    let one_of = |choices: usize| usize::from(number[15]) % choices;
    Record {
        request_id: RequestId::from_caller(bytes).unwrap_or_else(|| RequestId::from_random(number)),
        wall: Wall(i64::from_le_bytes(low.to_le_bytes())),
        consumer: Some(Arc::clone(&text)).filter(|_| number[0] % 4 != 0),
        key_id: Some(latin1).filter(|_| number[1] % 4 != 0),
        client_ip: IpAddr::V6(Ipv6Addr::from(number)).to_canonical(),
        client_ip_unreadable: number[2] % 2 == 0,
        http: [None, Some(HttpVersion::Http11), Some(HttpVersion::Http2)][usize::from(number[2] % 3)],
        method: bytes.into(),
        path: bytes.iter().rev().copied().collect(),
        route: Some(text).filter(|_| number[3] % 4 != 0),
        status: (number[4] % 4 != 0).then_some(u16::from_le_bytes([number[4], number[5]])),
        code: match DenyCode::ALL.get(one_of(DenyCode::ALL.len() + 3)) {
            Some(code) => EndCode::Denied(*code),
            None => [EndCode::Ok, EndCode::CallerLeft, EndCode::Aborted][one_of(3)],
        },
        reason: [None, Some(Reason::KeyNotKnown), Some(Reason::TokenHasBlank)][one_of(3)],
        would_refuse: (number[6] % 2 == 0).then_some(WouldRefuse {
            code: DenyCode::ALL[one_of(DenyCode::ALL.len())],
            reason: None,
            issued: [None, Some(Issued::BeforeStart), Some(Issued::Elsewhere)][one_of(3)],
        }),
        token_place: None,
        login: [None, Some(LoginOutcome::Failed)][one_of(2)],
        learned: None,
        alarm: Alarm::ALL.get(one_of(Alarm::ALL.len() + 2)).copied(),
        key_first_used: one_of(2) == 0,
        generation: (number[8] % 2 == 0).then_some(low),
        login_wait: (number[9] % 2 == 0).then(|| Duration::from_nanos(high)),
        bytes: Bytes { received: low, sent: high },
        total: Duration::from_nanos(low),
        upstream: (number[7] % 2 == 0).then(|| Duration::new(high, 999_999_999)),
        own: Duration::from_nanos(high),
    }
}
