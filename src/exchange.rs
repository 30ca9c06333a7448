//! One request from its first decision to its record: the seam between the core and whatever moves the bytes.
//!
//! An edge calls [`Exchange::begin`] with a view of the head and obeys the [`Step`]. While it forwards it reports what
//! it sees, and at the end [`Exchange::finish`] turns the exchange into the one [`Record`] that access log and metrics
//! are written from. The exchange pins its [`Snapshot`], owns everything it needs and never waits, so any lane can
//! carry it across its own awaits.

use crate::client_ip::ClientIp;
use crate::denial::{Denial, DenyCode, Reason};
use crate::limit::Reservation;
use crate::path::NormalPath;
use crate::policy::quota::Buckets;
use crate::policy::session::SessionUse;
use crate::policy::transport::Exposed;
use crate::policy::{self, Admission, KeyOwner, Refusal, WouldRefuse};
use crate::request::{FieldRole, FieldTable, Framing, Method, RequestView, TokenPlace, Transport, split_target};
use crate::session::expiry::{AtHead, BODY_PREFIX, Ending};
use crate::session::log_record::Record as JournalRecord;
use crate::session::{Learned, LoginOutcome, SessionHash, login_answer};
use crate::snapshot::Snapshot;
use crate::tables::Tables;
use crate::types::{HttpVersion, Mono, Now, RequestId};
use secrecy::ExposeSecret;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What the edge has to do next.
#[must_use]
#[derive(Debug)]
pub enum Step {
    Deny(Denial),
    /// Say which methods are forwarded: the answer to `OPTIONS *` (RFC 9110 section 9.3.7).
    TellMethods,
    Forward(ForwardPlan),
    Need(Need),
}

/// Something only an edge can wait for. Empty until logins, queues and stored orders exist; an edge that matches on it
/// is stopped by the compiler when the first variant appears.
#[derive(Debug)]
pub enum Need {}

/// What came of a [`Need`].
#[derive(Debug)]
pub enum Event {}

/// How to forward a request, as data that any lane can serialise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardPlan {
    pub method: Method,
    /// The origin-form target that 8sens receives.
    pub target: Target,
    /// Which of the caller's fields go on, and what the gate says of itself.
    pub fields: FieldEdits,
    pub resend: Resend,
    pub observe: Observe,
    /// Whether the request changes something: then it runs to 8sens's answer even if the caller leaves.
    pub is_write: bool,
}

/// Whether the answer is of interest to the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observe {
    Nothing,
    /// A login: its answer has to be readable, so it is asked for uncompressed and whole.
    Login,
}

/// The forwarded target.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    AsReceived,
    /// The path was put into normal form, or a known token place that 8sens is not told to read was taken out of the
    /// query.
    Rewritten(Arc<[u8]>),
}

/// Without the query: nobody knows what secrets a caller puts there.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsReceived => f.write_str("AsReceived"),
            Self::Rewritten(target) => write!(f, "Rewritten({}?…)", split_target(target).0.escape_ascii()),
        }
    }
}

/// What happens to the caller's header fields. The upstream key is not part of the plan: it never leaves the edge that
/// sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldEdits {
    /// Fields that the caller meant for its own connection: lower-case names, in order and each once.
    pub of_connection: Vec<Box<[u8]>>,
    pub token_from: Vec<TokenPlace>,
    pub pass_cookies: bool,
    /// The client IP for `X-Forwarded-For`; every forwarding field is rebuilt from it.
    pub client_ip: IpAddr,
    /// Whether the caller's side was encrypted, for `X-Forwarded-Proto`.
    pub https: bool,
    pub request_id: RequestId,
    /// `RateLimit-Policy` and `RateLimit` for the answer.
    pub rate_limit: Option<RateLimitFields>,
}

/// The values of `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitFields {
    pub policy: String,
    pub limit: String,
}

impl FieldEdits {
    /// True when a caller's field of this name and role goes on to 8sens as it came.
    #[must_use]
    pub fn keeps(&self, name: &[u8], role: Option<FieldRole>, value: &[u8]) -> bool {
        match role {
            None => !self.is_of_connection(name),
            Some(FieldRole::Token(place)) => self.token_from.contains(&place),
            Some(FieldRole::Authorization) => {
                !policy::token::is_bearer(value) || self.token_from.contains(&TokenPlace::Bearer)
            }
            Some(FieldRole::Cookie) => self.pass_cookies,
            Some(role) => role.is_forwarded(),
        }
    }

    fn is_of_connection(&self, name: &[u8]) -> bool {
        let folded = || name.iter().map(u8::to_ascii_lowercase);
        self.of_connection.binary_search_by(|known| known.iter().copied().cmp(folded())).is_ok()
    }
}

/// When a request may be sent to 8sens a second time. A failed connect wrote nothing and may always be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// Once a byte was written: never.
    Never,
    /// Once, when a reused connection closed before any byte of the answer: GET, HEAD and OPTIONS only.
    OnceIfReusedConnectionClosed,
}

/// What to do with a piece of 8sens's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkVerdict {
    /// Pass it on.
    Release,
    /// Keep it back until a later chunk is released.
    Hold,
    /// Cut the answer off visibly.
    Abort,
}

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 8sens answered and the caller got the whole answer.
    Answered { status: u16 },
    /// Refused, here or because 8sens could not be used.
    Denied(Denial),
    /// Closed without an answer, because there was no request to answer.
    CutOff(Denial),
    /// The caller was gone before the answer was complete. The status is 8sens's when it answered a write all the same.
    CallerLeft { status: Option<u16> },
    /// Cut off: 8sens broke an answer it had begun, the gate stopped, or a task was lost.
    Aborted { status: Option<u16> },
}

/// The `code` of a record: a [`DenyCode`], or one of the three ways a forwarded request can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndCode {
    Ok,
    CallerLeft,
    Aborted,
    Denied(DenyCode),
}

impl EndCode {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::CallerLeft => "caller_left",
            Self::Aborted => "aborted",
            Self::Denied(code) => code.as_str(),
        }
    }
}

impl EndCode {
    /// True for a word that [`EndCode::as_str`] gives a refusal.
    #[must_use]
    pub fn is_refusal_word(word: &str) -> bool {
        ![Self::Ok, Self::CallerLeft, Self::Aborted].iter().any(|end| end.as_str() == word)
    }
}

/// What an admin has to look at: too rare or too grave for a counter alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// A consumer showed a token that was issued to another one.
    TokenOfAnother,
    /// 8sens handed one token to several consumers.
    TokenShared,
    /// Answers say "expired" while logins are refused: the upstream key is probably wrong.
    LoginsRefused,
    /// Sessions of several consumers, or many of one, end at once: a wrong upstream key or a restarted 8sens.
    MassExpiry,
    /// A login was answered with success, but with no token that can be read.
    LoginNotUnderstood,
    /// A session could not be kept because the table is full.
    SessionsFull,
    /// A key came over a transport where others can read it: it has to be replaced.
    KeyInClear,
}

impl Alarm {
    pub const ALL: [Self; 7] = [
        Self::TokenOfAnother,
        Self::TokenShared,
        Self::LoginsRefused,
        Self::MassExpiry,
        Self::LoginNotUnderstood,
        Self::SessionsFull,
        Self::KeyInClear,
    ];

    /// The word for log and metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenOfAnother => "token_of_another",
            Self::TokenShared => "token_shared",
            Self::LoginsRefused => "logins_refused",
            Self::MassExpiry => "mass_expiry",
            Self::LoginNotUnderstood => "login_not_understood",
            Self::SessionsFull => "sessions_full",
            Self::KeyInClear => "key_in_clear",
        }
    }

    /// What the admin does about it, for the application log.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::TokenOfAnother => "ask the consumer where it has the token from",
            Self::TokenShared => "give each consumer a login of its own in 8sens",
            Self::LoginsRefused => "compare upstream.api_key with the one in 8sens",
            Self::MassExpiry => "see whether 8sens was restarted or its api_key changed",
            Self::LoginNotUnderstood => "look at what 8sens answers to a login",
            Self::SessionsFull => "raise session.total or session.per_consumer",
            Self::KeyInClear => "rotate the key: it crossed the network where others can read it",
        }
    }
}

/// Bytes of bodies, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Request body bytes received from the caller.
    pub received: u64,
    /// Response body bytes sent to the caller.
    pub sent: u64,
}

/// Everything that is written down about one request: the only source of access log and request metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub request_id: RequestId,
    /// Milliseconds since the epoch at which the head was complete.
    pub wall: crate::types::Wall,
    pub consumer: Option<Arc<str>>,
    pub key_id: Option<Arc<str>>,
    pub client_ip: IpAddr,
    /// The address in `client_ip` is the peer's because a trusted proxy's field could not be read.
    pub client_ip_unreadable: bool,
    /// `None` when there was no head that could be read.
    pub http: Option<HttpVersion>,
    /// As received, at most [`Record::MAX_METHOD`] bytes.
    pub method: Box<[u8]>,
    /// Without the query, at most [`Record::MAX_PATH`] bytes: in normal form, or as received when it has none.
    pub path: Box<[u8]>,
    /// The allowing rule as written in the configuration.
    pub route: Option<Arc<str>>,
    /// The status the caller was sent; `None` when it was sent none.
    pub status: Option<u16>,
    pub code: EndCode,
    /// The true reason of a refusal; `None` when the code says it all.
    pub reason: Option<Reason>,
    /// What would have been refused, were it not in shadow or only observed.
    pub would_refuse: Option<WouldRefuse>,
    /// Where the token stood, when it was a live one of its own consumer.
    pub token_place: Option<TokenPlace>,
    /// Something that an admin has to look at.
    pub alarm: Option<Alarm>,
    /// What came of it, when it was a login that went out to 8sens.
    pub login: Option<LoginOutcome>,
    /// The key was never accepted before, as far as this gate knows.
    pub key_first_used: bool,
    /// What the token of the answer to a login is known by.
    pub learned: Option<SessionHash>,
    pub bytes: Bytes,
    /// From the complete head to the end.
    pub total: Duration,
    /// From the start of the upstream connect to the last byte of 8sens's answer.
    pub upstream: Option<Duration>,
    /// The gate's own share: from the complete head to the upstream connect, and from 8sens's head to ours.
    pub own: Duration,
}

impl Record {
    pub const MAX_METHOD: usize = 32;
    pub const MAX_PATH: usize = 1024;
}

/// Instants of one exchange, filled in as it goes.
#[derive(Debug, Clone, Copy, Default)]
struct Milestones {
    upstream_started: Option<Mono>,
    /// When the latest attempt was sent.
    sent: Option<Mono>,
    upstream_head: Option<Mono>,
    downstream_head: Option<Mono>,
    upstream_ended: Option<Mono>,
}

/// What the body of 8sens's answer is kept for.
#[derive(Debug, Default)]
enum Reading {
    #[default]
    Nothing,
    /// A login answer, held until its session is in the table.
    Login(Vec<u8>),
    /// The beginning of an answer that may say "expired".
    Expiry(Vec<u8>),
}

/// One request in flight.
#[derive(Debug)]
pub struct Exchange {
    snapshot: Arc<Snapshot>,
    tables: Arc<Tables>,
    request_id: RequestId,
    began: Now,
    client: ClientIp,
    consumer: Option<Arc<str>>,
    key_id: Option<Arc<str>>,
    route: Option<Arc<str>>,
    http: Option<HttpVersion>,
    method: Box<[u8]>,
    path: Box<[u8]>,
    at: Milestones,
    status: Option<u16>,
    bytes: Bytes,
    is_login: bool,
    login: Option<LoginOutcome>,
    learned: Option<SessionHash>,
    /// Quota that is given back unless the request reaches 8sens.
    reservation: Option<Reservation>,
    rate_limit: Option<RateLimitFields>,
    session: Option<SessionUse>,
    reading: Reading,
    would_refuse: Option<WouldRefuse>,
    token_place: Option<TokenPlace>,
    alarm: Option<Alarm>,
    key_first_used: bool,
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
        let client = snapshot.trusted_proxies.resolve(request.peer, kept(&request.client_address));
        let caller_id = match request.request_id.count() {
            1 => request.request_id.first().and_then(RequestId::from_caller),
            _ => None,
        };
        let id = caller_id.unwrap_or(fresh_id);
        let mut exchange = Self::blank(Arc::clone(&snapshot), tables, client, request.method, request.path(), id, now);
        exchange.http = Some(request.version);
        let tables = Arc::clone(&exchange.tables);
        let step = if request.target() == b"*" {
            policy::decide_about_the_gate(&snapshot, &tables, request, client, now).map(|caller| {
                exchange.identify(caller.into());
                exchange.note_key_use(caller.into(), now);
                Step::TellMethods
            })
        } else {
            let admission = policy::decide(&snapshot, &tables, request, client, now);
            admission.map(|admission| Step::Forward(exchange.admit(admission, request, now)))
        };
        let step = step.unwrap_or_else(|refusal| exchange.deny(refusal, request, now));
        (exchange, step)
    }

    fn deny(&mut self, refusal: Refusal<'_>, request: &RequestView<'_>, now: Now) -> Step {
        let (snapshot, tables) = (Arc::clone(&self.snapshot), Arc::clone(&self.tables));
        if let Some(owner) = refusal.owner {
            self.identify(owner);
            self.note_key_use(owner, now);
            if refusal.denial.code == DenyCode::RateLimited {
                self.rate_limit = rate_limit_fields(&Buckets::of(owner.consumer, &tables, request), now);
            }
        } else {
            self.identify_by(policy::credential::sole_key(request), now);
        }
        self.refuse(&refusal.denial, now);
        if policy::transport::check(&snapshot.trusted_proxies, request).is_err() {
            self.note_exposed(&snapshot, request, now);
        }
        Step::Deny(refusal.denial)
    }

    /// The exchange of a head that could not even be read: it is refused, and has a record.
    #[must_use]
    pub fn unreadable(
        snapshot: Arc<Snapshot>,
        tables: Arc<Tables>,
        peer: IpAddr,
        head: crate::head::Fragment<'_>,
        denial: &Denial,
        id: RequestId,
        now: Now,
    ) -> Self {
        let client = ClientIp { address: crate::client_ip::canonical(peer), unreadable: false };
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
        let client = ClientIp { address: crate::client_ip::canonical(request.peer), unreadable: false };
        let exchange = Self::blank(snapshot, tables, client, request.method, path, id, now);
        Self { http: Some(request.version), ..exchange }
    }

    fn blank(
        snapshot: Arc<Snapshot>,
        tables: Arc<Tables>,
        client: ClientIp,
        method: &[u8],
        path: &[u8],
        request_id: RequestId,
        now: Now,
    ) -> Self {
        Self {
            snapshot,
            tables,
            request_id,
            began: now,
            client,
            consumer: None,
            key_id: None,
            route: None,
            http: None,
            method: clipped(method, Record::MAX_METHOD),
            path: clipped(path, Record::MAX_PATH),
            at: Milestones::default(),
            status: None,
            bytes: Bytes::default(),
            is_login: false,
            login: None,
            learned: None,
            reservation: None,
            rate_limit: None,
            session: None,
            reading: Reading::Nothing,
            would_refuse: None,
            token_place: None,
            alarm: None,
            key_first_used: false,
        }
    }

    /// Goes on after a [`Need`] was met. There is none yet, so this can never be called.
    pub fn resume(&mut self, event: Event, _now: Now) -> Step {
        match event {}
    }

    fn identify(&mut self, owner: KeyOwner<'_>) {
        self.consumer = Some(Arc::clone(&owner.consumer.name));
        self.key_id = Some(Arc::clone(&owner.credential.id));
    }

    /// Notes whose good key came with a request that was refused before any key was checked.
    fn identify_by(&mut self, key: Option<&[u8]>, now: Now) {
        let snapshot = Arc::clone(&self.snapshot);
        if let Some(owner) = key.and_then(|key| policy::credential::owner(&snapshot.consumers, key, now.wall)) {
            self.identify(owner);
        }
    }

    /// Takes down that a key was accepted, whatever becomes of the request.
    fn note_key_use(&mut self, owner: KeyOwner<'_>, now: Now) {
        if owner.credential.refusal_at(now.wall).is_none() {
            let (consumer, key_id) = (&owner.consumer.name, &owner.credential.id);
            self.key_first_used = self.tables.key_uses.mark(consumer, key_id, now.wall);
        }
    }

    /// Takes down a refusal: budgets are charged, a stolen token raises an alarm.
    fn refuse(&mut self, denial: &Denial, now: Now) {
        if self.snapshot.policies.has(policy::Policy::Budget) {
            policy::budget::charge(denial, &self.tables, self.client.address, self.consumer.as_deref(), now.mono);
        }
        if denial.code == DenyCode::SessionNotYours {
            self.alarm = Some(Alarm::TokenOfAnother);
        }
    }

    /// Takes down what was given away on a transport where others can read it: whose key has to be replaced.
    fn note_exposed(&mut self, snapshot: &Snapshot, request: &RequestView<'_>, now: Now) {
        let Some(exposed) = policy::transport::exposed(&snapshot.consumers, request, now.wall) else { return };
        self.alarm = Some(Alarm::KeyInClear);
        match exposed {
            Exposed::Key(owner) => self.identify(owner),
            Exposed::UnknownKey if snapshot.policies.has(policy::Policy::Budget) => {
                policy::budget::charge_failed_credential(&self.tables, self.client.address, now.mono);
            }
            Exposed::UnknownKey | Exposed::Token => {}
        }
    }

    fn admit(&mut self, admission: Admission<'_>, request: &RequestView<'_>, now: Now) -> ForwardPlan {
        self.identify(admission.caller.into());
        self.note_key_use(admission.caller.into(), now);
        self.route = admission.route.map(Arc::from);
        self.is_login = admission.is_login;
        self.reservation = Some(admission.reservation);
        self.session = admission.session;
        self.token_place = admission.session.and_then(|_| policy::token::place(request));
        self.would_refuse = admission.would_refuse;
        if self.would_refuse.is_some_and(|would| would.code == DenyCode::SessionNotYours) {
            self.alarm = Some(Alarm::TokenOfAnother);
        }
        if self.snapshot.budgets.rate_limit_on_answers {
            self.rate_limit = rate_limit_fields(&admission.buckets, now);
        }
        self.plan(request, admission.method)
    }

    fn plan(&self, request: &RequestView<'_>, method: Method) -> ForwardPlan {
        let session = &self.snapshot.session;
        // A login brings no token along: an old one would keep its caller from ever logging in again.
        let token_from = if self.is_login { Vec::new() } else { session.token_from.clone() };
        ForwardPlan {
            method,
            target: forwarded_target(request, &token_from),
            fields: FieldEdits {
                of_connection: of_connection(&self.snapshot.fields, request),
                token_from,
                pass_cookies: session.pass_cookies,
                client_ip: self.client.address,
                https: matches!(request.transport, Transport::BehindProxy | Transport::Tls),
                request_id: self.request_id.clone(),
                rate_limit: self.rate_limit.clone(),
            },
            resend: if method.is_write() { Resend::Never } else { Resend::OnceIfReusedConnectionClosed },
            observe: if self.is_login { Observe::Login } else { Observe::Nothing },
            is_write: method.is_write(),
        }
    }

    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    #[must_use]
    pub const fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The consumer, once its key was accepted.
    #[must_use]
    pub const fn consumer(&self) -> Option<&Arc<str>> {
        self.consumer.as_ref()
    }

    /// `RateLimit` fields for a refusal of this exchange: what is left of the scarcer quota of its consumer.
    #[must_use]
    pub const fn rate_limit(&self) -> Option<&RateLimitFields> {
        self.rate_limit.as_ref()
    }

    /// The edge starts to connect to 8sens, or takes a pooled connection. A resend does not move the start.
    pub fn upstream_started(&mut self, now: Now) {
        self.at.upstream_started.get_or_insert(now.mono);
        self.at.sent = Some(now.mono);
    }

    /// The request goes out to 8sens: it counts, whatever comes of it.
    pub fn upstream_connected(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            reservation.commit();
        }
    }

    /// No connection came about: what was reserved is given back, before the caller is told and may ask again.
    pub fn upstream_failed(&mut self) {
        self.reservation = None;
    }

    /// Request body bytes came from the caller. Over the limit the request ends, whatever it announced.
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

    /// 8sens's final response head came.
    pub fn response_head(&mut self, status: u16, now: Now) {
        self.status = Some(status);
        self.at.upstream_head = Some(now.mono);
        if self.is_login {
            self.login_head(status, now);
        } else {
            self.session_head(status, now);
        }
    }

    fn login_head(&mut self, status: u16, now: Now) {
        self.login = Some(LoginOutcome::of_status(status));
        if (200..300).contains(&status) {
            self.reading = Reading::Login(Vec::new());
        } else if matches!(status, 401 | 403) {
            self.tables.expiries().login_refused(now.mono);
        }
    }

    /// An answered request keeps its session alive from the moment it was sent, unless the answer says that the session
    /// is over.
    fn session_head(&mut self, status: u16, now: Now) {
        let Some(session) = self.session else { return };
        match self.snapshot.session.expired_when.at_head(status) {
            AtHead::Expired => self.session_ended(session, now),
            AtHead::AskBody => self.reading = Reading::Expiry(Vec::new()),
            AtHead::Other => self.session_used(session),
        }
    }

    fn session_used(&self, session: SessionUse) {
        let (Some(sent), Some(consumer)) = (self.at.sent, &self.consumer) else { return };
        if self.tables.sessions.touch(&session.hash, session.caller, sent, &self.snapshot.session.limits) {
            self.tables.note_touch(session.hash, session.caller, consumer, sent);
        }
    }

    fn session_ended(&mut self, session: SessionUse, now: Now) {
        let ending = self.tables.expiries().expired(session.hash, session.caller.consumer(), now.mono);
        match ending {
            Ending::End => {
                self.tables.end(&session.hash, now);
            }
            Ending::Keep(crate::session::expiry::Alarm::LoginsRefused) => self.alarm = Some(Alarm::LoginsRefused),
            Ending::Keep(_) => self.alarm = Some(Alarm::MassExpiry),
        }
    }

    /// The response head is on its way to the caller.
    pub fn response_head_sent(&mut self, now: Now) {
        self.at.downstream_head = Some(now.mono);
    }

    /// A chunk of 8sens's answer came. A login answer is held until its session is in the table and written down.
    pub fn response_chunk(&mut self, chunk: &[u8], last: bool, now: Now) -> ChunkVerdict {
        self.bytes.sent = self.bytes.sent.saturating_add(chunk.len() as u64);
        if last {
            self.at.upstream_ended = Some(now.mono);
        }
        match &mut self.reading {
            Reading::Nothing => ChunkVerdict::Release,
            Reading::Login(answer) => {
                if answer.len() + chunk.len() > login_answer::MAX_BODY {
                    self.alarm = Some(Alarm::LoginNotUnderstood);
                    self.reading = Reading::Nothing;
                    return ChunkVerdict::Release;
                }
                answer.extend_from_slice(chunk);
                if !last {
                    return ChunkVerdict::Hold;
                }
                let answer = std::mem::take(answer);
                self.learn(&answer, now);
                self.reading = Reading::Nothing;
                ChunkVerdict::Release
            }
            Reading::Expiry(prefix) => {
                let room = BODY_PREFIX - prefix.len();
                prefix.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if last || prefix.len() == BODY_PREFIX {
                    let prefix = std::mem::take(prefix);
                    self.reading = Reading::Nothing;
                    self.session_body(&prefix, now);
                }
                ChunkVerdict::Release
            }
        }
    }

    fn session_body(&mut self, prefix: &[u8], now: Now) {
        let (Some(session), Some(status)) = (self.session, self.status) else { return };
        if self.snapshot.session.expired_when.matches(status, prefix) {
            self.session_ended(session, now);
        } else {
            self.session_used(session);
        }
    }

    /// Puts the token of a login answer into the table, for the consumer whose login it was.
    fn learn(&mut self, answer: &[u8], now: Now) {
        let (Some(status), Some(sent), Some(consumer), Some(credential)) =
            (self.status, self.at.sent, self.consumer.clone(), self.key_id.clone())
        else {
            return;
        };
        let Ok(token) = login_answer::token(status, answer) else {
            // A refused login may well be answered with success and an error inside.
            self.tables.expiries().login_refused(now.mono);
            self.alarm = Some(Alarm::LoginNotUnderstood);
            return;
        };
        self.login = Some(LoginOutcome::Accepted);
        self.tables.expiries().login_accepted();
        let hash = self.tables.sessions.hash(token.expose_secret().as_bytes());
        let Some(caller) = self.tables.sessions.caller(&consumer, &credential) else { return };
        let at = now;
        match self.tables.sessions.learn(hash, caller, sent, &self.snapshot.session.limits) {
            Learned::Full => self.alarm = Some(Alarm::SessionsFull),
            Learned::Gone => {}
            learned => {
                self.learned = Some(hash);
                if let Learned::New { evicted } | Learned::Shared { evicted, .. } = &learned {
                    for given_up in &evicted.longest_idle {
                        let consumer = Arc::clone(&consumer);
                        self.tables.note(&JournalRecord::EndOwner { at, hash: *given_up, consumer });
                    }
                    if let Some(displaced) = &evicted.displaced {
                        let consumer = Arc::clone(displaced);
                        self.tables.note(&JournalRecord::EndOwner { at, hash, consumer });
                    }
                }
                if matches!(learned, Learned::Shared { .. }) {
                    self.alarm = Some(Alarm::TokenShared);
                }
                self.tables.note(&JournalRecord::Learn { at, idle: now.mono.since(sent), hash, consumer, credential });
            }
        }
    }

    /// Ends the exchange.
    #[must_use]
    pub fn finish(self, outcome: Outcome, now: Now) -> Record {
        let end = now.mono;
        let (status, code, reason) = match outcome {
            Outcome::Answered { status } => (Some(status), EndCode::Ok, None),
            Outcome::Denied(denial) => (Some(denial.code.status()), EndCode::Denied(denial.code), denial.reason),
            Outcome::CutOff(denial) => (None, EndCode::Denied(denial.code), denial.reason),
            Outcome::CallerLeft { status } => (status, EndCode::CallerLeft, None),
            Outcome::Aborted { status } => (status, EndCode::Aborted, None),
        };
        let own = match (self.at.upstream_started, self.at.upstream_head, self.at.downstream_head) {
            (None, ..) => end.since(self.began.mono),
            (Some(started), Some(head), Some(sent)) => started.since(self.began.mono) + sent.since(head),
            (Some(started), ..) => started.since(self.began.mono),
        };
        Record {
            request_id: self.request_id,
            wall: self.began.wall,
            consumer: self.consumer,
            key_id: self.key_id,
            client_ip: self.client.address,
            client_ip_unreadable: self.client.unreadable,
            http: self.http,
            method: self.method,
            path: self.path,
            route: self.route,
            status,
            code,
            reason,
            would_refuse: self.would_refuse,
            token_place: self.token_place,
            alarm: self.alarm,
            login: self.login.or((self.is_login && self.at.upstream_started.is_some()).then_some(LoginOutcome::Failed)),
            key_first_used: self.key_first_used,
            learned: self.learned,
            bytes: self.bytes,
            total: end.since(self.began.mono),
            upstream: self.at.upstream_started.map(|start| self.at.upstream_ended.unwrap_or(end).since(start)),
            own,
        }
    }
}

fn rate_limit_fields(buckets: &Buckets, now: Now) -> Option<RateLimitFields> {
    let service = buckets.service(now.mono)?;
    Some(RateLimitFields { policy: service.policy_value(), limit: service.limit_value() })
}

/// The fields that the connection options name and that would go on otherwise (RFC 9110 section 7.6.1). Those that
/// decide anything were refused, and those of every connection go no further anyway.
fn of_connection(table: &FieldTable, request: &RequestView<'_>) -> Vec<Box<[u8]>> {
    let unknown = request.connection_options().filter(|option| table.role(option).is_none());
    let mut names: Vec<Box<[u8]>> = unknown.map(|option| option.to_ascii_lowercase().into()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The source values of the client IP. Where there were more than the view keeps, one that cannot be read precedes
/// them.
fn kept<'v, 'a, const N: usize>(
    values: &'v crate::request::Values<'a, N>,
) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'v, 'a, N> {
    let overflow: Option<&'a [u8]> = values.is_incomplete().then_some(b"too many");
    overflow.into_iter().chain(values.iter())
}

fn clipped(bytes: &[u8], max: usize) -> Box<[u8]> {
    bytes[..bytes.len().min(max)].into()
}

/// The target with its path in normal form, and without `access_token` parameters when 8sens does not read the token
/// there.
fn forwarded_target(request: &RequestView<'_>, token_from: &[TokenPlace]) -> Target {
    let query = request.query();
    let drops_tokens = !token_from.contains(&TokenPlace::AccessTokenQuery);
    let drops_tokens = drops_tokens && query.is_some_and(policy::token::is_in_query);
    if !drops_tokens && request.normal_path().map_or(true, NormalPath::is_as_received) {
        return Target::AsReceived;
    }
    let mut target = request.path().to_vec();
    let Some(query) = query else { return Target::Rewritten(target.into()) };
    if drops_tokens {
        let mut separator = b'?';
        for pair in query.split(|b| *b == b'&').filter(|pair| !policy::token::is_in_query(pair)) {
            target.push(separator);
            target.extend_from_slice(pair);
            separator = b'&';
        }
    } else {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    Target::Rewritten(target.into())
}

/// True when a request body may follow the head.
#[must_use]
pub const fn has_body(framing: Framing) -> bool {
    !matches!(framing, Framing::None | Framing::Length(0))
}
