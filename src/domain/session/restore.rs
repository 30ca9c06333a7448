//! From the state file back into the table: only what still holds, and never for longer than it would have.
//!
//! Up to its last record the file tells time by the monotonic clock, so nothing that was done to the wall clock
//! meanwhile matters. From there to now only the wall clock ran. When it is earlier now than it was then, it went back,
//! nobody knows how long the gate was down, and nothing is restored.

use super::hash::SessionHash;
use super::limits::SessionLimits;
use super::log_decoder::{Damage, Decoder, HeaderError};
use super::log_record::{Header, LogRecord};
use super::owners::MAX_OWNERS;
use super::tick::{LONGEST_AGE, Tick};
use crate::domain::types::{Mono, Now};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What has to hold for an entry to come back.
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

/// The entries that still hold, for [`super::SessionTable::load`], the longest idle first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    pub(super) entries: Vec<RestoredEntry>,
    pub dropped: Dropped,
    /// Bytes of the file that are good: less than its length when its end was torn off. Then it has to be cut here.
    pub good_bytes: usize,
}

impl Restored {
    /// Entries that still hold.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Entries that were still open in the file and do not hold, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The file belongs to another 8sens.
    pub other_upstream: usize,
    /// Its consumer or its credential is gone.
    pub departed: usize,
    /// Its idle time is over by the wall clock.
    pub expired: usize,
    /// The wall clock is earlier than at the last record.
    pub clock_went_back: usize,
}

/// Why nothing of a file is believed. It is to be set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// What comes before the damage may lack its end, so it is not taken either.
    #[error(transparent)]
    Damage(#[from] Damage),
}

/// One owner of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RestoredEntry {
    pub(super) hash: SessionHash,
    pub(super) consumer: Arc<str>,
    pub(super) credential: Arc<str>,
    pub(super) last_use: Tick,
}

/// Reads a whole state file. Memory is bounded by its length.
///
/// # Errors
/// When the file is not a state file of this version or is damaged. A torn end is no error: what was cut off was never
/// promised.
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

/// An entry while the log is replayed.
#[derive(Clone, Debug)]
struct Replayed {
    consumer: Arc<str>,
    credential: Arc<str>,
    /// Nanoseconds on the monotonic clock of the process that wrote the file; negative when that had restored it in its
    /// turn.
    last_use: i128,
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
    /// Both clocks at the latest record by the monotonic one.
    latest: Option<Now>,
}

impl Replay {
    fn take(&mut self, record: LogRecord) {
        self.count += 1;
        if self.latest.is_none_or(|latest| latest.mono <= record.at().mono) {
            self.latest = Some(record.at());
        }
        match record {
            LogRecord::Learn { at, idle, hash, consumer, credential } => {
                let (consumer, credential) = (self.name(consumer), self.name(credential));
                let learned = Replayed { consumer, credential, last_use: before(at, idle), learned: self.count };
                self.learn(hash, learned);
            }
            LogRecord::Touch { at, idle, hash, consumer } => {
                let entries = self.sessions.get_mut(&hash).into_iter().flatten();
                for entry in entries.filter(|entry| entry.consumer == consumer) {
                    entry.last_use = entry.last_use.max(before(at, idle));
                }
            }
            LogRecord::End { hash, .. } => {
                self.sessions.remove(&hash);
            }
            LogRecord::EndOwner { hash, consumer, .. } => {
                if let Some(entries) = self.sessions.get_mut(&hash) {
                    entries.retain(|entry| entry.consumer != consumer);
                    if entries.is_empty() {
                        self.sessions.remove(&hash);
                    }
                }
            }
            LogRecord::RevokeConsumer { consumer, .. } => {
                self.revoked_consumers.insert(consumer, self.count);
            }
            LogRecord::RevokeCredential { consumer, credential, .. } => {
                self.revoked_credentials.insert((consumer, credential), self.count);
            }
            LogRecord::Clear { .. } => self.sessions.clear(),
        }
    }

    fn learn(&mut self, hash: SessionHash, learned: Replayed) {
        let entries = self.sessions.entry(hash).or_default();
        entries.retain(|entry| entry.consumer != learned.consumer);
        if entries.len() >= MAX_OWNERS {
            let longest_idle = (0..entries.len()).min_by_key(|n| entries[*n].last_use);
            entries.remove(longest_idle.unwrap_or_default());
        }
        entries.push(learned);
    }

    fn name(&mut self, name: Arc<str>) -> Arc<str> {
        if let Some(known) = self.names.get(&name) {
            return Arc::clone(known);
        }
        self.names.insert(Arc::clone(&name));
        name
    }

    fn finish(mut self, header: &Header, rules: &RestoreRules<'_>, now: Now) -> Restored {
        let mut dropped = Dropped::default();
        let mut entries = Vec::new();
        let down = self.latest.map(|latest| (latest.mono, downtime(latest, now)));
        for (hash, replayed) in std::mem::take(&mut self.sessions) {
            for entry in replayed.into_iter().filter(|entry| !self.is_revoked(entry)) {
                let age = down.and_then(|(last, down)| Some(since(entry.last_use, last).saturating_add(down?)));
                if *header.upstream != *rules.upstream {
                    dropped.other_upstream += 1;
                } else if !(rules.admits)(&entry.consumer, &entry.credential) {
                    dropped.departed += 1;
                } else if let Some(age) = age {
                    if age >= rules.limits.live().min(LONGEST_AGE) {
                        dropped.expired += 1;
                    } else {
                        let last_use = Tick::before(now.mono, age);
                        entries.push(RestoredEntry {
                            hash,
                            consumer: entry.consumer,
                            credential: entry.credential,
                            last_use,
                        });
                    }
                } else {
                    dropped.clock_went_back += 1;
                }
            }
        }
        // In a table that is too small, the last ones in are the last ones used.
        entries.sort_unstable_by_key(|entry| (entry.last_use, entry.hash));
        Restored { entries, dropped, good_bytes: 0 }
    }

    fn is_revoked(&self, entry: &Replayed) -> bool {
        let credential = (Arc::clone(&entry.consumer), Arc::clone(&entry.credential));
        let ends = [self.revoked_consumers.get(&entry.consumer), self.revoked_credentials.get(&credential)];
        ends.into_iter().flatten().any(|revoked| entry.learned < *revoked)
    }
}

fn before(at: Now, idle: Duration) -> i128 {
    // At most 2³² milliseconds before at most 2⁶⁴ nanoseconds.
    i128::from(at.mono.0) - i128::try_from(idle.as_nanos()).unwrap_or_default()
}

fn since(last_use: i128, now: Mono) -> Duration {
    let nanos = i128::from(now.0) - last_use;
    // Negative only in a file whose records lie.
    u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
}

/// Time the gate was down; `None` when the wall clock went back. Both readings are cut to milliseconds, so one more may
/// have passed.
fn downtime(then: Now, now: Now) -> Option<Duration> {
    let millis = now.wall.0.checked_sub(then.wall.0)?.checked_add(1)?;
    if now.wall < then.wall { None } else { u64::try_from(millis).ok().map(Duration::from_millis) }
}

#[cfg(test)]
mod tests {
    use super::super::log_record::{encode, encode_header};
    use super::super::{Learned, SessionTable, Standing};
    use super::*;
    use crate::domain::types::Wall;
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    const LIMITS: SessionLimits = SessionLimits {
        idle_timeout: Duration::from_secs(900),
        margin: Duration::from_secs(30),
        linger: Duration::ZERO,
        per_consumer: 100,
        total: 100,
    };

    /// A reading of both clocks in seconds.
    fn at(mono: u64, wall: i64) -> Now {
        Now { mono: Mono(mono * 1_000_000_000), wall: Wall(wall * 1_000) }
    }

    fn hash(byte: u8) -> SessionHash {
        SessionHash::from_bytes([byte; 16])
    }

    fn learn(at: Now, byte: u8, consumer: &str) -> LogRecord {
        let (consumer, credential) = (consumer.into(), "k".into());
        LogRecord::Learn { at, idle: Duration::ZERO, hash: hash(byte), consumer, credential }
    }

    fn file(records: &[LogRecord]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_header(&Header { upstream: "erp".into() }, &mut bytes).unwrap();
        for record in records {
            encode(record, &mut bytes).unwrap();
        }
        bytes
    }

    fn restored(records: &[LogRecord], now: Now) -> Restored {
        let admits = |consumer: &str, credential: &str| consumer != "gone" && credential == "k";
        restore(&file(records), &RestoreRules { upstream: "erp", limits: &LIMITS, admits: &admits }, now).unwrap()
    }

    /// What is left, by hash and consumer, with whole seconds since the last use.
    fn left(records: &[LogRecord], now: Now) -> Vec<(u8, String, u64)> {
        let entries = restored(records, now).entries;
        let mut left: Vec<_> = entries
            .iter()
            .map(|entry| {
                (entry.hash.as_bytes()[0], entry.consumer.to_string(), entry.last_use.elapsed(now.mono).as_secs())
            })
            .collect();
        left.sort();
        left
    }

    #[test]
    fn a_place_comes_back_with_the_time_it_has_left() {
        let records = [
            learn(at(100, 5_000), 1, "a"),
            learn(at(100, 5_000), 2, "a"),
            LogRecord::Touch { at: at(400, 5_300), idle: Duration::from_secs(10), hash: hash(1), consumer: "a".into() },
        ];
        // The new process is 7 seconds old, and 60 passed since the last record.
        assert_eq!(left(&records, at(7, 5_360)), [(1, "a".into(), 70), (2, "a".into(), 360)]);
        assert_eq!(left(&records, at(7, 5_300 + 570)), [(1, "a".into(), 580)]);
        assert_eq!(restored(&records, at(7, 5_300 + 860)).dropped, Dropped { expired: 2, ..Dropped::default() });
    }

    #[test]
    fn the_wall_clock_may_do_what_it_likes_while_the_gate_runs() {
        let touch = |at| LogRecord::Touch { at, idle: Duration::ZERO, hash: hash(9), consumer: "a".into() };
        for jump in [-86_400 * 3_650, -3_600, 3_600, 86_400 * 3_650] {
            let records = [learn(at(0, 5_000), 1, "a"), touch(at(100, 5_100 + jump))];
            assert_eq!(left(&records, at(0, 5_101 + jump)), [(1, "a".into(), 101)], "{jump}");
        }
    }

    #[test]
    fn nothing_comes_back_when_the_clock_went_back_while_the_gate_was_down() {
        let records = [learn(at(0, 5_000), 1, "a"), learn(at(1, 5_001), 2, "b")];
        let dropped = restored(&records, at(0, 5_000)).dropped;
        assert_eq!(dropped, Dropped { clock_went_back: 2, ..Dropped::default() });
        assert_eq!(restored(&records, at(0, 5_001)).len(), 2);
        let extreme = [learn(Now { mono: Mono(0), wall: Wall(i64::MIN) }, 1, "a")];
        assert_eq!(restored(&extreme, Now { mono: Mono(0), wall: Wall(i64::MAX) }).dropped.clock_went_back, 1);
    }

    #[test]
    fn records_a_little_out_of_order_are_no_clock_that_went_back() {
        let records = [learn(at(10, 5_010), 1, "a"), learn(at(9, 5_009), 2, "b")];
        assert_eq!(left(&records, at(0, 5_010)), [(1, "a".into(), 0), (2, "b".into(), 1)]);
    }

    #[test]
    fn what_ended_stays_ended() {
        let now = at(1, 5_001);
        let begun = [learn(at(0, 5_000), 1, "a"), learn(at(0, 5_000), 1, "b"), learn(at(0, 5_000), 2, "a")];
        let after = |ends: &[LogRecord]| -> Vec<(u8, String)> {
            let records = [&begun, ends].concat();
            left(&records, now).into_iter().map(|(byte, consumer, _)| (byte, consumer)).collect()
        };
        let (a, b): (String, String) = ("a".into(), "b".into());
        assert_eq!(after(&[]), [(1, a.clone()), (1, b.clone()), (2, a.clone())]);
        assert_eq!(after(&[LogRecord::End { at: now, hash: hash(1) }]), [(2, a.clone())]);
        let end_owner = LogRecord::EndOwner { at: now, hash: hash(1), consumer: "a".into() };
        assert_eq!(after(&[end_owner]), [(1, b.clone()), (2, a.clone())]);
        let revoke = LogRecord::RevokeConsumer { at: now, consumer: "a".into() };
        assert_eq!(after(std::slice::from_ref(&revoke)), [(1, b.clone())]);
        assert_eq!(after(&[revoke, learn(now, 3, "a")]), [(1, b.clone()), (3, a.clone())]);
        let credential =
            |id: &str| LogRecord::RevokeCredential { at: now, consumer: "a".into(), credential: id.into() };
        assert_eq!(after(&[credential("k")]), [(1, b.clone())]);
        assert_eq!(after(&[credential("other")]).len(), 3);
        assert_eq!(after(&[LogRecord::Clear { at: now }, learn(now, 4, "b")]), [(4, b)]);
        let touch = LogRecord::Touch { at: now, idle: Duration::ZERO, hash: hash(7), consumer: a.as_str().into() };
        assert_eq!(after(&[touch]).len(), 3, "a use makes no owner");
    }

    #[test]
    fn what_no_longer_holds_is_dropped_and_counted() {
        let records = [learn(at(0, 5_000), 1, "gone"), learn(at(0, 5_000), 2, "a")];
        assert_eq!(restored(&records, at(0, 5_000)).dropped, Dropped { departed: 1, ..Dropped::default() });
        let rules = RestoreRules { upstream: "another", limits: &LIMITS, admits: &|_, _| true };
        let other = restore(&file(&records), &rules, at(0, 5_000)).unwrap();
        assert_eq!((other.len(), other.dropped.other_upstream), (0, 2));
    }

    #[test]
    fn a_torn_end_is_cut_and_damage_is_not_believed() {
        let rules = RestoreRules { upstream: "erp", limits: &LIMITS, admits: &|_, _| true };
        let one = file(&[learn(at(0, 5_000), 1, "a")]);
        let mut bytes = file(&[learn(at(0, 5_000), 1, "a"), LogRecord::Clear { at: at(0, 5_000) }]);
        let torn = restore(&bytes[..bytes.len() - 1], &rules, at(0, 5_000)).unwrap();
        assert_eq!((torn.len(), torn.good_bytes), (1, one.len()));
        assert_eq!(restore(b"", &rules, at(0, 0)).unwrap(), Restored::default());
        *bytes.last_mut().unwrap() ^= 1;
        let damage = Damage { offset: one.len() };
        assert_eq!(restore(&bytes, &rules, at(0, 5_000)), Err(Unreadable::Damage(damage)));
        let header = restore(b"something else", &rules, at(0, 5_000));
        assert_eq!(header, Err(Unreadable::Header(HeaderError::NotAStateFile)));
    }

    #[test]
    fn a_fifth_owner_in_the_file_displaces_the_longest_idle() {
        let records: Vec<_> = (0..5).map(|n| learn(at(n, 5_000), 1, ["b", "a", "c", "d", "e"][n as usize])).collect();
        let consumers: Vec<_> = left(&records, at(0, 5_000)).into_iter().map(|(_, consumer, _)| consumer).collect();
        assert_eq!(consumers, ["a", "c", "d", "e"]);
    }

    /// A table that admits `a` with the credential `k`.
    fn table() -> SessionTable {
        let table = SessionTable::new(&Zeroizing::new([7; 32]));
        table.set_consumers([("a", ["k"])]);
        table
    }

    proptest! {
        /// Over two restarts, whatever was done to the wall clock while the gate ran, nobody is let in later than
        /// without a restart.
        #[test]
        fn restarts_never_prolong(
            ran in [0u64..2_000_000, 0u64..2_000_000, 0u64..2_000_000],
            down in [0i64..900_000, 0i64..900_000],
            jump in -1_000_000_000i64..1_000_000_000,
            used: bool,
        ) {
            let at = |mono: u64, wall: i64| Now { mono: Mono(mono * 1_000_000 + 999_999), wall: Wall(wall) };
            let mut wall = 1_700_000_000_000;
            let token = hash(1);
            let mut table = table();
            let learned = table.learn(token, table.caller("a", "k").unwrap(), Mono(0), &LIMITS);
            prop_assert!(matches!(learned, Learned::New { .. }), "{:?}", learned);
            let mut real = 0;
            let mut begun = 0;
            for (ran, down) in ran.into_iter().zip(down) {
                let now = at(begun + ran, wall + jump);
                let mut bytes = Vec::new();
                encode_header(&Header { upstream: "erp".into() }, &mut bytes).unwrap();
                table.export(now, &LIMITS, |record| encode(&record, &mut bytes).unwrap());
                wall = now.wall.0 + down;
                begun = u64::from(used);
                let rules = RestoreRules { upstream: "erp", limits: &LIMITS, admits: &|_, _| true };
                let start = at(begun, wall);
                let restored = restore(&bytes, &rules, start).unwrap();
                table = self::table();
                table.load(&restored, start.mono, &LIMITS);
                real += ran + u64::try_from(down).unwrap();
            }
            real += ran[2];
            let standing = table.check(&token, table.caller("a", "k").unwrap(), at(begun + ran[2], 0).mono, &LIMITS);
            if real >= 870_000 {
                prop_assert_ne!(standing, Standing::Live);
            }
            // Not much is lost either: the rounding of each step is below a sixteenth of a second.
            if real < 870_000 - 500 {
                prop_assert_eq!(standing, Standing::Live);
            }
        }
    }
}
