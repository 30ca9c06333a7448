//! The promise of a quota, checked on what was admitted.

use super::Quota;

/// Asserts that every window of every length `t` holds at most `burst + rate·t` of the instants `admitted`, in
/// nanoseconds.
///
/// Looking at windows from one admission to a later one is enough. Entry `i` to entry `j` is within the bound exactly
/// when `(j - i) · interval - (t_j - t_i)` is at most the tolerance.
pub(super) fn assert_within(quota: &Quota, mut admitted: Vec<u64>) {
    admitted.sort_unstable();
    let interval = i128::from(quota.interval());
    let mut highest = i128::MIN;
    for (index, instant) in admitted.iter().enumerate() {
        let lead = i128::from(*instant) - index as i128 * interval;
        highest = highest.max(lead);
        let over = highest - lead - i128::from(quota.tolerance());
        assert!(over <= 0, "admission {index} at {instant} ns is {over} ns ahead of {quota}");
    }
}

#[test]
fn one_too_many_is_seen() {
    let quota = Quota::parse("1/s, burst 2").unwrap();
    let second = 1_000_000_000;
    assert_within(&quota, vec![0, 0, second, 2 * second]);
    for broken in [vec![0, 0, 0], vec![0, 0, second - 1], vec![0, 5 * second, 5 * second, 6 * second - 1]] {
        assert!(std::panic::catch_unwind(|| assert_within(&quota, broken)).is_err());
    }
}
