//! Micro-benchmarks of what every request passes through: `cargo bench --bench core`.

#![allow(clippy::expect_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/decision.rs"]
mod decision;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use decision::{MIDDLE, NOW, key, tables, thousand_consumers, token};
use sensgate::domain::denial::{Denial, DenyCode};
use sensgate::domain::exchange::{Exchange, Outcome, Record, Step};
use sensgate::domain::limit::{Quota, gcra};
use sensgate::domain::policy;
use sensgate::domain::request::head::{self, FieldLines, Origin, Scan};
use sensgate::domain::request::{RequestView, Transport};
use sensgate::domain::rules::snapshot::Snapshot;
use sensgate::domain::types::{HttpVersion, Mono, Now, RequestId};
use sensgate::proxy::reply::Problem;
use sensgate::telemetry::log_line;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const ORIGIN: Origin =
    Origin { peer: IpAddr::V4(Ipv4Addr::LOCALHOST), transport: Transport::Trusted, version: HttpVersion::Http11 };

/// The head of an ordinary request with this key.
fn ordinary_head(key: &str) -> Vec<u8> {
    format!(
        "GET /v1/articles?page=2 HTTP/1.1\r\nHost: gate.example:8443\r\nUser-Agent: shop/1.0\r\nAccept: \
         application/json\r\n\
         Accept-Encoding: gzip\r\napi_key: {key}\r\naccess_token: token-00000000000000000000000007\r\nX-Request-ID: \
         order-17\r\n\r\n"
    )
    .into_bytes()
}

fn scanned<'a>(head: &'a [u8], snapshot: &Snapshot) -> RequestView<'a> {
    match head::scan(head, snapshot.limits.head, &snapshot.fields, ORIGIN, &mut FieldLines::default()) {
        Scan::Complete(_, view) => view,
        other => panic!("{other:?}"),
    }
}

fn request_id() -> RequestId {
    RequestId::from_random([0xab; 16])
}

fn scanning(criterion: &mut Criterion) {
    let snapshot = thousand_consumers();
    let bytes = ordinary_head(&key(MIDDLE));
    criterion.bench_function("head scan", |bencher| {
        let mut lines = FieldLines::default();
        bencher.iter(|| {
            let scan = head::scan(black_box(&bytes), snapshot.limits.head, &snapshot.fields, ORIGIN, &mut lines);
            matches!(scan, Scan::Complete(..))
        });
    });
    let fields: Vec<(&[u8], &[u8])> = bytes
        .split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b':')?;
            Some((&line[..at], line[at + 1..].trim_ascii()))
        })
        .collect();
    criterion.bench_function("view fill, 7 fields", |bencher| {
        bencher.iter(|| {
            let mut view =
                RequestView::new(b"GET", b"/v1/articles", HttpVersion::Http11, ORIGIN.peer, ORIGIN.transport);
            for (name, value) in black_box(&fields) {
                view.push_field(&snapshot.fields, name, value);
            }
            view
        });
    });
}

fn deciding(criterion: &mut Criterion) {
    let snapshot = Arc::new(thousand_consumers());
    let tables = Arc::new(tables(&snapshot, 100_000));
    for (name, key) in [("admitted", key(MIDDLE)), ("unknown key", key(usize::MAX))] {
        let bytes = ordinary_head(&key);
        let view = scanned(&bytes, &snapshot);
        let client = snapshot.trusted_proxies.resolve(ORIGIN.peer, std::iter::empty());
        criterion.bench_function(&format!("decide, 1,000 consumers, 100,000 sessions, {name}"), |bencher| {
            bencher.iter(|| policy::decide(&snapshot, &tables, black_box(&view), client, NOW).is_ok());
        });
        criterion.bench_function(&format!("Exchange::begin, 1,000 consumers, {name}"), |bencher| {
            bencher.iter_batched(
                request_id,
                |id| Exchange::begin(Arc::clone(&snapshot), Arc::clone(&tables), black_box(&view), id, NOW),
                BatchSize::SmallInput,
            );
        });
    }
}

/// GCRA, and a session's touch and learning, at three sizes of the table.
fn keeping(criterion: &mut Criterion) {
    let quota = Quota::parse("1000000/s").expect("a quota");
    criterion.bench_function("gcra step", |bencher| bencher.iter(|| gcra::step(black_box(0), &quota, NOW.mono)));
    let snapshot = thousand_consumers();
    let limits = &snapshot.session.limits;
    for size in [1_000, 100_000, 1_000_000] {
        let tables = tables(&snapshot, size);
        let caller = tables.sessions.caller(&format!("consumer-{MIDDLE}"), "k1").expect("the consumer is admitted");
        let known = tables.sessions.hash(token(size / 2).as_bytes());
        criterion.bench_function(&format!("session check, {size}"), |bencher| {
            bencher.iter(|| tables.sessions.check(black_box(&known), caller, NOW.mono, limits));
        });
        criterion.bench_function(&format!("session touch, {size}"), |bencher| {
            bencher.iter(|| tables.sessions.touch(black_box(&known), caller, NOW.mono, limits));
        });
        criterion.bench_function(&format!("session learn again, {size}"), |bencher| {
            bencher.iter(|| tables.sessions.learn(black_box(known), caller, NOW.mono, limits));
        });
    }
}

/// The record of an ordinary answered request.
fn answered() -> Record {
    let snapshot = Arc::new(thousand_consumers());
    let bytes = ordinary_head(&key(MIDDLE));
    let tables = Arc::new(tables(&snapshot, 1_000));
    let view = scanned(&bytes, &snapshot);
    let (mut exchange, step) = Exchange::begin(Arc::clone(&snapshot), tables, &view, request_id(), NOW);
    assert!(matches!(step, Step::Forward(_)), "{step:?}");
    let later = |micros: u64| Now { mono: Mono(NOW.mono.0 + micros * 1000), wall: NOW.wall };
    exchange.upstream_started(later(20));
    exchange.response_head(200, later(900));
    exchange.response_head_sent(later(910));
    exchange.response_chunk(&[b'x'; 197], true, later(950));
    exchange.finish(Outcome::Answered { status: 200 }, later(960))
}

fn writing(criterion: &mut Criterion) {
    let record = answered();
    let mut line = Vec::with_capacity(1024);
    criterion.bench_function("access log line", |bencher| {
        bencher.iter(|| {
            line.clear();
            log_line::encode(black_box(&record), &mut line);
            line.len()
        });
    });
    let denial = Denial::new(DenyCode::UnknownKey);
    let id = request_id();
    criterion.bench_function("problem document", |bencher| {
        bencher.iter(|| {
            Problem::new(black_box(&denial), &id, None).to_http1("Sun, 06 Nov 1994 08:49:37 GMT", false, true)
        });
    });
}

criterion_group!(benches, scanning, deciding, keeping, writing);
criterion_main!(benches);
