//! Tokens that the gate has never handed out, as it sees them while it only observes.
//!
//! Right after a start every token in use is unknown: it was issued before. Such tokens die out within one idle window,
//! or are used on and on. What turns up for the first time later was issued past the gate, and that is what an admin
//! has to fix before guarding.

use super::SessionHash;
use crate::domain::types::Mono;
use parking_lot::Mutex;
use std::time::Duration;
use strum::IntoStaticStr;

/// Tokens that are told apart at the same time. Beyond that the longest unseen one of a few is forgotten and counts as
/// new.
const SLOTS: usize = 4096;

/// Slots that may hold one hash.
const PROBES: usize = 8;

/// Where an unknown token seems to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Issued {
    /// In use since the first idle window of this process.
    BeforeStart,
    /// First seen later: a login that did not pass the gate.
    Elsewhere,
}

impl Issued {
    /// The word for logs, metrics and the `status` command.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

#[derive(Clone, Copy, Debug)]
struct Sighting {
    hash: SessionHash,
    first_seen: Mono,
    last_seen: Mono,
}

/// A fixed amount of memory, taken at the start.
#[derive(Debug)]
pub struct UnfamiliarTokens {
    start: Mono,
    idle_timeout: Duration,
    slots: Mutex<Box<[Option<Sighting>]>>,
}

impl UnfamiliarTokens {
    #[must_use]
    pub fn new(start: Mono, idle_timeout: Duration) -> Self {
        Self { start, idle_timeout, slots: Mutex::new(vec![None; SLOTS].into_boxed_slice()) }
    }

    /// Notes that an unknown token was shown. Allocates nothing.
    pub fn seen(&self, hash: SessionHash, now: Mono) -> Issued {
        let mut slots = self.slots.lock();
        let bytes = hash.as_bytes();
        let home = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        let candidates = (0..PROBES).map(|probe| (home + probe) % SLOTS);
        let known = candidates.clone().find(|slot| slots[*slot].is_some_and(|slot| slot.hash == hash));
        let free = || candidates.clone().find(|slot| slots[*slot].is_none());
        let oldest = || candidates.clone().min_by_key(|slot| slots[*slot].map(|slot| slot.last_seen));
        let Some(slot) = known.or_else(free).or_else(oldest) else { return Issued::Elsewhere };
        let continued = slots[slot].filter(|slot| slot.hash == hash && now.since(slot.last_seen) <= self.idle_timeout);
        let first_seen = continued.map_or(now, |slot| slot.first_seen);
        slots[slot] = Some(Sighting { hash, first_seen, last_seen: now });
        if first_seen.since(self.start) <= self.idle_timeout { Issued::BeforeStart } else { Issued::Elsewhere }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::SessionTable;
    use zeroize::Zeroizing;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn tokens_of_before_the_start_stay_so_while_they_are_used() {
        let table = SessionTable::new(&Zeroizing::new([1; 32]));
        let tokens = UnfamiliarTokens::new(at(0), Duration::from_secs(900));
        let (old, new) = (table.hash(b"old"), table.hash(b"new"));
        assert_eq!(tokens.seen(old, at(100)), Issued::BeforeStart);
        assert_eq!(tokens.seen(old, at(950)), Issued::BeforeStart);
        assert_eq!(tokens.seen(new, at(950)), Issued::Elsewhere);
        assert_eq!(tokens.seen(old, at(1_800)), Issued::BeforeStart);
        assert_eq!(
            tokens.seen(old, at(1_800 + 901)),
            Issued::Elsewhere,
            "idle for too long, so it is another use of the same bytes"
        );
    }

    #[test]
    fn a_flood_takes_no_more_room() {
        let table = SessionTable::new(&Zeroizing::new([1; 32]));
        let tokens = UnfamiliarTokens::new(at(0), Duration::from_secs(900));
        for i in 0..100_000u32 {
            assert_eq!(tokens.seen(table.hash(&i.to_le_bytes()), at(10_000)), Issued::Elsewhere);
        }
        assert_eq!(tokens.slots.lock().len(), SLOTS);
    }
}
