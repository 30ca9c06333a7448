//! The values of `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).

use super::{Quota, Remaining};
use crate::domain::types::ShortText;
use std::time::Duration;

/// Bytes of a value at most: the name of a policy is `consumer` or `route`, and what follows is two numbers.
pub const VALUE_MAX: usize = 64;

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
    pub fn policy_value(&self) -> ShortText<VALUE_MAX> {
        self.value([(";q=", self.quota.count().into()), (";w=", self.quota.period().seconds().into())])
    }

    /// The value of `RateLimit`: what would pass now, and the whole seconds, rounded up, until one more would:
    /// `"consumer";r=12;t=1`.
    ///
    /// With nothing left that is the same instant as `Retry-After`. The burst can make `r` larger than `q`.
    #[must_use]
    pub fn limit_value(&self) -> ShortText<VALUE_MAX> {
        let Remaining { requests, reset } = self.remaining;
        self.value([(";r=", requests.into()), (";t=", whole_seconds(reset))])
    }

    fn value(&self, parameters: [(&str, u64); 2]) -> ShortText<VALUE_MAX> {
        let mut value = ShortText::new();
        push_quoted(&mut value, self.policy);
        for (name, number) in parameters {
            value.push(name.as_bytes());
            value.push(itoa::Buffer::new().format(number).as_bytes());
        }
        value
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// A String of RFC 9651 section 3.3.3. It has no way to write a character that is not visible ASCII or space: those are
/// left out.
fn push_quoted(value: &mut ShortText<VALUE_MAX>, name: &str) {
    value.push(b"\"");
    for byte in name.bytes().filter(|byte| matches!(byte, b' '..=b'~')) {
        if matches!(byte, b'"' | b'\\') {
            value.push(b"\\");
        }
        value.push(&[byte]);
    }
    value.push(b"\"");
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
        assert_eq!(consumer.policy_value().as_bytes(), br#""consumer";q=20;w=1"#);
        assert_eq!(consumer.limit_value().as_bytes(), br#""consumer";r=12;t=1"#);
        let daily = service("* /v1/*", "1000/d", 0, 86_400);
        assert_eq!(daily.policy_value().as_bytes(), br#""* /v1/*";q=1000;w=86400"#);
        assert_eq!(daily.limit_value().as_bytes(), br#""* /v1/*";r=0;t=87"#);
        assert_eq!(service("consumer", "1/min", 0, 60_000).limit_value().as_bytes(), br#""consumer";r=0;t=60"#);
        assert_eq!(service("consumer", "1/h", 1, 0).policy_value().as_bytes(), br#""consumer";q=1;w=3600"#);
    }

    #[test]
    fn no_name_breaks_the_syntax() {
        let odd = service("a\"b\\c\r\né", "1/min", 1, 0);
        assert_eq!(odd.limit_value().as_bytes(), br#""a\"b\\c";r=1;t=0"#);
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
