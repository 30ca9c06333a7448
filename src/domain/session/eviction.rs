//! How entries leave the table other than by the end of their session: expired, given up for a cap, or with their
//! consumer.

use super::callers::{ConsumerId, Member};
use super::hash::SessionHash;
use super::idle_queue::{IdleQueue, Item};
use super::limits::SessionLimits;
use super::owners::{Owner, Removal};
use super::table::SessionTable;
use crate::domain::types::Mono;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Most queue items that a login at the total cap looks at to find expired entries.
const SWEEP_AT_CAP: usize = 4_096;

impl SessionTable {
    /// Removes entries that expired more than `limits.linger` ago. Returns how many.
    ///
    /// `budget` bounds the queue items that are visited; the next sweep goes on with the next consumer. An entry is
    /// visited once per window, whether it was used or not, so the work grows with what expired and not with what is
    /// there.
    pub fn sweep(&self, now: Mono, budget: usize, limits: &SessionLimits) -> usize {
        let swept = self.sweep_idle(now, budget, limits.live().saturating_add(limits.linger));
        // Memory goes back after a flood, and only then.
        if self.map.capacity() > 4 * self.map.len() + 16_384 {
            self.map.shrink_to_fit();
        }
        swept
    }

    /// Removes expired entries without any linger, because room is needed.
    pub(super) fn sweep_expired(&self, now: Mono, limits: &SessionLimits) {
        self.sweep_idle(now, SWEEP_AT_CAP, limits.live());
    }

    /// Takes the longest idle entry of a consumer away. It stays counted in the total.
    pub(super) fn give_up_longest_idle(&self, member: &Member, queue: &mut IdleQueue) -> Option<Item> {
        loop {
            match self.step(member.id, queue) {
                Front::Empty => return None,
                Front::Moved => {}
                Front::LongestIdle(item) => {
                    if self.take(member, queue, item) {
                        return Some(item);
                    }
                }
            }
        }
    }

    /// Removes those entries of a consumer that `which` picks. Returns how many.
    pub(super) fn clear_member(&self, member: &Member, which: impl Fn(&Owner) -> bool) -> usize {
        let mut queue = member.queue.lock();
        let mut cleared = 0;
        queue.retain(|item| {
            if self.remove_place(&item.hash, member.id, &which) {
                cleared += 1;
                return false;
            }
            self.is_current(&item, member.id)
        });
        member.entries.fetch_sub(cleared, Ordering::Relaxed);
        self.total.fetch_sub(cleared, Ordering::Relaxed);
        cleared
    }

    /// Removes what was idle for `idle` or longer, consumer by consumer from where the last sweep ended.
    fn sweep_idle(&self, now: Mono, mut budget: usize, idle: Duration) -> usize {
        let mut swept = 0;
        let round = self.occupied.lock().len();
        for _ in 0..round {
            if budget == 0 {
                break;
            }
            let Some(consumer) = self.occupied.lock().visit() else { break };
            match self.callers.member(consumer) {
                Some(member) => swept += self.sweep_member(&member, now, &mut budget, idle),
                // It left, and its entries with it.
                None => self.occupied.lock().remove(consumer),
            }
        }
        swept
    }

    fn sweep_member(&self, member: &Member, now: Mono, budget: &mut usize, idle: Duration) -> usize {
        let mut queue = member.queue.lock();
        let mut swept = 0;
        // No entry was used before its item says: the first item that is young enough ends the search.
        while *budget > 0 && queue.front().is_some_and(|item| item.queued.elapsed(now) >= idle) {
            *budget -= 1;
            if let Front::LongestIdle(item) = self.step(member.id, &mut queue)
                && self.take(member, &mut queue, item)
            {
                self.total.fetch_sub(1, Ordering::Relaxed);
                swept += 1;
            }
        }
        queue.shrink();
        if queue.front().is_none() {
            self.occupied.lock().remove(member.id);
        }
        swept
    }

    /// Brings the front of a queue one step nearer to the truth.
    fn step(&self, consumer: ConsumerId, queue: &mut IdleQueue) -> Front {
        let Some(item) = queue.front() else { return Front::Empty };
        let last_use = self.map.get_mut(&item.hash).and_then(|mut owners| {
            let owner = owners.get_mut(consumer).filter(|owner| owner.queued == item.queued)?;
            owner.queued = owner.last_use;
            Some(owner.last_use)
        });
        match last_use {
            None => queue.pop(),
            Some(last_use) if last_use == item.queued => return Front::LongestIdle(item),
            Some(last_use) => queue.requeue_front(last_use),
        }
        Front::Moved
    }

    /// Removes the entry of the front item unless it was used meanwhile. It stays counted in the total.
    fn take(&self, member: &Member, queue: &mut IdleQueue, front: Item) -> bool {
        let taken = self.remove_place(&front.hash, member.id, |owner| owner.last_use == front.queued);
        if taken {
            queue.pop();
            member.entries.fetch_sub(1, Ordering::Relaxed);
        }
        taken
    }

    /// Removes one owner from the map, and the token with the last one. True when it did; counts nothing.
    fn remove_place(&self, hash: &SessionHash, consumer: ConsumerId, which: impl FnOnce(&Owner) -> bool) -> bool {
        let mut removal = Removal::Kept;
        self.map.remove_if_mut(hash, |_, owners| {
            removal = owners.remove(consumer, which);
            removal == Removal::NobodyLeft
        });
        removal != Removal::Kept
    }
}

/// The front of an idle queue after one step.
enum Front {
    Empty,
    /// Something out of date was dropped or put back; look again.
    Moved,
    /// Really the longest idle entry, unless it is used right now.
    LongestIdle(Item),
}
