//! The tokens that the sandbox handed out, each with a sliding idle time.

use crate::types::Mono;
use std::collections::HashMap;
use std::time::Duration;

/// Most tokens kept. Past that, dead ones go first, then the one unused for longest.
const MAX_TOKENS: usize = 10_000;

/// Tokens by their text.
pub(super) struct Sessions {
    idle_timeout: Duration,
    last_use: HashMap<String, Mono>,
}

impl Sessions {
    pub(super) fn new(idle_timeout: Duration) -> Self {
        Self { idle_timeout, last_use: HashMap::new() }
    }

    /// Makes a token from 16 random bytes: 32 hexadecimal digits.
    pub(super) fn open(&mut self, random: [u8; 16], now: Mono) -> String {
        if self.last_use.len() >= MAX_TOKENS {
            self.make_room(now);
        }
        let token = format!("{:032x}", u128::from_be_bytes(random));
        self.last_use.insert(token.clone(), now);
        token
    }

    /// True when the token is live; its idle time then starts anew.
    pub(super) fn touch(&mut self, token: &str, now: Mono) -> bool {
        let Some(last_use) = self.last_use.get_mut(token) else { return false };
        if now.since(*last_use) >= self.idle_timeout {
            self.last_use.remove(token);
            return false;
        }
        *last_use = now;
        true
    }

    fn make_room(&mut self, now: Mono) {
        let idle_timeout = self.idle_timeout;
        self.last_use.retain(|_, last_use| now.since(*last_use) < idle_timeout);
        if self.last_use.len() >= MAX_TOKENS {
            let oldest = self.last_use.iter().min_by_key(|(_, last_use)| **last_use).map(|(token, _)| token.clone());
            oldest.map(|token| self.last_use.remove(&token));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn idle_time_slides_with_each_use() {
        let mut sessions = Sessions::new(Duration::from_secs(900));
        let token = sessions.open([7; 16], at(0));
        assert!(sessions.touch(&token, at(899)));
        assert!(sessions.touch(&token, at(1_798)));
        assert!(!sessions.touch(&token, at(2_698)));
        assert!(!sessions.touch(&token, at(2_699)), "a dead token stays dead");
        assert!(!sessions.touch("other", at(0)));
    }

    #[test]
    fn tokens_are_bounded_and_the_longest_idle_goes_first() {
        let mut sessions = Sessions::new(Duration::from_secs(900));
        let token = |n: u64| u128::from(n).to_be_bytes();
        let first = sessions.open(token(0), at(0));
        let second = sessions.open(token(1), at(1));
        for n in 2..MAX_TOKENS as u64 {
            sessions.open(token(n), at(2));
        }
        assert!(sessions.touch(&first, at(3)));
        sessions.open(token(MAX_TOKENS as u64), at(3));
        assert_eq!(sessions.last_use.len(), MAX_TOKENS);
        assert!(sessions.touch(&first, at(4)));
        assert!(!sessions.touch(&second, at(4)));

        sessions.open(token(MAX_TOKENS as u64 + 1), at(902));
        assert!(sessions.last_use.len() < 5, "the dead ones went: {}", sessions.last_use.len());
    }
}
