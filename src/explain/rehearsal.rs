//! What would become of a request, told rule by rule: the dry run of `explain --consumer`.

use super::{Explanation, Refusal, Setting, explain, printable};
use crate::config::Settings;
use crate::domain::denial::{Denial, DenyCode};
use crate::domain::policy::{Passed, Policy, Ruling, rehearse};
use crate::domain::request::{RequestView, Transport};
use crate::domain::rules::consumer::Consumer;
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::route::{RouteRule, covering};
use crate::domain::tables::{NoJournal, Tables};
use crate::domain::types::{HttpVersion, Mono, Now, Wall};
use crate::text;
use crate::text::Text;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr};
use zeroize::Zeroizing;

/// The token that the request shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShownToken {
    /// A live one of the consumer's own.
    #[default]
    Live,
    None,
    Expired,
    /// One that never came out of a login through this gate.
    Unknown,
    /// A live one of another consumer.
    Foreign,
}

/// A request that is only thought of.
#[derive(Clone, Copy, Debug)]
pub struct Imagined<'a> {
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    pub from: Option<IpAddr>,
    pub token: ShownToken,
}

/// What became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Rehearsal {
    pub consumer: String,
    pub method: String,
    pub path: String,
    pub client_ip: Option<String>,
    /// The code of the refusal; `None` when the request would be forwarded.
    pub code: Option<DenyCode>,
    /// In the order in which they are asked; those after a refusal are never reached by a real request.
    pub steps: Vec<RehearsedRule>,
}

/// One rule.
#[derive(Clone, Debug, Serialize)]
pub struct RehearsedRule {
    /// `framing`, `transport`, `budget`, `credential`, `address`, `route`, `token`, `quota`, `session`.
    pub rule: &'static str,
    pub outcome: Outcome,
    pub code: Option<DenyCode>,
    /// What the rule found.
    pub found: Text,
    /// The setting that decided.
    pub setting: Option<Setting>,
    /// What would let it through.
    pub remedies: Vec<Text>,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passes,
    Refuses,
    /// It is in shadow, or sessions are only observed: the request is forwarded, counted and logged.
    WouldRefuse,
    Off,
    /// It depends on something that was not said.
    Depends,
}

/// The moment of the rehearsal on the monotonic clock: a month in, so that a token of the longest idle time can have
/// expired before it.
const MOMENT: Mono = Mono(30 * 86_400 * 1_000_000_000);

/// Asks every rule about an imagined request of a consumer. The tables are empty: no quota is used up and no budget
/// exhausted.
#[must_use]
pub fn run(settings: &Settings, consumer: &Consumer, imagined: &Imagined<'_>, wall: Wall) -> Rehearsal {
    let snapshot = &settings.snapshot;
    let now = Now { mono: MOMENT, wall };
    let tables = Tables::new(&Zeroizing::new([0; 32]), snapshot, Box::new(NoJournal), now);
    prepare_token(&tables, settings, consumer, imagined.token);
    let peer = imagined.from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    // Whether the transport is safe depends on the listener, which is not said: it is taken to be.
    let (method, target) = (imagined.method.as_bytes(), imagined.target.as_bytes());
    let mut view = RequestView::new(method, target, HttpVersion::Http11, peer, Transport::Tls);
    if imagined.token != ShownToken::None && !snapshot.session.is_login(view.method, view.path()) {
        view.push_field(&snapshot.fields, b"access_token", TOKEN);
    }
    let rulings = rehearse(snapshot, &tables, consumer, &view, imagined.from, now);
    let told = Told { settings, consumer, view: &view, imagined };
    let ended = rulings.iter().find(|ruling| ruling.ends_it());
    let code = ended.and_then(|ruling| ruling.refusal.as_ref()).map(|denial| denial.code);
    let mut steps: Vec<RehearsedRule> = rulings.iter().map(|ruling| told.step(ruling)).collect();
    if imagined.from.is_none() && consumer.allow_from.is_some() {
        let at = steps.iter().position(|step| step.rule == Policy::Route.as_str()).unwrap_or(steps.len());
        steps.insert(at, told.address_unknown());
    }
    Rehearsal {
        consumer: consumer.name.to_string(),
        method: printable(view.method),
        path: printable(view.path()),
        client_ip: imagined.from.map(|address| address.to_string()),
        code,
        steps,
    }
}

const TOKEN: &[u8] = b"rehearsal";

fn prepare_token(tables: &Tables, settings: &Settings, consumer: &Consumer, token: ShownToken) {
    let limits = &settings.snapshot.session.limits;
    let owner = match token {
        ShownToken::None | ShownToken::Unknown => return,
        ShownToken::Live | ShownToken::Expired => Some(consumer),
        // Without another consumer nobody else can own it, and it is unknown.
        ShownToken::Foreign => settings.snapshot.consumers.iter().find(|other| other.name != consumer.name),
    };
    let caller = owner.and_then(|owner| {
        owner.credentials.iter().find_map(|credential| tables.sessions.caller(&owner.name, &credential.id))
    });
    let Some(caller) = caller else { return };
    let sent = match token {
        ShownToken::Expired => {
            Mono(MOMENT.0.saturating_sub(u64::try_from(limits.idle_timeout.as_nanos()).unwrap_or(u64::MAX)))
        }
        _ => MOMENT,
    };
    let _ = tables.sessions.learn(tables.sessions.hash(TOKEN), caller, sent, limits);
}

struct Told<'a> {
    settings: &'a Settings,
    consumer: &'a Consumer,
    view: &'a RequestView<'a>,
    imagined: &'a Imagined<'a>,
}

impl Told<'_> {
    fn step(&self, ruling: &Ruling) -> RehearsedRule {
        let rule = ruling.policy.as_str();
        match &ruling.refusal {
            Some(denial) => {
                let Explanation { meaning, setting, remedies, .. } = self.explain(denial, ruling.ends_it());
                let outcome = if ruling.ends_it() { Outcome::Refuses } else { Outcome::WouldRefuse };
                RehearsedRule { rule, outcome, code: Some(denial.code), found: meaning, setting, remedies }
            }
            None => {
                let (found, setting) = self.passed(ruling.policy);
                let outcome = if ruling.enforce == Enforce::Off { Outcome::Off } else { Outcome::Passes };
                RehearsedRule { rule, outcome, code: None, found, setting, remedies: vec![] }
            }
        }
    }

    fn explain(&self, denial: &Denial, enforced: bool) -> Explanation {
        let refusal = Refusal {
            time: String::new(),
            request_id: String::new(),
            code: denial.code,
            enforced,
            reason: denial.reason_word().to_owned(),
            consumer: Some(self.consumer.name.to_string()),
            key_id: self.consumer.credentials.first().map(|credential| credential.id.to_string()),
            client_ip: self.imagined.from.map(|address| address.to_string()).unwrap_or_default(),
            method: printable(self.view.method),
            path: printable(self.view.path()),
            route: None,
        };
        explain(&refusal, self.settings)
    }

    fn setting(&self, key: String, value: Option<String>) -> Option<Setting> {
        let location = self.settings.positions.location(&key);
        Some(Setting { key, value, location })
    }

    fn own(&self, key: &str, value: Option<String>) -> Option<Setting> {
        self.setting(format!("consumer.{}.{key}", self.consumer.name), value)
    }

    fn covering(&self, rules: &[RouteRule]) -> Option<usize> {
        covering(rules, self.view.method, self.view.path())
    }

    fn address_unknown(&self) -> RehearsedRule {
        RehearsedRule {
            rule: Policy::Address.as_str(),
            outcome: Outcome::Depends,
            code: None,
            found: text! {
                en: "depends on the caller's address: say it with --from",
                fr: "dépend de l'adresse de l'appelant : donnez-la avec --from"
            },
            setting: self.own("allow_from", None),
            remedies: vec![],
        }
    }

    /// Why a rule lets the request pass.
    fn passed(&self, policy: Policy) -> (Text, Option<Setting>) {
        let generic = || {
            let Passed { en, fr } = policy.passed();
            Text { en: en.into(), fr: fr.into() }
        };
        match policy {
            Policy::Budget => (
                generic(),
                self.setting(
                    "limits.address_budget".into(),
                    Some(format!("\"{}\"", self.settings.snapshot.budgets.address)),
                ),
            ),
            Policy::Credential => (generic(), self.own("keys", None)),
            Policy::Address => self.address_passed().unwrap_or_else(|| (generic(), None)),
            Policy::Route => self.route_passed().unwrap_or_else(|| (generic(), None)),
            Policy::Quota => self.quota_passed().unwrap_or_else(|| (generic(), None)),
            Policy::Session => self.session_passed().unwrap_or_else(|| (generic(), None)),
            _ => (generic(), None),
        }
    }

    fn address_passed(&self) -> Option<(Text, Option<Setting>)> {
        let (networks, from) = self.consumer.allow_from.as_ref().zip(self.imagined.from)?;
        let index = networks.iter().position(|network| network.contains(&from))?;
        let network = networks[index];
        Some((
            text! { en: "the address is in {network}", fr: "l'adresse est dans {network}" },
            self.own(&format!("allow_from.{index}"), Some(format!("\"{network}\""))),
        ))
    }

    fn route_passed(&self) -> Option<(Text, Option<Setting>)> {
        let session = &self.settings.snapshot.session;
        if let Some(index) = self.covering(&session.login_routes) {
            let rule = &session.login_routes[index];
            return Some((
                text! { en: "a login is open to every consumer", fr: "une connexion est ouverte à tout consommateur" },
                self.setting(format!("session.login_routes.{index}"), Some(format!("\"{rule}\""))),
            ));
        }
        let rules = self.consumer.allow.as_ref()?;
        let index = self.covering(rules)?;
        let rule = &rules[index];
        Some((
            text! { en: "allowed by \"{rule}\"", fr: "autorisée par \"{rule}\"" },
            self.own(&format!("allow.{index}"), Some(format!("\"{rule}\""))),
        ))
    }

    fn quota_passed(&self) -> Option<(Text, Option<Setting>)> {
        let limits = &self.consumer.route_limits;
        let limited = limits.iter().position(|(rule, _)| rule.covers_any_spelling(self.view.method, self.view.path()));
        match (limited, self.consumer.rate_limit) {
            (Some(index), _) => {
                let (rule, quota) = &limits[index];
                Some((
                    text! {
                        en: "as long as {quota} for \"{rule}\" is not used up",
                        fr: "tant que {quota} pour \"{rule}\" n'est pas épuisé"
                    },
                    self.own(&format!("route_limits.{index}"), Some(format!("\"{quota}\""))),
                ))
            }
            (None, Some(quota)) => Some((
                text! { en: "as long as {quota} is not used up", fr: "tant que {quota} n'est pas épuisé" },
                self.own("rate_limit", Some(format!("\"{quota}\""))),
            )),
            (None, None) => None,
        }
    }

    fn session_passed(&self) -> Option<(Text, Option<Setting>)> {
        let public = &self.settings.snapshot.session.public;
        let index = self.covering(public).filter(|_| self.imagined.token == ShownToken::None)?;
        Some((
            text! { en: "this route needs no token", fr: "cette route se passe de jeton" },
            self.setting(format!("session.public.{index}"), Some(format!("\"{}\"", public[index]))),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SHOP, settings};
    use super::*;

    fn told(method: &str, target: &str, from: Option<&str>, token: ShownToken) -> Rehearsal {
        let settings = settings(&format!("{SHOP}{OTHER}"));
        let consumer = settings.snapshot.consumers.iter().next().unwrap().clone();
        let from = from.map(|address| address.parse().unwrap());
        run(&settings, &consumer, &Imagined { method, target, from, token }, Wall(1_790_000_000_000))
    }

    const OTHER: &str = "[[consumer]]\nname = \"other\"\nkeys = [{ id = \"k1\", sha256 = \
                         \"b5c0e0d2f25cba0ce3b25f4c0fbe5f2d40fdbb02fde9fc9eb8e4a3b2b2a2c4f1\", expires = 2099-12-31 \
                         }]\n";

    /// Rule, outcome and line of the step that decided.
    fn deciding(rehearsal: &Rehearsal, rule: &str) -> (Outcome, Option<usize>) {
        let step = rehearsal.steps.iter().find(|step| step.rule == rule).unwrap();
        (
            step.outcome,
            step.setting.as_ref().and_then(|setting| setting.location.as_ref()).map(|location| location.line),
        )
    }

    #[test]
    fn a_request_that_passes_says_by_what() {
        let rehearsal = told("GET", "/v1/articles?x=1", Some("203.0.113.9"), ShownToken::Live);
        assert_eq!(rehearsal.code, None, "{rehearsal:#?}");
        assert_eq!(deciding(&rehearsal, "address"), (Outcome::Passes, Some(10)));
        assert_eq!(deciding(&rehearsal, "route"), (Outcome::Passes, Some(8)));
        assert_eq!(deciding(&rehearsal, "quota"), (Outcome::Passes, Some(12)));
    }

    #[test]
    fn a_request_that_is_refused_says_by_what() {
        let post = told("POST", "/v1/devis", Some("203.0.113.9"), ShownToken::Live);
        assert_eq!(post.code, Some(DenyCode::ForbiddenRoute));
        assert_eq!(deciding(&post, "route"), (Outcome::Refuses, Some(8)));
        assert!(post.steps.iter().any(|step| step.remedies.iter().any(|text| text.en.contains("\"POST /v1/devis\""))));
        let elsewhere = told("GET", "/v1/a", Some("198.51.100.1"), ShownToken::Live);
        assert_eq!(deciding(&elsewhere, "address"), (Outcome::Refuses, Some(10)));
        let unsaid = told("GET", "/v1/a", None, ShownToken::Live);
        assert_eq!((unsaid.code, deciding(&unsaid, "address").0), (None, Outcome::Depends));
    }

    #[test]
    fn a_question_about_the_gate_is_asked_of_no_route() {
        let question = told("OPTIONS", "*", Some("203.0.113.9"), ShownToken::Live);
        let rules: Vec<_> = question.steps.iter().map(|step| step.rule).collect();
        assert_eq!((question.code, rules), (None, vec!["framing", "transport", "budget", "credential", "address"]));
        let other = told("GET", "*", Some("203.0.113.9"), ShownToken::Live);
        assert_eq!(other.code, Some(DenyCode::MethodNotAllowed));
        let remedies: Vec<_> = other.steps.iter().flat_map(|step| &step.remedies).map(|text| &text.en[..]).collect();
        assert!(remedies.iter().any(|remedy| remedy.contains("OPTIONS alone")), "{remedies:?}");
    }

    #[test]
    fn spellings_are_told_apart() {
        let encoded = told("GET", "/v1/%61rticles", Some("203.0.113.9"), ShownToken::Live);
        assert_eq!((encoded.path.as_str(), encoded.code), ("/v1/articles", None));
        let denied = told("GET", "/V1/Secret.", Some("203.0.113.9"), ShownToken::Live);
        assert_eq!(
            (denied.code, deciding(&denied, "route")),
            (Some(DenyCode::ForbiddenRoute), (Outcome::Refuses, Some(9)))
        );
        let login = told("POST", "/v1/login/user/", Some("203.0.113.9"), ShownToken::None);
        assert_eq!((login.code, deciding(&login, "route").0), (Some(DenyCode::ForbiddenRoute), Outcome::Refuses));
        assert!(
            login.steps.iter().any(|step| step.remedies.iter().any(|text| text.en.contains("POST /v1/login/user,")))
        );
        let slash = told("GET", "/v1/articles/REF%2F12", Some("203.0.113.9"), ShownToken::Live);
        assert_eq!(slash.code, Some(DenyCode::MalformedRequest));
        let framing = &slash.steps[0];
        assert_eq!(framing.setting.as_ref().map(|setting| setting.key.as_str()), Some("upstream.encoded_slash"));
    }

    #[test]
    fn every_kind_of_token() {
        for (token, code) in [
            (ShownToken::Live, None),
            (ShownToken::None, Some(DenyCode::SessionMissing)),
            (ShownToken::Expired, Some(DenyCode::SessionExpired)),
            (ShownToken::Unknown, Some(DenyCode::SessionUnknown)),
            (ShownToken::Foreign, Some(DenyCode::SessionNotYours)),
        ] {
            assert_eq!(told("GET", "/v1/a", Some("203.0.113.9"), token).code, code, "{token:?}");
        }
        let login = told("POST", "/v1/login/user", Some("203.0.113.9"), ShownToken::None);
        assert_eq!(login.code, None);
    }
}
