//! What the certificate authority asks for over HTTP, and the answers (HTTP-01, RFC 8555 section 8.3).

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Where it asks: this, and a token.
pub const PREFIX: &str = "/.well-known/acme-challenge/";

/// Challenges that are open at the same time. An order has at most a hundred names, and one order runs at a time.
const MAX_OPEN: usize = 256;

/// The open challenges of all listeners. Whether there are any or not, the path is the gate's own once a listener uses
/// ACME.
#[derive(Debug, Default)]
pub struct Challenges {
    open: Mutex<HashMap<Box<str>, Box<str>>>,
    active: bool,
}

impl Challenges {
    /// `active` says whether any listener has its certificate by ACME.
    #[must_use]
    pub fn new(active: bool) -> Self {
        Self { open: Mutex::default(), active }
    }

    /// The token that a path asks for, which need not be one that is known; `None` when the path belongs to 8sens.
    #[must_use]
    pub fn token_in<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        path.strip_prefix(PREFIX.as_bytes()).filter(|_| self.active)
    }

    /// The key authorization that belongs to a token.
    #[must_use]
    pub fn answer(&self, token: &[u8]) -> Option<Box<str>> {
        self.open.lock().get(std::str::from_utf8(token).ok()?).cloned()
    }

    /// Answers a token until the guard is dropped. `None` when the token is none (base64url, RFC 8555 section 8.3) or
    /// too many are open.
    #[must_use]
    pub fn open(self: &Arc<Self>, token: &str, key_authorization: &str) -> Option<Open> {
        let good = (16..=256).contains(&token.len())
            && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let mut open = self.open.lock();
        if !good || open.len() >= MAX_OPEN {
            return None;
        }
        open.insert(token.into(), key_authorization.into());
        Some(Open { challenges: Arc::clone(self), token: token.into() })
    }
}

/// One token that is answered.
#[derive(Debug)]
pub struct Open {
    challenges: Arc<Challenges>,
    token: Box<str>,
}

impl Open {
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.challenges.open.lock().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

    #[test]
    fn a_token_is_answered_while_it_is_open() {
        let challenges = Arc::new(Challenges::new(true));
        let path = format!("{PREFIX}{TOKEN}");
        let token = challenges.token_in(path.as_bytes()).unwrap();
        assert_eq!(challenges.answer(token), None);
        let open = challenges.open(TOKEN, "authorization").unwrap();
        assert_eq!(challenges.answer(token).as_deref(), Some("authorization"));
        drop(open);
        assert_eq!(challenges.answer(token), None);
    }

    #[test]
    fn the_path_is_the_gates_own_only_with_acme() {
        assert!(Challenges::new(false).token_in(b"/.well-known/acme-challenge/x").is_none());
        let challenges = Challenges::new(true);
        for path in ["/", "/.well-known/", "/.well-known/acme-challenge", "/.well-known/security.txt"] {
            assert!(challenges.token_in(path.as_bytes()).is_none(), "{path}");
        }
    }

    #[test]
    fn what_is_no_token_and_what_is_too_much_is_not_opened() {
        let challenges = Arc::new(Challenges::new(true));
        for bad in ["", "short", &format!("{TOKEN}/x"), &format!("{TOKEN}."), &"a".repeat(257)] {
            assert!(challenges.open(bad, "x").is_none(), "{bad}");
        }
        let open: Vec<_> = (0..MAX_OPEN).map(|i| challenges.open(&format!("{TOKEN}{i}"), "x").unwrap()).collect();
        assert!(challenges.open(TOKEN, "x").is_none());
        drop(open);
        assert!(challenges.open(TOKEN, "x").is_some());
    }
}
