//! A refusal, and whose key came with it.

use crate::domain::denial::Denial;
use crate::domain::rules::consumer::{Consumer, Credential};

/// Whose key came along. It proves nothing: the key may be expired, or not have been checked at all.
#[derive(Clone, Copy, Debug)]
pub struct KeyOwner<'s> {
    pub consumer: &'s Consumer,
    pub credential: &'s Credential,
}

/// A refusal, with as much as is known of who was refused.
#[derive(Clone, Debug)]
pub struct Refusal<'s> {
    pub denial: Denial,
    /// Whose key it was, when it was refused for something that comes after its key, or for the key itself.
    pub owner: Option<KeyOwner<'s>>,
}

impl From<Denial> for Refusal<'_> {
    fn from(denial: Denial) -> Self {
        Self { denial, owner: None }
    }
}
