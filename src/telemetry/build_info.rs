//! What this binary was built from.

/// The version in Cargo.toml.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The source revision, when the builder states it in `SENSGATE_REVISION`.
pub const REVISION: &str = match option_env!("SENSGATE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The version of the compiler, such as `1.95.0`.
pub const RUSTC: &str = env!("SENSGATE_RUSTC");
