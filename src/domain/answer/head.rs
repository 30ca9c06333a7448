//! Reading the head of an answer strictly, as bytes, before anything else has seen it: the twin of
//! [`head`](crate::domain::request::head) for what 8sens sends.
//!
//! [`AnswerScanner`] is given what has come so far, again and again, and looks at each byte once. What two programs
//! could read differently is refused: what a caller takes for an answer must be what 8sens meant as one, and the next
//! answer must begin where this one ends. It allocates nothing; [`Head`] is positions in the bytes that were scanned.

use crate::domain::answer::framing::{AnswerFraming, FramingFault, FramingLines};
use crate::domain::request::Method;
use crate::domain::request::grammar::{elements, is_token};
use crate::domain::request::plain;
use std::fmt;
use std::ops::Range;

/// Longest head of an answer, in bytes with its line ends.
pub const MAX_HEAD: usize = 64 * 1024;

/// Most fields of an answer.
pub const MAX_FIELDS: usize = 256;

/// Most interim answers (1xx) before the final one.
pub const MAX_INTERIM: usize = 16;

/// What every status line begins with.
const PROTOCOL: &[u8] = b"HTTP/1.";

/// What the bytes so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scan {
    /// No end of a head yet, and every limit still holds.
    Partial,
    /// An interim answer (RFC 9110 section 15.2) of so many bytes. They are to be taken away before the next scan.
    Interim(usize),
    Complete(Head),
    /// No answer that can be passed on; its connection cannot be used any further.
    Invalid(AnswerFault),
}

/// Why the head of an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFault {
    /// Not `HTTP/1.0` or `HTTP/1.1`, three digits and a reason (RFC 9112 section 4).
    StatusLine,
    /// A line that ends in LF alone.
    BareLf,
    /// No token in front of the first colon: a blank before it, no colon, a line that goes on in the next one.
    FieldName,
    /// A control byte, CR among them.
    Control,
    TooLarge,
    TooManyFields,
    /// Nobody can have asked for another protocol (RFC 9110 section 15.2.2).
    SwitchingProtocols,
    TooManyInterim,
    Framing(FramingFault),
}

impl AnswerFault {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StatusLine => "status line of the answer is not one of HTTP/1.0 or HTTP/1.1",
            Self::BareLf => "bare LF in the head of the answer",
            Self::FieldName => "field of the answer without a name and a colon",
            Self::Control => "control byte in the head of the answer",
            Self::TooLarge => "head of the answer is too large",
            Self::TooManyFields => "too many fields in the answer",
            Self::SwitchingProtocols => "answer switches protocols",
            Self::TooManyInterim => "too many interim answers",
            Self::Framing(fault) => fault.as_str(),
        }
    }
}

/// A final head, as positions in the bytes that were scanned.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the head with its empty line.
    pub len: usize,
    /// 200 to 999.
    pub status: u16,
    pub framing: AnswerFraming,
    /// 8sens means to keep the connection (RFC 9112 section 9.3). Never so for HTTP/1.0.
    pub keeps_connection: bool,
    /// Its connection has options by which other fields may be meant.
    pub nominates: bool,
    reason: Range<usize>,
    fields: Range<usize>,
}

/// Never shows fields: they may hold tokens.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("len", &self.len).field("status", &self.status).finish_non_exhaustive()
    }
}

/// One field of a head that was scanned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'b> {
    pub name: &'b [u8],
    /// Without the blanks around it.
    pub value: &'b [u8],
    /// The whole line as it came, with its end.
    pub line: &'b [u8],
}

/// Never shows the value: it may be a token.
impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field").field("name", &self.name.escape_ascii()).finish_non_exhaustive()
    }
}

impl Head {
    /// The reason phrase of the status line, which may be empty. `bytes` are those that were scanned.
    #[must_use]
    pub fn reason<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        bytes.get(self.reason.clone()).unwrap_or_default()
    }

    /// The fields in their order. `bytes` are those that were scanned.
    pub fn fields<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = Field<'b>> + Clone + use<'b> {
        fields(bytes.get(self.fields.clone()).unwrap_or_default())
    }
}

/// Scans the heads that answer one request: any interim ones, then the final one.
#[derive(Clone, Debug)]
pub struct AnswerScanner {
    /// Of the request that is answered.
    method: Method,
    interim: usize,
    /// Where the first line begins that was not looked at yet.
    line: usize,
    /// Bytes of that line in which there is no LF.
    searched: usize,
    fields: usize,
    /// What the status line said, once it was read.
    status: Option<StatusLine>,
}

#[derive(Clone, Debug)]
struct StatusLine {
    is_http11: bool,
    status: u16,
    reason: Range<usize>,
    /// Where the fields begin.
    end: usize,
}

impl AnswerScanner {
    #[must_use]
    pub const fn new(method: Method) -> Self {
        Self { method, interim: 0, line: 0, searched: 0, fields: 0, status: None }
    }

    /// Scans `bytes`, which begin as they did at the last call, and may have become more. After [`Scan::Interim`] they
    /// begin behind the bytes that it counts. Bytes past the limit of a head are never looked at.
    pub fn scan(&mut self, bytes: &[u8]) -> Scan {
        // Most answers come whole, and are written in the plainest way.
        if self.line == 0
            && self.searched == 0
            && let Some(head) = plain(&bytes[..bytes.len().min(MAX_HEAD)], self.method)
        {
            return Scan::Complete(head);
        }
        match self.lines(&bytes[..bytes.len().min(MAX_HEAD)]) {
            Ok(scan) => scan,
            Err(fault) => Scan::Invalid(fault),
        }
    }

    fn lines(&mut self, bytes: &[u8]) -> Result<Scan, AnswerFault> {
        loop {
            if self.status.is_none() && !begins_like(PROTOCOL, &bytes[self.line..]) {
                return Err(AnswerFault::StatusLine);
            }
            let from = self.line + self.searched;
            let Some(length) = memchr::memchr(b'\n', &bytes[from..]) else {
                self.searched = bytes.len() - self.line;
                return if bytes.len() < MAX_HEAD { Ok(Scan::Partial) } else { Err(AnswerFault::TooLarge) };
            };
            let end = from + length;
            let line = bytes[self.line..end].strip_suffix(b"\r").ok_or(AnswerFault::BareLf)?;
            let start = std::mem::replace(&mut self.line, end + 1);
            self.searched = 0;
            let Some(status) = &self.status else {
                self.status = Some(status_line(line, start, end + 1)?);
                continue;
            };
            if !line.is_empty() {
                self.fields += 1;
                if self.fields > MAX_FIELDS {
                    return Err(AnswerFault::TooManyFields);
                }
                check_field(line)?;
                continue;
            }
            let status = status.clone();
            return self.ended(bytes, status, start..end + 1);
        }
    }

    /// Everything up to the empty line was read.
    fn ended(&mut self, bytes: &[u8], line: StatusLine, empty: Range<usize>) -> Result<Scan, AnswerFault> {
        match line.status {
            101 => Err(AnswerFault::SwitchingProtocols),
            100..=199 if self.interim == MAX_INTERIM => Err(AnswerFault::TooManyInterim),
            100..=199 => {
                *self = Self { interim: self.interim + 1, ..Self::new(self.method) };
                Ok(Scan::Interim(empty.end))
            }
            _ => {
                let mut settling = Settling::of(&line);
                for field in fields(&bytes[line.end..empty.start]) {
                    settling.push(field.name, field.value);
                }
                Ok(Scan::Complete(settling.head(line, self.method, empty)?))
            }
        }
    }
}

/// A final head that is complete and written in the plainest way, in which no strict reader would find a fault. `None`
/// for everything else, good or bad.
fn plain(bytes: &[u8], method: Method) -> Option<Head> {
    let end = plain::run::<b' '>(bytes);
    if bytes.get(end..end + 2)? != b"\r\n" {
        return None;
    }
    let status = status_line(&bytes[..end], 0, end + 2).ok().filter(|line| line.status >= 200)?;
    let (mut at, mut settling, mut count) = (status.end, Settling::of(&status), 0);
    while !bytes[at..].starts_with(b"\r\n") {
        let line = plain::line(&bytes[at..])?;
        settling.push(line.name, line.value);
        count += 1;
        at += line.len;
    }
    if count > MAX_FIELDS {
        return None;
    }
    settling.head(status, method, at..at + 2).ok()
}

/// Whether `bytes` can still become something that begins with `beginning`.
fn begins_like(beginning: &[u8], bytes: &[u8]) -> bool {
    let len = beginning.len().min(bytes.len());
    beginning[..len] == bytes[..len]
}

/// `start` is where the line begins, `end` where the next one does.
fn status_line(line: &[u8], start: usize, end: usize) -> Result<StatusLine, AnswerFault> {
    let [minor @ (b'0' | b'1'), b' ', code @ ..] = line.strip_prefix(PROTOCOL).unwrap_or_default() else {
        return Err(AnswerFault::StatusLine);
    };
    let (digits, reason) = code.split_at_checked(3).ok_or(AnswerFault::StatusLine)?;
    // The blank is due even where there is no reason (RFC 9112 section 4); without both there is one reading.
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] => reason,
        _ => return Err(AnswerFault::StatusLine),
    };
    if digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
        return Err(AnswerFault::StatusLine);
    }
    if !reason.iter().copied().all(is_text) {
        return Err(AnswerFault::Control);
    }
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    let reason_at = start + line.len() - reason.len();
    let reason = reason_at..start + line.len();
    Ok(StatusLine { is_http11: *minor == b'1', status, reason, end })
}

fn check_field(line: &[u8]) -> Result<(), AnswerFault> {
    let colon = memchr::memchr(b':', line).ok_or(AnswerFault::FieldName)?;
    if !is_token(&line[..colon]) {
        return Err(AnswerFault::FieldName);
    }
    if line[colon + 1..].iter().copied().all(is_text) { Ok(()) } else { Err(AnswerFault::Control) }
}

/// A byte of a field value or a reason phrase (RFC 9110 section 5.5).
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// The fields of lines that were checked.
fn fields(lines: &[u8]) -> impl Iterator<Item = Field<'_>> + Clone {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let whole = rest;
        if let Some(plain::PlainLine { name, value, len }) = plain::line(whole) {
            rest = &whole[len..];
            return Some(Field { name, value, line: &whole[..len] });
        }
        let end = memchr::memchr(b'\n', whole)? + 1;
        let line = &whole[..end];
        rest = &whole[end..];
        let colon = memchr::memchr(b':', line)?;
        Some(Field { name: &line[..colon], value: line[colon + 1..].trim_ascii(), line })
    })
}

/// What the field lines of a final answer settle: its framing, and what becomes of the connection.
#[derive(Default)]
struct Settling {
    framing: FramingLines,
    closes: bool,
    nominates: bool,
}

impl Settling {
    fn of(line: &StatusLine) -> Self {
        Self { closes: !line.is_http11, ..Self::default() }
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        self.framing.push(name, value);
        if name.eq_ignore_ascii_case(b"connection") {
            for option in elements(std::iter::once(value)) {
                let closes = option.eq_ignore_ascii_case(b"close");
                self.closes |= closes;
                self.nominates |= !(closes || option.is_empty() || option.eq_ignore_ascii_case(b"keep-alive"));
            }
        }
    }

    /// The head whose empty line is there.
    fn head(self, line: StatusLine, method: Method, empty: Range<usize>) -> Result<Head, AnswerFault> {
        let framing = self.framing.settle(method, line.status, line.is_http11).map_err(AnswerFault::Framing)?;
        Ok(Head {
            len: empty.end,
            status: line.status,
            framing,
            keeps_connection: !self.closes && !framing.announced_too_much,
            nominates: self.nominates,
            reason: line.reason,
            fields: line.end..empty.start,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::answer::framing::Content;
    use proptest::prelude::*;

    /// What the bytes amount to when they are read at once; interim answers are taken away.
    fn outcome_for(method: Method, bytes: &[u8]) -> String {
        let (mut scanner, mut at) = (AnswerScanner::new(method), 0);
        loop {
            match scanner.scan(&bytes[at..]) {
                Scan::Partial => return "partial".into(),
                Scan::Interim(len) => at += len,
                Scan::Complete(head) => {
                    let reason = head.reason(&bytes[at..]).escape_ascii().to_string();
                    let keeps = if head.keeps_connection { "keeps" } else { "closes" };
                    return format!("{} {reason} {:?} {keeps}", head.status, head.framing.content);
                }
                Scan::Invalid(fault) => return format!("{fault:?}"),
            }
        }
    }

    fn outcome(text: &str) -> String {
        outcome_for(Method::Get, text.as_bytes())
    }

    fn with(fields: &str) -> String {
        outcome(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"))
    }

    #[test]
    fn whole_heads() {
        assert_eq!(with("Content-Length: 5\r\n"), "200 OK Length(5) keeps");
        assert_eq!(with("Transfer-Encoding: Chunked\r\n"), "200 OK Chunked keeps");
        assert_eq!(with("Connection: x, Close\r\nContent-Length: 0\r\n"), "200 OK Length(0) closes");
        assert_eq!(with(""), "200 OK UntilClose keeps");
        assert_eq!(outcome("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), "200 OK UntilClose closes");
        assert_eq!(outcome("HTTP/1.1 204 \r\n\r\n"), "204  None keeps");
        assert_eq!(outcome("HTTP/1.1 404\r\nContent-Length: 1\r\n\r\n"), "404  Length(1) keeps");
        assert_eq!(outcome("HTTP/1.1 999 a\tb \u{e9}\r\n\r\n"), "999 a\\tb \\xc3\\xa9 UntilClose keeps");
        assert_eq!(outcome("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n"), "204 No None closes");
    }

    #[test]
    fn an_answer_to_head_has_no_content() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(outcome_for(Method::Head, head), "200 OK None keeps");
    }

    #[test]
    fn fields_come_as_they_are() {
        let bytes = b"HTTP/1.1 200 OK\r\nX-A:  b\t\r\nContent-Length: 0\r\nx-b:\r\n\r\nrest";
        let Scan::Complete(head) = AnswerScanner::new(Method::Get).scan(bytes) else { panic!("no head") };
        let fields: Vec<_> = head.fields(bytes).map(|field| (field.name, field.value)).collect();
        assert_eq!(fields, [(&b"X-A"[..], &b"b"[..]), (b"Content-Length", b"0"), (b"x-b", b"")]);
        assert_eq!(head.fields(bytes).next().map(|field| field.line), Some(&b"X-A:  b\t\r\n"[..]));
        assert_eq!(&bytes[head.len..], b"rest");
    }

    #[test]
    fn interim_answers_are_passed_over_and_counted() {
        let interim = |count| "HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\n".repeat(count);
        let last = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(outcome(&format!("{}{last}", interim(MAX_INTERIM))), "200 OK Length(5) keeps");
        assert_eq!(outcome(&format!("{}{last}", interim(MAX_INTERIM + 1))), "TooManyInterim");
        assert_eq!(outcome(&interim(3)), "partial");
        assert_eq!(outcome("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), "SwitchingProtocols");
    }

    #[test]
    fn what_is_no_status_line_is_refused() {
        for line in [
            "garbage",
            "HTTP/1.1",
            "HTTP/1.1 ",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 099 OK",
            "HTTP/1.1 2x0 OK",
            "HTTP/1.1  200 OK",
            "HTTP/1.1\t200 OK",
            "HTTP/1.1 200\tOK",
            "HTTP/1.2 200 OK",
            "HTTP/1.10 200 OK",
            "HTTP/2.0 200 OK",
            "http/1.1 200 OK",
            " HTTP/1.1 200 OK",
            "HTTP/1.1 -20 OK",
            "",
        ] {
            assert_eq!(outcome(&format!("{line}\r\n\r\n")), "StatusLine", "{line:?}");
        }
        assert_eq!(outcome("HTTP/1.1 200 O\u{1}K\r\n\r\n"), "Control");
        assert_eq!(outcome("HTTP/1.1 200 O\rK\r\n\r\n"), "Control");
        // Nothing that follows could make it one.
        assert_eq!(outcome("<html>"), "StatusLine");
        assert_eq!(outcome("HTTP/1.1 20"), "partial");
    }

    #[test]
    fn what_two_programs_could_read_differently_is_refused() {
        for (fields, expected) in [
            ("X-A\r\n", "FieldName"),
            (": b\r\n", "FieldName"),
            ("X-A : b\r\n", "FieldName"),
            ("X A: b\r\n", "FieldName"),
            ("X-A: b\r\n c\r\n", "FieldName"),
            ("X-A: b\r\n\tc: d\r\n", "FieldName"),
            (" X-A: b\r\n", "FieldName"),
            ("X-A: b\nX-B: c\r\n", "BareLf"),
            ("X-A: b\rX-B: c\r\n", "Control"),
            ("X-A: b\r\r\n", "Control"),
            ("X-A: b\0c\r\n", "Control"),
            ("X-A: b\u{7f}c\r\n", "Control"),
            ("X-A: b\u{1b}[2J\r\n", "Control"),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", "Framing(Length)"),
            ("Content-Length: five\r\n", "Framing(Length)"),
            ("Transfer-Encoding: gzip, chunked\r\n", "Framing(Coding)"),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Framing(Coding)"),
        ] {
            assert_eq!(with(fields), expected, "{fields:?}");
        }
        assert_eq!(outcome("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "Framing(Coding)");
        assert_eq!(with(&"Content-Length: 5\r\n".repeat(20)), "200 OK Length(5) keeps");
    }

    #[test]
    fn a_head_is_bounded() {
        assert_eq!(with(&"X: y\r\n".repeat(MAX_FIELDS)), "200 OK UntilClose keeps");
        assert_eq!(with(&"X: y\r\n".repeat(MAX_FIELDS + 1)), "TooManyFields");
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(MAX_HEAD));
        assert_eq!(outcome(&endless), "TooLarge");
        assert_eq!(outcome(&endless[..MAX_HEAD - 1]), "partial");
        let (start, end) = ("HTTP/1.1 200 OK\r\nX: ", "\r\n\r\n");
        let filled = |over| format!("{start}{}{end}", "y".repeat(MAX_HEAD - start.len() - end.len() + over));
        assert_eq!(outcome(&filled(0)), "200 OK UntilClose keeps");
        assert_eq!(outcome(&filled(1)), "TooLarge");
    }

    proptest! {
        /// What is read in one pass is what whoever looks at every byte reads.
        #[test]
        fn a_plain_head_has_no_second_reading(
            line in "HTTP/1.(0|1|2) (200|204|304|101|99|2x0)( |  |)(OK|N o|é|)(\r\n|\n)",
            fields in proptest::collection::vec(
                ("(Content-Length|Transfer-Encoding|Connection|X|é|)", "(:|: |:  |:\t| :|)",
                 "(1|12|1, 1|chunked|close|keep-alive, x|[ -~]{0,9}|é|\u{7f}|\r)", "(\r\n|\n| \r\n)"),
                0..6,
            ),
            end in "(\r\n|\n|)(rest)?",
        ) {
            let fields: String =
                fields.iter().map(|(name, colon, value, end)| format!("{name}{colon}{value}{end}")).collect();
            let text = format!("{line}{fields}{end}");
            let bytes = text.as_bytes();
            let Some(head) = plain(bytes, Method::Get) else { return Ok(()) };
            let strict = AnswerScanner::new(Method::Get).lines(bytes);
            prop_assert_eq!(&strict, &Ok(Scan::Complete(head.clone())));
            for field in head.fields(bytes) {
                prop_assert!(check_field(field.line.strip_suffix(b"\r\n").unwrap()).is_ok());
                let after = &field.line[field.name.len() + 1..];
                prop_assert_eq!(after.trim_ascii(), field.value);
            }
        }

        /// However an answer is cut into reads, it is the same answer.
        #[test]
        fn cuts_do_not_matter(
            text in "(HTTP/1\\.[01] [12]0[0-4] ?[a-z]?\r?\n([a-c]{0,2} ?: ?[0-9]{0,2}\r?\n|Content-Length: \
                     5\r\n){0,3}\r\n){1,3}",
            cut in 0usize..90,
        ) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let mut scanner = AnswerScanner::new(Method::Get);
            let first = scanner.scan(&bytes[..cut]);
            let mut at_once = AnswerScanner::new(Method::Get);
            let whole = at_once.scan(bytes);
            prop_assert_eq!(if first == Scan::Partial { scanner.scan(bytes) } else { first }, whole);
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut all = b"HTTP/1.1 200 OK\r\n".to_vec();
            all.extend(bytes);
            let Scan::Complete(head) = AnswerScanner::new(Method::Get).scan(&all) else { return Ok(()) };
            prop_assert!(head.fields(&all).count() <= MAX_FIELDS && head.framing.content != Content::None);
        }
    }
}
