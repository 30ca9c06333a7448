//! How a connection of HTTP/2 is laid out (RFC 9113 sections 3.4 and 4.1).

/// The client's connection preface (RFC 9113 section 3.4), and the fixed part of a frame (section 4.1).
pub(super) const PREFACE_LEN: u32 = 24;
pub(super) const HEADER_LEN: usize = 9;
pub(super) const TYPE_HEADERS: u8 = 1;
