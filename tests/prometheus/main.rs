//! What an admin's Prometheus and Grafana get from the gate: the reference of metrics, the files of `deploy/prometheus` and
//! `deploy/grafana`, and both at work against the real gate.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../e2e/gate.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod gate;
#[path = "../support/prometheus.rs"]
mod prometheus;

mod boards;
mod files;
#[cfg(target_os = "linux")]
mod live;
mod reference;
mod rules;
mod series;
#[cfg(target_os = "linux")]
mod world;
