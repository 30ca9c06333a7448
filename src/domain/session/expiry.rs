//! Which answers of 8sens say that a token is no longer good, and when not to believe them.
//!
//! A wrong upstream key makes 8sens refuse everybody, and it may do so with the very answer that an expired token gets.
//! Ending every session that meets it would log all shops out for a mistake of the gate's own configuration. A
//! restarted 8sens does the same to all at once. Both are told by how many are hit: that is an alarm, and the sessions
//! stay until their own deadline.
//!
//! To keep a session that is really dead does little harm: its owner sees 8sens's refusal and logs in again.

use super::callers::ConsumerId;
use super::hash::SessionHash;
use crate::domain::types::Mono;
use std::time::Duration;

/// How many bytes of a body are looked at.
pub const BODY_PREFIX: usize = 4_096;

/// What an answer to an expired token looks like; one pattern that matches is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpiredWhen(Vec<ExpiredPattern>);

/// All that is given has to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredPattern {
    pub status: u16,
    /// Bytes that are in the first [`BODY_PREFIX`] bytes of the body, in this case and encoding.
    pub body_contains: Option<Box<[u8]>>,
}

impl ExpiredWhen {
    #[must_use]
    pub const fn new(patterns: Vec<ExpiredPattern>) -> Self {
        Self(patterns)
    }

    /// What the head of an answer says. Only for [`AtHead::AskBody`] is its body looked at.
    #[must_use]
    pub fn at_head(&self, status: u16) -> AtHead {
        let of_status = || self.0.iter().filter(|pattern| pattern.status == status);
        if of_status().any(|pattern| pattern.body_contains.is_none()) {
            AtHead::Expired
        } else if of_status().next().is_some() {
            AtHead::AskBody
        } else {
            AtHead::Other
        }
    }

    /// True when an answer with this status and this beginning of a body says that the token expired. More than
    /// [`BODY_PREFIX`] bytes are not looked at, so that it does not depend on how the body was cut.
    #[must_use]
    pub fn matches(&self, status: u16, body_prefix: &[u8]) -> bool {
        let looked_at = &body_prefix[..body_prefix.len().min(BODY_PREFIX)];
        self.0.iter().filter(|pattern| pattern.status == status).any(|pattern| {
            pattern.body_contains.as_deref().is_none_or(|wanted| {
                wanted.is_empty() || looked_at.windows(wanted.len()).any(|window| window == wanted)
            })
        })
    }
}

/// What the status alone says about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtHead {
    Expired,
    /// It depends on the first [`BODY_PREFIX`] bytes of the body.
    AskBody,
    Other,
}

/// What to do about an answer that matched.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// End the session.
    End,
    /// Keep it, and raise an alarm.
    Keep(Alarm),
}

/// Why an expiry is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// 8sens refuses logins as well: the upstream key is probably wrong.
    LoginsRefused,
    /// Sessions of more than one consumer end at once: a wrong upstream key or a restarted 8sens.
    SeveralConsumers,
    /// Many sessions of one consumer end at once: the same, where only one consumer is busy.
    ManySessions,
}

/// Tells single expiries from those that hit everybody. One for the whole gate.
#[derive(Clone, Debug, Default)]
pub struct ExpiryGuard {
    /// The latest login that was refused, unless one was accepted since.
    login_refused: Option<Mono>,
    /// The last expiries of different sessions, in no order.
    recent: [Option<Expiry>; Self::MANY],
}

#[derive(Clone, Copy, Debug)]
struct Expiry {
    at: Mono,
    hash: SessionHash,
    consumer: ConsumerId,
}

impl ExpiryGuard {
    /// How long a refused login stands for others, unless one is accepted.
    pub const LOGIN_WINDOW: Duration = Duration::from_secs(60);
    /// Expiries this close together are "at once". The gate's own deadline comes before 8sens's, so in a quiet hour
    /// there are none.
    pub const AT_ONCE: Duration = Duration::from_secs(10);
    /// The expiry of this many different sessions at once is not believed, even of one consumer alone.
    pub const MANY: usize = 8;

    /// 8sens answered a login without handing out a token.
    ///
    /// One caller with a wrong password does this too. It holds endings back only until anybody's login is accepted.
    pub fn login_refused(&mut self, now: Mono) {
        self.login_refused = self.login_refused.max(Some(now));
    }

    /// 8sens handed out a token: the upstream key is right.
    pub fn login_accepted(&mut self) {
        self.login_refused = None;
    }

    /// What to do about an answer to `consumer`, for this session, that says "expired".
    pub fn expired(&mut self, hash: SessionHash, consumer: ConsumerId, now: Mono) -> Ending {
        self.remember(Expiry { at: now, hash, consumer });
        if self.login_refused.is_some_and(|at| now.since(at) < Self::LOGIN_WINDOW) {
            return Ending::Keep(Alarm::LoginsRefused);
        }
        let at_once = || self.recent.iter().flatten().filter(|expiry| now.since(expiry.at) < Self::AT_ONCE);
        if at_once().any(|expiry| expiry.consumer != consumer && expiry.hash != hash) {
            Ending::Keep(Alarm::SeveralConsumers)
        } else if at_once().count() >= Self::MANY {
            Ending::Keep(Alarm::ManySessions)
        } else {
            Ending::End
        }
    }

    /// A session that meets the answer again counts once, with its last time. What makes room is the oldest: were it
    /// still young enough to count, so would all the others.
    fn remember(&mut self, expiry: Expiry) {
        let is_same = |known: &Expiry| known.hash == expiry.hash && known.consumer == expiry.consumer;
        let same = self.recent.iter().position(|known| known.as_ref().is_some_and(is_same));
        let oldest = || (0..Self::MANY).min_by_key(|n| self.recent[*n].map(|known| known.at));
        if let Some(n) = same.or_else(oldest) {
            self.recent[n] = Some(expiry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::callers::CallerId;
    use super::*;
    use proptest::prelude::*;

    fn second(second: u64) -> Mono {
        Mono(second * 1_000_000_000)
    }

    fn session(byte: u8) -> SessionHash {
        SessionHash::from_bytes([byte; 16])
    }

    fn consumer(number: u32) -> ConsumerId {
        CallerId::for_test(number).consumer()
    }

    #[test]
    fn patterns() {
        let pattern = |status, text: Option<&str>| ExpiredPattern {
            status,
            body_contains: text.map(|text| text.as_bytes().into()),
        };
        let when =
            ExpiredWhen::new(vec![pattern(401, None), pattern(200, Some("token expir")), pattern(200, Some("x1"))]);
        assert_eq!(when.at_head(401), AtHead::Expired);
        assert_eq!(when.at_head(200), AtHead::AskBody);
        assert_eq!(when.at_head(403), AtHead::Other);
        assert!(when.matches(401, b""));
        assert!(when.matches(200, b"{\"erreur\":\"token expir\xe9\"}"));
        assert!(when.matches(200, b"x1"));
        assert!(!when.matches(200, b"token"));
        assert!(!when.matches(403, b"token expir"));
        let mut late = vec![b' '; BODY_PREFIX - 1];
        late.extend_from_slice(b"x1");
        assert!(!when.matches(200, &late));
        assert!(when.matches(200, &late[1..]));
        assert!(!ExpiredWhen::default().matches(401, b""));
    }

    #[test]
    fn a_lone_expiry_ends_its_session() {
        let mut guard = ExpiryGuard::default();
        assert_eq!(guard.expired(session(1), consumer(1), second(0)), Ending::End);
        assert_eq!(guard.expired(session(2), consumer(2), second(10)), Ending::End);
        assert_eq!(guard.expired(session(3), consumer(2), second(11)), Ending::End);
    }

    #[test]
    fn a_second_consumer_at_once_is_an_alarm_until_it_is_quiet() {
        let mut guard = ExpiryGuard::default();
        assert_eq!(guard.expired(session(1), consumer(1), second(0)), Ending::End);
        assert_eq!(guard.expired(session(2), consumer(2), second(9)), Ending::Keep(Alarm::SeveralConsumers));
        assert_eq!(guard.expired(session(3), consumer(1), second(18)), Ending::Keep(Alarm::SeveralConsumers));
        assert_eq!(guard.expired(session(3), consumer(1), second(19)), Ending::End);
    }

    #[test]
    fn one_shared_session_is_not_several() {
        let mut guard = ExpiryGuard::default();
        assert_eq!(guard.expired(session(1), consumer(1), second(0)), Ending::End);
        assert_eq!(guard.expired(session(1), consumer(2), second(0)), Ending::End);
    }

    #[test]
    fn many_sessions_of_one_consumer_are_an_alarm() {
        let mut guard = ExpiryGuard::default();
        for byte in 1..8 {
            assert_eq!(guard.expired(session(byte), consumer(1), second(1)), Ending::End);
            assert_eq!(guard.expired(session(byte), consumer(1), second(1)), Ending::End, "the same one again");
        }
        assert_eq!(guard.expired(session(8), consumer(1), second(2)), Ending::Keep(Alarm::ManySessions));
        assert_eq!(guard.expired(session(9), consumer(1), second(12)), Ending::End);
    }

    #[test]
    fn nothing_ends_while_logins_are_refused() {
        let mut guard = ExpiryGuard::default();
        guard.login_refused(second(0));
        assert_eq!(guard.expired(session(1), consumer(1), second(59)), Ending::Keep(Alarm::LoginsRefused));
        assert_eq!(guard.expired(session(1), consumer(1), second(60)), Ending::End);
        guard.login_refused(second(70));
        guard.login_accepted();
        assert_eq!(guard.expired(session(2), consumer(1), second(71)), Ending::End);
    }

    #[derive(Clone, Debug)]
    enum Event {
        Expired(u8, u32),
        LoginRefused,
        LoginAccepted,
        Wait(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            6 => (0u8..40, 0u32..3).prop_map(|(hash, consumer)| Event::Expired(hash, consumer)),
            1 => Just(Event::LoginRefused),
            1 => Just(Event::LoginAccepted),
            4 => (0u64..20).prop_map(Event::Wait),
        ]
    }

    proptest! {
        /// What the guard promises, checked against the whole history.
        #[test]
        fn never_a_mass_eviction(events in prop::collection::vec(event(), 0..200)) {
            let mut guard = ExpiryGuard::default();
            let mut now = 0;
            let mut refused: Option<u64> = None;
            let mut ended: Vec<(u64, u8, u32)> = Vec::new();
            for event in events {
                match event {
                    Event::Wait(seconds) => now += seconds,
                    Event::LoginRefused => { refused = Some(now); guard.login_refused(second(now)); }
                    Event::LoginAccepted => { refused = None; guard.login_accepted(); }
                    Event::Expired(hash, number) => {
                        let ending = guard.expired(session(hash), consumer(number), second(now));
                        let logins_refused = refused.is_some_and(|at| now - at < 60);
                        prop_assert_eq!(ending == Ending::Keep(Alarm::LoginsRefused), logins_refused);
                        if ending == Ending::End {
                            ended.push((now, hash, number));
                        }
                    }
                }
                let at_once: Vec<_> = ended.iter().filter(|(at, ..)| now - at < 10).collect();
                let mut sessions: Vec<_> = at_once.iter().map(|(_, hash, _)| hash).collect();
                sessions.sort_unstable();
                sessions.dedup();
                prop_assert!(sessions.len() < ExpiryGuard::MANY);
                for (_, hash, number) in &at_once {
                    prop_assert!(at_once.iter().all(|(_, h, n)| n == number || h == hash));
                }
            }
        }
    }
}
