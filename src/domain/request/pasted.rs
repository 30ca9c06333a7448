//! What is wrong with a key or a token as it was sent, when copying it is what went wrong.
//!
//! Secrets travel through messages, documents and forms on their way into a shop, and come out with blanks, quotation
//! marks or the name of a scheme around them.

/// What keeps a value from being a key or a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Empty,
    TooLong,
    /// The word Bearer, or another scheme, comes before it.
    Scheme,
    Quotes,
    /// Blanks that can be seen or not: spaces, no-break and zero-width ones, a byte-order mark.
    Blank,
    /// Any other byte that is not visible ASCII.
    NotVisible,
}

/// Schemes that are pasted along with a value.
const SCHEMES: [&[u8]; 6] = [b"bearer", b"apikey", b"api-key", b"api_key", b"token", b"basic"];

/// Quotation marks as word processors set them: “ ” „ ‘ ’ ‚ « » ‹ ›.
const QUOTES: [&str; 10] = [
    "\u{201c}", "\u{201d}", "\u{201e}", "\u{2018}", "\u{2019}", "\u{201a}", "\u{ab}", "\u{bb}", "\u{2039}", "\u{203a}",
];

/// Why `value` is no key and no token; `None` for 1 to `max` bytes of visible ASCII.
#[must_use]
pub fn fault(value: &[u8], max: usize) -> Option<Fault> {
    if value.is_empty() {
        return Some(Fault::Empty);
    }
    if value.len() > max {
        return Some(Fault::TooLong);
    }
    // Judged whole, without a way out: a loop that may end early is a slow one.
    let is_graphic = value.iter().fold(true, |graphic, b| graphic & b.is_ascii_graphic());
    (!is_graphic).then(|| of_invisible(value))
}

fn of_invisible(value: &[u8]) -> Fault {
    if has_scheme(value) {
        return Fault::Scheme;
    }
    let Ok(text) = std::str::from_utf8(value) else {
        // A no-break space in Latin-1.
        return if value.contains(&0xa0) { Fault::Blank } else { Fault::NotVisible };
    };
    if QUOTES.iter().any(|quote| text.contains(quote)) || is_quoted(text.trim_matches(is_blank).as_bytes()) {
        return Fault::Quotes;
    }
    if text.contains(is_blank) { Fault::Blank } else { Fault::NotVisible }
}

/// True when a value is between quotation marks of ASCII.
#[must_use]
pub fn is_quoted(value: &[u8]) -> bool {
    matches!(value, [b'"', .., b'"'] | [b'\'', .., b'\''] | [b'`', .., b'`'])
}

fn has_scheme(value: &[u8]) -> bool {
    let end = value.iter().position(|b| !b.is_ascii_alphabetic() && !matches!(b, b'-' | b'_'));
    let (word, rest) = value.split_at(end.unwrap_or(value.len()));
    let is_apart = rest.first().is_some_and(|b| !b.is_ascii_graphic() || *b == b':');
    is_apart && SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Blanks, and characters of no width that look like nothing at all.
fn is_blank(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}' | '\u{180e}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_way_of_copying_wrongly_is_told_apart() {
        for (value, expected) in [
            ("", Some(Fault::Empty)),
            ("0123456789", Some(Fault::TooLong)),
            ("a-key", None),
            ("Bearer", None),
            ("Bearer k", Some(Fault::Scheme)),
            ("bearer\u{a0}k", Some(Fault::Scheme)),
            ("api_key: k", Some(Fault::Scheme)),
            ("a key", Some(Fault::Blank)),
            ("\u{a0}key", Some(Fault::Blank)),
            ("key\u{200b}", Some(Fault::Blank)),
            ("\u{feff}key", Some(Fault::Blank)),
            ("k\u{202f}y", Some(Fault::Blank)),
            ("\u{ab}k\u{bb}", Some(Fault::Quotes)),
            ("\u{201c}k\u{201d}", Some(Fault::Quotes)),
            ("\"k\" ", Some(Fault::Quotes)),
            ("cl\u{e9}", Some(Fault::NotVisible)),
            ("k\t\u{7f}", Some(Fault::Blank)),
        ] {
            let max = if expected == Some(Fault::TooLong) { 9 } else { 64 };
            assert_eq!(fault(value.as_bytes(), max), expected, "{value:?}");
        }
        assert_eq!(fault(b"\xa0key", 9), Some(Fault::Blank));
        assert_eq!(fault(b"\xffkey", 9), Some(Fault::NotVisible));
    }

    proptest! {
        #[test]
        fn visible_ascii_of_a_good_length_and_nothing_else_passes(
            value in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let good = (1..=32).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
            prop_assert_eq!(fault(&value, 32).is_none(), good);
        }
    }
}
