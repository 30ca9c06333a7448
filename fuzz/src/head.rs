//! The head scanner: what it accepts has one reading, and how the bytes were cut into reads does not matter.

use sensgate::domain::denial::Denial;
use sensgate::domain::request::head::{self, FieldLines, HeadLimits, Origin, Scan};
use sensgate::domain::request::{FieldRole, FieldTable, Framing, RequestView, TokenPlace, Transport};
use sensgate::domain::types::HttpVersion;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

/// Small enough that a mutation reaches every one of them, and those of the defaults.
const LIMITS: [HeadLimits; 2] =
    [HeadLimits { bytes: 160, uri: 32, fields: 5 }, HeadLimits { bytes: 32 << 10, uri: 8 << 10, fields: 100 }];

/// Most prefixes of one input that are scanned: all of those of a short one.
const PREFIXES: usize = 200;

static TABLE: LazyLock<FieldTable> = LazyLock::new(|| FieldTable::new(["x-api-key"], "x-forwarded-for"));

/// A field as it is, its value without the blanks around it.
type Field<'a> = (&'a [u8], &'a [u8]);

pub fn check(bytes: &[u8]) {
    for limits in LIMITS {
        let whole = verdict(bytes, limits);
        match &whole {
            Verdict::Partial => {
                assert!(bytes.len() < limits.bytes, "nothing is waited for past the limit");
                assert!(!bytes.windows(4).any(|window| window == b"\r\n\r\n"));
            }
            Verdict::Accepted(seen) => accepted(&bytes[..seen.len], seen, limits),
            Verdict::Refused(denial) => {
                assert!(denial.code.framing_in_doubt(), "a connection goes on after {denial:?}");
                let fragment = head::fragment(bytes);
                let line = [fragment.method, fragment.target].concat();
                assert!(!line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b' ')));
            }
        }
        let step = bytes.len().div_ceil(PREFIXES).max(1);
        let prefixes = (0..bytes.len()).step_by(step).map(|len| verdict(&bytes[..len], limits));
        let first = prefixes.into_iter().find(|verdict| *verdict != Verdict::Partial);
        assert_eq!(first.as_ref().unwrap_or(&whole), &whole, "read in pieces of {step}");
    }
}

#[derive(Debug, PartialEq)]
enum Verdict<'a> {
    Partial,
    Accepted(Seen<'a>),
    Refused(Denial),
}

/// All that a rule can see of a head.
#[derive(Debug, PartialEq)]
struct Seen<'a> {
    len: usize,
    method: &'a [u8],
    target: &'a [u8],
    framing: Framing,
    field_count: usize,
    /// How many values each role has, and those that are kept.
    roles: Vec<(FieldRole, usize, Vec<&'a [u8]>)>,
}

fn verdict(bytes: &[u8], limits: HeadLimits) -> Verdict<'_> {
    let origin =
        Origin { peer: IpAddr::V4(Ipv4Addr::LOCALHOST), transport: Transport::Trusted, version: HttpVersion::Http11 };
    match head::scan(bytes, limits, &TABLE, origin, &mut FieldLines::default()) {
        Scan::Partial => Verdict::Partial,
        Scan::Complete(len, view) => Verdict::Accepted(seen(len, &view)),
        Scan::Refused(denial, _) => Verdict::Refused(denial),
    }
}

fn seen<'a>(len: usize, view: &RequestView<'a>) -> Seen<'a> {
    let roles = vec![
        (FieldRole::Key, view.keys.count(), view.keys.iter().collect()),
        (FieldRole::KeyAlias, view.key_aliases.count(), view.key_aliases.iter().collect()),
        (
            FieldRole::Token(TokenPlace::AccessTokenHeader),
            view.access_token.count(),
            view.access_token.iter().collect(),
        ),
        (FieldRole::Token(TokenPlace::TokenHeader), view.token.count(), view.token.iter().collect()),
        (FieldRole::Authorization, view.authorization.count(), view.authorization.iter().collect()),
        (FieldRole::Cookie, view.cookies.count(), view.cookies.iter().collect()),
        (FieldRole::Connection, view.connection.count(), view.connection.iter().collect()),
        (FieldRole::Expect, view.expect.count(), view.expect.iter().collect()),
        (FieldRole::ClientAddress, view.client_address.count(), view.client_address.iter().collect()),
        (FieldRole::ForwardedProto, view.forwarded_proto.count(), view.forwarded_proto.iter().collect()),
        (FieldRole::RequestId, view.request_id.count(), view.request_id.iter().collect()),
    ];
    Seen {
        len,
        method: view.method,
        target: view.target(),
        framing: view.framing,
        field_count: view.field_count,
        roles,
    }
}

fn accepted(head: &[u8], seen: &Seen<'_>, limits: HeadLimits) {
    let (target, fields) = tokens(head, seen.method);
    assert!(head.len() <= limits.bytes && target.len() <= limits.uri && fields.len() <= limits.fields);
    assert_eq!(seen.field_count, fields.len());
    parser_agrees(head, seen.method, target, &fields);
    framing(&fields, seen.framing);
    for (role, count, kept) in &seen.roles {
        let sent: Vec<_> = fields.iter().filter(|(name, _)| TABLE.role(name) == Some(*role)).collect();
        assert_eq!(*count, sent.len(), "{role:?}");
        // The number is known even where one value is all that is ever used.
        assert!(kept.len() == sent.len() || !kept.is_empty(), "{role:?} is lost");
        // Of the proxies those that are nearest are believed, and they come last.
        let passed_over = if *role == FieldRole::ClientAddress { sent.len() - kept.len() } else { 0 };
        assert!(kept.iter().zip(&sent[passed_over..]).all(|(kept, (_, sent))| kept == sent), "{role:?}");
    }
    for (name, _) in &fields {
        lookalike_stays_here(name);
    }
    if seen.target != target {
        let scheme = target.split(|byte| *byte == b':').next().unwrap_or_default().to_ascii_lowercase();
        assert!(matches!(&scheme[..], b"http" | b"https"));
        assert!(target.ends_with(seen.target) || matches!(seen.target, b"/" | b"*"));
    }
    written_anew(seen, &fields);
}

/// Splits a head without any parser: lines at CR LF, words at one blank, fields at their first colon.
fn tokens<'a>(head: &'a [u8], method: &[u8]) -> (&'a [u8], Vec<Field<'a>>) {
    let inner = head.strip_suffix(b"\r\n\r\n").expect("an accepted head ends with an empty line");
    assert!(!inner.contains(&0), "NUL");
    let lines: Vec<&[u8]> = inner.split(|byte| *byte == b'\n').collect();
    let (last, others) = lines.split_last().expect("a split has a part");
    let without_cr = |line: &&'a [u8]| line.strip_suffix(b"\r").expect("a line feed has its CR");
    let mut lines = others.iter().map(without_cr).chain([*last]);
    let first: Vec<_> = lines.next().unwrap_or_default().split(|byte| *byte == b' ').collect();
    let [word, target, version] = first[..] else { panic!("{} words in the first line", first.len()) };
    assert_eq!(word, method);
    assert!(matches!(version, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9']), "version");
    assert!(is_token(word) && !target.is_empty() && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f));
    let fields = lines.map(|line| {
        let colon = line.iter().position(|byte| *byte == b':').expect("a field has a colon");
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        assert!(is_token(name), "field name");
        assert!(value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)), "control byte in a value");
        (name, value)
    });
    (target, fields.collect())
}

fn is_token(name: &[u8]) -> bool {
    let special = b"!#$%&'*+-.^_`|~";
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || special.contains(byte))
}

fn parser_agrees(head: &[u8], method: &[u8], target: &[u8], fields: &[Field<'_>]) {
    let mut room = [httparse::EMPTY_HEADER; head::MAX_FIELDS];
    // A target of other bytes than UTF-8 is for the rules to refuse, and a later version is one that the parser does
    // not know.
    let (shown, end) =
        (if std::str::from_utf8(target).is_ok() { target } else { b"/" }, method.len() + target.len() + 10);
    let head = [method, b" ", shown, b" HTTP/1.1", &head[end..]].concat();
    let mut request = httparse::Request::new(&mut room);
    assert_eq!(request.parse(&head), Ok(httparse::Status::Complete(head.len())));
    assert_eq!(request.method.map(str::as_bytes), Some(method));
    assert_eq!(request.path.map(str::as_bytes), Some(shown));
    assert_eq!(request.version, Some(1));
    let parsed: Vec<_> =
        request.headers.iter().map(|field| (field.name.as_bytes(), field.value.trim_ascii())).collect();
    assert_eq!(parsed, fields);
}

/// One Host, and one way to tell where the body ends.
fn framing(fields: &[Field<'_>], framing: Framing) {
    let named = |name: &'static str| {
        let same = fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        same.map(|(_, value)| *value).collect::<Vec<_>>()
    };
    assert_eq!(named("host").len(), 1);
    match (&named("content-length")[..], &named("transfer-encoding")[..], framing) {
        ([], [], Framing::None) => {}
        ([length], [], Framing::Length(number)) => assert_eq!(number.to_string().as_bytes(), *length),
        ([], [coding], Framing::Chunked) => assert!(coding.eq_ignore_ascii_case(b"chunked")),
        other => panic!("{other:?}"),
    }
}

/// A name that some program takes for one that matters is that very name, or its field goes no further.
fn lookalike_stays_here(name: &[u8]) {
    let folded: Vec<u8> =
        name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() }).collect();
    let matters: [&[u8]; 10] = [
        b"host",
        b"api_key",
        b"x_api_key",
        b"access_token",
        b"authorization",
        b"content_length",
        b"transfer_encoding",
        b"connection",
        b"x_forwarded_for",
        b"x_original_url",
    ];
    if matters.contains(&&folded[..]) {
        let role = TABLE.role(name).expect("a name that matters has a role");
        let exact = name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding");
        assert_eq!(role.is_forwarded(), exact, "{role:?}");
    }
}

/// A head made of what was read is read as the same.
fn written_anew(seen: &Seen<'_>, fields: &[Field<'_>]) {
    let mut head = [seen.method, b" ", seen.target, b" HTTP/1.1\r\n"].concat();
    for (name, value) in fields {
        head.extend([name, &b": "[..], value, b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    let limits = HeadLimits { bytes: usize::MAX, uri: usize::MAX, fields: head::MAX_FIELDS };
    // A target without a path is refused later; there is no first line that it could be written in.
    if seen.target.is_empty() {
        return;
    }
    match verdict(&head, limits) {
        Verdict::Accepted(again) => assert_eq!(Seen { len: seen.len, ..again }, *seen),
        other => panic!("{other:?}"),
    }
}
