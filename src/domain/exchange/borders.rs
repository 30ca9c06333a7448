//! Single exchanges at the borders of what is allowed, and what the record says of each: exact sizes, the gate's own
//! time, alarms.

use super::simulation::{Gate, IDLE, SHOPS, login, read, shop, snapshot, token_answer};
use super::*;
use crate::domain::fixture::rules;
use crate::domain::rules::consumer::ConsumerTable;
use crate::domain::rules::snapshot::SessionMode;
use crate::domain::session::expiry::{self, BODY_PREFIX};
use crate::domain::session::log_record::LogRecord;
use crate::domain::session::login_answer::MAX_BODY;
use crate::domain::session::{ExpiredPattern, ExpiredWhen};
use crate::domain::tables::Journal;
use crate::domain::types::Wall;
use parking_lot::Mutex;
use zeroize::Zeroizing;

impl Gate {
    /// The same gate with other rules from now on.
    fn with(mut self, change: impl FnOnce(&mut Snapshot)) -> Self {
        let mut other = snapshot(&SHOPS);
        change(&mut other);
        self.snapshot = Arc::new(other);
        self
    }

    /// A request that 8sens is answering, up to the head of its answer.
    fn answering(&mut self, request: &str, status: u16) -> Exchange {
        let mut exchange = self.forward(request);
        exchange.upstream_started(self.now);
        exchange.upstream_connected();
        exchange.response_head(status, self.now);
        exchange
    }

    fn record(&mut self, request: &str) -> Record {
        let (exchange, step) = self.begin(request, &[]);
        let outcome = match step {
            Step::Deny(denial) => Outcome::Denied(denial),
            _ => Outcome::Answered { status: 200 },
        };
        exchange.finish(outcome, self.now)
    }
}

#[derive(Clone, Debug, Default)]
struct Noted(Arc<Mutex<Vec<LogRecord>>>);

impl Journal for Noted {
    fn append(&self, record: &LogRecord) {
        self.0.lock().push(record.clone());
    }
}

fn with_body(pattern: &str) -> ExpiredWhen {
    ExpiredWhen::new(vec![ExpiredPattern { status: 401, body_contains: Some(pattern.as_bytes().into()) }])
}

#[test]
fn a_body_of_exactly_the_limit_passes() {
    let mut gate = Gate::new();
    let mut exchange = gate.forward(&login("boutique"));
    assert!(exchange.request_chunk(99).is_ok());
    assert!(exchange.request_chunk(1).is_ok());
    let denial = exchange.request_chunk(1).unwrap_err();
    assert_eq!(denial.reason, Some(Reason::BodyGrew));
    assert_eq!(exchange.finish(Outcome::Denied(denial), gate.now).bytes.received, 101);
}

#[test]
fn a_login_answer_of_exactly_what_is_read_brings_its_session_and_a_longer_one_an_alarm() {
    for (len, learned) in [(MAX_BODY, true), (MAX_BODY + 1, false)] {
        let mut gate = Gate::new();
        let mut exchange = gate.answering(&login("boutique"), 200);
        let mut body = token_answer("t1").into_bytes();
        body.resize(len, b' ');
        let (first, second) = body.split_at(len / 2);
        assert_eq!(exchange.response_chunk(first, false, gate.now), ChunkVerdict::Hold);
        assert_eq!(exchange.response_chunk(second, true, gate.now), ChunkVerdict::Release);
        let record = exchange.finish(Outcome::Answered { status: 200 }, gate.now);
        assert_eq!(record.learned.is_some(), learned, "{len}");
        assert_eq!(record.alarm, (!learned).then_some(Alarm::LoginNotUnderstood));
        assert_eq!(record.bytes.sent, len as u64);
    }
}

#[test]
fn what_says_expired_is_found_over_chunks_and_as_soon_as_enough_has_come() {
    let mut gate = Gate::new().with(|rules| rules.session.expired_when = with_body("expired"));
    gate.log_in("boutique", "t1");
    let mut exchange = gate.answering(&read("boutique", "t1"), 401);
    exchange.response_chunk(b"session exp", false, gate.now);
    assert_eq!(gate.code_of(&read("boutique", "t1")), "ok");
    exchange.response_chunk(b"ired", true, gate.now);
    assert_eq!(gate.code_of(&read("boutique", "t1")), "session_unknown");

    gate.log_in("boutique", "t2");
    let mut exchange = gate.answering(&read("boutique", "t2"), 401);
    let mut body = vec![b' '; BODY_PREFIX - 7];
    body.extend_from_slice(b"expired");
    exchange.response_chunk(&body, false, gate.now);
    assert_eq!(gate.code_of(&read("boutique", "t2")), "session_unknown", "although the body goes on");

    gate.log_in("boutique", "t3");
    let mut exchange = gate.answering(&read("boutique", "t3"), 401);
    body.insert(0, b' ');
    exchange.response_chunk(&body, true, gate.now);
    assert_eq!(gate.code_of(&read("boutique", "t3")), "ok", "beyond what is looked at");
}

#[test]
fn an_answer_that_may_say_expired_and_does_not_keeps_the_session_alive() {
    let mut gate = Gate::new().with(|rules| rules.session.expired_when = with_body("expired"));
    gate.log_in("boutique", "t1");
    gate.pass(IDLE / 2);
    let mut exchange = gate.answering(&read("boutique", "t1"), 401);
    exchange.response_chunk(b"no such article", true, gate.now);
    gate.pass(IDLE / 2 + Duration::from_secs(1));
    assert_eq!(gate.code_of(&read("boutique", "t1")), "ok");
}

#[test]
fn times_are_the_callers_8sens_and_our_own() {
    let mut gate = Gate::new();
    let mut exchange = gate.forward(&login("boutique"));
    let seconds = Duration::from_secs;
    gate.pass(seconds(1));
    exchange.upstream_started(gate.now);
    gate.pass(seconds(2));
    exchange.upstream_connected();
    gate.pass(seconds(4));
    exchange.response_head(200, gate.now);
    gate.pass(seconds(8));
    exchange.response_head_sent(gate.now);
    gate.pass(seconds(16));
    exchange.response_chunk(token_answer("t1").as_bytes(), true, gate.now);
    gate.pass(seconds(32));
    let record = exchange.finish(Outcome::Answered { status: 200 }, gate.now);
    assert_eq!(record.total, seconds(63));
    assert_eq!(record.upstream, Some(seconds(2 + 4 + 8 + 16)));
    assert_eq!(record.own, seconds(1 + 8));

    let (exchange, step) = gate.begin("GET /v1/a HTTP/1.1\r\nHost: g\r\n\r\n", &[]);
    let Step::Deny(denial) = step else { panic!("{step:?}") };
    gate.pass(seconds(1));
    let record = exchange.finish(Outcome::Denied(denial), gate.now);
    assert_eq!((record.own, record.upstream), (seconds(1), None));
}

#[test]
fn a_login_that_is_not_understood_or_refused_is_told_apart() {
    let mut gate = Gate::new();
    let mut exchange = gate.forward(&login("boutique"));
    gate.answer(&mut exchange, 200, "welcome");
    let record = exchange.finish(Outcome::Answered { status: 200 }, gate.now);
    assert_eq!((record.alarm, record.learned), (Some(Alarm::LoginNotUnderstood), None));
    for (status, outcome) in [(401, LoginOutcome::of_status(401)), (500, LoginOutcome::of_status(500))] {
        let mut exchange = gate.forward(&login("boutique"));
        gate.answer(&mut exchange, status, &token_answer("t9"));
        let record = exchange.finish(Outcome::Answered { status }, gate.now);
        assert_eq!((record.login, record.learned), (Some(outcome), None));
        assert_eq!(gate.code_of(&read("boutique", "t9")), "session_unknown", "{status}");
    }
}

#[test]
fn an_answer_that_an_admin_knows_to_be_a_refusal_brings_nothing() {
    let mut gate = Gate::new();
    let pattern =
        |status, body: Option<&str>| ExpiredPattern { status, body_contains: body.map(|b| b.as_bytes().into()) };
    Arc::make_mut(&mut gate.snapshot).login.failed_when =
        ExpiredWhen::new(vec![pattern(200, Some("refus")), pattern(500, Some("refus")), pattern(503, None)]);
    for (status, body, outcome, stands) in [
        (200, r#"{"access_token":"t9","error":"refus"}"#, LoginOutcome::Refused, false),
        (500, "refus", LoginOutcome::Refused, false),
        (503, "", LoginOutcome::Refused, false),
        (500, "panne", LoginOutcome::Failed, true),
        (200, r#"{"access_token":"t1"}"#, LoginOutcome::Accepted, true),
    ] {
        let mut exchange = gate.forward(&login("boutique"));
        gate.answer(&mut exchange, status, body);
        let record = exchange.finish(Outcome::Answered { status }, gate.now);
        assert_eq!((record.login, record.alarm), (Some(outcome), None), "{status} {body}");
        assert_eq!(record.learned.is_some(), outcome == LoginOutcome::Accepted, "{status} {body}");
        // A refused login holds endings back.
        let hash = gate.tables.sessions.hash(b"t0");
        let shop = gate.tables.sessions.caller("boutique", "k1").unwrap();
        let ending = gate.tables.expiries().clone().expired(hash, shop.consumer(), gate.now.mono);
        assert_eq!(ending == expiry::Ending::End, stands, "{status} {body}");
        gate.tables.expiries().login_accepted();
    }
}

#[test]
fn sessions_that_end_while_logins_are_refused_are_kept_with_an_alarm() {
    for status in [401, 403] {
        let mut gate = Gate::new();
        gate.log_in("boutique", "t1");
        let mut refused = gate.forward(&login("partenaire"));
        gate.answer(&mut refused, status, "");
        let mut told = gate.forward(&read("boutique", "t1"));
        gate.answer(&mut told, 401, "");
        let record = told.finish(Outcome::Answered { status: 401 }, gate.now);
        assert_eq!(record.alarm, Some(Alarm::LoginsRefused));
        assert_eq!(gate.code_of(&read("boutique", "t1")), "ok");
        // A login that works says that the key of 8sens is right.
        gate.log_in("partenaire", "t2");
        let mut told = gate.forward(&read("boutique", "t1"));
        gate.answer(&mut told, 401, "");
        assert_eq!(told.finish(Outcome::Answered { status: 401 }, gate.now).alarm, None);
        assert_eq!(gate.code_of(&read("boutique", "t1")), "session_unknown");
    }
}

#[test]
fn a_token_for_two_shops_raises_an_alarm_and_belongs_to_both() {
    let mut gate = Gate::new();
    assert_eq!(gate.log_in("boutique", "t1").alarm, None);
    assert_eq!(gate.log_in("partenaire", "t1").alarm, Some(Alarm::TokenShared));
    for name in SHOPS {
        assert_eq!(gate.code_of(&read(name, "t1")), "ok");
    }
}

#[test]
fn a_session_for_which_there_is_no_room_raises_an_alarm() {
    let mut gate = Gate::new().with(|rules| rules.session.limits.total = 0);
    let record = gate.log_in("boutique", "t1");
    assert_eq!((record.alarm, record.learned), (Some(Alarm::SessionsFull), None));
}

#[test]
fn the_journal_has_each_session_before_its_caller_and_who_lost_one_to_it() {
    let noted = Noted::default();
    let mut gate = Gate::new().with(|rules| rules.session.limits.per_consumer = 1);
    let journal = Box::new(noted.clone());
    gate.tables = Arc::new(Tables::new(&Zeroizing::new([7; 32]), &gate.snapshot, journal, gate.now));
    let mut first = gate.forward(&login("boutique"));
    first.upstream_started(gate.now);
    gate.pass(Duration::from_secs(3));
    first.upstream_connected();
    first.response_head(200, gate.now);
    first.response_chunk(token_answer("t1").as_bytes(), true, gate.now);
    let t1 = gate.tables.sessions.hash(b"t1");
    let consumer: Arc<str> = SHOPS[0].into();
    let learn = LogRecord::Learn {
        at: gate.now,
        idle: Duration::from_secs(3),
        hash: t1,
        consumer: Arc::clone(&consumer),
        credential: "k1".into(),
    };
    assert_eq!(*noted.0.lock(), [learn]);
    noted.0.lock().clear();
    gate.log_in("boutique", "t2");
    let ended = LogRecord::EndOwner { at: gate.now, hash: t1, consumer };
    assert_eq!(noted.0.lock().first(), Some(&ended));
    assert_eq!(noted.0.lock().len(), 2);
}

#[test]
fn who_shows_the_token_of_another_is_an_alarm_also_where_sessions_are_only_observed() {
    let mut gate = Gate::new();
    gate.log_in("boutique", "t1");
    assert_eq!(gate.record(&read("partenaire", "t1")).alarm, Some(Alarm::TokenOfAnother));
    let mut gate = gate.with(|rules| rules.session.mode = SessionMode::Observe);
    let record = gate.record(&read("partenaire", "t1"));
    assert_eq!((record.code, record.alarm), (EndCode::Ok, Some(Alarm::TokenOfAnother)));
    let record = gate.record(&read("partenaire", "t9"));
    assert_eq!((record.code, record.alarm), (EndCode::Ok, None));
    assert!(record.would_refuse.is_some());
}

#[test]
fn a_session_that_ends_while_its_request_waits_stops_it_only_where_sessions_are_guarded() {
    for (mode, goes_on) in [(SessionMode::Guard, false), (SessionMode::Observe, true)] {
        let mut gate = Gate::new().with(|rules| rules.session.mode = mode);
        gate.log_in("boutique", "t1");
        let (mut waiting, _) = gate.begin(&read("boutique", "t1"), &[Need::Word(1)]);
        let mut told = gate.forward(&read("boutique", "t1"));
        gate.answer(&mut told, 401, "");
        let step = waiting.resume(Event::Met, gate.now);
        assert_eq!(matches!(step, Step::Forward(_)), goes_on, "{step:?}");
    }
}

#[test]
fn a_key_that_expires_while_its_request_waits_stops_it_at_that_instant() {
    for (earlier, goes_on) in [(1, true), (0, false)] {
        let mut gate = Gate::new();
        let end = Wall(gate.now.wall.0 + 2_000);
        let mut other = shop("boutique");
        other.credentials[0].expires = Some(end);
        let mut rules = snapshot(&SHOPS);
        rules.consumers = ConsumerTable::new(vec![other]);
        gate.snapshot = Arc::new(rules);
        let (mut waiting, _) = gate.begin(&login("boutique"), &[Need::Word(1)]);
        gate.pass(Duration::from_millis(2_000 - earlier));
        let step = waiting.resume(Event::Met, gate.now);
        assert_eq!(matches!(step, Step::Forward(_)), goes_on, "{step:?}");
    }
}

#[test]
fn the_last_instant_of_the_wait_still_counts() {
    let mut gate = Gate::new();
    let (mut waiting, _) = gate.begin(&login("boutique"), &[Need::Word(1)]);
    gate.pass(WAIT);
    assert!(matches!(waiting.resume(Event::Met, gate.now), Step::Forward(_)));
}

#[test]
fn a_request_that_is_refused_before_its_key_is_checked_has_its_consumer_in_the_record() {
    let mut gate = Gate::new();
    for (key, consumer) in [("key-of-boutique", Some("boutique")), ("another", None)] {
        let record = gate.record(&format!("GET /v1/a%zz HTTP/1.1\r\nHost: g\r\napi_key: {key}\r\n\r\n"));
        assert_eq!(record.code.as_str(), "malformed_request");
        assert_eq!(record.consumer.as_deref(), consumer);
    }
}

#[test]
fn the_first_use_of_a_key_is_told_once() {
    let mut gate = Gate::new();
    let first = gate.record(&login("boutique"));
    let second = gate.record(&login("boutique"));
    assert_eq!((first.key_first_used, second.key_first_used), (true, false));
    assert!(!gate.record("GET /v1/a HTTP/1.1\r\nHost: g\r\napi_key: nobody\r\n\r\n").key_first_used);
}

#[test]
fn what_is_left_of_the_quota_is_told_where_it_is_wanted() {
    for wanted in [true, false] {
        let mut gate = Gate::new().with(|rules| rules.budgets.rate_limit_on_answers = wanted);
        let (exchange, step) = gate.begin(&login("boutique"), &[]);
        let Step::Forward(plan) = step else { panic!("{step:?}") };
        assert_eq!(plan.fields.rate_limit.is_some(), wanted);
        assert_eq!(exchange.rate_limit(), plan.fields.rate_limit.as_ref());
        drop(exchange);
        let mut kept = Vec::new();
        let refused = loop {
            match gate.begin(&login("boutique"), &[]) {
                (refused, Step::Deny(denial)) => {
                    assert_eq!(denial.code, DenyCode::RateLimited);
                    break refused;
                }
                (exchange, _) => kept.push(exchange),
            }
        };
        assert!(refused.rate_limit().is_some(), "a refusal for the quota always says when to come again");
    }
}

#[test]
fn a_login_goes_out_without_a_token_and_its_answer_is_read() {
    let mut gate = Gate::new().with(|snapshot| snapshot.session.public = rules(&["GET /v1/version"]));
    let (_, step) = gate.begin(&login("boutique"), &[]);
    let Step::Forward(plan) = step else { panic!("{step:?}") };
    assert_eq!((plan.observe, plan.fields.answer_is_read), (Observe::Login, true));
    assert!(plan.fields.token_from.is_empty());
    let (_, step) = gate.begin("GET /v1/version HTTP/1.1\r\nHost: g\r\napi_key: key-of-boutique\r\n\r\n", &[]);
    let Step::Forward(plan) = step else { panic!("{step:?}") };
    assert_eq!((plan.observe, plan.fields.answer_is_read), (Observe::Nothing, false));
    assert!(!plan.fields.token_from.is_empty());
}

#[test]
fn the_path_in_the_record_is_without_query_and_of_bounded_length() {
    let mut gate = Gate::new();
    let long = "x".repeat(Record::MAX_PATH);
    let record = gate.record(&format!("GET /{long}?api_key=secret HTTP/1.1\r\nHost: g\r\n\r\n"));
    assert_eq!(record.path.len(), Record::MAX_PATH);
    let record = gate.record("GET /v1/a?token=secret HTTP/1.1\r\nHost: g\r\n\r\n");
    assert_eq!(&*record.path, b"/v1/a");
    assert_eq!(format!("{:?}", Target::Rewritten(b"/v1/a?token=secret"[..].into())), "Rewritten(/v1/a?…)");
    assert_eq!(format!("{:?}", Target::AsReceived), "AsReceived");
}

#[test]
fn each_fault_of_8sens_has_a_reason_and_a_caller_that_left_has_none() {
    assert_eq!(Fault::Silent.reason(), Some(Reason::UpstreamSilent));
    assert_eq!(Fault::NoConnection.reason(), Some(Reason::NoConnection));
    assert_eq!(Fault::ClosedInAnswer.reason(), Some(Reason::UpstreamClosed));
    assert_eq!((Fault::CallerLeft.reason(), Fault::CutOff.reason()), (None, None));
}
