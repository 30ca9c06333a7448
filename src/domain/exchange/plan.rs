//! How a request goes to 8sens, as data that any lane can serialise.

use super::fields::{FieldEdits, InjectedToken};
use crate::domain::policy;
use crate::domain::request::path::NormalPath;
use crate::domain::request::{Method, RequestView, TokenPlace, TokenPlaces, split_target};
use crate::domain::session::managed::Lease;
use secrecy::ExposeSecret;
use std::fmt;
use std::sync::Arc;

/// How to forward a request, as data that any lane can serialise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardPlan {
    pub method: Method,
    /// The origin-form target that 8sens receives.
    pub target: Target,
    /// Which of the caller's fields go on, and what the gate says of itself.
    pub fields: FieldEdits,
    pub resend: Resend,
    pub observe: Observe,
    /// Whether the request changes something: then it runs to 8sens's answer even if the caller leaves.
    pub is_write: bool,
    /// Whether it is sent once more, from its beginning and with another token, when 8sens answers that the one which
    /// the gate gave it has expired.
    pub outlives_session: bool,
}

impl ForwardPlan {
    /// Gives the request the token of the session that the gate keeps, at this place and no other.
    pub(super) fn inject(&mut self, place: TokenPlace, lease: &Lease) {
        if place == TokenPlace::AccessTokenQuery
            && let Target::Rewritten(target) = &self.target
        {
            self.target = with_token(target, lease.live().token().expose_secret());
        }
        self.fields.token = Some(InjectedToken { place, live: Arc::clone(lease.live()) });
    }
}

/// Whether the answer is of interest to the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observe {
    Nothing,
    /// A login: its answer has to be readable, so it is asked for uncompressed and whole.
    Login,
}

/// The forwarded target.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// As it is in the request line.
    AsReceived,
    /// It came in absolute-form, its path was put into normal form, or a known token place that 8sens is not told to
    /// read was taken out of the query.
    Rewritten(Arc<[u8]>),
}

/// Without the query: nobody knows what secrets a caller puts there.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsReceived => f.write_str("AsReceived"),
            Self::Rewritten(target) => write!(f, "Rewritten({}?…)", split_target(target).0.escape_ascii()),
        }
    }
}

/// The target with the token of a session that the gate keeps: the caller's has none.
fn with_token(target: &[u8], token: &str) -> Target {
    let separator: &[u8] = if split_target(target).1.is_some() { b"&" } else { b"?" };
    let token: String = percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC).collect();
    Target::Rewritten([target, separator, b"access_token=", token.as_bytes()].concat().into())
}

/// When a request may be sent to 8sens a second time. A failed connect wrote nothing and may always be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// Once a byte was written: never.
    Never,
    /// Once, when a reused connection closed before any byte of the answer: GET, HEAD and OPTIONS only.
    OnceIfReusedConnectionClosed,
}

/// The target with its path in normal form, and without `access_token` parameters when 8sens does not read the token
/// there.
pub(super) fn forwarded_target(request: &RequestView<'_>, token_from: TokenPlaces) -> Target {
    let query = request.query();
    let drops_tokens = !token_from.contains(TokenPlace::AccessTokenQuery);
    let drops_tokens = drops_tokens && policy::token::is_in_query(request);
    if !drops_tokens && request.normal_path().map_or(true, NormalPath::is_as_received) {
        return if request.is_origin_form { Target::AsReceived } else { Target::Rewritten(request.target().into()) };
    }
    let mut target = request.path().to_vec();
    let Some(query) = query else { return Target::Rewritten(target.into()) };
    if drops_tokens {
        let mut separator = b'?';
        for pair in query.split(|b| *b == b'&').filter(|pair| !policy::token::is_token_pair(pair)) {
            target.push(separator);
            target.extend_from_slice(pair);
            separator = b'&';
        }
    } else {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    Target::Rewritten(target.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::view;

    #[test]
    fn a_target_goes_on_in_normal_form_and_with_a_token_only_where_8sens_reads_it() {
        let everywhere: TokenPlaces = TokenPlace::ALL.iter().copied().collect();
        let nowhere = TokenPlaces::default();
        let rewritten = |target: &str| Target::Rewritten(target.as_bytes().into());
        for (target, places, expected) in [
            ("/v1/a?x=1", everywhere, Target::AsReceived),
            ("/v1/a?access_token=t&x=1", everywhere, Target::AsReceived),
            ("/v1/a?x=1", nowhere, Target::AsReceived),
            ("/v1/a?access_token=t&x=1&y", nowhere, rewritten("/v1/a?x=1&y")),
            ("/v1/a?access_token=t", nowhere, rewritten("/v1/a")),
            ("/v1/%61", everywhere, rewritten("/v1/a")),
            ("/v1/%61?access_token=t", everywhere, rewritten("/v1/a?access_token=t")),
            ("/v1/%61?access_token=t&x", nowhere, rewritten("/v1/a?x")),
        ] {
            let mut request = view("GET", target, &[]);
            request.is_origin_form = true;
            assert_eq!(forwarded_target(&request, places), expected, "{target}");
        }
        let mut absolute = view("GET", "/v1/a?x=1", &[]);
        absolute.is_origin_form = false;
        assert_eq!(forwarded_target(&absolute, everywhere), rewritten("/v1/a?x=1"));
    }
}
