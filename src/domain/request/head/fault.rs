//! Where a head stops being one: the rule that was broken, with its line and byte, for the caller's developer.
//!
//! Only heads that are refused come here. Nothing of what they hold is repeated: a line without a colon may be a key.

use crate::domain::denial::{Denial, Reason, Spot};
use crate::domain::request::grammar::is_tchar;
use crate::domain::request::{FieldRole, FieldTable};

/// The refusal of a head that does not split into a request line and fields. `head` ends with its empty line, and its
/// lines in CR LF.
pub(super) fn of_unparsed(head: &[u8]) -> Denial {
    if head.starts_with(b"\r\n") {
        return Denial::because(Reason::EmptyLine);
    }
    let mut lines = lines(head);
    let Some((start, request_line)) = lines.next() else { return Denial::because(Reason::HeadNotParsed) };
    let found = request_line_fault(request_line)
        .map(|(reason, at)| (reason, start + at))
        .or_else(|| lines.find_map(|(start, line)| field_fault(line).map(|(reason, at)| (reason, start + at))));
    match found {
        Some((reason, at)) => Denial::because(reason).at(spot(head, at)),
        None => Denial::because(Reason::HeadNotParsed),
    }
}

/// Line and byte of an offset into the head, both from 1.
pub(super) fn spot(head: &[u8], at: usize) -> Spot {
    let before = &head[..at.min(head.len())];
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let start = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Spot::Byte { line: number(line), byte: number(before.len() - start + 1) }
}

/// The value of the one key field of a head, alias or not; `None` when there is none, or more than one.
pub(super) fn sole_key<'a>(head: &'a [u8], table: &FieldTable) -> Option<&'a [u8]> {
    let mut keys = lines(head).skip(1).filter_map(|(_, line)| {
        let colon = memchr::memchr(b':', line)?;
        let is_key = matches!(table.role(&line[..colon]), Some(FieldRole::Key | FieldRole::KeyAlias));
        is_key.then(|| line[colon + 1..].trim_ascii())
    });
    keys.next().filter(|_| keys.next().is_none())
}

/// The lines of a head with the offset at which each begins, without their ends and without the empty one.
fn lines(head: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    head.split(|b| *b == b'\n').map_while(move |line| {
        let start = at;
        at += line.len() + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (!line.is_empty()).then_some((start, line))
    })
}

fn request_line_fault(line: &[u8]) -> Option<(Reason, usize)> {
    let method_len = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    if let Some(at) = line[..method_len].iter().position(|b| !is_tchar(*b)) {
        return Some((Reason::MethodByte, at));
    }
    let target_at = method_len + 1;
    let Some(rest) = line.get(target_at..).filter(|_| method_len > 0) else {
        return Some((Reason::RequestLine, method_len));
    };
    let target_len = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
    if let Some(at) = rest[..target_len].iter().position(|b| *b < 0x21 || *b == 0x7f) {
        return Some((Reason::TargetByte, target_at + at));
    }
    let version_at = target_at + target_len + 1;
    match line.get(version_at..) {
        Some(version) if target_len > 0 && is_version(version) => None,
        _ => Some((Reason::RequestLine, (target_at + target_len).min(line.len()))),
    }
}

fn is_version(version: &[u8]) -> bool {
    let Some([major, b'.', minor]) = version.strip_prefix(b"HTTP/") else { return false };
    major.is_ascii_digit() && minor.is_ascii_digit()
}

fn field_fault(line: &[u8]) -> Option<(Reason, usize)> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Some((Reason::FoldedField, 0));
    }
    let Some(colon) = memchr::memchr(b':', line) else { return Some((Reason::FieldWithoutColon, 0)) };
    let name = &line[..colon];
    if let Some(at) = name.iter().position(|b| !is_tchar(*b)) {
        let is_blank = name[at..].iter().all(|b| matches!(b, b' ' | b'\t'));
        return Some((if is_blank { Reason::BlankBeforeColon } else { Reason::FieldNameByte }, at));
    }
    if name.is_empty() {
        return Some((Reason::FieldNameByte, 0));
    }
    let control = line[colon + 1..].iter().position(|b| *b != b'\t' && (*b < 0x20 || *b == 0x7f));
    control.map(|at| (Reason::ControlInField, colon + 1 + at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(head: &str) -> String {
        let denial = of_unparsed(head.as_bytes());
        match denial.at {
            Some(Spot::Byte { line, byte }) => format!("{line}:{byte} {}", denial.reason_word()),
            _ => denial.reason_word().to_owned(),
        }
    }

    #[test]
    fn the_first_fault_is_told_with_its_place() {
        for (head, expected) in [
            ("\r\n\r\n", "empty line before the request"),
            ("G@T / HTTP/1.1\r\n\r\n", "1:2 method is not a token"),
            (" / HTTP/1.1\r\n\r\n", "1:1 request line is not method, target and version"),
            ("GET\r\n\r\n", "1:4 request line is not method, target and version"),
            ("GET /\r\n\r\n", "1:6 request line is not method, target and version"),
            ("GET  / HTTP/1.1\r\n\r\n", "1:5 request line is not method, target and version"),
            ("GET / HTTP/1.1 \r\n\r\n", "1:6 request line is not method, target and version"),
            ("GET /\u{7f} HTTP/1.1\r\n\r\n", "1:6 byte in the target that has to be encoded"),
            ("GET / HTTP/1.1\r\nHost: a\r\n X: b\r\n\r\n", "3:1 field folded over two lines"),
            ("GET / HTTP/1.1\r\nHost: a\r\nsgk_secret\r\n\r\n", "3:1 field without a colon"),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "2:5 blank before the colon"),
            ("GET / HTTP/1.1\r\nA B: a\r\n\r\n", "2:2 field name is not a token"),
            ("GET / HTTP/1.1\r\n: a\r\n\r\n", "2:1 field name is not a token"),
            ("GET / HTTP/1.1\r\nA: b\u{1}\r\n\r\n", "2:5 control byte in a field value"),
        ] {
            assert_eq!(told(head), expected, "{head:?}");
        }
    }

    #[test]
    fn the_one_key_is_found_under_any_of_its_names() {
        let table = FieldTable::new(["x-api-key"], "x-forwarded-for");
        let key = |fields: &str| {
            let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
            sole_key(head.as_bytes(), &table).map(|key| String::from_utf8(key.to_vec()).unwrap())
        };
        assert_eq!(key("Host: a\r\nAPI_KEY:  k \r\n").as_deref(), Some("k"));
        assert_eq!(key("X-Api-Key: k\r\n").as_deref(), Some("k"));
        assert_eq!(key("api_key: k\r\nX-Api-Key: k\r\n"), None);
        assert_eq!(key("apikey: k\r\n"), None);
        assert_eq!(key("Host: a\r\n"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_refusal_inside_the_head(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let denial = of_unparsed(&bytes);
            if let Some(Spot::Byte { line, byte }) = denial.at {
                let lines = bytes.split(|b| *b == b'\n').collect::<Vec<_>>();
                prop_assert!(lines[line as usize - 1].len() + 1 >= byte as usize);
            }
        }
    }
}
