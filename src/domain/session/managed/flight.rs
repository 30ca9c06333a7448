//! One login under way: whoever carries it owns it, and whoever waits for it does not.

use super::account::{Account, Begun};
use super::life::{Cause, Failure};
use super::live::Live;
use crate::domain::rules::login::Login;
use crate::domain::session::limits::SessionLimits;
use crate::domain::types::Mono;
use secrecy::SecretString;
use std::sync::Arc;

/// The one login of an account that is under way. Dropped without an end, it counts as one that 8sens did not answer.
#[derive(Debug)]
pub struct Flight {
    account: Arc<Account>,
    begun: Begun,
    has_ended: bool,
}

/// What became of a token that 8sens handed out.
#[derive(Debug)]
pub enum Landed {
    /// It is in use.
    Kept,
    /// Nobody uses the account any more: 8sens may be told so.
    Unwanted(SecretString),
}

impl Flight {
    /// Begins the login that is needed; `None` when none is, or one is under way, or it is too early for one.
    #[must_use]
    pub fn begin(account: &Arc<Account>, limits: &SessionLimits, now: Mono) -> Option<Self> {
        let begun = account.begin(limits, now)?;
        Some(Self { account: Arc::clone(account), begun, has_ended: false })
    }

    #[must_use]
    pub const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// What is sent to 8sens.
    #[must_use]
    pub const fn login(&self) -> &Arc<Login> {
        &self.begun.login
    }

    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.begun.generation
    }

    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.begun.cause
    }

    /// The token that is succeeded: where 8sens may end it at the new login, nothing should be on its way with it.
    #[must_use]
    pub const fn old(&self) -> Option<&Arc<Live>> {
        self.begun.old.as_ref()
    }

    /// Whether the login is still needed, asked once nothing is on its way with the old token: what was, may have kept
    /// the session alive, and then the flight is over.
    pub fn is_needed(&mut self, limits: &SessionLimits, now: Mono) -> bool {
        let is_alive = self.old().is_some_and(|old| old.idle(now) < limits.live());
        let is_over = is_alive && self.account.call_off(&self.begun);
        self.has_ended |= is_over;
        !is_over
    }

    /// 8sens handed out a token, to a login that was sent at `sent`.
    pub fn succeeded(mut self, token: SecretString, sent: Mono, now: Mono) -> Landed {
        self.has_ended = true;
        self.account.succeeded(&self.begun, token, sent, now).map_or(Landed::Kept, Landed::Unwanted)
    }

    /// It did not.
    pub fn failed(mut self, failure: Failure) {
        self.has_ended = true;
        self.account.failed(&self.begun, failure);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.has_ended {
            self.account.failed(&self.begun, Failure::Unreachable);
        }
    }
}
