//! Quota: each consumer's share, in all and per route rule. Reserved here; used or given back by the exchange.

use super::Passed;
use crate::domain::denial::{Denial, Reason};
use crate::domain::limit::headers::Service;
use crate::domain::limit::{Bucket, Claim, Quota, Reservation};
use crate::domain::request::RequestView;
use crate::domain::rules::consumer::Consumer;
use crate::domain::rules::route::RouteRule;
use crate::domain::tables::Tables;
use crate::domain::types::Mono;
use std::sync::Arc;

/// What an operator reads of a request that has passed.
pub(super) const PASSED: Passed = Passed { en: "the consumer has no quota", fr: "le consommateur n'a pas de quota" };

/// The buckets that a request draws on, narrowest first.
#[derive(Debug)]
pub struct Buckets {
    route: Option<(Arc<Bucket>, Quota)>,
    consumer: Option<(Arc<Bucket>, Quota)>,
}

impl Buckets {
    /// The buckets for a request: that of the first route limit which covers it, and the consumer's own.
    pub(crate) fn of(consumer: &Consumer, tables: &Tables, request: &RequestView<'_>) -> Self {
        // A quota that another spelling goes round would be none.
        let covers = |rule: &RouteRule| rule.covers_any_spelling(request.method, request.path());
        let limited = consumer.route_limits.iter().find(|(rule, _)| covers(rule));
        Self {
            route: limited.map(|(rule, quota)| (tables.limiter.rule_bucket(&consumer.name, rule.as_str()), *quota)),
            consumer: consumer.rate_limit.map(|quota| (tables.limiter.consumer_bucket(&consumer.name), quota)),
        }
    }

    /// Takes one request from each, or from none.
    pub(super) fn reserve(&self, now: Mono) -> Result<Reservation, Denial> {
        let claims = [&self.route, &self.consumer]
            .map(|limit| limit.as_ref().map(|(bucket, quota)| Claim { bucket, quota: *quota }));
        Reservation::take(claims, now).map_err(|shortfall| {
            let reason = if shortfall.claim == 0 { Reason::OverRouteQuota } else { Reason::OverConsumerQuota };
            Denial::because(reason).retry_after(shortfall.wait.0)
        })
    }

    /// What the caller is told: the scarcer of the two.
    #[must_use]
    pub fn service(&self, now: Mono) -> Option<Service<'static>> {
        let of = |policy, limit: &Option<(Arc<Bucket>, Quota)>| {
            limit.as_ref().map(|(bucket, quota)| Service {
                policy,
                quota: *quota,
                remaining: bucket.remaining(quota, now),
            })
        };
        Service::least([of("route", &self.route), of("consumer", &self.consumer)].into_iter().flatten())
    }
}
