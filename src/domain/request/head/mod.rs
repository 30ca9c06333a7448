//! Reading an HTTP/1.1 request head strictly, as bytes, before anything else has seen it.
//!
//! [`scan`] finds the end of a head and fills a [`RequestView`]. A head in the plainest spelling is read in one pass;
//! any other is judged byte by byte, with the fields split by `httparse`, and the two agree on every head that both
//! take. Everything that two programs could read differently is refused here, because only the raw bytes still show it:
//! Pingora's own parser escapes bad targets, accepts bare line feeds and drops `Content-Length` beside
//! `Transfer-Encoding` before a hook runs.

mod fault;

use crate::domain::denial::{Denial, DenyCode, Reason};
use crate::domain::request::grammar::{elements, is_token};
use crate::domain::request::plain;
use crate::domain::request::{FieldRole, FieldTable, Framing, RequestView, Transport};
use crate::domain::types::HttpVersion;
use httparse::{EMPTY_HEADER, Header};
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

/// Sizes that a head may reach; reaching past one is a refusal with its own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head in bytes, with its line ends.
    pub bytes: usize,
    /// The request target in bytes.
    pub uri: usize,
    /// The number of fields; at most [`MAX_FIELDS`].
    pub fields: usize,
}

/// More fields than any configuration may allow; sizes the parser's table on the stack.
pub const MAX_FIELDS: usize = 256;

/// As many fields as an ordinary request has. The table for more is laid out only when it is needed.
const FEW_FIELDS: usize = 32;

/// The version that is spoken, as a request line ends with it.
const HTTP_1_1: &[u8] = b"HTTP/1.1";

/// Where a request comes from, known before its first byte.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub peer: IpAddr,
    pub transport: Transport,
    /// HTTP/2 when what is scanned is a stream of it, written as HTTP/1.1.
    pub version: HttpVersion,
}

/// What the bytes so far amount to.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one is on the stack per head; a box would be an allocation per request")]
pub enum Scan<'a> {
    /// No end of head yet, and every limit still holds.
    Partial,
    /// A head of this many bytes, fit to be decided on.
    Complete(usize, RequestView<'a>),
    /// A head that is refused; its connection cannot be used any further.
    Refused(Denial, Fragment<'a>),
}

/// What can be said of a refused head, for its log line and the shape of its answer.
#[derive(Clone, Copy, Default)]
pub struct Fragment<'a> {
    pub method: &'a [u8],
    pub target: &'a [u8],
    /// The one key of a head that was scanned to its end: it proves nothing, and tells whose request it was.
    pub key: Option<&'a [u8]>,
}

/// Without the query, which may hold a token.
impl fmt::Debug for Fragment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = crate::domain::request::split_target(self.target).0;
        f.debug_struct("Fragment")
            .field("method", &self.method.escape_ascii())
            .field("path", &path.escape_ascii())
            .finish_non_exhaustive()
    }
}

/// Scans `bytes`, the beginning of a connection's next request. How many bytes were read at once makes no difference:
/// those past the limit of a head are never looked at. Of a complete head, `lines` are its field lines.
#[must_use]
pub fn scan<'a>(
    bytes: &'a [u8],
    limits: HeadLimits,
    table: &FieldTable,
    origin: Origin,
    lines: &mut FieldLines,
) -> Scan<'a> {
    let bytes = &bytes[..bytes.len().min(limits.bytes)];
    // Most heads are written in the plainest way.
    match plain(bytes, limits, table, origin, lines) {
        Some((len, view)) => Scan::Complete(len, view),
        None => scan_strictly(bytes, limits, table, origin, lines),
    }
}

/// Looks at everything.
fn scan_strictly<'a>(
    bytes: &'a [u8],
    limits: HeadLimits,
    table: &FieldTable,
    origin: Origin,
    lines: &mut FieldLines,
) -> Scan<'a> {
    let Some(len) = head_len(bytes) else {
        return match unfinished(bytes, limits) {
            Some(denial) => Scan::Refused(denial, fragment(bytes)),
            None => Scan::Partial,
        };
    };
    match complete(&bytes[..len], limits, table, origin) {
        Ok(view) => {
            lines.read(&bytes[..len], table);
            Scan::Complete(len, view)
        }
        Err(denial) => {
            let key = fault::sole_key(&bytes[..len], table);
            Scan::Refused(denial, Fragment { key, ..fragment(bytes) })
        }
    }
}

/// A head that is complete and written in the plainest way, in which no strict reader would find a fault. `None` for
/// everything else, good or bad.
fn plain<'a>(
    bytes: &'a [u8],
    limits: HeadLimits,
    table: &FieldTable,
    origin: Origin,
    lines: &mut FieldLines,
) -> Option<(usize, RequestView<'a>)> {
    lines.clear();
    let method_len = bytes.iter().position(|byte| !byte.is_ascii_uppercase()).filter(|len| *len > 0)?;
    let (method, rest) = bytes.split_at(method_len);
    let rest = rest.strip_prefix(b" ").filter(|rest| rest.starts_with(b"/"))?;
    let (target, rest) = rest.split_at(plain::run::<b'!'>(rest));
    if target.len() > limits.uri || !rest.starts_with(b" HTTP/1.1\r\n") {
        return None;
    }
    let mut at = method_len + 1 + target.len() + b" HTTP/1.1\r\n".len();
    let mut view = RequestView::new(method, target, origin.version, origin.peer, origin.transport);
    let mut length = None;
    while !bytes[at..].starts_with(b"\r\n") {
        let line = plain::line(&bytes[at..])?;
        let role = table.role(line.name);
        match role {
            Some(FieldRole::Host) if view.host.count() > 0 || !is_host(line.value) => return None,
            Some(FieldRole::ContentLength) if length.is_some() => return None,
            Some(FieldRole::ContentLength) => length = Some(content_length(line.value)?),
            Some(FieldRole::TransferEncoding) => return None,
            _ => {}
        }
        view.push(role, line.value);
        lines.push(at, line.name.len(), line.len, role)?;
        at += line.len;
    }
    view.framing = length.map_or(Framing::None, Framing::Length);
    let is_good = view.host.count() == 1 && view.field_count <= limits.fields;
    is_good.then_some((at + 2, view))
}

/// The length of the head with its empty line, once that line is there.
fn head_len(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// Refuses an unfinished head as soon as no further byte could save it.
fn unfinished(bytes: &[u8], limits: HeadLimits) -> Option<Denial> {
    if let Err(denial) = line_ends(bytes, true) {
        return Some(denial);
    }
    if bytes.len() < limits.bytes {
        return None;
    }
    let in_first_line = !bytes.contains(&b'\n');
    Some(Denial::because(if in_first_line { Reason::RequestLineTooLong } else { Reason::HeadTooLarge }))
}

/// The method and target of the first line as they are in `bytes`, which start with it, as far as they can be told
/// apart.
#[must_use]
pub fn fragment(bytes: &[u8]) -> Fragment<'_> {
    let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.splitn(3, |b| *b == b' ');
    Fragment { method: words.next().unwrap_or_default(), target: words.next().unwrap_or_default(), key: None }
}

/// The request line as it is handed on, and which of the `bytes` it replaces. `None` when it is what was received: this
/// target, and the version that is spoken.
#[must_use]
pub fn rewritten_line(bytes: &[u8], method: &[u8], target: &[u8]) -> Option<(Range<usize>, Vec<u8>)> {
    let end = memchr::memchr(b'\r', bytes)?;
    let line = &bytes[..end];
    let is_same = fragment(line).target == target && line.ends_with(HTTP_1_1);
    (!is_same).then(|| (0..end, [method, target, HTTP_1_1].join(&b' ')))
}

/// One field line of a head that was scanned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldLine<'a> {
    /// As it came, with its line end.
    pub line: &'a [u8],
    pub name: &'a [u8],
    /// Without the blanks around it.
    pub value: &'a [u8],
    pub role: Option<FieldRole>,
}

/// The value may be a key.
impl fmt::Debug for FieldLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldLine")
            .field("name", &self.name.escape_ascii())
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// The field lines of a head, as places in it and what each is to the gate: found once, by the scan. Used again for the
/// next head, so that an ordinary one takes no memory anew.
#[derive(Debug, Default)]
pub struct FieldLines(Vec<LineSpan>);

/// Where one line is.
#[derive(Clone, Copy, Debug)]
struct LineSpan {
    start: u32,
    /// Bytes of the name.
    name: u32,
    /// Bytes of the line with its end.
    len: u32,
    role: Option<FieldRole>,
}

impl FieldLines {
    /// The lines of a head that [`scan`] has found complete. Nothing is judged anew: what a line is, and that each has
    /// a name and one value, was settled by the scan. Of anything else, only the lines that look like fields are given.
    #[must_use]
    pub fn of(head: &[u8], table: &FieldTable) -> Self {
        let mut lines = Self::default();
        lines.read(head, table);
        lines
    }

    fn read(&mut self, head: &[u8], table: &FieldTable) {
        self.clear();
        let mut start = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
        while let Some(len) = memchr::memchr(b'\n', &head[start..]).map(|end| end + 1) {
            let line = &head[start..start + len];
            let Some(colon) = memchr::memchr(b':', line) else { return };
            if self.push(start, colon, len, table.role(&line[..colon])).is_none() {
                return;
            }
            start += len;
        }
    }

    /// `None` when no head can be so long.
    fn push(&mut self, start: usize, name: usize, len: usize, role: Option<FieldRole>) -> Option<()> {
        let [start, name, len] = [start, name, len].map(u32::try_from);
        self.0.push(LineSpan { start: start.ok()?, name: name.ok()?, len: len.ok()?, role });
        Some(())
    }

    /// Forgets them. The memory of many is given back.
    pub fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(FEW_FIELDS);
    }

    /// The lines in their order. `head` are the bytes that were scanned.
    pub fn iter<'l, 'a: 'l>(&'l self, head: &'a [u8]) -> impl Iterator<Item = FieldLine<'a>> + use<'l, 'a> {
        self.0.iter().filter_map(|span| {
            let line = head.get(span.start as usize..)?.get(..span.len as usize)?;
            let (name, value) = line.split_at_checked(span.name as usize)?;
            Some(FieldLine { line, name, value: value.get(1..)?.trim_ascii(), role: span.role })
        })
    }
}

fn complete<'a>(
    head: &'a [u8],
    limits: HeadLimits,
    table: &FieldTable,
    origin: Origin,
) -> Result<RequestView<'a>, Denial> {
    line_ends(head, false)?;
    // Lines end in CR LF, which was looked at just now.
    let end = memchr::memchr(b'\r', head).unwrap_or_default();
    let (Fragment { method, target, .. }, rest) = (request_line(head, end)?, &head[end + 2..]);
    if target.len() > limits.uri {
        return Err(Denial::because(Reason::TargetTooLong));
    }
    let mut view = RequestView::new(method, target, origin.version, origin.peer, origin.transport);
    let mut few = [EMPTY_HEADER; FEW_FIELDS];
    match httparse::parse_headers(rest, &mut few) {
        Ok(parsed) => finish(&mut view, parsed, limits, table)?,
        Err(httparse::Error::TooManyHeaders) => {
            let mut many = [EMPTY_HEADER; MAX_FIELDS];
            let parsed = httparse::parse_headers(rest, &mut many).map_err(|error| unparsable(head, error))?;
            finish(&mut view, parsed, limits, table)?;
        }
        Err(error) => return Err(unparsable(head, error)),
    }
    Ok(view)
}

fn unparsable(head: &[u8], error: httparse::Error) -> Denial {
    match error {
        httparse::Error::TooManyHeaders => Denial::because(Reason::TooManyFields),
        _ => fault::of_unparsed(head),
    }
}

/// The words of the request line, which ends at `end` (RFC 9112 section 3). One blank between them, and a version of
/// HTTP/1 from 1.1 on: a later one is answered with what is spoken here (RFC 9110 section 2.5).
fn request_line(head: &[u8], end: usize) -> Result<Fragment<'_>, Denial> {
    let mut words = head[..end].split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(fault::of_unparsed(head));
    };
    let is_target = !target.is_empty() && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    let [b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] = version else {
        return Err(fault::of_unparsed(head));
    };
    match (*major, *minor) {
        _ if !is_target || !is_token(method) => Err(fault::of_unparsed(head)),
        (b'1', b'1'..) => Ok(Fragment { method, target, key: None }),
        (b'1', _) => Err(Denial::because(Reason::Http10)),
        _ => Err(Denial::because(Reason::NotHttp1)),
    }
}

/// Fills the view from the fields, and puts its target into origin-form.
fn finish<'a>(
    view: &mut RequestView<'a>,
    parsed: httparse::Status<(usize, &[Header<'a>])>,
    limits: HeadLimits,
    table: &FieldTable,
) -> Result<(), Denial> {
    // The empty line at the end was found before.
    let httparse::Status::Complete((_, fields)) = parsed else { return Err(malformed(Reason::HeadNotParsed)) };
    if fields.len() > limits.fields {
        return Err(Denial::because(Reason::TooManyFields));
    }
    view.framing = fill(view, fields, table)?;
    if let Some((is_https, authority, rest)) = absolute_form(view.target()) {
        view.asks_for_https = is_https;
        if !is_same_host(authority, host(fields, table), if is_https { 443 } else { 80 }) {
            return Err(malformed(Reason::AuthorityNotHost));
        }
        view.set_target(origin_form(view.method, rest));
    }
    Ok(())
}

/// Splits a target in absolute-form (RFC 9112 section 3.2.2): whether its scheme is https, its authority, and what
/// follows.
fn absolute_form(target: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let colon = target.iter().position(|b| *b == b':')?;
    let scheme = &target[..colon];
    let after = target[colon..].strip_prefix(b"://")?;
    let is_https = scheme.eq_ignore_ascii_case(b"https");
    if !is_https && !scheme.eq_ignore_ascii_case(b"http") {
        return None;
    }
    let end = after.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(after.len());
    Some((is_https, &after[..end], &after[end..]))
}

/// What follows the authority, in origin-form.
fn origin_form<'a>(method: &[u8], rest: &'a [u8]) -> &'a [u8] {
    match rest {
        // RFC 9112 section 3.2.4: OPTIONS without a path asks about the server as a whole.
        b"" if method == b"OPTIONS" => b"*",
        b"" => b"/",
        rest => rest,
    }
}

/// True when an authority is the host that a Host field names. An empty port is the default one (RFC 3986 section
/// 6.2.3).
#[must_use]
pub fn is_same_host(authority: &[u8], host: &[u8], default_port: u32) -> bool {
    let (Some((name, port)), Some((other, other_port))) = (name_and_port(authority), name_and_port(host)) else {
        return false;
    };
    name.eq_ignore_ascii_case(other) && port.unwrap_or(default_port) == other_port.unwrap_or(default_port)
}

/// The value of the one Host field.
fn host<'a>(fields: &[Header<'a>], table: &FieldTable) -> &'a [u8] {
    let host = fields.iter().find(|field| table.role(field.name.as_bytes()) == Some(FieldRole::Host));
    host.map_or(b"", |field| field.value.trim_ascii())
}

/// Pushes every field into the view and settles Host and framing.
fn fill<'a>(view: &mut RequestView<'a>, fields: &[Header<'a>], table: &FieldTable) -> Result<Framing, Denial> {
    let mut hosts = 0;
    let mut length = None;
    let mut is_coded = false;
    for field in fields {
        let value = field.value.trim_ascii();
        if !value.iter().all(|b| *b == b'\t' || (*b >= 0x20 && *b != 0x7f)) {
            return Err(malformed(Reason::ControlInField));
        }
        let role = table.role(field.name.as_bytes());
        match role {
            Some(FieldRole::Host) => {
                hosts += 1;
                if !is_host(value) {
                    return Err(malformed(Reason::HostNotAHost));
                }
            }
            Some(FieldRole::ContentLength) if length.is_some() => {
                return Err(malformed(Reason::SeveralLengths));
            }
            Some(FieldRole::ContentLength) => {
                length = Some(content_length(value).ok_or_else(|| malformed(Reason::LengthNotANumber))?);
            }
            Some(FieldRole::TransferEncoding) => is_coded = true,
            _ => {}
        }
        view.push(role, value);
    }
    match hosts {
        1 => {}
        0 => return Err(malformed(Reason::HostMissing)),
        _ => return Err(malformed(Reason::SeveralHosts)),
    }
    match (length, is_coded) {
        (Some(_), true) => Err(malformed(Reason::LengthAndCoding)),
        (Some(length), false) => Ok(Framing::Length(length)),
        (None, true) => codings(fields, table),
        (None, false) => Ok(Framing::None),
    }
}

/// The framing that the transfer codings of all lines make. Where the last one is not chunked, nobody can tell where
/// the body ends (RFC 9112 section 6.3); no other than chunked is decoded here, and chunked is applied once (section
/// 6.1).
fn codings(fields: &[Header<'_>], table: &FieldTable) -> Result<Framing, Denial> {
    let lines = fields.iter().filter(|field| table.role(field.name.as_bytes()) == Some(FieldRole::TransferEncoding));
    let mut codings = elements(lines.map(|field| field.value));
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if !codings.next_back().is_some_and(is_chunked) {
        return Err(malformed(Reason::LastCodingNotChunked));
    }
    match codings.map(is_chunked).max() {
        None => Ok(Framing::Chunked),
        Some(true) => Err(malformed(Reason::ChunkedTwice)),
        Some(false) => Err(Denial::new(DenyCode::UnsupportedTransferCoding)),
    }
}

const fn malformed(reason: Reason) -> Denial {
    Denial::because(reason)
}

/// Lines end in CR LF, and neither byte stands alone (RFC 9112 section 2.2); no other control byte, no NUL. In an
/// unfinished head a CR may be the last byte.
fn line_ends(head: &[u8], unfinished: bool) -> Result<(), Denial> {
    for at in memchr::memchr3_iter(b'\r', b'\n', 0, head) {
        let reason = match head[at] {
            b'\n' if at == 0 || head[at - 1] != b'\r' => Reason::BareLf,
            b'\r' if head.get(at + 1).is_some_and(|next| *next != b'\n') => Reason::BareCr,
            b'\r' if !unfinished && at + 1 == head.len() => Reason::BareCr,
            0 => Reason::Nul,
            _ => continue,
        };
        return Err(malformed(reason).at(fault::spot(head, at)));
    }
    Ok(())
}

/// Digits only: no sign, no list, no blank (RFC 9110 section 8.6), and no zero before the number, which some read as
/// octal. At most 19 digits always fit.
#[must_use]
pub fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty()
        || (value[0] == b'0' && value.len() > 1)
        || value.len() > 19
        || !value.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// `uri-host [":" port]` without userinfo; the shape is checked, the name is not used: 8sens gets a Host of our own.
fn is_host(value: &[u8]) -> bool {
    name_and_port(value).is_some()
}

/// The parts of a host as it is written in Host or in an authority. An empty port is none (RFC 3986 section 3.2.3).
fn name_and_port(value: &[u8]) -> Option<(&[u8], Option<u32>)> {
    let is_address = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let (fits, end) = match value.strip_prefix(b"[") {
        Some(rest) => {
            let end = rest.iter().position(|b| *b == b']')?;
            (end > 1 && rest[..end].iter().all(is_address), end + 2)
        }
        None => {
            let end = value.iter().position(|b| *b == b':').unwrap_or(value.len());
            (end > 0 && value[..end].iter().all(is_name), end)
        }
    };
    let (name, port) = value.split_at(end);
    let port = match port {
        b"" | b":" => None,
        [b':', digits @ ..] if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => {
            Some(std::str::from_utf8(digits).ok()?.parse().ok()?)
        }
        _ => return None,
    };
    (fits && value.len() <= 255).then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const LIMITS: HeadLimits = HeadLimits { bytes: 512, uri: 64, fields: 8 };

    fn outcome(bytes: &[u8]) -> String {
        let table = FieldTable::new([], "x-forwarded-for");
        let origin =
            Origin { peer: Ipv4Addr::LOCALHOST.into(), transport: Transport::Trusted, version: HttpVersion::Http11 };
        match scan(bytes, LIMITS, &table, origin, &mut FieldLines::default()) {
            Scan::Partial => "partial".into(),
            Scan::Complete(len, view) => format!("{len} {:?}", view.framing),
            Scan::Refused(denial, _) => format!("{}: {}", denial.code.as_str(), denial.reason_word()),
        }
    }

    #[test]
    fn whole_heads() {
        assert_eq!(outcome(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest"), "27 None");
        assert_eq!(outcome(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n"), "48 Length(12)");
        assert_eq!(outcome(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"), "56 Chunked");
    }

    #[test]
    fn hosts() {
        for host in [
            "a",
            "A.b-c_d",
            "a:80",
            "a:",
            "[::1]:",
            "192.0.2.1:65535",
            "[::1]",
            "[2001:db8::1]:443",
            "[::ffff:192.0.2.1]",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn unfinished_heads_wait_until_nothing_can_save_them() {
        for bytes in [&b""[..], b"G", b"GET / HTTP/1.1\r\nHost: a\r\n\r", b"GET / HTTP/1.1\r"] {
            assert_eq!(outcome(bytes), "partial", "{bytes:?}");
        }
        assert!(outcome(&[b'a'; 512]).starts_with("uri_too_long"));
        let long = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 512]].concat();
        assert!(outcome(&long).starts_with("headers_too_large"));
        assert_eq!(outcome(b"GET / HTTP/1.1\n"), "malformed_request: bare LF");
        assert_eq!(outcome(b"\r\n\r\n"), "malformed_request: empty line before the request");
        assert!(outcome(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("empty line before the request"));
    }

    #[test]
    fn what_two_programs_could_read_differently_is_refused() {
        for (fields, expected) in [
            ("", "malformed_request: Host is missing"),
            ("Host: a\r\nHost: a\r\n", "malformed_request: more than one Host"),
            ("Host: a@b\r\n", "malformed_request: Host is not a host"),
            ("Host: a:b\r\n", "malformed_request: Host is not a host"),
            ("Host: a[b\r\n", "malformed_request: Host is not a host"),
            ("Host: [::1\r\n", "malformed_request: Host is not a host"),
            ("Host: [::1]a\r\n", "malformed_request: Host is not a host"),
            ("Host: a:80:\r\n", "malformed_request: Host is not a host"),
            ("Host: :\r\n", "malformed_request: Host is not a host"),
            ("Host: []\r\n", "malformed_request: Host is not a host"),
            ("Host: :80\r\n", "malformed_request: Host is not a host"),
            ("Host: a:1:2\r\n", "malformed_request: Host is not a host"),
            (
                "Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
                "malformed_request: more than one Content-Length",
            ),
            ("Host: a\r\nContent-Length: 1, 1\r\n", "malformed_request: Content-Length is not a number"),
            ("Host: a\r\nContent-Length: +1\r\n", "malformed_request: Content-Length is not a number"),
            ("Host: a\r\nContent-Length: 01\r\n", "malformed_request: Content-Length is not a number"),
            ("Host: a\r\nContent-Length: 0x1\r\n", "malformed_request: Content-Length is not a number"),
            (
                "Host: a\r\nContent-Length: 99999999999999999999\r\n",
                "malformed_request: Content-Length is not a number",
            ),
            (
                "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                "malformed_request: Content-Length beside Transfer-Encoding",
            ),
            ("Host: a\r\nTransfer-Encoding: \x0bchunked\r\n", "malformed_request: control byte in a field value"),
            ("Host : a\r\n", "malformed_request: blank before the colon"),
            ("Host: a\r\n folded\r\n", "malformed_request: field folded over two lines"),
            ("Host: a\r\nX: a\rb\r\n", "malformed_request: bare CR"),
            ("Host: a\r\nX: a\nb\r\n", "malformed_request: bare LF"),
            ("Host: a\r\nX: a\0b\r\n", "malformed_request: NUL"),
            ("Host: a\r\nX: a\x7fb\r\n", "malformed_request: control byte in a field value"),
            ("Host: a\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\nH:\r\n", "headers_too_large: too many fields"),
        ] {
            let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
            assert_eq!(outcome(head.as_bytes()), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_body_ends_where_its_last_coding_says() {
        for (codings, expected) in [
            (&["chunked"][..], "Chunked"),
            (&["CHUNKED"], "Chunked"),
            (&["gzip, chunked"], "unsupported_transfer_coding: "),
            (&["gzip", "chunked"], "unsupported_transfer_coding: "),
            (&["a;q=\"x\", chunked"], "unsupported_transfer_coding: "),
            (&[", chunked"], "unsupported_transfer_coding: "),
            (&["chunked, chunked"], "malformed_request: chunked more than once"),
            (&["chunked", "Chunked"], "malformed_request: chunked more than once"),
            (&["gzip, chunked, x, chunked"], "malformed_request: chunked more than once"),
        ] {
            assert_eq!(coded(codings), expected, "{codings:?}");
        }
        for codings in [
            &["gzip"][..],
            &["identity"],
            &[""],
            &["chunked, gzip"],
            &["chunked", "gzip"],
            &["chunked,"],
            &["chunked", ""],
            &["chunked;q=1"],
            &["\"chunked\""],
            &["xchunked"],
            &["x chunked"],
            &["a;b=\"c, chunked\""],
            &["\u{a0}chunked"],
        ] {
            assert_eq!(coded(codings), "malformed_request: last transfer coding is not chunked", "{codings:?}");
        }
    }

    fn coded(codings: &[&str]) -> String {
        let fields: String = codings.iter().map(|coding| format!("Transfer-Encoding: {coding}\r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        outcome(head.as_bytes()).trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned()
    }

    #[test]
    fn versions_and_targets() {
        let with = |version: &str| outcome(format!("GET / {version}\r\nHost: a\r\n\r\n").as_bytes());
        for version in ["HTTP/1.1", "HTTP/1.2", "HTTP/1.9"] {
            assert_eq!(with(version), "27 None", "{version}");
        }
        assert_eq!(with("HTTP/1.0"), "http_version: HTTP/1.0");
        for version in ["HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"] {
            assert_eq!(with(version), "http_version: not a version of HTTP/1", "{version}");
        }
        for version in [
            "",
            "x",
            "HTTP",
            "HTTP/",
            "HTTP/1",
            "HTTP/1.",
            "HTTP/.1",
            "HTTP/1.10",
            "HTTP/1.01",
            "HTTP/01.1",
            "HTTP/+1.1",
            "HTTP/1,1",
            "HTTP/1.1 ",
            " HTTP/1.1",
            "\tHTTP/1.1",
            "x HTTP/1.1",
            "HTTP/1.1\t",
            "http/1.1",
            "HTTPS/1.1",
            "ICY/1.1",
        ] {
            assert!(with(version).starts_with("malformed_request: "), "{version}");
        }
        for line in ["GET /", "GET / ", "GET", "GET  HTTP/1.1", " / HTTP/1.1", "G,T / HTTP/1.1", "GET /\u{7f} HTTP/1.1"]
        {
            assert!(
                outcome(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()).starts_with("malformed_request: "),
                "{line}"
            );
        }
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(64));
        assert_eq!(outcome(long.as_bytes()), "uri_too_long: target longer than its limit");
    }

    #[test]
    fn absolute_form_is_for_the_host_alone() {
        let target = |method: &str, target: &str, host: &str| {
            let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let table = FieldTable::new([], "x-forwarded-for");
            let origin = Origin {
                peer: Ipv4Addr::LOCALHOST.into(),
                transport: Transport::Trusted,
                version: HttpVersion::Http11,
            };
            match scan(head.as_bytes(), LIMITS, &table, origin, &mut FieldLines::default()) {
                Scan::Complete(_, view) => {
                    let target = String::from_utf8_lossy(view.target()).into_owned();
                    target + if view.asks_for_https { " by https" } else { "" }
                }
                Scan::Refused(denial, _) => denial.reason_word().to_owned(),
                Scan::Partial => "partial".to_owned(),
            }
        };
        assert_eq!(target("GET", "http://a/v1?x", "a"), "/v1?x");
        assert_eq!(target("GET", "HTTPS://A:80/v1", "a:80"), "/v1 by https");
        assert_eq!(target("GET", "http://a", "a"), "/");
        assert_eq!(target("OPTIONS", "http://a", "a"), "*");
        assert_eq!(target("GET", "http://a?x", "a"), "?x");
        for (whole, host) in [
            ("http://a:80/v1", "a"),
            ("http://a/v1", "A:80"),
            ("http://a:/v1", "a"),
            ("http://a/v1", "a:"),
            ("https://a:443/v1", "a:"),
            ("http://a:0080/v1", "a:80"),
            ("http://[::1]:80/v1", "[::1]"),
        ] {
            assert!(target("GET", whole, host).starts_with("/v1"), "{whole} {host}");
        }
        for other in [
            "http://b/",
            "http://a:81/",
            "http://a:443/",
            "https://a:80/",
            "http://u@a/",
            "http:///",
            "http://a.b/",
            "http://a:80:/",
        ] {
            assert_eq!(target("GET", other, "a"), "authority of the target is not the Host", "{other}");
        }
        for other in ["ftp://a/", "http:/a", "//a/", "/http://a/", "a:80"] {
            assert_eq!(target("GET", other, "a"), other);
        }
    }

    #[test]
    fn what_is_handed_on_is_http_1_1_in_origin_form() {
        let table = FieldTable::new([], "x-forwarded-for");
        let origin =
            Origin { peer: Ipv4Addr::LOCALHOST.into(), transport: Transport::Trusted, version: HttpVersion::Http11 };
        for (line, rewritten) in [
            ("GET /a?b HTTP/1.1", None),
            ("GET /a?b HTTP/1.2", Some("GET /a?b HTTP/1.1")),
            ("GET http://a/b HTTP/1.1", Some("GET /b HTTP/1.1")),
            ("OPTIONS http://a HTTP/1.9", Some("OPTIONS * HTTP/1.1")),
        ] {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            let scanned = scan(head.as_bytes(), LIMITS, &table, origin, &mut FieldLines::default());
            let Scan::Complete(_, view) = scanned else { panic!("{line}") };
            let expected = rewritten.map(|to| (0..line.len(), to.as_bytes().to_vec()));
            assert_eq!(rewritten_line(head.as_bytes(), view.method, view.target()), expected, "{line}");
        }
    }

    #[test]
    fn the_lines_of_a_scanned_head_are_there_as_they_came() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Own:\t b : c \r\nempty:\r\n\r\nbody: no\r\n";
        let table = FieldTable::new([], "x-forwarded-for");
        let found = FieldLines::of(&head[..head.len() - 10], &table);
        let lines: Vec<_> = found.iter(head).map(|field| (field.line, field.name, field.value)).collect();
        let expected: [(&[u8], &[u8], &[u8]); 3] = [
            (b"Host: a\r\n", b"Host", b"a"),
            (b"X-Own:\t b : c \r\n", b"X-Own", b"b : c"),
            (b"empty:\r\n", b"empty", b""),
        ];
        assert_eq!(lines, expected);
        for none in [&b""[..], b"GET / HTTP/1.1\r\n\r\n"] {
            assert_eq!(FieldLines::of(none, &table).iter(none).count(), 0);
        }
    }

    proptest! {
        /// Whoever goes through the lines of a head sees the fields that were decided on.
        #[test]
        fn lines_are_what_was_scanned(
            fields in proptest::collection::vec(
                ("[a-zA-Z_-]{1,9}", "[ \t]{0,2}", "[!-~é][ -~é\t]{0,9}|", "[ \t]{0,2}"),
                0..6,
            ),
        ) {
            let table = FieldTable::new([], "x-forwarded-for");
            let text: String = fields.iter().map(|(name, a, value, b)| format!("{name}:{a}{value}{b}\r\n")).collect();
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{text}\r\n");
            let (peer, version) = (Ipv4Addr::LOCALHOST.into(), HttpVersion::Http11);
            let origin = Origin { peer, transport: Transport::Trusted, version };
            let mut found = FieldLines::default();
            let scanned = scan(head.as_bytes(), LIMITS, &table, origin, &mut found);
            let Scan::Complete(len, view) = scanned else { return Ok(()) };
            let lines: Vec<_> = found.iter(&head.as_bytes()[..len]).collect();
            prop_assert_eq!(lines.len(), view.field_count);
            let whole = lines.iter().map(|field| field.line).collect::<Vec<_>>().concat();
            prop_assert_eq!(whole, format!("Host: a\r\n{text}").into_bytes());
            let mut seen = fields.iter();
            for line in &lines[1..] {
                let (name, _, value, _) = seen.next().unwrap();
                prop_assert_eq!(line.name, name.as_bytes());
                prop_assert_eq!(line.value, value.trim_ascii_end().as_bytes());
                prop_assert_eq!(line.role, table.role(line.name));
            }
        }

        /// What is read in one pass is what whoever looks at every byte reads.
        #[test]
        fn a_plain_head_has_no_second_reading(
            line in "(GET|POST|X|get|)( |  )(/|/[a-c./%?*-]{0,70}|/é|http://a/)( )(HTTP/1.1|HTTP/1.2|)(\r\n|\n|)",
            fields in proptest::collection::vec(
                ("(Host|host|Content-Length|Transfer-Encoding|api_key|Connection|X|[!-~]{0,3}|é)",
                 "(:|: |:  |:\t| :|)", "(a|a:80|12|012|chunked|close, x|[ -~]{0,9}|é|\u{7f}|\t|\r)",
                 "(\r\n|\n| \r\n|)"),
                0..10,
            ),
            end in "(\r\n|\n|)(rest)?",
        ) {
            let fields: String =
                fields.iter().map(|(name, colon, value, end)| format!("{name}{colon}{value}{end}")).collect();
            let head = format!("{line}Host: a\r\n{fields}{end}");
            let table = FieldTable::new(["x-api-key"], "x-forwarded-for");
            let (peer, version) = (Ipv4Addr::LOCALHOST.into(), HttpVersion::Http11);
            let origin = Origin { peer, transport: Transport::Trusted, version };
            let (mut lines, mut others) = (FieldLines::default(), FieldLines::default());
            let Some((len, view)) = plain(head.as_bytes(), LIMITS, &table, origin, &mut lines) else { return Ok(()) };
            let strict = scan_strictly(head.as_bytes(), LIMITS, &table, origin, &mut others);
            let Scan::Complete(strict_len, strict) = strict else { panic!("{strict:?}") };
            prop_assert_eq!(len, strict_len);
            prop_assert_eq!(format!("{view:?} {:?}", view.target()), format!("{strict:?} {:?}", strict.target()));
            let values = |view: &RequestView<'_>| [
                view.keys.iter().collect::<Vec<_>>().concat(),
                view.host.iter().collect::<Vec<_>>().concat(),
                view.connection.iter().collect::<Vec<_>>().concat(),
            ];
            prop_assert_eq!(values(&view), values(&strict));
            let head = head.as_bytes();
            prop_assert_eq!(lines.iter(head).collect::<Vec<_>>(), others.iter(head).collect::<Vec<_>>());
        }

        /// However a head is cut into reads, the verdict on the whole is the same, and no part of a good head is
        /// refused.
        #[test]
        fn no_prefix_of_a_good_head_is_refused(cut in 0usize..60) {
            let head = b"POST /v1/devis HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n";
            let cut = cut.min(head.len() - 1);
            prop_assert_eq!(outcome(&head[..cut]), "partial");
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = outcome(&bytes);
        }
    }
}
