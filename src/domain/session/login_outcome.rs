//! What came of a login at 8sens.

use strum::{IntoStaticStr, VariantArray};

/// What became of a login. A closed set: the label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum LoginOutcome {
    /// Answered with a token.
    Accepted,
    /// Answered with a 4xx status: wrong login or password, no seat left, or a wrong upstream key.
    Refused,
    /// Answered with success, but with no token that can be read. Some servers refuse like that.
    NotUnderstood,
    /// Not answered, or answered with another status.
    Failed,
    /// Not sent: too many before it had failed.
    Throttled,
}

impl LoginOutcome {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// What the status alone says. A success still has to hold a token.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::NotUnderstood,
            400..=499 => Self::Refused,
            _ => Self::Failed,
        }
    }

    /// The word for the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_whether_a_login_was_refused_or_failed() {
        for (status, outcome) in [
            (199, LoginOutcome::Failed),
            (200, LoginOutcome::NotUnderstood),
            (299, LoginOutcome::NotUnderstood),
            (302, LoginOutcome::Failed),
            (399, LoginOutcome::Failed),
            (400, LoginOutcome::Refused),
            (499, LoginOutcome::Refused),
            (500, LoginOutcome::Failed),
        ] {
            assert_eq!(LoginOutcome::of_status(status), outcome, "{status}");
        }
    }
}
