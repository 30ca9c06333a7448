//! What an answer of 8sens becomes on its way to the caller, as plain data in and out.
//!
//! [`head`] reads the head of an answer strictly; [`framing`] says whether an answer has content and where that ends;
//! [`fields`] says which fields go on, and which the gate adds; [`own_name`] and [`mod@reference`] see to it that what
//! 8sens says of itself leads back to the gate. Whoever carries the bytes applies the result, in any lane.

pub mod fields;
pub mod framing;
pub mod head;
pub mod own_name;
pub mod reference;
