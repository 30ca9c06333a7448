//! The number of series does not depend on who calls with what.

use crate::gate::{Config, Gate, KEY};
use crate::support::witness::{Behaviour, Witness};
use sensgate::domain::exchange::{Exchange, Outcome, Step};
use sensgate::domain::request::{RequestView, Transport};
use sensgate::domain::types::{HttpVersion, RequestId};
use sensgate::telemetry::Metrics;
use std::net::Ipv4Addr;
use std::sync::Arc;

#[path = "../../support/decision.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod decision;

fn series(scrape: &str) -> Vec<String> {
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect()
}

/// One request of a stranger or of a consumer, no two alike: path, key, token, address, agent and method.
fn request(
    number: u32,
    snapshot: &Arc<sensgate::domain::rules::snapshot::Snapshot>,
    tables: &Arc<sensgate::domain::tables::Tables>,
    metrics: &Metrics,
) {
    let path = format!("/v1/articles/{number}?q={number}");
    let (method, key) = match number % 4 {
        0 => ("GET".to_owned(), format!("sgk_wrong_{number}")),
        1 => (format!("M{number}"), decision::key(decision::MIDDLE)),
        2 => ("DELETE".to_owned(), decision::key(decision::MIDDLE)),
        _ => ("GET".to_owned(), decision::key(decision::MIDDLE)),
    };
    // Inside the networks of the consumer, and outside of them.
    let address = if number.is_multiple_of(8) { 0x7f00_0000 } else { 0x3000_0000 } + number;
    let peer = Ipv4Addr::from(if number % 4 == 3 { 0x7f00_0000 + number } else { address }).into();
    let mut view = RequestView::new(method.as_bytes(), path.as_bytes(), HttpVersion::Http11, peer, Transport::Trusted);
    let (token, agent) = (format!("token-{number}"), format!("agent/{number}"));
    let token = if number % 8 == 3 { decision::token(7) } else { token };
    for (name, value) in [("host", "gate"), ("api_key", &*key), ("access_token", &*token), ("user-agent", &*agent)] {
        view.push_field(&snapshot.fields, name.as_bytes(), value.as_bytes());
    }
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let (snapshot, tables) = (Arc::clone(snapshot), Arc::clone(tables));
    let (exchange, step) = Exchange::begin(snapshot, tables, &view, RequestId::from_random(id), decision::NOW);
    let outcome = match step {
        Step::Deny(denial) => Outcome::Denied(denial),
        Step::Forward(_) => Outcome::Answered { status: 200 },
        Step::TellMethods => Outcome::Answered { status: 204 },
        Step::Need(need) => panic!("nothing here waits: {need:?}"),
    };
    metrics.observe(&exchange.finish(outcome, decision::NOW));
}

#[test]
fn a_hundred_thousand_distinct_requests_make_no_series() {
    let snapshot = Arc::new(decision::thousand_consumers());
    let tables = Arc::new(decision::tables(&snapshot, 100));
    let metrics = Metrics::new();
    let scrape = || String::from_utf8(metrics.render().1).unwrap();
    (0..1_000).for_each(|number| request(number, &snapshot, &tables, &metrics));
    let before = series(&scrape());
    (1_000..101_000).for_each(|number| request(number, &snapshot, &tables, &metrics));
    let after = scrape();
    assert_eq!(series(&after), before);
    // It was not all one kind of request.
    for code in ["ok", "unknown_key", "unknown_method", "forbidden_address", "session_unknown"] {
        let counted =
            after.lines().any(|line| line.starts_with("sensgate_requests_total{code=\"") && line.contains(code));
        assert!(counted, "{code}: {after}");
    }
    assert!(after.contains("sensgate_overhead_duration_seconds_count 101000"), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_do_they_at_the_real_gate() {
    let witness = Witness::start(Behaviour::by(|_| crate::support::witness::Action::Answer)).await;
    let config = Config::new(witness.addr()).with("client_ip", "trusted_proxies = [\"127.0.0.0/8\"]");
    let gate = Gate::start(&config);
    let mut client = gate.connect().await;
    let mut before = Vec::new();
    for number in 0..400_u32 {
        let key = if number % 2 == 0 { KEY.to_owned() } else { format!("sgk_wrong_{number}") };
        let address = Ipv4Addr::from(0x3000_0000 + number * 1_000);
        let request = format!(
            "GET /v1/{number} HTTP/1.1\r\nHost: h{number}\r\napi_key: {key}\r\nUser-Agent: \
             a{number}\r\nX-Forwarded-For: {address}\r\n\r\n"
        );
        let answer = client.exchange(request).await.unwrap();
        assert_eq!(answer.status, if number % 2 == 0 { 200 } else { 401 });
        if number == 3 {
            before = settled(&gate, 4).await;
        }
    }
    assert_eq!(settled(&gate, 400).await, before);
}

/// The series once that many requests have been counted: a request is, a little after its answer.
async fn settled(gate: &Gate, requests: u32) -> Vec<String> {
    let end = std::time::Instant::now() + crate::gate::DEADLINE;
    loop {
        let scrape = gate.metrics().await;
        let body = scrape.split_once("\r\n\r\n").map_or(&*scrape, |(_, body)| body);
        if body.contains(&format!("sensgate_overhead_duration_seconds_count {requests}\n")) {
            return series(body);
        }
        assert!(std::time::Instant::now() < end, "{body}");
    }
}
