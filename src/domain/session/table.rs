//! The session table: who may use which token, and until when.
//!
//! # Whose use counts
//!
//! Each owner has a deadline of its own: `idle_timeout − margin` after **its own** last answered use. 8sens's clock may
//! well slide with the use of any owner of a shared token. But nobody knows whether a token that two consumers were
//! handed is one session or two behind that port. The own last use is never later than what 8sens saw, whichever it is,
//! so it never prolongs. The price is a login too many.
//!
//! # Locks
//!
//! In this order, each held for the work of one call and never across anything that waits:
//!
//! 1. the idle queue of one consumer, never two at once;
//! 2. one shard of the map;
//! 3. the names of the callers, and the list of those that are swept: innermost, never both at once.
//!
//! Whoever adds an entry holds the queue of its consumer, so every entry has an item in that queue. Entries may be
//! removed under the shard alone; their items are dropped when somebody meets them. The count of all entries and that
//! of each consumer are raised before an entry is taken and lowered after it was given up.

use super::callers::{CallerId, Callers, ConsumerId, Departed, Loss};
use super::hash::{PassThrough, SessionHash, TokenHasher};
use super::idle_queue::Item;
use super::limits::SessionLimits;
use super::occupied::Occupied;
use super::owners::Owners;
use super::tick::Tick;
use crate::domain::types::Mono;
use dashmap::DashMap;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use zeroize::Zeroizing;

/// What a token is to the consumer that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Live,
    /// The consumer owns it, but its idle time is over.
    Expired,
    /// Known, but of others. Worth an alarm.
    NotYours,
    Unknown,
}

/// Shards of the map. Enough for some tens of threads, and an empty table stays small.
const SHARDS: usize = 64;

/// All sessions. Shared by all threads; every call is synchronous and short.
pub struct SessionTable {
    pub(super) map: DashMap<SessionHash, Owners, PassThrough>,
    pub(super) callers: Callers,
    /// Entries in all.
    pub(super) total: AtomicUsize,
    /// Where sweeps go, and where the last one ended.
    pub(super) occupied: Mutex<Occupied>,
    hasher: TokenHasher,
}

impl SessionTable {
    /// An empty table that admits nobody. `secret` keys the hashes; hashes of an earlier process are only good under
    /// the same one.
    #[must_use]
    pub fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        Self {
            map: DashMap::with_hasher_and_shard_amount(PassThrough::default(), SHARDS),
            callers: Callers::default(),
            total: AtomicUsize::new(0),
            occupied: Mutex::default(),
            hasher: TokenHasher::new(secret),
        }
    }

    /// What a token is known by. An exchange keeps this and not the token.
    #[must_use]
    pub fn hash(&self, token: &[u8]) -> SessionHash {
        self.hasher.hash(token)
    }

    /// The caller behind a consumer's name and a credential's id; `None` when the configuration in force does not name
    /// them.
    ///
    /// An exchange asks once, at its beginning. What it gets is good until the name leaves, and never for another
    /// consumer.
    #[must_use]
    pub fn caller(&self, consumer: &str, credential: &str) -> Option<CallerId> {
        self.callers.find(consumer, credential)
    }

    /// Admits exactly these consumers with these credentials, before a new configuration comes into force.
    ///
    /// The sessions of consumers that left end, and so do those that were learned under a credential that left. Names
    /// that stay keep theirs. A name that comes back later inherits nothing. Work grows with the sessions of those that
    /// lost something.
    pub fn set_consumers<'n, C>(&self, consumers: impl IntoIterator<Item = (&'n str, C)>) -> Vec<Departed>
    where
        C: IntoIterator<Item = &'n str>,
    {
        let losses = self.callers.set(consumers);
        let departed = losses.into_iter().map(|loss| match loss {
            Loss::Consumer(member) => {
                let sessions = self.clear_member(&member, |_| true);
                Departed { consumer: Arc::clone(&member.name), credential: None, sessions }
            }
            Loss::Credential(member, caller, id) => {
                let sessions = self.clear_member(&member, |owner| owner.caller == caller);
                Departed { consumer: Arc::clone(&member.name), credential: Some(id), sessions }
            }
        });
        departed.collect()
    }

    /// Takes one consumer out with all its sessions. Returns how many entries it had; 0 as well when it is not known.
    pub fn forget_consumer(&self, consumer: &str) -> usize {
        self.callers.forget(consumer).map_or(0, |member| self.clear_member(&member, |_| true))
    }

    /// What the token is to the caller's consumer. Allocates nothing and changes nothing.
    #[must_use]
    pub fn check(&self, hash: &SessionHash, caller: CallerId, now: Mono, limits: &SessionLimits) -> Standing {
        let Some(owners) = self.map.get(hash) else { return Standing::Unknown };
        match owners.get(caller.consumer()) {
            None => Standing::NotYours,
            Some(owner) if owner.last_use.elapsed(now) < limits.live() => Standing::Live,
            Some(_) => Standing::Expired,
        }
    }

    /// Slides the caller's own deadline: 8sens answered, and not with an expiry, the request that was sent at
    /// `sent_at`. True when it moved.
    ///
    /// Never backwards, so answers may arrive in any order. A request sent when 8sens may already have forgotten the
    /// token proves nothing, whatever the answer looked like, and moves nothing.
    pub fn touch(&self, hash: &SessionHash, caller: CallerId, sent_at: Mono, limits: &SessionLimits) -> bool {
        let Some(mut owners) = self.map.get_mut(hash) else { return false };
        let Some(owner) = owners.get_mut(caller.consumer()) else { return false };
        let sent = Tick::at(sent_at);
        let slides = sent > owner.last_use && owner.last_use.elapsed(sent_at) < limits.idle_timeout;
        if slides {
            owner.last_use = sent;
        }
        slides
    }

    /// Ends a session for all its owners. Returns how many it had.
    pub fn end(&self, hash: &SessionHash) -> usize {
        let Some((_, owners)) = self.map.remove(hash) else { return 0 };
        for owner in owners.iter() {
            self.release(owner.caller.consumer());
        }
        owners.len()
    }

    /// Ends the sessions of one consumer; on a shared token only its entry. Returns how many there were.
    pub fn end_consumer(&self, consumer: &str) -> usize {
        self.callers.named(consumer).map_or(0, |member| self.clear_member(&member, |_| true))
    }

    /// Ends all sessions. Returns how many entries there were.
    pub fn clear(&self) -> usize {
        self.callers.all().iter().map(|member| self.clear_member(member, |_| true)).sum()
    }

    /// Entries in all: the sessions, each counted once per owner, with those expired that are not swept yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries of one consumer.
    #[must_use]
    pub fn consumer_len(&self, consumer: &str) -> usize {
        self.callers.named(consumer).map_or(0, |member| member.entries.load(Ordering::Relaxed))
    }

    /// Names every consumer of the configuration with its entries, in the order in which they were admitted.
    pub fn each_consumer(&self, mut each: impl FnMut(&str, usize)) {
        for member in self.callers.all() {
            each(&member.name, member.entries.load(Ordering::Relaxed));
        }
    }

    /// True when the item still stands for an entry.
    pub(super) fn is_current(&self, item: &Item, consumer: ConsumerId) -> bool {
        self.map
            .get(&item.hash)
            .is_some_and(|owners| owners.get(consumer).is_some_and(|owner| owner.queued == item.queued))
    }

    /// Counts out an entry that was removed from the map. Returns the name of its consumer, unless that left.
    pub(super) fn release(&self, consumer: ConsumerId) -> Option<Arc<str>> {
        self.total.fetch_sub(1, Ordering::Relaxed);
        let member = self.callers.member(consumer)?;
        member.entries.fetch_sub(1, Ordering::Relaxed);
        Some(Arc::clone(&member.name))
    }
}

impl fmt::Debug for SessionTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTable").field("entries", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::admission::{Evicted, Learned};
    use super::*;
    use std::time::Duration;

    const LIMITS: SessionLimits = SessionLimits {
        idle_timeout: Duration::from_secs(900),
        margin: Duration::from_secs(30),
        linger: Duration::from_secs(900),
        per_consumer: 3,
        total: 5,
    };

    fn table() -> SessionTable {
        let table = SessionTable::new(&Zeroizing::new([7; 32]));
        table.set_consumers(["a", "b", "c", "d", "e"].map(|name| (name, ["k1", "k2"])));
        table
    }

    fn second(second: u64) -> Mono {
        Mono(second * 1_000_000_000)
    }

    impl SessionTable {
        fn id(&self, consumer: &str) -> CallerId {
            self.caller(consumer, "k1").unwrap()
        }

        fn learn_at(&self, token: &str, consumer: &str, at: u64) -> Learned {
            self.learn(self.hash(token.as_bytes()), self.id(consumer), second(at), &LIMITS)
        }

        fn check_at(&self, token: &str, consumer: &str, at: u64) -> Standing {
            self.check(&self.hash(token.as_bytes()), self.id(consumer), second(at), &LIMITS)
        }

        fn touch_at(&self, token: &str, consumer: &str, at: u64) -> bool {
            self.touch(&self.hash(token.as_bytes()), self.id(consumer), second(at), &LIMITS)
        }
    }

    fn new() -> Learned {
        Learned::New { evicted: Evicted::default() }
    }

    #[test]
    fn a_token_is_its_owners_until_its_idle_time_is_over() {
        let table = table();
        assert_eq!(table.check_at("t", "a", 0), Standing::Unknown);
        assert_eq!(table.learn_at("t", "a", 0), new());
        assert_eq!(table.check_at("t", "a", 869), Standing::Live);
        assert_eq!(table.check_at("t", "a", 870), Standing::Expired);
        assert_eq!(table.check_at("t", "b", 0), Standing::NotYours);
        assert!(table.touch_at("t", "a", 800));
        assert_eq!(table.check_at("t", "a", 1_669), Standing::Live);
        assert_eq!(table.check_at("t", "a", 1_670), Standing::Expired);
        assert_eq!(table.learn_at("t", "a", 2_000), Learned::Renewed);
        assert_eq!(table.check_at("t", "a", 2_000), Standing::Live);
    }

    #[test]
    fn uses_slide_forwards_only_and_not_from_beyond_the_idle_time() {
        let table = table();
        let _ = table.learn_at("t", "a", 100);
        assert!(table.touch_at("t", "a", 500));
        assert!(!table.touch_at("t", "a", 300), "an answer that came late");
        assert!(!table.touch_at("t", "a", 500));
        assert!(!table.touch_at("t", "b", 600), "not an owner");
        assert!(!table.touch_at("u", "a", 600));
        assert_eq!(table.check_at("t", "a", 1_369), Standing::Live);
        assert!(!table.touch_at("t", "a", 1_400), "8sens may have forgotten it by then");
        assert_eq!(table.check_at("t", "a", 1_400), Standing::Expired);
        assert!(table.touch_at("t", "a", 1_399), "sent before 8sens could forget it");
        assert_eq!(table.check_at("t", "a", 1_400), Standing::Live);
    }

    #[test]
    fn a_shared_token_has_owners_with_deadlines_of_their_own() {
        let table = table();
        let _ = table.learn_at("t", "a", 0);
        assert_eq!(table.learn_at("t", "b", 500), Learned::Shared { owners: 2, evicted: Evicted::default() });
        assert!(table.touch_at("t", "b", 800));
        assert_eq!(table.check_at("t", "a", 870), Standing::Expired);
        assert_eq!(table.check_at("t", "b", 870), Standing::Live);
        assert_eq!(table.end_consumer("b"), 1);
        assert_eq!(table.check_at("t", "b", 0), Standing::NotYours);
        assert_eq!(table.check_at("t", "a", 0), Standing::Live);
        assert_eq!((table.len(), table.consumer_len("a"), table.consumer_len("b")), (1, 1, 0));
    }

    #[test]
    fn the_fifth_owner_displaces_the_longest_idle() {
        let table = table();
        for (consumer, at) in [("a", 0), ("b", 1), ("c", 2), ("d", 3)] {
            let _ = table.learn_at("t", consumer, at);
        }
        assert!(table.touch_at("t", "a", 10));
        let evicted = Evicted { displaced: Some("b".into()), ..Evicted::default() };
        assert_eq!(table.learn_at("t", "e", 11), Learned::Shared { owners: 4, evicted });
        assert_eq!(table.check_at("t", "b", 11), Standing::NotYours);
        assert_eq!((table.len(), table.consumer_len("b")), (4, 0));
        assert_eq!(table.end(&table.hash(b"t")), 4);
        assert_eq!((table.len(), table.map.len()), (0, 0));
    }

    #[test]
    fn a_consumer_at_its_cap_gives_up_its_longest_idle_though_it_was_learned_last() {
        let table = table();
        for (token, at) in [("t1", 0), ("t2", 1), ("t3", 2)] {
            let _ = table.learn_at(token, "a", at);
        }
        assert!(table.touch_at("t1", "a", 5));
        assert!(table.touch_at("t2", "a", 4));
        let given_up = |token: &[u8]| Learned::New {
            evicted: Evicted { longest_idle: vec![table.hash(token)], ..Evicted::default() },
        };
        assert_eq!(table.learn_at("t4", "a", 6), given_up(b"t3"));
        assert_eq!(table.learn_at("t5", "a", 7), given_up(b"t2"));
        assert_eq!(table.learn_at("t6", "a", 1_000), new(), "t1 had expired");
        assert_eq!((table.len(), table.consumer_len("a")), (3, 3));
    }

    #[test]
    fn a_full_table_takes_nothing_from_others() {
        let table = table();
        for (token, consumer, at) in [("a1", "a", 0), ("a2", "a", 1), ("a3", "a", 2), ("b1", "b", 3), ("b2", "b", 4)] {
            assert_eq!(table.learn_at(token, consumer, at), new());
        }
        assert_eq!(table.learn_at("c1", "c", 5), Learned::Full);
        let evicted = Evicted { longest_idle: vec![table.hash(b"b1")], ..Evicted::default() };
        assert_eq!(table.learn_at("b3", "b", 6), Learned::New { evicted });
        assert_eq!(table.check_at("a1", "a", 6), Standing::Live);
        assert_eq!(table.len(), 5);
        assert_eq!(table.learn_at("c1", "c", 871), new(), "a1 and a2 had expired");
        assert_eq!((table.len(), table.consumer_len("a")), (4, 1));
        let none = SessionLimits { per_consumer: 0, ..LIMITS };
        assert_eq!(table.learn(table.hash(b"x"), table.id("a"), second(871), &none), Learned::Full);
    }

    #[test]
    fn a_lowered_cap_is_reached_in_steps() {
        let table = table();
        let wide = SessionLimits { per_consumer: 100, total: 100, ..LIMITS };
        for n in 0..40_u64 {
            let _ = table.learn(table.hash(&[b'0' + n as u8]), table.id("a"), second(n), &wide);
        }
        let lengths: Vec<_> = ["x", "y", "z", "w"].map(|token| (table.learn_at(token, "a", 50), table.len()).1).into();
        assert_eq!(lengths, [25, 10, 3, 3]);
    }

    #[test]
    fn who_leaves_the_configuration_leaves_nothing_to_who_comes_back() {
        let table = table();
        let before = table.id("a");
        let _ = table.learn_at("t1", "a", 0);
        let under_k2 = table.caller("a", "k2").unwrap();
        let _ = table.learn(table.hash(b"t2"), under_k2, second(0), &LIMITS);
        let _ = table.learn_at("t3", "b", 0);
        let departed = table.set_consumers([("a", vec!["k1"]), ("b", vec!["k1"])]);
        assert!(departed.contains(&Departed { consumer: "a".into(), credential: Some("k2".into()), sessions: 1 }));
        assert_eq!(table.check_at("t1", "a", 1), Standing::Live);
        assert_eq!(table.check_at("t2", "a", 1), Standing::Unknown);
        assert_eq!(table.learn(table.hash(b"t2"), under_k2, second(1), &LIMITS), Learned::Gone);
        assert_eq!(table.forget_consumer("a"), 1);
        assert_eq!(table.caller("a", "k1"), None);
        table.set_consumers([("a", vec!["k1", "k2"]), ("b", vec!["k1"])]);
        assert_eq!(table.check_at("t1", "a", 1), Standing::Unknown);
        assert_eq!(table.learn(table.hash(b"t1"), before, second(1), &LIMITS), Learned::Gone);
        assert_eq!((table.len(), table.consumer_len("a"), table.consumer_len("b")), (1, 0, 1));
        assert_eq!(table.clear(), 1);
        assert!(table.is_empty());
    }

    #[test]
    fn a_login_under_another_credential_keeps_the_session_past_the_first() {
        let table = table();
        let _ = table.learn_at("t", "a", 0);
        assert_eq!(
            table.learn(table.hash(b"t"), table.caller("a", "k2").unwrap(), second(1), &LIMITS),
            Learned::Renewed
        );
        table.set_consumers([("a", ["k2"])]);
        let caller = table.caller("a", "k2").unwrap();
        assert_eq!(table.check(&table.hash(b"t"), caller, second(1), &LIMITS), Standing::Live);
    }

    #[test]
    fn a_sweep_takes_what_expired_and_no_more_than_its_budget() {
        let table = table();
        for (token, consumer, at) in [("a1", "a", 0), ("a2", "a", 1), ("b1", "b", 0), ("b2", "b", 700)] {
            let _ = table.learn_at(token, consumer, at);
        }
        assert!(table.touch_at("a1", "a", 600));
        assert_eq!(table.sweep(second(870), 100, &LIMITS), 0, "expired, and remembered");
        assert_eq!(table.check_at("a2", "a", 1_700), Standing::Expired);
        let at_once = SessionLimits { linger: Duration::ZERO, ..LIMITS };
        let swept: Vec<_> = (0..5).map(|_| table.sweep(second(871), 1, &at_once)).collect();
        assert_eq!(swept.iter().sum::<usize>(), 2, "{swept:?}");
        assert!(swept.iter().all(|n| *n <= 1));
        assert_eq!(table.check_at("a1", "a", 871), Standing::Live);
        assert_eq!(table.check_at("a2", "a", 871), Standing::Unknown);
        assert_eq!(table.check_at("b2", "b", 871), Standing::Live);
        assert_eq!(table.sweep(second(10_000), 100, &LIMITS), 2);
        assert_eq!((table.len(), table.map.len()), (0, 0));
    }

    #[test]
    fn a_sweep_gives_the_memory_of_a_flood_back() {
        let (table, roomy) = (table(), SessionLimits { per_consumer: 40_000, total: 40_000, ..LIMITS });
        let caller = table.caller("a", "k1").unwrap();
        for token in 0..40_000_u32 {
            let _ = table.learn(table.hash(&token.to_le_bytes()), caller, second(0), &roomy);
        }
        assert!(table.map.capacity() > 16_384);
        assert_eq!(table.sweep(second(10_000), 100_000, &roomy), 40_000);
        assert!(table.map.capacity() <= 16_384, "{}", table.map.capacity());
    }

    #[test]
    fn logins_and_ends_without_end_leave_no_litter() {
        let table = table();
        for n in 0..10_000 {
            let _ = table.learn_at("t", "a", n / 100);
            assert_eq!(table.end(&table.hash(b"t")), 1);
        }
        assert!(table.callers.named("a").unwrap().queue.lock().len() < 200);
    }

    #[test]
    fn litter_is_judged_with_the_new_entry_counted() {
        let table = table();
        let queued = || table.callers.named("a").unwrap().queue.lock().len();
        let log_in_again = || {
            let _ = table.learn_at("t", "a", 0);
            let queued = queued();
            assert_eq!(table.end(&table.hash(b"t")), 1);
            queued
        };
        // One living entry bears twice itself and 64 more.
        let all: Vec<_> = (0..67).map(|_| log_in_again()).collect();
        assert_eq!(all, (1..=66).chain([1]).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let table = table();
        let _ = table.learn_at("a-token", "a", 0);
        let shown = format!("{table:?} {:?}", table.list(None, 10, second(0), &LIMITS));
        assert!(!shown.contains("a-token") && !shown.contains("7, 7"), "{shown}");
    }
}
