//! Token: at most one access token in all the places where 8sens might look for one.
//!
//! Two tokens are an attack or a mistake: the gate would check one and 8sens might read the other.

use super::Passed;
use crate::domain::denial::{Denial, Reason};
use crate::domain::request::pasted::{self, Fault};
use crate::domain::request::query::{self, Carried, Secret};
use crate::domain::request::{RequestView, TokenPlace};
use std::borrow::Cow;

/// What an operator reads of a request that has passed.
pub(super) const PASSED: Passed = Passed { en: "at most one token", fr: "un jeton au plus" };

/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN_LEN: usize = 4096;

/// Refuses more than one token, or one that is not a token at all. At a login none is looked at, and a field that waits
/// for its first one is empty: that is no token.
pub(super) fn check(request: &RequestView<'_>, is_login: bool) -> Result<(), Denial> {
    if request.authorization.count() > 1 {
        return Err(Denial::because(Reason::SeveralAuthorizations));
    }
    let bearer = request.authorization.first().and_then(bearer);
    let in_headers = || request.access_token.iter().chain(request.token.iter()).chain(bearer);
    let in_query = || query_tokens(request);
    let waits = |token: &[u8]| is_login && token.is_empty();
    let waiting = in_headers().chain(in_query()).filter(|token| waits(token)).count();
    let found = request.access_token.count() + request.token.count() + usize::from(bearer.is_some());
    if found + in_query().count() - waiting > 1 {
        return Err(Denial::because(Reason::SeveralTokens));
    }
    for parameter in parameters(request) {
        if parameter.is_divided {
            return Err(Denial::because(Reason::TokenNameDivided));
        }
        if !query::is_strictly_encoded(parameter.value) {
            return Err(Denial::because(Reason::TokenNotEncoded));
        }
    }
    // What is looked at is what 8sens will read, and what is looked up.
    for token in in_headers().map(Cow::Borrowed).chain(in_query().map(percent_decoded)).filter(|token| !waits(token)) {
        if memchr::memchr(b',', &token).is_some() {
            return Err(Denial::because(Reason::TokensJoined));
        }
        if let Some(fault) = pasted::fault(&token, MAX_TOKEN_LEN) {
            return Err(Denial::because(reason(fault)));
        }
    }
    Ok(())
}

const fn reason(fault: Fault) -> Reason {
    match fault {
        Fault::Empty => Reason::TokenEmpty,
        Fault::TooLong => Reason::TokenTooLong,
        Fault::Blank => Reason::TokenHasBlank,
        Fault::Quotes => Reason::TokenInQuotes,
        Fault::Scheme => Reason::TokenHasScheme,
        Fault::NotVisible => Reason::TokenNotVisible,
    }
}

/// Where the one token of a request that passed [`check`] is.
pub(crate) fn place(request: &RequestView<'_>) -> Option<TokenPlace> {
    if request.access_token.count() > 0 {
        Some(TokenPlace::AccessTokenHeader)
    } else if request.token.count() > 0 {
        Some(TokenPlace::TokenHeader)
    } else if request.authorization.first().is_some_and(is_bearer) {
        Some(TokenPlace::Bearer)
    } else {
        is_in_query(request).then_some(TokenPlace::AccessTokenQuery)
    }
}

/// The one token of a request that passed [`check`], decoded; `None` when it has none.
pub(super) fn presented<'a>(request: &RequestView<'a>) -> Option<Cow<'a, [u8]>> {
    let in_headers = request.access_token.first().or(request.token.first());
    let in_headers = in_headers.or_else(|| request.authorization.first().and_then(bearer));
    let in_query = || query_tokens(request).next().map(percent_decoded);
    in_headers.map(Cow::Borrowed).or_else(in_query)
}

/// Decodes `%XX`; anything else stays. Only a token that needs it costs an allocation.
pub(super) fn percent_decoded(token: &[u8]) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode(token).into()
}

/// The token of an `Authorization: Bearer …` value.
pub(super) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let rest_starts = rest.first().is_none_or(|b| matches!(b, b' ' | b'\t'));
    (scheme.eq_ignore_ascii_case(b"bearer") && rest_starts).then(|| rest.trim_ascii())
}

/// True when an `Authorization` value carries a Bearer token.
pub(crate) fn is_bearer(value: &[u8]) -> bool {
    bearer(value).is_some()
}

/// The raw values of every `access_token` query parameter.
fn query_tokens<'a>(request: &RequestView<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    parameters(request).map(|secret| secret.value)
}

/// Every parameter whose name is `access_token` in some reading: no token that somebody might read goes on unseen.
fn parameters<'a>(request: &RequestView<'a>) -> impl Iterator<Item = Secret<'a>> + use<'a> {
    request.secrets().filter(|secret| secret.carried == Carried::Token)
}

/// True when the query has an `access_token` parameter.
pub(crate) fn is_in_query(request: &RequestView<'_>) -> bool {
    parameters(request).next().is_some()
}

/// True when one pair of a query is such a parameter.
pub(crate) fn is_token_pair(pair: &[u8]) -> bool {
    query::secrets(pair).any(|secret| secret.carried == Carried::Token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::view;

    fn outcome(target: &str, fields: &[(&str, &str)]) -> &'static str {
        check(&view("GET", target, fields), false).map_or_else(|denial| denial.code.as_str(), |()| "ok")
    }

    /// A client that always sends its field sends it empty before its first login.
    #[test]
    fn at_a_login_an_empty_field_is_no_token() {
        let outcome = |target: &str, fields: &[(&str, &str)]| {
            check(&view("POST", target, fields), true).map_or_else(|denial| denial.code.as_str(), |()| "ok")
        };
        for fields in [
            &[("access_token", "")][..],
            &[("token", "")],
            &[("authorization", "Bearer")],
            &[("authorization", "bearer  ")],
            &[("access_token", ""), ("token", ""), ("authorization", "Bearer")],
            &[("access_token", ""), ("access_token", "t")],
            &[("access_token", "dead")],
        ] {
            assert_eq!(outcome("/", fields), "ok", "{fields:?}");
        }
        assert_eq!(outcome("/?access_token=&access_token=", &[]), "ok");
        assert_eq!(outcome("/?access_token=", &[("token", "t")]), "ok");
        assert_eq!(outcome("/", &[("access_token", "t"), ("token", "u")]), "ambiguous_token");
        assert_eq!(outcome("/?access_token=%20", &[]), "malformed_request");
        assert_eq!(outcome("/", &[("authorization", "Bearer"), ("authorization", "Bearer")]), "ambiguous_token");
    }

    #[test]
    fn none_or_one_passes() {
        assert_eq!(outcome("/", &[]), "ok");
        assert_eq!(outcome("/", &[("access_token", "t")]), "ok");
        assert_eq!(outcome("/", &[("token", "t")]), "ok");
        assert_eq!(outcome("/", &[("authorization", "Bearer t")]), "ok");
        assert_eq!(outcome("/", &[("authorization", "Basic abc")]), "ok");
        assert_eq!(outcome("/?access_token=t", &[]), "ok");
    }

    #[test]
    fn where_the_one_token_is_and_what_it_says() {
        let of = |target: &str, fields: &[(&str, &'static str)]| {
            let request = view("GET", target, fields);
            let token = presented(&request).map(|token| String::from_utf8(token.into_owned()).unwrap());
            (place(&request), token)
        };
        for (target, fields, expected) in [
            ("/", &[("access_token", "t")][..], Some((TokenPlace::AccessTokenHeader, "t"))),
            ("/", &[("token", "t")], Some((TokenPlace::TokenHeader, "t"))),
            ("/", &[("authorization", "Bearer t")], Some((TokenPlace::Bearer, "t"))),
            ("/?access_token=%74", &[], Some((TokenPlace::AccessTokenQuery, "t"))),
            ("/?x=1", &[("authorization", "Basic abc")], None),
        ] {
            let expected = expected.map(|(place, token)| (place, token.to_owned())).unzip();
            assert_eq!(of(target, fields), expected, "{target} {fields:?}");
        }
        assert!(is_token_pair(b"access_token=t") && !is_token_pair(b"token_access=t"));
    }

    #[test]
    fn two_in_any_places_are_ambiguous() {
        let places: [(&str, Option<(&str, &str)>); 4] = [
            ("/?access_token=t", None),
            ("/", Some(("access_token", "t"))),
            ("/", Some(("token", "t"))),
            ("/", Some(("authorization", "bearer t"))),
        ];
        for (i, (target, first)) in places.iter().enumerate() {
            for (other, second) in places.iter().skip(i + 1) {
                let target = if target.len() > 1 { target } else { other };
                let fields: Vec<_> = first.iter().chain(second).copied().collect();
                assert_eq!(outcome(target, &fields), "ambiguous_token", "{target} {fields:?}");
            }
        }
        for target in [
            "/?access_token=a&access_token=b",
            "/?access_token=a;ACCESS_TOKEN=b",
            "/?access%5ftoken=a&access_token=b",
            "/?acce%2573s_token=a&access_token=b",
            "/?access_token=a&access.token[]=b",
            "/?access_token=a&%u0061ccess_token=b",
        ] {
            assert_eq!(outcome(target, &[]), "ambiguous_token", "{target}");
        }
        assert_eq!(outcome("/", &[("token", "a,b")]), "ambiguous_token");
        assert_eq!(outcome("/", &[("token", "a"), ("token", "a")]), "ambiguous_token");
    }

    #[test]
    fn a_broken_token_is_malformed() {
        for (target, fields) in [
            ("/?access_token=", &[][..]),
            ("/?access_token=a%1bb", &[]),
            ("/?access_token=a%20b", &[]),
            ("/?access_token=a%", &[]),
            ("/?access_token=a%zz", &[]),
            ("/?access_token=%u0061", &[]),
            ("/?access_token={a}", &[]),
            ("/?access_token=a\u{e9}", &[]),
            ("/?x%26access_token=a", &[]),
            ("/?a%26access_token%3Dx%26b=own", &[]),
            ("/", &[("token", "")]),
            ("/", &[("token", "a b")]),
            ("/", &[("authorization", "Bearer")]),
        ] {
            assert_eq!(outcome(target, fields), "malformed_request", "{target} {fields:?}");
        }
    }
}
