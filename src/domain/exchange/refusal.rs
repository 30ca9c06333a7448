//! What a refused request leaves behind: whose key it was, what its refusal costs, an alarm.

use super::errand::{Errand, Identity};
use super::record::Alarm;
use super::stage::Stage;
use super::{Exchange, RateLimitFields, Step};
use crate::domain::denial::{Denial, DenyCode};
use crate::domain::limit::Reservation;
use crate::domain::policy::quota::Buckets;
use crate::domain::policy::transport::Exposed;
use crate::domain::policy::{self, KeyOwner, Refusal};
use crate::domain::request::RequestView;
use crate::domain::rules::snapshot::Snapshot;
use crate::domain::types::Now;
use std::sync::Arc;

impl Exchange {
    pub(super) fn deny(&mut self, refusal: Refusal<'_>, request: &RequestView<'_>, now: Now) -> Step {
        let (snapshot, tables) = (Arc::clone(&self.snapshot), Arc::clone(&self.tables));
        if let Some(owner) = refusal.owner {
            self.identify(owner);
            self.note_key_use(owner, now);
            if refusal.denial.code == DenyCode::RateLimited {
                self.rate_limit = rate_limit_fields(&Buckets::of(owner.consumer, &tables, request), now);
            }
        } else {
            self.identify_by(policy::credential::sole_key(request), now);
        }
        self.refuse(&refusal.denial, now);
        if policy::transport::check(&snapshot.trusted_proxies, request).is_err() {
            self.note_exposed(&snapshot, request, now);
        }
        Step::Deny(refusal.denial)
    }

    /// Refuses what had been admitted; what it had reserved is given back.
    pub(super) fn deny_admitted(&mut self, errand: Errand, reservation: Reservation, denial: Denial, now: Now) -> Step {
        drop(reservation);
        self.stage = Stage::Connecting { errand, reservation: None, attempt: None };
        self.refuse(&denial, now);
        Step::Deny(denial)
    }

    pub(super) fn identify(&mut self, owner: KeyOwner<'_>) {
        self.shown = Some(Identity::new(owner));
    }

    /// Notes whose good key came with a request that was refused before any key was checked.
    pub(super) fn identify_by(&mut self, key: Option<&[u8]>, now: Now) {
        let snapshot = Arc::clone(&self.snapshot);
        if let Some(owner) = key.and_then(|key| policy::credential::owner(&snapshot.consumers, key, now.wall)) {
            self.identify(owner);
        }
    }

    /// Records that a key was accepted, whatever becomes of the request.
    pub(super) fn note_key_use(&mut self, owner: KeyOwner<'_>, now: Now) {
        if owner.credential.refusal_at(now.wall).is_none() {
            let (consumer, key_id) = (&owner.consumer.name, &owner.credential.id);
            self.key_first_used = self.tables.key_uses.mark(consumer, key_id, now.wall);
        }
    }

    /// Charges the budgets for a refusal; a stolen token raises an alarm.
    pub(super) fn refuse(&mut self, denial: &Denial, now: Now) {
        let consumer = self.owner().map(|owner| Arc::clone(&owner.consumer));
        policy::budget::charge(denial, &self.tables, self.head.client.address, consumer.as_deref(), now.mono);
        if denial.code == DenyCode::SessionNotYours {
            self.alarm = Some(Alarm::TokenOfAnother);
        }
    }

    /// Notes what was given away on a transport where others can read it: whose key has to be replaced.
    pub(super) fn note_exposed(&mut self, snapshot: &Snapshot, request: &RequestView<'_>, now: Now) {
        let Some(exposed) = policy::transport::exposed(&snapshot.consumers, request, now.wall) else { return };
        self.alarm = Some(Alarm::KeyInClear);
        match exposed {
            Exposed::Key(owner) => self.identify(owner),
            Exposed::UnknownKey => {
                policy::budget::charge_failed_credential(&self.tables, self.head.client.address, now.mono);
            }
            Exposed::Token => {}
        }
    }
}

pub(super) fn rate_limit_fields(buckets: &Buckets, now: Now) -> Option<RateLimitFields> {
    let service = buckets.service(now.mono)?;
    Some(RateLimitFields { policy: service.policy_value(), limit: service.limit_value() })
}
