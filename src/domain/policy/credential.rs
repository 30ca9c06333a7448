//! Credential: exactly one API key, in its one place, that belongs to a consumer and is still valid.
//!
//! Can be neither shadowed nor switched off. An unknown, expired or disabled key all answer `unknown_key`, after the
//! same work.

use super::Passed;
use super::refusal::{KeyOwner, Refusal};
use super::token;
use crate::domain::denial::{Denial, DenyCode, Reason};
use crate::domain::request::RequestView;
use crate::domain::request::pasted::{self, Fault};
use crate::domain::request::query::{self, Carried};
use crate::domain::rules::api_key;
use crate::domain::rules::consumer::{Consumer, ConsumerTable, Credential, KeyLookup};
use crate::domain::types::Wall;
use std::borrow::Cow;
use std::hint::black_box;

/// What an operator reads of a request that has passed.
pub(super) const PASSED: Passed =
    Passed { en: "the consumer has a valid key", fr: "le consommateur a une clé valide" };

/// Longest key that is looked at, in bytes.
pub const MAX_KEY_LEN: usize = 256;

/// Values that may be keys of which the owner is looked for, in a request that came in clear.
const MAX_SHOWN: usize = 8;

/// Who calls, proven by a valid key. Nothing outside this file can make one.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'s> {
    consumer: &'s Consumer,
    credential: &'s Credential,
}

impl<'s> Caller<'s> {
    const fn proven(consumer: &'s Consumer, credential: &'s Credential) -> Self {
        Self { consumer, credential }
    }

    #[must_use]
    pub const fn consumer(self) -> &'s Consumer {
        self.consumer
    }

    #[must_use]
    pub const fn credential(self) -> &'s Credential {
        self.credential
    }
}

impl<'s> From<Caller<'s>> for KeyOwner<'s> {
    fn from(caller: Caller<'s>) -> Self {
        Self { consumer: caller.consumer, credential: caller.credential }
    }
}

/// Proves who calls.
pub(super) fn check<'s>(
    consumers: &'s ConsumerTable,
    request: &RequestView<'_>,
    now: Wall,
) -> Result<Caller<'s>, Refusal<'s>> {
    only_in_its_field(request)?;
    let key = single_key(request)?;
    let found = consumers.lookup(key, now);
    if let KeyLookup::Valid(consumer, credential) = found {
        return Ok(Caller::proven(consumer, credential));
    }
    // Worked out for every key that is refused, also where it is not needed: the time must not tell a known key from an
    // unknown one.
    let unknown = black_box(why_unknown(key));
    match found {
        KeyLookup::Refused(consumer, credential, why) => {
            Err(Refusal { denial: Denial::because(why), owner: Some(KeyOwner { consumer, credential }) })
        }
        // A known key may hold quotation marks; around one that is not known they were pasted along.
        KeyLookup::Unknown if pasted::is_quoted(key) => Err(Denial::because(Reason::QuotedKeyNotKnown).into()),
        KeyLookup::Unknown | KeyLookup::Valid(..) => Err(Denial::because(unknown).into()),
    }
}

/// What a dry run goes on with: a key of the consumer that is good now, or any of its keys with the reason why it is
/// not. `None` when it has no key at all.
pub(super) fn assume<'s>(
    consumer: &'s Consumer,
    request: &RequestView<'_>,
    now: Wall,
) -> (Option<Caller<'s>>, Result<(), Denial>) {
    let judge = |credential: &Credential| credential.refusal_at(now).map_or(Ok(()), |why| Err(Denial::because(why)));
    let good = consumer.credentials.iter().find(|credential| judge(credential).is_ok());
    let shown = only_in_its_field(request);
    match good.or(consumer.credentials.first()) {
        Some(credential) => (Some(Caller::proven(consumer, credential)), shown.and_then(|()| judge(credential))),
        None => (None, shown.and(Err(Denial::because(Reason::KeyNotKnown)))),
    }
}

/// What is wrong with a key that nobody has, for the log: one that was made here and damaged on its way looks like it.
fn why_unknown(key: &[u8]) -> Reason {
    match api_key::checksum_holds(key) {
        None => Reason::KeyNotKnown,
        Some(true) => Reason::KeyRevokedOrForeign,
        Some(false) => Reason::KeyDamaged,
    }
}

/// Refuses a key that is where URLs and cookies are logged.
pub(super) fn only_in_its_field(request: &RequestView<'_>) -> Result<(), Denial> {
    if query_keys(request).next().is_some() {
        return Err(Denial::because(Reason::KeyInQuery));
    }
    if request.cookies.count() > request.cookies.iter().count() {
        return Err(Denial::because(Reason::TooManyCookies));
    }
    if request.cookies.iter().any(cookie_names_a_key) {
        return Err(Denial::because(Reason::KeyInCookie));
    }
    Ok(())
}

/// The one key field, well-formed.
fn single_key<'a>(request: &RequestView<'a>) -> Result<&'a [u8], Denial> {
    let fields = request.keys.count() + request.key_aliases.count();
    let key = match (fields, request.keys.first().or(request.key_aliases.first())) {
        (0, _) if request.is_preflight() => return Err(Denial::because(Reason::Preflight)),
        (0, _) | (_, None) => return Err(Denial::new(DenyCode::MissingKey)),
        (1, Some(key)) => key,
        _ => return Err(Denial::because(Reason::SeveralKeyFields)),
    };
    if memchr::memchr(b',', key).is_some() {
        return Err(Denial::because(Reason::KeysJoined));
    }
    let Some(fault) = pasted::fault(key, MAX_KEY_LEN) else { return Ok(key) };
    Err(Denial::because(match fault {
        Fault::Empty => Reason::KeyEmpty,
        Fault::TooLong => Reason::KeyTooLong,
        Fault::Blank => Reason::KeyHasBlank,
        Fault::Quotes => Reason::KeyInQuotes,
        Fault::Scheme => Reason::KeyHasScheme,
        Fault::NotVisible => Reason::KeyNotVisible,
    }))
}

/// True when something is where a key may be, accepted there or not.
pub(super) fn shows_a_key(request: &RequestView<'_>) -> bool {
    let fields = request.keys.count() + request.key_aliases.count() + request.key_lookalikes.count();
    fields > 0 || query_keys(request).next().is_some() || request.cookies.iter().any(cookie_names_a_key)
}

/// Whose key came along, wherever it is, Bearer tokens and query included. It proves nothing: for telling which key
/// is to be replaced.
pub(super) fn shown<'s>(consumers: &'s ConsumerTable, request: &RequestView<'_>, now: Wall) -> Option<KeyOwner<'s>> {
    let in_fields = request.keys.iter().chain(request.key_aliases.iter()).chain(request.key_lookalikes.iter());
    let in_fields = in_fields.chain(request.authorization.iter().filter_map(token::bearer)).map(Cow::Borrowed);
    let in_query = query_keys(request).map(token::percent_decoded);
    let in_cookies = request.cookies.iter().flat_map(cookie_keys).map(Cow::Borrowed);
    let candidates = in_fields.chain(in_query).chain(in_cookies).filter(|key| key.len() <= MAX_KEY_LEN);
    candidates.take(MAX_SHOWN).find_map(|key| match consumers.lookup(&key, now) {
        KeyLookup::Valid(consumer, credential) | KeyLookup::Refused(consumer, credential, _) => {
            Some(KeyOwner { consumer, credential })
        }
        KeyLookup::Unknown => None,
    })
}

/// Whose key is the only one in a request that was refused before its key was checked, for the log: an admin then finds
/// the shop. The same work whoever it is.
pub(crate) fn owner<'s>(consumers: &'s ConsumerTable, key: &[u8], now: Wall) -> Option<KeyOwner<'s>> {
    if pasted::fault(key, MAX_KEY_LEN).is_some() {
        return None;
    }
    match consumers.lookup(key, now) {
        KeyLookup::Valid(consumer, credential) => Some(KeyOwner { consumer, credential }),
        KeyLookup::Refused(..) | KeyLookup::Unknown => None,
    }
}

/// The one key of a request, in its field or under an alias.
pub(crate) fn sole_key<'a>(request: &RequestView<'a>) -> Option<&'a [u8]> {
    let is_alone = request.keys.count() + request.key_aliases.count() == 1;
    request.keys.first().or(request.key_aliases.first()).filter(|_| is_alone)
}

/// The raw values of every query parameter that is named like a key.
fn query_keys<'a>(request: &RequestView<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    request.secrets().filter_map(|secret| (secret.carried == Carried::Key).then_some(secret.value))
}

fn cookie_names_a_key(cookie: &[u8]) -> bool {
    cookie_keys(cookie).next().is_some()
}

fn cookie_keys(cookie: &[u8]) -> impl Iterator<Item = &[u8]> {
    cookie.split(|b| *b == b';').filter_map(|pair| {
        let (name, value) = query::name_and_value(pair);
        (query::carried_by(name.trim_ascii()) == Some(Carried::Key)).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{credential, view};

    fn outcome(target: &str, fields: &[(&str, &str)]) -> String {
        let old = Credential { expires: Some(Wall(5)), ..credential("k2", "old-key") };
        let consumers = ConsumerTable::new(vec![Consumer::named("shop", vec![credential("k1", "good-key"), old])]);
        let view = view("GET", target, fields);
        match check(&consumers, &view, Wall(10)) {
            Ok(caller) => format!("{}/{}", caller.consumer().name, caller.credential().id),
            Err(refusal) => {
                let who = refusal.owner.map_or(String::new(), |owner| format!(" {}", owner.credential.id));
                format!("{}{who}: {}", refusal.denial.code.as_str(), refusal.denial.reason_word())
            }
        }
    }

    #[test]
    fn one_good_key_passes_under_any_case_of_the_name() {
        assert_eq!(outcome("/", &[("api_key", "good-key")]), "shop/k1");
        assert_eq!(outcome("/", &[("API_Key", "good-key")]), "shop/k1");
        assert_eq!(outcome("/", &[("x-api-key", "good-key")]), "shop/k1");
    }

    #[test]
    fn no_key_or_a_wrong_one() {
        assert_eq!(outcome("/", &[]), "missing_key: ");
        assert_eq!(outcome("/", &[("api-key", "good-key")]), "missing_key: ");
        assert_eq!(outcome("/", &[("api_key", "bad-key")]), "unknown_key: key not known");
        assert_eq!(outcome("/", &[("api_key", "old-key")]), "unknown_key k2: key expired");
    }

    #[test]
    fn a_damaged_key_is_told_apart_from_a_wrong_one_in_the_reason_alone() {
        use secrecy::ExposeSecret;
        let made = api_key::make("k1", &[7; 32]).unwrap();
        let whole = made.expose_secret();
        let cut = &whole[..whole.len() - 1];
        let mistyped = whole.replacen("sgk_k1_", "sgk_k2_", 1);
        assert_eq!(outcome("/", &[("api_key", whole)]), "unknown_key: well-formed key, but not known");
        for damaged in [cut, &mistyped, "sgk_"] {
            assert_eq!(outcome("/", &[("api_key", damaged)]), "unknown_key: mistyped or truncated key", "{damaged}");
        }
    }

    #[test]
    fn never_two() {
        let twice = "ambiguous_key: more than one key field";
        assert_eq!(outcome("/", &[("api_key", "good-key"), ("api_key", "good-key")]), twice);
        assert_eq!(outcome("/", &[("api_key", "good-key"), ("x-api-key", "good-key")]), twice);
        assert_eq!(outcome("/", &[("api_key", "good-key,good-key")]), "ambiguous_key: keys joined by a comma");
    }

    #[test]
    fn never_malformed() {
        let long = "k".repeat(257);
        for value in ["", &long, "a b", "cl\u{e9}"] {
            assert!(outcome("/", &[("api_key", value)]).starts_with("malformed_request"), "{value}");
        }
    }

    #[test]
    fn whose_key_it_was_is_known_by_a_good_key_that_came_alone() {
        let old = Credential { expires: Some(Wall(5)), ..credential("k2", "old-key") };
        let consumers = ConsumerTable::new(vec![Consumer::named("shop", vec![credential("k1", "good-key"), old])]);
        let of = |fields: &[(&str, &'static str)]| {
            let key = sole_key(&view("GET", "/", fields))?;
            owner(&consumers, key, Wall(10)).map(|owner| owner.credential.id.to_string())
        };
        assert_eq!(of(&[("api_key", "good-key")]).as_deref(), Some("k1"));
        assert_eq!(of(&[("x-api-key", "good-key")]).as_deref(), Some("k1"));
        for fields in [
            &[][..],
            &[("api_key", "old-key")],
            &[("api_key", "good key")],
            &[("api_key", "good-key"), ("api_key", "good-key")],
            &[("api_key", "good-key"), ("x-api-key", "good-key")],
        ] {
            assert_eq!(of(fields), None, "{fields:?}");
        }
    }

    #[test]
    fn never_outside_its_field() {
        let good = ("api_key", "good-key");
        for target in [
            "/?api_key=x",
            "/?a=1&API_KEY=x",
            "/?x-api-key",
            "/?api%5Fkey=x",
            "/?a;apikey=x",
            "/?%u0061pi_key=x",
            "/?api%255fkey=x",
            "/?ap%_key&api%_key=x",
            "/?q={\u{e9}|}&api_\u{212a}ey=x",
        ] {
            assert_eq!(outcome(target, &[good]), "key_in_url: key in the query", "{target}");
        }
        for cookie in ["a=1; api_key=x", "API%5FKEY=x"] {
            assert_eq!(outcome("/", &[good, ("cookie", cookie)]), "key_in_url: key in a cookie");
        }
        assert_eq!(outcome("/?my_api_key=x", &[good]), "shop/k1");
    }
}
