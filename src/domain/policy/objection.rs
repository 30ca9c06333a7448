//! What a rule has against a request, for whoever judges it.

use crate::domain::denial::Denial;
use crate::domain::session::unfamiliar::Issued;

/// What a rule has against a request.
#[derive(Debug)]
pub(super) struct Objection {
    pub denial: Denial,
    /// For tokens that were never handed out here.
    pub issued: Option<Issued>,
}

impl From<Denial> for Objection {
    fn from(denial: Denial) -> Self {
        Self { denial, issued: None }
    }
}
