//! The scanner of answer heads: what it accepts has one reading, and how the bytes were cut into reads does not matter.
//!
//! The first byte of an input says whether a HEAD is answered; the others are what 8sens sends.

use sensgate::domain::answer::framing::Content;
use sensgate::domain::answer::head::{AnswerFault, AnswerScanner, Head, MAX_FIELDS, MAX_HEAD, MAX_INTERIM, Scan};
use sensgate::domain::request::Method;

/// Most cuts of one input that are tried: all of those of a short one.
const CUTS: usize = 200;

/// A field as it is, its value without the blanks around it.
type Field<'a> = (&'a [u8], &'a [u8]);

pub fn check(input: &[u8]) {
    let Some((first, bytes)) = input.split_first() else { return };
    let method = if first.is_ascii_uppercase() { Method::Head } else { Method::Get };
    let whole = answer(method, &[bytes.len()], bytes);
    let step = bytes.len().div_ceil(CUTS).max(1);
    let steps: Vec<usize> = (0..bytes.len()).step_by(step).chain([bytes.len()]).collect();
    assert_eq!(answer(method, &steps, bytes), whole, "read in pieces of {step}");
    for cut in &steps {
        assert_eq!(answer(method, &[*cut, bytes.len()], bytes), whole, "cut at {cut}");
    }
    match whole {
        Answer::Awaited(at) => {
            assert!(bytes.len() - at < MAX_HEAD, "nothing is waited for past the limit");
            assert!(!bytes[at..].windows(4).any(|window| window == b"\r\n\r\n"));
        }
        Answer::Final(at, head) => accepted(&bytes[at..], method, &head),
        Answer::Refused(fault) => assert!(!fault.as_str().is_empty()),
    }
}

/// What became of all the answers to one request.
#[derive(Debug, PartialEq)]
enum Answer {
    /// Where the head begins that has no end yet.
    Awaited(usize),
    /// Where it begins.
    Final(usize, Head),
    Refused(AnswerFault),
}

/// The answer after each of `lengths` bytes has come.
fn answer(method: Method, lengths: &[usize], bytes: &[u8]) -> Answer {
    let (mut scanner, mut at, mut interim) = (AnswerScanner::new(method), 0, 0);
    for length in lengths {
        loop {
            match scanner.scan(&bytes[at..(*length).max(at)]) {
                Scan::Partial => break,
                Scan::Interim(len) => {
                    interim += 1;
                    assert!(interim <= MAX_INTERIM && bytes[at..at + len].ends_with(b"\r\n\r\n"));
                    at += len;
                }
                Scan::Complete(head) => return Answer::Final(at, head),
                Scan::Invalid(fault) => return Answer::Refused(fault),
            }
        }
    }
    Answer::Awaited(at)
}

fn accepted(bytes: &[u8], method: Method, head: &Head) {
    let text = &bytes[..head.len];
    let (status, reason, fields) = tokens(text);
    assert!(text.len() <= MAX_HEAD && fields.len() <= MAX_FIELDS);
    assert_eq!((status, reason), (head.status, head.reason(bytes)));
    assert!((200..=999).contains(&status));
    let seen: Vec<Field<'_>> = head.fields(bytes).map(|field| (field.name, field.value)).collect();
    assert_eq!(seen, fields);
    let lines: Vec<u8> = head.fields(bytes).flat_map(|field| field.line).copied().collect();
    assert!(text.ends_with(&[&lines[..], b"\r\n"].concat()), "every line as it came");
    parser_agrees(text, status, &fields);
    framing(method, head, &fields, text.starts_with(b"HTTP/1.1"));
}

/// Splits a head without any parser: lines at CR LF, fields at their first colon.
fn tokens(head: &[u8]) -> (u16, &[u8], Vec<Field<'_>>) {
    let inner = head.strip_suffix(b"\r\n\r\n").expect("an accepted head ends with an empty line");
    let lines: Vec<&[u8]> = inner.split(|byte| *byte == b'\n').collect();
    let (last, others) = lines.split_last().expect("a split has a part");
    let mut lines = others.iter().map(|line| line.strip_suffix(b"\r").expect("a line feed has its CR")).chain([*last]);
    let first = lines.next().unwrap_or_default();
    let rest = first.strip_prefix(b"HTTP/1.1 ").or(first.strip_prefix(b"HTTP/1.0 ")).expect("a version and a blank");
    let (digits, reason) = rest.split_at(3);
    let status = std::str::from_utf8(digits).expect("digits").parse().expect("three digits");
    assert!(reason.is_empty() || reason[0] == b' ', "the status ends");
    let reason = reason.get(1..).unwrap_or_default();
    assert!(is_text(reason), "control byte in the reason");
    let fields = lines.map(|line| {
        let colon = line.iter().position(|byte| *byte == b':').expect("a field has a colon");
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let special = b"!#$%&'*+-.^_`|~";
        assert!(!name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || special.contains(b)), "name");
        assert!(is_text(value), "control byte in a value");
        (name, value)
    });
    (status, reason, fields.collect())
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

fn parser_agrees(head: &[u8], status: u16, fields: &[Field<'_>]) {
    let mut room = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut room);
    assert_eq!(response.parse(head), Ok(httparse::Status::Complete(head.len())));
    assert_eq!((response.code, response.version), (Some(status), Some(head[7] - b'0')));
    let parsed: Vec<_> =
        response.headers.iter().map(|field| (field.name.as_bytes(), field.value.trim_ascii())).collect();
    assert_eq!(parsed, fields);
}

/// One way to tell where the answer ends.
fn framing(method: Method, head: &Head, fields: &[Field<'_>], is_http11: bool) {
    let named = |name: &'static str| {
        let same = fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        same.map(|(_, value)| *value).collect::<Vec<_>>()
    };
    let (codings, lengths) = (named("transfer-encoding"), named("content-length"));
    let bodiless = method == Method::Head || matches!(head.status, 204 | 304);
    match head.framing.content {
        Content::None => assert!(bodiless),
        Content::Dropped => assert_eq!(head.status, 205),
        Content::Chunked => {
            assert!(is_http11 && codings.len() == 1 && codings[0].eq_ignore_ascii_case(b"chunked"));
        }
        Content::Length(length) => {
            assert!(codings.is_empty() && !lengths.is_empty());
            for element in lengths.iter().flat_map(|line| line.split(|byte| *byte == b',')) {
                let digits = std::str::from_utf8(element.trim_ascii()).expect("digits");
                assert!(digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse() == Ok(length));
            }
        }
        Content::UntilClose => assert!(codings.is_empty() && lengths.is_empty()),
    }
    let says_close = named("connection").iter().any(|line| line.eq_ignore_ascii_case(b"close"));
    assert!(!head.keeps_connection || (is_http11 && !says_close && !head.framing.announced_too_much));
    assert!(!head.framing.announced_too_much || bodiless);
}
