//! The values of `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).

use super::{Quota, Remaining};
use std::time::Duration;

/// What a caller is told about one of its quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service<'a> {
    /// The name of the policy in both fields, such as `consumer`.
    pub policy: &'a str,
    pub quota: Quota,
    pub remaining: Remaining,
}

impl Service<'_> {
    /// The one to tell: least remaining, and among equals the one that recovers last.
    #[must_use]
    pub fn least(services: impl IntoIterator<Item = Self>) -> Option<Self> {
        let scarcity = |service: &Self| (service.remaining.requests, std::cmp::Reverse(service.remaining.reset));
        services.into_iter().min_by_key(scarcity)
    }

    /// The value of `RateLimit-Policy`: the count and the seconds of its period, `"consumer";q=20;w=1`.
    #[must_use]
    pub fn policy_value(&self) -> String {
        self.value([(";q=", self.quota.count().into()), (";w=", self.quota.period().seconds().into())])
    }

    /// The value of `RateLimit`: what would pass now, and the whole seconds, rounded up, until one more would:
    /// `"consumer";r=12;t=1`.
    ///
    /// With nothing left that is the same instant as `Retry-After`. The burst can make `r` larger than `q`.
    #[must_use]
    pub fn limit_value(&self) -> String {
        let Remaining { requests, reset } = self.remaining;
        self.value([(";r=", requests.into()), (";t=", whole_seconds(reset))])
    }

    fn value(&self, parameters: [(&str, u64); 2]) -> String {
        let mut value = String::with_capacity(64);
        push_quoted(&mut value, self.policy);
        for (name, number) in parameters {
            value.push_str(name);
            value.push_str(itoa::Buffer::new().format(number));
        }
        value
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// A String of RFC 9651 section 3.3.3. It has no way to write a character that is not visible ASCII or space: those are
/// left out.
fn push_quoted(value: &mut String, name: &str) {
    value.push('"');
    if name.bytes().fold(true, |plain, b| plain & matches!(b, b' '..=b'~') & (b != b'"') & (b != b'\\')) {
        value.push_str(name);
        value.push('"');
        return;
    }
    for c in name.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(c, '"' | '\\') {
            value.push('\\');
        }
        value.push(c);
    }
    value.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service<'a>(policy: &'a str, quota: &str, requests: u32, millis: u64) -> Service<'a> {
        let remaining = Remaining { requests, reset: Duration::from_millis(millis) };
        Service { policy, quota: Quota::parse(quota).unwrap(), remaining }
    }

    #[test]
    fn values() {
        let consumer = service("consumer", "20/s, burst 40", 12, 50);
        assert_eq!(consumer.policy_value(), r#""consumer";q=20;w=1"#);
        assert_eq!(consumer.limit_value(), r#""consumer";r=12;t=1"#);
        let daily = service("* /v1/*", "1000/d", 0, 86_400);
        assert_eq!(daily.policy_value(), r#""* /v1/*";q=1000;w=86400"#);
        assert_eq!(daily.limit_value(), r#""* /v1/*";r=0;t=87"#);
        assert_eq!(service("consumer", "1/min", 0, 60_000).limit_value(), r#""consumer";r=0;t=60"#);
        assert_eq!(service("consumer", "1/h", 1, 0).policy_value(), r#""consumer";q=1;w=3600"#);
    }

    #[test]
    fn no_name_breaks_the_syntax() {
        let odd = service("a\"b\\c\r\né", "1/min", 1, 0);
        assert_eq!(odd.limit_value(), r#""a\"b\\c";r=1;t=0"#);
    }

    #[test]
    fn the_scarcest_is_told() {
        let (rule, consumer) = (service("rule", "1/s", 3, 100), service("consumer", "1/s", 2, 100));
        assert_eq!(Service::least([rule, consumer]), Some(consumer));
        let slower = service("rule", "1/s", 2, 200);
        assert_eq!(Service::least([consumer, slower]), Some(slower));
        assert_eq!(Service::least([]), None);
    }
}
