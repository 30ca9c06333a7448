//! A dry run: every rule on a request that was never made, for one consumer, without its key.
//!
//! Nothing that is forwarded can come of it. The order and the rules are those of [`decide`](super::decide), out of the
//! one list; unlike there, the rules after the first refusal are asked as well.

use super::objection::Objection;
use super::order::{self, Case, Judge};
use super::{Policy, credential};
use crate::domain::denial::Denial;
use crate::domain::request::RequestView;
use crate::domain::rules::consumer::Consumer;
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::snapshot::Snapshot;
use crate::domain::tables::Tables;
use crate::domain::types::Now;
use std::net::IpAddr;

/// What one rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    pub policy: Policy,
    /// How far the rule is in force. Always on for those that can be neither shadowed nor switched off.
    pub enforce: Enforce,
    pub refusal: Option<Denial>,
}

impl Ruling {
    /// True when the request would end here.
    #[must_use]
    pub fn ends_it(&self) -> bool {
        self.refusal.is_some() && self.enforce == Enforce::On
    }
}

/// What every rule says of a request of `consumer` from `client`, in the order in which they are asked. Without a
/// `client` the rules about addresses are left out. Whatever key the request shows is not looked at: a valid one of the
/// consumer is assumed, if it has one.
#[must_use]
pub fn rehearse(
    snapshot: &Snapshot,
    tables: &Tables,
    consumer: &Consumer,
    request: &RequestView<'_>,
    client: Option<IpAddr>,
    now: Now,
) -> Vec<Ruling> {
    let case = Case { snapshot, tables, request, client, now };
    let mut all = AllRulings::default();
    // Nothing ends a dry run: what each of them returns was heard already.
    let _ = order::of_anybody(&mut all, case);
    let (caller, usable) = credential::assume(consumer, request, now.wall);
    let _ = all.hear(Policy::Credential, Enforce::On, || Ok(usable?));
    if let Some(caller) = caller {
        let _ = order::of_caller(&mut all, case, caller);
        // `OPTIONS *` is answered by the gate: no route, token or quota is asked about.
        if request.target() != b"*" {
            let _ = order::of_request(&mut all, case, caller);
        }
    }
    all.0
}

/// Hears every rule to its end, and ends with none.
#[derive(Default)]
struct AllRulings(Vec<Ruling>);

impl Judge for AllRulings {
    fn hear(
        &mut self,
        policy: Policy,
        enforce: Enforce,
        rule: impl FnOnce() -> Result<(), Objection>,
    ) -> Result<(), Denial> {
        let refusal = if enforce == Enforce::Off { None } else { rule().err().map(|objection| objection.denial) };
        self.0.push(Ruling { policy, enforce, refusal });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{self, NOW, consumer, quota, rules, snapshot, view_from};
    use crate::domain::policy::decide;
    use crate::domain::request::client_ip::ClientIp;
    use crate::domain::request::{Framing, Transport};
    use crate::domain::rules::consumer::Credential;
    use crate::domain::rules::snapshot::SessionMode;
    use crate::domain::types::Wall;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_trial_says_what_the_decision_says(
            (allow, deny, from, limited) in any::<(bool, bool, bool, bool)>(),
            enforce in prop_oneof![Just(Enforce::On), Just(Enforce::Shadow), Just(Enforce::Off)],
            mode in prop_oneof![Just(SessionMode::Guard), Just(SessionMode::Observe)],
            (expired, enabled) in any::<(bool, bool)>(),
            method in prop_oneof![Just("GET"), Just("POST"), Just("FETCH")],
            target in prop_oneof![
                Just("/v1/a"), Just("/v1/secret"), Just("/v2"), Just("/v1/login/user"), Just("/v1//x"),
                Just("/v1/version"), Just("/v1/a?api_key=x"), Just("/v1/a?access_token=t1"),
            ],
            tokens in proptest::collection::vec(prop_oneof![Just("mine"), Just("unknown"), Just("")], 0..3),
            transport in prop_oneof![Just(Transport::Tls), Just(Transport::Cleartext), Just(Transport::Lan)],
            client in prop_oneof![Just("203.0.113.9"), Just("10.0.0.9")],
            body in prop_oneof![Just(0_u64), Just(101)],
            used_up in any::<bool>(),
        ) {
            let shop = Consumer {
                credentials: vec![Credential {
                    expires: expired.then_some(Wall(0)),
                    enabled,
                    ..fixture::credential("k1", "key")
                }],
                allow_from: from.then(|| vec!["203.0.113.0/24".parse().unwrap()]),
                allow: allow.then(|| rules(&["GET /v1/*"])),
                deny: if deny { rules(&["* /v1/secret*"]) } else { vec![] },
                rate_limit: limited.then(|| quota("1/s")),
                enforce,
                ..consumer("shop", "key")
            };
            let mut snapshot = snapshot(vec![shop]);
            snapshot.session.mode = mode;
            // Both may use something up, so each gets tables of its own.
            let tables = || {
                let tables = fixture::tables(&snapshot);
                let hash = tables.sessions.hash(b"mine");
                if let Some(caller) = tables.sessions.caller("shop", "k1") {
                    let _ = tables.sessions.learn(hash, caller, NOW.mono, &snapshot.session.limits);
                }
                if used_up {
                    let _ = tables.limiter.consumer_bucket("shop").charge(&quota("1/s"), NOW.mono);
                }
                tables
            };
            let client = client.parse().unwrap();
            let fields: Vec<_> = tokens.iter().map(|token| ("access_token", *token)).collect();
            let mut view = view_from(client, transport, method, target, &fields);
            view.framing = Framing::Length(body);
            let consumer = snapshot.consumers.iter().next().unwrap();
            let rulings = rehearse(&snapshot, &tables(), consumer, &view, Some(client), NOW);
            let first = rulings.iter().find(|ruling| ruling.ends_it()).and_then(|ruling| ruling.refusal.clone());
            let shadowed = rulings.iter().find(|ruling| ruling.refusal.is_some() && ruling.enforce == Enforce::Shadow);

            let mut keyed = view.clone();
            keyed.push_field(&snapshot.fields, b"api_key", b"key");
            let tables = tables();
            match decide(&snapshot, &tables, &keyed, ClientIp { address: client, unreadable: false }, NOW) {
                Ok(admission) => {
                    prop_assert_eq!(first, None);
                    prop_assert_eq!(
                        admission.would_refuse.map(|would| (would.code, would.reason)),
                        shadowed.and_then(|ruling| ruling.refusal.as_ref()).map(|denial| (denial.code, denial.reason))
                    );
                }
                Err(refusal) => prop_assert_eq!(Some(refusal.denial), first),
            }
        }
    }
}
