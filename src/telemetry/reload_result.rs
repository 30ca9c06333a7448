//! What came of a reload, in the words of log and metric.

use strum::{IntoStaticStr, VariantArray};

/// What came of reading the configuration again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ReloadResult {
    Applied,
    Unchanged,
    Refused,
}

impl ReloadResult {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The word for log, report and metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}
