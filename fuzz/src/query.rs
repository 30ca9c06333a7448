//! The query: no key and no token is in it under a name that some program reads and the gate does not.

use super::gates::{GUARD, Gate, KEY, ONE_PLACE};
use sensgate::domain::exchange::{Step, Target};
use sensgate::domain::request::query::{Carried, is_strictly_encoded, may_go_on, secrets};
use sensgate::domain::request::{RequestView, TokenPlace, Transport, split_target};
use sensgate::domain::types::HttpVersion;
use std::net::{IpAddr, Ipv4Addr};

const KEYS: [&str; 4] = ["api_key", "api-key", "apikey", "x-api-key"];

/// The input is a query.
pub fn check(query: &[u8]) {
    let found: Vec<_> = secrets(query).collect();
    for secret in &found {
        assert!(secret.value.is_empty() || query.windows(secret.value.len()).any(|part| part == secret.value));
    }
    for pair in query.split(|byte| matches!(byte, b'&' | b';')) {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        // The readers of this file copy whole names; the gate's own bound on a target keeps hostile ones short as well.
        if name.len() > 512 {
            continue;
        }
        for reading in readings(name) {
            let carries = |carried| secrets(pair).any(|secret| secret.carried == carried);
            assert!(!KEYS.contains(&&*reading) || carries(Carried::Key), "a key as {reading:?}");
            assert!(reading != "access_token" || secrets(pair).count() > 0, "a token as {reading:?}");
        }
    }
    for gate in [&*GUARD, &*ONE_PLACE] {
        forwarded(gate, query);
    }
}

/// A login needs no token, so that whatever the query holds is judged by itself.
fn forwarded(gate: &Gate, query: &[u8]) {
    let target = [b"/v1/public?", query].concat();
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut view = RequestView::new(b"GET", &target, HttpVersion::Http11, peer, Transport::Trusted);
    view.push_field(&gate.snapshot.fields, b"api_key", KEY.as_bytes());
    let (Step::Forward(plan), _) = gate.decide(&view) else { return };
    assert!(may_go_on(query));
    let found: Vec<_> = secrets(query).collect();
    assert!(found.len() <= 1, "two secrets");
    for secret in found {
        assert_eq!(secret.carried, Carried::Token);
        assert!(!secret.is_divided && is_strictly_encoded(secret.value));
    }
    let sent = match &plan.target {
        Target::AsReceived => &target[..],
        Target::Rewritten(sent) => sent,
    };
    let sent = split_target(sent).1.unwrap_or_default();
    let takes_token = plan.fields.token_from.contains(TokenPlace::AccessTokenQuery);
    assert!(takes_token || secrets(sent).count() == 0, "a token where 8sens reads none");
    assert!(secrets(query).count() > 0 || sent == query, "a query goes on as it came");
}

/// A name as programs read it: each with its own way to decode, to make characters of bytes and to compare them.
fn readings(name: &[u8]) -> Vec<String> {
    let mut readings = Vec::new();
    for drops_stray in [false, true] {
        for knows_u in [false, true] {
            let once = decode(name, drops_stray, knows_u);
            let twice = decode(&once, drops_stray, knows_u);
            for bytes in [once, twice] {
                let latin1 = bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
                let ascii = bytes.iter().filter(|byte| byte.is_ascii()).map(|byte| char::from(*byte)).collect();
                for text in [String::from_utf8_lossy(&bytes).into_owned(), latin1, ascii] {
                    readings.push(folded(&text));
                    readings.push(as_php(&folded(&text)));
                }
            }
        }
    }
    readings
}

/// One pass of percent-decoding. A `%uXXXX` becomes UTF-8.
fn decode(name: &[u8], drops_stray: bool, knows_u: bool) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let hex = |from: usize, len: usize| {
            let digits = after.get(from..from + len).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        rest = after;
        match (byte, hex(0, 2)) {
            (b'%', Some(value)) => {
                decoded.push(u8::try_from(value).expect("two digits"));
                rest = &after[2..];
            }
            (b'%', None) => match hex(1, 4).and_then(char::from_u32).filter(|_| knows_u && after[0] | 0x20 == b'u') {
                Some(character) => {
                    decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = &after[5..];
                }
                None if drops_stray => {}
                None => decoded.push(byte),
            },
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    decoded
}

/// In lower case, full-width forms as their originals, without blanks around.
fn folded(text: &str) -> String {
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    };
    let letters = text.chars().map(narrow).flat_map(char::to_lowercase);
    let letters = letters.map(|c| match c {
        '\u{17f}' => 's',
        '\u{131}' => 'i',
        c => c,
    });
    letters.collect::<String>().trim().to_owned()
}

/// What PHP makes the name of a variable of: up to a bracket, and an underscore for a dot or a blank.
fn as_php(text: &str) -> String {
    text.split('[').next().unwrap_or_default().replace(['.', ' '], "_")
}
