//! Session: the token of a request has to be a live one of its own consumer.
//!
//! A login needs none, and brings none along: whatever token its caller still sends is removed. A public route needs
//! none, but one that is shown has to be good. Where the gate keeps the session of its consumer, a request needs none
//! either.

use super::Passed;
use super::credential::Caller;
use super::objection::Objection;
use super::token;
use crate::domain::denial::{Denial, Reason};
use crate::domain::request::RequestView;
use crate::domain::rules::snapshot::{SessionMode, SessionRules};
use crate::domain::session::managed::Account;
use crate::domain::session::{CallerId, SessionHash, Standing};
use crate::domain::tables::Tables;
use crate::domain::types::Mono;
use std::sync::Arc;
use std::time::Duration;

/// What an operator reads of a request that has passed.
pub(super) const PASSED: Passed = Passed {
    en: "the token is a live one of this consumer",
    fr: "le jeton est vivant et appartient à ce consommateur",
};

/// A live session that a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionUse {
    pub hash: SessionHash,
    pub caller: CallerId,
}

/// What a request does with sessions.
#[derive(Clone, Debug, Default)]
pub enum Wanted {
    /// It needs none and shows none.
    #[default]
    None,
    /// It shows the token of a live one.
    Own(SessionUse),
    /// It is given the token of the one that the gate keeps.
    Managed(Arc<Account>),
}

/// The session of a request.
pub(super) fn check(
    rules: &SessionRules,
    tables: &Tables,
    caller: Caller<'_>,
    request: &RequestView<'_>,
    now: Mono,
) -> Result<Wanted, Objection> {
    let unfit = |reason| Err(Objection { denial: Denial::because(reason), issued: None });
    let Some(token) = token::presented(request) else {
        if rules.is_public(request.method, request.path()) {
            return Ok(Wanted::None);
        }
        if rules.mode_of(caller.consumer()) != SessionMode::Managed {
            return unfit(Reason::NoToken);
        }
        // Only while a reload changes this very consumer is there none.
        let account = tables.accounts.of(&caller.consumer().name);
        let left = || Denial::because(Reason::LoginWithdrawn).retry_after(Duration::from_secs(1));
        return account.map(Wanted::Managed).ok_or_else(|| Objection { denial: left(), issued: None });
    };
    let hash = tables.sessions.hash(&token);
    let Some(id) = tables.sessions.caller(&caller.consumer().name, &caller.credential().id) else {
        // Only while a reload takes this very consumer away.
        return unfit(Reason::ConsumerLeaving);
    };
    match tables.sessions.check(&hash, id, now, &rules.limits) {
        Standing::Live => Ok(Wanted::Own(SessionUse { hash, caller: id })),
        Standing::Expired => unfit(Reason::TokenIdle),
        Standing::NotYours => unfit(Reason::TokenOfAnother),
        Standing::Unknown => {
            let denial = Denial::because(Reason::TokenForeign);
            Err(Objection { denial, issued: Some(tables.unfamiliar.seen(hash, now)) })
        }
    }
}
