//! The accounts of all consumers whose sessions the gate keeps.

use super::account::{Account, AccountKey, Kept};
use super::live::Live;
use crate::domain::rules::login::Login;
use crate::domain::session::limits::SessionLimits;
use crate::domain::types::Mono;
use ahash::AHashMap;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A consumer whose sessions the gate keeps, as the configuration has it.
#[derive(Clone, Debug)]
pub struct Member {
    pub consumer: Arc<str>,
    pub login: Arc<Login>,
    /// Whether all consumers of this login name have one account.
    pub is_shared: bool,
}

/// Accounts by the names of their consumers, so that a reload keeps them.
#[derive(Debug, Default)]
pub struct Accounts {
    by_consumer: ArcSwap<AHashMap<Arc<str>, Arc<Account>>>,
    /// A session began or ended since [`Self::take_changed`] was asked.
    is_changed: AtomicBool,
}

impl Accounts {
    /// The account of a consumer; `None` when the gate keeps no session for it.
    #[must_use]
    pub fn of(&self, consumer: &str) -> Option<Arc<Account>> {
        self.by_consumer.load().get(consumer).map(Arc::clone)
    }

    /// Follows a configuration. What comes back are the tokens of accounts that nobody uses any more.
    #[must_use]
    pub fn adopt(&self, members: impl IntoIterator<Item = Member>) -> Vec<Arc<Live>> {
        let before = self.by_consumer.load_full();
        let mut known: AHashMap<&AccountKey, &Arc<Account>> = AHashMap::new();
        for account in before.values() {
            known.insert(account.key(), account);
        }
        let mut after: AHashMap<Arc<str>, Arc<Account>> = AHashMap::new();
        let mut made: AHashMap<AccountKey, Arc<Account>> = AHashMap::new();
        for member in members {
            let key = AccountKey::new(&member.login, &member.consumer, member.is_shared);
            let account = made.entry(key.clone()).or_insert_with(|| match known.remove(&key) {
                Some(account) => {
                    account.set_login(&member.login);
                    Arc::clone(account)
                }
                None => Arc::new(Account::new(key, Arc::clone(&member.login))),
            });
            after.insert(member.consumer, Arc::clone(account));
        }
        let left = known.into_values().cloned().collect::<Vec<_>>();
        self.by_consumer.store(Arc::new(after));
        left.iter().filter_map(|account| account.leave()).collect()
    }

    /// Every account once, with the names of its consumers in order.
    #[must_use]
    pub fn all(&self) -> Vec<(Arc<Account>, Vec<Arc<str>>)> {
        let mut names: AHashMap<AccountKey, (Arc<Account>, Vec<Arc<str>>)> = AHashMap::new();
        for (consumer, account) in self.by_consumer.load().iter() {
            let entry = names.entry(account.key().clone()).or_insert_with(|| (Arc::clone(account), Vec::new()));
            entry.1.push(Arc::clone(consumer));
        }
        let mut all: Vec<_> = names.into_values().collect();
        all.iter_mut().for_each(|(_, consumers)| consumers.sort());
        all.sort_by(|(_, a), (_, b)| a.cmp(b));
        all
    }

    /// What is kept across a restart is to be written anew.
    pub fn set_changed(&self) {
        self.is_changed.store(true, Ordering::Relaxed);
    }

    /// Whether it is, since the last time this was asked.
    pub fn take_changed(&self) -> bool {
        self.is_changed.swap(false, Ordering::Relaxed)
    }

    /// What has to be kept across a restart.
    #[must_use]
    pub fn kept(&self, now: Mono) -> Vec<Kept> {
        self.all().into_iter().filter_map(|(account, _)| account.kept(now)).collect()
    }

    /// Takes over the sessions of before a restart that still hold, and says how many.
    pub fn restore(&self, kept: Vec<Kept>, limits: &SessionLimits, now: Mono) -> usize {
        let all = self.all();
        let mut restored = 0;
        for session in kept.into_iter().filter(|session| session.idle < limits.live()) {
            if let Some((account, _)) = all.iter().find(|(account, _)| *account.key() == session.key) {
                account.restore(session, now);
                restored += 1;
            }
        }
        restored
    }
}
