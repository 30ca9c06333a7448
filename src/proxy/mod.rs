//! The only place that speaks both HTTP and Pingora.
//!
//! [`connection`] owns each downstream connection from its first byte and refuses what must not go on; a [`lane`] carries the rest to
//! 8sens. [`reply`] writes every refusal. [`ticket`] makes sure that each exchange leaves exactly one record.

pub mod acceptor;
pub mod caller_stream;
pub mod connection;
pub mod http2;
pub mod lane;
pub mod lent;
pub mod linger;
pub mod opening;
mod pace;
mod proxy_header;
pub mod reply;
pub mod slots;
pub mod socket;
pub mod ticket;
mod unread_body;
mod waiting;
