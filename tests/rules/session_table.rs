//! The session table against a naive model, and under threads.

use proptest::prelude::*;
use sensgate::domain::session::{
    CallerId, Evicted, Learned, ListedSession, MAX_OWNERS, SessionHash, SessionLimits, SessionTable, Standing,
};
use sensgate::domain::types::Mono;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use zeroize::Zeroizing;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// The clock of the table has sixteenths of a second; the model counts in them.
const TICK: u64 = 1_000_000_000 / 16;
const IDLE: u64 = 80;
const LIVE: u64 = 64;
const LINGER: u64 = 40;
const PER_CONSUMER: usize = 4;
const TOTAL: usize = 9;

fn limits() -> SessionLimits {
    SessionLimits {
        idle_timeout: Duration::from_nanos(IDLE * TICK),
        margin: Duration::from_nanos((IDLE - LIVE) * TICK),
        linger: Duration::from_nanos(LINGER * TICK),
        per_consumer: PER_CONSUMER,
        total: TOTAL,
    }
}

fn at(tick: u64) -> Mono {
    Mono(tick * TICK)
}

fn table() -> SessionTable {
    let table = SessionTable::new(&Zeroizing::new([3; 32]));
    table.set_consumers(NAMES.map(|name| (name, ["k"])));
    table
}

fn token(number: u8) -> [u8; 2] {
    [b't', number]
}

/// What the table promises, in the plainest words: owners by token and consumer, each with its last use.
#[derive(Clone, Debug, Default)]
struct Model {
    owners: BTreeMap<SessionHash, BTreeMap<usize, u64>>,
}

impl Model {
    fn len(&self) -> usize {
        self.owners.values().map(BTreeMap::len).sum()
    }

    fn places(&self, consumer: usize) -> usize {
        self.owners.values().filter(|owners| owners.contains_key(&consumer)).count()
    }

    fn retain(&mut self, keep: impl Fn(SessionHash, usize, u64) -> bool) -> usize {
        let before = self.len();
        for (hash, owners) in &mut self.owners {
            owners.retain(|consumer, last_use| keep(*hash, *consumer, *last_use));
        }
        self.owners.retain(|_, owners| !owners.is_empty());
        before - self.len()
    }

    /// Takes the longest idle place of a consumer away; returns its token when it was live.
    fn give_up(&mut self, consumer: usize, now: u64) -> Option<SessionHash> {
        let mine = self.owners.iter().filter_map(|(hash, owners)| Some((*owners.get(&consumer)?, *hash)));
        let (last_use, hash) = mine.min()?;
        self.retain(|h, c, _| (h, c) != (hash, consumer));
        (now - last_use < LIVE).then_some(hash)
    }

    fn learn(&mut self, hash: SessionHash, consumer: usize, now: u64) -> Learned {
        if let Some(last_use) = self.owners.get_mut(&hash).and_then(|owners| owners.get_mut(&consumer)) {
            *last_use = now.max(*last_use);
            return Learned::Renewed;
        }
        let mut evicted = Evicted::default();
        if self.places(consumer) >= PER_CONSUMER {
            evicted.longest_idle.extend(self.give_up(consumer, now));
        } else if self.len() >= TOTAL {
            self.retain(|_, _, last_use| now - last_use < LIVE);
            if self.len() >= TOTAL {
                if self.places(consumer) == 0 {
                    return Learned::Full;
                }
                evicted.longest_idle.extend(self.give_up(consumer, now));
            }
        }
        let owners = self.owners.entry(hash).or_default();
        if owners.len() == MAX_OWNERS {
            let oldest = *owners.values().min().unwrap();
            // Which of several with the same last use goes is not promised; the test sees to it that there is one.
            let displaced = *owners.iter().find(|(_, last_use)| **last_use == oldest).unwrap().0;
            owners.remove(&displaced);
            evicted.displaced = Some(NAMES[displaced].into());
        }
        owners.insert(consumer, now);
        if owners.len() == 1 { Learned::New { evicted } } else { Learned::Shared { owners: owners.len(), evicted } }
    }

    fn check(&self, hash: SessionHash, consumer: usize, now: u64) -> Standing {
        match self.owners.get(&hash).map(|owners| owners.get(&consumer)) {
            None => Standing::Unknown,
            Some(None) => Standing::NotYours,
            Some(Some(last_use)) if now - last_use < LIVE => Standing::Live,
            Some(Some(_)) => Standing::Expired,
        }
    }

    fn touch(&mut self, hash: SessionHash, consumer: usize, sent: u64) -> bool {
        match self.owners.get_mut(&hash).and_then(|owners| owners.get_mut(&consumer)) {
            Some(last_use) if sent > *last_use && sent - *last_use < IDLE => {
                *last_use = sent;
                true
            }
            _ => false,
        }
    }

    fn listed(&self, now: u64) -> Vec<(SessionHash, Vec<&str>)> {
        let live = self.owners.iter().map(|(hash, owners)| {
            let live = owners.iter().filter(|(_, last_use)| now - **last_use < LIVE);
            (*hash, live.map(|(consumer, _)| NAMES[*consumer]).collect::<Vec<_>>())
        });
        live.filter(|(_, owners)| !owners.is_empty()).collect()
    }
}

fn names(listed: &[ListedSession]) -> Vec<(SessionHash, Vec<&str>)> {
    let sessions = listed.iter().map(|session| {
        let mut owners: Vec<_> = session.owners.iter().map(|owner| &*owner.consumer).collect();
        owners.sort_unstable();
        (session.hash, owners)
    });
    sessions.collect()
}

#[derive(Clone, Debug)]
enum Operation {
    Learn(u8, usize),
    Check(u8, usize),
    /// A request sent that many ticks ago was answered.
    Touch(u8, usize, u64),
    End(u8),
    EndConsumer(usize),
    /// Leaves the configuration and comes back at once.
    Leave(usize),
    Sweep,
    Clear,
}

fn operation() -> impl Strategy<Value = Operation> {
    let token = || 0u8..8;
    let consumer = || 0usize..NAMES.len();
    prop_oneof![
        20 => (token(), consumer()).prop_map(|(token, consumer)| Operation::Learn(token, consumer)),
        // Many logins that get the same token, so that there is a fifth owner.
        8 => consumer().prop_map(|consumer| Operation::Learn(0, consumer)),
        10 => (token(), consumer()).prop_map(|(token, consumer)| Operation::Check(token, consumer)),
        20 => (token(), consumer(), prop_oneof![4 => 0u64..10, 1 => 0u64..100])
            .prop_map(|(token, consumer, ago)| Operation::Touch(token, consumer, ago)),
        2 => token().prop_map(Operation::End),
        1 => consumer().prop_map(Operation::EndConsumer),
        1 => consumer().prop_map(Operation::Leave),
        3 => Just(Operation::Sweep),
        1 => Just(Operation::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_does_what_the_model_says(operations in prop::collection::vec((operation(), 1u64..5), 1..120)) {
        let table = table();
        let limits = limits();
        let mut model = Model::default();
        let mut now = 200;
        let mut ever_learned = BTreeMap::new();
        for (operation, later) in operations {
            now += later;
            let id = |consumer: usize| -> CallerId { table.caller(NAMES[consumer], "k").unwrap() };
            let hash = |number: u8| table.hash(&token(number));
            let owners_before = model.owners.clone();
            match operation.clone() {
                Operation::Learn(token, consumer) => {
                    let uses = model.owners.get(&hash(token)).map(|owners| owners.values().collect::<Vec<_>>());
                    let oldest = uses.as_ref().and_then(|uses| uses.iter().min().copied());
                    if uses.iter().flatten().filter(|last_use| Some(**last_use) == oldest).count() > 1 {
                        continue;
                    }
                    let learned = table.learn(hash(token), id(consumer), at(now), &limits);
                    prop_assert_eq!(&learned, &model.learn(hash(token), consumer, now));
                    if learned != Learned::Full {
                        ever_learned.insert((hash(token), NAMES[consumer]), ());
                    }
                }
                Operation::Check(token, consumer) => {
                    let standing = table.check(&hash(token), id(consumer), at(now), &limits);
                    prop_assert_eq!(standing, model.check(hash(token), consumer, now));
                }
                Operation::Touch(token, consumer, ago) => {
                    let slid = table.touch(&hash(token), id(consumer), at(now - ago), &limits);
                    prop_assert_eq!(slid, model.touch(hash(token), consumer, now - ago));
                }
                Operation::End(token) => {
                    let ended = model.retain(|h, _, _| h != hash(token));
                    prop_assert_eq!(table.end(&hash(token)), ended);
                }
                Operation::EndConsumer(consumer) => {
                    prop_assert_eq!(table.end_consumer(NAMES[consumer]), model.retain(|_, c, _| c != consumer));
                }
                Operation::Leave(consumer) => {
                    let before = id(consumer);
                    prop_assert_eq!(table.forget_consumer(NAMES[consumer]), model.retain(|_, c, _| c != consumer));
                    table.set_consumers(NAMES.map(|name| (name, ["k"])));
                    prop_assert_ne!(before, id(consumer));
                    prop_assert_eq!(table.learn(hash(0), before, at(now), &limits), Learned::Gone);
                }
                Operation::Sweep => {
                    let swept = model.retain(|_, _, last_use| now - last_use < LIVE + LINGER);
                    prop_assert_eq!(table.sweep(at(now), usize::MAX, &limits), swept);
                }
                Operation::Clear => {
                    prop_assert_eq!(table.clear(), model.retain(|_, _, _| false));
                }
            }
            let listed = table.list(None, 100, at(now), &limits);
            prop_assert_eq!(names(&listed), model.listed(now));
            prop_assert_eq!(table.len(), model.len());
            prop_assert!(table.len() <= TOTAL);
            for (consumer, name) in NAMES.iter().enumerate() {
                prop_assert_eq!(table.consumer_len(name), model.places(consumer));
                prop_assert!(table.consumer_len(name) <= PER_CONSUMER);
            }
            for session in &listed {
                for owner in &session.owners {
                    prop_assert!(ever_learned.contains_key(&(session.hash, &*owner.consumer)));
                    prop_assert!(!owner.idle_left.is_zero());
                }
            }
            if !matches!(operation, Operation::Learn(..)) {
                for (hash, owners) in &model.owners {
                    prop_assert!(owners.keys().all(|consumer| owners_before[hash].contains_key(consumer)));
                }
            }
        }
    }
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// One thread's share of everything that can happen at once.
fn hammer(table: &SessionTable, clock: &AtomicU64, seed: u64) {
    let limits = limits();
    let mut numbers = Numbers(seed);
    for _ in 0..20_000 {
        let now = at(clock.fetch_add(numbers.below(2), Ordering::Relaxed));
        let hash = table.hash(&token(u8::try_from(numbers.below(16)).unwrap()));
        let name = NAMES[usize::try_from(numbers.below(6)).unwrap()];
        let Some(caller) = table.caller(name, "k") else { continue };
        match numbers.below(100) {
            0..40 => drop(table.learn(hash, caller, now, &limits)),
            40..60 => drop(table.touch(&hash, caller, now, &limits)),
            60..85 => drop(table.check(&hash, caller, now, &limits)),
            85..90 => drop(table.end(&hash)),
            90..92 => drop(table.end_consumer(name)),
            92..93 => drop(table.set_consumers(NAMES[..5].iter().map(|name| (*name, ["k"])))),
            93..95 => drop(table.set_consumers(NAMES.map(|name| (name, ["k"])))),
            95..98 => drop(table.sweep(now, 10, &limits)),
            98 => drop(table.list(None, 5, now, &limits)),
            _ => drop(table.clear()),
        }
        assert!(table.len() <= TOTAL);
    }
}

#[test]
fn threads_neither_deadlock_nor_lose_count() {
    let table = table();
    let clock = AtomicU64::new(100);
    let (done, finished) = mpsc::sync_channel(8);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (table, clock, done) = (&table, &clock, done.clone());
            scope.spawn(move || {
                hammer(table, clock, 0x9e37_79b9_7f4a_7c15 ^ thread);
                done.send(()).unwrap();
            });
        }
        for _ in 0..4 {
            // A deadlock would hold the scope for ever.
            if finished.recv_timeout(Duration::from_secs(120)).is_err() {
                eprintln!("threads are stuck or failed");
                std::process::exit(1);
            }
        }
    });
    table.set_consumers(NAMES.map(|name| (name, ["k"])));
    let now = at(clock.load(Ordering::Relaxed));
    // With a window that has no end, everything that is in the table is listed.
    let endless = SessionLimits { idle_timeout: Duration::from_secs(1 << 30), ..limits() };
    let listed = table.list(None, 1_000, now, &endless);
    let places = |name: &str| listed.iter().flat_map(|s| &s.owners).filter(|owner| &*owner.consumer == name).count();
    assert_eq!(table.len(), listed.iter().map(|session| session.owners.len()).sum::<usize>());
    for name in NAMES {
        assert_eq!(table.consumer_len(name), places(name), "{name}");
        assert!(places(name) <= PER_CONSUMER);
    }
    let left = table.len();
    assert_eq!(table.sweep(Mono(u64::MAX / 2), usize::MAX, &limits()), left);
    assert_eq!(table.len(), 0);
}

#[test]
fn a_flood_of_logins_of_one_consumer_leaves_the_others_alone() {
    let table = table();
    let limits = SessionLimits::default();
    let id = |name| table.caller(name, "k").unwrap();
    for n in 0..100_u32 {
        let _ = table.learn(table.hash(&n.to_le_bytes()), id("b"), at(0), &limits);
    }
    for n in 100..100_100_u32 {
        let learned = table.learn(table.hash(&n.to_le_bytes()), id("a"), at(u64::from(n / 100)), &limits);
        assert!(matches!(learned, Learned::New { .. }), "{learned:?}");
    }
    assert_eq!(table.consumer_len("a"), limits.per_consumer);
    for n in 0..100_u32 {
        assert_eq!(table.check(&table.hash(&n.to_le_bytes()), id("b"), at(1_001), &limits), Standing::Live);
    }
    let newest = table.hash(&100_099_u32.to_le_bytes());
    assert_eq!(table.check(&newest, id("a"), at(1_001), &limits), Standing::Live);
}

#[test]
fn a_session_in_use_survives_any_sweep() {
    let table = table();
    let limits = limits();
    let id = table.caller("a", "k").unwrap();
    let hash = table.hash(b"t");
    let _ = table.learn(hash, id, at(0), &limits);
    let stop = AtomicBool::new(false);
    let clock = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                table.sweep(at(clock.load(Ordering::Relaxed)), 10, &limits);
            }
        });
        let survived = (1..50_000).all(|tick| {
            clock.store(tick, Ordering::Relaxed);
            table.check(&hash, id, at(tick), &limits) == Standing::Live && table.touch(&hash, id, at(tick), &limits)
        });
        // Before anything can fail: the scope waits for the thread.
        stop.store(true, Ordering::Relaxed);
        assert!(survived);
    });
}
