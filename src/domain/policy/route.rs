//! Route: what a consumer may call. `deny` wins, whatever the spelling of the path; a login is implied; no `allow` is
//! everything.

use super::Passed;
use super::credential::Caller;
use crate::domain::denial::{Denial, Reason};
use crate::domain::request::RequestView;
use crate::domain::rules::route::{RouteRule, covering};
use crate::domain::rules::snapshot::SessionRules;
use std::sync::Arc;

/// What an operator reads of a request that has passed.
pub(super) const PASSED: Passed = Passed {
    en: "no deny rule covers it, and there is no `allow`",
    fr: "aucune règle deny ne la couvre, et il n'y a pas d'`allow`",
};

/// Refuses what is no login and might be one to 8sens: its answer would hand out a token that the gate never sees. Can
/// be neither shadowed nor switched off.
pub(super) fn check_login_spelling(request: &RequestView<'_>, session: &SessionRules) -> Result<(), Denial> {
    match session.mistakable_login(request.method, request.path()) {
        Some(_) => Err(Denial::because(Reason::LoginSpelling)),
        None => Ok(()),
    }
}

/// The rule that allows the request, as written. `None` when the consumer has no `allow` at all.
pub(super) fn check<'s>(
    caller: Caller<'s>,
    request: &RequestView<'_>,
    session: &'s SessionRules,
) -> Result<Option<&'s Arc<str>>, Denial> {
    let (method, path) = (request.method, request.path());
    if caller.consumer().deny.iter().any(|rule| rule.covers_any_spelling(method, path)) {
        return Err(Denial::because(Reason::DeniedByRule));
    }
    let named = |rules: &'s [RouteRule]| covering(rules, method, path).map(|index| rules[index].name());
    if let Some(login) = named(&session.login_routes) {
        return Ok(Some(login));
    }
    match &caller.consumer().allow {
        None => Ok(None),
        Some(rules) => match named(rules) {
            Some(rule) => Ok(Some(rule)),
            None => Err(Denial::because(Reason::NoAllowRule)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{consumer, rules, snapshot, view};
    use crate::domain::rules::consumer::Consumer;
    use crate::domain::types::Wall;

    fn outcome(allow: Option<&[&str]>, deny: &[&str], method: &str, target: &str) -> String {
        let shop = Consumer { allow: allow.map(rules), deny: rules(deny), ..consumer("shop", "key") };
        let session = snapshot(vec![]).session;
        let view = view(method, target, &[]);
        let (caller, _) = super::super::credential::assume(&shop, &view, Wall(0));
        let caller = caller.expect("it has a key");
        match check_login_spelling(&view, &session).and_then(|()| check(caller, &view, &session)) {
            Ok(rule) => rule.map_or("everything", |rule| rule).to_owned(),
            Err(denial) => denial.reason_word().to_owned(),
        }
    }

    #[test]
    fn allow_deny_and_the_implied_login() {
        let allow: Option<&[&str]> = Some(&["GET /v1/*"]);
        assert_eq!(outcome(None, &[], "PUT", "/v9/x"), "everything");
        assert_eq!(outcome(allow, &[], "GET", "/v1/clients?page=2"), "GET /v1/*");
        assert_eq!(outcome(allow, &[], "POST", "/v1/clients"), "matches no allow rule");
        assert_eq!(outcome(allow, &[], "POST", "/v1/login/user"), "POST /v1/login/user");
        assert_eq!(outcome(Some(&[]), &[], "GET", "/v1/clients"), "matches no allow rule");
        assert_eq!(outcome(None, &["* /v1/secret*"], "GET", "/v1/secrets"), "matches a deny rule");
        assert_eq!(outcome(allow, &["* /v1/login*"], "POST", "/v1/login/user"), "matches a deny rule");
    }
}
