//! When each key was last accepted: what an admin wants to know before a key is revoked.
//!
//! Keyed by the names of the configuration, and bounded by it. A key that is replaced under the same id starts anew.

use crate::domain::rules::consumer::{ConsumerTable, KeyDigest};
use crate::domain::types::Wall;
use ahash::AHashMap;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// What stands for "never".
const NEVER: i64 = i64::MIN;

/// Uses are told apart by the second: a busy key is written to once a second and not by every request.
const RESOLUTION: i64 = 1000;

/// The last use of every configured key. Marking one takes a shared lock and allocates nothing.
#[derive(Debug, Default)]
pub struct KeyUses {
    consumers: RwLock<AHashMap<Arc<str>, Vec<KeyUse>>>,
    /// Something was marked since [`KeyUses::take_changed`].
    changed: AtomicBool,
}

#[derive(Debug)]
struct KeyUse {
    id: Arc<str>,
    digest: KeyDigest,
    /// Milliseconds since the epoch, or [`NEVER`].
    last: AtomicI64,
}

/// One key that was used, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    pub consumer: Arc<str>,
    pub key_id: Arc<str>,
    pub at: Wall,
}

impl KeyUses {
    /// Makes the table follow a configuration. What is known of keys that stay is kept.
    pub fn adopt(&self, consumers: &ConsumerTable) {
        let mut known = self.consumers.write();
        let next = consumers.iter().map(|consumer| {
            let before = known.get(&consumer.name);
            let uses = consumer.credentials.iter().map(|credential| {
                let same = |old: &&KeyUse| old.id == credential.id && old.digest == credential.digest;
                let last = before.and_then(|keys| keys.iter().find(same)).map_or(NEVER, KeyUse::load);
                KeyUse { id: Arc::clone(&credential.id), digest: credential.digest, last: AtomicI64::new(last) }
            });
            (Arc::clone(&consumer.name), uses.collect())
        });
        *known = next.collect();
    }

    /// A key was accepted. True the first time. A key that is not configured is passed over.
    pub fn mark(&self, consumer: &str, key_id: &str, now: Wall) -> bool {
        let known = self.consumers.read();
        let Some(key) = known.get(consumer).and_then(|keys| keys.iter().find(|key| key.id.as_ref() == key_id)) else {
            return false;
        };
        let last = key.load();
        if last != NEVER && now.0 < last.saturating_add(RESOLUTION) {
            return false;
        }
        let won = key.last.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if won {
            self.changed.store(true, Ordering::Relaxed);
        }
        won && last == NEVER
    }

    /// Takes over what was known before a restart, of keys that are configured and were not used since.
    pub fn restore(&self, uses: impl IntoIterator<Item = LastUse>) {
        let known = self.consumers.read();
        for LastUse { consumer, key_id, at } in uses {
            if let Some(key) = known.get(&consumer).and_then(|keys| keys.iter().find(|key| key.id == key_id)) {
                key.last.fetch_max(at.0, Ordering::Relaxed);
            }
        }
    }

    /// When a key was last accepted, if ever.
    #[must_use]
    pub fn last(&self, consumer: &str, key_id: &str) -> Option<Wall> {
        let known = self.consumers.read();
        let last = known.get(consumer)?.iter().find(|key| key.id.as_ref() == key_id)?.load();
        (last != NEVER).then_some(Wall(last))
    }

    /// Every key that was used, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<LastUse> {
        let known = self.consumers.read();
        let used = known.iter().flat_map(|(consumer, keys)| {
            keys.iter().filter(|key| key.load() != NEVER).map(|key| LastUse {
                consumer: Arc::clone(consumer),
                key_id: Arc::clone(&key.id),
                at: Wall(key.load()),
            })
        });
        used.collect()
    }

    /// Whether something was marked since the last call.
    pub fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// What was taken could not be written down: the next call says so again.
    pub fn set_changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }
}

impl KeyUse {
    fn load(&self) -> i64 {
        self.last.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::consumer::{Consumer, Credential};

    fn table(name: &str, keys: &[(&str, u8)]) -> ConsumerTable {
        let credential = |(id, digest): &(&str, u8)| Credential { digest: [*digest; 32], ..Credential::named(id) };
        ConsumerTable::new(vec![Consumer::named(name, keys.iter().map(credential).collect())])
    }

    #[test]
    fn the_first_use_is_told_and_the_last_one_kept() {
        let uses = KeyUses::default();
        uses.adopt(&table("shop", &[("k1", 1), ("k2", 2)]));
        assert!(!uses.take_changed());
        assert!(uses.mark("shop", "k1", Wall(5_000)));
        assert!(!uses.mark("shop", "k1", Wall(5_500)), "within a second");
        assert!(!uses.mark("shop", "k1", Wall(9_000)));
        assert!(!uses.mark("shop", "k1", Wall(7_000)), "a clock that goes back");
        assert_eq!((uses.last("shop", "k1"), uses.last("shop", "k2")), (Some(Wall(9_000)), None));
        assert!(uses.take_changed() && !uses.take_changed());
        assert_eq!(uses.all(), [LastUse { consumer: "shop".into(), key_id: "k1".into(), at: Wall(9_000) }]);
    }

    #[test]
    fn nothing_is_kept_of_what_is_not_configured() {
        let uses = KeyUses::default();
        uses.adopt(&table("shop", &[("k1", 1)]));
        assert!(!uses.mark("shop", "k9", Wall(1)) && !uses.mark("other", "k1", Wall(1)));
        let of =
            |consumer: &str, key_id: &str| LastUse { consumer: consumer.into(), key_id: key_id.into(), at: Wall(7) };
        uses.restore([of("shop", "k1"), of("shop", "k9"), of("other", "k1")]);
        assert_eq!(uses.all(), [of("shop", "k1")]);
    }

    #[test]
    fn a_reload_keeps_the_same_key_and_forgets_another_under_its_id() {
        let uses = KeyUses::default();
        uses.adopt(&table("shop", &[("k1", 1), ("k2", 2)]));
        uses.mark("shop", "k1", Wall(1_000));
        uses.mark("shop", "k2", Wall(2_000));
        uses.adopt(&table("shop", &[("k2", 2), ("k1", 9)]));
        assert_eq!((uses.last("shop", "k1"), uses.last("shop", "k2")), (None, Some(Wall(2_000))));
        uses.adopt(&table("renamed", &[("k2", 2)]));
        assert_eq!(uses.all(), []);
    }
}
