//! The characters and lists of which HTTP fields are made (RFC 9110 section 5.6).

/// A character of a token (RFC 9110 section 5.6.2).
#[must_use]
pub const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// A token: the name of a field, of a method, of a connection option (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_tchar(*byte))
}

/// The elements of a list field over all its lines, without the blanks around them (RFC 9110 section 5.6.1). Empty ones
/// are among them: whether they mean nothing is for the field to say. A comma within quotes divides too, so only fields
/// without quotes are read like this.
pub fn elements<'a>(lines: impl DoubleEndedIterator<Item = &'a [u8]>) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_what_the_rfc_says() {
        for token in ["a", "X-Y_z.1", "!#$%&'*+-.^_`|~"] {
            assert!(is_token(token.as_bytes()), "{token}");
        }
        for other in ["", " ", "a b", "a,b", "\"a\"", "a;q=1", "(a)", "a@b", "a\t", "\u{e9}"] {
            assert!(!is_token(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_list_goes_over_all_lines() {
        let lines = [&b"a,b ,"[..], b"", b" c\t,d"];
        assert_eq!(elements(lines.into_iter()).collect::<Vec<_>>(), [&b"a"[..], b"b", b"", b"", b"c", b"d"]);
    }
}
