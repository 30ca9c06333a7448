//! One request from its first decision to its record: the seam between the core and whatever moves the bytes.
//!
//! An edge calls [`Exchange::begin`] with a view of the head and obeys the [`Step`]. While it forwards it reports what
//! it sees, and at the end [`Exchange::finish`] turns the exchange into the one [`Record`] that access log and metrics
//! are written from. The exchange pins its [`Snapshot`], owns everything it needs and never waits, so any lane can
//! carry it across its own awaits.

mod answer;
#[cfg(test)]
mod borders;
mod ending;
mod errand;
mod fault;
mod fields;
#[cfg(test)]
mod interleavings;
mod login;
#[cfg(test)]
mod managed;
pub mod needs;
mod plan;
mod record;
mod refusal;
#[cfg(test)]
pub(crate) mod simulation;
mod stage;

pub use answer::ChunkVerdict;
pub use ending::Ending;
pub use fault::{Attempts, Fault, TlsFault};
pub use fields::{FieldEdits, InjectedToken, RateLimitFields};
pub use needs::{Event, LoginBody, Need};
pub use plan::{ForwardPlan, Observe, Resend, Target};
pub use record::{Alarm, Bytes, EndCode, Outcome, Record};

use crate::domain::denial::{Denial, DenyCode, Reason};
use crate::domain::limit::Reservation;
use crate::domain::policy::session::Wanted;
use crate::domain::policy::{self, Admission, WouldRefuse};
use crate::domain::request::client_ip::ClientIp;
use crate::domain::request::{Framing, Method, RequestView, TokenPlace, Transport, split_target};
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::snapshot::Snapshot;
use crate::domain::session::LoginOutcome;
use crate::domain::session::expiry::AtHead;
use crate::domain::session::managed::{Account, Expiry, Lease};
use crate::domain::tables::Tables;
use crate::domain::types::{HttpVersion, Mono, Now, RequestId};
use answer::{Answer, Question};
use errand::{Errand, Identity, ManagedUse, Purpose};
use login::Login;
use needs::Needs;
use refusal::rate_limit_fields;
use stage::{Attempt, Stage, Wait};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Longest that a request waits for all of its needs together.
const WAIT: Duration = Duration::from_secs(30);

/// How a login ends that was not sent.
const THROTTLED: EndCode = EndCode::Denied(DenyCode::LoginThrottled);

/// What the edge has to do next.
#[must_use]
#[derive(Debug)]
pub enum Step {
    Deny(Denial),
    /// Say which methods are forwarded: the answer to `OPTIONS *` (RFC 9110 section 9.3.7).
    TellMethods,
    Forward(Box<ForwardPlan>),
    Need(Need),
}

/// What [`Exchange::next_token`] gives.
#[derive(Debug)]
pub enum NextToken {
    Is(InjectedToken),
    After(Arc<Account>),
}

/// What is known of a request once its head was read.
#[derive(Debug)]
struct Head {
    request_id: RequestId,
    began: Now,
    client: ClientIp,
    http: Option<HttpVersion>,
    method: Box<[u8]>,
    path: Box<[u8]>,
}

/// One request in flight.
#[derive(Debug)]
pub struct Exchange {
    snapshot: Arc<Snapshot>,
    tables: Arc<Tables>,
    head: Head,
    stage: Stage,
    /// Whose key came along with a request that was not admitted.
    shown: Option<Identity>,
    /// Of a login, unless nobody counts those that fail.
    login: Option<Login>,
    bytes: Bytes,
    rate_limit: Option<RateLimitFields>,
    would_refuse: Option<WouldRefuse>,
    alarm: Option<Alarm>,
    key_first_used: bool,
    /// Waited for logins of the gate's so far.
    login_wait: Option<Duration>,
    /// It is sent again, because its token had expired.
    is_second: bool,
}

impl Exchange {
    /// Decides on a request. `fresh_id` names it unless the caller's own `X-Request-ID` is safe.
    pub fn begin(
        snapshot: Arc<Snapshot>,
        tables: Arc<Tables>,
        request: &RequestView<'_>,
        fresh_id: RequestId,
        now: Now,
    ) -> (Self, Step) {
        Self::begin_with(snapshot, tables, request, fresh_id, now, Needs::default())
    }

    fn begin_with(
        snapshot: Arc<Snapshot>,
        tables: Arc<Tables>,
        request: &RequestView<'_>,
        fresh_id: RequestId,
        now: Now,
        needs: Needs,
    ) -> (Self, Step) {
        let client = snapshot.trusted_proxies.resolve(request.peer, kept(&request.client_address));
        let caller_id = match request.request_id.count() {
            1 => request.request_id.first().and_then(RequestId::from_caller),
            _ => None,
        };
        let id = caller_id.unwrap_or(fresh_id);
        let mut exchange = Self::blank(Arc::clone(&snapshot), tables, client, request.method, request.path(), id, now);
        exchange.head.http = Some(request.version);
        let tables = Arc::clone(&exchange.tables);
        let step = if request.target() == b"*" {
            policy::decide_about_the_gate(&snapshot, &tables, request, client, now).map(|caller| {
                exchange.identify(caller.into());
                exchange.note_key_use(caller.into(), now);
                Step::TellMethods
            })
        } else {
            let admission = policy::decide(&snapshot, &tables, request, client, now);
            admission.map(|admission| exchange.admit(admission, request, needs, now))
        };
        let step = step.unwrap_or_else(|refusal| exchange.deny(refusal, request, now));
        (exchange, step)
    }

    /// The exchange of a head that could not even be read: it is refused, and has a record.
    #[must_use]
    pub fn unreadable(
        snapshot: Arc<Snapshot>,
        tables: Arc<Tables>,
        peer: IpAddr,
        head: crate::domain::request::head::Fragment<'_>,
        denial: &Denial,
        id: RequestId,
        now: Now,
    ) -> Self {
        let client = ClientIp { address: crate::domain::request::client_ip::canonical(peer), unreadable: false };
        let path = split_target(head.target).0;
        let mut exchange = Self::blank(snapshot, tables, client, head.method, path, id, now);
        exchange.identify_by(head.key, now);
        exchange.refuse(denial, now);
        exchange
    }

    /// The exchange of a request that is answered by the connection itself: nothing was decided on. `path` is what the
    /// record says of it.
    #[must_use]
    pub fn answered_here(
        snapshot: Arc<Snapshot>,
        tables: Arc<Tables>,
        request: &RequestView<'_>,
        path: &[u8],
        id: RequestId,
        now: Now,
    ) -> Self {
        let client =
            ClientIp { address: crate::domain::request::client_ip::canonical(request.peer), unreadable: false };
        let mut exchange = Self::blank(snapshot, tables, client, request.method, path, id, now);
        exchange.head.http = Some(request.version);
        exchange
    }

    /// Goes on after a [`Need`] was met or refused. What may have changed meanwhile is asked again: deadline, key and
    /// session; quota is still reserved. An exchange that waits for nothing is told so, and nothing goes to 8sens.
    pub fn resume(&mut self, event: Event, now: Now) -> Step {
        let stage = std::mem::take(&mut self.stage);
        let Stage::Waiting { mut errand, reservation, plan, mut needs, mut wait } = stage else {
            self.stage = stage;
            return Step::Deny(Denial::because(Reason::NothingAwaited));
        };
        let login_since = wait.login_since.take();
        if let Some(since) = login_since {
            *self.login_wait.get_or_insert_default() += now.mono.since(since);
        }
        let verdict = match event {
            Event::Refused(denial) => Err(denial),
            Event::Met | Event::Body(_) if now.mono > wait.until => Err(Denial::because(Reason::WaitedTooLong)),
            Event::Met => errand.recheck(&self.snapshot, &self.tables, wait.admitted_as, now),
            Event::Body(body) => errand
                .recheck(&self.snapshot, &self.tables, wait.admitted_as, now)
                .and_then(|()| self.ask_shield(&errand, body.bytes(), now)),
        };
        if let Err(denial) = verdict {
            return self.deny_admitted(errand, reservation, denial, now);
        }
        if login_since.is_none() {
            needs.met();
        }
        self.go_on(errand, reservation, plan, needs, Some(wait), now)
    }

    /// How long a request that waits may go on to; `None` when it waits for nothing.
    #[must_use]
    pub const fn waits_until(&self) -> Option<Mono> {
        match &self.stage {
            Stage::Waiting { wait, .. } => Some(wait.until),
            _ => None,
        }
    }

    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// When its head was complete.
    #[must_use]
    pub const fn began(&self) -> Now {
        self.head.began
    }

    #[must_use]
    pub const fn request_id(&self) -> &RequestId {
        &self.head.request_id
    }

    /// The consumer whose key came along.
    #[must_use]
    pub fn consumer(&self) -> Option<&Arc<str>> {
        self.owner().map(|owner| &owner.consumer)
    }

    /// `RateLimit` fields for a refusal of this exchange: what is left of the scarcer quota of its consumer.
    #[must_use]
    pub const fn rate_limit(&self) -> Option<&RateLimitFields> {
        self.rate_limit.as_ref()
    }

    /// The edge starts to connect to 8sens, or takes a pooled connection. A resend does not move the start.
    pub fn upstream_started(&mut self, now: Now) {
        match &mut self.stage {
            Stage::Connecting { attempt: Some(attempt), .. } | Stage::Sent { attempt, .. } => attempt.sent = now.mono,
            Stage::Connecting { attempt, .. } => *attempt = Some(Attempt { started: now.mono, sent: now.mono }),
            Stage::Closed | Stage::Waiting { .. } | Stage::Answering { .. } => {}
        }
    }

    /// The request goes out to 8sens: it counts, whatever comes of it.
    pub fn upstream_connected(&mut self) {
        let stage = std::mem::take(&mut self.stage);
        self.stage = match stage {
            Stage::Connecting { errand, reservation, attempt: Some(attempt) } => {
                if let Some(login) = &mut self.login {
                    login.sent();
                }
                if let Some(reservation) = reservation {
                    reservation.commit();
                }
                Stage::Sent { errand, attempt }
            }
            other => other,
        };
    }

    /// No connection came about: what was reserved is given back, before the caller is told and may ask again.
    pub fn upstream_failed(&mut self) {
        if let Stage::Connecting { reservation, .. } = &mut self.stage {
            *reservation = None;
        }
    }

    /// Request body bytes came from the caller.
    ///
    /// # Errors
    /// Over the limit the request ends, whatever it announced.
    pub fn request_chunk(&mut self, len: usize) -> Result<(), Denial> {
        self.bytes.received = self.bytes.received.saturating_add(len as u64);
        if self.bytes.received > self.snapshot.limits.body {
            return Err(Denial::because(Reason::BodyGrew));
        }
        Ok(())
    }

    /// A resend replays the body from its start.
    pub fn request_body_restarts(&mut self) {
        self.bytes.received = 0;
    }

    /// 8sens answers with this status a request that could be sent again from its beginning. True when it is going to
    /// be: the answer says that the token which the gate gave it has expired, and is not passed on.
    pub fn is_sent_again(&mut self, status: u16, now: Now) -> bool {
        let Stage::Sent { errand, .. } = &self.stage else { return false };
        let rules = &self.snapshot.session;
        let Some((account, lease)) =
            errand.managed.as_ref().and_then(|used| Some((&used.account, used.lease.as_ref()?)))
        else {
            return false;
        };
        if self.is_second || rules.expired_when.at_head(status) != AtHead::Expired {
            return false;
        }
        match account.expired(lease.generation(), &rules.limits, now.mono) {
            Expiry::Doubted => return false,
            Expiry::Ended => self.tables.accounts.set_changed(),
            Expiry::OfOldToken => {}
        }
        self.is_second = true;
        true
    }

    /// The token for a request that is sent again; where there is none yet, the account whose login has to be waited
    /// for.
    ///
    /// # Errors
    /// When there is none to be had.
    pub fn next_token(&mut self, now: Now) -> Result<NextToken, Denial> {
        let place = self.snapshot.session.inject_token;
        let nothing = Denial::because(Reason::NothingAwaited);
        let Stage::Sent { errand, .. } = &mut self.stage else { return Err(nothing) };
        if let Some(account) = errand.take_token(&self.snapshot.session.limits, now)? {
            return Ok(NextToken::After(account));
        }
        let live = errand.lease().map(|lease| Arc::clone(lease.live())).ok_or(nothing)?;
        Ok(NextToken::Is(InjectedToken { place, live }))
    }

    /// 8sens's final response head came.
    pub fn response_head(&mut self, status: u16, now: Now) {
        self.upstream_connected();
        let stage = std::mem::take(&mut self.stage);
        self.stage = match stage {
            Stage::Sent { errand, attempt } => {
                let answer = Answer::begin(&question(&self.snapshot, &self.tables, &errand, attempt), status, now);
                self.alarm = answer.alarm.or(self.alarm);
                Stage::Answering { errand, attempt, answer }
            }
            other => other,
        };
        self.judge_login(now);
    }

    /// The response head is on its way to the caller.
    pub fn response_head_sent(&mut self, now: Now) {
        if let Stage::Answering { answer, .. } = &mut self.stage {
            answer.passed_on = Some(now.mono);
        }
    }

    /// A chunk of 8sens's answer came. A login answer is held until its session is in the table and written down.
    pub fn response_chunk(&mut self, chunk: &[u8], last: bool, now: Now) -> ChunkVerdict {
        self.bytes.sent = self.bytes.sent.saturating_add(chunk.len() as u64);
        let Stage::Answering { errand, attempt, answer } = &mut self.stage else { return ChunkVerdict::Release };
        let verdict = answer.chunk(&question(&self.snapshot, &self.tables, errand, *attempt), chunk, last, now);
        self.alarm = answer.alarm.or(self.alarm);
        self.judge_login(now);
        verdict
    }

    /// Ends the exchange.
    #[must_use]
    pub fn finish(mut self, outcome: Outcome, now: Now) -> Record {
        let end = now.mono;
        if let (Some(login), Outcome::Denied(_)) = (&mut self.login, &outcome) {
            login.unanswered(now);
        }
        let (status, code, reason) = match outcome {
            Outcome::Answered { status } => (Some(status), EndCode::Ok, None),
            Outcome::Denied(denial) => (Some(denial.code.status()), EndCode::Denied(denial.code), denial.reason),
            Outcome::CutOff(denial) => (None, EndCode::Denied(denial.code), denial.reason),
            Outcome::CallerLeft { status } => (status, EndCode::CallerLeft, None),
            Outcome::Aborted { status } => (status, EndCode::Aborted, None),
        };
        let (attempt, answer, errand) = (self.stage.attempt(), self.stage.answer(), self.stage.errand());
        let owner = self.owner();
        let upstream_ended = answer.and_then(|answer| answer.ended).unwrap_or(end);
        Record {
            wall: self.head.began.wall,
            consumer: owner.map(|owner| Arc::clone(&owner.consumer)),
            key_id: owner.map(|owner| Arc::clone(&owner.key_id)),
            client_ip: self.head.client.address,
            client_ip_unreadable: self.head.client.unreadable,
            http: self.head.http,
            route: errand.and_then(|errand| errand.route.clone()),
            status,
            code,
            reason,
            would_refuse: self.would_refuse,
            token_place: errand.and_then(|errand| errand.token_place),
            alarm: self.alarm,
            login: if code == THROTTLED { Some(LoginOutcome::Throttled) } else { self.login() },
            key_first_used: self.key_first_used,
            generation: errand.and_then(Errand::lease).map(Lease::generation),
            login_wait: self.login_wait,
            learned: answer.and_then(|answer| answer.learned),
            bytes: self.bytes,
            total: end.since(self.head.began.mono),
            upstream: attempt.map(|attempt| upstream_ended.since(attempt.started)),
            own: self.own_time(end),
            request_id: self.head.request_id,
            method: self.head.method,
            path: self.head.path,
        }
    }

    fn blank(
        snapshot: Arc<Snapshot>,
        tables: Arc<Tables>,
        client: ClientIp,
        method: &[u8],
        path: &[u8],
        request_id: RequestId,
        began: Now,
    ) -> Self {
        let (method, path) = (clipped(method, Record::MAX_METHOD), clipped(path, Record::MAX_PATH));
        Self {
            snapshot,
            tables,
            head: Head { request_id, began, client, http: None, method, path },
            stage: Stage::Closed,
            shown: None,
            login: None,
            bytes: Bytes::default(),
            rate_limit: None,
            would_refuse: None,
            alarm: None,
            key_first_used: false,
            login_wait: None,
            is_second: false,
        }
    }

    fn admit(&mut self, admission: Admission<'_>, request: &RequestView<'_>, mut needs: Needs, now: Now) -> Step {
        self.note_key_use(admission.caller.into(), now);
        self.would_refuse = admission.would_refuse;
        if self.would_refuse.is_some_and(|would| would.code == DenyCode::SessionNotYours) {
            self.alarm = Some(Alarm::TokenOfAnother);
        }
        if self.snapshot.budgets.rate_limit_on_answers {
            self.rate_limit = rate_limit_fields(&admission.buckets, now);
        }
        let owner = Identity::new(admission.caller.into());
        let mut plan = Box::new(self.plan(request, admission.method, admission.is_login));
        let (mut managed, mut token_place) = (None, None);
        let purpose = match admission.session {
            _ if admission.is_login => Purpose::Login(owner.caller_id(&self.tables)),
            Wanted::Own(session) => {
                token_place = policy::token::place(request);
                Purpose::Session(session)
            }
            Wanted::Managed(account) => {
                managed = Some(ManagedUse { account, lease: None });
                // A target cannot be given another token.
                plan.outlives_session =
                    !self.injects_into_target() && (!plan.is_write || self.snapshot.session.resend_expired_writes);
                // What is added to it has to be known.
                if plan.target == Target::AsReceived && self.injects_into_target() {
                    plan.target = Target::Rewritten(request.target().into());
                }
                Purpose::Managed
            }
            Wanted::None => Purpose::Other,
        };
        let mode = self.snapshot.session.mode_of(admission.caller.consumer());
        let errand = Errand { owner, route: admission.route.cloned(), token_place, mode, purpose, managed };
        if admission.is_login && self.snapshot.budgets.enforce != Enforce::Off {
            self.login = Some(Login::of(request));
            if has_body(request.framing) {
                needs.begin_with(Need::LoginBody);
            } else if let Err(denial) = self.ask_shield(&errand, &[], now) {
                return self.deny_admitted(errand, admission.reservation, denial, now);
            }
        }
        self.go_on(errand, admission.reservation, plan, needs, None, now)
    }

    /// Waits for a login or the next need, or sends the request on its way. `wait` is there once it has waited.
    fn go_on(
        &mut self,
        mut errand: Errand,
        reservation: Reservation,
        mut plan: Box<ForwardPlan>,
        needs: Needs,
        wait: Option<Wait>,
        now: Now,
    ) -> Step {
        let login = match errand.take_token(&self.snapshot.session.limits, now) {
            Ok(login) => login,
            Err(denial) => return self.deny_admitted(errand, reservation, denial, now),
        };
        let login_since = login.as_ref().map(|_| now.mono);
        if let Some(need) = login.map(Need::Login).or_else(|| needs.first()) {
            let wait = wait.unwrap_or_else(|| Wait {
                until: now.mono.after(WAIT),
                admitted_as: errand.owner.caller_id(&self.tables),
                login_since,
            });
            let wait = Wait { login_since, ..wait };
            self.stage = Stage::Waiting { errand, reservation, plan, needs, wait };
            return Step::Need(need);
        }
        if let Some(lease) = errand.lease() {
            plan.inject(self.snapshot.session.inject_token, lease);
        }
        self.stage = Stage::Connecting { errand, reservation: Some(reservation), attempt: None };
        Step::Forward(plan)
    }

    fn injects_into_target(&self) -> bool {
        self.snapshot.session.inject_token == TokenPlace::AccessTokenQuery
    }

    fn plan(&self, request: &RequestView<'_>, method: Method, is_login: bool) -> ForwardPlan {
        let session = &self.snapshot.session;
        // A login brings no token along: an old one would keep its caller from ever logging in again.
        let token_from = session.token_from.iter().copied().filter(|_| !is_login).collect();
        ForwardPlan {
            method,
            target: plan::forwarded_target(request, token_from),
            fields: FieldEdits {
                of_connection: fields::of_connection(&self.snapshot.fields, request),
                token_from,
                pass_cookies: session.pass_cookies,
                answer_is_read: is_login,
                client_ip: self.head.client.address,
                https: matches!(request.transport, Transport::BehindProxy | Transport::Tls),
                request_id: self.head.request_id.clone(),
                rate_limit: self.rate_limit.clone(),
                token: None,
            },
            resend: if method.is_write() { Resend::Never } else { Resend::OnceIfReusedConnectionClosed },
            observe: if is_login { Observe::Login } else { Observe::Nothing },
            is_write: method.is_write(),
            outlives_session: false,
        }
    }

    fn owner(&self) -> Option<&Identity> {
        self.stage.errand().map(|errand| &errand.owner).or(self.shown.as_ref())
    }

    /// What came of a login that was taken to 8sens.
    fn login(&self) -> Option<LoginOutcome> {
        let answered = self.stage.answer().and_then(|answer| answer.login);
        let is_login = self.stage.errand().is_some_and(|errand| matches!(errand.purpose, Purpose::Login(_)));
        answered.or((is_login && self.stage.attempt().is_some()).then_some(LoginOutcome::Failed))
    }

    /// The gate's own share: from the complete head to the upstream connect, and from 8sens's head to ours.
    fn own_time(&self, end: Mono) -> Duration {
        let began = self.head.began.mono;
        let Some(attempt) = self.stage.attempt() else { return end.since(began) };
        let passing_on = self.stage.answer().and_then(|answer| Some(answer.passed_on?.since(answer.came)));
        attempt.started.since(began) + passing_on.unwrap_or_default()
    }
}

const fn question<'e>(
    snapshot: &'e Snapshot,
    tables: &'e Tables,
    errand: &'e Errand,
    attempt: Attempt,
) -> Question<'e> {
    let (owner, purpose, managed) = (&errand.owner, errand.purpose, errand.managed.as_ref());
    Question { snapshot, tables, owner, purpose, managed, sent: attempt.sent }
}

/// The source values of the client IP. Where there were more than the view keeps, one that cannot be read precedes
/// them.
fn kept<'v, 'a, const N: usize>(
    values: &'v crate::domain::request::Values<'a, N>,
) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'v, 'a, N> {
    let overflow: Option<&'a [u8]> = values.is_incomplete().then_some(b"too many");
    overflow.into_iter().chain(values.iter())
}

fn clipped(bytes: &[u8], max: usize) -> Box<[u8]> {
    bytes[..bytes.len().min(max)].into()
}

/// True when a request body may follow the head.
#[must_use]
pub const fn has_body(framing: Framing) -> bool {
    !matches!(framing, Framing::None | Framing::Length(0))
}
