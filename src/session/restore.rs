//! From the state file back into the table: only what still holds, and never for longer than it would have.
//!
//! Between two processes only the wall clock runs. It is believed as long as it never went back: a record that is older than the one
//! before it, or newer than now, means that it did. What was learned before that is dropped, because nobody knows how long ago it was.

use super::hash::SessionHash;
use super::limits::SessionLimits;
use super::log_record::{Damage, Decoder, Header, HeaderError, Record};
use super::owners::MAX_OWNERS;
use super::tick::{LONGEST_AGE, Tick};
use crate::types::{Now, Wall};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What has to hold for a place to come back.
#[derive(Clone, Copy)]
pub struct RestoreRules<'r> {
    /// The id of the 8sens that is configured now.
    pub upstream: &'r str,
    pub limits: &'r SessionLimits,
    /// Whether a consumer still has a credential of this id.
    pub admits: &'r dyn Fn(&str, &str) -> bool,
}

impl fmt::Debug for RestoreRules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreRules").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// The places that still hold, for [`super::SessionTable::load`], the longest idle first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    pub(super) places: Vec<Place>,
    pub dropped: Dropped,
    /// Bytes of the file that are good: less than its length when its end was torn off. Then it has to be cut here.
    pub good_bytes: usize,
}

impl Restored {
    /// Places that still hold.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// Places that were still open in the file and do not hold, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The file belongs to another 8sens.
    pub other_upstream: usize,
    /// Its consumer or its credential is gone.
    pub departed: usize,
    /// Its idle time is over by the wall clock.
    pub expired: usize,
    /// The wall clock went back since.
    pub clock_went_back: usize,
}

/// Why nothing of a file is believed. It is to be set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    Header(HeaderError),
    /// What comes before the damage may lack its end, so it is not taken either.
    Damage(Damage),
}

/// One owner of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) hash: SessionHash,
    pub(super) consumer: Arc<str>,
    pub(super) credential: Arc<str>,
    pub(super) last_use: Tick,
}

/// Reads a whole state file. Memory is bounded by its length.
///
/// # Errors
/// When the file is not a state file of this version or is damaged. A torn end is no error: what was cut off was never promised.
pub fn restore(file: &[u8], rules: &RestoreRules<'_>, now: Now) -> Result<Restored, Unreadable> {
    let (header, mut decoder) = match Decoder::new(file) {
        Ok(begun) => begun,
        Err(HeaderError::Torn) => return Ok(Restored::default()),
        Err(error) => return Err(Unreadable::Header(error)),
    };
    let mut replay = Replay::default();
    for record in &mut decoder {
        replay.take(record.map_err(Unreadable::Damage)?);
    }
    Ok(Restored { good_bytes: decoder.good_bytes(), ..replay.finish(&header, rules, now) })
}

/// A place while the log is replayed.
#[derive(Clone, Debug)]
struct Replayed {
    consumer: Arc<str>,
    credential: Arc<str>,
    last_use: Wall,
    /// The number of the record by which it was learned.
    learned: u64,
}

/// The log, replayed up to some record.
#[derive(Default)]
struct Replay {
    sessions: HashMap<SessionHash, Vec<Replayed>>,
    /// What was learned under these by a record before that number is over.
    revoked_consumers: HashMap<Arc<str>, u64>,
    revoked_credentials: HashMap<(Arc<str>, Arc<str>), u64>,
    /// A million sessions have few names.
    names: HashSet<Arc<str>>,
    count: u64,
    latest: Option<Wall>,
    dropped: Dropped,
}

impl Replay {
    fn take(&mut self, record: Record) {
        self.count += 1;
        if self.latest.is_some_and(|latest| record.at() < latest) {
            self.drop_for_clock();
        }
        self.latest = Some(record.at());
        match record {
            Record::Learn { at, idle, hash, consumer, credential } => {
                let (consumer, credential) = (self.name(consumer), self.name(credential));
                let learned = Replayed { consumer, credential, last_use: before(at, idle), learned: self.count };
                self.learn(hash, learned);
            }
            Record::Touch { at, idle, hash, consumer } => {
                let places = self.sessions.get_mut(&hash).into_iter().flatten();
                for place in places.filter(|place| place.consumer == consumer) {
                    place.last_use = place.last_use.max(before(at, idle));
                }
            }
            Record::End { hash, .. } => {
                self.sessions.remove(&hash);
            }
            Record::EndOwner { hash, consumer, .. } => {
                if let Some(places) = self.sessions.get_mut(&hash) {
                    places.retain(|place| place.consumer != consumer);
                    if places.is_empty() {
                        self.sessions.remove(&hash);
                    }
                }
            }
            Record::RevokeConsumer { consumer, .. } => {
                self.revoked_consumers.insert(consumer, self.count);
            }
            Record::RevokeCredential { consumer, credential, .. } => {
                self.revoked_credentials.insert((consumer, credential), self.count);
            }
            Record::Clear { .. } => self.sessions.clear(),
        }
    }

    fn learn(&mut self, hash: SessionHash, learned: Replayed) {
        let places = self.sessions.entry(hash).or_default();
        places.retain(|place| place.consumer != learned.consumer);
        if places.len() >= MAX_OWNERS {
            let longest_idle = (0..places.len()).min_by_key(|n| places[*n].last_use);
            places.remove(longest_idle.unwrap_or_default());
        }
        places.push(learned);
    }

    fn name(&mut self, name: Arc<str>) -> Arc<str> {
        if let Some(known) = self.names.get(&name) {
            return Arc::clone(known);
        }
        self.names.insert(Arc::clone(&name));
        name
    }

    fn drop_for_clock(&mut self) {
        self.dropped.clock_went_back += std::mem::take(&mut self.sessions).values().map(Vec::len).sum::<usize>();
    }

    fn finish(mut self, header: &Header, rules: &RestoreRules<'_>, now: Now) -> Restored {
        if self.latest.is_some_and(|latest| latest > now.wall) {
            self.drop_for_clock();
        }
        let mut dropped = self.dropped;
        let mut places = Vec::new();
        for (hash, replayed) in std::mem::take(&mut self.sessions) {
            for place in replayed.into_iter().filter(|place| !self.is_revoked(place)) {
                let age = age(place.last_use, now.wall);
                if *header.upstream != *rules.upstream {
                    dropped.other_upstream += 1;
                } else if !(rules.admits)(&place.consumer, &place.credential) {
                    dropped.departed += 1;
                } else if age >= rules.limits.live().min(LONGEST_AGE) {
                    dropped.expired += 1;
                } else {
                    let last_use = Tick::before(now.mono, age);
                    places.push(Place { hash, consumer: place.consumer, credential: place.credential, last_use });
                }
            }
        }
        // In a table that is too small, the last ones in are the last ones used.
        places.sort_unstable_by_key(|place| (place.last_use, place.hash));
        Restored { places, dropped, good_bytes: 0 }
    }

    fn is_revoked(&self, place: &Replayed) -> bool {
        let credential = (Arc::clone(&place.consumer), Arc::clone(&place.credential));
        let ends = [self.revoked_consumers.get(&place.consumer), self.revoked_credentials.get(&credential)];
        ends.into_iter().flatten().any(|revoked| place.learned < *revoked)
    }
}

fn before(at: Wall, idle: Duration) -> Wall {
    Wall(at.0.saturating_sub(i64::try_from(idle.as_millis()).unwrap_or(i64::MAX)))
}

/// Time since a last use. Both readings are cut to milliseconds, so one more may have passed.
fn age(last_use: Wall, now: Wall) -> Duration {
    let millis = now.0.saturating_sub(last_use.0).saturating_add(1);
    // A last use after now cannot be told from a clock that went back, and counts as long ago.
    u64::try_from(millis).map_or(Duration::MAX, Duration::from_millis)
}
