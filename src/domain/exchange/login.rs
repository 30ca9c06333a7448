//! A login between its admission and its end: under which name it is, whether it may be sent, what came of it.
//!
//! The shield counts what 8sens refused. An answer without a token is such a refusal where sessions are guarded: nobody
//! honest could go on with it. Where they are only observed it proves nothing, because the gate may not understand
//! answers with which shops get along.

use super::Exchange;
use super::answer::Answer;
use super::errand::{Errand, Identity};
use crate::domain::denial::{Denial, Reason};
use crate::domain::limit::login_shield::{Candidate, Counter, LoginTry, Verdict};
use crate::domain::policy::WouldRefuse;
use crate::domain::request::RequestView;
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::snapshot::{SessionMode, Snapshot};
use crate::domain::session::LoginOutcome;
use crate::domain::session::login_name::LoginName;
use crate::domain::tables::Tables;
use crate::domain::types::{Mono, Now};
use std::net::IpAddr;

/// One login that was admitted.
#[derive(Debug)]
pub(super) struct Login {
    /// Of its target: the name may be there.
    query: Option<Box<[u8]>>,
    /// Until it is known what came of it.
    attempt: Option<LoginTry>,
}

impl Login {
    pub(super) fn of(request: &RequestView<'_>) -> Self {
        Self { query: request.query().map(Into::into), attempt: None }
    }

    /// Asks the shield whether it may be sent.
    pub(super) fn ask(
        &mut self,
        snapshot: &Snapshot,
        tables: &Tables,
        caller: &Identity,
        address: IpAddr,
        body: &[u8],
        now: Mono,
    ) -> Result<(), Denial> {
        let name = match LoginName::read(&snapshot.login.user_field, self.query.as_deref(), body) {
            LoginName::Several => return Err(Denial::because(Reason::SeveralLoginNames)),
            LoginName::One(name) => name,
            LoginName::None => Box::default(),
        };
        let candidate = Candidate { consumer: &caller.consumer, key_id: &caller.key_id, address, name: &name };
        let attempt = tables.limiter.logins.admit(candidate, now);
        self.attempt = Some(attempt.map_err(|throttled| {
            Denial::because(match throttled.counter {
                Counter::Name => Reason::LoginNameFailed,
                Counter::Address => Reason::LoginAddressFailed,
                Counter::Key => Reason::LoginKeyFailed,
                Counter::Total => Reason::LoginsFailed,
                Counter::Known => Reason::KnownLoginsFailed,
            })
            .retry_after(throttled.wait.0)
        })?);
        Ok(())
    }

    /// It is on its way to 8sens.
    pub(super) const fn sent(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.sent();
        }
    }

    /// 8sens answered; what its answer means is known.
    pub(super) fn answered(&mut self, outcome: LoginOutcome, mode: SessionMode, now: Now) {
        self.judge(
            now,
            match outcome {
                LoginOutcome::Accepted => Verdict::Succeeded,
                LoginOutcome::Refused => Verdict::Failed,
                LoginOutcome::NotUnderstood if mode == SessionMode::Guard => Verdict::Failed,
                LoginOutcome::NotUnderstood | LoginOutcome::Failed | LoginOutcome::Throttled => Verdict::Unknown,
            },
        );
    }

    /// 8sens did not answer, or not so that it could be passed on.
    pub(super) fn unanswered(&mut self, now: Now) {
        self.judge(now, Verdict::Unknown);
    }

    fn judge(&mut self, now: Now, verdict: Verdict) {
        if let Some(attempt) = self.attempt.take() {
            attempt.judge(verdict, now.mono);
        }
    }
}

impl Exchange {
    /// Asks whether a login may be sent, as far as that is in force.
    pub(super) fn ask_shield(&mut self, errand: &Errand, body: &[u8], now: Now) -> Result<(), Denial> {
        let Some(login) = &mut self.login else { return Ok(()) };
        let address = self.head.client.address;
        let asked = login.ask(&self.snapshot, &self.tables, &errand.owner, address, body, now.mono);
        match asked {
            Err(Denial { code, reason, .. }) if self.snapshot.budgets.enforce == Enforce::Shadow => {
                self.would_refuse.get_or_insert(WouldRefuse { code, reason, issued: None });
                Ok(())
            }
            asked => asked,
        }
    }

    /// Tells the shield what came of a login, before its caller learns of it.
    pub(super) fn judge_login(&mut self, now: Now) {
        let outcome = self.stage.answer().and_then(Answer::login_outcome);
        if let (Some(login), Some(outcome)) = (&mut self.login, outcome) {
            login.answered(outcome, self.snapshot.session.mode, now);
        }
    }
}
