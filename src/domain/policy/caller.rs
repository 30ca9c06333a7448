//! Who calls: proven by a valid key, or only said to be by one that came along.

use super::credential::Proof;
use crate::domain::denial::Denial;
use crate::domain::rules::consumer::{Consumer, Credential};

/// Who calls, proven by a valid key. Only the credential policy has the [`Proof`] that it takes to make one.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'s> {
    consumer: &'s Consumer,
    credential: &'s Credential,
}

impl<'s> Caller<'s> {
    pub(super) const fn proven(_: Proof, consumer: &'s Consumer, credential: &'s Credential) -> Self {
        Self { consumer, credential }
    }

    #[must_use]
    pub const fn consumer(self) -> &'s Consumer {
        self.consumer
    }

    #[must_use]
    pub const fn credential(self) -> &'s Credential {
        self.credential
    }
}

/// Whose key came along. It proves nothing: the key may be expired, or not have been checked at all.
#[derive(Clone, Copy, Debug)]
pub struct KeyOwner<'s> {
    pub consumer: &'s Consumer,
    pub credential: &'s Credential,
}

impl<'s> From<Caller<'s>> for KeyOwner<'s> {
    fn from(caller: Caller<'s>) -> Self {
        Self { consumer: caller.consumer, credential: caller.credential }
    }
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
