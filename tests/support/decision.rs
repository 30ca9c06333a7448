//! A configuration of the size that is measured: 1,000 consumers, in the core's own types. For `benches/core.rs` and
//! `tests/decide_allocations.rs`.

use sensgate::client_ip::TrustedProxies;
use sensgate::consumer::{Consumer, ConsumerTable, Credential, digest};
use sensgate::head::HeadLimits;
use sensgate::policy::PolicySet;
use sensgate::request::{FieldTable, TokenPlace};
use sensgate::route::RouteRule;
use sensgate::snapshot::{SessionRules, SizeLimits, Snapshot};
use sensgate::types::{Mono, Now, Wall};

pub const CONSUMERS: usize = 1000;

/// The key of the consumer in the middle of the table.
pub const MIDDLE: usize = CONSUMERS / 2;

/// Some instant, before the expiry of every key.
pub const NOW: Now = Now { mono: Mono(1_000_000_000), wall: Wall(1_790_000_000_000) };

/// The key of consumer number `n`, in the length of a real one.
pub fn key(n: usize) -> String {
    format!("sgk_k1_{n:050}")
}

/// The whole set-up. Every consumer has one key, two networks and three rules; consumer 0 is disabled and the key of consumer 1 expired.
pub fn thousand_consumers() -> Snapshot {
    let rules = |texts: &[&str]| -> Vec<RouteRule> {
        texts.iter().map(|text| RouteRule::parse(text).expect("rules of this file are well-formed")).collect()
    };
    let networks = ["203.0.113.0/24", "127.0.0.0/8"].map(|text| text.parse().expect("a network"));
    let consumers = (0..CONSUMERS).map(|n| Consumer {
        name: format!("consumer-{n}").into(),
        credentials: vec![Credential {
            id: "k1".into(),
            digest: digest(key(n).as_bytes()),
            expires: Some(Wall(if n == 1 { 0 } else { i64::MAX })),
            enabled: n != 0,
        }],
        allow_from: Some(networks.to_vec()),
        allow: Some(rules(&["GET /v1/*", "POST /v1/devis*"])),
        deny: rules(&["* /v1/secret*"]),
    });
    Snapshot {
        consumers: ConsumerTable::new(consumers.collect()),
        fields: FieldTable::new(["x-api-key"], "x-forwarded-for"),
        trusted_proxies: TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("a network")]),
        session: SessionRules {
            token_from: TokenPlace::ALL.to_vec(),
            login_routes: rules(&["POST /v1/login/user"]),
            pass_cookies: false,
        },
        limits: SizeLimits { head: HeadLimits { bytes: 32 << 10, uri: 8 << 10, fields: 100 }, body: 10 << 20 },
        policies: PolicySet::ALL,
    }
}
