//! A configuration of the size that is measured: 1,000 consumers, in the core's own types. For `benches/core.rs` and
//! `tests/allocations/decide_allocations.rs`.

use sensgate::domain::limit::Quota;
use sensgate::domain::request::client_ip::TrustedProxies;
use sensgate::domain::request::head::HeadLimits;
use sensgate::domain::request::{FieldTable, TokenPlace};
use sensgate::domain::rules::consumer::{Consumer, ConsumerTable, Credential, digest};
use sensgate::domain::rules::enforce::Enforce;
use sensgate::domain::rules::route::RouteRule;
use sensgate::domain::rules::snapshot::{BudgetRules, SessionMode, SessionRules, SizeLimits, Snapshot};
use sensgate::domain::session::{ExpiredPattern, ExpiredWhen, SessionLimits};
use sensgate::domain::tables::{NoJournal, Tables};
use sensgate::domain::types::{Mono, Now, Wall};
use zeroize::Zeroizing;

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
            digest: digest(key(n).as_bytes()),
            expires: Some(Wall(if n == 1 { 0 } else { i64::MAX })),
            enabled: n != 0,
            ..Credential::named("k1")
        }],
        allow_from: Some(networks.to_vec()),
        allow: Some(rules(&["GET /v1/*", "POST /v1/devis*"])),
        deny: rules(&["* /v1/secret*"]),
        rate_limit: Some(quota("1000000/s")),
        route_limits: vec![],
        enforce: Enforce::On,
    });
    Snapshot {
        consumers: ConsumerTable::new(consumers.collect()),
        fields: FieldTable::new(["x-api-key"], "x-forwarded-for"),
        trusted_proxies: TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("a network")]),
        session: SessionRules {
            token_from: TokenPlace::ALL.to_vec(),
            login_routes: rules(&["POST /v1/login/user"]),
            public: vec![],
            mode: SessionMode::Guard,
            limits: SessionLimits { per_consumer: 1_000_000, ..SessionLimits::default() },
            expired_when: ExpiredWhen::new(vec![ExpiredPattern { status: 401, body_contains: None }]),
            pass_cookies: false,
        },
        encoded_slash: vec![],
        budgets: BudgetRules {
            address: quota("1000000/s"),
            failed_credentials: quota("1000000/s"),
            failed_tokens: quota("1000000/s"),
            enforce: Enforce::On,
            rate_limit_on_answers: true,
        },
        limits: SizeLimits { head: HeadLimits { bytes: 32 << 10, uri: 8 << 10, fields: 100 }, body: 10 << 20 },
    }
}

fn quota(text: &str) -> Quota {
    Quota::parse(text).expect("quotas of this file are well-formed")
}

/// The token of session number `n`.
pub fn token(n: usize) -> String {
    format!("token-{n:026}")
}

/// Tables with `sessions` live sessions of the consumer in the middle, and the buckets of every consumer.
pub fn tables(snapshot: &Snapshot, sessions: usize) -> Tables {
    let tables = Tables::new(&Zeroizing::new([7; 32]), snapshot, Box::new(NoJournal), NOW);
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
