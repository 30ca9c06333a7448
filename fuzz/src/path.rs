//! The canonical path: what the rules decide on is what 8sens receives, and it has one reading.

use super::gates::{GUARD, Gate, KEY, ONE_PLACE, TOKEN};
use http::uri::PathAndQuery;
use sensgate::exchange::{Record, Step, Target};
use sensgate::path::is_canonical;
use sensgate::request::{RequestView, Transport, split_target};
use sensgate::route::RouteRule;
use sensgate::types::HttpVersion;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

static SECRET: LazyLock<RouteRule> = LazyLock::new(|| RouteRule::parse("* /v1/secret*").expect("a rule"));

/// `target` is what stands between the method and the version.
pub fn check(target: &[u8]) {
    let (path, _) = split_target(target);
    if is_canonical(path) {
        one_reading(path);
        rules_see_what_it_means(path);
    }
    for (gate, with_token) in [(&*GUARD, true), (&*ONE_PLACE, true), (&*ONE_PLACE, false)] {
        decided_is_forwarded(gate, target, with_token);
    }
}

/// Percent-decoding changes no segment's boundaries and reveals nothing that could be structure, and a second one changes nothing.
fn one_reading(path: &[u8]) {
    let decoded = decode(path);
    assert_eq!(decode(&decoded), decoded, "decoding twice");
    let text = std::str::from_utf8(&decoded).expect("a path is UTF-8");
    let structure = |c: char| c.is_control() || matches!(c, '\\' | ';' | '%' | '?' | '#');
    assert!(!text.contains(structure), "{text:?}");
    assert!(!text.contains(|c: char| c.is_whitespace() && c != ' '), "a blank that is read as another: {text:?}");
    let raw: Vec<_> = path.split(|byte| *byte == b'/').collect();
    let segments: Vec<_> = text.split('/').collect();
    assert_eq!(raw.len(), segments.len());
    let ([b"", raw @ ..], ["", segments @ ..]) = (&raw[..], &segments[..]) else { panic!("no slash at the start") };
    for (at, (raw, segment)) in raw.iter().zip(segments).enumerate() {
        assert_eq!(decode(raw), segment.as_bytes());
        assert!(!matches!(*segment, "." | ".."));
        assert!(!segment.is_empty() || at + 1 == segments.len(), "an empty segment");
        assert_eq!(segment.trim(), *segment);
    }
    let parsed = PathAndQuery::try_from(path).expect("a canonical path is a path to others");
    assert_eq!((parsed.path().as_bytes(), parsed.query()), (path, None));
}

fn rules_see_what_it_means(path: &[u8]) {
    assert_eq!(SECRET.matches(b"GET", path), decode(path).starts_with(b"/v1/secret"));
}

fn decided_is_forwarded(gate: &Gate, target: &[u8], with_token: bool) {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut view = RequestView::new(b"GET", target, HttpVersion::Http11, peer, Transport::Trusted);
    view.push_field(&gate.snapshot.fields, b"api_key", KEY.as_bytes());
    if with_token {
        view.push_field(&gate.snapshot.fields, b"access_token", TOKEN.as_bytes());
    }
    let (path, query) = split_target(target);
    let (step, record) = gate.decide(&view);
    assert_eq!(record.path[..], path[..path.len().min(Record::MAX_PATH)]);
    match step {
        Step::Forward(plan) => {
            let sent = match &plan.target {
                Target::AsReceived => target,
                Target::Rewritten(sent) => sent,
            };
            let (sent_path, sent_query) = split_target(sent);
            assert!(is_canonical(sent_path));
            assert_eq!(sent_path, path);
            assert!(sent_query.is_none_or(|sent| sent.len() <= query.unwrap_or_default().len()));
            let parsed = PathAndQuery::try_from(sent).expect("what is forwarded is a target to others");
            assert_eq!(parsed.as_str().as_bytes(), sent);
        }
        _ => assert!(!with_token || query.is_some() || !is_canonical(path), "a canonical path is forwarded"),
    }
}

fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            None => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    decoded
}
