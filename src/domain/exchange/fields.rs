//! What 8sens sees of a request's fields, as rules on names and values: which of the caller's lines go on as they came,
//! and what the gate writes itself. Any lane applies them.

use crate::domain::limit::headers::VALUE_MAX;
use crate::domain::policy;
use crate::domain::request::client_ip::AddressText;
use crate::domain::request::{FieldRole, FieldTable, RequestView, TokenPlace, TokenPlaces};
use crate::domain::session::managed::Live;
use crate::domain::types::{RequestId, ShortText};
use secrecy::ExposeSecret;
use std::net::IpAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What the gate calls itself in `Via` (RFC 9110 section 7.6.3).
const VIA: &[u8] = b"1.1 sensgate";

/// Fields that would make an answer unreadable: packed, in part, or not sent because the caller has it already.
const HINDER_READING: [&[u8]; 4] = [b"accept-encoding", b"range", b"if-none-match", b"if-modified-since"];

/// What happens to the caller's header fields. The upstream key is not part of the plan: it never leaves the edge that
/// sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldEdits {
    /// Fields that the caller meant for its own connection: lower-case names, in order and each once.
    pub of_connection: Vec<Box<[u8]>>,
    pub token_from: TokenPlaces,
    pub pass_cookies: bool,
    /// 8sens's answer is read here, so it has to come whole and as it is.
    pub answer_is_read: bool,
    /// The client IP for `X-Forwarded-For`; every forwarding field is rebuilt from it.
    pub client_ip: IpAddr,
    /// Whether the caller's side was encrypted, for `X-Forwarded-Proto`.
    pub https: bool,
    pub request_id: RequestId,
    /// `RateLimit-Policy` and `RateLimit` for the answer.
    pub rate_limit: Option<RateLimitFields>,
    /// The token that the gate gives a request which brought none.
    pub token: Option<InjectedToken>,
}

/// A token of a session that the gate keeps, and where 8sens is going to read it.
#[derive(Debug, Clone)]
pub struct InjectedToken {
    pub place: TokenPlace,
    pub live: Arc<Live>,
}

impl PartialEq for InjectedToken {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place && Arc::ptr_eq(&self.live, &other.live)
    }
}

impl Eq for InjectedToken {}

/// The values of `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitFields {
    pub policy: ShortText<VALUE_MAX>,
    pub limit: ShortText<VALUE_MAX>,
}

impl FieldEdits {
    /// True when a caller's field of this name and role goes on to 8sens as it came, line by line and in order.
    #[must_use]
    pub fn keeps(&self, name: &[u8], role: Option<FieldRole>, value: &[u8]) -> bool {
        match role {
            None => !(self.is_of_connection(name) || self.answer_is_read && hinders_reading(name)),
            Some(FieldRole::Token(place)) => self.token_from.contains(place),
            Some(FieldRole::Authorization) => {
                let is_ours = self.token.as_ref().is_some_and(|token| token.place == TokenPlace::Bearer);
                !is_ours && (!policy::token::is_bearer(value) || self.token_from.contains(TokenPlace::Bearer))
            }
            Some(FieldRole::Cookie) => self.pass_cookies,
            Some(role) => role.is_forwarded(),
        }
    }

    /// Gives `write` each field that the gate adds, name and value, to be written behind those that were kept: `Via`
    /// says the way in its order. None of the kept ones has such a name but `Via`. `Host` and the upstream key are for
    /// the lane to write: once each, and no caller's copy of them is kept.
    pub fn add(&self, mut write: impl FnMut(&'static str, &[u8])) {
        let address = AddressText::of(self.client_ip);
        write("Via", VIA);
        write("X-Request-ID", self.request_id.as_bytes());
        write("X-Forwarded-For", address.as_bytes());
        write("X-Forwarded-Proto", if self.https { b"https" } else { b"http" });
    }

    /// Gives `write` the token, where the gate puts one into a field: name, and the parts of the value.
    pub fn add_token(&self, mut write: impl FnMut(&'static str, &[u8])) {
        let Some(InjectedToken { place, live }) = &self.token else { return };
        let token = live.token().expose_secret();
        match place {
            TokenPlace::AccessTokenHeader => write("access_token", token.as_bytes()),
            TokenPlace::TokenHeader => write("token", token.as_bytes()),
            TokenPlace::Bearer => write("Authorization", Zeroizing::new(format!("Bearer {token}")).as_bytes()),
            // The target has it.
            TokenPlace::AccessTokenQuery => {}
        }
    }

    /// Bytes that [`Self::add_token`] writes at most, with the line end.
    #[must_use]
    pub fn token_room(&self) -> usize {
        const NAME: usize = "access_token: \r\n".len() + "Bearer ".len();
        self.token.as_ref().map_or(0, |token| NAME + token.live.token().expose_secret().len())
    }

    fn is_of_connection(&self, name: &[u8]) -> bool {
        let folded = || name.iter().map(u8::to_ascii_lowercase);
        self.of_connection.binary_search_by(|known| known.iter().copied().cmp(folded())).is_ok()
    }
}

fn hinders_reading(name: &[u8]) -> bool {
    HINDER_READING.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The fields that the connection options name and that would go on otherwise (RFC 9110 section 7.6.1). Those that
/// decide anything were refused, and those of every connection go no further anyway.
pub(super) fn of_connection(table: &FieldTable, request: &RequestView<'_>) -> Vec<Box<[u8]>> {
    let unknown = request.connection_options().filter(|option| table.role(option).is_none());
    let mut names: Vec<Box<[u8]>> = unknown.map(|option| option.to_ascii_lowercase().into()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::field_edits as edits;

    fn keeps(edits: &FieldEdits, name: &str, value: &str) -> bool {
        let table = FieldTable::new(["X-API-Key"], "X-Forwarded-For");
        edits.keeps(name.as_bytes(), table.role(name.as_bytes()), value.as_bytes())
    }

    #[test]
    fn what_the_gate_writes_is_kept_from_no_caller() {
        let mut added = Vec::new();
        edits().add(|name, value| added.push((name, String::from_utf8(value.to_vec()).unwrap())));
        let shown: Vec<_> = added.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            shown,
            ["Via: 1.1 sensgate", "X-Request-ID: req-1", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"]
        );
        for (name, _) in added.iter().filter(|(name, _)| *name != "Via") {
            assert!(!keeps(&edits(), name, "1"), "{name}");
        }
        for name in ["Host", "API_Key", "api-key", "X-Api-Key", "Connection", "Expect", "Upgrade", "TE", "Keep-Alive"] {
            assert!(!keeps(&edits(), name, "1"), "{name}");
        }
    }

    #[test]
    fn the_rest_goes_on_as_it_came() {
        for name in ["Via", "Accept", "Accept-Encoding", "Range", "Content-Length", "Transfer-Encoding", "Content-Type"]
        {
            assert!(keeps(&edits(), name, "1"), "{name}");
        }
        assert!(!keeps(&edits(), "X-Hop", "1") && keeps(&edits(), "X-Hops", "1"));
        assert!(keeps(&edits(), "access_token", "t") && !keeps(&edits(), "token", "t"));
        assert!(keeps(&edits(), "Authorization", "Basic x") && !keeps(&edits(), "Authorization", "Bearer t"));
        assert!(!keeps(&edits(), "Cookie", "a=b"));
        assert!(keeps(&FieldEdits { pass_cookies: true, ..edits() }, "Cookie", "a=b"));
    }

    #[test]
    fn an_answer_that_is_read_is_asked_for_whole_and_plain() {
        let edits = FieldEdits { answer_is_read: true, ..edits() };
        for name in ["Accept-Encoding", "range", "IF-None-Match", "If-Modified-Since"] {
            assert!(!keeps(&edits, name, "1"), "{name}");
        }
        for name in ["Accept", "If-Match", "Content-Encoding"] {
            assert!(keeps(&edits, name, "1"), "{name}");
        }
    }
}
