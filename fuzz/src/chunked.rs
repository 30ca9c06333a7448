//! The chunked coding: the body ends where every other reader of it sees the end, however it was cut into reads.

use sensgate::domain::request::chunked::{ChunkScanner, InvalidChunk};

/// Most cuts of one input that are tried: all of those of a short one.
const CUTS: usize = 200;

pub fn check(bytes: &[u8]) {
    let whole = follow(&[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(follow(&single), whole, "byte by byte");
    let step = bytes.len().div_ceil(CUTS).max(1);
    for cut in (0..bytes.len()).step_by(step) {
        let (one, other) = bytes.split_at(cut);
        assert_eq!(follow(&[one, other]), whole, "cut at {cut}");
        assert_eq!(follow(&[one, b"", &other[..other.len() / 2], &other[other.len() / 2..]]), whole, "cut at {cut}");
    }
    match whole {
        Ok((len, true)) => ended(&bytes[..len]),
        Ok((len, false)) => assert_eq!(len, bytes.len(), "bytes that belong to nobody"),
        Err(InvalidChunk(reason)) => {
            assert!(!reason.is_empty());
            // Nothing that follows makes it good.
            assert_eq!(follow(&[bytes, b"\r\n0\r\n\r\n"]), whole);
        }
    }
}

/// Bytes of the body, and whether it ended.
fn follow(pieces: &[&[u8]]) -> Result<(usize, bool), InvalidChunk> {
    let (mut scanner, mut decoder) = (ChunkScanner::default(), ChunkScanner::default());
    let mut len = 0;
    for piece in pieces {
        let followed = scanner.follow(piece);
        let decoded = decoder.decode(piece, |data| assert!(!data.is_empty()));
        assert_eq!(followed, decoded);
        let taken = followed?;
        len += taken;
        assert!(taken == piece.len() || scanner.is_done());
    }
    Ok((len, scanner.is_done()))
}

/// Walks a whole body line by line, with a second opinion on every size.
fn ended(body: &[u8]) {
    let (mut at, mut data) = (0, 0);
    let mut decoded = Vec::new();
    ChunkScanner::default().decode(body, |piece| decoded.extend_from_slice(piece)).expect("an accepted body");
    loop {
        let size = chunk_size(&body[at..], line(&body[at..]));
        at += line(&body[at..]).len() + 2;
        if size == 0 {
            break;
        }
        assert_eq!(decoded.get(data..data + size), Some(&body[at..at + size]), "the data of each chunk, in order");
        data += size;
        at += size;
        assert_eq!(body[at..at + 2], *b"\r\n", "data of exactly its size");
        at += 2;
    }
    loop {
        let trailer = line(&body[at..]);
        at += trailer.len() + 2;
        if trailer.is_empty() {
            break;
        }
        let colon = trailer.iter().position(|byte| *byte == b':').expect("a trailer is a field");
        assert!(colon > 0 && trailer[..colon].iter().all(u8::is_ascii_graphic));
    }
    assert_eq!(decoded.len(), data);
    assert_eq!(at, body.len(), "one byte more or less than the body");
    assert!(body.len() - data <= 8192.max(16 * data), "more overhead than data");
}

/// The line without its end. Neither CR nor LF is in it alone.
fn line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')).expect("a line ends");
    assert_eq!(bytes[end..end + 2], *b"\r\n");
    &bytes[..end]
}

fn chunk_size(rest: &[u8], line: &[u8]) -> usize {
    let mut parts = line.splitn(2, |byte| *byte == b';');
    let (digits, extension) = (parts.next().unwrap_or_default(), parts.next());
    let digits = if extension.is_some() { digits.trim_ascii_end() } else { digits };
    assert!(extension.is_none_or(|extension| !extension.trim_ascii().is_empty()), "an extension without a name");
    assert!(!line.ends_with(b" ") && !line.ends_with(b"\t"), "a blank before the line end");
    assert!(matches!(digits.len(), 1..=15) && digits.iter().all(u8::is_ascii_hexdigit));
    let size = u64::from_str_radix(std::str::from_utf8(digits).expect("hexadecimal digits"), 16).expect("15 digits");
    assert_eq!(httparse::parse_chunk_size(rest), Ok(httparse::Status::Complete((line.len() + 2, size))));
    usize::try_from(size).expect("as much data as there is")
}
