//! What failed logins may use: of one login name, of one client address, of one API key, and in all.
//!
//! An attacker guesses passwords, or locks an account of 8sens by doing so; a shop that logs in must never notice. So
//! whoever logged in with success lately is known, by key and address, and is not held to what others have used up:
//! only to a quota of its own, and to that of a login name under which it was never successful. Everybody else shares
//! the counters.
//!
//! Names, addresses and keys are kept as hashes under a key of this process, in memory of fixed size: see
//! [`super::keyed`] for what happens when it is full, `known` for who makes room for whom.

mod failures;
mod known;
#[cfg(test)]
mod simulation;

use super::Quota;
use super::address::host_key;
use super::gcra::Wait;
use crate::domain::types::Mono;
use failures::Failures;
use known::{Known, KnownCallers};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::Arc;

/// Keys that owe something at the same time. The quota in all keeps them far below that.
const SLOTS: usize = 4_096;

/// Most logins of one known caller that are under way at the same time. One that serves many shoppers has many.
const AT_ONCE: u32 = 256;

/// How many logins may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginQuotas {
    /// Of one login name, whoever tries.
    pub name: Quota,
    /// From one IPv4 address or IPv6 /64.
    pub address: Quota,
    /// With one API key.
    pub key: Quota,
    /// In all.
    pub total: Quota,
    /// Of one key and address that logged in with success lately, to which the others do not apply.
    pub known: Quota,
}

impl LoginQuotas {
    /// The same for everything that is counted.
    #[must_use]
    pub const fn all(quota: Quota) -> Self {
        Self { name: quota, address: quota, key: quota, total: quota, known: quota }
    }
}

/// Who tries to log in, and as whom.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub consumer: &'a str,
    pub key_id: &'a str,
    pub address: IpAddr,
    /// The login name in the form in which names are compared; empty when there is none to be read.
    pub name: &'a [u8],
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counter {
    Name,
    Address,
    Key,
    Total,
    /// Of a known caller.
    Known,
}

/// A login that may not be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// The counter with the longest wait.
    pub counter: Counter,
    /// When a lone retry passes.
    pub wait: Wait,
}

/// What came of a login that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Succeeded,
    Failed,
    /// Nobody looked at its password, or nobody knows what was found.
    Unknown,
}

/// All counters. One for the life of the process.
pub struct LoginShield {
    state: Mutex<State>,
    hasher: RandomState,
}

#[derive(Debug)]
struct State {
    names: Failures,
    addresses: Failures,
    keys: Failures,
    total: Failures,
    known: Failures,
    callers: KnownCallers,
}

/// A candidate under the hashes by which it is counted.
#[derive(Clone, Copy, Debug)]
struct Tags {
    name: u64,
    address: u64,
    key: u64,
    /// Of key and address together.
    caller: u64,
}

impl LoginShield {
    #[must_use]
    pub fn new(quotas: &LoginQuotas) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                names: Failures::new(quotas.name, SLOTS),
                addresses: Failures::new(quotas.address, SLOTS),
                keys: Failures::new(quotas.key, SLOTS),
                total: Failures::new(quotas.total, 0),
                known: Failures::new(quotas.known, SLOTS).with_at_once(AT_ONCE),
                callers: KnownCallers::default(),
            }),
            hasher: RandomState::new(),
        })
    }

    /// Changes the quotas; what is owed stays owed. For a reload, not for a request.
    pub fn set_quotas(&self, quotas: &LoginQuotas, now: Mono) {
        let state = self.state.lock();
        state.names.set_quota(quotas.name, now);
        state.addresses.set_quota(quotas.address, now);
        state.keys.set_quota(quotas.key, now);
        state.total.set_quota(quotas.total, now);
        state.known.set_quota(quotas.known, now);
    }

    /// Forgets callers whose key, by the name of its consumer and its id, is not among these.
    pub fn retain<'k>(&self, keys: impl Iterator<Item = (&'k str, &'k str)>) {
        let kept: HashSet<u64> = keys.map(|(consumer, id)| self.key_tag(consumer, id)).collect();
        self.state.lock().callers.retain(|key| kept.contains(&key));
    }

    /// Lets a login be sent. It counts until [`LoginTry::judge`] tells what came of it.
    ///
    /// # Errors
    /// Which counter is used up, and how long until a lone login passes. Nothing has changed then.
    pub fn admit(self: &Arc<Self>, candidate: Candidate<'_>, now: Mono) -> Result<LoginTry, Throttled> {
        let tags = self.tags(candidate);
        let mut state = self.state.lock();
        let known = state.callers.look_up(tags.key, tags.address, tags.name, now);
        let counters = counters(known);
        let waits = counters.iter().filter_map(|counter| {
            let wait = state.failures(*counter).check(tags.of(*counter), now).err()?;
            Some(Throttled { counter: *counter, wait })
        });
        if let Some(throttled) = waits.max_by_key(|throttled| throttled.wait) {
            return Err(throttled);
        }
        for counter in counters {
            state.failures_mut(*counter).begin(tags.of(*counter));
        }
        drop(state);
        Ok(LoginTry { shield: Arc::clone(self), tags, counters, began: now, unjudged: Verdict::Unknown, is_open: true })
    }

    fn tags(&self, candidate: Candidate<'_>) -> Tags {
        let key = self.key_tag(candidate.consumer, candidate.key_id);
        let address = self.tag(Counter::Address, host_key(candidate.address));
        let name = self.tag(Counter::Name, candidate.name);
        Tags { name, address, key, caller: self.tag(Counter::Known, (key, address)) }
    }

    fn key_tag(&self, consumer: &str, id: &str) -> u64 {
        self.tag(Counter::Key, (consumer, id))
    }

    fn tag(&self, counter: Counter, what: impl Hash) -> u64 {
        self.hasher.hash_one((counter, what))
    }
}

/// Neither hashes nor their key.
impl fmt::Debug for LoginShield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginShield").finish_non_exhaustive()
    }
}

/// What a caller is held to that is known so well.
const fn counters(known: Known) -> &'static [Counter] {
    match known {
        Known::No => &[Counter::Name, Counter::Address, Counter::Key, Counter::Total],
        Known::Caller => &[Counter::Known, Counter::Name],
        Known::Name => &[Counter::Known],
    }
}

impl Tags {
    const fn of(&self, counter: Counter) -> u64 {
        match counter {
            Counter::Name => self.name,
            Counter::Address => self.address,
            Counter::Key => self.key,
            Counter::Total => 0,
            Counter::Known => self.caller,
        }
    }
}

impl State {
    const fn failures(&self, counter: Counter) -> &Failures {
        match counter {
            Counter::Name => &self.names,
            Counter::Address => &self.addresses,
            Counter::Key => &self.keys,
            Counter::Total => &self.total,
            Counter::Known => &self.known,
        }
    }

    const fn failures_mut(&mut self, counter: Counter) -> &mut Failures {
        match counter {
            Counter::Name => &mut self.names,
            Counter::Address => &mut self.addresses,
            Counter::Key => &mut self.keys,
            Counter::Total => &mut self.total,
            Counter::Known => &mut self.known,
        }
    }
}

/// A login that was let through. Dropping it unjudged gives back what it takes, unless it was sent: what nobody saw the
/// end of counts as failed, or an attacker would leave before each answer.
#[must_use = "a login that is dropped is over"]
#[derive(Debug)]
pub struct LoginTry {
    shield: Arc<LoginShield>,
    tags: Tags,
    counters: &'static [Counter],
    began: Mono,
    /// What it counts as when nobody judges it.
    unjudged: Verdict,
    is_open: bool,
}

impl LoginTry {
    /// It is on its way to 8sens.
    pub const fn sent(&mut self) {
        self.unjudged = Verdict::Failed;
    }

    /// Tells what came of it.
    pub fn judge(mut self, verdict: Verdict, now: Mono) {
        self.close(verdict, now);
    }

    fn close(&mut self, verdict: Verdict, now: Mono) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        let tags = self.tags;
        let mut state = self.shield.state.lock();
        for counter in self.counters {
            state.failures_mut(*counter).end(tags.of(*counter), verdict == Verdict::Failed, now);
        }
        if verdict == Verdict::Succeeded {
            state.callers.succeeded(tags.key, tags.address, tags.name, now);
        }
    }
}

impl Drop for LoginTry {
    fn drop(&mut self) {
        self.close(self.unjudged, self.began);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    pub(super) fn quota(text: &str) -> Quota {
        Quota::parse(text).unwrap()
    }

    fn shield(change: impl FnOnce(&mut LoginQuotas)) -> Arc<LoginShield> {
        let mut quotas = LoginQuotas::all(quota("1000000/s"));
        change(&mut quotas);
        LoginShield::new(&quotas)
    }

    fn candidate<'c>(key_id: &'c str, address: &str, name: &'c str) -> Candidate<'c> {
        Candidate { consumer: "shop", key_id, address: address.parse().unwrap(), name: name.as_bytes() }
    }

    /// How many of ten failing logins are sent, and which counter ends them.
    fn failing(shield: &Arc<LoginShield>, candidate: Candidate<'_>) -> (usize, Option<Counter>) {
        for sent in 0..10 {
            match shield.admit(candidate, Mono(0)) {
                Ok(login) => login.judge(Verdict::Failed, Mono(0)),
                Err(throttled) => return (sent, Some(throttled.counter)),
            }
        }
        (10, None)
    }

    #[test]
    fn each_counter_is_of_its_own_key() {
        let one = quota("1/h");
        for (change, counter, others) in [
            (
                (|quotas, quota| quotas.name = quota) as fn(&mut LoginQuotas, Quota),
                Counter::Name,
                [("k1", "192.0.2.1", "b", 1), ("k2", "192.0.2.2", "a", 0)],
            ),
            (
                |quotas, quota| quotas.address = quota,
                Counter::Address,
                [("k1", "192.0.2.2", "a", 1), ("k2", "192.0.2.1", "b", 0)],
            ),
            (|quotas, quota| quotas.key = quota, Counter::Key, [("k2", "192.0.2.1", "a", 1), ("k1", "::1", "b", 0)]),
            (|quotas, quota| quotas.total = quota, Counter::Total, [("k2", "::2", "c", 0), ("k3", "::1", "b", 0)]),
        ] {
            let shield = shield(|quotas| change(quotas, one));
            assert_eq!(failing(&shield, candidate("k1", "192.0.2.1", "a")), (1, Some(counter)));
            for (key_id, address, name, sent) in others {
                assert_eq!(failing(&shield, candidate(key_id, address, name)), (sent, Some(counter)), "{counter:?}");
            }
        }
    }

    #[test]
    fn a_64_of_ipv6_is_one_address() {
        let shield = shield(|quotas| quotas.address = quota("1/h"));
        assert_eq!(failing(&shield, candidate("k1", "2001:db8::1", "a")).0, 1);
        assert_eq!(failing(&shield, candidate("k1", "2001:db8::ffff:2", "b")).0, 0);
        assert_eq!(failing(&shield, candidate("k1", "2001:db8:0:1::1", "b")).0, 1);
        assert_eq!(failing(&shield, candidate("k1", "::ffff:192.0.2.1", "b")).0, 1);
        assert_eq!(failing(&shield, candidate("k1", "192.0.2.1", "b")).0, 0);
    }

    /// Where one failure uses up everything but the quota of known callers.
    fn strict() -> Arc<LoginShield> {
        shield(|quotas| *quotas = LoginQuotas { known: quota("4/h"), ..LoginQuotas::all(quota("1/h")) })
    }

    #[test]
    fn whoever_succeeded_is_held_to_its_own_quota_alone() {
        let (shield, shop) = (strict(), candidate("k1", "192.0.2.1", "a"));
        let succeeds = || shield.admit(shop, Mono(0)).map(|login| login.judge(Verdict::Succeeded, Mono(0))).is_ok();
        assert!(succeeds());
        assert_eq!(failing(&shield, candidate("k1", "192.0.2.2", "a")).0, 1);
        assert_eq!(failing(&shield, candidate("k2", "192.0.2.3", "b")).0, 0, "everything shared is used up");
        assert!((0..100).all(|_| succeeds()));
        assert_eq!(failing(&shield, candidate("k2", "192.0.2.1", "a")).0, 0, "another key is not known");
        assert_eq!(failing(&shield, shop), (2, Some(Counter::Known)), "half of a burst of four");
        assert!(!succeeds());
    }

    #[test]
    fn a_known_caller_guesses_no_more_of_another_name_than_anybody() {
        let (shield, shop) = (strict(), candidate("k1", "192.0.2.1", "a"));
        shield.admit(shop, Mono(0)).unwrap().judge(Verdict::Succeeded, Mono(0));
        assert_eq!(failing(&shield, candidate("k1", "192.0.2.1", "b")), (1, Some(Counter::Name)));
        assert_eq!(failing(&shield, candidate("k1", "192.0.2.1", "c")).0, 1, "its own quota is not used up yet");
        assert_eq!(failing(&shield, shop), (0, Some(Counter::Known)));
    }

    #[test]
    fn what_is_not_sent_or_not_judged_costs_nothing_and_what_nobody_saw_the_end_of_failed() {
        let shield = shield(|quotas| quotas.name = quota("1/h"));
        let shop = candidate("k1", "192.0.2.1", "a");
        for _ in 0..5 {
            drop(shield.admit(shop, Mono(0)).unwrap());
            let mut sent = shield.admit(shop, Mono(0)).unwrap();
            sent.sent();
            sent.judge(Verdict::Unknown, Mono(0));
        }
        let mut left = shield.admit(shop, Mono(0)).unwrap();
        assert_eq!(shield.admit(shop, Mono(0)).unwrap_err().wait, Wait(Duration::from_secs(1)));
        left.sent();
        drop(left);
        assert_eq!(shield.admit(shop, Mono(0)).unwrap_err().wait, Wait(Duration::from_hours(1)));
    }

    #[test]
    fn a_reload_changes_quotas_and_forgets_callers_whose_key_left() {
        let shield = shield(|quotas| quotas.name = quota("1/h"));
        let callers = ["k1", "k2"].map(|key_id| candidate(key_id, "192.0.2.1", "a"));
        for caller in callers {
            shield.admit(caller, Mono(0)).unwrap().judge(Verdict::Succeeded, Mono(0));
        }
        failing(&shield, candidate("k3", "192.0.2.1", "a"));
        shield.retain([("shop", "k2"), ("other", "k1")].into_iter());
        assert_eq!(callers.map(|caller| shield.admit(caller, Mono(0)).is_ok()), [false, true]);
        shield.set_quotas(&LoginQuotas::all(quota("1000/h")), Mono(0));
        assert!(shield.admit(callers[0], Mono(0)).is_ok());
    }
}
