//! Exchanges played by hand: a snapshot, tables, callers, an 8sens and a clock, without socket and without thread.
//!
//! Scripts tell each story once; random interleavings of many exchanges hold what has to be true of all of them.

use super::*;
use crate::domain::fixture::{self, NOW, consumer, quota};
use crate::domain::request::head::{Origin, Scan, scan};
use crate::domain::rules::consumer::Consumer;
use crate::domain::types::Wall;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

pub(super) const SHOPS: [&str; 2] = ["boutique", "partenaire"];

/// An exchange that waits for these, for who tests the waiting itself.
pub(crate) fn waiting_for(needs: &[Need]) -> (Exchange, Step) {
    Gate::new().begin(&login(SHOPS[0]), needs)
}

/// What one shop may use; so slow to come back that a test never sees it do so.
const BURST: u32 = 12;

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

    /// Takes up a configuration with these shops alone: the others are revoked.
    fn reload(&mut self, shops: &[&str]) {
        self.snapshot = Arc::new(snapshot(shops));
        self.tables.adopt(&self.snapshot, self.now);
    }

    pub(super) fn begin(&mut self, request: &str, needs: &[Need]) -> (Exchange, Step) {
        self.requests += 1;
        let origin =
            Origin { peer: Ipv4Addr::LOCALHOST.into(), transport: Transport::Trusted, version: HttpVersion::Http11 };
        let limits = self.snapshot.limits.head;
        let Scan::Complete(_, view) = scan(request.as_bytes(), limits, &self.snapshot.fields, origin) else {
            panic!("not a request: {request}")
        };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.requests.to_be_bytes());
        let (snapshot, tables) = (Arc::clone(&self.snapshot), Arc::clone(&self.tables));
        let needs = Needs::new(needs.iter().copied());
        Exchange::begin_with(snapshot, tables, &view, RequestId::from_random(id), self.now, needs)
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

pub(super) fn read(shop: &str, token: &str) -> String {
    format!("GET /v1/a HTTP/1.1\r\nHost: g\r\napi_key: key-of-{shop}\r\naccess_token: {token}\r\n\r\n")
}

fn write(shop: &str, token: &str) -> String {
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

/// One thing that happens to one of the exchanges, or to the gate.
#[derive(Clone, Debug)]
enum Happening {
    Begin { shop: usize, kind: RequestKind, token: usize, waits: bool },
    Resume { which: usize, met: bool },
    Start { which: usize },
    Connect { which: usize },
    ConnectFails { which: usize },
    Answer { which: usize, status: u16, token: usize },
    Finish { which: usize },
    Drop { which: usize },
    Pass { millis: u64 },
    Reload { shops: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestKind {
    Login,
    Read,
    Write,
}

fn happening() -> impl Strategy<Value = Happening> {
    let which = 0..8usize;
    let kind = prop_oneof![Just(RequestKind::Login), Just(RequestKind::Read), Just(RequestKind::Write)];
    let begin = (0..2usize, kind, 0..3usize, any::<bool>());
    prop_oneof![
        6 => begin.prop_map(|(shop, kind, token, waits)| Happening::Begin { shop, kind, token, waits }),
        3 => (which.clone(), prop::bool::weighted(0.8)).prop_map(|(which, met)| Happening::Resume { which, met }),
        4 => which.clone().prop_map(|which| Happening::Start { which }),
        4 => which.clone().prop_map(|which| Happening::Connect { which }),
        1 => which.clone().prop_map(|which| Happening::ConnectFails { which }),
        4 => (which.clone(), prop_oneof![4 => Just(200u16), 1 => Just(401), 1 => Just(500)], 0..3usize)
            .prop_map(|(which, status, token)| Happening::Answer { which, status, token }),
        3 => which.clone().prop_map(|which| Happening::Finish { which }),
        1 => which.prop_map(|which| Happening::Drop { which }),
        2 => (0..600_000u64).prop_map(|millis| Happening::Pass { millis }),
        1 => (0..4u8).prop_map(|shops| Happening::Reload { shops }),
    ]
}

/// An exchange under way, with what the model knows of it.
struct Flight {
    exchange: Exchange,
    shop: usize,
    kind: RequestKind,
    is_forwarded: bool,
    /// How often its shop had been revoked when it was last let through.
    revocations: u32,
    is_started: bool,
    is_connected: bool,
    is_answered: bool,
}

/// What has to be true, kept beside the gate.
#[derive(Default)]
struct Model {
    revocations: [u32; 2],
    is_known: [bool; 2],
    /// Which shops were handed which token by 8sens, ever since they were last revoked.
    handed: BTreeMap<usize, BTreeSet<usize>>,
    committed: [u32; 2],
    records: usize,
    begun: usize,
}

struct World {
    gate: Gate,
    model: Model,
    flights: Vec<Flight>,
}

impl World {
    fn new() -> Self {
        let model = Model { is_known: [true; 2], ..Model::default() };
        Self { gate: Gate::new(), model, flights: Vec::new() }
    }

    fn flight(&mut self, which: usize) -> Option<&mut Flight> {
        self.flights.get_mut(which)
    }

    /// Nothing that begins or goes on after its shop was revoked is let through, nor with a token that its shop was not
    /// handed.
    fn let_through(&self, shop: usize, kind: RequestKind, token: Option<usize>) {
        assert!(self.model.is_known[shop], "forwarded after a revocation");
        if let (true, Some(token)) = (kind != RequestKind::Login, token) {
            let owners = self.model.handed.get(&token);
            assert!(owners.is_some_and(|owners| owners.contains(&shop)), "a token without an owner went on");
        }
    }

    fn happen(&mut self, what: &Happening) {
        match *what {
            Happening::Begin { shop, kind, token, waits } => self.begin(shop, kind, token, waits),
            Happening::Resume { which, met } => self.resume(which, met),
            Happening::Start { which } => {
                let now = self.gate.now;
                if let Some(flight) = self.flight(which).filter(|flight| flight.is_forwarded) {
                    flight.exchange.upstream_started(now);
                    flight.is_started = true;
                }
            }
            Happening::Connect { which } => {
                let connects = |flight: &&mut Flight| flight.is_started && !flight.is_connected;
                if let Some(flight) = self.flight(which).filter(connects) {
                    flight.exchange.upstream_connected();
                    flight.is_connected = true;
                    let shop = flight.shop;
                    self.model.committed[shop] += 1;
                }
            }
            Happening::ConnectFails { which } => {
                if let Some(flight) = self.flight(which).filter(|flight| flight.is_started && !flight.is_connected) {
                    flight.exchange.upstream_failed();
                    self.finish(which, |_| Outcome::Denied(Denial::because(Reason::NoConnection)));
                }
            }
            Happening::Answer { which, status, token } => self.answer(which, status, token),
            Happening::Finish { which } => self.finish(which, |flight| match flight.is_answered {
                true => Outcome::Answered { status: 200 },
                false => Outcome::CallerLeft { status: None },
            }),
            Happening::Drop { which } => self.finish(which, |_| Outcome::Aborted { status: None }),
            Happening::Pass { millis } => self.gate.pass(Duration::from_millis(millis)),
            Happening::Reload { shops } => self.reload(shops),
        }
    }

    fn begin(&mut self, shop: usize, kind: RequestKind, token: usize, waits: bool) {
        let request = match kind {
            RequestKind::Login => login(SHOPS[shop]),
            RequestKind::Read => read(SHOPS[shop], &format!("t{token}")),
            RequestKind::Write => write(SHOPS[shop], &format!("t{token}")),
        };
        let needs: &[Need] = if waits { &[Need::Word(1)] } else { &[] };
        let (exchange, step) = self.gate.begin(&request, needs);
        self.model.begun += 1;
        let is_forwarded = matches!(step, Step::Forward(_));
        match step {
            Step::Deny(denial) => {
                let record = exchange.finish(Outcome::Denied(denial), self.gate.now);
                assert!(record.upstream.is_none());
                self.model.records += 1;
                return;
            }
            Step::Forward(_) | Step::Need(_) => self.let_through(shop, kind, Some(token)),
            Step::TellMethods => panic!("nobody asked"),
        }
        let revocations = self.model.revocations[shop];
        self.flights.push(Flight {
            exchange,
            shop,
            kind,
            is_forwarded,
            revocations,
            is_started: false,
            is_connected: false,
            is_answered: false,
        });
    }

    fn resume(&mut self, which: usize, met: bool) {
        let now = self.gate.now;
        let Some(flight) = self.flight(which).filter(|flight| flight.exchange.waits_until().is_some()) else { return };
        let until = flight.exchange.waits_until().unwrap();
        let denial = Denial::new(DenyCode::TooManyConnections);
        let step = flight.exchange.resume(if met { Event::Met } else { Event::Refused(denial) }, now);
        let (shop, kind, revocations) = (flight.shop, flight.kind, flight.revocations);
        match step {
            Step::Forward(_) => {
                flight.is_forwarded = true;
                assert!(met && now.mono <= until);
                self.let_through(shop, kind, None);
                assert_eq!(revocations, self.model.revocations[shop], "resumed over a revocation");
            }
            Step::Deny(denial) => self.finish(which, |_| Outcome::Denied(denial.clone())),
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, which: usize, status: u16, token: usize) {
        let now = self.gate.now;
        let answers = |flight: &&mut Flight| flight.is_connected && !flight.is_answered;
        let Some(flight) = self.flight(which).filter(answers) else { return };
        flight.is_answered = true;
        flight.exchange.response_head(status, now);
        flight.exchange.response_head_sent(now);
        let body = token_answer(&format!("t{token}"));
        assert_eq!(flight.exchange.response_chunk(body.as_bytes(), true, now), ChunkVerdict::Release);
        let (shop, is_login, revocations) = (flight.shop, flight.kind == RequestKind::Login, flight.revocations);
        if is_login && status == 200 && revocations == self.model.revocations[shop] {
            self.model.handed.entry(token).or_default().insert(shop);
        }
    }

    fn finish(&mut self, which: usize, outcome: impl FnOnce(&Flight) -> Outcome) {
        if which < self.flights.len() {
            let flight = self.flights.remove(which);
            let outcome = outcome(&flight);
            let record = flight.exchange.finish(outcome, self.gate.now);
            assert_eq!(record.consumer.as_deref(), Some(SHOPS[flight.shop]));
            assert_eq!(record.upstream.is_some(), flight.is_started);
            assert_eq!(record.login.is_some(), flight.kind == RequestKind::Login && flight.is_started);
            self.model.records += 1;
        }
    }

    fn reload(&mut self, shops: u8) {
        let kept: Vec<&str> = (0..2).filter(|shop| shops & (1 << shop) != 0).map(|shop| SHOPS[shop]).collect();
        self.gate.reload(&kept);
        for shop in 0..2 {
            let is_kept = shops & (1 << shop) != 0;
            if self.model.is_known[shop] && !is_kept {
                self.model.revocations[shop] += 1;
                for owners in self.model.handed.values_mut() {
                    owners.remove(&shop);
                }
                // Its buckets went with it.
                self.model.committed[shop] = 0;
            }
            self.model.is_known[shop] = is_kept;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_breaks_a_promise(happenings in prop::collection::vec(happening(), 1..120)) {
        let mut world = World::new();
        for what in &happenings {
            world.happen(what);
        }
        while !world.flights.is_empty() {
            world.finish(0, |_| Outcome::Aborted { status: None });
        }
        prop_assert_eq!(world.model.records, world.model.begun, "one record each");
        for (shop, name) in SHOPS.into_iter().enumerate() {
            // While time stands still every reservation ends exactly once; what time makes good is never given back as
            // well.
            if world.model.is_known[shop] && world.model.revocations[shop] == 0 {
                let left = world.gate.left(name);
                let expected = (BURST - world.model.committed[shop]) as usize;
                let time_passed = happenings.iter().any(|what| matches!(what, Happening::Pass { .. }));
                prop_assert!(left == expected || (time_passed && left <= expected + 1), "{left} left of {expected}");
            }
        }
    }
}
