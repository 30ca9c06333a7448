//! When 8sens may be asked for a token: one try at a time, never more than one a second, and hardly any once it has
//! refused the credentials, so that no account is ever locked by the gate.

use crate::domain::types::Mono;
use std::time::Duration;
use strum::{IntoStaticStr, VariantArray};

/// From the beginning of a try that 8sens could not answer to the next one.
const UNREACHABLE: Duration = Duration::from_secs(1);

/// What may come on top of it, so that accounts do not all try in the same moment.
const JITTER: Duration = Duration::from_millis(50);

/// Tries with credentials that 8sens refuses, before it is left alone.
const REFUSED_TRIES: u32 = 2;

/// From the beginning of such a try to the next one.
const REFUSED: Duration = Duration::from_secs(15 * 60);

/// From one login because of an answer "expired" that the gate's own clock contradicts to the next one.
const DOUBTED: Duration = Duration::from_secs(60);

/// Why a login was needed. A closed set: the label `cause`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Cause {
    /// There was no session.
    #[default]
    Absent,
    /// Less than the margin of the idle window was left.
    Idle,
    /// 8sens answered that the token had expired.
    Expired,
}

impl Cause {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The word for the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

/// Why a login brought no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 8sens could not be asked, or could not answer: time helps.
    Unreachable,
    /// 8sens does not take these credentials, or answered what is no token: only an admin helps.
    Refused,
}

/// Until when nobody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub until: Mono,
    pub why: Failure,
}

/// The logins of one account.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// Of the latest token that was asked for.
    generation: u64,
    is_asking: bool,
    next_cause: Cause,
    hold: Option<Hold>,
    /// Refusals in a row, of the credentials of this moment.
    refused: u32,
    /// Failures in a row, to spread the tries of many accounts.
    failures: u64,
    /// The latest end of a session by an answer that was doubted.
    doubted: Option<Mono>,
    /// Nobody uses the account any more.
    pub is_gone: bool,
}

impl Life {
    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) const fn is_asking(&self) -> bool {
        self.is_asking
    }

    /// What holds tries back at this moment.
    pub(super) fn held(&self, now: Mono) -> Option<Hold> {
        self.hold.filter(|hold| now < hold.until)
    }

    /// Goes on behind a session that was restored.
    pub(super) fn restored(&mut self, generation: u64) {
        self.generation = self.generation.max(generation);
    }

    /// A try begins, unless one is under way, or it is too early, or for nobody.
    pub(super) fn begin(&mut self, has_session: bool, now: Mono) -> Option<(u64, Cause)> {
        if self.is_gone || self.is_asking || self.held(now).is_some() {
            return None;
        }
        self.is_asking = true;
        self.generation += 1;
        let cause = if has_session { Cause::Idle } else { self.next_cause };
        Some((self.generation, cause))
    }

    /// The try is not needed after all.
    pub(super) fn called_off(&mut self) {
        self.is_asking = false;
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self {
            generation: self.generation,
            next_cause: Cause::Absent,
            doubted: self.doubted,
            is_gone: self.is_gone,
            ..Self::default()
        };
    }

    /// A try that began at `began` failed. `spread` tells accounts apart. `with_other_credentials` says that they were
    /// changed since: a refusal of old ones says nothing about the new ones.
    pub(super) fn failed(&mut self, failure: Failure, began: Mono, spread: u64, with_other_credentials: bool) {
        self.is_asking = false;
        self.failures += 1;
        let jitter = JITTER.as_nanos() as u64;
        let spread = spread.wrapping_add(self.failures).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let soon = began.after(UNREACHABLE + Duration::from_nanos(spread % jitter));
        let hold = match failure {
            Failure::Refused if with_other_credentials => Hold { until: soon, why: Failure::Unreachable },
            Failure::Refused => {
                self.refused += 1;
                let is_last = self.refused >= REFUSED_TRIES;
                Hold { until: if is_last { began.after(REFUSED) } else { soon }, why: failure }
            }
            // What was refused before is not good because 8sens is silent now.
            Failure::Unreachable if self.refused >= REFUSED_TRIES => {
                Hold { until: began.after(REFUSED), why: Failure::Refused }
            }
            Failure::Unreachable => Hold { until: soon, why: failure },
        };
        self.hold = Some(hold);
    }

    /// The credentials changed, or an admin wants another try.
    pub(super) fn may_try_again(&mut self) {
        self.refused = 0;
        if self.hold.is_some_and(|hold| hold.why == Failure::Refused) {
            self.hold = None;
        }
    }

    /// Whether an answer "expired" is believed about a session that has time left. One that has none is over anyway.
    pub(super) fn believes_expiry(&mut self, has_time_left: bool, now: Mono) -> bool {
        if has_time_left && self.doubted.is_some_and(|at| now.since(at) < DOUBTED) {
            return false;
        }
        if has_time_left {
            self.doubted = Some(now);
        }
        self.next_cause = Cause::Expired;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono(1_000_000_000_000);

    /// Tries as often as it may for so long, every 10 ms, and says when it did.
    fn tries(life: &mut Life, failure: Failure, mut now: Mono, lasts: Duration) -> Vec<Mono> {
        let end = now.after(lasts);
        let mut tries = Vec::new();
        while now < end {
            if life.begin(false, now).is_some() {
                tries.push(now);
                life.failed(failure, now, 7, false);
            }
            now = now.after(Duration::from_millis(10));
        }
        tries
    }

    #[test]
    fn an_8sens_that_is_away_is_asked_once_a_second() {
        let tries = tries(&mut Life::default(), Failure::Unreachable, START, Duration::from_secs(60));
        assert!(tries.len() <= 60 && tries.len() >= 56, "{}", tries.len());
        assert!(tries.windows(2).all(|pair| pair[1].since(pair[0]) >= UNREACHABLE));
    }

    #[test]
    fn refused_credentials_are_tried_twice_and_then_once_in_a_quarter_of_an_hour() {
        let mut life = Life::default();
        let seen = tries(&mut life, Failure::Refused, START, REFUSED);
        assert_eq!(seen.len(), 2);
        let later = START.after(REFUSED);
        assert_eq!(tries(&mut life, Failure::Refused, later, REFUSED * 3).len(), 3);
        life.may_try_again();
        assert_eq!(tries(&mut life, Failure::Refused, START.after(REFUSED * 4), REFUSED).len(), 2);
    }

    #[test]
    fn what_was_refused_stays_so_while_8sens_is_away() {
        let mut life = Life::default();
        tries(&mut life, Failure::Refused, START, Duration::from_secs(3));
        let later = START.after(REFUSED * 2);
        assert_eq!(tries(&mut life, Failure::Unreachable, later, REFUSED).len(), 1);
        assert_eq!(life.held(later.after(UNREACHABLE * 2)).unwrap().why, Failure::Refused);
    }

    #[test]
    fn a_refusal_of_old_credentials_does_not_hold_new_ones_back() {
        let mut life = Life::default();
        for _ in 0..5 {
            life.hold = None;
            assert!(life.begin(false, START).is_some());
            life.failed(Failure::Refused, START, 7, true);
        }
        assert!(life.held(START.after(UNREACHABLE * 2)).is_none());
    }

    #[test]
    fn an_expiry_against_the_clock_is_believed_once_a_minute() {
        let mut life = Life::default();
        assert!(life.believes_expiry(true, START));
        assert!(!life.believes_expiry(true, START.after(DOUBTED - Duration::from_nanos(1))));
        assert!(life.believes_expiry(false, START.after(Duration::from_secs(1))), "it was over anyway");
        assert!(life.believes_expiry(true, START.after(DOUBTED)));
        assert_eq!(life.begin(false, START).unwrap().1, Cause::Expired);
        life.succeeded();
        assert_eq!(life.begin(true, START).unwrap(), (2, Cause::Idle));
        assert!(life.begin(true, START).is_none(), "one at a time");
    }
}
