//! Accounts played by hand, with an 8sens that counts sessions and a clock that stands still unless it is told to move.

use super::*;
use crate::domain::rules::login::Login;
use crate::domain::session::SessionLimits;
use crate::domain::types::Mono;
use proptest::prelude::*;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

const SHOPS: [&str; 3] = ["boutique", "partenaire", "depot"];

fn login(user: &str, password: &str) -> Arc<Login> {
    Arc::new(Login::new(user.to_owned().into(), password.to_owned().into()))
}

fn limits(idle: Duration, margin: Duration) -> SessionLimits {
    SessionLimits { idle_timeout: idle, margin, ..SessionLimits::default() }
}

/// A session as 8sens has it.
struct Session {
    account: AccountKey,
    /// How often the accounts of this name had left when it was handed out.
    departures: u32,
    used: Mono,
    /// Ended by a restart, or by another login where there may be only one.
    is_ended: bool,
}

/// A request on its way.
struct Sent {
    lease: Lease,
    account: Arc<Account>,
    at: Mono,
    is_accepted: bool,
}

enum Carried {
    /// Waits until nothing is on its way with the old token.
    Before(Flight),
    Sent(Flight, Mono),
}

struct World {
    limits: SessionLimits,
    accounts: Accounts,
    now: Mono,
    sessions: BTreeMap<String, Session>,
    sent: Vec<Sent>,
    flights: Vec<Carried>,
    departures: BTreeMap<usize, u32>,
    members: [bool; 3],
    password: u32,
    has_one_session: bool,
    tokens: u32,
    logins: u32,
}

impl World {
    fn new(limits: SessionLimits, has_one_session: bool) -> Self {
        let mut world = Self {
            limits,
            accounts: Accounts::default(),
            now: Mono(1_000_000_000_000),
            sessions: BTreeMap::new(),
            sent: Vec::new(),
            flights: Vec::new(),
            departures: BTreeMap::new(),
            members: [true; 3],
            password: 0,
            has_one_session,
            tokens: 0,
            logins: 0,
        };
        world.reload([true; 3], 0);
        world
    }

    /// The first two share a login, the third has one of the same name for itself.
    fn reload(&mut self, members: [bool; 3], password: u32) {
        let login = login("CLIENTREST", &password.to_string());
        let named = (0..3).filter(|shop| members[*shop]).map(|shop| Member {
            consumer: SHOPS[shop].into(),
            login: Arc::clone(&login),
            is_shared: shop < 2,
        });
        let left = self.accounts.adopt(named);
        assert!(left.len() <= 2);
        let (had, has) =
            ([self.members[0] || self.members[1], self.members[2]], [members[0] || members[1], members[2]]);
        for account in 0..2 {
            if had[account] && !has[account] {
                *self.departures.entry(account).or_default() += 1;
            }
        }
        (self.members, self.password) = (members, password);
    }

    fn departures(&self, key: &AccountKey) -> u32 {
        self.departures.get(&usize::from(key.parts().1.is_some())).copied().unwrap_or_default()
    }

    /// A request of this shop: it is sent, or waits, or is refused. True when it was sent.
    fn ask(&mut self, shop: usize) -> bool {
        let Some(account) = self.accounts.of(SHOPS[shop]) else { return false };
        match account.take(&self.limits, self.now) {
            Taken::Use(lease) => {
                self.send(account, lease);
                true
            }
            Taken::Wait => {
                let flight = Flight::begin(&account, &self.limits, self.now);
                let under_way = self.under_way(&account);
                assert_eq!(under_way, usize::from(flight.is_none()), "one login at a time, and never none");
                self.flights.extend(flight.map(Carried::Before));
                false
            }
            Taken::Held(held) => {
                assert!(!held.retry_after.is_zero());
                assert_eq!(self.under_way(&account), 0);
                false
            }
        }
    }

    fn under_way(&self, account: &Arc<Account>) -> usize {
        let of = |carried: &&Carried| {
            let (Carried::Before(flight) | Carried::Sent(flight, _)) = carried;
            Arc::ptr_eq(flight.account(), account)
        };
        self.flights.iter().filter(of).count()
    }

    fn send(&mut self, account: Arc<Account>, lease: Lease) {
        let departures = self.departures(account.key());
        let session = self.sessions.get_mut(lease.live().token().expose_secret()).expect("a token of nobody");
        assert!(session.account == *account.key(), "a token of another account");
        assert_eq!(session.departures, departures, "a token of before its consumers left");
        let is_idle = self.now.since(session.used) >= self.limits.idle_timeout;
        assert!(!is_idle, "an expired token was forwarded");
        let is_accepted = !session.is_ended;
        if is_accepted {
            session.used = self.now;
        }
        self.sent.push(Sent { lease, account, at: self.now, is_accepted });
    }

    fn answer(&mut self, which: usize) -> Option<Expiry> {
        if which >= self.sent.len() {
            return None;
        }
        let Sent { lease, account, at, is_accepted } = self.sent.remove(which);
        if is_accepted {
            lease.answered(at);
            return None;
        }
        Some(account.expired(lease.generation(), &self.limits, self.now))
    }

    /// A flight that waits is sent, or turns out not to be needed.
    fn go_on(&mut self, which: usize, is_impatient: bool) {
        if !matches!(self.flights.get(which), Some(Carried::Before(_))) {
            return;
        }
        let Carried::Before(mut flight) = self.flights.remove(which) else { return };
        let mut cx = Context::from_waker(Waker::noop());
        let is_unused = flight.old().is_none_or(|old| old.poll_unused(&mut cx).is_ready());
        if !is_unused && !is_impatient {
            self.flights.insert(which, Carried::Before(flight));
            return;
        }
        if flight.is_needed(&self.limits, self.now) {
            let view = flight.account().view(&self.limits, self.now);
            assert!(view.idle_left.is_zero(), "a login although there is a session");
            self.logins += 1;
            self.flights.insert(which, Carried::Sent(flight, self.now));
        }
    }

    fn land(&mut self, which: usize, failure: Option<Failure>) {
        if !matches!(self.flights.get(which), Some(Carried::Sent(..))) {
            return;
        }
        let Carried::Sent(flight, at) = self.flights.remove(which) else { return };
        let key = flight.account().key().clone();
        if let Some(failure) = failure {
            flight.failed(failure);
            return;
        }
        if self.has_one_session {
            self.sessions.values_mut().for_each(|session| session.is_ended = true);
        }
        self.tokens += 1;
        let token = format!("token-{}", self.tokens);
        let departures = self.departures(&key);
        let session = Session { account: key, departures, used: at, is_ended: false };
        self.sessions.insert(token.clone(), session);
        if let Landed::Unwanted(token) = flight.succeeded(token.into(), at, self.now) {
            self.sessions.remove(token.expose_secret());
        }
    }

    /// One request from its beginning to its end, with an 8sens that always answers.
    fn whole(&mut self, shop: usize) {
        while !self.ask(shop) {
            self.go_on(0, false);
            self.land(0, None);
        }
        assert!(self.sent[0].is_accepted);
        self.answer(0);
    }
}

/// Numbers without a pattern, the same each time.
fn numbers(mut seed: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    }
}

#[test]
fn over_days_there_is_one_login_and_one_for_each_gap_that_is_too_long() {
    let (idle, margin) = (Duration::from_secs(2), Duration::from_millis(200));
    let mut world = World::new(limits(idle, margin), false);
    let (start, mut too_long, mut number) = (world.now, 0, numbers(8));
    world.whole(0);
    while world.now.since(start) < Duration::from_secs(2 * 86_400) {
        let gap = Duration::from_micros(number(4_000_000));
        world.now = world.now.after(gap);
        too_long += u32::from(gap >= idle - margin);
        world.whole(0);
    }
    assert!(too_long > 40_000, "{too_long}");
    assert_eq!(world.logins, 1 + too_long);
}

#[test]
fn a_thousand_cold_requests_wait_for_one_login_and_whoever_leaves_takes_nothing_along() {
    let mut world = World::new(limits(Duration::from_secs(900), Duration::from_secs(30)), true);
    assert_eq!((0..1_000).filter(|_| world.ask(0)).count(), 0);
    world.go_on(0, false);
    world.land(0, None);
    assert_eq!((0..1_000).filter(|_| world.ask(1)).count(), 1_000, "another consumer of the login has it as well");
    assert_eq!(world.logins, 1);
}

#[test]
fn a_renewal_waits_for_what_is_on_its_way_and_is_called_off_when_that_kept_the_session_alive() {
    let (idle, margin) = (Duration::from_secs(900), Duration::from_secs(30));
    let mut world = World::new(limits(idle, margin), true);
    world.whole(0);
    world.now = world.now.after(Duration::from_secs(800));
    assert!(world.ask(0), "sent, and not answered yet");
    world.now = world.now.after(Duration::from_secs(75));
    assert!(!world.ask(0), "by what is known, less than the margin is left");
    world.go_on(0, false);
    assert_eq!(world.logins, 1, "8sens might end the old session at a new login");
    assert!(!world.ask(0), "nobody takes the old token meanwhile");
    world.answer(0);
    world.go_on(0, false);
    assert!(world.ask(0), "the answer says that the session is alive");
    assert_eq!((world.logins, world.flights.len()), (1, 0));
}

#[test]
fn while_8sens_does_not_answer_logins_a_live_session_is_used_on() {
    let (idle, margin) = (Duration::from_secs(900), Duration::from_secs(30));
    let mut world = World::new(limits(idle, margin), false);
    world.whole(0);
    world.now = world.now.after(idle - margin);
    assert!(!world.ask(0));
    world.go_on(0, false);
    world.land(0, Some(Failure::Unreachable));
    assert!(world.ask(0), "half of the margin is left for the way to 8sens");
    world.now = world.now.after(margin / 2);
    assert!(!world.ask(0));
}

#[test]
fn an_expiry_counts_against_its_generation_and_once_a_minute_against_the_clock() {
    let mut world = World::new(limits(Duration::from_secs(900), Duration::from_secs(30)), false);
    world.whole(0);
    assert!(world.ask(0) && world.ask(0));
    world.sent.iter_mut().for_each(|sent| sent.is_accepted = false);
    assert_eq!(world.answer(0), Some(Expiry::Ended));
    world.whole_after_expiry(0);
    assert_eq!(world.answer(0), Some(Expiry::OfOldToken), "the other one was sent with the old token");
    assert!(world.ask(0));
    world.sent[0].is_accepted = false;
    assert_eq!(world.answer(0), Some(Expiry::Doubted));
    assert!(world.ask(0), "it stays");
    world.sent[0].is_accepted = false;
    world.now = world.now.after(Duration::from_secs(60));
    assert_eq!(world.answer(0), Some(Expiry::Ended));
    assert_eq!(world.logins, 2);
}

impl World {
    /// Logs in while another request is still on its way.
    fn whole_after_expiry(&mut self, shop: usize) {
        assert!(!self.ask(shop));
        self.go_on(0, false);
        self.land(0, None);
    }
}

#[test]
fn another_password_is_tried_at_once_and_a_login_of_who_left_is_not_kept() {
    let mut world = World::new(limits(Duration::from_secs(900), Duration::from_secs(30)), false);
    for _ in 0..2 {
        world.ask(0);
        world.go_on(0, false);
        world.land(0, Some(Failure::Refused));
        world.now = world.now.after(Duration::from_secs(2));
    }
    assert!(!world.ask(0) && world.flights.is_empty(), "held back");
    world.reload([true; 3], 1);
    assert!(!world.ask(0) && world.flights.len() == 1);
    world.go_on(0, false);
    world.reload([false, false, true], 1);
    world.land(0, None);
    assert!(world.sessions.is_empty(), "8sens was told");
    world.reload([true; 3], 1);
    assert!(!world.ask(0), "who comes back inherits nothing");
}

#[test]
fn a_session_of_before_a_restart_is_used_for_what_it_has_left() {
    let limits = limits(Duration::from_secs(900), Duration::from_secs(30));
    let mut world = World::new(limits, false);
    world.whole(0);
    world.whole(2);
    let mut kept = world.accounts.kept(world.now);
    assert_eq!(kept.len(), 2);
    for (session, idle) in kept.iter_mut().zip([100, 871]) {
        session.idle = Duration::from_secs(idle);
    }
    let generation = kept[0].generation;
    let shop = if kept[0].key.parts().1.is_some() { 2 } else { 0 };
    let mut again = World::new(limits, false);
    again.now = Mono(0);
    assert_eq!(again.accounts.restore(kept, &limits, again.now), 1);
    let account = again.accounts.of(SHOPS[shop]).unwrap();
    assert_eq!(account.view(&limits, again.now).idle_left, Duration::from_secs(770));
    assert!(matches!(account.take(&limits, again.now), Taken::Use(lease) if lease.generation() == generation));
    assert_eq!(account.end().map(|live| live.generation()), Some(generation));
    assert_eq!(Flight::begin(&account, &limits, again.now).map(|flight| flight.generation()), Some(generation + 1));
}

#[derive(Clone, Debug)]
enum Happening {
    Ask { shop: usize },
    Answer { which: usize },
    Leave { which: usize },
    GoOn { which: usize, is_impatient: bool },
    Land { which: usize, failure: Option<Failure> },
    Lose { which: usize },
    Restart,
    End { shop: usize },
    Retry { shop: usize },
    Reload { members: [bool; 3], password: u32 },
    Pass { millis: u64 },
}

fn happening() -> impl Strategy<Value = Happening> {
    let which = 0..6usize;
    let failure =
        prop_oneof![6 => Just(None), 1 => Just(Some(Failure::Refused)), 1 => Just(Some(Failure::Unreachable))];
    prop_oneof![
        10 => (0..3usize).prop_map(|shop| Happening::Ask { shop }),
        6 => which.clone().prop_map(|which| Happening::Answer { which }),
        2 => which.clone().prop_map(|which| Happening::Leave { which }),
        6 => (which.clone(), prop::bool::weighted(0.2))
            .prop_map(|(which, is_impatient)| Happening::GoOn { which, is_impatient }),
        6 => (which.clone(), failure).prop_map(|(which, failure)| Happening::Land { which, failure }),
        1 => which.prop_map(|which| Happening::Lose { which }),
        1 => Just(Happening::Restart),
        1 => (0..3usize).prop_map(|shop| Happening::End { shop }),
        1 => (0..3usize).prop_map(|shop| Happening::Retry { shop }),
        1 => (any::<[bool; 3]>(), 0..2u32).prop_map(|(members, password)| Happening::Reload { members, password }),
        4 => prop_oneof![3 => 0..2_000u64, 2 => 0..600_000_u64, 1 => 800_000..1_000_000_u64]
            .prop_map(|millis| Happening::Pass { millis }),
    ]
}

impl World {
    fn happen(&mut self, what: &Happening) {
        match *what {
            Happening::Ask { shop } => {
                self.ask(shop);
            }
            Happening::Answer { which } => {
                self.answer(which);
            }
            Happening::Leave { which } if which < self.sent.len() => drop(self.sent.remove(which)),
            Happening::GoOn { which, is_impatient } => self.go_on(which, is_impatient),
            Happening::Land { which, failure } => self.land(which, failure),
            Happening::Lose { which } if which < self.flights.len() => drop(self.flights.remove(which)),
            Happening::Restart => self.sessions.values_mut().for_each(|session| session.is_ended = true),
            Happening::End { shop } => drop(self.accounts.of(SHOPS[shop]).and_then(|account| account.end())),
            Happening::Retry { shop } => self.accounts.of(SHOPS[shop]).iter().for_each(|account| account.retry()),
            Happening::Reload { members, password } => self.reload(members, password),
            Happening::Pass { millis } => self.now = self.now.after(Duration::from_millis(millis)),
            Happening::Leave { .. } | Happening::Lose { .. } => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, ..ProptestConfig::default() })]

    /// What must never happen is asserted where it would: a token of another account or of before its consumers left,
    /// an expired one, a second login beside the first or beside a live session, a wait for nothing.
    #[test]
    fn no_interleaving_breaks_a_promise(
        happenings in prop::collection::vec(happening(), 1..200),
        has_one_session: bool,
    ) {
        let mut world = World::new(limits(Duration::from_secs(900), Duration::from_secs(30)), has_one_session);
        for what in &happenings {
            world.happen(what);
        }
        // Whatever happened, a shop that is there is served once everything has ended and 8sens answers.
        world.sent.clear();
        while !world.flights.is_empty() {
            world.go_on(0, false);
            world.land(0, None);
        }
        world.reload([true; 3], 7);
        world.now = world.now.after(Duration::from_secs(2_000));
        world.whole(0);
        world.whole(2);
    }
}
