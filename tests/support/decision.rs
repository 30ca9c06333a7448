//! A configuration of the size that is measured: 1,000 consumers, in the core's own types. For `benches/core.rs` and
//! `tests/allocations/decide_allocations.rs`.

use sensgate::domain::{exchange, limit, request, rules, session, tables, types};

#[path = "../../src/domain/fixture.rs"]
#[allow(dead_code, reason = "unit tests of the domain use the rest")]
mod fixture;

use fixture::quota;
use request::head::HeadLimits;
use rules::consumer::{Consumer, Credential};
use rules::snapshot::Snapshot;
use tables::Tables;
use types::{Now, Wall};

pub const CONSUMERS: usize = 1000;

/// The key of the consumer in the middle of the table.
pub const MIDDLE: usize = CONSUMERS / 2;

/// Some instant, before the expiry of every key.
pub const NOW: Now = fixture::NOW;

/// The key of consumer number `n`, in the length of a real one.
pub fn key(n: usize) -> String {
    format!("sgk_k1_{n:050}")
}

/// The whole set-up. Every consumer has one key, two networks and three rules; consumer 0 is disabled and the key of
/// consumer 1 expired.
pub fn thousand_consumers() -> Snapshot {
    let networks = ["203.0.113.0/24", "127.0.0.0/8"].map(|text| text.parse().expect("a network"));
    let consumers = (0..CONSUMERS).map(|n| Consumer {
        credentials: vec![Credential {
            expires: Some(Wall(if n == 1 { 0 } else { i64::MAX })),
            enabled: n != 0,
            ..fixture::credential("k1", &key(n))
        }],
        allow_from: Some(networks.to_vec()),
        allow: Some(fixture::rules(&["GET /v1/*", "POST /v1/devis*"])),
        deny: fixture::rules(&["* /v1/secret*"]),
        rate_limit: Some(quota("1000000/s")),
        ..Consumer::named(&format!("consumer-{n}"), vec![])
    });
    let mut snapshot = fixture::snapshot(consumers.collect());
    snapshot.session.public = vec![];
    snapshot.session.limits.per_consumer = 1_000_000;
    snapshot.limits.head = HeadLimits { bytes: 32 << 10, uri: 8 << 10, fields: 100 };
    snapshot.limits.body = 10 << 20;
    snapshot
}

/// The token of session number `n`.
pub fn token(n: usize) -> String {
    format!("token-{n:026}")
}

/// Tables with `sessions` live sessions of the consumer in the middle, and the buckets of every consumer.
pub fn tables(snapshot: &Snapshot, sessions: usize) -> Tables {
    let tables = fixture::tables(snapshot);
    let caller = tables.sessions.caller(&format!("consumer-{MIDDLE}"), "k1").expect("the consumer is admitted");
    for n in 0..sessions {
        let hash = tables.sessions.hash(token(n).as_bytes());
        let _ = tables.sessions.learn(hash, caller, NOW.mono, &snapshot.session.limits);
    }
    for consumer in snapshot.consumers.iter() {
        let _ = tables.limiter.consumer_bucket(&consumer.name);
    }
    tables
}
