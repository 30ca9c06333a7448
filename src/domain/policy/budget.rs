//! Budgets: how much abuse is answered before it is turned away without further work.
//!
//! Refusals charge them; a good request never does. A valid key passes however many wrong ones came from its address,
//! so that an attacker behind the same address cannot lock a shop out, short of the far larger address budget.

use super::Passed;
use super::credential::Caller;
use crate::domain::denial::{Denial, DenyCode, Reason};
use crate::domain::limit::Wait;
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::snapshot::BudgetRules;
use crate::domain::tables::Tables;
use crate::domain::types::Mono;
use std::net::IpAddr;

/// What an operator reads of a request that has passed.
pub(super) const PASSED: Passed = Passed {
    en: "as long as few requests of this address are refused",
    fr: "tant que peu de requêtes de cette adresse sont refusées",
};

/// Refuses everything from an address that was refused too often.
pub(super) fn check_address(tables: &Tables, client: IpAddr, now: Mono) -> Result<(), Denial> {
    let exhausted = tables.limiter.address.is_exhausted(client, now);
    exhausted.map_or(Ok(()), |wait| Err(limited(Reason::AddressExhausted, wait)))
}

/// Turns a refused key into `rate_limited` once too many came from its address.
pub(super) fn of_failed_credential(
    denial: Denial,
    rules: &BudgetRules,
    tables: &Tables,
    client: IpAddr,
    now: Mono,
) -> Denial {
    match tables.limiter.failed_credentials.is_exhausted(client, now) {
        Some(wait) if denial.code == DenyCode::UnknownKey && rules.enforce == Enforce::On => {
            limited(Reason::CredentialsExhausted, wait)
        }
        _ => denial,
    }
}

/// Turns a refused token into `rate_limited` once too many came from its consumer.
pub(super) fn of_failed_token(
    denial: Denial,
    rules: &BudgetRules,
    tables: &Tables,
    caller: Caller<'_>,
    now: Mono,
) -> Denial {
    match tables.limiter.failed_tokens.is_exhausted(&caller.consumer().name, now) {
        Some(wait) if is_failed_token(denial.code) && rules.enforce == Enforce::On => {
            limited(Reason::TokensExhausted, wait)
        }
        _ => denial,
    }
}

/// Charges the budgets for a refusal. What is refused for its rate is not charged again.
pub(crate) fn charge(denial: &Denial, tables: &Tables, client: IpAddr, consumer: Option<&str>, now: Mono) {
    if denial.code.status() == 429 || denial.code.status() >= 500 {
        return;
    }
    // An exhausted budget stays exhausted; there is nothing to do about it here.
    let _ = tables.limiter.address.charge(client, now);
    if denial.code == DenyCode::UnknownKey {
        charge_failed_credential(tables, client, now);
    }
    if let Some(consumer) = consumer.filter(|_| is_failed_token(denial.code)) {
        let _ = tables.limiter.failed_tokens.charge(consumer, now);
    }
}

/// Charges the budget for a key that is nobody's, whatever it was refused for.
pub(crate) fn charge_failed_credential(tables: &Tables, client: IpAddr, now: Mono) {
    let _ = tables.limiter.failed_credentials.charge(client, now);
}

const fn is_failed_token(code: DenyCode) -> bool {
    matches!(code, DenyCode::SessionUnknown | DenyCode::SessionNotYours)
}

const fn limited(reason: Reason, Wait(wait): Wait) -> Denial {
    Denial::because(reason).retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{NOW, PEER, consumer, quota, snapshot, tables, view};
    use crate::domain::policy::{self, credential};
    use crate::domain::request::client_ip::ClientIp;

    /// Rules under which one failure uses up each budget, and their tables.
    fn strict(enforce: Enforce) -> (BudgetRules, Tables) {
        let mut snapshot = snapshot(vec![consumer("shop", "key")]);
        let one = quota("1/h");
        snapshot.budgets =
            BudgetRules { address: one, failed_credentials: one, failed_tokens: one, enforce, ..snapshot.budgets };
        let tables = tables(&snapshot);
        (snapshot.budgets, tables)
    }

    fn charged(denial: &Denial) -> [bool; 3] {
        let (_, tables) = strict(Enforce::On);
        charge(denial, &tables, PEER, Some("shop"), NOW.mono);
        let limiter = &tables.limiter;
        [
            limiter.address.is_exhausted(PEER, NOW.mono).is_some(),
            limiter.failed_credentials.is_exhausted(PEER, NOW.mono).is_some(),
            limiter.failed_tokens.is_exhausted("shop", NOW.mono).is_some(),
        ]
    }

    #[test]
    fn each_refusal_charges_what_it_abused() {
        assert_eq!(charged(&Denial::new(DenyCode::ForbiddenRoute)), [true, false, false]);
        assert_eq!(charged(&Denial::because(Reason::KeyNotKnown)), [true, true, false]);
        assert_eq!(charged(&Denial::because(Reason::TokenOfAnother)), [true, false, true]);
        for free in [Reason::AddressExhausted, Reason::LoginNameFailed, Reason::UpstreamSilent] {
            assert_eq!(charged(&Denial::because(free)), [false; 3], "{free:?}");
        }
    }

    #[test]
    fn a_wrong_key_is_told_apart_until_too_many_came() {
        let (rules, tables) = strict(Enforce::On);
        let unknown = Denial::because(Reason::KeyNotKnown);
        let told = |rules, denial: &Denial| of_failed_credential(denial.clone(), rules, &tables, PEER, NOW.mono).code;
        assert_eq!(told(&rules, &unknown), DenyCode::UnknownKey);
        charge_failed_credential(&tables, PEER, NOW.mono);
        assert_eq!(told(&rules, &unknown), DenyCode::RateLimited);
        assert_eq!(told(&rules, &Denial::new(DenyCode::MissingKey)), DenyCode::MissingKey);
        assert_eq!(told(&strict(Enforce::Shadow).0, &unknown), DenyCode::UnknownKey);
    }

    #[test]
    fn a_decision_on_a_wrong_key_knows_the_budget() {
        let mut snapshot = snapshot(vec![consumer("shop", "key")]);
        snapshot.budgets.failed_credentials = quota("1/h");
        let tables = tables(&snapshot);
        let request = view("GET", "/v1/a", &[("api_key", "guessed")]);
        let client = ClientIp { address: PEER, unreadable: false };
        let code = || policy::decide(&snapshot, &tables, &request, client, NOW).unwrap_err().denial.code;
        assert_eq!(code(), DenyCode::UnknownKey);
        charge_failed_credential(&tables, PEER, NOW.mono);
        assert_eq!(code(), DenyCode::RateLimited);
    }

    #[test]
    fn a_wrong_token_is_told_apart_until_too_many_came() {
        let (rules, tables) = strict(Enforce::On);
        let shop = consumer("shop", "key");
        let (caller, _) = credential::assume(&shop, &view("GET", "/", &[]), NOW.wall);
        let told =
            |rules, reason| of_failed_token(Denial::because(reason), rules, &tables, caller.unwrap(), NOW.mono).code;
        assert_eq!(told(&rules, Reason::TokenOfAnother), DenyCode::SessionNotYours);
        charge(&Denial::because(Reason::TokenOfAnother), &tables, PEER, Some("shop"), NOW.mono);
        assert_eq!(told(&rules, Reason::TokenOfAnother), DenyCode::RateLimited);
        assert_eq!(told(&rules, Reason::TokenIdle), DenyCode::SessionExpired);
        assert_eq!(told(&strict(Enforce::Off).0, Reason::TokenOfAnother), DenyCode::SessionNotYours);
    }
}
