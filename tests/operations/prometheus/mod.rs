//! What an admin's Prometheus and Grafana get from the gate: the reference of metrics, the files of `deploy/prometheus`
//! and `deploy/grafana`, and both at work against the real gate.

#[path = "../../support/prometheus.rs"]
mod server;

mod boards;
mod files;
#[cfg(target_os = "linux")]
mod live;
mod reference;
mod rules;
mod series;
#[cfg(target_os = "linux")]
mod world;
