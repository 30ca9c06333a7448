//! The real binary on real ports, with the witness upstream behind it.

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod forwarding;
mod gate;
mod lifecycle;
mod refusals;
mod secrets;
