//! One canonical path: what rules decide on and what 8sens receives are the same bytes.
//!
//! Nothing is normalised. A path that has more than one spelling is refused instead, so that no two programs can read it
//! differently: encoded or repeated separators, dot segments, `;` parameters, encodings of characters that need none, control
//! bytes, double encodings, invalid UTF-8, blanks around a segment, other blanks than the ASCII one, and characters that some systems turn into ASCII ones.

/// True when `path` is in the one form that is forwarded (RFC 3986 sections 3.3 and 6.2.2).
#[must_use]
pub fn is_canonical(path: &[u8]) -> bool {
    let Some(inner) = path.strip_prefix(b"/") else { return false };
    if inner.is_empty() {
        return true;
    }
    let mut segments = inner.split(|b| *b == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if segment.is_empty() && !last {
            return false;
        }
        if !is_canonical_segment(segment) {
            return false;
        }
    }
    true
}

fn is_canonical_segment(segment: &[u8]) -> bool {
    if segment == b"." || segment == b".." {
        return false;
    }
    if segment.starts_with(b"%20") || segment.ends_with(b"%20") {
        return false;
    }
    let mut utf8 = Utf8Run::default();
    let mut rest = segment;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let Some(decoded) = decode(after) else { return false };
            if !may_stay_encoded(decoded) || !utf8.push(decoded) {
                return false;
            }
            rest = &after[2..];
        } else {
            if !is_plain(byte) || !utf8.is_complete() {
                return false;
            }
            rest = after;
        }
    }
    utf8.is_complete()
}

/// `pchar` of RFC 3986 without `%` and without `;`, which some servers cut a path at.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

/// Characters that have no other spelling than the encoded one, and that no server takes for structure.
const fn may_stay_encoded(decoded: u8) -> bool {
    match decoded {
        0x00..=0x1f | 0x7f => false,
        b'/' | b'\\' | b'.' | b';' | b'%' | b'?' | b'#' => false,
        b'-' | b'_' | b'~' => false,
        byte => !byte.is_ascii_alphanumeric(),
    }
}

/// Two hexadecimal digits, upper or lower case.
fn decode(digits: &[u8]) -> Option<u8> {
    let high = char::from(*digits.first()?).to_digit(16)?;
    let low = char::from(*digits.get(1)?).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

/// Checks percent-encoded bytes for well-formed UTF-8 one at a time (RFC 3629), without a buffer on the heap.
#[derive(Default)]
struct Utf8Run {
    bytes: [u8; 4],
    len: usize,
}

impl Utf8Run {
    fn is_complete(&self) -> bool {
        self.len == 0
    }

    /// Takes the next decoded byte; false when it cannot continue or start a character.
    fn push(&mut self, byte: u8) -> bool {
        if self.len == 4 {
            return false;
        }
        self.bytes[self.len] = byte;
        self.len += 1;
        match std::str::from_utf8(&self.bytes[..self.len]) {
            Ok(text) => {
                self.len = 0;
                !text.contains(is_stand_in)
            }
            Err(error) => error.error_len().is_none(),
        }
    }
}

/// Full-width forms, and other characters that best-fit conversions (as on Windows) or NFKC turn into ASCII letters and separators;
/// blanks that are not the ASCII one, which some programs trim and some turn into it; the control characters of Latin-1.
const fn is_stand_in(character: char) -> bool {
    let is_odd_blank = !character.is_ascii() && (character.is_whitespace() || matches!(character, '\u{80}'..='\u{9f}'));
    is_odd_blank
        || matches!(
            character,
            '\u{ff01}'..='\u{ff5e}' | '\u{2024}'..='\u{2026}' | '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{fe50}'..='\u{fe6b}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_paths_pass() {
        for path in
            ["/", "/v1/login/user", "/v1/devis/", "/v1/a.b", "/v1/caf%C3%A9", "/v1/a%20b", "/v1/..a", "/v1/a:b@c"]
        {
            assert!(is_canonical(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn every_second_spelling_is_refused() {
        for path in [
            "",
            "v1",
            "//",
            "//v1",
            "/v1//x",
            "/./x",
            "/../x",
            "/x/.",
            "/x/..",
            "/%2e/x",
            "/%2E%2e/x",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a;b",
            "/a%3bb",
            "/a%00",
            "/a%0a",
            "/a%7f",
            "/a%252fb",
            "/%61",
            "/%5f",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a b",
            "/a?b",
            "/a#b",
            "/%23",
            "/%3f",
            "/\u{e9}",
            "/x%20",
            "/%20x",
            "/x%20/y",
            "/x%c2%a0",
            "/x%e3%80%80/y",
            "/x%c2%85y",
            "/x%c2%9by",
            "/a%ef%bc%8fb",
            "/%ef%bd%93ecret",
            "/a%e2%88%95b",
            "/%e2%80%a4%e2%80%a4/x",
            "/%c3",
            "/%c3x%a9",
            "/%c0%af",
            "/%ed%a0%80",
            "/%f5%80%80%80",
            "/a\u{7f}",
            "/<",
            "/\"",
            "/{x}",
            "/a|b",
        ] {
            assert!(!is_canonical(path.as_bytes()), "{path:?}");
        }
    }

    proptest! {
        /// Decoding a canonical path once never reveals structure: same segments, none of them a dot segment.
        #[test]
        fn decoding_a_canonical_path_keeps_its_segments(path in "/[a-zA-Z0-9%./;]{0,24}") {
            if is_canonical(path.as_bytes()) {
                let mut decoded = Vec::new();
                let mut rest = path.as_bytes();
                while let Some((&b, after)) = rest.split_first() {
                    if b == b'%' {
                        decoded.push(decode(after).unwrap());
                        rest = &after[2..];
                    } else {
                        decoded.push(b);
                        rest = after;
                    }
                }
                prop_assert_eq!(
                    decoded.iter().filter(|b| **b == b'/').count(),
                    path.bytes().filter(|b| *b == b'/').count()
                );
                prop_assert!(!decoded.split(|b| *b == b'/').any(|s| s == b"." || s == b".."));
            }
        }

        #[test]
        fn never_panics(path in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = is_canonical(&path);
        }
    }
}
