//! The tokens that the sandbox handed out, each with a sliding idle time.

use super::settings::{MAX_TOKENS, SandboxSettings};
use crate::domain::types::Mono;
use std::collections::HashMap;
use std::time::Duration;

/// Tokens by their text.
pub(super) struct Sessions {
    idle_timeout: Duration,
    /// Most live tokens; 0 is no limit of its own.
    seats: usize,
    /// Most live tokens of one user; 0 is no limit.
    seats_per_login: usize,
    shared: bool,
    /// A login ends the tokens that its user has.
    one_per_login: bool,
    tokens: HashMap<String, Session>,
}

struct Session {
    /// Id of the user that logged in.
    user: u32,
    last_use: Mono,
}

impl Sessions {
    pub(super) fn new(settings: &SandboxSettings) -> Self {
        Self {
            idle_timeout: settings.idle_timeout,
            seats: settings.seats,
            seats_per_login: settings.seats_per_login,
            shared: settings.token_shared,
            one_per_login: settings.one_session_per_login,
            tokens: HashMap::new(),
        }
    }

    /// Gives a user a token: the live one it has, where tokens are shared, or one made from 16 random bytes, 32
    /// hexadecimal digits. `None` when every seat is taken, or every seat of this user.
    pub(super) fn open(&mut self, user: u32, random: [u8; 16], now: Mono) -> Option<String> {
        if self.one_per_login {
            self.tokens.retain(|_, session| session.user != user);
        }
        if self.shared
            && let Some(token) = self.renew(user, now)
        {
            return Some(token);
        }
        if self.tokens.len() >= MAX_TOKENS || (self.seats > 0 && self.tokens.len() >= self.seats) {
            self.drop_dead(now);
        }
        if self.seats > 0 && self.tokens.len() >= self.seats {
            return None;
        }
        if self.seats_per_login > 0 && self.live_of(user, now) >= self.seats_per_login {
            return None;
        }
        if self.tokens.len() >= MAX_TOKENS {
            self.drop_longest_idle();
        }
        let token = format!("{:032x}", u128::from_be_bytes(random));
        self.tokens.insert(token.clone(), Session { user, last_use: now });
        Some(token)
    }

    /// True when the token is live; its idle time then starts anew.
    pub(super) fn touch(&mut self, token: &str, now: Mono) -> bool {
        let Some(session) = self.tokens.get_mut(token) else { return false };
        if now.since(session.last_use) >= self.idle_timeout {
            self.tokens.remove(token);
            return false;
        }
        session.last_use = now;
        true
    }

    /// Ends a token.
    pub(super) fn close(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Drops every token.
    pub(super) fn clear(&mut self) {
        self.tokens.clear();
    }

    /// The live token of a user, whose idle time starts anew.
    fn renew(&mut self, user: u32, now: Mono) -> Option<String> {
        let idle_timeout = self.idle_timeout;
        let live = |session: &Session| session.user == user && now.since(session.last_use) < idle_timeout;
        let (token, session) = self.tokens.iter_mut().find(|(_, session)| live(session))?;
        session.last_use = now;
        Some(token.clone())
    }

    fn live_of(&self, user: u32, now: Mono) -> usize {
        let live = |session: &&Session| session.user == user && now.since(session.last_use) < self.idle_timeout;
        self.tokens.values().filter(live).count()
    }

    fn drop_dead(&mut self, now: Mono) {
        let idle_timeout = self.idle_timeout;
        self.tokens.retain(|_, session| now.since(session.last_use) < idle_timeout);
    }

    fn drop_longest_idle(&mut self) {
        let oldest = self.tokens.iter().min_by_key(|(_, session)| session.last_use).map(|(token, _)| token.clone());
        oldest.map(|token| self.tokens.remove(&token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    fn random(n: u64) -> [u8; 16] {
        u128::from(n).to_be_bytes()
    }

    fn sessions(seats: usize, token_shared: bool) -> Sessions {
        Sessions::new(&SandboxSettings { seats, token_shared, ..SandboxSettings::example() })
    }

    #[test]
    fn idle_time_slides_with_each_use() {
        let mut sessions = sessions(0, false);
        let token = sessions.open(7, random(7), at(0)).unwrap();
        assert!(sessions.touch(&token, at(899)));
        assert!(sessions.touch(&token, at(1_798)));
        assert!(!sessions.touch(&token, at(2_698)));
        assert!(!sessions.touch(&token, at(2_699)), "a dead token stays dead");
        assert!(!sessions.touch("other", at(0)));
    }

    #[test]
    fn tokens_are_bounded_and_the_longest_idle_goes_first() {
        let mut sessions = sessions(0, false);
        let first = sessions.open(7, random(0), at(0)).unwrap();
        let second = sessions.open(7, random(1), at(1)).unwrap();
        for n in 2..MAX_TOKENS as u64 {
            sessions.open(7, random(n), at(2)).unwrap();
        }
        assert!(sessions.touch(&first, at(3)));
        sessions.open(7, random(MAX_TOKENS as u64), at(3)).unwrap();
        assert_eq!(sessions.tokens.len(), MAX_TOKENS);
        assert!(sessions.touch(&first, at(4)));
        assert!(!sessions.touch(&second, at(4)));

        sessions.open(7, random(MAX_TOKENS as u64 + 1), at(902)).unwrap();
        assert!(sessions.tokens.len() < 5, "the dead ones went: {}", sessions.tokens.len());
    }

    #[test]
    fn a_seat_is_free_again_once_its_token_is_dead() {
        let mut sessions = sessions(2, false);
        let first = sessions.open(7, random(1), at(0)).unwrap();
        sessions.open(7, random(2), at(10)).unwrap();
        assert_eq!(sessions.open(7, random(3), at(899)), None);
        assert!(sessions.touch(&first, at(899)));
        assert!(sessions.open(7, random(4), at(910)).is_some(), "the second one is dead");
        assert_eq!(sessions.open(7, random(5), at(910)), None);
        sessions.clear();
        assert!(sessions.open(7, random(6), at(910)).is_some());
        assert!(!sessions.touch(&first, at(910)));
    }

    #[test]
    fn each_user_has_its_own_seats() {
        let settings = SandboxSettings { seats_per_login: 1, ..SandboxSettings::example() };
        let mut sessions = Sessions::new(&settings);
        let token = sessions.open(7, random(1), at(0)).unwrap();
        assert_eq!(sessions.open(7, random(2), at(1)), None);
        assert!(sessions.open(6, random(3), at(1)).is_some(), "the seats of another user are its own");
        sessions.close(&token);
        assert!(sessions.open(7, random(4), at(2)).is_some());
        assert_eq!(sessions.open(7, random(5), at(901)), None);
        assert!(sessions.open(7, random(6), at(902)).is_some(), "the token before is dead");
    }

    #[test]
    fn a_login_ends_the_session_before_it() {
        let settings = SandboxSettings { one_session_per_login: true, seats: 2, ..SandboxSettings::example() };
        let mut sessions = Sessions::new(&settings);
        let other = sessions.open(6, random(1), at(0)).unwrap();
        let first = sessions.open(7, random(2), at(0)).unwrap();
        let second = sessions.open(7, random(3), at(1)).expect("its own seat is free");
        assert!(!sessions.touch(&first, at(2)));
        assert!(sessions.touch(&second, at(2)) && sessions.touch(&other, at(2)));
    }

    #[test]
    fn a_shared_token_is_one_per_user_and_takes_one_seat() {
        let mut sessions = sessions(2, true);
        let token = sessions.open(7, random(1), at(0)).unwrap();
        assert_eq!(sessions.open(7, random(2), at(800)).as_ref(), Some(&token));
        assert!(sessions.touch(&token, at(1_600)), "the login put the idle time off");
        let other = sessions.open(6, random(3), at(1_600)).unwrap();
        assert_ne!(other, token);
        assert_eq!(sessions.open(6, random(4), at(1_600)).as_ref(), Some(&other));
        assert_eq!(sessions.open(8, random(5), at(1_600)), None);
        assert_ne!(sessions.open(7, random(6), at(2_500)).as_ref(), Some(&token), "dead tokens are not given again");
    }
}
