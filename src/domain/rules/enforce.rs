//! How far a rule is in force.

/// Whether a rule refuses. Only quota, address and route rules can be anything but [`Enforce::On`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforce {
    On,
    /// What would have been refused is forwarded, counted and logged.
    Shadow,
    Off,
}
