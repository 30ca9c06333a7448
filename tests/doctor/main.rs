//! `doctor`, `explain` and `status` with the real binary. Each finding of `doctor` is provoked by a real fault, and is not there without it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod eight_sens;
mod explained;
mod faults;
mod front;
#[path = "../e2e/gate.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod gate;
mod monitored;
mod running;
mod site;
