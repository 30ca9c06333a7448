//! Trailers with a pseudo-header, which are a fault of their stream (RFC 9113 section 8.1).
//!
//! The HTTP/2 library takes them for trailers without it, and the request for complete. It does refuse a pseudo-header
//! behind a field. So trailers are given a field of no meaning in front, before the library sees them; they end here
//! anyway. The field is a literal that names no table (RFC 7541 section 6.2.2), so the compression goes on as the
//! caller means it.

use super::layout::{HEADER_LEN, PREFACE_LEN, TYPE_HEADERS};

/// A frame that is longer is refused by the library, which never allowed more (RFC 9113 section 4.2).
const MAX_FRAME: usize = 16_384;

const TYPE_CONTINUATION: u8 = 9;

/// Flags of HEADERS (RFC 9113 section 6.2).
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// Bytes of a HEADERS frame that say its priority.
const PRIORITY_LEN: usize = 5;

/// `x` without a value: a literal field without indexing, with a new name.
const FIELD: [u8; 4] = [0, 1, b'x', 0];

/// Follows the frames of one caller, however its bytes are cut, and marks trailers.
#[derive(Debug)]
pub struct Trailers {
    /// Bytes of the preface or of a payload that are still to come and pass as they are.
    skip: usize,
    /// The beginning of a frame that cannot pass yet: of its header, or of trailers.
    held: Vec<u8>,
    /// The highest stream that was opened. A head of a lower one is its trailers.
    opened: u32,
}

impl Trailers {
    pub const fn new() -> Self {
        Self { skip: PREFACE_LEN as usize, held: Vec::new(), opened: 0 }
    }

    /// What goes on to the library now. `None` when that is what came, as it does but for trailers and for a cut within
    /// a frame header.
    pub fn pass(&mut self, mut bytes: &[u8]) -> Option<Vec<u8>> {
        if self.held.is_empty() && self.passes_whole(bytes) {
            return None;
        }
        let mut passed = Vec::new();
        while !bytes.is_empty() {
            let whole = if self.skip > 0 { self.skip } else { self.wanted() - self.held.len() };
            let (taken, rest) = bytes.split_at(whole.min(bytes.len()));
            bytes = rest;
            if self.skip > 0 {
                self.skip -= taken.len();
                passed.extend_from_slice(taken);
                continue;
            }
            self.held.extend_from_slice(taken);
            self.let_go(&mut passed);
        }
        Some(passed)
    }

    /// What is still held when the caller sends no more.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Follows bytes that need no change; changes nothing itself where one is needed.
    fn passes_whole(&mut self, bytes: &[u8]) -> bool {
        let (mut at, mut opened) = (self.skip, self.opened);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(header) = rest.first_chunk() else { return false };
            let header = Header(header);
            if header.is_of_trailers(opened) {
                return false;
            }
            opened = opened.max(header.opens());
            at += HEADER_LEN + header.len();
        }
        (self.skip, self.opened) = (at - bytes.len(), opened);
        true
    }

    /// How many bytes have to be there before the held ones can go on.
    fn wanted(&self) -> usize {
        match self.held.first_chunk().map(Header) {
            Some(header) if header.is_of_trailers(self.opened) => HEADER_LEN + header.len(),
            _ => HEADER_LEN,
        }
    }

    /// Lets the held bytes go on as far as they can.
    fn let_go(&mut self, passed: &mut Vec<u8>) {
        let Some(header) = self.held.first_chunk().map(Header) else { return };
        if header.is_of_trailers(self.opened) {
            if self.held.len() == HEADER_LEN + header.len() {
                mark(&self.held, passed);
                self.held.clear();
            }
        } else {
            self.opened = self.opened.max(header.opens());
            self.skip = header.len();
            passed.append(&mut self.held);
        }
    }
}

/// The header of a frame (RFC 9113 section 4.1).
#[derive(Clone, Copy)]
struct Header<'a>(&'a [u8; HEADER_LEN]);

impl Header<'_> {
    fn len(self) -> usize {
        let [a, b, c, ..] = *self.0;
        u32::from_be_bytes([0, a, b, c]) as usize
    }

    const fn stream(self) -> u32 {
        let [_, _, _, _, _, a, b, c, d] = *self.0;
        u32::from_be_bytes([a & 0x7f, b, c, d])
    }

    fn is_head(self) -> bool {
        self.0[3] == TYPE_HEADERS
    }

    /// The stream that a head opens, when it does. Streams of callers have odd numbers (RFC 9113 section 5.1.1).
    fn opens(self) -> u32 {
        if self.is_head() && self.stream() % 2 == 1 { self.stream() } else { 0 }
    }

    /// True for a second head of a stream, in a frame that the library would look at.
    fn is_of_trailers(self, opened: u32) -> bool {
        self.is_head() && (1..=opened).contains(&self.stream()) && self.len() <= MAX_FRAME
    }
}

/// Writes the frame of trailers with the field before its first one, without padding. A size update of the table stays
/// in front (RFC 7541 section 4.2). What cannot be taken apart goes to stream 0, where the library ends the connection
/// for it.
fn mark(frame: &[u8], passed: &mut Vec<u8>) {
    let (header, payload) = frame.split_at(HEADER_LEN);
    let (flags, stream) = (header[4], &header[5..]);
    let Some([priority, updates, fields]) = parts(flags, payload) else {
        passed.extend_from_slice(&header[..5]);
        passed.extend_from_slice(&[0; 4]);
        passed.extend_from_slice(payload);
        return;
    };
    let first = [priority, updates, &FIELD].concat();
    let room = MAX_FRAME - first.len().min(MAX_FRAME);
    let (fields, more) = fields.split_at(fields.len().min(room));
    let ends = flags & END_HEADERS;
    let flags = flags & !(PADDED | END_HEADERS);
    let mut write = |kind, flags, parts: [&[u8]; 2]| {
        let len = u32::try_from(parts[0].len() + parts[1].len()).unwrap_or(u32::MAX).to_be_bytes();
        passed.extend_from_slice(&[len[1], len[2], len[3], kind, flags]);
        passed.extend_from_slice(stream);
        parts.into_iter().for_each(|part| passed.extend_from_slice(part));
    };
    write(TYPE_HEADERS, if more.is_empty() { flags | ends } else { flags }, [&first, fields]);
    if !more.is_empty() {
        write(TYPE_CONTINUATION, ends, [more, &[]]);
    }
}

/// The priority in the payload of a HEADERS frame, the size updates at the beginning of its fields, and the fields.
fn parts(flags: u8, payload: &[u8]) -> Option<[&[u8]; 3]> {
    let (padding, payload) = if flags & PADDED == 0 {
        (0, payload)
    } else {
        let (padding, payload) = payload.split_first()?;
        (usize::from(*padding), payload)
    };
    let payload = payload.get(..payload.len().checked_sub(padding)?)?;
    let (priority, block) = payload.split_at_checked(if flags & PRIORITY == 0 { 0 } else { PRIORITY_LEN })?;
    let (updates, fields) = block.split_at(size_updates(block)?);
    Some([priority, updates, fields])
}

/// How many bytes of a block are updates of the table's size (RFC 7541 section 6.3). `None` when the last one is cut.
fn size_updates(block: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(byte) = block.get(at).filter(|byte| **byte & 0xe0 == 0x20) {
        at += 1;
        if byte & 0x1f == 0x1f {
            // The rest of the number (section 5.1): its last byte has the highest bit clear.
            at += block[at..].iter().position(|byte| byte & 0x80 == 0)? + 1;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const END_STREAM: u8 = 1;
    const DATA: u8 = 0;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[len[1], len[2], len[3], kind, flags][..], &stream.to_be_bytes(), payload].concat()
    }

    fn head(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        frame(TYPE_HEADERS, flags, stream, payload)
    }

    /// What the library sees of a connection whose bytes come in these pieces.
    fn seen<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut trailers = Trailers::new();
        let mut seen = Vec::new();
        for piece in pieces {
            seen.extend(trailers.pass(piece).unwrap_or_else(|| piece.to_vec()));
        }
        seen.extend(trailers.rest());
        seen
    }

    /// The same of the frames behind a first request, which pass as they are.
    fn marked(frames: &[u8]) -> Vec<u8> {
        let before = [PREFACE, &head(END_HEADERS, 5, b"abc"), &frame(DATA, 0, 5, b"body")].concat();
        let whole = [&before, frames].concat();
        let seen = seen([&whole[..]]);
        assert!(seen.starts_with(&before));
        seen[before.len()..].to_vec()
    }

    #[test]
    fn trailers_get_a_field_in_front() {
        let ends = END_HEADERS | END_STREAM;
        assert_eq!(marked(&head(ends, 5, b"\x83")), head(ends, 5, b"\x00\x01x\x00\x83"));
        assert_eq!(marked(&head(ends, 5, b"")), head(ends, 5, b"\x00\x01x\x00"));
        // Cut into two frames: the first one gets it.
        let cut = [head(END_STREAM, 5, b"\x83"), frame(TYPE_CONTINUATION, END_HEADERS, 5, b"\x84")].concat();
        let expected = [head(END_STREAM, 5, b"\x00\x01x\x00\x83"), frame(TYPE_CONTINUATION, END_HEADERS, 5, b"\x84")];
        assert_eq!(marked(&cut), expected.concat());
        let padded = head(ends | PADDED | PRIORITY, 5, b"\x02\x00\x00\x00\x01\x07\x83pp");
        assert_eq!(marked(&padded), head(ends | PRIORITY, 5, b"\x00\x00\x00\x01\x07\x00\x01x\x00\x83"));
        let updates = head(ends, 5, b"\x20\x3f\xe1\x1f\x83");
        assert_eq!(marked(&updates), head(ends, 5, b"\x20\x3f\xe1\x1f\x00\x01x\x00\x83"));
        let full = vec![0x83; MAX_FRAME];
        let expected = [
            head(END_STREAM, 5, &[&FIELD[..], &full[4..]].concat()),
            frame(TYPE_CONTINUATION, END_HEADERS, 5, &full[..4]),
        ];
        assert_eq!(marked(&head(ends, 5, &full)), expected.concat());
    }

    #[test]
    fn what_are_no_trailers_passes_as_it_is() {
        let ends = END_HEADERS | END_STREAM;
        for frames in [
            head(ends, 7, b"\x83"),
            head(ends, 8, b"\x83"),
            head(ends, 0, b"\x83"),
            frame(DATA, END_STREAM, 5, b"x"),
            frame(TYPE_CONTINUATION, END_HEADERS, 5, b"\x83"),
            head(ends, 5, &vec![0; MAX_FRAME + 1]),
            vec![1, 2, 3],
        ] {
            assert_eq!(marked(&frames), frames);
        }
    }

    #[test]
    fn trailers_that_cannot_be_taken_apart_end_the_connection() {
        for (flags, payload) in
            [(PADDED, &b"\x05abc"[..]), (PADDED, b""), (PRIORITY, b"abc"), (0, b"\x3f"), (0, b"\x20\x3f\x80")]
        {
            assert_eq!(marked(&head(flags, 5, payload)), head(flags, 0, payload));
        }
    }

    proptest! {
        #[test]
        fn it_makes_no_difference_where_the_bytes_are_cut(
            frames in prop::collection::vec(
                (0u8..3, any::<u8>(), 0u32..12, prop::collection::vec(any::<u8>(), 0..40)),
                0..20,
            ),
            rest in prop::collection::vec(any::<u8>(), 0..12),
            cuts in prop::collection::vec(1usize..30, 1..50),
        ) {
            let frames = frames.iter().map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, payload));
            let frames: Vec<_> = frames.collect();
            let whole = [PREFACE.to_vec(), frames.concat(), rest].concat();
            let (mut left, mut pieces, mut cuts) = (&whole[..], Vec::new(), cuts.into_iter().cycle());
            while !left.is_empty() {
                let (piece, more) = left.split_at(cuts.next().unwrap().min(left.len()));
                pieces.push(piece);
                left = more;
            }
            prop_assert_eq!(seen(pieces), seen([&whole[..]]));
        }
    }
}
