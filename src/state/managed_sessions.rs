//! The sessions that the gate keeps itself, on disk: one file that is replaced whole, sealed under a key that is made
//! from the secret of the state directory. Whoever has only the file learns nothing from it but its length.

use super::StateDirectory;
use crate::domain::session::managed::{AccountKey, Kept};
use crate::domain::types::Wall;
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

const NAME: &str = "managed-sessions";

/// What the seal is bound to: this use of the key, and this form of the file.
const PURPOSE: &[u8] = b"sensgate managed sessions 1";

/// More than the file of a configuration of the largest size could need.
const MAX: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Content {
    /// Which 8sens they are sessions of.
    upstream: String,
    /// Milliseconds since the epoch.
    written: i64,
    sessions: Vec<Session>,
}

#[derive(Serialize, Deserialize)]
struct Session {
    user: String,
    consumer: Option<String>,
    generation: u64,
    token: String,
    /// Milliseconds, as of the writing.
    age: u64,
    idle: u64,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

impl StateDirectory {
    /// The sessions that were written last, as old as they are now; none when there is no file, when it was written for
    /// another 8sens or under another secret, or when the wall clock went back since.
    #[must_use]
    pub fn read_managed_sessions(&self, secret: &[u8; 32], upstream: &str, now: Wall) -> Vec<Kept> {
        let path = self.path().join(NAME);
        let mut sealed = Zeroizing::new(Vec::new());
        match File::open(&path).and_then(|file| file.take(MAX).read_to_end(&mut sealed)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                let file = path.display();
                tracing::warn!(%file, %error, "managed sessions cannot be read; the gate logs in anew");
                return Vec::new();
            }
        }
        let Some(content) = unsealed(secret, &mut sealed) else {
            tracing::warn!(file = %path.display(), "managed sessions are damaged; the gate logs in anew");
            return Vec::new();
        };
        let Some(since) = u64::try_from(now.0.saturating_sub(content.written)).ok().map(Duration::from_millis) else {
            return Vec::new();
        };
        if content.upstream != upstream {
            return Vec::new();
        }
        let kept = |session: &Session| Kept {
            key: AccountKey::from_parts(&session.user, session.consumer.as_deref()),
            generation: session.generation,
            token: SecretString::from(session.token.clone()),
            age: since.saturating_add(Duration::from_millis(session.age)),
            idle: since.saturating_add(Duration::from_millis(session.idle)),
        };
        content.sessions.iter().map(kept).collect()
    }

    /// Removes what was written, if anything was.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_managed_sessions(&self) -> io::Result<()> {
        match std::fs::remove_file(self.path().join(NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Replaces the file: after a power cut it is the old one or the new one.
    ///
    /// # Errors
    /// When there is no randomness, or the file cannot be written or renamed.
    pub fn write_managed_sessions(
        &self,
        secret: &[u8; 32],
        upstream: &str,
        sessions: &[Kept],
        now: Wall,
    ) -> io::Result<()> {
        let session = |kept: &Kept| {
            let (user, consumer) = kept.key.parts();
            Session {
                user: user.to_owned(),
                consumer: consumer.map(str::to_owned),
                generation: kept.generation,
                token: kept.token.expose_secret().to_owned(),
                age: millis(kept.age),
                idle: millis(kept.idle),
            }
        };
        let sessions = sessions.iter().map(session).collect();
        let content = Content { upstream: upstream.to_owned(), written: now.0, sessions };
        self.replace(NAME, &sealed(secret, &content)?)
    }
}

/// Milliseconds, rounded up: a restart prolongs nothing.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn sealed(secret: &[u8; 32], content: &Content) -> io::Result<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|error| io::Error::other(error.to_string()))?;
    let mut bytes = Zeroizing::new(serde_json::to_vec(content)?);
    let key = key(secret).ok_or_else(|| io::Error::other("the content cannot be sealed"))?;
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(PURPOSE), &mut bytes);
    let tag = tag.map_err(|_| io::Error::other("the content cannot be sealed"))?;
    Ok([&nonce[..], &bytes, tag.as_ref()].concat())
}

fn unsealed(secret: &[u8; 32], sealed: &mut [u8]) -> Option<Content> {
    let (nonce, sealed) = sealed.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let content = key(secret)?.open_in_place(nonce, Aad::from(PURPOSE), sealed).ok()?;
    serde_json::from_slice(content).ok()
}

/// A key for this purpose alone (RFC 5869 section 2.3, with one block of output): the secret itself keys hashes.
fn key(secret: &[u8; 32]) -> Option<LessSafeKey> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(PURPOSE);
    mac.update(&[1]);
    let key = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
    UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn kept(consumer: Option<&str>, token: &str) -> Kept {
        Kept {
            key: AccountKey::from_parts("CLIENTREST", consumer),
            generation: 3,
            token: token.to_owned().into(),
            age: Duration::from_secs(100),
            idle: Duration::from_micros(1_001),
        }
    }

    #[test]
    fn sessions_come_back_older_and_only_to_whom_they_belong() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(folder.path()).unwrap();
        let read =
            |secret: &[u8; 32], upstream: &str, now| directory.read_managed_sessions(secret, upstream, Wall(now));
        assert!(read(&SECRET, "erp:8082", 0).is_empty());
        let sessions = [kept(None, "shared-token"), kept(Some("paris"), "own-token")];
        directory.write_managed_sessions(&SECRET, "erp:8082", &sessions, Wall(1_000)).unwrap();
        let back = read(&SECRET, "erp:8082", 3_000);
        assert_eq!(back.len(), 2);
        assert_eq!((back[1].key.clone(), back[1].token.expose_secret()), (sessions[1].key.clone(), "own-token"));
        assert_eq!((back[0].age, back[0].idle), (Duration::from_secs(102), Duration::from_millis(2_002)));
        assert!(read(&SECRET, "erp:8083", 3_000).is_empty(), "another 8sens");
        assert!(read(&[8; 32], "erp:8082", 3_000).is_empty(), "another secret");
        assert!(read(&SECRET, "erp:8082", 999).is_empty(), "the clock went back");
    }

    #[test]
    fn the_file_shows_nothing_and_a_changed_one_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(folder.path()).unwrap();
        directory.write_managed_sessions(&SECRET, "erp:8082", &[kept(None, "a-token")], Wall(0)).unwrap();
        let path = folder.path().join(NAME);
        let bytes = std::fs::read(&path).unwrap();
        for word in ["a-token", "CLIENTREST", "erp"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
        }
        for changed in [0, NONCE_LEN, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[changed] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert!(directory.read_managed_sessions(&SECRET, "erp:8082", Wall(0)).is_empty(), "{changed}");
        }
        std::fs::write(&path, b"short").unwrap();
        assert!(directory.read_managed_sessions(&SECRET, "erp:8082", Wall(0)).is_empty());
    }
}
