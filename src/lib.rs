//! sensgate: the gate between the internet and the REST port of 8sens.
//!
//! # The path of a request
//!
//! A listener hands a TCP connection to [`proxy`], which reads the head itself and scans it
//! ([`domain::request::head`]). The view of the head ([`domain::request`]) goes to [`domain::exchange`], which asks
//! every [`domain::policy`] in turn. A refusal is written by [`proxy::reply`]; an admitted request is carried to 8sens
//! by a lane. Either way one [`domain::exchange::Record`] reaches [`telemetry`].
//!
//! # Layout
//!
//! [`domain`] decides on plain data and names nothing outside itself. The edges are thin: [`proxy`], [`telemetry`],
//! [`admin`], [`acme`], [`tls`], [`state`], [`sandbox`], [`platform`]. [`config`] turns the TOML file into rules,
//! [`server`] puts everything together, [`cli`] is what an admin types, [`mod@text`] is what an admin reads,
//! [`explain`] says why a request was refused. `tests/rules/architecture/` holds who may name whom.

// What nothing outside can name is `pub(crate)`, so that the compiler tells when nobody uses it.
#![warn(unreachable_pub)]

pub mod acme;
pub mod admin;
pub mod cli;
pub mod config;
pub mod domain;
pub mod explain;
pub mod platform;
pub mod proxy;
pub mod sandbox;
pub mod server;
pub mod state;
pub mod telemetry;
pub mod text;
pub mod tls;
