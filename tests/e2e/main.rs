//! The real binary on real ports, with the witness upstream behind it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod acme;
mod acme_directory;
mod admin;
#[cfg(unix)]
mod audit;
#[cfg(target_os = "linux")]
mod browser;
#[path = "../chaos/mod.rs"]
mod chaos;
#[cfg(target_os = "linux")]
mod clocks;
mod closing;
mod connections;
mod demo_seam;
#[cfg(target_os = "linux")]
mod fail2ban;
#[cfg(unix)]
mod first_hour;
mod forwarding;
mod gate;
mod grammar;
mod hostile;
mod http2;
#[cfg(unix)]
mod keys;
mod lifecycle;
mod log_injection;
mod login_shield;
mod managed;
#[cfg(target_os = "linux")]
mod page;
mod plaintext;
mod proxy_protocol;
mod refusals;
#[cfg(unix)]
mod reload;
mod sandbox;
mod scan;
mod secrets;
#[cfg(unix)]
mod service_manager;
mod sessions;
mod targets;
mod tls;
#[cfg(target_os = "linux")]
mod upstream_name;
mod upstream_tls;
mod witness;
