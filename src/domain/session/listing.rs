//! What an operator sees of the sessions, and what the state file is rewritten from.

use super::hash::{HashPrefix, SessionHash};
use super::limits::SessionLimits;
use super::log_record::LogRecord;
use super::owners::Owner;
use super::table::SessionTable;
use crate::domain::types::{Mono, Now};
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

/// One live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    pub hash: SessionHash,
    /// The live owners, one to four.
    pub owners: Vec<ListedOwner>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedOwner {
    pub consumer: Arc<str>,
    /// The credential whose login made it an owner.
    pub credential: Arc<str>,
    /// How long it stays live without use.
    pub idle_left: Duration,
}

/// What became of [`SessionTable::end_by_hash`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedByHash {
    Ended {
        hash: SessionHash,
        owners: usize,
    },
    /// More than one session begins with these digits; none was ended.
    Ambiguous,
    NotFound,
}

impl SessionTable {
    /// Most sessions in one page.
    pub const MAX_PAGE: usize = 1_000;

    /// The live sessions in the order of their hashes, the first `limit` (at most [`SessionTable::MAX_PAGE`]) after
    /// `after`.
    ///
    /// Looks at every session and locks one shard at a time: for an operator's command, not for a request.
    #[must_use]
    pub fn list(
        &self,
        after: Option<SessionHash>,
        limit: usize,
        now: Mono,
        limits: &SessionLimits,
    ) -> Vec<ListedSession> {
        let limit = limit.min(Self::MAX_PAGE);
        let mut page = BinaryHeap::with_capacity(limit + 1);
        for entry in &self.map {
            let live = || entry.value().iter().any(|owner| owner.last_use.elapsed(now) < limits.live());
            if after.is_none_or(|after| *entry.key() > after) && live() {
                page.push(*entry.key());
                if page.len() > limit {
                    page.pop();
                }
            }
        }
        let sessions = page.into_sorted_vec().into_iter().filter_map(|hash| {
            let owners: Vec<Owner> = self.map.get(&hash)?.iter().copied().collect();
            let owners: Vec<_> = owners.iter().filter_map(|owner| self.listed(owner, now, limits)).collect();
            (!owners.is_empty()).then_some(ListedSession { hash, owners })
        });
        sessions.collect()
    }

    /// Ends the one session whose hash begins with these digits, for all its owners. Looks at every session.
    pub fn end_by_hash(&self, prefix: &HashPrefix) -> EndedByHash {
        let mut found = None;
        for entry in &self.map {
            if prefix.matches(entry.key()) && found.replace(*entry.key()).is_some() {
                return EndedByHash::Ambiguous;
            }
        }
        match found.map(|hash| (hash, self.end(&hash))) {
            Some((hash, owners)) if owners > 0 => EndedByHash::Ended { hash, owners },
            _ => EndedByHash::NotFound,
        }
    }

    /// Hands every live entry to `each` as the record that would restore it, in no order: what a compacted log consists
    /// of.
    ///
    /// `each` runs while a shard is locked and must not call the table. What changes meanwhile may or may not be told;
    /// the records of such changes belong behind these.
    pub fn export(&self, now: Now, limits: &SessionLimits, mut each: impl FnMut(LogRecord)) {
        for entry in &self.map {
            for owner in entry.value().iter() {
                if let Some(listed) = self.listed(owner, now.mono, limits) {
                    each(LogRecord::Learn {
                        at: now,
                        idle: owner.last_use.elapsed(now.mono),
                        hash: *entry.key(),
                        consumer: listed.consumer,
                        credential: listed.credential,
                    });
                }
            }
        }
    }

    /// `None` when the owner expired or left.
    fn listed(&self, owner: &Owner, now: Mono, limits: &SessionLimits) -> Option<ListedOwner> {
        let idle_left = limits.live().checked_sub(owner.last_use.elapsed(now)).filter(|left| !left.is_zero())?;
        let (consumer, credential) = self.callers.describe(owner.caller)?;
        Some(ListedOwner { consumer, credential, idle_left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::types::Wall;
    use zeroize::Zeroizing;

    const LIMITS: SessionLimits = SessionLimits {
        idle_timeout: Duration::from_secs(900),
        margin: Duration::from_secs(30),
        linger: Duration::ZERO,
        per_consumer: 5_000,
        total: 5_000,
    };

    fn table(tokens: u32) -> SessionTable {
        let table = SessionTable::new(&Zeroizing::new([7; 32]));
        table.set_consumers(["a", "b"].map(|name| (name, ["k"])));
        let caller = table.caller("a", "k").unwrap();
        for token in 0..tokens {
            let _ = table.learn(table.hash(&token.to_le_bytes()), caller, Mono(0), &LIMITS);
        }
        table
    }

    #[test]
    fn pages_hold_every_session_once_and_in_order() {
        let table = table(2_500);
        let mut seen = Vec::new();
        loop {
            let after = seen.last().copied();
            let page = table.list(after, usize::MAX, Mono(0), &LIMITS);
            assert!(page.len() <= SessionTable::MAX_PAGE);
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|session| session.hash));
        }
        assert_eq!(seen.len(), 2_500);
        assert!(seen.is_sorted());
        assert!(table.list(None, 0, Mono(0), &LIMITS).is_empty());
    }

    #[test]
    fn a_session_is_listed_with_its_live_owners() {
        let table = table(1);
        let second = |second: u64| Mono(second * 1_000_000_000);
        let hash = table.hash(&0_u32.to_le_bytes());
        let _ = table.learn(hash, table.caller("b", "k").unwrap(), second(500), &LIMITS);
        let owners = |now| -> Vec<(String, u64)> {
            let sessions = table.list(None, 10, second(now), &LIMITS);
            let owners = sessions.into_iter().flat_map(|session| session.owners);
            owners.map(|owner| (owner.consumer.to_string(), owner.idle_left.as_secs())).collect()
        };
        assert_eq!(owners(600), [("a".into(), 270), ("b".into(), 770)]);
        assert_eq!(owners(870), [("b".into(), 500)]);
        assert_eq!(owners(1_370), []);
    }

    #[test]
    fn what_is_exported_are_the_live_entries() {
        let table = table(2);
        let now = Now { mono: Mono(900_000_000_000), wall: Wall(1_700_000_000_000) };
        let hash = table.hash(&1_u32.to_le_bytes());
        let _ = table.learn(hash, table.caller("b", "k").unwrap(), Mono(600_000_000_000), &LIMITS);
        let mut exported = Vec::new();
        table.export(now, &LIMITS, |record| exported.push(record));
        let (consumer, credential, idle) = ("b".into(), "k".into(), Duration::from_secs(300));
        assert_eq!(exported, [LogRecord::Learn { at: now, idle, hash, consumer, credential }]);
    }

    #[test]
    fn a_prefix_ends_one_session_or_none() {
        let table = table(3);
        let hash = table.hash(&1_u32.to_le_bytes());
        let prefix = |text: &str| HashPrefix::parse(text).unwrap();
        assert_eq!(table.end_by_hash(&prefix(&hash.short())), EndedByHash::Ended { hash, owners: 1 });
        assert_eq!(table.end_by_hash(&prefix(&hash.short())), EndedByHash::NotFound);
        assert_eq!(table.len(), 2);
        let caller = table.caller("a", "k").unwrap();
        for last in [1, 2] {
            let mut bytes = [0xab; 16];
            bytes[15] = last;
            let _ = table.learn(SessionHash::from_bytes(bytes), caller, Mono(0), &LIMITS);
        }
        assert_eq!(table.end_by_hash(&prefix("ababab")), EndedByHash::Ambiguous);
        assert_eq!(table.len(), 4);
        assert!(matches!(table.end_by_hash(&prefix(&format!("{}01", "ab".repeat(15)))), EndedByHash::Ended { .. }));
    }
}
