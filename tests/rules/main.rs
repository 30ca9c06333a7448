//! What is tried on the library and the source alone, without a running gate: the layers, the configuration and what is
//! made of it, the seeds of the fuzzer, the session table against a model.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod architecture;
mod config;
mod fuzz_seeds;
mod mutations;
mod reference;
mod session_table;
mod threats;
