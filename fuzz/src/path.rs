//! The path: what the rules decide on is what 8sens receives, and it has one reading, or two where an encoded slash is
//! permitted.

use super::gates::{GUARD, Gate, KEY, ONE_PLACE, TOKEN};
use sensgate::domain::exchange::{Record, Step, Target};
use sensgate::domain::request::path::{has_encoded_slash, normalise};
use sensgate::domain::request::query;
use sensgate::domain::request::{RequestView, Transport, split_target};
use sensgate::domain::rules::route::{RouteRule, covering};
use sensgate::domain::types::HttpVersion;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

static SECRET: LazyLock<RouteRule> = LazyLock::new(|| RouteRule::parse("* /v1/secret*").expect("a rule"));
static PUBLIC: LazyLock<RouteRule> = LazyLock::new(|| RouteRule::parse("GET /v1/*/public").expect("a rule"));

/// `target` is what stands between the method and the version.
pub fn check(target: &[u8]) {
    let (path, _) = split_target(target);
    if let Ok(normal) = normalise(path) {
        let bytes = normal.as_bytes();
        assert_eq!(decode(path, true), decode(bytes, true), "the normal form means something else");
        assert_eq!(normalise(bytes).map(|again| again.is_as_received()), Ok(true), "normalised twice");
        assert_eq!(normal.has_encoded_slash(), has_encoded_slash(bytes));
        one_reading(bytes, false);
        if normal.has_encoded_slash() {
            one_reading(bytes, true);
        }
        rules_see_what_it_means(bytes);
    }
    for (gate, with_token) in [(&*GUARD, true), (&*ONE_PLACE, true), (&*ONE_PLACE, false)] {
        decided_is_forwarded(gate, target, with_token);
    }
}

/// Percent-decoding changes no segment's boundaries and reveals nothing that could be structure, and a second one
/// changes nothing. With `slashes`, encoded slashes are taken for slashes.
fn one_reading(path: &[u8], slashes: bool) {
    let path = if slashes { with_slashes(path) } else { path.to_vec() };
    let decoded = decode(&path, slashes);
    assert_eq!(decode(&decoded, slashes), decoded, "decoding twice");
    let text = std::str::from_utf8(&decoded).expect("a path is UTF-8");
    let without = text.replace("%2F", "").replace("%2f", "");
    let structure = |c: char| c.is_control() || matches!(c, '\\' | ';' | '%' | '?' | '#');
    assert!(!without.contains(structure), "{text:?}");
    assert!(!text.contains(|c: char| c.is_whitespace() && c != ' '), "a blank that is read as another: {text:?}");
    let raw: Vec<_> = path.split(|byte| *byte == b'/').collect();
    let segments: Vec<_> = text.split('/').collect();
    assert_eq!(raw.len(), segments.len());
    let ([b"", raw @ ..], ["", segments @ ..]) = (&raw[..], &segments[..]) else { panic!("no slash at the start") };
    for (at, (raw, segment)) in raw.iter().zip(segments).enumerate() {
        assert_eq!(decode(raw, slashes), segment.as_bytes());
        assert!(!matches!(*segment, "." | ".."));
        assert!(!segment.is_empty() || at + 1 == segments.len(), "an empty segment");
        assert_eq!(segment.trim(), *segment);
    }
}

/// What a rule opens is what it says, in each reading; what it closes is closed to whoever minds spelling less.
fn rules_see_what_it_means(path: &[u8]) {
    let meant = decode(path, false).starts_with(b"/v1/secret");
    assert_eq!(SECRET.matches(b"GET", path), meant);
    let lenient: Vec<String> = [path.to_vec(), with_slashes(path)].iter().map(|path| leniently(path)).collect();
    let is_secret = |path: &String| path.starts_with("/v1/secret");
    assert!(SECRET.covers_any_spelling(b"GET", path) || !(meant || lenient.iter().any(is_secret)), "{lenient:?}");
    let rules = [PUBLIC.clone()];
    if covering(&rules, b"GET", path).is_some() {
        assert!(PUBLIC.covers_any_spelling(b"GET", path));
        for reading in [path.to_vec(), with_slashes(path)] {
            let segments: Vec<_> = reading.split(|byte| *byte == b'/').collect();
            assert!(matches!(segments[..], [b"", b"v1", name, b"public"] if !name.is_empty()), "opened too far");
        }
    }
}

fn with_slashes(path: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(path).replace("%2F", "/").replace("%2f", "/").into_bytes()
}

/// As a server reads a path that knows no case, and drops dots and blanks at the end of a name and what nobody sees.
fn leniently(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(&decode(path, true)).into_owned();
    let folded = text.chars().filter(|c| !matches!(c, '\u{200c}' | '\u{200d}' | '\u{feff}'));
    let folded =
        folded.flat_map(|c| if c == '\u{131}' || c == '\u{130}' { 'i'.to_lowercase() } else { c.to_lowercase() });
    let folded: String = folded.map(|c| if c == '\u{17f}' { 's' } else { c }).collect();
    let segments: Vec<_> = folded.split('/').map(|segment| segment.trim_end_matches(['.', ' '])).collect();
    segments.join("/")
}

fn decided_is_forwarded(gate: &Gate, target: &[u8], with_token: bool) {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut view = RequestView::new(b"GET", target, HttpVersion::Http11, peer, Transport::Trusted);
    view.push_field(&gate.snapshot.fields, b"api_key", KEY.as_bytes());
    if with_token {
        view.push_field(&gate.snapshot.fields, b"access_token", TOKEN.as_bytes());
    }
    let (path, query) = split_target(target);
    let normal = normalise(path).map(|normal| normal.as_bytes().to_vec());
    let shown = normal.as_deref().unwrap_or(path);
    let (step, record) = gate.decide(&view);
    assert_eq!(record.path[..], shown[..shown.len().min(Record::MAX_PATH)]);
    match step {
        Step::Forward(plan) => {
            let sent = match &plan.target {
                Target::AsReceived => target,
                Target::Rewritten(sent) => sent,
            };
            let (sent_path, sent_query) = split_target(sent);
            assert_eq!(Ok(sent_path), normal.as_deref().map_err(|reason| *reason));
            assert!(!has_encoded_slash(sent_path) || sent_path.starts_with(b"/v1/articles/"), "without leave");
            let secrets = query::secrets(query.unwrap_or_default()).count();
            assert!(secrets > 0 || sent_query == query, "the query goes on as it came");
            assert!(sent_query.is_none_or(|sent| sent.len() <= query.unwrap_or_default().len()));
            assert!(sent.iter().all(|byte| *byte > b' ' && !matches!(*byte, b'#' | 0x7f)));
        }
        _ => assert!(
            !with_token || query.is_some() || normal.is_err() || has_encoded_slash(shown),
            "a path of one reading is forwarded"
        ),
    }
}

/// Percent-decodes once; with `slashes` also what encodes a slash.
fn decode(path: &[u8], slashes: bool) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if slashes || byte != b'/' => {
                decoded.push(byte);
                rest = &after[2..];
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    decoded
}
