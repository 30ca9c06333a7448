//! The request that the HTTP/2 library sees in place of the one that was sent.
//!
//! It always is `POST /` with fields that the library can hold; the first of them, which is added here, says what the
//! caller asked for. So the library's own account of streams stays whole, whatever a caller sent, and what belongs to a
//! stream goes where the stream goes: there is no table beside it that would have to follow every reset.

use super::fields::{FieldLine, Head, Malformed};
use crate::domain::denial::Reason;
use http::HeaderMap;
use http::header::HeaderName;

/// `:method: POST`, `:scheme: https` and `:path: /`, from the table that never changes (RFC 7541 appendix A).
const PSEUDO: [u8; 3] = [0x83, 0x87, 0x84];

/// The name of the field that is added. A caller's own field of that name comes behind it.
const CARRIER: &str = "stands-for";

/// What sets the words of that field apart: no part of it holds one.
const SEPARATOR: u8 = b' ';

/// A block that the library takes for malformed: a pseudo-header field behind another field.
const MALFORMED: [u8; 5] = [0x10, 1, b'x', 0, 0x83];

/// More than a stand-in can count for beyond what it stands for, in bytes of a list of fields.
pub(super) const OVERHEAD: usize = 512;

/// Writes the block that stands for a request.
pub(super) fn write(head: &Result<Head<'_>, Malformed<'_>>, block: &mut Vec<u8>) {
    block.extend_from_slice(&PSEUDO);
    let fields = match head {
        Ok(head) => {
            carry(0, head.method.to_vec(), head.target.to_vec(), block);
            &head.fields
        }
        Err(malformed) => {
            let fault = Reason::ALL.iter().position(|reason| *reason == malformed.reason);
            let path = malformed.target.split(|byte| *byte == b'?').next().unwrap_or_default();
            carry(fault.map_or(0, |at| at + 1), visible(malformed.method), visible(path), block);
            &malformed.fields
        }
    };
    fields.iter().for_each(|line| literal(*line, block));
}

/// Writes the block of trailers: none that is good goes any further.
pub(super) fn write_trailers(are_good: bool, block: &mut Vec<u8>) {
    if !are_good {
        block.extend_from_slice(&MALFORMED);
    }
}

fn carry(fault: usize, method: Vec<u8>, target: Vec<u8>, block: &mut Vec<u8>) {
    let words = [fault.to_string().into_bytes(), method, target].join(&SEPARATOR);
    literal((CARRIER.as_bytes(), &words), block);
}

/// Bytes that a field can hold, none of which sets words apart.
fn visible(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| if matches!(byte, 0..=b' ' | 0x7f) { b'.' } else { *byte }).collect()
}

/// A field line that no table remembers (RFC 7541 section 6.2.3).
fn literal((name, value): FieldLine<'_>, block: &mut Vec<u8>) {
    block.push(0x10);
    for text in [name, value] {
        let mut rest = text.len();
        if rest < 0x7f {
            block.push(rest as u8);
        } else {
            block.push(0x7f);
            rest -= 0x7f;
            while rest >= 0x80 {
                block.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            block.push(rest as u8);
        }
        block.extend_from_slice(text);
    }
}

/// What a stream asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Why it is no request, when it is none.
    pub fault: Option<Reason>,
    pub method: Vec<u8>,
    pub target: Vec<u8>,
}

/// Takes what was added out of the fields of a stream. `None` when they were not written here.
pub(super) fn read(fields: &mut HeaderMap) -> Option<Asked> {
    let mut values = fields.get_all(CARRIER).iter().cloned();
    let (carried, own) = (values.next()?, values.collect::<Vec<_>>());
    fields.remove(CARRIER);
    for value in own {
        fields.append(HeaderName::from_static(CARRIER), value);
    }
    let mut words = carried.as_bytes().splitn(3, |byte| *byte == SEPARATOR);
    let fault: usize = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let fault =
        fault.checked_sub(1).map(|at| Reason::ALL.get(at).copied()).map_or(Some(None), |known| known.map(Some))?;
    Some(Asked { fault, method: words.next()?.to_vec(), target: words.next()?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::super::fields::{FieldLines, request};
    use super::*;
    use http::HeaderValue;

    fn carried(list: &[(&[u8], &[u8])]) -> (Asked, Vec<String>) {
        let mut lines = FieldLines::default();
        list.iter().for_each(|(name, value)| lines.push(name, value, 10_000));
        let mut block = Vec::new();
        write(&request(&lines), &mut block);
        let rest = block.strip_prefix(&PSEUDO).unwrap();
        let mut fields = HeaderMap::new();
        for (name, value) in loona_hpack::Decoder::new().decode(rest).unwrap() {
            fields.append(HeaderName::from_lowercase(&name).unwrap(), HeaderValue::from_bytes(&value).unwrap());
        }
        let asked = read(&mut fields).unwrap();
        let shown = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.as_bytes().escape_ascii());
        let mut fields: Vec<_> = fields.iter().map(shown).collect();
        fields.sort();
        (asked, fields)
    }

    const M: (&[u8], &[u8]) = (b":method", b"PUT");
    const S: (&[u8], &[u8]) = (b":scheme", b"https");

    #[test]
    fn a_request_comes_back_as_it_was() {
        let long = vec![b'v'; 300];
        let (asked, fields) = carried(&[
            M,
            S,
            (b":path", b"/a?\"<\xe9>^#"),
            (b"stands-for", b"0 GET /other"),
            (b"x", b"\xe9\t"),
            (b"y", &long),
        ]);
        assert_eq!(asked, Asked { fault: None, method: b"PUT".to_vec(), target: b"/a?\"<\xe9>^#".to_vec() });
        let long = format!("y: {}", "v".repeat(300));
        assert_eq!(fields, ["stands-for: 0 GET /other", "x: \\xe9\\t", long.as_str()]);
    }

    #[test]
    fn of_what_is_malformed_the_fault_the_path_and_what_is_sound_come_back() {
        let path = (&b":path"[..], &b"/a b\r\n\xe9?token=t"[..]);
        let (asked, fields) = carried(&[M, S, path, (b"x", b"y"), (b"content-length", b"+1")]);
        let expected =
            Asked { fault: Some(Reason::TargetByte), method: b"PUT".to_vec(), target: b"/a.b..\xe9".to_vec() };
        assert_eq!((asked, fields), (expected, vec!["x: y".to_owned()]));
        let (asked, _) = carried(&[S]);
        assert_eq!((asked.fault, asked.method.len(), asked.target.len()), (Some(Reason::Http2PseudoMissing), 0, 0));
        assert_eq!(read(&mut HeaderMap::new()), None);
    }
}
