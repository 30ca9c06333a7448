//! One login at 8sens in the name of one consumer, or of all that share it.

use super::life::{Cause, Failure, Life};
use super::live::{Lease, Live};
use crate::domain::rules::login::Login;
use crate::domain::session::limits::SessionLimits;
use crate::domain::types::Mono;
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// Whose account it is. Two login names never have one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AccountKey {
    user: Arc<str>,
    /// `None` when consumers share it.
    consumer: Option<Arc<str>>,
}

impl AccountKey {
    /// The account of one consumer, or of all with this login name.
    #[must_use]
    pub fn new(login: &Login, consumer: &Arc<str>, is_shared: bool) -> Self {
        Self { user: login.user().expose_secret().into(), consumer: (!is_shared).then(|| Arc::clone(consumer)) }
    }

    /// The account that had these parts before a restart.
    #[must_use]
    pub fn from_parts(user: &str, consumer: Option<&str>) -> Self {
        Self { user: user.into(), consumer: consumer.map(Into::into) }
    }

    /// Its parts, for who keeps it across a restart.
    #[must_use]
    pub fn parts(&self) -> (&str, Option<&str>) {
        (&self.user, self.consumer.as_deref())
    }

    /// A number that tells accounts apart most of the time.
    fn spread(&self) -> u64 {
        let mut hasher = ahash::AHasher::default();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// Never shows the login name.
impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccountKey").field(&self.consumer).finish()
    }
}

/// What a request gets that wants a token.
#[derive(Debug)]
pub enum Taken {
    Use(Lease),
    /// A login is needed or under way: look again when it has ended.
    Wait,
    /// There is none, and 8sens is not to be asked now.
    Held(Held),
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// When there may be one.
    pub retry_after: Duration,
    /// `None` when the account is gone: a reload took it away while the request waited.
    pub why: Option<Failure>,
}

/// What an answer "expired" did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It was about a token that is not used any more.
    OfOldToken,
    /// The session is over; the next request logs in.
    Ended,
    /// By our clock the session has time left, and it was ended like this a moment ago: it stays.
    Doubted,
}

/// An account as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub generation: u64,
    /// Time since its login; `None` without a session.
    pub age: Option<Duration>,
    /// How long the session lives without use; zero without one.
    pub idle_left: Duration,
    pub is_logging_in: bool,
    /// Why 8sens is not asked at this moment, and for how long.
    pub held: Option<(Failure, Duration)>,
}

/// What has to be kept of a session across a restart.
#[derive(Debug)]
pub struct Kept {
    pub key: AccountKey,
    pub generation: u64,
    pub token: SecretString,
    pub age: Duration,
    pub idle: Duration,
}

/// One account. On the way of a request nothing is locked.
#[derive(Debug)]
pub struct Account {
    key: AccountKey,
    login: ArcSwap<Login>,
    live: ArcSwapOption<Live>,
    life: Mutex<Life>,
}

impl Account {
    pub(super) fn new(key: AccountKey, login: Arc<Login>) -> Self {
        Self { key, login: ArcSwap::new(login), live: ArcSwapOption::empty(), life: Mutex::default() }
    }

    #[must_use]
    pub const fn key(&self) -> &AccountKey {
        &self.key
    }

    /// The token for a request that is going to be sent at once.
    #[must_use]
    pub fn take(&self, limits: &SessionLimits, now: Mono) -> Taken {
        if let Some(live) = &*self.live.load()
            && live.idle(now) < limits.live()
            && let Some(lease) = live.lease()
        {
            return Taken::Use(lease);
        }
        self.take_otherwise(limits, now)
    }

    fn take_otherwise(&self, limits: &SessionLimits, now: Mono) -> Taken {
        let life = self.life.lock();
        if life.is_gone {
            return Taken::Held(Held { retry_after: Duration::from_secs(1), why: None });
        }
        if life.is_asking() {
            return Taken::Wait;
        }
        let live = self.live.load();
        let usable_for = |window: Duration| live.as_ref().filter(|live| live.idle(now) < window).and_then(Live::lease);
        if let Some(lease) = usable_for(limits.live()) {
            return Taken::Use(lease);
        }
        let Some(hold) = life.held(now) else { return Taken::Wait };
        // Half of the margin is left for its way to 8sens.
        match usable_for(limits.idle_timeout.saturating_sub(limits.margin / 2)) {
            Some(lease) => Taken::Use(lease),
            None => Taken::Held(Held { retry_after: hold.until.since(now), why: Some(hold.why) }),
        }
    }

    /// 8sens said that the token of this generation has expired.
    #[must_use]
    pub fn expired(&self, generation: u64, limits: &SessionLimits, now: Mono) -> Expiry {
        let mut life = self.life.lock();
        let live = self.live.load();
        let Some(live) = live.as_ref().filter(|live| live.generation() == generation) else {
            return Expiry::OfOldToken;
        };
        if !life.believes_expiry(live.idle(now) < limits.live(), now) {
            return Expiry::Doubted;
        }
        self.live.store(None);
        Expiry::Ended
    }

    /// Forgets the session, if there is one: the next request logs in.
    pub fn end(&self) -> Option<Arc<Live>> {
        let _life = self.life.lock();
        self.live.swap(None)
    }

    /// An admin wants another try with credentials that were refused.
    pub fn retry(&self) {
        self.life.lock().may_try_again();
    }

    #[must_use]
    pub fn view(&self, limits: &SessionLimits, now: Mono) -> View {
        let life = self.life.lock();
        let live = self.live.load();
        let live = live.as_ref();
        View {
            generation: live.map_or(life.generation(), |live| live.generation()),
            age: live.map(|live| live.age(now)),
            idle_left: live.map_or(Duration::ZERO, |live| limits.live().saturating_sub(live.idle(now))),
            is_logging_in: life.is_asking(),
            held: life.held(now).map(|hold| (hold.why, hold.until.since(now))),
        }
    }

    /// The session of this moment, for the next start; `None` without one.
    #[must_use]
    pub fn kept(&self, now: Mono) -> Option<Kept> {
        let live = self.live.load();
        let live = live.as_ref()?;
        Some(Kept {
            key: self.key.clone(),
            generation: live.generation(),
            token: live.token().clone(),
            age: live.age(now),
            idle: live.idle(now),
        })
    }

    /// Takes over a session of before a restart.
    pub(super) fn restore(&self, kept: Kept, now: Mono) {
        let mut life = self.life.lock();
        life.restored(kept.generation);
        let live = Live::new(kept.generation, kept.token, (kept.age, kept.idle), now);
        self.live.store(Some(Arc::new(live)));
    }

    /// Nobody uses the account any more: what is left of it is given back, for 8sens to be told.
    pub(super) fn leave(&self) -> Option<Arc<Live>> {
        let mut life = self.life.lock();
        life.is_gone = true;
        let live = self.live.swap(None);
        if let Some(live) = &live {
            live.retire();
        }
        live
    }

    /// Applies the credentials of a new configuration, for the next login.
    pub(super) fn set_login(&self, login: &Arc<Login>) {
        let mut life = self.life.lock();
        if *self.login.load_full() != **login {
            life.may_try_again();
            self.login.store(Arc::clone(login));
        }
    }

    /// A login begins: its generation, its cause, its credentials, and what it succeeds; `None` when none is needed, or
    /// one is under way, or it is too early for one.
    pub(super) fn begin(&self, limits: &SessionLimits, now: Mono) -> Option<Begun> {
        let mut life = self.life.lock();
        let old = self.live.load_full();
        if old.as_ref().is_some_and(|old| old.idle(now) < limits.live()) {
            return None;
        }
        let (generation, cause) = life.begin(old.is_some(), now)?;
        old.iter().for_each(|old| old.retire());
        Some(Begun { generation, cause, login: self.login.load_full(), began: now, old })
    }

    /// The login is not needed: what it would succeed is used on. False when that has ended meanwhile.
    pub(super) fn call_off(&self, begun: &Begun) -> bool {
        let mut life = self.life.lock();
        let live = self.live.load();
        let is_there = live.as_ref().zip(begun.old.as_ref()).is_some_and(|(live, old)| Arc::ptr_eq(live, old));
        if is_there {
            life.called_off();
            live.iter().for_each(|live| live.stay());
        }
        is_there
    }

    /// The login, sent at `sent`, brought a token; it is given back when nobody uses the account any more.
    pub(super) fn succeeded(&self, begun: &Begun, token: SecretString, sent: Mono, now: Mono) -> Option<SecretString> {
        let mut life = self.life.lock();
        life.succeeded();
        if life.is_gone {
            return Some(token);
        }
        let since = now.since(sent);
        self.live.store(Some(Arc::new(Live::new(begun.generation, token, (since, since), now))));
        None
    }

    /// The login brought nothing: what it would succeed is used on.
    pub(super) fn failed(&self, begun: &Begun, failure: Failure) {
        let mut life = self.life.lock();
        let is_changed = **self.login.load() != *begun.login;
        life.failed(failure, begun.began, self.key.spread(), is_changed);
        self.live.load().iter().for_each(|live| live.stay());
    }
}

/// A login that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub generation: u64,
    pub cause: Cause,
    pub login: Arc<Login>,
    pub began: Mono,
    pub old: Option<Arc<Live>>,
}
