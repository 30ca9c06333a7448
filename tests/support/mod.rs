//! What the integration tests share: a raw HTTP/1.1 client and a witness upstream that records every byte.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod acme_directory;
#[cfg(target_os = "linux")]
pub mod hosts;
pub mod http;
pub mod http2;
pub mod pebble;
pub mod port;
pub mod tls;
pub mod wire;
pub mod witness;
