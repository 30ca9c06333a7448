//! How far a request has come, and what is known of it from there on.

use super::answer::Answer;
use super::errand::Errand;
use super::needs::Needs;
use super::plan::ForwardPlan;
use crate::domain::limit::Reservation;
use crate::domain::session::CallerId;
use crate::domain::types::Mono;

/// What a wait is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub until: Mono,
    /// Whom the session table knew when the wait began.
    pub admitted_as: Option<CallerId>,
    /// Since when a login is waited for; `None` while it is for something else.
    pub login_since: Option<Mono>,
}

/// When the request was taken to 8sens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// The first attempt: a resend does not move it.
    pub started: Mono,
    /// The latest one.
    pub sent: Mono,
}

/// How far a request has come. What is known only from some stage on exists only from there on.
#[derive(Debug, Default)]
pub(super) enum Stage {
    /// Nothing goes to 8sens: it was refused, or is answered here.
    #[default]
    Closed,
    /// It is admitted, and something is waited for. Its quota is reserved.
    Waiting { errand: Errand, reservation: Reservation, plan: Box<ForwardPlan>, needs: Needs, wait: Wait },
    /// A connection to 8sens is wanted. The reservation is gone once there was none to be had.
    Connecting { errand: Errand, reservation: Option<Reservation>, attempt: Option<Attempt> },
    /// It is on its way, and counts.
    Sent { errand: Errand, attempt: Attempt },
    /// 8sens answers.
    Answering { errand: Errand, attempt: Attempt, answer: Answer },
}

impl Stage {
    pub(super) const fn errand(&self) -> Option<&Errand> {
        match self {
            Self::Closed => None,
            Self::Waiting { errand, .. }
            | Self::Connecting { errand, .. }
            | Self::Sent { errand, .. }
            | Self::Answering { errand, .. } => Some(errand),
        }
    }

    pub(super) const fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Closed | Self::Waiting { .. } => None,
            Self::Connecting { attempt, .. } => *attempt,
            Self::Sent { attempt, .. } | Self::Answering { attempt, .. } => Some(*attempt),
        }
    }

    pub(super) const fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Answering { answer, .. } => Some(answer),
            _ => None,
        }
    }
}
