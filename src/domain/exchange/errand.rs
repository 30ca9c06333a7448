//! What an admitted request is for, and in whose name: fixed from its admission to its end.

use crate::domain::denial::{Denial, Reason};
use crate::domain::policy::KeyOwner;
use crate::domain::policy::session::SessionUse;
use crate::domain::request::TokenPlace;
use crate::domain::rules::snapshot::{SessionMode, Snapshot};
use crate::domain::session::SessionLimits;
use crate::domain::session::managed::{Account, Held, Lease, Taken};
use crate::domain::session::{CallerId, Standing, managed};
use crate::domain::tables::Tables;
use crate::domain::types::{Now, Wall};
use std::sync::Arc;

/// Whose key came along.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub consumer: Arc<str>,
    pub key_id: Arc<str>,
    /// The first instant at which the key is no longer valid.
    expires: Option<Wall>,
}

impl Identity {
    pub(super) fn new(owner: KeyOwner<'_>) -> Self {
        Self {
            consumer: Arc::clone(&owner.consumer.name),
            key_id: Arc::clone(&owner.credential.id),
            expires: owner.credential.expires,
        }
    }

    /// What the session table knows them by; `None` once either was revoked.
    pub(super) fn caller_id(&self, tables: &Tables) -> Option<CallerId> {
        tables.sessions.caller(&self.consumer, &self.key_id)
    }
}

/// What the request does with sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its answer may bring a token, for whom the session table knew when it was admitted.
    Login(Option<CallerId>),
    /// It uses a live session of its consumer.
    Session(SessionUse),
    /// It uses the session that the gate keeps: [`Errand::managed`].
    Managed,
    /// Neither: a public route, or a token that is only observed.
    Other,
}

/// What an admitted request is for.
#[derive(Debug)]
pub(super) struct Errand {
    pub owner: Identity,
    /// The allowing rule as written in the configuration.
    pub route: Option<Arc<str>>,
    pub token_place: Option<TokenPlace>,
    /// What the gate does about tokens of this consumer.
    pub mode: SessionMode,
    pub purpose: Purpose,
    pub managed: Option<ManagedUse>,
}

/// The use of a session that the gate keeps.
#[derive(Debug)]
pub(super) struct ManagedUse {
    pub account: Arc<Account>,
    /// There once it has its token.
    pub lease: Option<Lease>,
}

impl ManagedUse {
    /// Takes the token for a request that is about to be sent, in place of one that it had before it waited. False when
    /// a login has to be waited for.
    fn take(&mut self, limits: &SessionLimits, now: Now) -> Result<bool, Denial> {
        self.lease = None;
        match self.account.take(limits, now.mono) {
            Taken::Use(lease) => self.lease = Some(lease),
            Taken::Wait => {}
            Taken::Held(Held { retry_after, why }) => {
                let reason = match why {
                    Some(managed::Failure::Unreachable) => Reason::LoginUnreachable,
                    Some(managed::Failure::Refused) => Reason::LoginRefused,
                    None => Reason::LoginWithdrawn,
                };
                return Err(Denial::because(reason).retry_after(retry_after));
            }
        }
        Ok(self.lease.is_some())
    }
}

impl Errand {
    /// Takes the token of the session that the gate keeps, where one is wanted. The account whose login has to be
    /// waited for, if one has.
    pub(super) fn take_token(&mut self, limits: &SessionLimits, now: Now) -> Result<Option<Arc<Account>>, Denial> {
        let Some(managed) = &mut self.managed else { return Ok(None) };
        let has_token = managed.take(limits, now)?;
        Ok((!has_token).then(|| Arc::clone(&managed.account)))
    }

    /// The token of the session that the gate keeps, once it was taken.
    pub(super) fn lease(&self) -> Option<&Lease> {
        self.managed.as_ref()?.lease.as_ref()
    }

    /// Asks again what may have changed while the request waited: its key may have expired or been revoked, its session
    /// may have ended. What it took of its quotas is still reserved.
    pub(super) fn recheck(
        &mut self,
        snapshot: &Snapshot,
        tables: &Tables,
        admitted_as: Option<CallerId>,
        now: Now,
    ) -> Result<(), Denial> {
        if self.owner.expires.is_some_and(|end| now.wall >= end) {
            return Err(Denial::because(Reason::KeyExpired));
        }
        // Another id is another consumer of the same name: this one was revoked in between.
        if admitted_as.is_none() || self.owner.caller_id(tables) != admitted_as {
            return Err(Denial::because(Reason::KeyRevokedWhileWaiting));
        }
        let Purpose::Session(session) = self.purpose else { return Ok(()) };
        let reason = match tables.sessions.check(&session.hash, session.caller, now.mono, &snapshot.session.limits) {
            Standing::Live => return Ok(()),
            Standing::Expired => Reason::TokenIdle,
            Standing::NotYours => Reason::TokenOfAnother,
            Standing::Unknown => Reason::SessionEndedWhileWaiting,
        };
        if self.mode == SessionMode::Observe {
            self.purpose = Purpose::Other;
            return Ok(());
        }
        Err(Denial::because(reason))
    }
}
