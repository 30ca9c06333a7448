//! From one TOML file, and those that it names for consumers, to [`Settings`], or to every reason why not.
//!
//! [`shape`] is the registry of keys, [`kind`] says what they may hold, `reader` and `field` walk the tables and
//! collect findings, `resolve` turns them into settings, and [`Report`] shows what was found. Secrets are read in
//! `secret` and masked in every report.

mod address;
mod bounds;
pub mod changes;
mod consumer_files;
mod diagnostic;
pub mod draft;
pub mod entry;
mod field;
mod file;
pub mod kind;
pub mod locked_file;
mod mask;
mod positions;
mod reader;
pub mod reference;
mod render;
mod report;
mod resolve;
pub mod schema;
mod secret;
mod settings;
pub mod shape;
pub mod spec;
mod syntax;
mod value;

pub use bounds::{MAX_CONSUMER_BYTES, MAX_CONSUMER_FILES, MAX_FILE};
pub use diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Position, Rule, Severity, Spot};
pub use file::{Loaded, load, parse, parse_edited, state_directory};
pub use positions::{Location, Positions};
pub use report::Report;
pub use secret::MAX_SECRET;
pub use settings::*;
pub(crate) use value::{show_duration, show_size};
