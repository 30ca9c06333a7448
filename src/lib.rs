//! sensgate: the gate between the internet and the REST port of 8sens.
//!
//! # The path of a request
//!
//! A listener hands a TCP connection to [`proxy::connection`], which reads the head itself and scans it ([`head`]). The view of the
//! head ([`request`]) goes to [`exchange`], which asks every [`policy`] in turn. A refusal is written by [`proxy::reply`]; an admitted
//! request is carried by Pingora under [`proxy::hooks`]. Either way one [`exchange::Record`] reaches [`telemetry`].
//!
//! # Layout
//!
//! The core decides on plain data and does no I/O: [`types`], [`denial`], [`path`], [`route`], [`request`], [`grammar`], [`head`], [`client_ip`],
//! [`consumer`], [`api_key`], [`session`], [`snapshot`], [`policy`], [`exchange`], [`answer`]. The edges are thin: [`clock`], [`proxy`], [`telemetry`], [`admin`], [`acme`],
//! [`sandbox`], [`platform`]. [`config`] turns the TOML file into a snapshot, [`server`] puts everything together, [`cli`] is what an
//! admin types, [`mod@text`] is what an admin reads, [`explain`] says why a request was refused. `tests/architecture.rs` holds who may name whom.

pub mod acme;
pub mod admin;
pub mod answer;
pub mod api_key;
pub mod chunked;
pub mod cli;
pub mod client_ip;
pub mod clock;
pub mod config;
pub mod consumer;
pub mod control;
pub mod denial;
pub mod exchange;
pub mod explain;
pub mod grammar;
pub mod head;
pub mod key_use;
pub mod limit;
pub mod pasted;
pub mod path;
pub mod platform;
pub mod policy;
pub mod proxy;
pub mod query;
pub mod request;
pub mod route;
pub mod sandbox;
pub mod server;
pub mod session;
pub mod snapshot;
pub mod spelling;
pub mod state;
pub mod tables;
pub mod telemetry;
pub mod text;
pub mod tls;
pub mod types;
