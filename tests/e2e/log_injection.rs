//! What strangers send ends in the access log as data: one honest line for each request, whatever its bytes are.

use crate::gate::{Config, Gate, KEY};
use crate::support::witness::{Behaviour, Witness};

/// Where a byte is put, and what the rest of the request is.
const PLACES: [(&str, &str); 9] = [
    ("method", "G{b}T /v1/a HTTP/1.1\r\nHost: a\r\napi_key: {key}\r\n\r\n"),
    ("path", "GET /v1/a{b}z HTTP/1.1\r\nHost: a\r\napi_key: {key}\r\n\r\n"),
    ("query", "GET /v1/a?x={b} HTTP/1.1\r\nHost: a\r\napi_key: {key}\r\n\r\n"),
    ("version", "GET /v1/a HTTP/1.{b}\r\nHost: a\r\napi_key: {key}\r\n\r\n"),
    ("host", "GET /v1/a HTTP/1.1\r\nHost: a{b}z\r\napi_key: {key}\r\n\r\n"),
    ("key", "GET /v1/a HTTP/1.1\r\nHost: a\r\napi_key: k{b}k\r\n\r\n"),
    ("user agent", "GET /v1/a HTTP/1.1\r\nHost: a\r\napi_key: {key}\r\nUser-Agent: a{b}z\r\n\r\n"),
    ("request id", "GET /v1/a HTTP/1.1\r\nHost: a\r\napi_key: {key}\r\nX-Request-ID: a{b}z\r\n\r\n"),
    ("client address", "GET /v1/a HTTP/1.1\r\nHost: a\r\napi_key: {key}\r\nX-Forwarded-For: 1.2.3.{b}\r\n\r\n"),
];

fn request(template: &str, byte: u8) -> Vec<u8> {
    let text = template.replace("{key}", KEY);
    let (before, after) = text.split_once("{b}").unwrap();
    [before.as_bytes(), &[byte], after.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_in_every_field_makes_one_honest_line() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr())
        .with("limits", "address_budget = \"1000000/s\"")
        .with("limits", "failed_credentials = \"1000000/s\"")
        .with("client_ip", "trusted_proxies = [\"127.0.0.1/32\"]");
    let mut gate = Gate::start(&config);
    for (place, template) in PLACES {
        for byte in 0..=255 {
            let mut client = gate.connect().await;
            client.send(request(template, byte)).await.unwrap();
            let answer = client.read_response().await;
            assert!(answer.is_ok(), "{place} {byte:#04x}: {answer:?}");
        }
    }
    gate.signal("TERM");
    gate.wait_for_exit();
    let log = std::fs::read(gate.access_log()).unwrap();
    assert!(log.iter().all(|byte| matches!(byte, b'\n' | 0x20..=0x7e)), "a byte that a terminal would act on");
    let lines: Vec<&[u8]> = log.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').collect();
    assert!(lines.len() >= PLACES.len() * 256, "{} lines", lines.len());
    for line in lines {
        let record: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert!(record["code"].is_string() && record["request_id"].as_str().unwrap().len() <= 128, "{record}");
        assert!(!record.to_string().contains(KEY));
    }
    for line in gate.stderr_lines() {
        assert!(line.bytes().all(|byte| matches!(byte, 0x20..=0x7e)), "{line:?}");
    }
}
