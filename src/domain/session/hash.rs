//! What a token is known by: half of an HMAC-SHA-256 under a secret of the installation.
//!
//! The hash is keyed, so that the state file tells nothing about tokens and nobody can choose tokens that collide. 128
//! bits are enough: a collision among a million sessions has a chance of 2⁻⁸⁹, and finding one on purpose needs the
//! secret.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use zeroize::{Zeroize, Zeroizing};

/// The keyed hash of a token. It is no secret: without the installation's secret it cannot be turned into a token or
/// made from one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionHash([u8; 16]);

impl SessionHash {
    /// Hexadecimal digits in the short form that operators see.
    pub const SHORT: usize = 12;

    /// A hash that was written down by an earlier process.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The first [`SessionHash::SHORT`] digits.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(Self::SHORT);
        text
    }
}

impl fmt::Display for SessionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEXLOWER.encode_mut_str(&self.0, &mut [0; 32]))
    }
}

impl fmt::Debug for SessionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionHash({self})")
    }
}

impl Hash for SessionHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// The first digits of a [`SessionHash`], as an operator types them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashPrefix(Box<str>);

impl HashPrefix {
    /// Fewest digits: enough for a hand-typed prefix to be unique among some thousand sessions.
    pub const MIN: usize = 6;

    /// Takes 6 to 32 hexadecimal digits of either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (Self::MIN..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// True when `hash` begins with these digits.
    #[must_use]
    pub fn matches(&self, hash: &SessionHash) -> bool {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16);
        let digits = hash.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]);
        self.0.chars().zip(digits).all(|(typed, digit)| Some(typed) == digit)
    }
}

/// Hashes tokens. Holds the secret only as the two halves of a begun HMAC, which are wiped on drop.
pub(super) struct TokenHasher {
    begun: Hmac<Sha256>,
}

impl TokenHasher {
    pub(super) fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        let mut block = padded(secret);
        let begun = Hmac::new(&block.into());
        block.zeroize();
        Self { begun }
    }

    pub(super) fn hash(&self, token: &[u8]) -> SessionHash {
        let mut mac = self.begun.clone();
        mac.update(token);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut half = [0; 16];
        half.copy_from_slice(&whole[..16]);
        SessionHash(half)
    }
}

impl fmt::Debug for TokenHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHasher(..)")
    }
}

/// A key shorter than a block of SHA-256 is filled up with zeros: that is how HMAC defines it.
fn padded(secret: &[u8; 32]) -> [u8; 64] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(secret);
    block
}

/// Takes the first eight bytes of a [`SessionHash`] as they are.
///
/// They come out of a keyed hash already: uniform, and not to be chosen without the secret. A second keyed hash would
/// cost time and add nothing. It is only right for this one key type.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PassThrough(u64);

impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only a session hash is hashed here, and it writes a number")
    }

    fn write_u64(&mut self, first: u64) {
        self.0 = first;
    }
}

impl BuildHasher for PassThrough {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::ZeroizeOnDrop;

    fn hasher(byte: u8) -> TokenHasher {
        TokenHasher::new(&Zeroizing::new([byte; 32]))
    }

    #[test]
    fn a_known_hash_stays_the_same() {
        // Worked out with another implementation of HMAC-SHA-256.
        let secret = Zeroizing::new(std::array::from_fn(|n| u8::try_from(n).unwrap()));
        let hash = TokenHasher::new(&secret).hash(b"abc.DEF-123");
        assert_eq!(hash.to_string(), "a26b24581aae11c7553ce8a5952ae91d");
        assert_eq!(hash.short(), &"a26b24581aae11c7553ce8a5952ae91d"[..12]);
    }

    #[test]
    fn another_secret_or_token_is_another_hash() {
        assert_eq!(hasher(1).hash(b"t"), hasher(1).hash(b"t"));
        assert_ne!(hasher(1).hash(b"t"), hasher(2).hash(b"t"));
        assert_ne!(hasher(1).hash(b"t"), hasher(1).hash(b"u"));
    }

    #[test]
    fn the_secret_is_wiped_and_not_shown() {
        // The begun HMAC is two of these cores and a buffer, without a drop of its own.
        fn is_wiped<T: ZeroizeOnDrop>() {}
        is_wiped::<sha2::block_api::Sha256VarCore>();
        is_wiped::<hmac::digest::block_api::Buffer<hmac::block_api::HmacCore<Sha256>>>();
        let hasher = hasher(0x41);
        assert_eq!(format!("{hasher:?}"), "TokenHasher(..)");
    }

    #[test]
    fn a_map_finds_a_session_by_the_first_bytes_of_its_hash() {
        let hash = SessionHash::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9]);
        assert_eq!(PassThrough::default().hash_one(hash), 0x0807_0605_0403_0201);
    }

    #[test]
    #[should_panic(expected = "only a session hash")]
    fn a_map_with_other_keys_fails_at_once() {
        let _ = PassThrough::default().hash_one("text");
    }

    #[test]
    fn prefixes() {
        let hash = SessionHash::from_bytes([0xab, 0xcd, 0xef, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x34]);
        for matching in ["abcdef", "ABCDEF", "abcdef1", "abcdef12000000000000000000000034"] {
            assert!(HashPrefix::parse(matching).unwrap().matches(&hash), "{matching}");
        }
        for other in ["abcdee", "abcdef2", "abcdef12000000000000000000000035"] {
            assert!(!HashPrefix::parse(other).unwrap().matches(&hash), "{other}");
        }
        for bad in ["", "abcde", "abcdeg", "abcdef120000000000000000000000340", "é12345"] {
            assert_eq!(HashPrefix::parse(bad), None, "{bad}");
        }
    }
}
