//! What an admitted request is for, and in whose name: fixed from its admission to its end.

use crate::domain::denial::{Denial, Reason};
use crate::domain::policy::KeyOwner;
use crate::domain::policy::session::SessionUse;
use crate::domain::request::TokenPlace;
use crate::domain::rules::snapshot::{SessionMode, Snapshot};
use crate::domain::session::{CallerId, Standing};
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
    pub purpose: Purpose,
}

impl Errand {
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
        if snapshot.session.mode == SessionMode::Observe {
            self.purpose = Purpose::Other;
            return Ok(());
        }
        Err(Denial::because(reason))
    }
}
