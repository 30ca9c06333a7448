//! Exchanges played by hand: a snapshot, tables, callers, an 8sens and a clock, without socket and without thread.
//!
//! Scripts tell each story once; `interleavings` holds what has to be true of all of them.

use super::*;
use crate::domain::fixture::{self, NOW, consumer, quota};
use crate::domain::request::head::{FieldLines, Origin, Scan, scan};
use crate::domain::rules::consumer::Consumer;
use crate::domain::types::Wall;
use std::net::Ipv4Addr;

pub(super) const SHOPS: [&str; 2] = ["boutique", "partenaire"];

/// An exchange that waits for these, for who tests the waiting itself.
pub(crate) fn waiting_for(needs: &[Need]) -> (Exchange, Step) {
    Gate::new().begin(&login(SHOPS[0]), needs)
}

/// What one shop may use; so slow to come back that a test never sees it do so.
pub(super) const BURST: u32 = 12;

pub(super) const IDLE: Duration = Duration::from_secs(900);

/// A gate with two shops, each with the key `key-of-<name>`.
pub(super) struct Gate {
    pub snapshot: Arc<Snapshot>,
    pub tables: Arc<Tables>,
    pub now: Now,
    requests: u64,
}

impl Gate {
    pub(super) fn new() -> Self {
        let snapshot = Arc::new(snapshot(&SHOPS));
        let tables = Arc::new(fixture::tables(&snapshot));
        Self { snapshot, tables, now: NOW, requests: 0 }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono.after(time);
        self.now.wall = Wall(self.now.wall.0 + i64::try_from(time.as_millis()).unwrap());
    }

    /// Applies a configuration with these shops alone: the others are revoked.
    pub(super) fn reload(&mut self, shops: &[&str]) {
        self.snapshot = Arc::new(snapshot(shops));
        self.tables.adopt(&self.snapshot, self.now);
    }

    pub(super) fn begin(&mut self, request: &str, needs: &[Need]) -> (Exchange, Step) {
        self.requests += 1;
        let origin =
            Origin { peer: Ipv4Addr::LOCALHOST.into(), transport: Transport::Trusted, version: HttpVersion::Http11 };
        let limits = self.snapshot.limits.head;
        let scanned = scan(request.as_bytes(), limits, &self.snapshot.fields, origin, &mut FieldLines::default());
        let Scan::Complete(_, view) = scanned else { panic!("not a request: {request}") };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.requests.to_be_bytes());
        let (snapshot, tables) = (Arc::clone(&self.snapshot), Arc::clone(&self.tables));
        let needs = Needs::new(needs.iter().cloned());
        let (mut exchange, mut step) =
            Exchange::begin_with(snapshot, tables, &view, RequestId::from_random(id), self.now, needs);
        if matches!(step, Step::Need(Need::LoginBody)) {
            step = exchange.resume(Event::Body(login_body("login=A")), self.now);
        }
        (exchange, step)
    }

    pub(super) fn forward(&mut self, request: &str) -> Exchange {
        let (exchange, step) = self.begin(request, &[]);
        assert!(matches!(step, Step::Forward(_)), "{step:?}");
        exchange
    }

    /// Takes an exchange to 8sens and answers it.
    pub(super) fn answer(&mut self, exchange: &mut Exchange, status: u16, body: &str) -> ChunkVerdict {
        exchange.upstream_started(self.now);
        exchange.upstream_connected();
        exchange.response_head(status, self.now);
        exchange.response_head_sent(self.now);
        exchange.response_chunk(body.as_bytes(), true, self.now)
    }

    pub(super) fn log_in(&mut self, shop: &str, token: &str) -> Record {
        let mut exchange = self.forward(&login(shop));
        assert_eq!(self.answer(&mut exchange, 200, &token_answer(token)), ChunkVerdict::Release);
        exchange.finish(Outcome::Answered { status: 200 }, self.now)
    }

    pub(super) fn code_of(&mut self, request: &str) -> &'static str {
        let (exchange, step) = self.begin(request, &[]);
        let outcome = match step {
            Step::Deny(denial) => Outcome::Denied(denial),
            _ => Outcome::Answered { status: 200 },
        };
        exchange.finish(outcome, self.now).code.as_str()
    }

    /// How many requests a shop could send at this moment.
    pub(super) fn left(&mut self, shop: &str) -> usize {
        let mut kept = Vec::new();
        loop {
            match self.begin(&login(shop), &[]) {
                (_, Step::Deny(_)) => return kept.len(),
                (exchange, _) => kept.push(exchange),
            }
        }
    }
}

pub(super) fn shop(name: &str) -> Consumer {
    Consumer { rate_limit: Some(quota(&format!("1/d, burst {BURST}"))), ..consumer(name, &format!("key-of-{name}")) }
}

pub(super) fn snapshot(shops: &[&str]) -> Snapshot {
    let mut snapshot = fixture::snapshot(shops.iter().map(|name| shop(name)).collect());
    snapshot.session.limits.idle_timeout = IDLE;
    snapshot
}

pub(super) fn login(shop: &str) -> String {
    format!("POST /v1/login/user HTTP/1.1\r\nHost: g\r\napi_key: key-of-{shop}\r\nContent-Length: 1\r\n\r\n")
}

pub(super) fn login_body(body: &str) -> LoginBody {
    LoginBody::new(zeroize::Zeroizing::new(body.as_bytes().to_vec()))
}

pub(super) fn read(shop: &str, token: &str) -> String {
    format!("GET /v1/a HTTP/1.1\r\nHost: g\r\napi_key: key-of-{shop}\r\naccess_token: {token}\r\n\r\n")
}

pub(super) fn write(shop: &str, token: &str) -> String {
    format!("POST /v1/devis HTTP/1.1\r\nHost: g\r\napi_key: key-of-{shop}\r\naccess_token: {token}\r\n\r\n")
}

pub(super) fn token_answer(token: &str) -> String {
    format!("{{\"access_token\":\"{token}\"}}")
}

#[test]
fn a_login_is_held_until_its_session_is_there() {
    let mut gate = Gate::new();
    let mut exchange = gate.forward(&login("boutique"));
    exchange.upstream_started(gate.now);
    exchange.upstream_connected();
    exchange.response_head(200, gate.now);
    let body = token_answer("t1");
    let (first, second) = body.as_bytes().split_at(10);
    assert_eq!(exchange.response_chunk(first, false, gate.now), ChunkVerdict::Hold);
    assert_eq!(gate.code_of(&read("boutique", "t1")), "session_unknown");
    assert_eq!(exchange.response_chunk(second, true, gate.now), ChunkVerdict::Release);
    assert_eq!(gate.code_of(&read("boutique", "t1")), "ok");
    let record = exchange.finish(Outcome::Answered { status: 200 }, gate.now);
    assert_eq!((record.login, record.learned.is_some()), (Some(LoginOutcome::Accepted), true));
}

#[test]
fn a_login_that_never_came_back_failed_and_brings_nothing() {
    let mut gate = Gate::new();
    let mut exchange = gate.forward(&login("boutique"));
    exchange.upstream_started(gate.now);
    exchange.upstream_connected();
    let record = exchange.finish(Outcome::Aborted { status: None }, gate.now);
    assert_eq!((record.login, record.learned), (Some(LoginOutcome::Failed), None));
    let record = gate.forward(&login("boutique")).finish(Outcome::CallerLeft { status: None }, gate.now);
    assert_eq!((record.login, record.upstream), (None, None), "it was never taken to 8sens");
}

#[test]
fn a_session_lives_from_the_sending_of_an_answered_request() {
    let mut gate = Gate::new();
    gate.log_in("boutique", "t1");
    gate.pass(IDLE / 2);
    let mut used = gate.forward(&read("boutique", "t1"));
    used.upstream_started(gate.now);
    used.upstream_connected();
    gate.pass(IDLE / 4);
    used.response_head(200, gate.now);
    gate.pass(IDLE / 2);
    assert_eq!(gate.code_of(&read("boutique", "t1")), "ok", "three quarters of the window since it was sent");
    gate.pass(IDLE / 2);
    assert_eq!(gate.code_of(&read("boutique", "t1")), "session_expired");
}

#[test]
fn an_answer_that_says_expired_ends_the_session_for_everybody_who_waits_on_it() {
    let mut gate = Gate::new();
    gate.log_in("boutique", "t1");
    let (mut waiting, step) = gate.begin(&read("boutique", "t1"), &[Need::Word(1)]);
    assert!(matches!(step, Step::Need(Need::Word(1))));
    let mut told = gate.forward(&read("boutique", "t1"));
    gate.answer(&mut told, 401, "");
    let Step::Deny(denial) = waiting.resume(Event::Met, gate.now) else { panic!("it was sent with a dead token") };
    assert_eq!(denial.reason, Some(Reason::SessionEndedWhileWaiting));
}

#[test]
fn a_failed_connect_gives_back_what_was_reserved() {
    let mut gate = Gate::new();
    let before = gate.left("boutique");
    let mut exchange = gate.forward(&login("boutique"));
    exchange.upstream_started(gate.now);
    exchange.upstream_failed();
    assert_eq!(gate.left("boutique"), before, "before the exchange ends");
    let record = exchange.finish(Outcome::Denied(Denial::because(Reason::NoConnection)), gate.now);
    assert_eq!((record.code.as_str(), record.status), ("upstream_unreachable", Some(502)));
    assert_eq!(gate.left("boutique"), before);
}

#[test]
fn a_caller_that_leaves_after_sending_has_used_its_quota() {
    let mut gate = Gate::new();
    gate.log_in("boutique", "t1");
    let before = gate.left("boutique");
    for request in [read("boutique", "t1"), write("boutique", "t1")] {
        let (mut exchange, step) = gate.begin(&request, &[]);
        let Step::Forward(plan) = step else { panic!("{step:?}") };
        assert_eq!(plan.is_write, request.starts_with("POST"));
        assert_eq!(plan.resend == Resend::Never, plan.is_write);
        exchange.upstream_started(gate.now);
        exchange.upstream_connected();
        let record = exchange.finish(Outcome::CallerLeft { status: None }, gate.now);
        assert_eq!((record.code, record.status), (EndCode::CallerLeft, None));
    }
    assert_eq!(gate.left("boutique"), before - 2);
}

#[test]
fn a_reload_in_the_middle_changes_nothing_for_what_is_under_way() {
    let mut gate = Gate::new();
    gate.log_in("boutique", "t1");
    let mut under_way = gate.forward(&read("boutique", "t1"));
    gate.reload(&["boutique"]);
    assert_eq!(gate.answer(&mut under_way, 200, "body"), ChunkVerdict::Release);
    assert_eq!(gate.code_of(&read("boutique", "t1")), "ok", "the session outlives the reload");
}

#[test]
fn a_revocation_in_the_middle_stops_what_waits_and_what_comes() {
    let mut gate = Gate::new();
    gate.log_in("boutique", "t1");
    let (mut waiting, _) = gate.begin(&read("boutique", "t1"), &[Need::Word(1)]);
    let mut logging_in = gate.forward(&login("boutique"));
    let before = gate.left("partenaire");
    gate.reload(&["partenaire"]);
    let Step::Deny(denial) = waiting.resume(Event::Met, gate.now) else { panic!("forwarded after a revocation") };
    assert_eq!(denial.code, DenyCode::UnknownKey);
    assert_eq!(gate.code_of(&read("boutique", "t1")), "unknown_key");
    gate.answer(&mut logging_in, 200, &token_answer("t2"));
    gate.reload(&SHOPS);
    assert_eq!(gate.code_of(&read("boutique", "t2")), "session_unknown", "a login of a revoked shop brings nothing");
    assert_eq!(gate.left("partenaire"), before);
}

#[test]
fn needs_are_met_in_order_and_what_was_reserved_waits_along() {
    let mut gate = Gate::new();
    let before = gate.left("boutique");
    let (mut exchange, step) = gate.begin(&login("boutique"), &[Need::Word(1), Need::Word(2)]);
    assert!(matches!(step, Step::Need(Need::Word(1))));
    assert_eq!(gate.left("boutique"), before - 1, "reserved while it waits");
    assert!(matches!(exchange.resume(Event::Met, gate.now), Step::Need(Need::Word(2))));
    assert!(matches!(exchange.resume(Event::Met, gate.now), Step::Forward(_)));
    assert!(matches!(exchange.resume(Event::Met, gate.now), Step::Deny(_)), "it waits for nothing");
    assert_eq!(exchange.waits_until(), None);
}

#[test]
fn a_need_that_is_refused_or_comes_too_late_gives_everything_back() {
    let mut gate = Gate::new();
    let before = gate.left("boutique");
    let (mut refused, _) = gate.begin(&login("boutique"), &[Need::Word(1)]);
    let overloaded = Denial::new(DenyCode::TooManyConnections);
    let Step::Deny(denial) = refused.resume(Event::Refused(overloaded.clone()), gate.now) else { panic!() };
    assert_eq!(denial, overloaded);
    let (mut late, _) = gate.begin(&login("boutique"), &[Need::Word(1)]);
    assert_eq!(late.waits_until(), Some(gate.now.mono.after(WAIT)));
    gate.pass(WAIT + Duration::from_nanos(1));
    let Step::Deny(denial) = late.resume(Event::Met, gate.now) else { panic!() };
    assert_eq!(denial.reason, Some(Reason::WaitedTooLong));
    assert_eq!(gate.left("boutique"), before);
}

#[test]
fn a_resend_counts_once_and_is_dated_by_its_own_sending() {
    let mut gate = Gate::new();
    gate.log_in("boutique", "t1");
    let before = gate.left("boutique");
    let mut exchange = gate.forward(&read("boutique", "t1"));
    exchange.upstream_started(gate.now);
    exchange.upstream_connected();
    exchange.request_chunk(60).unwrap();
    gate.pass(Duration::from_secs(2));
    exchange.request_body_restarts();
    exchange.upstream_started(gate.now);
    exchange.upstream_connected();
    exchange.request_chunk(60).unwrap();
    assert!(exchange.request_chunk(60).is_err(), "over the limit of the body");
    assert_eq!(gate.left("boutique"), before - 1);
    gate.pass(Duration::from_secs(1));
    exchange.response_head(200, gate.now);
    let record = exchange.finish(Outcome::Answered { status: 200 }, gate.now);
    assert_eq!(record.upstream, Some(Duration::from_secs(3)), "from the first attempt on");
}
