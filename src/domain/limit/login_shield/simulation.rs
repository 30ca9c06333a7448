//! Attackers and shops beside each other for a day, without sockets: who gets through, and how often.

use super::tests::quota;
use super::*;
use crate::domain::limit::window::assert_within;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

const QUOTAS: [&str; 5] = ["30/h, burst 40", "20/h, burst 32", "20/h, burst 32", "600/h, burst 300", "120/h, burst 60"];

fn quotas() -> LoginQuotas {
    let [name, address, key, total, known] = QUOTAS.map(quota);
    LoginQuotas { name, address, key, total, known }
}

fn candidate<'c>(consumer: &'c str, address: u32, name: &'static str) -> Candidate<'c> {
    let address = Ipv4Addr::from_bits(0x0a00_0000 + address).into();
    Candidate { consumer, key_id: "k1", address, name: name.as_bytes() }
}

/// Sends one login that ends at once, unless it is throttled.
fn sends(shield: &Arc<LoginShield>, candidate: Candidate<'_>, verdict: Verdict, now: Mono) -> bool {
    shield.admit(candidate, now).map(|login| login.judge(verdict, now)).is_ok()
}

const SHOP: u32 = 0xffff;

#[test]
fn a_hundred_thousand_wrong_logins_reach_nobody_that_is_known() {
    // The key is the shop's own: nobody is worse off than who shares key and name with the attacker.
    for key in ["shop", "partner"] {
        let shield = LoginShield::new(&quotas());
        let shop = candidate("shop", SHOP, "clientrest");
        assert!(sends(&shield, shop, Verdict::Succeeded, Mono(0)));
        let (mut now, mut reached) = (Mono(0), Vec::new());
        for attempt in 0..100_000_u32 {
            now = now.after(Duration::from_millis(86));
            if sends(&shield, candidate(key, attempt % 10_000, "clientrest"), Verdict::Failed, now) {
                reached.push(now.0);
            }
            if attempt % 1_000 == 0 {
                assert!(sends(&shield, shop, Verdict::Succeeded, now), "login {attempt}");
            }
        }
        assert!(reached.len() > 32, "{}", reached.len());
        assert_within(&quotas().name, reached.clone());
        assert_within(&quotas().key, reached);
    }
}

#[test]
fn one_stolen_key_keeps_no_shop_with_another_key_from_its_first_login() {
    let shield = LoginShield::new(&quotas());
    let mut now = Mono(0);
    for attempt in 0..100_000_u32 {
        now = now.after(Duration::from_millis(86));
        sends(&shield, candidate("partner", attempt % 10_000, "clientrest"), Verdict::Failed, now);
        if attempt % 10_000 == 9_999 {
            let shop = format!("shop-{attempt}");
            assert!(sends(&shield, candidate(&shop, SHOP, "clientrest"), Verdict::Succeeded, now));
        }
    }
}

#[test]
fn as_many_names_as_an_attacker_likes_are_held_to_the_quota_in_all() {
    let shield = LoginShield::new(&quotas());
    let names: Vec<String> = (0..20_000).map(|name| format!("user-{name}")).collect();
    let mut reached = Vec::new();
    for (attempt, name) in (0..).zip(&names) {
        let consumer = format!("stolen-{}", attempt % 500);
        let address = Ipv4Addr::from_bits(attempt).into();
        let candidate = Candidate { consumer: &consumer, key_id: "k1", address, name: name.as_bytes() };
        if sends(&shield, candidate, Verdict::Failed, Mono(u64::from(attempt))) {
            reached.push(u64::from(attempt));
        }
    }
    assert_within(&quotas().total, reached);
    assert_eq!(shield.state.lock().names.under_way(), 0);
}

/// A login of the simulation: who, as whom, whether its password is right, how long 8sens takes in milliseconds.
type Login = (usize, usize, bool, u64);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any interleaving of logins that take their time: what fails keeps to every quota, and nothing is left behind.
    #[test]
    fn what_fails_keeps_to_the_quotas(
        logins in prop::collection::vec((0..4_usize, 0..3_usize, any::<bool>(), 0..3_000_u64), 1..600),
    ) {
        const NAMES: [&str; 3] = ["a", "b", "c"];
        let shield = LoginShield::new(&quotas());
        let mut failed: BTreeMap<(usize, bool), Vec<u64>> = BTreeMap::new();
        let mut under_way: BTreeMap<(u64, usize), (LoginTry, Login, Mono, bool)> = BTreeMap::new();
        for (n, login) in logins.into_iter().enumerate() {
            let (who, name, _, takes) = login;
            let now = Mono(n as u64 * 200_000_000);
            let due = under_way.split_off(&(now.0, 0));
            for ((at, _), (open, (who, name, is_right, _), sent, is_known)) in std::mem::replace(&mut under_way, due) {
                let verdict = if is_right { Verdict::Succeeded } else { Verdict::Failed };
                open.judge(verdict, Mono(at));
                if !is_right {
                    failed.entry((name, is_known)).or_default().push(sent.0);
                    let _ = who;
                }
            }
            let address = u32::try_from(who).unwrap();
            if let Ok(open) = shield.admit(candidate("shop", address, NAMES[name]), now) {
                let is_known = open.counters.first() == Some(&Counter::Known) && open.counters.len() == 1;
                under_way.insert((now.0 + takes * 1_000_000, n), (open, login, now, is_known));
            }
        }
        for ((_, is_known), sent) in failed {
            if !is_known {
                assert_within(&quotas().name, sent);
            }
        }
        under_way.clear();
        let state = shield.state.lock();
        for failures in [&state.names, &state.addresses, &state.keys, &state.total, &state.known] {
            prop_assert_eq!(failures.under_way(), 0);
        }
    }
}
