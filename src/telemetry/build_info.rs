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

/// The target triple.
pub const TARGET: &str = env!("SENSGATE_TARGET");

/// Cargo features, separated by commas.
pub const FEATURES: &str = env!("SENSGATE_FEATURES");

/// `name version` of the libraries that meet the network first, separated by commas.
pub const LIBRARIES: &str = env!("SENSGATE_LIBRARIES");
