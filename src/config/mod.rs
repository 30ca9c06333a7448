//! From one TOML file to [`Settings`], or to every reason why not.

mod settings;

pub use settings::*;
