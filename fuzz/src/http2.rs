//! The front of HTTP/2: whatever a caller sends behind its preface, however it is cut, the library gets whole frames of
//! fields that it can hold, written without a table and within their bounds.

use http::{HeaderName, HeaderValue};
use sensgate::proxy::http2::front::Front;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest list of fields, and what a stand-in may add to it.
const MAX_LIST: usize = 2_000;
const OVERHEAD: usize = 512;

const HEADER_LEN: usize = 9;
const MAX_FRAME: usize = 16_384;
const HEADERS: u8 = 1;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// Most cuts of one input that are tried.
const CUTS: usize = 50;

pub fn check(bytes: &[u8]) {
    let whole = follow(&[PREFACE, bytes]);
    let single: Vec<&[u8]> = std::iter::once(PREFACE).chain(bytes.chunks(1)).collect();
    assert_eq!(follow(&single), whole, "byte by byte");
    let step = bytes.len().div_ceil(CUTS).max(1);
    for cut in (0..bytes.len()).step_by(step) {
        let (one, other) = bytes.split_at(cut);
        assert_eq!(follow(&[&[PREFACE, one].concat(), other]), whole, "cut at {cut}");
    }
    let (passed, _) = whole;
    let mut rest = passed.strip_prefix(PREFACE).expect("the preface passes");
    while let Some(header) = rest.first_chunk::<HEADER_LEN>() {
        let [a, b, c, kind, flags, ..] = *header;
        let len = HEADER_LEN + u32::from_be_bytes([0, a, b, c]) as usize;
        if kind == HEADERS {
            rest = block(rest, flags);
            continue;
        }
        assert!(!matches!(kind, CONTINUATION | PUSH_PROMISE), "a piece without its beginning");
        rest = rest.get(len..).unwrap_or_default();
    }
}

/// What went on, and whether the connection ended.
fn follow(pieces: &[&[u8]]) -> (Vec<u8>, Option<u32>) {
    let mut front = Front::new(MAX_LIST);
    let mut passed = Vec::new();
    for piece in pieces {
        passed.extend(front.pass(piece).unwrap_or_else(|| piece.to_vec()));
    }
    (passed, front.breach().map(u32::from))
}

/// Puts one block together and looks at it; what follows it.
fn block(mut rest: &[u8], first_flags: u8) -> &[u8] {
    assert_eq!(first_flags & PADDED, 0);
    let mut fields = Vec::new();
    let mut kind = HEADERS;
    loop {
        let header = rest.first_chunk::<HEADER_LEN>().expect("a block is whole");
        let len = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        assert_eq!((header[3], len <= MAX_FRAME), (kind, true));
        let (frame, behind) = rest.split_at(HEADER_LEN + len);
        let priority = if kind == HEADERS && first_flags & PRIORITY != 0 { 5 } else { 0 };
        fields.extend_from_slice(&frame[HEADER_LEN + priority..]);
        (rest, kind) = (behind, CONTINUATION);
        if header[4] & END_HEADERS != 0 {
            break;
        }
    }
    lines(&fields);
    rest
}

/// A request, no trailers, or trailers that the library refuses.
fn lines(block: &[u8]) {
    // A decoder that knows no other block: nothing may depend on a table.
    let lines = loona_hpack::Decoder::new().decode(block).expect("the compression is sound");
    let shown = lines.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>();
    match shown[..] {
        [] | [(b"x", b""), (b":method", b"POST")] => {}
        [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/"), (b"stands-for", _), ..] => {
            let size: usize = shown.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
            assert!(size <= MAX_LIST + OVERHEAD, "{size} bytes of fields");
            for (name, value) in &shown[3..] {
                HeaderName::from_lowercase(name).expect("a name that the library holds");
                HeaderValue::from_bytes(value).expect("a value that the library holds");
            }
        }
        _ => panic!("neither a request nor trailers: {}", block.escape_ascii()),
    }
}
