//! Connections of callers, and the way of their requests to 8sens.
//!
//! [`acceptor`] accepts, `dispatch` opens a connection and serves it in its protocol: `http1` reads, decides, refuses
//! and hands on; `http2` writes each stream as a connection of that. A [`lane`] carries what was admitted. [`reply`]
//! writes every refusal, and [`ticket`] makes sure that each exchange leaves exactly one record.

pub mod acceptor;
mod buffer;
pub mod caller_stream;
mod dispatch;
mod http1;
pub mod http2;
pub mod lane;
mod lazy_timer;
pub mod lent;
pub mod linger;
pub mod listener;
mod login_body;
pub mod managed_login;
pub mod opening;
mod pace;
mod proxy_header;
pub mod reply;
pub mod shared;
pub mod slots;
pub mod socket;
pub mod ticket;
mod unread_body;
mod waiting;
