//! The field lines of a head or of trailers, and what makes them malformed (RFC 9113 section 8).

use super::hpack::ENTRY_OVERHEAD;
use crate::domain::denial::Reason;
use crate::domain::request::grammar::is_tchar;
use crate::domain::request::head::{content_length, is_same_host};

/// Fields that belong to one connection, which HTTP/2 does not have (RFC 9113 section 8.2.2). `TE` may say that
/// trailers are taken.
const OF_A_CONNECTION: [&[u8]; 5] =
    [b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"];

/// Names longer than this are no field's, and the HTTP/2 library could not hold them.
const MAX_NAME: usize = 16 * 1024;

/// One line: a name and a value, as they came.
pub(super) type FieldLine<'a> = (&'a [u8], &'a [u8]);

/// The decoded lines of one block, as many as fit.
#[derive(Debug, Default)]
pub(super) struct FieldLines {
    bytes: Vec<u8>,
    lens: Vec<(usize, usize)>,
    /// What all of them count for, as `SETTINGS_MAX_HEADER_LIST_SIZE` does (RFC 9113 section 10.5.1).
    size: usize,
}

impl FieldLines {
    /// Counts a line, and keeps it when all so far are within `limit`.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8], limit: usize) {
        self.size = self.size.saturating_add(name.len() + value.len() + ENTRY_OVERHEAD);
        if self.size <= limit {
            self.bytes.extend_from_slice(name);
            self.bytes.extend_from_slice(value);
            self.lens.push((name.len(), value.len()));
        }
    }

    /// The size of all lines, also of those that were not kept.
    #[must_use]
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = FieldLine<'_>> {
        let mut rest = &self.bytes[..];
        self.lens.iter().map(move |(name_len, value_len)| {
            let (name, behind) = rest.split_at(*name_len);
            let (value, behind) = behind.split_at(*value_len);
            rest = behind;
            (name, value)
        })
    }
}

/// A request, whose bytes HTTP/1.1 can say: what it means is for the scanner and the rules.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub method: &'a [u8],
    pub target: &'a [u8],
    /// Without pseudo-header fields; `host` is among them.
    pub fields: Vec<FieldLine<'a>>,
}

/// A head that is no request, and what its record can say of it.
#[derive(Debug)]
pub(super) struct Malformed<'a> {
    pub reason: Reason,
    pub method: &'a [u8],
    pub target: &'a [u8],
    /// Those that are sound by themselves: one may be a key, which tells whose request it was. None of a length.
    pub fields: Vec<FieldLine<'a>>,
}

/// True for what only HTTP/2 can get wrong, which resets its stream (RFC 9113 section 8.1.1). What HTTP/1.1 has as
/// well is answered in the same words there and here.
pub(super) const fn resets(reason: Reason) -> bool {
    use Reason::{
        Http2Authority, Http2ConnectionField, Http2PseudoLate, Http2PseudoMissing, Http2PseudoRepeated,
        Http2PseudoUnknown, Http2Scheme, Http2Target, Http2UpperCase,
    };
    matches!(
        reason,
        Http2Authority
            | Http2ConnectionField
            | Http2PseudoLate
            | Http2PseudoMissing
            | Http2PseudoRepeated
            | Http2PseudoUnknown
            | Http2Scheme
            | Http2Target
            | Http2UpperCase
    )
}

/// The pseudo-header fields of a request (RFC 9113 section 8.3.1).
#[derive(Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
}

impl<'a> Pseudo<'a> {
    fn take(&mut self, (name, value): FieldLine<'a>) -> Result<(), Reason> {
        let known = match name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            _ => return Err(Reason::Http2PseudoUnknown),
        };
        if known.is_some() {
            return Err(Reason::Http2PseudoRepeated);
        }
        *known = Some(value);
        Ok(())
    }
}

/// Reads the lines of a head as a request.
///
/// # Errors
/// With the first fault, when they are none.
pub(super) fn request(lines: &FieldLines) -> Result<Head<'_>, Malformed<'_>> {
    let (mut pseudo, mut fields, mut fault) = (Pseudo::default(), Vec::new(), Ok(()));
    for line in lines.iter() {
        let sound = if line.0.starts_with(b":") {
            let placed = if fields.is_empty() { Ok(()) } else { Err(Reason::Http2PseudoLate) };
            pseudo.take(line).and(placed)
        } else {
            fields.push(line);
            field(line)
        };
        fault = fault.and(sound);
    }
    let (method, target) = (pseudo.method.unwrap_or_default(), pseudo.path.unwrap_or_default());
    let judged = fault.and_then(|()| control_data(&pseudo)).and_then(|()| settle_host(&pseudo, &mut fields));
    match judged.and_then(|()| length(&fields)) {
        Ok(()) => Ok(Head { method, target, fields }),
        Err(reason) => {
            fields.retain(|line| field(*line).is_ok() && line.0 != b"content-length");
            Err(Malformed { reason, method, target, fields })
        }
    }
}

/// True for lines that trailers may have: fields, and nothing else (RFC 9113 section 8.1).
pub(super) fn are_trailers(lines: &FieldLines) -> bool {
    lines.iter().all(|line| field(line).is_ok())
}

/// A name is a token without capitals; a value holds no control byte (RFC 9113 section 8.2.1). Blanks around a value
/// pass, as in HTTP/1.1: they are no part of it, to whoever reads it.
fn field((name, value): FieldLine<'_>) -> Result<(), Reason> {
    if name.is_empty() || name.len() > MAX_NAME || !name.iter().all(|byte| is_tchar(*byte)) {
        return Err(Reason::FieldNameByte);
    }
    if name.iter().any(u8::is_ascii_uppercase) {
        return Err(Reason::Http2UpperCase);
    }
    if OF_A_CONNECTION.contains(&name) || (name == b"te" && !value.eq_ignore_ascii_case(b"trailers")) {
        return Err(Reason::Http2ConnectionField);
    }
    if value.iter().any(|byte| is_control(*byte)) { Err(Reason::ControlInField) } else { Ok(()) }
}

const fn is_control(byte: u8) -> bool {
    byte != b'\t' && (byte < 0x20 || byte == 0x7f)
}

fn control_data(pseudo: &Pseudo<'_>) -> Result<(), Reason> {
    let method = pseudo.method.ok_or(Reason::Http2PseudoMissing)?;
    if method == b"CONNECT" {
        return Err(Reason::Connect);
    }
    if method.is_empty() || !method.iter().all(|byte| is_tchar(*byte)) {
        return Err(Reason::MethodByte);
    }
    // RFC 3986 section 3.1.
    let [first, rest @ ..] = pseudo.scheme.ok_or(Reason::Http2PseudoMissing)? else { return Err(Reason::Http2Scheme) };
    let is_of_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    if !first.is_ascii_alphabetic() || !rest.iter().all(is_of_scheme) {
        return Err(Reason::Http2Scheme);
    }
    let path = pseudo.path.ok_or(Reason::Http2PseudoMissing)?;
    if path.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(Reason::TargetByte);
    }
    if path.starts_with(b"/") || path == b"*" { Ok(()) } else { Err(Reason::Http2Target) }
}

/// The authority is the host. A Host field beside it has to name the same one; without an authority it stands alone.
fn settle_host<'a>(pseudo: &Pseudo<'a>, fields: &mut Vec<FieldLine<'a>>) -> Result<(), Reason> {
    let Some(authority) = pseudo.authority else { return Ok(()) };
    if authority.iter().any(|byte| is_control(*byte)) {
        return Err(Reason::Http2Authority);
    }
    let default_port = if pseudo.scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http")) { 80 } else { 443 };
    let mut hosts = fields.iter().filter(|(name, _)| *name == b"host").peekable();
    let is_alone = hosts.peek().is_none();
    if !hosts.all(|(_, host)| is_same_host(authority, host.trim_ascii(), default_port)) {
        return Err(Reason::AuthorityNotHost);
    }
    if is_alone {
        fields.push((b"host", authority));
    }
    Ok(())
}

/// One length at most, and a number: the HTTP/2 library compares it with the body (RFC 9113 section 8.1.1).
fn length(fields: &[FieldLine<'_>]) -> Result<(), Reason> {
    let mut lengths = fields.iter().filter(|(name, _)| *name == b"content-length");
    match (lengths.next(), lengths.next()) {
        (Some(_), Some(_)) => Err(Reason::SeveralLengths),
        (Some((_, value)), None) if content_length(value).is_none() => Err(Reason::LengthNotANumber),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "https"), (":authority", "gate.example"), (":path", "/v1/a?b=\"c\"")];

    fn lines(list: &[(&str, &str)]) -> FieldLines {
        let mut lines = FieldLines::default();
        list.iter().for_each(|(name, value)| lines.push(name.as_bytes(), value.as_bytes(), 10_000));
        lines
    }

    fn read(list: &[(&str, &str)]) -> String {
        let lines = lines(list);
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        match request(&lines) {
            Ok(head) => {
                let fields = head.fields.iter().map(|(name, value)| format!("; {}: {}", text(name), text(value)));
                format!("{} {}{}", text(head.method), text(head.target), fields.collect::<String>())
            }
            Err(malformed) => format!("{}: {}", text(malformed.method), malformed.reason.as_str()),
        }
    }

    fn with(extra: &[(&str, &str)]) -> String {
        read(&[&GOOD, extra].concat())
    }

    #[test]
    fn a_request_is_taken_as_it_came() {
        assert_eq!(with(&[]), "GET /v1/a?b=\\\"c\\\"; host: gate.example");
        assert_eq!(
            with(&[("api_key", "k"), ("te", "trailers"), ("api_key", " \tl\u{e9}"), ("content-length", "0")]),
            "GET /v1/a?b=\\\"c\\\"; api_key: k; te: trailers; api_key:  \\tl\\xc3\\xa9; content-length: 0; host: \
             gate.example"
        );
        assert_eq!(
            read(&[(":path", "*"), (":scheme", "http"), (":method", "x-Y")]),
            "x-Y *",
            "the scanner misses the host"
        );
    }

    #[test]
    fn two_hosts_are_one() {
        for host in ["gate.example", "GATE.example:443", "gate.example:", " gate.example"] {
            assert!(with(&[("host", host)]).ends_with(&format!("; host: {host}")), "{host}");
        }
        for host in ["other.example", "gate.example:80", "", "user@gate.example"] {
            assert_eq!(with(&[("host", host)]), "GET: authority of the target is not the Host", "{host}");
        }
        assert_eq!(with(&[("host", "gate.example"), ("host", "b")]), "GET: authority of the target is not the Host");
        let mut http = GOOD;
        http[1].1 = "http";
        assert!(read(&[&http[..], &[("host", "gate.example:80")]].concat()).ends_with("; host: gate.example:80"));
    }

    #[test]
    fn what_is_malformed() {
        for (extra, expected) in [
            ((":path", "/"), "GET: pseudo-header field repeated"),
            ((":status", "200"), "GET: pseudo-header field of no request"),
            ((":protocol", "websocket"), "GET: pseudo-header field of no request"),
            (("X-Upper", "y"), "GET: capitals in a field name"),
            (("x y", "z"), "GET: field name is not a token"),
            (("", "z"), "GET: field name is not a token"),
            (("x", "y\r\nz: 1"), "GET: control byte in a field value"),
            (("x", "y\0"), "GET: control byte in a field value"),
            (("x", "y\x7f"), "GET: control byte in a field value"),
            (("connection", "close"), "GET: field of a connection in HTTP/2"),
            (("te", "gzip"), "GET: field of a connection in HTTP/2"),
            (("content-length", "+1"), "GET: Content-Length is not a number"),
        ] {
            assert_eq!(with(&[extra]), expected, "{extra:?}");
        }
        assert_eq!(with(&[("content-length", "1"), ("content-length", "1")]), "GET: more than one Content-Length");
        assert_eq!(with(&[("x", "y"), (":path", "/")]), "GET: pseudo-header field repeated");
        let late = [GOOD[0], GOOD[1], GOOD[2], ("x", "y"), GOOD[3]];
        assert_eq!(read(&late), "GET: pseudo-header field behind another field");
        for at in [0, 1, 3] {
            let mut list = GOOD.to_vec();
            list.remove(at);
            assert!(read(&list).ends_with(": pseudo-header field missing"), "{list:?}");
        }
        for (at, value, expected) in [
            (0, "CONNECT", "CONNECT: CONNECT"),
            (0, "GET /", "GET /: method is not a token"),
            (1, "", "GET: scheme"),
            (1, "1x", "GET: scheme"),
            (2, "gate\r\nx: y", "GET: authority"),
            (3, "", "GET: target"),
            (3, "v1", "GET: target"),
            (3, "http://gate.example/", "GET: target"),
            (3, "/v1 HTTP/1.1\r\n", "GET: byte in the target that has to be encoded"),
        ] {
            let mut list = GOOD;
            list[at].1 = value;
            assert_eq!(read(&list), expected);
        }
    }

    #[test]
    fn trailers_are_fields_alone() {
        for (list, expected) in [
            (&[][..], true),
            (&[("x", "y"), ("grpc-status", "0")], true),
            (&[("x", "y"), (":path", "/")], false),
            (&[("X", "y")], false),
            (&[("connection", "y")], false),
            (&[("x", "\n")], false),
        ] {
            assert_eq!(are_trailers(&lines(list)), expected, "{list:?}");
        }
    }

    #[test]
    fn lines_past_the_limit_are_counted_and_not_kept() {
        let mut lines = FieldLines::default();
        (0..100).for_each(|_| lines.push(b"x", b"yz", 100));
        assert_eq!((lines.size(), lines.iter().count(), lines.bytes.len()), (3500, 2, 6));
    }
}
