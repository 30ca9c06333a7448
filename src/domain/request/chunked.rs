//! The chunked transfer coding (RFC 9112 section 7.1), followed byte by byte to find where a body ends.
//!
//! Bodies of requests and of answers alike: the scanner says how many of the bytes belong to the body and which of them
//! are its data, and refuses every spelling that another program could read with another length. Whoever decodes behind
//! it sees only bodies that this one accepted.

use crate::domain::request::grammar::is_tchar;

/// Most bytes that chunk extensions, size lines and trailers of one body may take beyond its data, before the ratio
/// below counts.
const OVERHEAD_FLOOR: u64 = 8 * 1024;

/// Most overhead bytes for each byte of data, once the floor is passed: one-byte chunks without extensions cost five.
const OVERHEAD_RATIO: u64 = 16;

/// A body that cannot be followed safely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidChunk(pub &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    Size,
    /// Behind blanks that only the `;` of an extension may follow.
    BeforeExtension,
    /// Behind a `;`, and blanks.
    NameStart,
    Name,
    /// Behind a name and blanks.
    NameEnd,
    /// Behind a `=`, and blanks.
    ValueStart,
    Value,
    /// Within a quoted value.
    Quoted,
    QuotedPair,
    /// Behind the closing quote.
    ValueEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    TrailerStart,
    TrailerName,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

/// Follows one chunked body across any number of reads.
#[derive(Clone, Debug)]
pub struct ChunkScanner {
    state: State,
    /// The size being read, then the data bytes still to come.
    size: u64,
    digits: u8,
    data: u64,
    overhead: u64,
}

impl Default for ChunkScanner {
    fn default() -> Self {
        Self { state: State::SizeStart, size: 0, digits: 0, data: 0, overhead: 0 }
    }
}

impl ChunkScanner {
    /// True once the last byte of the body was seen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Follows `bytes` and returns how many of them belong to the body. Fewer than all only when the body ended.
    ///
    /// # Errors
    /// When the body is not well-formed.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<usize, InvalidChunk> {
        self.decode(bytes, |_| {})
    }

    /// Like [`Self::follow`], and gives `data` each piece of the body's data, in order; none is empty.
    ///
    /// # Errors
    /// When the body is not well-formed. The data before the fault was given.
    pub fn decode(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> Result<usize, InvalidChunk> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            if self.state == State::Data {
                let take = self.size.min((bytes.len() - at) as u64);
                self.size -= take;
                self.data += take;
                // `take` is at most the length of a slice.
                let end = at + usize::try_from(take).unwrap_or(usize::MAX);
                data(&bytes[at..end]);
                at = end;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.state = self.step(bytes[at])?;
            at += 1;
            self.overhead += 1;
            if self.overhead > OVERHEAD_FLOOR.max(self.data.saturating_mul(OVERHEAD_RATIO)) {
                return Err(InvalidChunk("more overhead than data in a chunked body"));
            }
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, InvalidChunk> {
        match self.state {
            State::SizeStart | State::Size => self.size(byte),
            State::BeforeExtension
            | State::NameStart
            | State::Name
            | State::NameEnd
            | State::ValueStart
            | State::Value
            | State::Quoted
            | State::QuotedPair
            | State::ValueEnd => extension(self.state, byte),
            State::SizeLf if byte == b'\n' => {
                self.digits = 0;
                Ok(if self.size == 0 { State::TrailerStart } else { State::Data })
            }
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::SizeStart),
            State::DataCr | State::DataLf => Err(InvalidChunk("chunk data longer than its size")),
            State::TrailerLf if byte == b'\n' => Ok(State::TrailerStart),
            State::EndLf if byte == b'\n' => Ok(State::Done),
            State::SizeLf | State::TrailerLf | State::EndLf => Err(InvalidChunk("bare CR in a chunked body")),
            State::TrailerStart | State::TrailerName | State::Trailer => trailer(self.state, byte),
            State::Data | State::Done => Ok(self.state),
        }
    }

    /// A size, up to the blanks, the extension or the line end behind it.
    fn size(&mut self, byte: u8) -> Result<State, InvalidChunk> {
        match (self.state, byte) {
            (_, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte),
            (State::Size, b';') => Ok(State::NameStart),
            (State::Size, b' ' | b'\t') => Ok(State::BeforeExtension),
            (State::Size, b'\r') => Ok(State::SizeLf),
            _ => Err(InvalidChunk("chunk size is not a number")),
        }
    }

    /// Takes one digit of a size. Fifteen digits are far beyond any body limit and cannot overflow.
    fn digit(&mut self, byte: u8) -> Result<State, InvalidChunk> {
        self.digits += 1;
        if self.digits > 15 {
            return Err(InvalidChunk("chunk size has too many digits"));
        }
        if self.digits == 1 {
            self.size = 0;
        }
        self.size = self.size * 16 + u64::from(char::from(byte).to_digit(16).unwrap_or(0));
        Ok(State::Size)
    }
}

/// Extensions with their values (RFC 9112 section 7.1.1). Blanks are taken where a `;` or a `=` has to follow, or has
/// just passed: behind the last one programs disagree about where the line ends. None of it is passed on.
const fn extension(state: State, byte: u8) -> Result<State, InvalidChunk> {
    match (state, byte) {
        (State::BeforeExtension | State::Name | State::NameEnd | State::Value | State::ValueEnd, b';') => {
            Ok(State::NameStart)
        }
        (State::Name | State::Value | State::ValueEnd, b'\r') => Ok(State::SizeLf),
        (State::BeforeExtension | State::NameStart | State::NameEnd | State::ValueStart, b' ' | b'\t') => Ok(state),
        (State::Name, b' ' | b'\t') => Ok(State::NameEnd),
        (State::Value | State::ValueEnd, b' ' | b'\t') => Ok(State::BeforeExtension),
        (State::NameStart | State::Name, byte) if is_tchar(byte) => Ok(State::Name),
        (State::Name | State::NameEnd, b'=') => Ok(State::ValueStart),
        (State::ValueStart, b'"') => Ok(State::Quoted),
        (State::ValueStart | State::Value, byte) if is_tchar(byte) => Ok(State::Value),
        (State::Quoted, b'"') => Ok(State::ValueEnd),
        (State::Quoted, b'\\') => Ok(State::QuotedPair),
        (State::Quoted | State::QuotedPair, b'\t' | 0x20..=0x7e | 0x80..=0xff) => Ok(State::Quoted),
        _ => Err(InvalidChunk("chunk extension is not well-formed")),
    }
}

/// A trailer line: name, colon, value. None of it is passed on.
const fn trailer(state: State, byte: u8) -> Result<State, InvalidChunk> {
    match (state, byte) {
        (State::TrailerStart, b'\r') => Ok(State::EndLf),
        (State::TrailerName, b':') => Ok(State::Trailer),
        (State::TrailerStart | State::TrailerName, byte) if is_tchar(byte) => Ok(State::TrailerName),
        (State::Trailer, b'\r') => Ok(State::TrailerLf),
        (State::Trailer, b'\t' | 0x20..=0x7e | 0x80..=0xff) => Ok(State::Trailer),
        _ => Err(InvalidChunk("trailer cannot be parsed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(bytes: &[u8]) -> Result<(usize, bool), &'static str> {
        let mut scanner = ChunkScanner::default();
        scanner.follow(bytes).map(|len| (len, scanner.is_done())).map_err(|e| e.0)
    }

    #[test]
    fn bodies_end_where_they_end() {
        assert_eq!(outcome(b"0\r\n\r\nGET"), Ok((5, true)));
        assert_eq!(outcome(b"3\r\nabc\r\n0\r\n\r\nrest"), Ok((13, true)));
        assert_eq!(outcome(b"A;x=1\r\n0123456789\r\n00\r\nX: y\r\n\r\n"), Ok((31, true)));
        assert_eq!(outcome(b"0;a=\"b\\\"; c\"\r\n\r\n"), Ok((16, true)));
        assert_eq!(outcome(b"3\r\nab"), Ok((5, false)));
    }

    #[test]
    fn data_comes_without_its_chunks() {
        let decoded = |bytes: &[u8], step: usize| {
            let (mut scanner, mut data) = (ChunkScanner::default(), Vec::new());
            for piece in bytes.chunks(step) {
                scanner.decode(piece, |piece| data.extend_from_slice(piece)).unwrap();
            }
            (String::from_utf8(data).unwrap(), scanner.is_done())
        };
        let body = b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n";
        for step in [1, 2, 7, body.len()] {
            assert_eq!(decoded(body, step), ("hello world".into(), true));
        }
        assert_eq!(decoded(&body[..11], 3), ("hell".into(), false));
    }

    #[test]
    fn blanks_around_the_parts_of_an_extension_mean_nothing() {
        for line in [
            "0;a",
            "0 ;a",
            "0\t ; a",
            "0;a=b",
            "0;a =b",
            "0;a= b",
            "0 ;\ta \t= \"b;c\" ; d",
            "0;a;b=c;d=\"\"",
            "0;a=\"\\\"\u{e9}\"",
            "0;!#$%&'*+-.^_`|~=x",
        ] {
            let body = format!("{line}\r\n\r\n");
            assert_eq!(outcome(body.as_bytes()), Ok((body.len(), true)), "{line:?}");
        }
    }

    #[test]
    fn an_extension_has_a_name_and_ends_with_its_line() {
        for line in [
            "0 ",
            "0\t",
            "0;",
            "0; ",
            "0 ;",
            "0;;a",
            "0;a;",
            "0;=b",
            "0; =b",
            "0;a=",
            "0;a= ",
            "0;a ",
            "0;a=b ",
            "0;a=\"b\" ",
            "0;a b",
            "0;a=b c",
            "0;a=\"b\"c",
            "0;a=b\"c\"",
            "0;a==b",
            "0;\"a\"",
            "0;a=\"b",
            "0 a",
            "0 0",
            "0;a,b",
            "0;a=\u{e9}",
        ] {
            assert!(outcome(format!("{line}\r\n\r\n").as_bytes()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn odd_spellings_are_refused() {
        for bytes in [
            &b"\r\n"[..],
            b"0x3\r\nabc",
            b"+3\r\nabc",
            b"-1\r\n",
            b" 3\r\n",
            b"3 \r\nabc",
            b"3\nabc",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n",
            b"3\r\nabc\r0",
            b"3;a\nb\r\n",
            b"3;\x01\r\n",
            b"1000000000000000\r\n",
            b"3;a=\"\r\nabc\r\n",
            b"3;a=\"\\\r\nabc\r\n",
            b"0\r\n : x\r\n\r\n",
            b"0\r\nX\r\n\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\nGET / HTTP/1.1\r\n\r\n",
            b"0\r\nX: \0\r\n\r\n",
            b"0\r\n\n",
            b";\r\n",
        ] {
            assert!(outcome(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn overhead_is_bounded() {
        let flood = [b"1;".to_vec(), vec![b'a'; 9000], b"\r\n".to_vec()].concat();
        assert!(outcome(&flood).is_err());
        let tiny_chunks = b"1\r\na\r\n".repeat(10_000);
        assert!(outcome(&tiny_chunks).is_ok());
        let trailers = [b"0\r\n".to_vec(), b"X: y\r\n".repeat(3000)].concat();
        assert!(outcome(&trailers).is_err());
    }

    proptest! {
        /// Cutting the bytes anywhere changes nothing.
        #[test]
        fn cuts_do_not_matter(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'0'), Just(b'3'), Just(b'\r'), Just(b'\n'), Just(b';'), any::<u8>()],
                0..40,
            ),
            cut in 0usize..40,
        ) {
            let cut = cut.min(bytes.len());
            let mut scanner = ChunkScanner::default();
            let pieces = scanner.follow(&bytes[..cut]).and_then(|first| {
                let rest = if first < cut { 0 } else { scanner.follow(&bytes[cut..])? };
                Ok((first + rest, scanner.is_done()))
            });
            prop_assert_eq!(pieces.map_err(|e| e.0), outcome(&bytes));
        }
    }
}
