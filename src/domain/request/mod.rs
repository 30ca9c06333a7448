//! One request as the core knows it: the strict scanner of its head, its one canonical path, the view that rules read.

pub mod chunked;
pub mod client_ip;
pub mod grammar;
pub mod head;
pub mod pasted;
pub mod path;
pub mod plain;
pub mod query;
pub mod spelling;
mod view;

pub use view::{
    FieldRole, FieldTable, Framing, Method, RequestView, TokenPlace, TokenPlaces, Transport, Values, split_target,
};
