//! How a caller comes to own a token: by its own login answer, or by what an earlier process wrote down of one.

use super::callers::{CallerId, Member};
use super::hash::SessionHash;
use super::idle_queue::{IdleQueue, Item};
use super::limits::SessionLimits;
use super::owners::{Owner, Owners};
use super::restore::Restored;
use super::table::SessionTable;
use super::tick::Tick;
use crate::domain::types::Mono;
use dashmap::mapref::entry::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What came of a login answer.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learned {
    /// The token was not known.
    New { evicted: Evicted },
    /// The caller owned it already, live or expired.
    Renewed,
    /// Others hold entries on it: 8sens handed one token to several consumers. Worth an alarm.
    Shared {
        /// All owners with the caller, live or expired.
        owners: usize,
        evicted: Evicted,
    },
    /// Refused: the table is full and the caller's consumer has no entry to give.
    Full,
    /// Refused: the consumer or its credential left the configuration while the login was under way.
    Gone,
}

/// Who lost an entry to a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Live sessions of the same consumer, given up because a cap was reached; expired ones are not told.
    pub longest_idle: Vec<SessionHash>,
    /// The consumer that was the longest idle of four owners of the same token.
    pub displaced: Option<Arc<str>>,
}

/// Most entries of one consumer that one login gives up after a cap was lowered. Later logins go on with it.
const MOST_GIVEN_UP: usize = 16;

impl SessionTable {
    /// Makes the caller an owner of the token that 8sens's login answer handed to it. Nothing else makes owners.
    ///
    /// `now` is when the login was sent. At a cap, expired entries go first, then the longest idle ones of the same
    /// consumer; nobody else's are ever taken. The fifth owner of a token takes the slot of the longest idle of the
    /// four.
    pub fn learn(&self, hash: SessionHash, caller: CallerId, now: Mono, limits: &SessionLimits) -> Learned {
        self.enter(NewEntry { hash, caller, last_use: Tick::at(now) }, now, limits)
    }

    /// Restores what an earlier process recorded, under the caps. Returns how many entries were restored.
    pub fn load(&self, restored: &Restored, now: Mono, limits: &SessionLimits) -> usize {
        let entered = restored.entries.iter().filter(|entry| {
            let caller = self.caller(&entry.consumer, &entry.credential);
            caller.is_some_and(|caller| {
                let new = NewEntry { hash: entry.hash, caller, last_use: entry.last_use };
                matches!(self.enter(new, now, limits), Learned::New { .. } | Learned::Shared { .. })
            })
        });
        entered.count()
    }

    fn enter(&self, new: NewEntry, now: Mono, limits: &SessionLimits) -> Learned {
        let Some(member) = self.callers.member(new.caller.consumer()) else { return Learned::Gone };
        if let Some(learned) = self.try_enter(&member, new, now, limits, Room::Free) {
            return learned;
        }
        // Other consumers' queues are locked here, so the own one is not.
        self.sweep_expired(now, limits);
        self.try_enter(&member, new, now, limits, Room::FreeOrOwn).unwrap_or(Learned::Full)
    }

    /// `None` when there is no room of the kind asked for.
    fn try_enter(
        &self,
        member: &Member,
        new: NewEntry,
        now: Mono,
        limits: &SessionLimits,
        room: Room,
    ) -> Option<Learned> {
        let mut queue = member.queue.lock();
        // Asked under the lock of the queue: whoever leaves is taken out of the names first and out of the queue after.
        if !self.callers.admits(new.caller) {
            return Some(Learned::Gone);
        }
        if self.renew(&new) {
            return Some(Learned::Renewed);
        }
        if limits.per_consumer == 0 {
            return Some(Learned::Full);
        }
        let mut given_up = Vec::new();
        while member.entries.load(Ordering::Relaxed) >= limits.per_consumer && given_up.len() < MOST_GIVEN_UP {
            let Some(item) = self.give_up_longest_idle(member, &mut queue) else { break };
            given_up.push(item);
        }
        if given_up.is_empty() && !self.reserve(limits.total) {
            match room {
                Room::Free => return None,
                Room::FreeOrOwn => given_up.push(self.give_up_longest_idle(member, &mut queue)?),
            }
        }
        // One of the entries given up is taken by the new one.
        self.total.fetch_sub(given_up.len().saturating_sub(1), Ordering::Relaxed);
        let longest_idle =
            given_up.iter().filter(|item| item.queued.elapsed(now) < limits.live()).map(|item| item.hash).collect();
        Some(self.insert(member, &mut queue, new, longest_idle))
    }

    /// True when the caller's consumer owns the token already; its last use is then the new one.
    fn renew(&self, new: &NewEntry) -> bool {
        let Some(mut owners) = self.map.get_mut(&new.hash) else { return false };
        let Some(owner) = owners.get_mut(new.caller.consumer()) else { return false };
        owner.last_use = owner.last_use.max(new.last_use);
        owner.caller = new.caller;
        true
    }

    /// Puts a new entry in; the caller of this function has counted it in the total.
    fn insert(&self, member: &Member, queue: &mut IdleQueue, new: NewEntry, longest_idle: Vec<SessionHash>) -> Learned {
        let entries = member.entries.fetch_add(1, Ordering::Relaxed) + 1;
        if queue.front().is_none() {
            self.occupied.lock().add(member.id);
        }
        queue.push(Item { queued: new.last_use, hash: new.hash });
        let owner = Owner { caller: new.caller, last_use: new.last_use, queued: new.last_use };
        let (owners, displaced) = match self.map.entry(new.hash) {
            Entry::Vacant(entry) => {
                entry.insert(Owners::one(owner));
                (1, None)
            }
            Entry::Occupied(mut entry) => {
                let displaced = entry.get_mut().add(owner);
                (entry.get().len(), displaced)
            }
        };
        if queue.is_littered(entries) {
            queue.retain(|item| self.is_current(&item, member.id));
        }
        let displaced = displaced.and_then(|owner| self.release(owner.caller.consumer()));
        let evicted = Evicted { longest_idle, displaced };
        if owners == 1 { Learned::New { evicted } } else { Learned::Shared { owners, evicted } }
    }

    /// Counts one entry in, if the cap allows.
    fn reserve(&self, cap: usize) -> bool {
        let raised = |total| (total < cap).then_some(total + 1);
        self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raised).is_ok()
    }
}

/// An entry to be taken.
#[derive(Clone, Copy)]
struct NewEntry {
    hash: SessionHash,
    caller: CallerId,
    last_use: Tick,
}

/// Where room may come from when the total cap is reached.
#[derive(Clone, Copy)]
enum Room {
    Free,
    /// Also from the consumer's own longest idle entry.
    FreeOrOwn,
}
