//! Which accounts are locked after wrong passwords. That 8sens locks any is our assumption.

use super::settings::SandboxSettings;
use crate::domain::types::Mono;
use std::collections::HashMap;
use std::time::Duration;

/// The wrong passwords of each user. Only users of the base are in it.
pub(super) struct Accounts {
    /// So many in a row lock; 0 is never.
    lock_after: u32,
    lock_time: Duration,
    failures: HashMap<u32, Failures>,
}

#[derive(Default)]
struct Failures {
    in_a_row: u32,
    locked: Option<Mono>,
}

impl Accounts {
    pub(super) fn new(settings: &SandboxSettings) -> Self {
        Self { lock_after: settings.lock_after, lock_time: settings.lock_time, failures: HashMap::new() }
    }

    pub(super) fn is_locked(&self, user: u32, now: Mono) -> bool {
        let locked = self.failures.get(&user).and_then(|failures| failures.locked);
        locked.is_some_and(|since| now.since(since) < self.lock_time)
    }

    /// Counts a wrong password of a user that is not locked.
    pub(super) fn failed(&mut self, user: u32, now: Mono) {
        let failures = self.failures.entry(user).or_default();
        failures.in_a_row += 1;
        if self.lock_after > 0 && failures.in_a_row >= self.lock_after {
            *failures = Failures { in_a_row: 0, locked: Some(now) };
        }
    }

    pub(super) fn succeeded(&mut self, user: u32) {
        self.failures.remove(&user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    fn accounts(lock_after: u32) -> Accounts {
        let lock_time = Duration::from_secs(60);
        Accounts::new(&SandboxSettings { lock_after, lock_time, ..SandboxSettings::example() })
    }

    #[test]
    fn so_many_in_a_row_lock_for_a_while() {
        let mut accounts = accounts(3);
        accounts.failed(7, at(0));
        accounts.failed(7, at(0));
        accounts.succeeded(7);
        accounts.failed(7, at(1));
        accounts.failed(7, at(1));
        assert!(!accounts.is_locked(7, at(1)));
        accounts.failed(7, at(2));
        assert!(accounts.is_locked(7, at(61)) && !accounts.is_locked(6, at(2)));
        assert!(!accounts.is_locked(7, at(62)));
        accounts.failed(7, at(62));
        assert!(!accounts.is_locked(7, at(62)), "counting starts anew");
    }

    #[test]
    fn zero_never_locks() {
        let mut accounts = accounts(0);
        (0..1_000).for_each(|second| accounts.failed(7, at(second)));
        assert!(!accounts.is_locked(7, at(1_000)));
    }
}
