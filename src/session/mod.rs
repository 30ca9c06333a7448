//! Sessions: which token belongs to whom, and for how long.
//!
//! Nothing here reads a clock, does I/O or waits.

pub mod login_answer;
