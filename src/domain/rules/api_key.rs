//! The shape of the API keys made here: `sgk_<id>_<secret><check>`.
//!
//! The prefix lets secret scanners find a leaked key. The id is the credential's, so that a holder can say which key is
//! meant without showing it. The secret is 256 random bits, as 44 characters of `[0-9A-Za-z]`. The check is the CRC-32
//! of everything before it, as 6 such characters: a key cut short by a bad paste is told apart from a wrong one. It
//! protects nothing.
//!
//! The gate accepts keys of any shape: this one is only what `keys new` makes.

use secrecy::SecretString;
use zeroize::Zeroizing;

/// What every key made here starts with.
pub const PREFIX: &str = "sgk_";
/// Longest id of a credential in a key, in bytes.
pub const MAX_ID: usize = 64;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62²² > 2¹²⁸.
const HALF_SECRET: usize = 22;
/// 62⁶ > 2³².
const CHECK: usize = 6;

/// The id cannot be in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id cannot be in a key")]
pub struct InvalidId;

/// Makes a key from 32 random bytes; at most 119 bytes long.
///
/// # Errors
/// When the id is not 1 to 64 bytes of `[A-Za-z0-9._-]`.
pub fn make(id: &str, random: &[u8; 32]) -> Result<SecretString, InvalidId> {
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(is_id_byte) {
        return Err(InvalidId);
    }
    let length = PREFIX.len() + id.len() + 1 + 2 * HALF_SECRET + CHECK;
    // Of the right size from the start, so that nothing is copied on the way and left behind.
    let mut key = Zeroizing::new(String::with_capacity(length));
    key.push_str(PREFIX);
    key.push_str(id);
    key.push('_');
    let (halves, _) = random.as_chunks::<16>();
    for half in halves {
        push_base62(&mut key, u128::from_be_bytes(*half), HALF_SECRET);
    }
    let check = crc32fast::hash(key.as_bytes());
    push_base62(&mut key, check.into(), CHECK);
    Ok(std::mem::take(&mut *key).into())
}

/// Whether the check of a key holds. `None` for a key of another shape, `Some(false)` for one of ours that was cut
/// short or mistyped.
#[must_use]
pub fn checksum_holds(key: &[u8]) -> Option<bool> {
    let rest = key.strip_prefix(PREFIX.as_bytes())?;
    let Some((_, check)) = key.split_last_chunk::<CHECK>() else { return Some(false) };
    let mut number = crc32fast::hash(&key[..key.len() - CHECK]);
    // Without memory of its own: the gate asks on its way to a refusal.
    let expected: [u8; CHECK] = std::array::from_fn(|_| {
        let digit = ALPHABET[(number % 62) as usize];
        number /= 62;
        digit
    });
    let has_all_parts = rest.len() > 1 + 2 * HALF_SECRET + CHECK;
    Some(has_all_parts && expected == *check)
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Appends `number` in exactly `width` digits, the least significant first.
fn push_base62(text: &mut String, mut number: u128, width: usize) {
    for _ in 0..width {
        // A remainder of 62 is an index into 62 letters.
        text.push(char::from(ALPHABET[(number % 62) as usize]));
        number /= 62;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    fn key(id: &str, random: [u8; 32]) -> String {
        make(id, &random).unwrap().expose_secret().to_owned()
    }

    #[test]
    fn shape() {
        let zero = key("k1", [0; 32]);
        assert_eq!(&zero[..51], format!("sgk_k1_{}", "0".repeat(44)));
        assert_eq!(zero.len(), 57);
        let ones = key("k1", [0xff; 32]);
        assert_ne!(ones[7..51], zero[7..51]);
        assert!(ones[7..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(key(&"i".repeat(MAX_ID), [1; 32]).len(), 119);
    }

    #[test]
    fn a_known_key_stays_the_same() {
        let random = std::array::from_fn(|n| u8::try_from(n).unwrap());
        // Worked out apart from this code.
        assert_eq!(key("k1", random), "sgk_k1_pwGQsuGOgEkxJiR7WYS0005vbNJqXhJWQc3OGBE4gJU0jBaLX3");
    }

    #[test]
    fn ids_that_cannot_stand_in_a_key() {
        for id in ["", "a b", "é", "a\n", "a/b", &"i".repeat(65)] {
            assert_eq!(make(id, &[0; 32]).unwrap_err(), InvalidId, "{id:?}");
        }
    }

    #[test]
    fn keys_of_another_shape_are_not_judged() {
        for other in [&b""[..], b"ZghY887665YhGH", b"SGK_k1_x", b"sgk", b"\xff\xfe"] {
            assert_eq!(checksum_holds(other), None, "{other:?}");
        }
        assert_eq!(checksum_holds(b"sgk_"), Some(false));
    }

    proptest! {
        #[test]
        fn a_made_key_holds_and_no_piece_of_it_does(
            id in "[A-Za-z0-9._-]{1,64}",
            random: [u8; 32],
            cut in 0usize..119,
        ) {
            let key = key(&id, random);
            prop_assert_eq!(checksum_holds(key.as_bytes()), Some(true));
            let cut = cut % key.len();
            prop_assert_ne!(checksum_holds(&key.as_bytes()[..cut]), Some(true));
        }

        #[test]
        fn one_wrong_byte_is_noticed(random: [u8; 32], at in 4usize..57, byte in "[A-Za-z0-9]") {
            let right = key("k1", random);
            let mut wrong = right.clone().into_bytes();
            wrong[at] = byte.as_bytes()[0];
            prop_assert_eq!(checksum_holds(&wrong), Some(wrong == right.as_bytes()));
        }

        #[test]
        fn different_random_bytes_make_different_keys(one: [u8; 32], other: [u8; 32]) {
            prop_assert_eq!(key("k1", one) == key("k1", other), one == other);
        }

        #[test]
        fn anything_may_be_asked(bytes: Vec<u8>) {
            prop_assert_ne!(checksum_holds(&bytes), Some(true));
        }
    }
}
