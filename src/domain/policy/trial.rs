//! A dry run: every rule on a request that was never made, for one consumer, without its key.
//!
//! Nothing that is forwarded can come of it. The order and the rules are those of [`decide`](super::decide), out of the one list; unlike
//! there, the rules after the first refusal are asked as well.

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

/// What every rule says of a request of `consumer` from `client`, in the order in which they are asked. Without a `client` the rules about
/// addresses are left out. Whatever key the request shows is not looked at: a valid one of the consumer is assumed, if it has one.
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
        let _ = order::of_request(&mut all, case, caller);
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
    use crate::domain::limit::Quota;
    use crate::domain::limit::quota::Period;
    use crate::domain::policy::decide;
    use crate::domain::request::client_ip::{ClientIp, TrustedProxies};
    use crate::domain::request::head::HeadLimits;
    use crate::domain::request::{FieldTable, Framing, TokenPlace, Transport};
    use crate::domain::rules::consumer::Credential;
    use crate::domain::rules::consumer::{ConsumerTable, digest};
    use crate::domain::rules::route::RouteRule;
    use crate::domain::rules::snapshot::SessionMode;
    use crate::domain::rules::snapshot::{BudgetRules, SessionRules, SizeLimits};
    use crate::domain::session::{ExpiredWhen, SessionLimits};
    use crate::domain::tables::NoJournal;
    use crate::domain::types::Wall;
    use crate::domain::types::{HttpVersion, Mono};
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    const NOW: Now = Now { mono: Mono(10_000_000_000_000), wall: Wall(1_790_000_000_000) };

    fn quota(count: u32) -> Quota {
        Quota::new(count, Period::Second, None).unwrap()
    }

    fn rules(texts: &[&str]) -> Vec<RouteRule> {
        texts.iter().map(|text| RouteRule::parse(text).unwrap()).collect()
    }

    fn snapshot(consumer: Consumer, mode: SessionMode) -> Snapshot {
        Snapshot {
            consumers: ConsumerTable::new(vec![consumer]),
            fields: FieldTable::new([], "x-forwarded-for"),
            trusted_proxies: TrustedProxies::default(),
            session: SessionRules {
                token_from: TokenPlace::ALL.to_vec(),
                login_routes: rules(&["POST /v1/login/user"]),
                public: rules(&["GET /v1/version"]),
                mode,
                limits: SessionLimits::default(),
                expired_when: ExpiredWhen::default(),
                pass_cookies: false,
            },
            encoded_slash: vec![],
            budgets: BudgetRules {
                address: quota(100),
                failed_credentials: quota(100),
                failed_tokens: quota(100),
                enforce: Enforce::On,
                rate_limit_on_answers: true,
            },
            limits: SizeLimits { head: HeadLimits { bytes: 4096, uri: 1024, fields: 32 }, body: 100 },
        }
    }

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
                Just("/v1/a"), Just("/v1/secret"), Just("/v2"), Just("/v1/login/user"), Just("/v1//x"), Just("/v1/version"),
                Just("/v1/a?api_key=x"), Just("/v1/a?access_token=t1"),
            ],
            tokens in proptest::collection::vec(prop_oneof![Just("mine"), Just("unknown"), Just("")], 0..3),
            transport in prop_oneof![Just(Transport::Tls), Just(Transport::Cleartext), Just(Transport::Lan)],
            client in prop_oneof![Just("203.0.113.9"), Just("10.0.0.9")],
            body in prop_oneof![Just(0_u64), Just(101)],
            used_up in any::<bool>(),
        ) {
            let consumer = Consumer {
                name: "shop".into(),
                credentials: vec![Credential {
                    digest: digest(b"key"),
                    expires: expired.then_some(Wall(0)),
                    enabled,
                    ..Credential::named("k1")
                }],
                allow_from: from.then(|| vec!["203.0.113.0/24".parse().unwrap()]),
                allow: allow.then(|| rules(&["GET /v1/*"])),
                deny: if deny { rules(&["* /v1/secret*"]) } else { vec![] },
                rate_limit: limited.then(|| quota(1)),
                route_limits: vec![],
                enforce,
            };
            let snapshot = snapshot(consumer, mode);
            // Both may use something up, so each gets tables of its own.
            let tables = || {
                let tables = Tables::new(&Zeroizing::new([7; 32]), &snapshot, Box::new(NoJournal), NOW);
                let hash = tables.sessions.hash(b"mine");
                if let Some(caller) = tables.sessions.caller("shop", "k1") {
                    let _ = tables.sessions.learn(hash, caller, NOW.mono, &snapshot.session.limits);
                }
                if used_up {
                    let _ = tables.limiter.consumer_bucket("shop").charge(&quota(1), NOW.mono);
                }
                tables
            };
            let client = client.parse().unwrap();
            let mut view = RequestView::new(method.as_bytes(), target.as_bytes(), HttpVersion::Http11, client, transport);
            view.framing = Framing::Length(body);
            for token in &tokens {
                view.push_field(&snapshot.fields, b"access_token", token.as_bytes());
            }
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
