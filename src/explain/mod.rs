//! Why a request was refused, in an operator's words: what happened, which rule and which setting at which line
//! decided, and what would let it through.
//!
//! Pure over the refusal and the configuration, so that the commands, the control socket and the live page say the
//! same. Every [`DenyCode`] has its explanation: one that is added does not compile without it.

mod codes;
mod login;
mod reasons;
pub mod rehearsal;

use crate::config::{Location, Settings};
use crate::domain::denial::{DenyCode, Reason};
use crate::domain::rules::consumer::Consumer;
use crate::text::Text;
use serde::{Deserialize, Serialize};

/// One request that was refused, or would have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When its head was complete: RFC 3339, UTC.
    pub time: String,
    pub request_id: String,
    pub code: DenyCode,
    /// False for one that was forwarded all the same: its rule is in shadow, or sessions are only observed.
    pub enforced: bool,
    /// The true reason, as in the access log.
    pub reason: String,
    pub consumer: Option<String>,
    pub key_id: Option<String>,
    pub client_ip: String,
    /// Printable ASCII, other bytes as `\xNN`; so is the path.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The allowing rule, when one had been found.
    pub route: Option<String>,
}

/// What is to be said about a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What happened.
    pub meaning: Text,
    /// Which rule decided.
    pub rule: Text,
    /// The setting behind the rule; `None` for rules that no setting can change.
    pub setting: Option<Setting>,
    /// What would let it through, the best way first.
    pub remedies: Vec<Text>,
}

/// A key of the configuration as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Dotted, such as `consumer.boutique-paris.allow`.
    pub key: String,
    /// As it would be written; `None` when it has none.
    pub value: Option<String>,
    /// Where it is; `None` when the file leaves it out and the default holds.
    #[serde(rename = "place")]
    pub location: Option<Location>,
}

/// A refusal with what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    #[serde(flatten)]
    pub refusal: Refusal,
    pub explanation: Explanation,
}

impl Explained {
    #[must_use]
    pub fn new(refusal: Refusal, settings: &Settings) -> Self {
        let explanation = explain(&refusal, settings);
        Self { refusal, explanation }
    }
}

/// Explains a refusal by the configuration in force.
#[must_use]
pub fn explain(refusal: &Refusal, settings: &Settings) -> Explanation {
    codes::explain(&Case { refusal, settings })
}

/// A refusal beside the configuration.
struct Case<'a> {
    refusal: &'a Refusal,
    settings: &'a Settings,
}

impl Case<'_> {
    /// `None` also for words that only another version of the gate knows.
    fn reason(&self) -> Option<Reason> {
        Reason::from_word(&self.refusal.reason)
    }

    /// The consumer, when it still is in the configuration.
    fn consumer(&self) -> Option<&Consumer> {
        let name = self.refusal.consumer.as_deref()?;
        self.settings.snapshot.consumers.iter().find(|consumer| consumer.name.as_ref() == name)
    }

    fn setting(&self, key: impl Into<String>, value: Option<String>) -> Option<Setting> {
        let key = key.into();
        let location = self.settings.positions.location(&key);
        Some(Setting { key, value, location })
    }

    /// A key of the request's consumer. `None` when nobody is known to have called.
    fn consumer_setting(&self, key: &str, value: Option<String>) -> Option<Setting> {
        let name = self.refusal.consumer.as_deref()?;
        self.setting(format!("consumer.{name}.{key}"), value)
    }

    fn explanation(&self, rule: Text, setting: Option<Setting>, remedies: Vec<Text>) -> Explanation {
        Explanation { meaning: reasons::meaning(self.refusal.code, self.reason()), rule, setting, remedies }
    }
}

/// Bytes of a stranger as text that no terminal and no page acts upon.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            0x20..=0x7e => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn settings(more: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::io::Write::write_all(
            &mut crate::platform::create_private(&path).unwrap(),
            b"8sens-upstream-KhT5wQz9RfLm2Vb8",
        )
        .unwrap();
        let text = format!(
            "[upstream]\naddress = \"127.0.0.1:8082\"\napi_key = {{ file = \"key\" }}\n[[listener]]\naddress = \
             \"127.0.0.1:8443\"\n{more}"
        );
        crate::config::parse(&text, "sensgate.toml", folder.path())
            .map_err(|report| report.render(crate::text::Lang::En, false))
            .unwrap()
            .settings
    }

    pub(super) const SHOP: &str = "[[consumer]]\nname = \"shop\"\nallow = [\"GET /v1/*\"]\ndeny = [\"* /v1/secret*\", \
                                   \"* /v1/other*\"]\n\
         allow_from = [\"203.0.113.0/24\"]\nrate_limit = \"20/s\"\nroute_limits = [{ route = \"GET /v1/a*\", \
         rate_limit = \"2/s\" }]\n\
         [[consumer.keys]]\nid = \"k1\"\nsha256 = \
         \"a5c0e0d2f25cba0ce3b25f4c0fbe5f2d40fdbb02fde9fc9eb8e4a3b2b2a2c4f1\"\nexpires = 2099-12-31\n";

    pub(super) fn refusal(code: DenyCode, reason: &str) -> Refusal {
        Refusal {
            time: "2026-09-21T14:13:20.123Z".into(),
            request_id: "r1".into(),
            code,
            enforced: true,
            reason: reason.into(),
            consumer: Some("shop".into()),
            key_id: Some("k1".into()),
            client_ip: "198.51.100.7".into(),
            method: "GET".into(),
            path: "/v1/other".into(),
            route: None,
        }
    }

    fn location(code: DenyCode, reason: &str) -> (String, Option<usize>) {
        let setting = explain(&refusal(code, reason), &settings(SHOP)).setting.unwrap();
        (setting.key, setting.location.map(|location| location.line))
    }

    #[test]
    fn a_refusal_leads_to_the_line_that_made_it() {
        for (code, reason, key, line) in [
            (DenyCode::ForbiddenRoute, "matches a deny rule", "consumer.shop.deny.1", Some(9)),
            (DenyCode::ForbiddenRoute, "matches no allow rule", "consumer.shop.allow", Some(8)),
            (DenyCode::ForbiddenAddress, "client outside allow_from", "consumer.shop.allow_from", Some(10)),
            (DenyCode::RateLimited, "over the quota of the consumer", "consumer.shop.rate_limit", Some(11)),
            (DenyCode::UnknownKey, "key expired", "consumer.shop.keys.k1.expires", Some(16)),
            (DenyCode::RateLimited, "too many refusals for this address", "limits.address_budget", None),
            (DenyCode::BodyTooLarge, "body grew over the limit", "limits.body_bytes", None),
        ] {
            assert_eq!(location(code, reason), (key.to_owned(), line), "{reason}");
        }
        let mut of_route = refusal(DenyCode::RateLimited, "over the quota of the route");
        of_route.path = "/v1/articles".into();
        let setting = explain(&of_route, &settings(SHOP)).setting.unwrap();
        assert_eq!((setting.key.as_str(), setting.location.unwrap().line), ("consumer.shop.route_limits.0", 12));
    }

    #[test]
    fn every_code_says_something_in_both_languages() {
        let settings = settings(SHOP);
        for code in DenyCode::ALL {
            let told = explain(&refusal(*code, ""), &settings);
            for text in [&told.meaning, &told.rule].into_iter().chain(&told.remedies) {
                assert!(!text.en.is_empty() && !text.fr.is_empty() && text.en != text.fr, "{code:?}: {text:?}");
            }
            assert!(!told.remedies.is_empty(), "{code:?}");
        }
    }

    #[test]
    fn what_a_stranger_sent_stays_on_its_line() {
        assert_eq!(printable(b"/a\x1b[2J\n\\\xc3"), "/a\\x1b[2J\\x0a\\\\\\xc3");
    }
}
