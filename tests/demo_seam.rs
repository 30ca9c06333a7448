//! Each policy holds something up: with any one of them switched off, the demonstration's own checks fail.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use sensgate::cli::{Exit, demo};
use sensgate::policy::{Policy, PolicySet};
use sensgate::text::Lang;

#[test]
fn the_demo_passes_with_every_policy() {
    assert_eq!(demo::once(PolicySet::ALL, Lang::En), Exit::Ok);
}

#[test]
fn the_demo_fails_without_any_one_policy() {
    for policy in Policy::ALL {
        assert_eq!(demo::once(PolicySet::without(policy), Lang::En), Exit::Failure, "{policy:?} is not missed");
    }
}
