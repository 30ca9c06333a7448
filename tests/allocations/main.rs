//! What takes no memory, or all of it at the start. The counter is the allocator of this binary, and counts for each
//! thread by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod decide_allocations;
mod limit_memory;
