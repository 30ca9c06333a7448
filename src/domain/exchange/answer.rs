//! 8sens's answer as it comes: what it says of a login or of a session, and what of it is held back.

use super::errand::{Identity, ManagedUse, Purpose};
use super::record::Alarm;
use crate::domain::policy::session::SessionUse;
use crate::domain::rules::snapshot::Snapshot;
use crate::domain::session::expiry::{self, AtHead, BODY_PREFIX, Ending};
use crate::domain::session::log_record::LogRecord;
use crate::domain::session::managed::Expiry;
use crate::domain::session::{Learned, LoginOutcome, SessionHash, login_answer};
use crate::domain::tables::Tables;
use crate::domain::types::{Mono, Now};
use secrecy::ExposeSecret;
use std::sync::Arc;

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

/// What an answer is read for: whose request it answers, and when that was sent.
pub(super) struct Question<'e> {
    pub snapshot: &'e Snapshot,
    pub tables: &'e Tables,
    pub owner: &'e Identity,
    pub purpose: Purpose,
    /// There for [`Purpose::Managed`].
    pub managed: Option<&'e ManagedUse>,
    pub sent: Mono,
}

/// What the body of an answer is kept for.
#[derive(Debug)]
enum Reading {
    Nothing,
    /// A login answer, held until its session is in the table.
    Login(Vec<u8>),
    /// The beginning of an answer that may say "expired".
    Expiry(Vec<u8>, Used),
}

/// Whose session an answer is about.
#[derive(Clone, Copy, Debug)]
enum Used {
    Own(SessionUse),
    /// The one that the gate keeps.
    Managed,
}

/// An answer of which the head has come.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub came: Mono,
    /// When its head went on to the caller.
    pub passed_on: Option<Mono>,
    pub ended: Option<Mono>,
    pub login: Option<LoginOutcome>,
    pub learned: Option<SessionHash>,
    /// What an admin has to look at because of it.
    pub alarm: Option<Alarm>,
    reading: Reading,
}

impl Answer {
    /// Takes the head of an answer: it keeps a session alive, ends it, or opens a body that has to be read.
    pub(super) fn begin(question: &Question<'_>, status: u16, now: Now) -> Self {
        let mut answer = Self {
            status,
            came: now.mono,
            passed_on: None,
            ended: None,
            login: None,
            learned: None,
            alarm: None,
            reading: Reading::Nothing,
        };
        match question.purpose {
            Purpose::Login(_) => answer.login_head(question, now),
            Purpose::Session(session) => answer.session_head(question, Used::Own(session), now),
            Purpose::Managed => answer.session_head(question, Used::Managed, now),
            Purpose::Other => {}
        }
        answer
    }

    /// Takes a chunk of the body. A login answer is held until its session is in the table and written down.
    pub(super) fn chunk(&mut self, question: &Question<'_>, chunk: &[u8], last: bool, now: Now) -> ChunkVerdict {
        if last {
            self.ended = Some(now.mono);
        }
        match &mut self.reading {
            Reading::Nothing => ChunkVerdict::Release,
            Reading::Login(body) => {
                if body.len() + chunk.len() > login_answer::MAX_BODY {
                    if self.is_success() {
                        self.alarm = Some(Alarm::LoginNotUnderstood);
                    }
                    self.reading = Reading::Nothing;
                    return ChunkVerdict::Release;
                }
                body.extend_from_slice(chunk);
                if !last {
                    return ChunkVerdict::Hold;
                }
                let body = std::mem::take(body);
                self.reading = Reading::Nothing;
                self.learn(question, &body, now);
                ChunkVerdict::Release
            }
            Reading::Expiry(prefix, session) => {
                let (session, room) = (*session, BODY_PREFIX - prefix.len());
                prefix.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if last || prefix.len() == BODY_PREFIX {
                    let prefix = std::mem::take(prefix);
                    self.reading = Reading::Nothing;
                    self.session_body(question, session, &prefix, now);
                }
                ChunkVerdict::Release
            }
        }
    }

    /// What came of a login, once the answer has told all that it can.
    pub(super) const fn login_outcome(&self) -> Option<LoginOutcome> {
        if matches!(self.reading, Reading::Login(_)) { None } else { self.login }
    }

    const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    fn login_head(&mut self, question: &Question<'_>, now: Now) {
        let outcome = LoginOutcome::of_status(self.status);
        let said = question.snapshot.login.failed_when.at_head(self.status);
        self.login = Some(if said == AtHead::Expired { LoginOutcome::Refused } else { outcome });
        if said == AtHead::AskBody || (said == AtHead::Other && self.is_success()) {
            self.reading = Reading::Login(Vec::new());
        } else if said == AtHead::Expired || matches!(self.status, 401 | 403) {
            question.tables.expiries().login_refused(now.mono);
        }
    }

    /// An answered request keeps its session alive from the moment it was sent, unless the answer says that the session
    /// is over.
    fn session_head(&mut self, question: &Question<'_>, session: Used, now: Now) {
        match question.snapshot.session.expired_when.at_head(self.status) {
            AtHead::Expired => self.session_ended(question, session, now),
            AtHead::AskBody => self.reading = Reading::Expiry(Vec::new(), session),
            AtHead::Other => session_used(question, session),
        }
    }

    fn session_body(&mut self, question: &Question<'_>, session: Used, prefix: &[u8], now: Now) {
        if question.snapshot.session.expired_when.matches(self.status, prefix) {
            self.session_ended(question, session, now);
        } else {
            session_used(question, session);
        }
    }

    fn session_ended(&mut self, question: &Question<'_>, session: Used, now: Now) {
        let session = match session {
            Used::Own(session) => session,
            Used::Managed => return self.managed_session_ended(question, now),
        };
        let ending = question.tables.expiries().expired(session.hash, session.caller.consumer(), now.mono);
        match ending {
            Ending::End => {
                question.tables.end(&session.hash, now);
            }
            Ending::Keep(expiry::Alarm::LoginsRefused) => self.alarm = Some(Alarm::LoginsRefused),
            Ending::Keep(_) => self.alarm = Some(Alarm::MassExpiry),
        }
    }

    /// A session that the gate keeps ends for everybody who uses it, unless that is doubted.
    fn managed_session_ended(&mut self, question: &Question<'_>, now: Now) {
        let Some(ManagedUse { account, lease: Some(lease) }) = question.managed else { return };
        match account.expired(lease.generation(), &question.snapshot.session.limits, now.mono) {
            Expiry::Ended => question.tables.accounts.set_changed(),
            Expiry::Doubted => self.alarm = Some(Alarm::ExpiryDoubted),
            Expiry::OfOldToken => {}
        }
    }

    /// Puts the token of a login answer into the table, for the consumer whose login it was.
    fn learn(&mut self, question: &Question<'_>, body: &[u8], now: Now) {
        let tables = question.tables;
        let is_refused = question.snapshot.login.failed_when.matches(self.status, body);
        if is_refused {
            self.login = Some(LoginOutcome::Refused);
        }
        if is_refused || matches!(self.status, 401 | 403) {
            tables.expiries().login_refused(now.mono);
            return;
        }
        if !self.is_success() {
            return;
        }
        let Ok(token) = login_answer::token(self.status, body) else {
            // A refused login may well be answered with success and an error inside.
            tables.expiries().login_refused(now.mono);
            self.alarm = Some(Alarm::LoginNotUnderstood);
            return;
        };
        self.login = Some(LoginOutcome::Accepted);
        tables.expiries().login_accepted();
        let hash = tables.sessions.hash(token.expose_secret().as_bytes());
        let Identity { consumer, key_id, .. } = question.owner;
        let Purpose::Login(Some(caller)) = question.purpose else { return };
        // Revoked meanwhile; who has the name and the key again is somebody new.
        if tables.sessions.caller(consumer, key_id) != Some(caller) {
            return;
        }
        match tables.sessions.learn(hash, caller, question.sent, &question.snapshot.session.limits) {
            Learned::Full => self.alarm = Some(Alarm::SessionsFull),
            Learned::Gone => {}
            learned => {
                self.learned = Some(hash);
                note_evicted(tables, &learned, hash, consumer, now);
                if matches!(learned, Learned::Shared { .. }) {
                    self.alarm = Some(Alarm::TokenShared);
                }
                let idle = now.mono.since(question.sent);
                let (consumer, credential) = (Arc::clone(consumer), Arc::clone(key_id));
                tables.note(&LogRecord::Learn { at: now, idle, hash, consumer, credential });
            }
        }
    }
}

fn session_used(question: &Question<'_>, session: Used) {
    let session = match session {
        Used::Own(session) => session,
        Used::Managed => {
            let lease = question.managed.and_then(|managed| managed.lease.as_ref());
            return lease.iter().for_each(|lease| lease.answered(question.sent));
        }
    };
    let (tables, sent) = (question.tables, question.sent);
    if tables.sessions.touch(&session.hash, session.caller, sent, &question.snapshot.session.limits) {
        tables.note_touch(session.hash, session.caller, &question.owner.consumer, sent);
    }
}

/// Writes down who lost an entry in the table to the new session.
fn note_evicted(tables: &Tables, learned: &Learned, hash: SessionHash, consumer: &Arc<str>, at: Now) {
    let (Learned::New { evicted } | Learned::Shared { evicted, .. }) = learned else { return };
    for given_up in &evicted.longest_idle {
        tables.note(&LogRecord::EndOwner { at, hash: *given_up, consumer: Arc::clone(consumer) });
    }
    if let Some(displaced) = &evicted.displaced {
        tables.note(&LogRecord::EndOwner { at, hash, consumer: Arc::clone(displaced) });
    }
}
