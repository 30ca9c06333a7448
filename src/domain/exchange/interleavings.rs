//! Random interleavings of many exchanges, and what has to be true of all of them.

use super::simulation::{BURST, Gate, SHOPS, login, read, token_answer, write};
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

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
