//! Exchanges of consumers whose sessions the gate keeps, played by hand.

use super::simulation::{Gate, IDLE, login, read, shop};
use super::*;
use crate::domain::fixture;
use crate::domain::rules::consumer::Consumer;
use crate::domain::rules::login::Login;
use crate::domain::rules::snapshot::SessionMode;
use crate::domain::session::managed::{Account, Failure, Flight, Landed};

fn bare(shop: &str) -> String {
    format!("GET /v1/a?x=1 HTTP/1.1\r\nHost: g\r\napi_key: key-of-{shop}\r\n\r\n")
}

/// Two shops whose sessions the gate keeps, each with a login of its own.
fn gate() -> Gate {
    managed_gate(TokenPlace::AccessTokenHeader)
}

fn managed_gate(inject_token: TokenPlace) -> Gate {
    let consumer = |name: &str| Consumer {
        session: Some(SessionMode::Managed),
        login: Some(Arc::new(Login::new(format!("user of {name}").into(), "password".to_owned().into()))),
        ..shop(name)
    };
    let mut snapshot = fixture::snapshot(vec![consumer("boutique"), consumer("partenaire")]);
    snapshot.session.limits.idle_timeout = IDLE;
    snapshot.session.inject_token = inject_token;
    let mut gate = Gate::new();
    gate.tables = Arc::new(fixture::tables(&snapshot));
    gate.snapshot = Arc::new(snapshot);
    gate
}

/// A request that has to wait for a login, and whose.
fn waits(gate: &mut Gate, request: &str) -> (Exchange, Arc<Account>) {
    let (exchange, step) = gate.begin(request, &[]);
    let Step::Need(Need::Login(account)) = step else { panic!("{step:?}") };
    (exchange, account)
}

fn log_in(gate: &Gate, account: &Arc<Account>, token: &str) {
    let flight = Flight::begin(account, &gate.snapshot.session.limits, gate.now.mono).expect("none is under way");
    let landed = flight.succeeded(token.to_owned().into(), gate.now.mono, gate.now.mono);
    assert!(matches!(landed, Landed::Kept));
}

fn token_of(step: Step) -> String {
    let Step::Forward(plan) = step else { panic!("{step:?}") };
    let mut written = Vec::new();
    plan.fields.add_token(|name, value| written.push(format!("{name}: {}", value.escape_ascii())));
    if let Target::Rewritten(target) = &plan.target {
        written.push(target.escape_ascii().to_string());
    }
    written.join(", ")
}

#[test]
fn a_request_waits_for_its_login_and_is_given_the_token_of_its_own_consumer() {
    let mut gate = gate();
    let (mut first, account) = waits(&mut gate, &bare("boutique"));
    let (mut second, same) = waits(&mut gate, &bare("boutique"));
    assert!(Arc::ptr_eq(&account, &same));
    let (mut other, theirs) = waits(&mut gate, &bare("partenaire"));
    gate.pass(Duration::from_millis(80));
    log_in(&gate, &account, "t1");
    log_in(&gate, &theirs, "t2");
    assert_eq!(token_of(first.resume(Event::Met, gate.now)), "access_token: t1");
    assert_eq!(token_of(second.resume(Event::Met, gate.now)), "access_token: t1");
    assert_eq!(token_of(other.resume(Event::Met, gate.now)), "access_token: t2");
    assert_eq!(gate.answer(&mut first, 200, "body"), ChunkVerdict::Release);
    let record = first.finish(Outcome::Answered { status: 200 }, gate.now);
    assert_eq!((record.generation, record.login_wait), (Some(1), Some(Duration::from_millis(80))));
    let (third, step) = gate.begin(&bare("boutique"), &[]);
    assert_eq!(token_of(step), "access_token: t1");
    assert_eq!(third.finish(Outcome::CallerLeft { status: None }, gate.now).login_wait, None);
}

#[test]
fn the_token_stands_in_one_place() {
    for (place, expected) in [
        (TokenPlace::TokenHeader, "token: t/1"),
        (TokenPlace::Bearer, "Authorization: Bearer t/1"),
        (TokenPlace::AccessTokenQuery, "/v1/a?x=1&access_token=t%2F1"),
    ] {
        let mut gate = managed_gate(place);
        let (mut exchange, account) = waits(&mut gate, &bare("boutique"));
        log_in(&gate, &account, "t/1");
        assert_eq!(token_of(exchange.resume(Event::Met, gate.now)), expected);
    }
}

#[test]
fn a_token_that_a_caller_brings_is_its_own_or_refused() {
    let mut gate = gate();
    gate.log_in("boutique", "t9");
    let (_, step) = gate.begin(&read("boutique", "t9"), &[]);
    assert_eq!(token_of(step), "", "it is passed on as it came");
    assert_eq!(gate.code_of(&read("boutique", "made-up")), "session_unknown");
    assert_eq!(gate.code_of(&read("partenaire", "t9")), "session_not_yours");
    let version = bare("boutique").replace("/v1/a?x=1", "/v1/version");
    let (_, step) = gate.begin(&version, &[]);
    assert_eq!(token_of(step), "", "a public route needs none");
    let (_, step) = gate.begin(&login("boutique"), &[]);
    assert_eq!(token_of(step), "", "a login brings none along");
}

#[test]
fn a_login_that_8sens_refuses_gives_everything_back_and_says_when_to_come_again() {
    let mut gate = gate();
    let before = gate.left("boutique");
    for (failure, reason) in
        [(Failure::Unreachable, Reason::LoginUnreachable), (Failure::Refused, Reason::LoginRefused)]
    {
        let (mut exchange, account) = waits(&mut gate, &bare("boutique"));
        let limits = gate.snapshot.session.limits;
        Flight::begin(&account, &limits, gate.now.mono).unwrap().failed(failure);
        let Step::Deny(denial) = exchange.resume(Event::Met, gate.now) else { panic!("there is no token") };
        assert_eq!((denial.code, denial.reason), (DenyCode::LoginUnavailable, Some(reason)));
        assert!(denial.retry_after.is_some_and(|wait| wait >= Duration::from_secs(1)));
        assert_eq!(gate.left("boutique"), before);
        assert_eq!(gate.code_of(&bare("boutique")), "login_unavailable");
        gate.pass(Duration::from_secs(2));
    }
}

#[test]
fn an_expired_answer_ends_the_session_of_its_generation_alone() {
    let mut gate = gate();
    let (_, account) = waits(&mut gate, &bare("boutique"));
    log_in(&gate, &account, "t1");
    let (mut told, mut late) = (gate.forward(&bare("boutique")), gate.forward(&bare("boutique")));
    gate.answer(&mut told, 401, "");
    let (mut waiting, account) = waits(&mut gate, &bare("boutique"));
    log_in(&gate, &account, "t2");
    gate.answer(&mut late, 401, "");
    assert_eq!(token_of(waiting.resume(Event::Met, gate.now)), "access_token: t2");
    gate.answer(&mut waiting, 401, "");
    let record = waiting.finish(Outcome::Answered { status: 401 }, gate.now);
    assert_eq!(record.alarm, Some(Alarm::ExpiryDoubted), "a second time within a minute");
    let (_, step) = gate.begin(&bare("boutique"), &[]);
    assert_eq!(token_of(step), "access_token: t2");
}

#[test]
fn who_is_revoked_while_it_waits_for_a_login_is_not_served_by_it() {
    let mut gate = gate();
    let (mut waiting, account) = waits(&mut gate, &bare("boutique"));
    let flight = Flight::begin(&account, &gate.snapshot.session.limits, gate.now.mono).unwrap();
    gate.reload(&["partenaire"]);
    let landed = flight.succeeded("t1".to_owned().into(), gate.now.mono, gate.now.mono);
    assert!(matches!(landed, Landed::Unwanted(_)));
    let Step::Deny(denial) = waiting.resume(Event::Met, gate.now) else { panic!("served after a revocation") };
    assert_eq!(denial.reason, Some(Reason::KeyRevokedWhileWaiting));
}

/// The lease ends with the exchange, however that ends, and a session is used on until another one is there.
#[test]
fn what_is_on_its_way_is_known_until_it_ends() {
    let mut gate = gate();
    let (_, account) = waits(&mut gate, &bare("boutique"));
    log_in(&gate, &account, "t1");
    let on_its_way = gate.forward(&bare("boutique"));
    gate.pass(IDLE);
    let (_, account) = waits(&mut gate, &bare("boutique"));
    let flight = Flight::begin(&account, &gate.snapshot.session.limits, gate.now.mono).unwrap();
    let is_unused = || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        flight.old().unwrap().poll_unused(&mut cx).is_ready()
    };
    assert!(!is_unused());
    drop(on_its_way);
    assert!(is_unused());
}

fn on_its_way(gate: &mut Gate, request: &str) -> (Exchange, bool) {
    let (mut exchange, step) = gate.begin(request, &[]);
    let Step::Forward(plan) = step else { panic!("{step:?}") };
    exchange.upstream_started(gate.now);
    exchange.upstream_connected();
    (exchange, plan.outlives_session)
}

#[test]
fn a_request_whose_token_had_expired_is_sent_once_more_with_the_next_one() {
    let mut gate = gate();
    let (_, account) = waits(&mut gate, &bare("boutique"));
    log_in(&gate, &account, "t1");
    let (mut exchange, outlives) = on_its_way(&mut gate, &bare("boutique"));
    assert!(outlives);
    assert!(!exchange.is_sent_again(500, gate.now), "that says nothing of the token");
    assert!(exchange.is_sent_again(401, gate.now));
    let Ok(NextToken::After(account)) = exchange.next_token(gate.now) else { panic!("there is none yet") };
    log_in(&gate, &account, "t2");
    let Ok(NextToken::Is(token)) = exchange.next_token(gate.now) else { panic!("there is one") };
    assert_eq!(token.live.generation(), 2);
    assert!(!exchange.is_sent_again(401, gate.now), "once");
    gate.answer(&mut exchange, 200, "body");
    let record = exchange.finish(Outcome::Answered { status: 200 }, gate.now);
    assert_eq!((record.generation, record.alarm), (Some(2), None));
}

#[test]
fn a_write_is_sent_once_more_only_where_an_admin_knows_the_answer() {
    let order = bare("boutique").replace("GET", "POST");
    for is_known in [false, true] {
        let mut gate = gate();
        Arc::make_mut(&mut gate.snapshot).session.resend_expired_writes = is_known;
        let (_, account) = waits(&mut gate, &order);
        log_in(&gate, &account, "t1");
        assert_eq!(on_its_way(&mut gate, &order).1, is_known);
        assert!(on_its_way(&mut gate, &bare("boutique")).1);
    }
    let mut gate = managed_gate(TokenPlace::AccessTokenQuery);
    let (_, account) = waits(&mut gate, &bare("boutique"));
    log_in(&gate, &account, "t1");
    assert!(!on_its_way(&mut gate, &bare("boutique")).1, "its target has the old token");
}

#[test]
fn one_that_gets_no_token_any_more_is_refused() {
    let mut gate = gate();
    let (_, account) = waits(&mut gate, &bare("boutique"));
    log_in(&gate, &account, "t1");
    let (mut exchange, _) = on_its_way(&mut gate, &bare("boutique"));
    assert!(exchange.is_sent_again(401, gate.now));
    let limits = gate.snapshot.session.limits;
    Flight::begin(&account, &limits, gate.now.mono).unwrap().failed(Failure::Unreachable);
    let denial = exchange.next_token(gate.now).unwrap_err();
    assert_eq!((denial.code, denial.reason), (DenyCode::LoginUnavailable, Some(Reason::LoginUnreachable)));
}
