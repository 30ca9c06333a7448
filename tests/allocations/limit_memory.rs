//! What the address budgets take: all of it at the start, whatever comes by.

use allocation_counter::measure;
use sensgate::domain::limit::login_shield::LoginQuotas;
use sensgate::domain::limit::{AddressBudget, Budgets, Limiter, Quota};
use sensgate::domain::types::Mono;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const WALK: u32 = 1_000_000;
const MICROSECOND: u64 = 1_000;

fn quota(text: &str) -> Quota {
    Quota::parse(text).unwrap()
}

fn v4(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

/// One /48 after the other.
fn v6(n: u32) -> IpAddr {
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(n) << 80 | 1).into()
}

/// One /64 after the other, sixteen /48 in all.
fn v6_within_few_sites(n: u32) -> IpAddr {
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(n) << 64 | 1).into()
}

/// Exhausts `hitter`, lets a million others come by, and finds the hitter refused at each thousandth and in the end.
fn walk_past(budget: &AddressBudget, hitter: IpAddr, others: fn(u32) -> IpAddr) {
    let mut now = 0;
    while budget.charge(hitter, Mono(now)).is_ok() {}
    let capacity = budget.capacity();
    let mut refused = 0;
    let cost = measure(|| {
        for n in 1..=WALK {
            now += MICROSECOND;
            refused += u32::from(budget.charge(others(n), Mono(now)).is_err());
            if n % 1_000 == 0 {
                assert!(budget.is_exhausted(hitter, Mono(now)).is_some());
                assert!(budget.charge(hitter, Mono(now)).is_err());
            }
        }
    });
    assert_eq!((cost.count_total, cost.bytes_total), (0, 0));
    assert_eq!(budget.capacity(), capacity);
    assert!(refused > WALK / 2, "only {refused} refused: nothing was under pressure");
}

#[test]
fn a_walk_of_ipv4_neither_grows_the_store_nor_pardons_anyone() {
    let budget = AddressBudget::new(quota("10/min"), 4096);
    walk_past(&budget, v4(0), v4);
    assert!(budget.overflowed() > 0);
}

#[test]
fn a_walk_of_ipv6_neither_grows_the_store_nor_pardons_anyone() {
    let budget = AddressBudget::new(quota("10/min"), 4096);
    walk_past(&budget, v6(0), v6);
    assert!(budget.overflowed() > 0);
}

#[test]
fn a_walk_within_few_sites_never_fills_the_store() {
    let budget = AddressBudget::new(quota("10/min"), 4096);
    walk_past(&budget, v6_within_few_sites(0), v6_within_few_sites);
    assert_eq!(budget.overflowed(), 0);
}

#[test]
fn a_store_of_the_usual_size_serves_a_million_addresses_a_second() {
    let budget = AddressBudget::new(quota("100/s, burst 200"), Limiter::ADDRESS_SLOTS);
    let cost = measure(|| {
        for n in 1..=WALK {
            assert!(budget.charge(v4(n), Mono(u64::from(n) * MICROSECOND)).is_ok());
        }
    });
    assert_eq!((cost.count_total, budget.overflowed()), (0, 0));
}

#[test]
fn the_counter_counts_and_a_limiter_takes_its_memory_at_once() {
    let one = quota("10/min");
    let budgets = Budgets { address: one, failed_credentials: one, failed_tokens: one, logins: LoginQuotas::all(one) };
    let mut limiter = None;
    let cost = measure(|| limiter = Some(Limiter::new(&budgets, Limiter::ADDRESS_SLOTS)));
    assert!((4 << 20..5 << 20).contains(&cost.bytes_total), "{}", cost.bytes_total);
    let limiter = limiter.unwrap();
    limiter.failed_tokens.charge("paris", Mono(0)).unwrap();
    let cost = measure(|| {
        assert!(limiter.failed_tokens.charge("paris", Mono(1)).is_ok());
        assert!(limiter.address.charge(v4(1), Mono(1)).is_ok());
        assert!(limiter.failed_credentials.is_exhausted(v6(1), Mono(1)).is_none());
    });
    assert_eq!(cost.count_total, 0);
}
