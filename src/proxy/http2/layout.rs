//! How a connection of HTTP/2 is laid out (RFC 9113 sections 3.4, 4.1 and 6).

/// The client's connection preface (RFC 9113 section 3.4), and the fixed part of a frame (section 4.1).
pub(super) const PREFACE_LEN: usize = 24;
pub(super) const HEADER_LEN: usize = 9;

/// The longest payload of a frame: no other size is ever announced (RFC 9113 section 4.2).
pub(super) const MAX_FRAME: usize = 16_384;

/// Frame types (RFC 9113 section 6).
pub(super) const TYPE_DATA: u8 = 0;
pub(super) const TYPE_HEADERS: u8 = 1;
pub(super) const TYPE_RST_STREAM: u8 = 3;
pub(super) const TYPE_PUSH_PROMISE: u8 = 5;
pub(super) const TYPE_CONTINUATION: u8 = 9;

/// Flags of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// Bytes of a HEADERS frame that say its priority.
pub(super) const PRIORITY_LEN: usize = 5;

/// The header of a frame (RFC 9113 section 4.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    /// Bytes of the payload.
    pub len: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl FrameHeader {
    /// The header at the beginning of `bytes`; `None` when there are too few of them.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, d, e, f, g] = *bytes.first_chunk::<HEADER_LEN>()?;
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        Some(Self { len, kind, flags, stream: u32::from_be_bytes([d & 0x7f, e, f, g]) })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        let [_, a, b, c] = u32::try_from(self.len).unwrap_or(u32::MAX).to_be_bytes();
        out.extend_from_slice(&[a, b, c, self.kind, self.flags]);
        out.extend_from_slice(&self.stream.to_be_bytes());
    }
}
