//! Consumers and their credentials: who calls, and by which key.
//!
//! A credential holds the SHA-256 digest of a key and never the key. Keys made by `keys new` have 256 random bits, so a
//! fast hash is right and a slow one would only be a way to exhaust the gate.

use crate::domain::denial::Reason;
use crate::domain::limit::Quota;
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::login::Login;
use crate::domain::rules::route::RouteRule;
use crate::domain::rules::session_mode::SessionMode;
use crate::domain::types::Wall;
use ahash::AHashMap;
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// SHA-256 digest of a whole key as it is sent.
pub type KeyDigest = [u8; 32];

/// Digests a key.
#[must_use]
pub fn digest(key: &[u8]) -> KeyDigest {
    Sha256::digest(key).into()
}

/// Who calls: a shop, a partner.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub name: Arc<str>,
    pub credentials: Vec<Credential>,
    /// Networks the keys may be used from. `None` is everywhere.
    pub allow_from: Option<Vec<IpNet>>,
    /// Routes the consumer may use. `None` is all. Login routes are implied.
    pub allow: Option<Vec<RouteRule>>,
    /// Routes the consumer may not use; wins over `allow` and over implied routes.
    pub deny: Vec<RouteRule>,
    /// What the consumer may use in all. `None` is without limit.
    pub rate_limit: Option<Quota>,
    /// What it may use of the routes that each rule covers; the first rule that covers a request counts.
    pub route_limits: Vec<(RouteRule, Quota)>,
    /// Whether its quotas, address and route rules refuse.
    pub enforce: Enforce,
    /// What happens to its tokens, where that is not what the gate does.
    pub session: Option<SessionMode>,
    /// How the gate logs in for it, where it keeps its session.
    pub login: Option<Arc<Login>>,
}

impl Consumer {
    /// A consumer that may do everything, from everywhere, without limit.
    #[must_use]
    pub fn named(name: &str, credentials: Vec<Credential>) -> Self {
        Self {
            name: name.into(),
            credentials,
            allow_from: None,
            allow: None,
            deny: Vec::new(),
            rate_limit: None,
            route_limits: Vec::new(),
            enforce: Enforce::On,
            session: None,
            login: None,
        }
    }

    /// True when the consumer's keys may be used from `address`.
    #[must_use]
    pub fn may_call_from(&self, address: IpAddr) -> bool {
        self.allow_from.as_ref().is_none_or(|networks| networks.iter().any(|network| network.contains(&address)))
    }
}

/// One API key of a consumer.
#[derive(Clone, Debug)]
pub struct Credential {
    pub id: Arc<str>,
    pub digest: KeyDigest,
    /// The first instant at which the key is no longer valid. `None` never expires.
    pub expires: Option<Wall>,
    pub enabled: bool,
    /// The day the key was made, at its first instant, as far as the configuration says it. No decision depends on it.
    pub created: Option<Wall>,
    /// It is the upstream key itself, for a change-over. No decision depends on it.
    pub is_upstream_key: bool,
}

impl Credential {
    /// An enabled key that never expires, with a digest that no key has.
    #[must_use]
    pub fn named(id: &str) -> Self {
        Self { id: id.into(), digest: [0; 32], expires: None, enabled: true, created: None, is_upstream_key: false }
    }

    /// Why the key may not be used, if it may not.
    #[must_use]
    pub fn refusal_at(&self, now: Wall) -> Option<Reason> {
        if !self.enabled {
            Some(Reason::KeyDisabled)
        } else if self.expires.is_some_and(|end| now >= end) {
            Some(Reason::KeyExpired)
        } else {
            None
        }
    }
}

/// All consumers, with an index from digest to credential.
#[derive(Clone, Debug, Default)]
pub struct ConsumerTable {
    consumers: Vec<Consumer>,
    /// Keyed by the first half of the digest; the hash is seeded per process.
    by_digest: AHashMap<[u8; 16], (usize, usize)>,
}

/// What a presented key turned out to be.
#[derive(Clone, Copy, Debug)]
pub enum KeyLookup<'t> {
    Valid(&'t Consumer, &'t Credential),
    /// The key is a known one that may no longer be used; for the log only.
    Refused(&'t Consumer, &'t Credential, Reason),
    Unknown,
}

impl ConsumerTable {
    /// Builds the index. Two credentials with one digest are refused by the configuration; here the first one wins.
    #[must_use]
    pub fn new(consumers: Vec<Consumer>) -> Self {
        let mut by_digest = AHashMap::new();
        for (c, consumer) in consumers.iter().enumerate() {
            for (k, credential) in consumer.credentials.iter().enumerate() {
                by_digest.entry(half(&credential.digest)).or_insert((c, k));
            }
        }
        Self { consumers, by_digest }
    }

    /// Looks a key up. Known or not, the work is one digest, one index probe and one comparison in constant time.
    #[must_use]
    pub fn lookup(&self, key: &[u8], now: Wall) -> KeyLookup<'_> {
        const NOBODY: KeyDigest = [0; 32];
        let presented = digest(key);
        let found = self.by_digest.get(&half(&presented)).map(|(c, k)| {
            let consumer = &self.consumers[*c];
            (consumer, &consumer.credentials[*k])
        });
        let expected = found.map_or(&NOBODY, |(_, credential)| &credential.digest);
        let same = bool::from(expected.ct_eq(&presented));
        match found {
            Some((consumer, credential)) if same => match credential.refusal_at(now) {
                Some(why) => KeyLookup::Refused(consumer, credential, why),
                None => KeyLookup::Valid(consumer, credential),
            },
            _ => KeyLookup::Unknown,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.consumers.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.consumers.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.consumers.is_empty()
    }
}

fn half(digest: &KeyDigest) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::credential;

    fn table() -> ConsumerTable {
        let credentials = vec![
            credential("k1", "first"),
            Credential { expires: Some(Wall(1_000)), ..credential("k2", "second") },
            Credential { enabled: false, ..credential("k3", "third") },
        ];
        let allow_from = Some(vec!["192.0.2.0/24".parse().unwrap()]);
        ConsumerTable::new(vec![Consumer { allow_from, ..Consumer::named("shop", credentials) }])
    }

    fn id(lookup: KeyLookup<'_>) -> String {
        match lookup {
            KeyLookup::Valid(consumer, credential) => format!("{}/{}", consumer.name, credential.id),
            KeyLookup::Refused(_, credential, why) => format!("{} {}", credential.id, why.as_str()),
            KeyLookup::Unknown => "unknown".into(),
        }
    }

    #[test]
    fn keys_are_found_by_digest() {
        let table = table();
        assert_eq!(id(table.lookup(b"first", Wall(0))), "shop/k1");
        assert_eq!(id(table.lookup(b"First", Wall(0))), "unknown");
        assert_eq!(id(table.lookup(b"", Wall(0))), "unknown");
    }

    #[test]
    fn a_key_ends_at_its_expiry_and_not_before() {
        let table = table();
        assert_eq!(id(table.lookup(b"second", Wall(999))), "shop/k2");
        assert_eq!(id(table.lookup(b"second", Wall(1_000))), "k2 key expired");
        assert_eq!(id(table.lookup(b"third", Wall(0))), "k3 key disabled");
    }

    #[test]
    fn addresses_are_matched_by_network() {
        let table = table();
        let consumer = table.iter().next().unwrap();
        assert!(consumer.may_call_from("192.0.2.77".parse().unwrap()));
        assert!(!consumer.may_call_from("198.51.100.1".parse().unwrap()));
    }
}
