//! The query of a target: what may be in it, and which of its parameters carry a key or a token.
//!
//! A query goes on as it came. Nothing is decided on its bytes but the names and values of keys and tokens, and those
//! are found under every reading that some program has of a name: decoded once or twice, with `%u` escapes, as UTF-8 of
//! any length, as Latin-1, with letters that look alike, and as PHP takes them.

use crate::domain::request::spelling;

/// True when every byte of `query` may go on: no control, no blank, no `#`, and no `%00`, which ends a text to some and
/// not to others.
#[must_use]
pub fn may_go_on(query: &[u8]) -> bool {
    query.iter().all(|byte| *byte > b' ' && *byte != 0x7f && *byte != b'#')
        && memchr::memmem::find(query, b"%00").is_none()
}

/// What a parameter carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    Key,
    Token,
}

/// A parameter whose name is that of a key or a token in some reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secret<'q> {
    pub carried: Carried,
    /// What follows the first `=`, not decoded.
    pub value: &'q [u8],
    /// The name holds an encoded separator: somebody who decodes before dividing reads another value.
    pub is_divided: bool,
}

/// Every key and token of a query. `;` divides like `&`.
pub fn secrets(query: &[u8]) -> impl Iterator<Item = Secret<'_>> {
    query.split(|byte| matches!(byte, b'&' | b';')).filter_map(|pair| {
        let (name, value) = name_and_value(pair);
        let (carried, is_divided) = meaning(name)?;
        Some(Secret { carried, value, is_divided })
    })
}

/// What a parameter of this name carries.
#[must_use]
pub fn carried_by(name: &[u8]) -> Option<Carried> {
    meaning(name).map(|(carried, _)| carried)
}

/// Divides a pair at its first `=`.
#[must_use]
pub fn name_and_value(pair: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', pair) {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, b""),
    }
}

/// True when a value is encoded as RFC 3986 section 3.4 wants it, so that everybody decodes it alike.
#[must_use]
pub fn is_strictly_encoded(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some((byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (byte, after) if byte.is_ascii_alphanumeric() || b"-._~!$'()*+,=:@/?".contains(byte) => after,
            _ => return false,
        };
    }
    true
}

/// The names of keys, then those of tokens, in lower case.
const NAMES: [&[u8]; 6] = [b"api_key", b"api-key", b"apikey", b"x-api-key", b"x_api_key", b"access_token"];
const KEYS: usize = 5;

/// How far into each of [`NAMES`] a reader may be: one bit for each position, the first and the one past the end among
/// them.
type Positions = u64;

/// The bits of [`Positions`].
struct Steps {
    starts: Positions,
    ends_of_keys: Positions,
    ends_of_tokens: Positions,
    /// From which positions each ASCII character leads on.
    by: [Positions; 128],
}

static STEPS: Steps = {
    let mut steps = Steps { starts: 0, ends_of_keys: 0, ends_of_tokens: 0, by: [0; 128] };
    let mut bit: Positions = 1;
    let mut name = 0;
    while name < NAMES.len() {
        steps.starts |= bit;
        let mut at = 0;
        while at < NAMES[name].len() {
            steps.by[NAMES[name][at] as usize] |= bit;
            bit <<= 1;
            at += 1;
        }
        if name < KEYS {
            steps.ends_of_keys |= bit;
        } else {
            steps.ends_of_tokens |= bit;
        }
        bit <<= 1;
        name += 1;
    }
    steps
};

impl Steps {
    const fn ends(&self) -> Positions {
        self.ends_of_keys | self.ends_of_tokens
    }

    /// What the name is to a reader who is at one of these positions when it ends.
    const fn carried(&self, positions: Positions) -> Option<Carried> {
        if positions & self.ends_of_keys != 0 {
            Some(Carried::Key)
        } else if positions & self.ends_of_tokens != 0 {
            Some(Carried::Token)
        } else {
            None
        }
    }

    fn after(&self, positions: Positions, byte: u8) -> Positions {
        (positions & self.by[usize::from(byte & 0x7f)]) << 1
    }
}

/// What a parameter of this name carries, and whether its name is divided.
fn meaning(name: &[u8]) -> Option<(Carried, bool)> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'+' | b'.' | b'[');
    if name.iter().all(is_plain) {
        let known = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        return Some((if known < KEYS { Carried::Key } else { Carried::Token }, false));
    }
    Reader::new(name).read()
}

/// More bytes than any one character is written with: a pair of surrogates of three bytes each, each of them encoded
/// twice, and strays.
const LOOK_AHEAD: usize = 128;

/// As many `%` that encode nothing are dropped within the bytes of one character or of one escape; between characters,
/// all of them are.
const STRAYS: usize = 4;

/// Where readers of a name may be, by how many of its bytes they have read. All of them are followed at once, so that
/// the work is bounded by the length of the name, whatever the number of readings.
struct Reader<'n> {
    name: &'n [u8],
    /// Positions of the readers at the next bytes, around and around.
    positions: [Positions; LOOK_AHEAD],
    /// The same for those who have taken an encoded separator for one.
    divided: [Positions; LOOK_AHEAD],
    at: usize,
    /// Nobody has read further.
    furthest: usize,
}

impl<'n> Reader<'n> {
    fn new(name: &'n [u8]) -> Self {
        let mut positions = [0; LOOK_AHEAD];
        positions[0] = STEPS.starts;
        Self { name, positions, divided: [0; LOOK_AHEAD], at: 0, furthest: 0 }
    }

    fn read(mut self) -> Option<(Carried, bool)> {
        let mut found = None;
        while self.at <= self.furthest.min(self.name.len()) {
            let slot = self.at % LOOK_AHEAD;
            let (positions, divided) =
                (std::mem::take(&mut self.positions[slot]), std::mem::take(&mut self.divided[slot]));
            if positions | divided != 0 {
                if self.at == self.name.len() {
                    found = found.or(STEPS.carried(positions).map(|carried| (carried, false)));
                    found = found.or(STEPS.carried(divided).map(|carried| (carried, true)));
                } else {
                    let ended = self.step(positions, divided);
                    // A key is the graver find, and a divided name the graver form; neither may hide behind the other.
                    match ended {
                        Some((_, true) | (Carried::Key, _)) => return ended,
                        other => found = found.or(other),
                    }
                }
            }
            self.at += 1;
        }
        found
    }

    /// Follows everybody who has read this far over the next character, in all its readings.
    fn step(&mut self, positions: Positions, divided: Positions) -> Option<(Carried, bool)> {
        let rest = &self.name[self.at..];
        if rest[0].is_ascii() && rest[0] != b'%' {
            // The same to everybody.
            return self.take(1, &[rest[0].to_ascii_lowercase()], positions, divided);
        }
        let mut found = None;
        let at_level = [0, 1, 2].map(|level| byte_at(rest, level));
        for (_, len) in at_level.into_iter().flatten().filter(|(byte, _)| *byte == b'%') {
            // A `%` that encodes nothing is dropped by some, in the first decoding or in the second.
            self.reach(len, positions, divided);
        }
        for level in 1..=2 {
            let Some((byte, len)) = at_level[usize::from(level)] else { continue };
            if byte.is_ascii() {
                found = found.or(self.take(len, &[byte.to_ascii_lowercase()], positions, divided));
            } else {
                // Bytes that are no ASCII are dropped by some, and are letters of Latin-1 or of Windows-1252 to others.
                self.reach(len, positions, divided);
                if let Some(letters) = spelling::ascii(of_windows_1252(byte)) {
                    found = found.or(self.take(len, letters, positions, divided));
                }
                if let Some((character, len)) = utf8_at(rest, level) {
                    found = found.or(self.character(len, character, positions, divided));
                }
            }
            if let Some((character, len)) = percent_u_at(rest, level) {
                found = found.or(self.character(len, character, positions, divided));
            }
        }
        found
    }

    fn character(
        &mut self,
        len: usize,
        character: u32,
        positions: Positions,
        divided: Positions,
    ) -> Option<(Carried, bool)> {
        if character > 0x7f {
            // Dropped by those who want ASCII.
            self.reach(len, positions, divided);
        }
        let letters = char::from_u32(character).and_then(spelling::ascii)?;
        self.take(len, letters, positions, divided)
    }

    /// Somebody takes the next `len` bytes for `letters`.
    fn take(
        &mut self,
        len: usize,
        letters: &[u8],
        positions: Positions,
        divided: Positions,
    ) -> Option<(Carried, bool)> {
        let (mut positions, mut divided) = (positions, divided);
        let mut found = None;
        for letter in letters {
            let ended =
                |positions: Positions, is_divided| STEPS.carried(positions).map(|carried| (carried, is_divided));
            let step = |positions: Positions, dressed: u8| STEPS.after(positions, dressed);
            match letter {
                // Programs of C end a text there.
                0 => {
                    found = found.or(ended(divided, true)).or(ended(positions, false));
                    (positions, divided) = (0, 0);
                }
                // An array to PHP; one that is never closed is an underscore.
                b'[' => {
                    found = found.or(ended(divided, true)).or(ended(positions, false));
                    (positions, divided) = (step(positions, b'_'), step(divided, b'_'));
                }
                b'=' => {
                    found = found.or(ended(divided | positions, true));
                    (positions, divided) = (0, 0);
                }
                b'&' | b';' => {
                    found = found.or(ended(divided | positions, true));
                    (positions, divided) = (0, STEPS.starts);
                }
                // Blanks are trimmed; within a name, they and dots are underscores to PHP.
                b' ' | b'+' => {
                    let around = STEPS.starts | STEPS.ends();
                    positions = (positions & around) | step(positions, b'_');
                    divided = (divided & around) | step(divided, b'_');
                }
                b'.' => (positions, divided) = (step(positions, b'_'), step(divided, b'_')),
                control if control.is_ascii_control() => {}
                letter => (positions, divided) = (step(positions, *letter), step(divided, *letter)),
            }
        }
        self.reach(len, positions, divided);
        found
    }

    fn reach(&mut self, len: usize, positions: Positions, divided: Positions) {
        if positions | divided != 0 && len < LOOK_AHEAD {
            let slot = (self.at + len) % LOOK_AHEAD;
            self.positions[slot] |= positions;
            self.divided[slot] |= divided;
            self.furthest = self.furthest.max(self.at + len);
        }
    }
}

/// The first byte of `rest` to somebody who percent-decodes `level` times, and how many bytes it is written with. A `%`
/// that encodes nothing is itself.
fn byte_at(rest: &[u8], level: u8) -> Option<(u8, usize)> {
    if level == 0 {
        return rest.first().map(|byte| (*byte, 1));
    }
    let (byte, len) = byte_at(rest, level - 1)?;
    if byte == b'%'
        && let Some((high, high_len)) = digit_at(&rest[len..], level - 1)
        && let Some((low, low_len)) = digit_at(&rest[len + high_len..], level - 1)
    {
        return Some((high << 4 | low, len + high_len + low_len));
    }
    Some((byte, len))
}

/// A digit of an escape. What an earlier decoding has dropped is not there any more.
fn digit_at(rest: &[u8], level: u8) -> Option<(u8, usize)> {
    let (byte, len) = if level == 0 { byte_at(rest, 0)? } else { byte_after_strays(rest, level)? };
    let digit = char::from(byte).to_digit(16)?;
    Some((u8::try_from(digit).ok()?, len))
}

/// The first byte of `rest` that is no `%`, and how far it is to its end.
fn byte_after_strays(rest: &[u8], level: u8) -> Option<(u8, usize)> {
    let mut strays = 0;
    for _ in 0..=STRAYS {
        match byte_at(&rest[strays..], level)? {
            (b'%', len) => strays += len,
            (byte, len) => return Some((byte, strays + len)),
        }
    }
    None
}

/// The character that `rest` begins with to a lenient reader of UTF-8: longer forms than needed, and surrogates of
/// three bytes each.
fn utf8_at(rest: &[u8], level: u8) -> Option<(u32, usize)> {
    let (first, len) = utf8_sequence_at(rest, level)?;
    if (0xd800..0xdc00).contains(&first)
        && let Some((second @ 0xdc00..=0xdfff, more)) = utf8_sequence_at(&rest[len..], level)
    {
        return Some((joined(first, second), len + more));
    }
    Some((first, len))
}

fn utf8_sequence_at(rest: &[u8], level: u8) -> Option<(u32, usize)> {
    let (lead, mut len) = byte_at(rest, level)?;
    let continuations = match lead {
        0xc0..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0..=0xf7 => 3,
        0xf8..=0xfb => 4,
        0xfc..=0xfd => 5,
        _ => return None,
    };
    let mut character = u32::from(lead) & (0x3f >> continuations);
    for _ in 0..continuations {
        let (byte @ 0x80..=0xbf, more) = byte_after_strays(&rest[len..], level)? else { return None };
        character = character << 6 | u32::from(byte & 0x3f);
        len += more;
    }
    Some((character, len))
}

/// The character of a `%uXXXX`, as IIS takes it; two of them may be a pair of surrogates.
fn percent_u_at(rest: &[u8], level: u8) -> Option<(u32, usize)> {
    let (first, len) = percent_u_unit_at(rest, level)?;
    if (0xd800..0xdc00).contains(&first)
        && let Some((second @ 0xdc00..=0xdfff, more)) = percent_u_unit_at(&rest[len..], level)
    {
        return Some((joined(first, second), len + more));
    }
    Some((first, len))
}

fn percent_u_unit_at(rest: &[u8], level: u8) -> Option<(u32, usize)> {
    let (b'%', mut len) = byte_at(rest, level - 1)? else { return None };
    let (b'u' | b'U', more) = byte_at(&rest[len..], level - 1)? else { return None };
    len += more;
    let mut unit = 0;
    for _ in 0..4 {
        let (digit, more) = digit_at(&rest[len..], level - 1)?;
        unit = unit << 4 | u32::from(digit);
        len += more;
    }
    Some((unit, len))
}

const fn joined(high: u32, low: u32) -> u32 {
    0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
}

/// A byte that is no ASCII, as a Western Windows reads it.
const fn of_windows_1252(byte: u8) -> char {
    match byte {
        0x83 => '\u{192}',
        0x8a => '\u{160}',
        0x8c => '\u{152}',
        0x8e => '\u{17d}',
        0x9a => '\u{161}',
        0x9c => '\u{153}',
        0x9e => '\u{17e}',
        0x9f => '\u{178}',
        byte => byte as char,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(name: &str) -> Option<Carried> {
        meaning(name.as_bytes()).map(|(carried, _)| carried)
    }

    #[test]
    fn a_query_goes_on_with_what_url_libraries_leave_raw() {
        for query in [
            "",
            "a=1&b[]=%20",
            "filter={%22ref%22:\"A1\"}",
            "ids=1|2|3",
            "q=a^b`c\\d<e>f",
            "q=\u{e9}",
            "q=%",
            "q=%zz&r=5%",
        ] {
            assert!(may_go_on(query.as_bytes()), "{query}");
        }
        assert!(may_go_on(b"q=\xe9\xff"));
        for query in ["a b", "a#b", "a\tb", "a\u{7f}b", "a\0", "a=%00", "%00"] {
            assert!(!may_go_on(query.as_bytes()), "{query:?}");
        }
    }

    #[test]
    fn names_of_keys_in_every_reading() {
        for name in [
            "api_key",
            "API_KEY",
            "api-key",
            "apikey",
            "x-api-key",
            "api%5Fkey",
            "%61%70i_key",
            "a%2570i_key",
            "a%%370i_key",
            "api%255fkey",
            "%u0061pi_key",
            "api%U005fkey",
            "api%25u005fkey",
            "%uff21pi_key",
            "api_%ef%bd%8bey",
            "\u{ff41}pi_key",
            "api_\u{212a}ey",
            "ap\u{131}_key",
            "%c1%a1pi_key",
            "%e0%81%a1pi_key",
            "api_k%e9y",
            "api%ff_key",
            "api%_key",
            "%api_key",
            "api_key%",
            "ap%25i_key",
            "api_key%25",
            "+api_key",
            "%20api_key%20+",
            "%09api_key%0d%0a",
            "%c2%a0api_key",
            "api%e2%80%8b_key",
            "api.key",
            "api%2ekey",
            "api+key",
            "api[key",
            "x.api.key",
            "api_key[]",
            "api_key%5Ba%5d",
            "api_key%2500x",
            "api_key%c0%80x",
            "api%c2%ad_key",
            "%ud835%udc1api_key",
            "%f0%9d%90%9api_key",
            "%ed%a0%b5%ed%b0%9api_key",
        ] {
            assert_eq!(of(name), Some(Carried::Key), "{name}");
        }
    }

    #[test]
    fn names_of_tokens_in_every_reading() {
        for name in [
            "access_token",
            "Access_Token",
            "%61ccess%5ftoken",
            "a%63c%65ss%u005ftoken",
            "acce%df_token",
            "acce%c3%9f_token",
            "acce\u{17f}s_token",
            "access%ef%bc%bftoken",
            "access.token[x]",
        ] {
            assert_eq!(of(name), Some(Carried::Token), "{name}");
        }
    }

    #[test]
    fn other_names_are_other_names() {
        for name in [
            "",
            "%",
            "+",
            "[",
            "a",
            "my_api_key",
            "api_keys",
            "api_key_",
            "_api_key",
            "api__key",
            "[api_key]",
            "x[api_key]",
            "token",
            "access_tokens",
            "accesstoken",
            "access-token",
            "apikey2",
            "filter",
            "%7b",
            "%e2%82%ac",
            "%25",
            "a%zzpi_key",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_that_somebody_divides() {
        let all = |query: &'static str| secrets(query.as_bytes()).collect::<Vec<_>>();
        for query in [
            "x%26access_token=a",
            "access_token%3da",
            "access_token%26x=a",
            "a%26access_token%3dEVIL%26b=own",
            "a%253bAccess_Token=b",
        ] {
            assert!(matches!(all(query)[..], [Secret { carried: Carried::Token, is_divided: true, .. }]), "{query}");
        }
        assert_eq!(all("x=1%26access_token%3Da"), []);
        assert_eq!(
            all("access_token=a%26b%3Dc"),
            [Secret { carried: Carried::Token, value: b"a%26b%3Dc", is_divided: false }]
        );
        assert_eq!(all("x=access_token&y;z=api_key"), []);
        assert_eq!(all("a=1;ACCESS_TOKEN;api_key=").len(), 2);
    }

    #[test]
    fn values_are_strictly_encoded() {
        for value in ["", "abc-._~", "a%2Bb%2f==", "a+b/c?d:e@f"] {
            assert!(is_strictly_encoded(value.as_bytes()), "{value}");
        }
        for value in ["%", "a%2", "a%zz", "%u0061", "a\"b", "{a}", "\u{e9}", "a|b", "a\\b", "a[b"] {
            assert!(!is_strictly_encoded(value.as_bytes()), "{value}");
        }
    }

    proptest! {
        /// Writing any character of a name in another way changes nothing.
        #[test]
        fn a_name_is_found_however_its_characters_are_written(
            known in 0..NAMES.len(),
            ways in proptest::collection::vec(0u8..9, 12),
        ) {
            let mut name = String::new();
            for (byte, way) in NAMES[known].iter().zip(ways) {
                match way {
                    0 => name.push(char::from(*byte)),
                    1 => name.push(char::from(byte.to_ascii_uppercase())),
                    2 => name.push_str(&format!("%{byte:02x}")),
                    3 => name.push_str(&format!("%25{byte:02X}")),
                    4 => name.push_str(&format!("%{:02x}%{:02x}", 0xc0 | byte >> 6, 0x80 | byte & 0x3f)),
                    5 => name.push_str(&format!("%u{byte:04x}")),
                    6 => name.push(char::from_u32(u32::from(*byte) + 0xfee0).unwrap()),
                    7 => name.push_str(&format!("%u{:04X}", u32::from(*byte) + 0xfee0)),
                    _ => name.push_str(&format!("%25u{byte:04x}")),
                }
            }
            let expected = if known < KEYS { Carried::Key } else { Carried::Token };
            prop_assert_eq!(meaning(name.as_bytes()), Some((expected, false)), "{}", name);
        }

        #[test]
        fn never_panics(query in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = secrets(&query).count();
        }
    }
}
