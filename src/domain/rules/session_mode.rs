//! What the gate does about sessions.

/// What happens to a request whose token is not the caller's live one, and to one without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionMode {
    /// It is forwarded, counted and logged.
    Observe,
    /// It never reaches 8sens.
    Guard,
    /// As under [`Self::Guard`]; and a request without a token is given that of a session that the gate keeps.
    Managed,
}
