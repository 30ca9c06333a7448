//! What is decided, on plain data: no file under this folder names anything outside it.
//!
//! It knows no clock, socket, file, thread, logger or framework. It is given bytes, a view of a request and a reading
//! of both clocks ([`types::Now`]), and answers with data.

pub mod answer;
pub mod denial;
pub mod exchange;
#[cfg(test)]
pub(crate) mod fixture;
pub mod limit;
pub mod policy;
pub mod request;
pub mod rules;
pub mod session;
pub mod tables;
pub mod types;
