//! Reading compressed fields (HPACK, RFC 7541): a name and a value are whatever bytes the caller put there.
//!
//! The HTTP/2 library has a decoder of its own, which takes a field that it cannot hold for a fault of the compression,
//! and ends the connection. What is wrong with a field is asked elsewhere: here only the compression can be.

use octets::Octets;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::ControlFlow;

/// The largest table that a caller may use: the gate announces no other size (RFC 9113 section 6.5.2).
const MAX_TABLE: usize = 4096;

/// What an entry counts for beside its name and value (RFC 7541 section 4.1).
pub(super) const ENTRY_OVERHEAD: usize = 32;

/// The compression of the connection cannot be followed any further (RFC 9113 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CompressionError;

/// A name and a value, out of the table or out of the block.
type DecodedLine<'t> = (Cow<'t, [u8]>, Cow<'t, [u8]>);

/// Follows the compression of one caller. Each block has to pass through it, in order.
#[derive(Debug)]
pub(super) struct Decoder {
    table: Table,
}

impl Decoder {
    #[must_use]
    pub(super) const fn new() -> Self {
        Self { table: Table { entries: VecDeque::new(), size: 0, max: MAX_TABLE } }
    }

    /// Hands each field line of a whole block to `take`, until it has enough. A block that was not read to its end
    /// leaves the table in a state of its own, so nothing that follows can be read.
    ///
    /// # Errors
    /// When the block is not HPACK, or contradicts what came before.
    pub(super) fn decode(
        &mut self,
        mut block: &[u8],
        mut take: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, CompressionError> {
        let mut may_resize = true;
        while let Some(first) = block.first() {
            // RFC 7541 section 6.
            let flow = match first {
                0x80.. => {
                    let (name, value) = self.table.get(integer(&mut block, 7)?)?;
                    take(name, value)
                }
                0x40..0x80 => {
                    let (name, value) = self.literal(&mut block, 6)?;
                    let (name, value) = (name.into_owned(), value.into_owned());
                    let flow = take(&name, &value);
                    self.table.insert(name, value);
                    flow
                }
                // Only at the beginning of a block (section 4.2).
                0x20..0x40 if may_resize => {
                    self.table.resize(integer(&mut block, 5)?)?;
                    continue;
                }
                0x20..0x40 => return Err(CompressionError),
                0..0x20 => {
                    let (name, value) = self.literal(&mut block, 4)?;
                    take(&name, &value)
                }
            };
            may_resize = false;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// A name, from the table or written out, and a value (RFC 7541 section 6.2).
    fn literal<'t, 'b: 't>(&'t self, block: &mut &'b [u8], prefix: u32) -> Result<DecodedLine<'t>, CompressionError> {
        let name = match integer(block, prefix)? {
            0 => string(block)?,
            index => Cow::Borrowed(self.table.get(index)?.0),
        };
        Ok((name, string(block)?))
    }
}

/// An integer whose first bits are the last `prefix` of a byte (RFC 7541 section 5.1). Four bytes may follow: what is
/// larger than they can say, nothing here can be.
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, CompressionError> {
    let mut next = || {
        let (byte, rest) = block.split_first().ok_or(CompressionError)?;
        *block = rest;
        Ok(*byte)
    };
    let mask = (1 << prefix) - 1;
    let mut value = usize::from(next()? & mask);
    if value < usize::from(mask) {
        return Ok(value);
    }
    for shift in [0, 7, 14, 21] {
        let byte = next()?;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(CompressionError)
}

/// A string, as it is or in the Huffman code (RFC 7541 section 5.2), which makes it at most 8/5 as long.
fn string<'a>(block: &mut &'a [u8]) -> Result<Cow<'a, [u8]>, CompressionError> {
    let is_coded = block.first().is_some_and(|first| first & 0x80 != 0);
    let len = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(len).ok_or(CompressionError)?;
    *block = rest;
    if !is_coded {
        return Ok(Cow::Borrowed(text));
    }
    Octets::with_slice(text).get_huffman_decoded().map(Cow::Owned).map_err(|_| CompressionError)
}

/// The fields that one byte can name (RFC 7541 section 2.3).
#[derive(Debug)]
struct Table {
    /// The newest first.
    entries: VecDeque<(Vec<u8>, Vec<u8>)>,
    size: usize,
    max: usize,
}

impl Table {
    fn get(&self, index: usize) -> Result<(&[u8], &[u8]), CompressionError> {
        let at = index.checked_sub(1).ok_or(CompressionError)?;
        match STATIC.get(at) {
            Some((name, value)) => Ok((name.as_bytes(), value.as_bytes())),
            None => {
                self.entries.get(at - STATIC.len()).map(|(name, value)| (&**name, &**value)).ok_or(CompressionError)
            }
        }
    }

    /// An entry that is larger than the table empties it (RFC 7541 section 4.4).
    fn insert(&mut self, name: Vec<u8>, value: Vec<u8>) {
        let size = size(&name, &value);
        self.evict(self.max.saturating_sub(size));
        if size <= self.max {
            self.size += size;
            self.entries.push_front((name, value));
        }
    }

    fn resize(&mut self, max: usize) -> Result<(), CompressionError> {
        if max > MAX_TABLE {
            return Err(CompressionError);
        }
        self.max = max;
        self.evict(max);
        Ok(())
    }

    /// Removes the oldest entries until no more than `left` bytes are used.
    fn evict(&mut self, left: usize) {
        while self.size > left {
            let Some((name, value)) = self.entries.pop_back() else { return };
            self.size -= size(&name, &value);
        }
    }
}

const fn size(name: &[u8], value: &[u8]) -> usize {
    name.len() + value.len() + ENTRY_OVERHEAD
}

/// The entries that never change (RFC 7541 appendix A).
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Lines = Vec<(Vec<u8>, Vec<u8>)>;

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Lines, CompressionError> {
        let mut lines = Vec::new();
        let flow = decoder.decode(block, |name, value| {
            lines.push((name.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        flow.map(|_| lines)
    }

    fn shown(lines: &Lines) -> Vec<String> {
        lines.iter().map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii())).collect()
    }

    /// RFC 7541 appendix C.4: three requests of one connection, with the Huffman code.
    #[test]
    fn the_examples_of_the_rfc() {
        let mut decoder = Decoder::new();
        let blocks: [&[u8]; 3] = [
            b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
            b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf",
            b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf",
        ];
        let expected = [
            vec![":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
            vec![":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
            vec![
                ":method: GET",
                ":scheme: https",
                ":path: /index.html",
                ":authority: www.example.com",
                "custom-key: custom-value",
            ],
        ];
        for (block, expected) in blocks.into_iter().zip(expected) {
            assert_eq!(shown(&decoded(&mut decoder, block).unwrap()), expected);
        }
        assert_eq!(decoder.table.size, 164);
    }

    #[test]
    fn what_is_no_hpack() {
        for block in [
            &b"\x80"[..],
            b"\xbe",
            b"\xff\x80\x80\x80\x80\x01",
            b"\xff\xff\xff\xff\xff",
            b"\x40",
            b"\x00\x05ab",
            b"\x00\x01a",
            // A size update past what was announced, and one that does not begin the block.
            b"\x3f\xe2\x1f",
            b"\x82\x20",
            // EOS, padding of eight bits, and padding of zeros.
            b"\x00\x84\xff\xff\xff\xff\x00",
            b"\x00\x82\x1f\xff\x00",
            b"\x00\x81\x18\x00",
        ] {
            assert_eq!(decoded(&mut Decoder::new(), block), Err(CompressionError), "{}", block.escape_ascii());
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let mut decoder = Decoder::new();
        let entry = [&b"\x40\x01x\x7f\xa1\x1e"[..], &[b'y'; 4000]].concat();
        decoded(&mut decoder, &[entry.as_slice(), b"\xbe\xbe"].concat()).unwrap();
        assert_eq!((decoder.table.entries.len(), decoder.table.size), (1, 4033));
        decoded(&mut decoder, b"\x40\x01z\x01z").unwrap();
        assert_eq!((decoder.table.entries.len(), decoder.table.size), (2, 4067));
        // One more than fits: the oldest goes. One that fits into no table empties it.
        decoded(&mut decoder, b"\x40\x01z\x01z").unwrap();
        assert_eq!((decoder.table.entries.len(), decoder.table.size), (2, 68));
        decoded(&mut decoder, &[&b"\x40\x01x\x7f\xa1\x1f"[..], &[b'y'; 4128]].concat()).unwrap();
        assert_eq!((decoder.table.entries.len(), decoder.table.size), (0, 0));
        decoded(&mut decoder, &entry).unwrap();
        decoded(&mut decoder, b"\x20\x3f\xe1\x1f").unwrap();
        assert_eq!((decoder.table.entries.len(), decoder.table.max), (0, MAX_TABLE));
    }

    proptest! {
        /// A second implementation, written by others, agrees on every block that is taken here.
        #[test]
        fn others_read_the_same(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6)) {
            let (mut ours, mut theirs) = (Decoder::new(), loona_hpack::Decoder::new());
            theirs.set_max_allowed_table_size(MAX_TABLE);
            for block in blocks {
                let Ok(lines) = decoded(&mut ours, &block) else { break };
                match theirs.decode(&block) {
                    Ok(read) => prop_assert_eq!(lines, read),
                    Err(loona_hpack::decoder::DecoderError::SizeUpdateAtEnd) => prop_assert!(lines.is_empty()),
                    Err(error) => prop_assert!(false, "{error}"),
                }
            }
        }

        #[test]
        fn what_others_write_is_read(
            lists in prop::collection::vec(prop::collection::vec(("[a-d:]{0,3}", ".{0,12}"), 0..8), 1..6),
        ) {
            let (mut ours, mut theirs) = (Decoder::new(), loona_hpack::Encoder::new());
            for list in lists {
                let list: Lines = list.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
                let block = theirs.encode(list.iter().map(|(name, value)| (&name[..], &value[..])));
                prop_assert_eq!(decoded(&mut ours, &block), Ok(list));
            }
        }
    }
}
