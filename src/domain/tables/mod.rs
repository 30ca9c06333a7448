//! What outlives a configuration: sessions, limits, and what is known of 8sens's expiries.
//!
//! Everything here is keyed by the names of the configuration, never by their position in it, so a reload keeps it.
//! Shared by all threads; every call is short and none waits.

pub mod key_use;

use crate::domain::limit::{Budgets, Limiter};
use crate::domain::rules::consumer::Consumer;
use crate::domain::rules::snapshot::{SessionMode, Snapshot};
use crate::domain::session::expiry::ExpiryGuard;
use crate::domain::session::log_record::LogRecord;
use crate::domain::session::managed::{Accounts, Live, Member};
use crate::domain::session::unfamiliar::UnfamiliarTokens;
use crate::domain::session::{CallerId, EndedByHash, HashPrefix, SessionHash, SessionTable};
use crate::domain::tables::key_use::KeyUses;
use crate::domain::types::{Mono, Now};
use ahash::AHashMap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Most touched sessions that wait to be written down. Those beyond it come back after a restart with less time than
/// they had.
const MAX_TOUCHED: usize = 100_000;

/// Records what happens to sessions, before the caller learns of it. An edge writes it to a file; it must not wait for
/// long.
pub trait Journal: Send + Sync + fmt::Debug {
    fn append(&self, record: &LogRecord);
}

/// Uses that wait to be written down: whose, by what name, and when they were sent.
type Touched = HashMap<(SessionHash, CallerId), (Arc<str>, Mono)>;

/// All tables of one gate.
#[derive(Debug)]
pub struct Tables {
    pub limiter: Limiter,
    pub sessions: SessionTable,
    pub unfamiliar: UnfamiliarTokens,
    /// Sessions that the gate keeps itself.
    pub accounts: Accounts,
    /// When each key was last accepted.
    pub key_uses: Arc<KeyUses>,
    expiries: Mutex<ExpiryGuard>,
    touched: Mutex<Touched>,
    journal: Box<dyn Journal>,
}

impl Tables {
    /// Empty tables that admit the consumers of `snapshot`.
    #[must_use]
    pub fn new(secret: &Zeroizing<[u8; 32]>, snapshot: &Snapshot, journal: Box<dyn Journal>, now: Now) -> Self {
        let tables = Self {
            limiter: Limiter::new(&budgets(snapshot), Limiter::ADDRESS_SLOTS),
            sessions: SessionTable::new(secret),
            unfamiliar: UnfamiliarTokens::new(now.mono, snapshot.session.limits.idle_timeout),
            accounts: Accounts::default(),
            key_uses: Arc::default(),
            expiries: Mutex::default(),
            touched: Mutex::default(),
            journal,
        };
        tables.adopt(snapshot, now);
        tables
    }

    /// Makes the tables follow a configuration, before it comes into force: consumers and credentials that left lose
    /// their sessions. What comes back are the sessions that the gate kept for them, of which 8sens may be told.
    pub fn adopt(&self, snapshot: &Snapshot, now: Now) -> Vec<Arc<Live>> {
        let consumers = snapshot.consumers.iter().map(|consumer| {
            let enabled = consumer.credentials.iter().filter(|credential| credential.enabled);
            (consumer.name.as_ref(), enabled.map(|credential| credential.id.as_ref()))
        });
        for departed in self.sessions.set_consumers(consumers) {
            let at = now;
            let consumer = departed.consumer;
            self.journal.append(&match departed.credential {
                Some(credential) => LogRecord::RevokeCredential { at, consumer, credential },
                None => LogRecord::RevokeConsumer { at, consumer },
            });
        }
        self.key_uses.adopt(&snapshot.consumers);
        self.limiter.set_budgets(&budgets(snapshot), now.mono);
        self.limiter.logins.retain(snapshot.consumers.iter().flat_map(|consumer| {
            consumer.credentials.iter().map(|credential| (consumer.name.as_ref(), credential.id.as_ref()))
        }));
        let consumers: AHashMap<&str, &Consumer> =
            snapshot.consumers.iter().map(|consumer| (consumer.name.as_ref(), consumer)).collect();
        self.limiter.retain(|name, rule| {
            consumers.get(name).is_some_and(|consumer| {
                let has = |rule: &str| consumer.route_limits.iter().any(|(limited, _)| limited.as_str() == rule);
                rule.is_none_or(has)
            })
        });
        self.accounts.adopt(managed(snapshot))
    }

    /// Writes down what happened to a session.
    pub fn note(&self, record: &LogRecord) {
        self.journal.append(record);
    }

    /// Remembers that a session was used, for the next time that touches are written down.
    pub fn note_touch(&self, hash: SessionHash, caller: CallerId, consumer: &Arc<str>, sent_at: Mono) {
        let mut touched = self.touched.lock();
        if touched.len() < MAX_TOUCHED || touched.contains_key(&(hash, caller)) {
            touched.insert((hash, caller), (Arc::clone(consumer), sent_at));
        }
    }

    /// Writes down every use since the last call.
    pub fn flush_touches(&self, now: Now) {
        let touched = std::mem::take(&mut *self.touched.lock());
        for ((hash, _), (consumer, sent_at)) in touched {
            self.journal.append(&LogRecord::Touch { at: now, idle: now.mono.since(sent_at), hash, consumer });
        }
    }

    /// Ends one session for all its owners.
    pub fn end(&self, hash: &SessionHash, at: Now) -> usize {
        let owners = self.sessions.end(hash);
        if owners > 0 {
            self.journal.append(&LogRecord::End { at, hash: *hash });
        }
        owners
    }

    /// Ends the one session whose hash begins like this.
    pub fn end_by_hash(&self, prefix: &HashPrefix, at: Now) -> EndedByHash {
        let ended = self.sessions.end_by_hash(prefix);
        if let EndedByHash::Ended { hash, .. } = ended {
            self.journal.append(&LogRecord::End { at, hash });
        }
        ended
    }

    /// Ends the sessions of one consumer.
    pub fn end_consumer(&self, consumer: &str, at: Now) -> usize {
        let ended = self.sessions.end_consumer(consumer);
        self.journal.append(&LogRecord::RevokeConsumer { at, consumer: consumer.into() });
        ended
    }

    /// Ends every session.
    pub fn clear(&self, at: Now) -> usize {
        let ended = self.sessions.clear();
        self.journal.append(&LogRecord::Clear { at });
        ended
    }

    /// What is known of 8sens's expiries, locked.
    pub fn expiries(&self) -> parking_lot::MutexGuard<'_, ExpiryGuard> {
        self.expiries.lock()
    }
}

/// The consumers for which the gate keeps sessions.
fn managed(snapshot: &Snapshot) -> impl Iterator<Item = Member> {
    let rules = &snapshot.session;
    snapshot.consumers.iter().filter(|consumer| rules.mode_of(consumer) == SessionMode::Managed).filter_map(
        |consumer| {
            let login = Arc::clone(consumer.login.as_ref()?);
            Some(Member { consumer: Arc::clone(&consumer.name), login, is_shared: rules.share_login })
        },
    )
}

fn budgets(snapshot: &Snapshot) -> Budgets {
    let rules = &snapshot.budgets;
    Budgets {
        address: rules.address,
        failed_credentials: rules.failed_credentials,
        failed_tokens: rules.failed_tokens,
        logins: rules.logins,
    }
}

/// A journal that forgets, for gates without a state directory and for tests.
#[derive(Clone, Copy, Debug)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn append(&self, _record: &LogRecord) {}
}
