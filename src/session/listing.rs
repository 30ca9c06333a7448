//! What an operator sees of the sessions, and what the state file is rewritten from.

use super::hash::{HashPrefix, SessionHash};
use super::limits::SessionLimits;
use super::log_record::Record;
use super::owners::Owner;
use super::table::SessionTable;
use crate::types::{Mono, Now};
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

    /// The live sessions in the order of their hashes, the first `limit` (at most [`SessionTable::MAX_PAGE`]) after `after`.
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

    /// Hands every live place to `each` as the record that would restore it, in no order: what a compacted log consists of.
    ///
    /// `each` runs while a shard is locked and must not call the table. What changes meanwhile may or may not be told; the records of
    /// such changes belong behind these.
    pub fn export(&self, now: Now, limits: &SessionLimits, mut each: impl FnMut(Record)) {
        for entry in &self.map {
            for owner in entry.value().iter() {
                if let Some(listed) = self.listed(owner, now.mono, limits) {
                    each(Record::Learn {
                        at: now.wall,
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
