//! Small values that every part of the core shares: instants, versions, request ids.
//!
//! Nothing here reads a clock: an edge reads both clocks once per step ([`crate::platform::clock`]) and passes a
//! [`Now`] in.

use data_encoding::HEXLOWER;
use std::fmt;
use std::time::Duration;

/// One reading of both clocks.
///
/// Sessions and limits use [`Now::mono`], which never jumps; key expiry uses [`Now::wall`], because an admin
/// writes a calendar date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub mono: Mono,
    pub wall: Wall,
}

/// Nanoseconds on the monotonic clock since the process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// The time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// `self` moved forward by `by`, saturating.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Milliseconds since the Unix epoch, UTC. Negative before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub i64);

/// The protocol version a request arrived with. An older one is refused before it is a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http11,
    Http2,
}

impl HttpVersion {
    /// The number as it is in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}

/// A text of at most `MAX` bytes, in place: it costs no memory of its own. What is longer is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShortText<const MAX: usize> {
    bytes: [u8; MAX],
    len: u8,
}

impl<const MAX: usize> ShortText<MAX> {
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(MAX <= u8::MAX as usize) };
        Self { bytes: [0; MAX], len: 0 }
    }

    /// Appends as much as there is room for.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = &mut self.bytes[usize::from(self.len)..];
        let len = bytes.len().min(room.len());
        room[..len].copy_from_slice(&bytes[..len]);
        // It fits: `MAX` does.
        self.len += len as u8;
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl<const MAX: usize> Default for ShortText<MAX> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const MAX: usize> From<&[u8]> for ShortText<MAX> {
    fn from(bytes: &[u8]) -> Self {
        let mut text = Self::new();
        text.push(bytes);
        text
    }
}

impl<const MAX: usize> From<&str> for ShortText<MAX> {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl<const MAX: usize> fmt::Debug for ShortText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

/// The identifier that ties one request together across caller, gate and 8sens.
///
/// At most 128 bytes of `[A-Za-z0-9._-]`, so that it is safe in a header, a log line and a shell.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Text);

/// A text, in place when it has the length of those that are made here.
#[derive(Clone, PartialEq, Eq)]
enum Text {
    Made([u8; RequestId::MADE_LEN]),
    /// Of another length.
    Given(Box<[u8]>),
}

impl RequestId {
    /// Longest identifier taken over from a caller, in bytes.
    pub const MAX_LEN: usize = 128;

    const MADE_LEN: usize = 32;

    /// Takes over a caller's `X-Request-ID` when every byte is safe.
    #[must_use]
    pub fn from_caller(value: &[u8]) -> Option<Self> {
        let safe = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if value.is_empty() || value.len() > Self::MAX_LEN || !value.iter().all(safe) {
            return None;
        }
        Some(Self(value.try_into().map_or_else(|_| Text::Given(value.into()), Text::Made)))
    }

    /// Makes an identifier of 32 hexadecimal digits from 16 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        let mut text = [0; Self::MADE_LEN];
        HEXLOWER.encode_mut(&bytes, &mut text);
        Self(Text::Made(text))
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Made(text) => text,
            Text::Given(text) => text,
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        // Each of its bytes is ASCII.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_id_takes_only_safe_bytes() {
        assert_eq!(RequestId::from_caller(b"order-17.a_B").unwrap().as_str(), "order-17.a_B");
        for bad in [&b""[..], b"a b", b"a\r\nb", b"\xc3\xa9", b"a\"b", &[b'a'; 129]] {
            assert!(RequestId::from_caller(bad).is_none(), "{bad:?}");
        }
        assert!(RequestId::from_caller(&[b'a'; 128]).is_some());
    }

    #[test]
    fn made_id_is_lower_case_hex() {
        let id = RequestId::from_random([0xab; 16]);
        assert_eq!(id.as_str(), "abababababababababababababababab");
    }

    #[test]
    fn mono_never_goes_negative() {
        assert_eq!(Mono(3).since(Mono(5)), Duration::ZERO);
        assert_eq!(Mono(u64::MAX).after(Duration::from_secs(1)), Mono(u64::MAX));
    }
}
