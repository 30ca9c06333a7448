//! How large a configuration may be.

/// Bytes of one file, at most.
pub const MAX_FILE: usize = 4 << 20;

/// Files of consumers, at most.
pub const MAX_CONSUMER_FILES: usize = 1024;

/// Bytes of all files of consumers together, at most.
pub const MAX_CONSUMER_BYTES: usize = 64 << 20;
