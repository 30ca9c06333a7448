//! The compiled configuration: who may call, what for, and how much of it.

pub mod api_key;
pub mod consumer;
pub mod enforce;
pub mod login;
pub mod route;
pub mod session_mode;
pub mod snapshot;
