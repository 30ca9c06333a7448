//! One path, in its normal form: what rules decide on and what 8sens receives are the same bytes.
//!
//! Unreserved characters that came percent-encoded have one meaning (RFC 3986 section 6.2.2.2): they are decoded, once,
//! before any rule looks. What could be read in two ways is refused: repeated separators, dot segments, `\`, `;`
//! parameters, encodings of those and of `%`, control bytes, invalid UTF-8, blanks around a segment, other blanks than
//! the ASCII one, and characters that some systems turn into structure. An encoded slash is kept and reported: whether
//! it may be there is for a configured route to say, and the path then has two readings, both of them without such
//! faults.

use crate::domain::denial::Reason;
use crate::domain::request::spelling;
use std::borrow::Cow;

/// A path without a second spelling, but for `%2F` where it holds one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath<'a> {
    bytes: Cow<'a, [u8]>,
    has_encoded_slash: bool,
}

impl NormalPath<'_> {
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// True when an encoded slash gives the path two readings.
    #[must_use]
    pub const fn has_encoded_slash(&self) -> bool {
        self.has_encoded_slash
    }

    /// True when it came in this form.
    #[must_use]
    pub const fn is_as_received(&self) -> bool {
        matches!(self.bytes, Cow::Borrowed(_))
    }
}

/// Puts a path into its normal form (RFC 3986 sections 3.3 and 6.2.2.2). Only one that changes is copied.
///
/// # Errors
/// Why the path could be read in two ways.
pub fn normalise(path: &[u8]) -> Result<NormalPath<'_>, Reason> {
    if is_ordinary(path) {
        return Ok(NormalPath { bytes: Cow::Borrowed(path), has_encoded_slash: false });
    }
    let bytes = decode_unreserved(path)?;
    if !bytes.starts_with(b"/") {
        return Err(Reason::PathNotAbsolute);
    }
    let has_encoded_slash = characters(&bytes)?;
    segments(&bytes, Reading::Written).try_for_each(|(segment, is_last)| structure(segment, is_last))?;
    if has_encoded_slash {
        segments(&bytes, Reading::SlashDecoded).try_for_each(|(segment, is_last)| structure(segment, is_last))?;
    }
    Ok(NormalPath { bytes, has_encoded_slash })
}

/// True for a path that nobody has to look at twice: plain characters without dots, and no empty segment but the last.
fn is_ordinary(path: &[u8]) -> bool {
    let mut before = 0;
    path.first() == Some(&b'/')
        && path.iter().all(|byte| {
            ORDINARY[usize::from(*byte)] && !(*byte == b'/' && before == b'/') && {
                before = *byte;
                true
            }
        })
}

const ORDINARY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = is_plain(byte as u8).is_ok() && byte as u8 != b'.';
        byte += 1;
    }
    table
};

/// True when `path` is in normal form already, and has one reading.
#[must_use]
pub fn is_canonical(path: &[u8]) -> bool {
    normalise(path).is_ok_and(|normal| normal.is_as_received() && !normal.has_encoded_slash)
}

/// How an encoded slash is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As a character of a name.
    Written,
    /// As a slash.
    SlashDecoded,
}

impl Reading {
    pub const BOTH: [Self; 2] = [Self::Written, Self::SlashDecoded];
}

/// The segments of an absolute path, each with whether it is the last one.
pub fn segments(path: &[u8], reading: Reading) -> impl Iterator<Item = (&[u8], bool)> {
    let mut rest = path.strip_prefix(b"/");
    std::iter::from_fn(move || {
        let path = rest?;
        let at = match reading {
            // A segment is short.
            Reading::Written => path.iter().position(|byte| *byte == b'/'),
            Reading::SlashDecoded => {
                memchr::memchr2_iter(b'/', b'%', path).find(|at| path[*at] == b'/' || is_encoded_slash(&path[*at..]))
            }
        };
        let Some(at) = at else {
            rest = None;
            return Some((path, true));
        };
        rest = Some(&path[at + if path[at] == b'/' { 1 } else { 3 }..]);
        Some((&path[..at], false))
    })
}

/// True when a path in normal form holds an encoded slash.
#[must_use]
pub fn has_encoded_slash(path: &[u8]) -> bool {
    memchr::memchr_iter(b'%', path).any(|at| is_encoded_slash(&path[at..]))
}

fn is_encoded_slash(bytes: &[u8]) -> bool {
    matches!(bytes, [b'%', b'2', b'F' | b'f', ..])
}

/// Decodes letters, digits, `-`, `_` and `~`. An encoded dot is left for [`characters`] to refuse: too many programs
/// read paths with dots more than once.
fn decode_unreserved(path: &[u8]) -> Result<Cow<'_, [u8]>, Reason> {
    let mut normal: Option<Vec<u8>> = None;
    let mut from = 0;
    for at in memchr::memchr_iter(b'%', path) {
        let decoded = decode(&path[at + 1..]).ok_or(Reason::PathBadEscape)?;
        if decoded.is_ascii_alphanumeric() || matches!(decoded, b'-' | b'_' | b'~') {
            let normal = normal.get_or_insert_with(|| Vec::with_capacity(path.len()));
            normal.extend_from_slice(&path[from..at]);
            normal.push(decoded);
            from = at + 3;
        }
    }
    Ok(match normal {
        None => Cow::Borrowed(path),
        Some(mut normal) => {
            normal.extend_from_slice(&path[from..]);
            Cow::Owned(normal)
        }
    })
}

/// Two hexadecimal digits, upper or lower case.
fn decode(digits: &[u8]) -> Option<u8> {
    let high = char::from(*digits.first()?).to_digit(16)?;
    let low = char::from(*digits.get(1)?).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

/// Looks at each character. True when one of them is an encoded slash.
fn characters(path: &[u8]) -> Result<bool, Reason> {
    let mut has_encoded_slash = false;
    let mut utf8 = Utf8Run::default();
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let decoded = decode(after).ok_or(Reason::PathBadEscape)?;
            match decoded {
                b'/' => has_encoded_slash = true,
                _ => may_stay_encoded(decoded)?,
            }
            utf8.push(decoded)?;
            rest = &after[2..];
        } else {
            is_plain(byte)?;
            utf8.complete()?;
            rest = after;
        }
    }
    utf8.complete()?;
    Ok(has_encoded_slash)
}

/// `pchar` of RFC 3986 and the slash, without `%` and without `;`, which some servers cut a path at.
const fn is_plain(byte: u8) -> Result<(), Reason> {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' => Ok(()),
        b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':'
        | b'@' => Ok(()),
        b'\\' => Err(Reason::PathBackslash),
        b';' => Err(Reason::PathParameter),
        _ => Err(Reason::PathByte),
    }
}

/// Characters that have no other spelling than the encoded one, and that no server takes for structure.
const fn may_stay_encoded(decoded: u8) -> Result<(), Reason> {
    match decoded {
        0x00..=0x1f | 0x7f => Err(Reason::PathControl),
        b'\\' => Err(Reason::PathBackslash),
        b'.' => Err(Reason::PathEncodedDot),
        b';' => Err(Reason::PathParameter),
        b'%' => Err(Reason::PathEncodedPercent),
        b'?' | b'#' => Err(Reason::PathEncodedEnd),
        _ => Ok(()),
    }
}

/// Looks at one segment as a whole.
fn structure(segment: &[u8], is_last: bool) -> Result<(), Reason> {
    if segment.is_empty() {
        return if is_last { Ok(()) } else { Err(Reason::PathEmptySegment) };
    }
    if matches!(segment, b"." | b"..") {
        return Err(Reason::PathDotSegment);
    }
    if segment.starts_with(b"%20") || segment.ends_with(b"%20") {
        return Err(Reason::PathBlank);
    }
    if segment.contains(&b'%') && is_nothing_without_the_unseen(segment) {
        return Err(Reason::PathDotSegment);
    }
    Ok(())
}

/// True when a segment has characters that some file systems do not see, and is empty, `.` or `..` without them
/// (CVE-2014-9390).
fn is_nothing_without_the_unseen(segment: &[u8]) -> bool {
    let mut dots = 0;
    characters_of(segment).all(|character| match character {
        Some('.') => {
            dots += 1;
            dots <= 2
        }
        Some(character) => spelling::is_unseen(character),
        None => false,
    })
}

/// The characters of a path in normal form, decoded. `None` for bytes that are no character, which no such path holds.
pub fn characters_of(path: &[u8]) -> impl Iterator<Item = Option<char>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        let (&byte, after) = rest.split_first()?;
        if byte != b'%' {
            rest = after;
            return Some(byte.is_ascii().then_some(char::from(byte)));
        }
        let mut bytes = [0; 4];
        let mut len = 0;
        let mut from = rest;
        while len < 4
            && let Some((b'%', digits)) = from.split_first()
            && let Some(decoded) = decode(digits)
        {
            bytes[len] = decoded;
            len += 1;
            from = &digits[2..];
            if let Some(character) = std::str::from_utf8(&bytes[..len]).ok().and_then(|text| text.chars().next()) {
                rest = from;
                return Some(Some(character));
            }
        }
        rest = after.get(2..).unwrap_or_default();
        Some(None)
    })
}

/// Checks percent-encoded bytes for well-formed UTF-8 one at a time (RFC 3629), without a buffer on the heap.
#[derive(Default)]
struct Utf8Run {
    bytes: [u8; 4],
    len: usize,
}

impl Utf8Run {
    fn complete(&self) -> Result<(), Reason> {
        if self.len == 0 { Ok(()) } else { Err(Reason::PathNotUtf8) }
    }

    /// Takes the next decoded byte, which may continue or start a character.
    fn push(&mut self, byte: u8) -> Result<(), Reason> {
        if self.len == 4 {
            return Err(Reason::PathNotUtf8);
        }
        self.bytes[self.len] = byte;
        self.len += 1;
        match std::str::from_utf8(&self.bytes[..self.len]) {
            Ok(text) => {
                self.len = 0;
                if text.contains(spelling::reads_as_structure) { Err(Reason::PathLookalike) } else { Ok(()) }
            }
            Err(error) if error.error_len().is_none() => Ok(()),
            Err(_) => Err(Reason::PathNotUtf8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(path: &str) -> Result<String, Reason> {
        normalise(path.as_bytes()).map(|normal| String::from_utf8(normal.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn plain_paths_pass_as_they_came() {
        for path in [
            "/",
            "/v1/login/user",
            "/v1/devis/",
            "/v1/a.b",
            "/v1/caf%C3%A9",
            "/v1/a%20b",
            "/v1/..a",
            "/v1/a:b@c",
            "/a%c3%a9%21",
        ] {
            assert!(is_canonical(path.as_bytes()), "{path}");
            assert_eq!(normal(path).as_deref(), Ok(path));
        }
    }

    #[test]
    fn unreserved_characters_are_decoded_once() {
        for (path, expected) in [
            ("/REF%7E12", "/REF~12"),
            ("/%61%62%43%2d%2D%5f%5F%7e", "/abC--__~"),
            ("/v1/%6cogin/%75ser", "/v1/login/user"),
            ("/a%20%62", "/a%20b"),
            ("/%31%C3%A9%32", "/1%C3%A92"),
        ] {
            assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
            assert!(!is_canonical(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn every_second_spelling_is_refused_with_its_reason() {
        for (path, reason) in [
            ("", Reason::PathNotAbsolute),
            ("v1", Reason::PathNotAbsolute),
            ("%2Fv1", Reason::PathNotAbsolute),
            ("//", Reason::PathEmptySegment),
            ("//v1", Reason::PathEmptySegment),
            ("/v1//x", Reason::PathEmptySegment),
            ("/./x", Reason::PathDotSegment),
            ("/../x", Reason::PathDotSegment),
            ("/x/.", Reason::PathDotSegment),
            ("/x/..", Reason::PathDotSegment),
            ("/.%e2%80%8c./x", Reason::PathDotSegment),
            ("/x/%EF%BB%BF", Reason::PathDotSegment),
            ("/%2e/x", Reason::PathEncodedDot),
            ("/%2E%2e/x", Reason::PathEncodedDot),
            ("/a%5Cb", Reason::PathBackslash),
            ("/a\\b", Reason::PathBackslash),
            ("/a;b", Reason::PathParameter),
            ("/a%3bb", Reason::PathParameter),
            ("/a%00", Reason::PathControl),
            ("/a%0a", Reason::PathControl),
            ("/a%7f", Reason::PathControl),
            ("/a%252fb", Reason::PathEncodedPercent),
            ("/a%25", Reason::PathEncodedPercent),
            ("/a%", Reason::PathBadEscape),
            ("/a%2", Reason::PathBadEscape),
            ("/a%zz", Reason::PathBadEscape),
            ("/a%%361", Reason::PathBadEscape),
            ("/a%2%46b", Reason::PathBadEscape),
            ("/a%u002fb", Reason::PathBadEscape),
            ("/a b", Reason::PathByte),
            ("/a?b", Reason::PathByte),
            ("/a#b", Reason::PathByte),
            ("/%23", Reason::PathEncodedEnd),
            ("/%3f", Reason::PathEncodedEnd),
            ("/\u{e9}", Reason::PathByte),
            ("/x%20", Reason::PathBlank),
            ("/%20x", Reason::PathBlank),
            ("/x%20/y", Reason::PathBlank),
            ("/x%c2%a0", Reason::PathLookalike),
            ("/x%e3%80%80/y", Reason::PathLookalike),
            ("/x%c2%85y", Reason::PathLookalike),
            ("/x%c2%9by", Reason::PathLookalike),
            ("/a%ef%bc%8fb", Reason::PathLookalike),
            ("/%ef%bd%93ecret", Reason::PathLookalike),
            ("/a%e2%88%95b", Reason::PathLookalike),
            ("/a%e2%84%80b", Reason::PathLookalike),
            ("/suite%E2%80%A6", Reason::PathLookalike),
            ("/%e2%80%a4%e2%80%a4/x", Reason::PathLookalike),
            ("/%c3", Reason::PathNotUtf8),
            ("/%c3x%a9", Reason::PathNotUtf8),
            ("/%c3%61", Reason::PathNotUtf8),
            ("/%c0%af", Reason::PathNotUtf8),
            ("/%ed%a0%80", Reason::PathNotUtf8),
            ("/%f5%80%80%80", Reason::PathNotUtf8),
            ("/a\u{7f}", Reason::PathByte),
            ("/<", Reason::PathByte),
            ("/\"", Reason::PathByte),
            ("/{x}", Reason::PathByte),
            ("/a|b", Reason::PathByte),
        ] {
            assert_eq!(normal(path), Err(reason), "{path:?}");
        }
    }

    #[test]
    fn an_encoded_slash_is_kept_and_both_readings_are_sound() {
        for path in ["/a%2Fb", "/a%2fb", "/v1/articles/REF%2F12", "/a%2F", "/x/a%2Fb%2Fc/"] {
            let normal = normalise(path.as_bytes()).unwrap();
            assert!(normal.has_encoded_slash() && normal.is_as_received(), "{path}");
            assert!(!is_canonical(path.as_bytes()), "{path}");
            assert!(has_encoded_slash(path.as_bytes()), "{path}");
        }
        assert_eq!(normal("/%52EF%2F1%32").as_deref(), Ok("/REF%2F12"));
        for (path, reason) in [
            ("/a%2F..%2Fb", Reason::PathDotSegment),
            ("/a/..%2Fb", Reason::PathDotSegment),
            ("/a%2F.", Reason::PathDotSegment),
            ("/a%2F%2Fb", Reason::PathEmptySegment),
            ("/a/%2Fb", Reason::PathEmptySegment),
            ("/a%2F/b", Reason::PathEmptySegment),
            ("/%2Fa", Reason::PathEmptySegment),
            ("/a%2F%20b", Reason::PathBlank),
            ("/a%20%2Fb", Reason::PathBlank),
            ("/a%252Fb", Reason::PathEncodedPercent),
        ] {
            assert_eq!(normal(path), Err(reason), "{path:?}");
        }
    }

    #[test]
    fn segments_of_both_readings() {
        let all = |path: &'static str, reading| -> Vec<&str> {
            segments(path.as_bytes(), reading).map(|(segment, _)| std::str::from_utf8(segment).unwrap()).collect()
        };
        assert_eq!(all("/a%2fb%20/c/", Reading::Written), ["a%2fb%20", "c", ""]);
        assert_eq!(all("/a%2fb%20/c/", Reading::SlashDecoded), ["a", "b%20", "c", ""]);
        assert_eq!(all("/", Reading::Written), [""]);
        assert_eq!(all("x", Reading::Written), [""; 0]);
    }

    /// Percent-decodes what is well-formed.
    fn decoded(path: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        let mut rest = path;
        while let Some((&b, after)) = rest.split_first() {
            let byte = if b == b'%' { decode(after) } else { None };
            decoded.push(byte.unwrap_or(b));
            rest = if byte.is_some() { &after[2..] } else { after };
        }
        decoded
    }

    proptest! {
        /// Decoding a path of one reading once never reveals structure: same segments, none of them a dot segment.
        #[test]
        fn decoding_a_canonical_path_keeps_its_segments(path in "/[a-zA-Z0-9%./;]{0,24}") {
            if let Ok(normal) = normalise(path.as_bytes()) && !normal.has_encoded_slash() {
                let decoded = decoded(normal.as_bytes());
                prop_assert_eq!(
                    decoded.iter().filter(|b| **b == b'/').count(),
                    path.bytes().filter(|b| *b == b'/').count()
                );
                prop_assert!(!decoded.split(|b| *b == b'/').any(|s| s == b"." || s == b".."));
            }
        }

        /// The normal form is its own normal form, and means what was sent.
        #[test]
        fn normalising_twice_changes_nothing(path in "(/([a-e~]|%(2[0-9A-Fd-f]|[4-7][0-9a-fA-F]|C3%A9)){0,4}){1,4}") {
            if let Ok(normal) = normalise(path.as_bytes()) {
                let again = normalise(normal.as_bytes()).unwrap();
                prop_assert!(again.is_as_received());
                prop_assert_eq!(decoded(normal.as_bytes()), decoded(path.as_bytes()));
            }
        }

        #[test]
        fn never_panics(path in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = normalise(&path);
            let _ = characters_of(&path).count();
        }
    }
}
