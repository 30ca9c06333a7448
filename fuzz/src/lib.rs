//! What must hold for whatever bytes come: one property for each place where the gate reads what a stranger wrote.
//!
//! A property is a function on bytes that panics when it does not hold. libFuzzer calls it from `fuzz_targets/`, and
//! `tests/rules/fuzz_seeds.rs` of the gate includes these files and calls it with every seed and with mutations of
//! them, on stable Rust. Nothing is stated twice.

pub mod answer;
pub mod chunked;
pub mod client_ip;
pub mod config;
pub mod credentials;
pub mod gates;
pub mod head;
pub mod http2;
pub mod log_line;
pub mod login_answer;
pub mod path;
pub mod query;
pub mod session_log;

/// Panics when what must hold of these bytes does not.
pub type Property = fn(&[u8]);

/// Every property, under the name of its seeds, its dictionary and its target.
pub const PROPERTIES: [(&str, Property); 12] = [
    ("answer", answer::check),
    ("chunked", chunked::check),
    ("client_ip", client_ip::check),
    ("config", config::check),
    ("credentials", credentials::check),
    ("head", head::check),
    ("http2", http2::check),
    ("log_line", log_line::check),
    ("login_answer", login_answer::check),
    ("path", path::check),
    ("query", query::check),
    ("session_log", session_log::check),
];
