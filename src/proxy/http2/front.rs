//! The one reader of the field blocks of a caller, in front of the HTTP/2 library.
//!
//! The library takes a field that it cannot hold for a fault of the compression, and a query that its URI type cannot
//! hold for a malformed request. Neither is one: the first is a fault of its stream (RFC 9113 section 8.1.1), the
//! second none at all. So each block is decompressed and judged here, and the library sees a stand-in for it. Every
//! other frame passes as it is.

use super::fields::{FieldLines, Head, Malformed, are_trailers, request};
use super::hpack::Decoder;
use super::layout::{
    END_HEADERS, END_STREAM, FrameHeader, HEADER_LEN, MAX_FRAME, PADDED, PREFACE_LEN, PRIORITY, PRIORITY_LEN,
    TYPE_CONTINUATION, TYPE_DATA, TYPE_HEADERS, TYPE_PUSH_PROMISE, TYPE_RST_STREAM,
};
use super::stand_in;
use crate::domain::denial::Reason;
use h2::Reason as ErrorCode;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// A list of fields that is this many times larger than it may be, and larger than any client makes it, is no mistake,
/// and ends the connection.
const ABUSE: usize = 4;
const MIN_ABUSE: usize = 256 * 1024;

/// CONTINUATION frames that any head may have, and by how much those that a large one needs may be exceeded.
const MIN_CONTINUATIONS: usize = 5;
const SPARE_CONTINUATIONS: usize = 4;

/// Streams whose end has not come. The library has far fewer open; of those that it refused the end may never come.
const MAX_UNENDED: usize = 1024;

/// Follows the frames of one caller, however its bytes are cut.
#[derive(Debug)]
pub struct Front {
    /// Bytes of the preface or of a payload that are still to come and pass as they are.
    skip: usize,
    /// The beginning of a frame that cannot pass yet: of its header, or of a piece of a block.
    held: Vec<u8>,
    /// The block whose pieces are coming.
    block: Option<Block>,
    /// The highest stream that was opened. A head of a lower one is its trailers.
    opened: u32,
    /// The streams on which the caller may go on: it has neither ended nor reset them.
    unended: BTreeSet<u32>,
    decoder: Decoder,
    /// The largest list of fields, counted as `SETTINGS_MAX_HEADER_LIST_SIZE` is.
    max_list: usize,
    breach: Option<ErrorCode>,
}

/// A field block whose end has not come.
#[derive(Debug)]
struct Block {
    stream: u32,
    flags: u8,
    priority: Option<[u8; PRIORITY_LEN]>,
    bytes: Vec<u8>,
    continuations: usize,
}

impl Front {
    /// `max_list` is the largest list of fields that passes; the library has to take the overhead of a stand-in more.
    #[must_use]
    pub const fn new(max_list: usize) -> Self {
        Self {
            skip: PREFACE_LEN,
            held: Vec::new(),
            block: None,
            opened: 0,
            unended: BTreeSet::new(),
            decoder: Decoder::new(),
            max_list,
            breach: None,
        }
    }

    /// What ends the connection, once something does. Nothing passes any more.
    #[must_use]
    pub const fn breach(&self) -> Option<ErrorCode> {
        self.breach
    }

    /// What goes on to the library now. `None` when that is what came, as it does but for blocks and for a cut within a
    /// frame header.
    pub fn pass(&mut self, mut bytes: &[u8]) -> Option<Vec<u8>> {
        if self.breach.is_none() && self.held.is_empty() && self.passes_whole(bytes) {
            return None;
        }
        let mut passed = Vec::new();
        while !bytes.is_empty() && self.breach.is_none() {
            let whole = if self.skip > 0 { self.skip } else { self.wanted() - self.held.len() };
            let (taken, rest) = bytes.split_at(whole.min(bytes.len()));
            bytes = rest;
            if self.skip > 0 {
                self.skip -= taken.len();
                passed.extend_from_slice(taken);
                continue;
            }
            self.held.extend_from_slice(taken);
            if let Err(code) = self.let_go(&mut passed) {
                self.breach = Some(code);
            }
        }
        Some(passed)
    }

    /// Follows bytes that need no change; changes nothing itself where one is needed.
    fn passes_whole(&mut self, bytes: &[u8]) -> bool {
        let mut at = self.skip;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match FrameHeader::read(rest) {
                Some(header) if self.block.is_none() && !is_of_a_block(header) => {
                    self.note_end(header);
                    at += HEADER_LEN + header.len;
                }
                _ => return false,
            }
        }
        self.skip = at - bytes.len();
        true
    }

    /// How many bytes have to be there before the held ones can go on.
    fn wanted(&self) -> usize {
        match FrameHeader::read(&self.held) {
            Some(header) if is_of_a_block(header) => HEADER_LEN + header.len,
            _ => HEADER_LEN,
        }
    }

    /// Lets the held bytes go on as far as they can.
    fn let_go(&mut self, passed: &mut Vec<u8>) -> Result<(), ErrorCode> {
        let Some(header) = FrameHeader::read(&self.held) else { return Ok(()) };
        self.follows(header)?;
        if !is_of_a_block(header) {
            self.note_end(header);
            self.skip = header.len;
            passed.append(&mut self.held);
        } else if self.held.len() == HEADER_LEN + header.len {
            let frame = std::mem::take(&mut self.held);
            self.take(header, &frame[HEADER_LEN..])?;
            self.held = frame;
            self.held.clear();
            if let Some(block) = self.block.take_if(|block| block.flags & END_HEADERS != 0) {
                self.stand_in_for(&block, passed)?;
            }
        }
        Ok(())
    }

    /// The pieces of a block come without anything between them (RFC 9113 sections 4.3 and 6.10), and in frames that
    /// are not too long (section 4.2). A caller pushes nothing (section 8.4).
    fn follows(&self, header: FrameHeader) -> Result<(), ErrorCode> {
        let is_sound = match &self.block {
            Some(block) => header.kind == TYPE_CONTINUATION && header.stream == block.stream,
            None => !matches!(header.kind, TYPE_CONTINUATION | TYPE_PUSH_PROMISE),
        };
        match is_of_a_block(header) {
            _ if !is_sound => Err(ErrorCode::PROTOCOL_ERROR),
            true if header.len > MAX_FRAME => Err(ErrorCode::FRAME_SIZE_ERROR),
            _ => Ok(()),
        }
    }

    /// Takes one piece of a block.
    fn take(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), ErrorCode> {
        let max_continuations = self.max_continuations();
        let Some(block) = &mut self.block else {
            if header.stream == 0 {
                return Err(ErrorCode::PROTOCOL_ERROR);
            }
            self.block = Some(Block::begin(header, payload).ok_or(ErrorCode::PROTOCOL_ERROR)?);
            return Ok(());
        };
        block.flags |= header.flags & END_HEADERS;
        block.continuations += 1;
        if block.continuations > max_continuations {
            return Err(ErrorCode::ENHANCE_YOUR_CALM);
        }
        block.bytes.extend_from_slice(payload);
        Ok(())
    }

    /// Bounds the bytes of a block as well.
    fn max_continuations(&self) -> usize {
        let needed = self.max_list / MAX_FRAME;
        (needed + needed / SPARE_CONTINUATIONS).max(MIN_CONTINUATIONS)
    }

    fn note_end(&mut self, header: FrameHeader) {
        if header.kind == TYPE_RST_STREAM || (header.kind == TYPE_DATA && header.flags & END_STREAM != 0) {
            self.unended.remove(&header.stream);
        }
    }

    /// Writes what the library sees in place of a whole block.
    fn stand_in_for(&mut self, block: &Block, passed: &mut Vec<u8>) -> Result<(), ErrorCode> {
        let lines = self.decode(&block.bytes)?;
        let mut bytes = block.priority.map_or_else(Vec::new, |priority| priority.to_vec());
        if (1..=self.opened).contains(&block.stream) {
            // On a stream that has ended they are another fault, which the library finds.
            let are_good = lines.size() <= self.max_list && are_trailers(&lines);
            stand_in::write_trailers(are_good || !self.unended.contains(&block.stream), &mut bytes);
        } else {
            self.open(block.stream);
            let mut head = request(&lines);
            if lines.size() > self.max_list {
                head = Err(malformed_by_size(head));
            }
            stand_in::write(&head, &mut bytes);
        }
        if block.flags & END_STREAM != 0 {
            self.unended.remove(&block.stream);
        }
        write_frames(block, &bytes, passed);
        Ok(())
    }

    /// Streams of callers have odd numbers (RFC 9113 section 5.1.1).
    fn open(&mut self, stream: u32) {
        if stream.is_multiple_of(2) {
            return;
        }
        self.opened = stream;
        self.unended.insert(stream);
        if self.unended.len() > MAX_UNENDED {
            self.unended.pop_first();
        }
    }

    fn decode(&mut self, block: &[u8]) -> Result<FieldLines, ErrorCode> {
        let mut lines = FieldLines::default();
        let abuse = self.max_list.saturating_mul(ABUSE).max(MIN_ABUSE);
        let flow = self.decoder.decode(block, |name, value| {
            lines.push(name, value, self.max_list);
            if lines.size() > abuse { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match flow {
            Ok(ControlFlow::Continue(())) => Ok(lines),
            Ok(ControlFlow::Break(())) => Err(ErrorCode::ENHANCE_YOUR_CALM),
            Err(_) => Err(ErrorCode::COMPRESSION_ERROR),
        }
    }
}

const fn is_of_a_block(header: FrameHeader) -> bool {
    matches!(header.kind, TYPE_HEADERS | TYPE_CONTINUATION | TYPE_PUSH_PROMISE)
}

impl Block {
    /// The first piece, without its padding (RFC 9113 section 6.2). `None` when it cannot be taken apart.
    fn begin(header: FrameHeader, payload: &[u8]) -> Option<Self> {
        let (padding, payload) = if header.flags & PADDED == 0 {
            (0, payload)
        } else {
            let (padding, payload) = payload.split_first()?;
            (usize::from(*padding), payload)
        };
        let (priority, block) = if header.flags & PRIORITY == 0 {
            (None, payload)
        } else {
            let (priority, block) = payload.split_first_chunk()?;
            (Some(*priority), block)
        };
        let bytes = block.get(..block.len().checked_sub(padding)?)?.to_vec();
        Some(Self { stream: header.stream, flags: header.flags, priority, bytes, continuations: 0 })
    }
}

/// The refusal of a list that is too long, of which what was kept may be a request or not.
fn malformed_by_size<'a>(head: Result<Head<'a>, Malformed<'a>>) -> Malformed<'a> {
    let (method, target) = match head {
        Ok(Head { method, target, .. }) | Err(Malformed { method, target, .. }) => (method, target),
    };
    Malformed { reason: Reason::HeadTooLarge, method, target, fields: Vec::new() }
}

/// Writes a payload in as many frames as it takes, with what the caller's first one said beside its block.
fn write_frames(block: &Block, payload: &[u8], passed: &mut Vec<u8>) {
    let first_flags = block.flags & (END_STREAM | PRIORITY);
    let (first, more) = payload.split_at(payload.len().min(MAX_FRAME));
    let pieces = std::iter::once((TYPE_HEADERS, first_flags, first))
        .chain(more.chunks(MAX_FRAME).map(|piece| (TYPE_CONTINUATION, 0, piece)));
    let mut left = payload.len();
    for (kind, flags, piece) in pieces {
        left -= piece.len();
        let ends = if left == 0 { END_HEADERS } else { 0 };
        FrameHeader { len: piece.len(), kind, flags: flags | ends, stream: block.stream }.write(passed);
        passed.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const LIST: usize = 4000;
    const ENDS: u8 = END_HEADERS | END_STREAM;

    /// `GET https /` of `a`, and the stand-in for it.
    const GET: &[u8] = b"\x82\x87\x84\x01\x01a";

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        FrameHeader { len: payload.len(), kind, flags, stream }.write(&mut bytes);
        [bytes.as_slice(), payload].concat()
    }

    fn head(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        frame(TYPE_HEADERS, flags, stream, payload)
    }

    /// What the library sees of a connection whose bytes come in these pieces, and how it ends.
    fn seen<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Option<ErrorCode>) {
        let mut front = Front::new(LIST);
        let mut seen = Vec::new();
        for piece in pieces {
            seen.extend(front.pass(piece).unwrap_or_else(|| piece.to_vec()));
        }
        (seen, front.breach())
    }

    /// The same of frames behind a first request of stream 5.
    fn behind_a_request(frames: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let before = [PREFACE, &head(END_HEADERS, 5, GET)].concat();
        let (passed, breach) = seen([&[&before, frames].concat()[..]]);
        let first = [PREFACE, &head(END_HEADERS, 5, &stood_in())].concat();
        assert!(passed.starts_with(&first));
        breach.map_or_else(|| Ok(passed[first.len()..].to_vec()), Err)
    }

    fn stood_in() -> Vec<u8> {
        b"\x83\x87\x84\x10\x0astands-for\x070 GET /\x10\x04host\x01a".to_vec()
    }

    #[test]
    fn a_head_is_replaced_however_it_is_packed() {
        let plain = Ok(head(ENDS, 7, &stood_in()));
        assert_eq!(behind_a_request(&head(ENDS, 7, GET)), plain);
        assert_eq!(behind_a_request(&head(ENDS | PADDED, 7, &[b"\x02", GET, b"pp"].concat())), plain);
        let priority = b"\0\0\0\x01\x07";
        assert_eq!(
            behind_a_request(&head(ENDS | PRIORITY, 7, &[priority, GET].concat())),
            Ok(head(ENDS | PRIORITY, 7, &[priority, &stood_in()[..]].concat()))
        );
        let cut = [
            head(END_STREAM, 7, &GET[..2]),
            frame(TYPE_CONTINUATION, 0, 7, b""),
            frame(TYPE_CONTINUATION, END_HEADERS, 7, &GET[2..]),
        ];
        assert_eq!(behind_a_request(&cut.concat()), plain);
        // The library sees it too, and ends the connection for it.
        assert_eq!(behind_a_request(&head(ENDS, 8, GET)), Ok(head(ENDS, 8, &stood_in())));
    }

    #[test]
    fn trailers_are_no_fields_or_a_fault() {
        for (block, passed) in [
            (&b"\x00\x01x\x01y"[..], &b""[..]),
            (b"", b""),
            (b"\x82", b"\x10\x01x\x00\x83"),
            (b"\x00\x01X\x01y", b"\x10\x01x\x00\x83"),
        ] {
            assert_eq!(behind_a_request(&head(ENDS, 5, block)), Ok(head(ENDS, 5, passed)), "{}", block.escape_ascii());
        }
    }

    #[test]
    fn a_head_of_a_stream_that_has_ended_is_for_the_library() {
        let second = head(ENDS, 5, GET);
        for (before, is_marked) in [
            (frame(TYPE_DATA, 0, 5, b"abc"), true),
            (frame(TYPE_DATA, END_STREAM, 5, b"abc"), false),
            (frame(TYPE_RST_STREAM, 0, 5, &[0; 4]), false),
            (head(ENDS, 5, b""), false),
        ] {
            let passed = behind_a_request(&[&before[..], &second].concat()).unwrap();
            let mark: &[u8] = if is_marked { b"\x10\x01x\x00\x83" } else { b"" };
            assert_eq!(passed, [before.clone(), head(ENDS, 5, mark)].concat(), "{}", before.escape_ascii());
        }
        assert_eq!(behind_a_request(&head(ENDS, 3, GET)), Ok(head(ENDS, 3, b"")), "never opened");
        let mut front = Front::new(LIST);
        front.pass(PREFACE);
        for stream in 0..2000 {
            front.pass(&head(END_HEADERS, stream * 2 + 1, GET));
        }
        assert_eq!(front.unended.len(), MAX_UNENDED);
    }

    #[test]
    fn other_frames_pass_as_they_are() {
        let frames = [frame(0, END_STREAM, 5, b"body"), frame(6, 0, 0, &[0; 8]), frame(0xfa, 9, 7, b"?")].concat();
        assert_eq!(behind_a_request(&frames), Ok(frames));
        let long = frame(0, 0, 5, &vec![0; MAX_FRAME + 1]);
        assert_eq!(behind_a_request(&long), Ok(long));
    }

    #[test]
    fn what_ends_the_connection() {
        let piece = |flags, stream, payload| frame(TYPE_CONTINUATION, flags, stream, payload);
        let open = head(0, 7, GET);
        let bomb = [&b"\x40\x01x\x7f\xd1\x0e"[..], &[b'y'; 2000], &[0xbe; 200]].concat();
        for (frames, code) in [
            (head(ENDS, 0, GET), ErrorCode::PROTOCOL_ERROR),
            (head(ENDS | PADDED, 7, b"\x05abc"), ErrorCode::PROTOCOL_ERROR),
            (head(ENDS | PADDED, 7, b""), ErrorCode::PROTOCOL_ERROR),
            (head(ENDS | PRIORITY, 7, b"abc"), ErrorCode::PROTOCOL_ERROR),
            (piece(END_HEADERS, 5, b""), ErrorCode::PROTOCOL_ERROR),
            ([open.clone(), piece(END_HEADERS, 9, b"")].concat(), ErrorCode::PROTOCOL_ERROR),
            ([open.clone(), frame(0, 0, 5, b"x")].concat(), ErrorCode::PROTOCOL_ERROR),
            ([open.clone(), head(ENDS, 7, GET)].concat(), ErrorCode::PROTOCOL_ERROR),
            (frame(TYPE_PUSH_PROMISE, END_HEADERS, 5, b"\0\0\0\x02\x82"), ErrorCode::PROTOCOL_ERROR),
            (head(ENDS, 7, &vec![0; MAX_FRAME + 1]), ErrorCode::FRAME_SIZE_ERROR),
            (head(ENDS, 7, b"\xff\xff\x01"), ErrorCode::COMPRESSION_ERROR),
            (head(ENDS, 5, b"\xbe"), ErrorCode::COMPRESSION_ERROR),
            (head(ENDS, 7, &bomb), ErrorCode::ENHANCE_YOUR_CALM),
            ([open, piece(0, 7, b"").repeat(6)].concat(), ErrorCode::ENHANCE_YOUR_CALM),
        ] {
            assert_eq!(behind_a_request(&frames), Err(code), "{}", frames[..frames.len().min(40)].escape_ascii());
        }
        let mut front = Front::new(LIST);
        front.pass(&[PREFACE, &head(ENDS, 0, GET)].concat());
        assert_eq!(front.pass(&head(ENDS, 1, GET)), Some(vec![]), "nothing passes any more");
    }

    #[test]
    fn a_list_that_is_too_long_is_told_and_the_table_goes_on() {
        let long = [GET, b"\x40\x01x\x7f\xa1\x1e", &[b'y'; 4000]].concat();
        let (passed, breach) =
            seen([&[PREFACE, &head(ENDS, 1, &long), &head(ENDS, 3, b"\x82\x87\x84\xbe")].concat()[..]]);
        let at = Reason::ALL.iter().position(|reason| *reason == Reason::HeadTooLarge).unwrap() + 1;
        let told = format!("{at} GET /");
        assert!(passed.windows(told.len()).any(|window| window == told.as_bytes()) && breach.is_none());
        assert_eq!(passed.iter().filter(|byte| **byte == b'y').count(), 0, "neither list was handed on");
    }

    proptest! {
        #[test]
        fn it_makes_no_difference_where_the_bytes_are_cut(
            frames in prop::collection::vec(
                (0u8..3, any::<u8>(), 0u32..12, prop::collection::vec(prop_oneof![any::<u8>(), 0x80u8..0x90], 0..40)),
                0..20,
            ),
            rest in prop::collection::vec(any::<u8>(), 0..12),
            cuts in prop::collection::vec(1usize..30, 1..50),
        ) {
            let frames = frames.iter().map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, payload));
            let whole = [PREFACE.to_vec(), frames.collect::<Vec<_>>().concat(), rest].concat();
            let (mut left, mut pieces, mut cuts) = (&whole[..], Vec::new(), cuts.into_iter().cycle());
            while !left.is_empty() {
                let (piece, more) = left.split_at(cuts.next().unwrap().min(left.len()));
                pieces.push(piece);
                left = more;
            }
            prop_assert_eq!(seen(pieces), seen(whole.chunks(1)));
            prop_assert_eq!(seen([&whole[..]]).1, seen(whole.chunks(1)).1);
        }
    }
}
