//! What is written in the plainest way, read eight bytes at a time.
//!
//! Nothing is judged here: what is not plain is for the strict scanners to look at, byte by byte.

use super::grammar::is_tchar;

/// A field line in its plain spelling, as it begins a piece of a head.
#[derive(Clone, Copy)]
pub struct PlainLine<'b> {
    pub name: &'b [u8],
    /// Without the blanks around it. Visible ASCII and blanks.
    pub value: &'b [u8],
    /// Bytes of the line with its CR LF.
    pub len: usize,
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = is_tchar(byte as u8);
        byte += 1;
    }
    table
};

/// A byte in each of eight places.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The upper bit of each of eight bytes.
const UPPER: u64 = 0x8080_8080_8080_8080;

/// The line that `bytes` begin with. `None` when it is no field line, is not all there, or is written in another way.
#[must_use]
pub fn line(bytes: &[u8]) -> Option<PlainLine<'_>> {
    let colon = bytes.iter().position(|byte| !TOKEN[usize::from(*byte)])?;
    if colon == 0 || bytes[colon] != b':' {
        return None;
    }
    let (name, rest) = bytes.split_at(colon);
    let rest = &rest[1..];
    let end = run::<b' '>(rest);
    let is_ended = rest.get(end..end + 2)? == b"\r\n";
    is_ended.then(|| PlainLine { name, value: without_blanks(&rest[..end]), len: colon + end + 3 })
}

/// How many bytes from the first are ASCII from `FROM` on, and no DEL.
#[must_use]
pub fn run<const FROM: u8>(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // A borrow may mark a byte wrongly, but only behind one that is marked rightly.
        let below = word.wrapping_sub(EACH * FROM as u64) & !word;
        let is_del = (word ^ (EACH * 0x7f)).wrapping_sub(EACH);
        let marked = (below | word | is_del) & UPPER;
        if marked != 0 {
            return 8 * at + marked.trailing_zeros() as usize / 8;
        }
    }
    let is_other = |byte: &u8| !(FROM..0x7f).contains(byte);
    8 * words.len() + rest.iter().position(is_other).unwrap_or(rest.len())
}

/// Blanks around a value are few.
fn without_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_ends_where_it_says() {
        let read = |bytes: &'static [u8]| line(bytes).map(|line| (line.name, line.value, line.len));
        assert_eq!(read(b"A: b\r\nC"), Some((&b"A"[..], &b"b"[..], 6)));
        assert_eq!(read(b"a-Long_name:  two words  \r\n"), Some((&b"a-Long_name"[..], &b"two words"[..], 27)));
        assert_eq!(read(b"A:\r\n"), Some((&b"A"[..], &b""[..], 4)));
        for odd in [&b""[..], b"\r\n", b"A", b": b\r\n", b"A : b\r\n", b"A: b", b"A: b\r", b"A: b\n", b"A:\tb\r\n"] {
            assert!(line(odd).is_none(), "{}", odd.escape_ascii());
        }
        assert!(line(b"A: \xe9\r\n").is_none() && line(b"A: \x7f\r\n").is_none() && line(b"A: b\rc\r\n").is_none());
    }

    proptest! {
        #[test]
        fn a_run_ends_at_the_first_byte_that_is_another(
            bytes in prop::collection::vec(prop_oneof![8 => 0x20u8..0x80, 1 => any::<u8>()], 0..40),
        ) {
            let first = |from: u8| bytes.iter().position(|byte| !(from..0x7f).contains(byte)).unwrap_or(bytes.len());
            prop_assert_eq!(run::<b' '>(&bytes), first(b' '));
            prop_assert_eq!(run::<b'!'>(&bytes), first(b'!'));
        }
    }
}
