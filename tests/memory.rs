//! What a session costs in memory, counted by the allocator.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and shows what it measured")]

use peak_alloc::PeakAlloc;
use sensgate::domain::session::{CallerId, SessionHash, SessionLimits, SessionTable, Standing};
use sensgate::domain::types::Mono;
use zeroize::Zeroizing;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The bound of the design, all included, however full the tables happen to be.
const MOST_PER_SESSION: f64 = 150.0;
const CONSUMERS: usize = 20;
/// More than two doublings of the map, so that its worst fill is among what is measured: it costs as much per session
/// at a million.
const SESSIONS: usize = 500_000;

/// Spreads numbers as the keyed hash would, without its cost in a debug build.
fn hash(number: u64) -> SessionHash {
    let mixed = |x: u64| {
        let x = (x ^ (x >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
        let x = (x ^ (x >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d);
        (x ^ (x >> 33)).to_le_bytes()
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mixed(number.wrapping_add(0x9e37_79b9_7f4a_7c15)));
    bytes[8..].copy_from_slice(&mixed(!number));
    SessionHash::from_bytes(bytes)
}

fn table() -> (SessionTable, Vec<CallerId>) {
    let table = SessionTable::new(&Zeroizing::new([1; 32]));
    let names: Vec<String> = (0..CONSUMERS).map(|n| format!("shop-{n}")).collect();
    table.set_consumers(names.iter().map(|name| (name.as_str(), ["k1", "k2"])));
    let callers = names.iter().map(|name| table.caller(name, "k1").unwrap()).collect();
    (table, callers)
}

fn per_session(bytes: usize, sessions: usize) -> f64 {
    bytes as f64 / sessions as f64
}

/// One test: they share the allocator's count.
#[test]
fn memory_is_bounded() {
    let limits = SessionLimits { per_consumer: SESSIONS, ..SessionLimits::default() };
    let empty = ALLOCATOR.current_usage();
    let (table, callers) = table();
    println!("an empty table: {} bytes", ALLOCATOR.current_usage() - empty);

    let mut worst = (0.0, 0);
    let mut best = (f64::MAX, 0);
    for number in 0..SESSIONS {
        let caller = callers[number % CONSUMERS];
        let _ = table.learn(hash(number as u64), caller, Mono(number as u64 * 1_000_000), &limits);
        let sessions = number + 1;
        if sessions >= 100_000 && sessions % 1_000 == 0 {
            let cost = per_session(ALLOCATOR.current_usage() - empty, sessions);
            worst = if cost > worst.0 { (cost, sessions) } else { worst };
            best = if cost < best.0 { (cost, sessions) } else { best };
        }
    }
    assert_eq!(table.len(), SESSIONS);
    let peak = per_session(ALLOCATOR.peak_usage() - empty, SESSIONS);
    println!("bytes per session: {:.1} at {} at best, {:.1} at {} at worst", best.0, best.1, worst.0, worst.1);
    println!("bytes per session of {SESSIONS}, with what growing took at its peak: {peak:.1}");
    assert!(worst.0 <= MOST_PER_SESSION, "{worst:?}");
    assert!(peak <= MOST_PER_SESSION, "{peak}");
    // The bounds are no accident of measuring nothing.
    assert!(best.0 >= 32.0, "{best:?}");

    a_million_unknown_tokens_take_nothing(&table, callers[0], &limits);
    logins_and_ends_take_nothing(&table, callers[0], &limits);
    memory_goes_back(&table, empty, &limits);
    drop((table, callers));
    shared_tokens_stay_within_the_bound();
}

fn a_million_unknown_tokens_take_nothing(table: &SessionTable, caller: CallerId, limits: &SessionLimits) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    for number in 0..1_000_000_u64 {
        let unknown = hash(u64::MAX / 2 + number);
        assert_eq!(table.check(&unknown, caller, Mono(0), limits), Standing::Unknown);
        assert!(!table.touch(&unknown, caller, Mono(0), limits));
        assert_eq!(table.end(&unknown), 0);
    }
    for number in 0..1_000_u64 {
        let unknown = table.hash(&number.to_le_bytes());
        assert_eq!(table.check(&unknown, caller, Mono(0), limits), Standing::Unknown);
    }
    assert_eq!(ALLOCATOR.current_usage(), before);
    assert_eq!(ALLOCATOR.peak_usage(), before, "not even for a moment");
}

fn logins_and_ends_take_nothing(table: &SessionTable, caller: CallerId, limits: &SessionLimits) {
    let before = ALLOCATOR.current_usage();
    for number in 0..300_000_u64 {
        let short = hash(u64::MAX / 4 + number);
        let _ = table.learn(short, caller, Mono(number * 1_000_000), limits);
        assert_eq!(table.end(&short), 1);
    }
    let grown = ALLOCATOR.current_usage().saturating_sub(before);
    // The queue of one consumer may double once, and no more.
    assert!(grown <= 64 * SESSIONS / CONSUMERS, "{grown}");
}

fn memory_goes_back(table: &SessionTable, empty: usize, limits: &SessionLimits) {
    let late = Mono(1_000_000_000 * 1_000_000);
    while table.sweep(late, 10_000, limits) > 0 {}
    assert_eq!(table.len(), 0);
    table.sweep(late, 10_000, limits);
    let left = ALLOCATOR.current_usage() - empty;
    println!("left when all have expired: {left} bytes");
    assert!(left < 1 << 20, "{left}");
}

/// A place on a shared token costs more than half a session of its own, and still less than the bound.
fn shared_tokens_stay_within_the_bound() {
    let limits = SessionLimits { per_consumer: SESSIONS, ..SessionLimits::default() };
    let empty = ALLOCATOR.current_usage();
    let (table, callers) = table();
    for owners in 1..=4 {
        for number in 0..60_000 {
            let caller = callers[(number + owners) % CONSUMERS];
            let _ = table.learn(hash(number as u64), caller, Mono(0), &limits);
        }
        let cost = per_session(ALLOCATOR.current_usage() - empty, table.len());
        println!("{owners} owners: {cost:.1} bytes per place");
        assert!(cost <= MOST_PER_SESSION, "{owners} owners: {cost}");
    }
    assert_eq!(table.len(), 240_000);
}
