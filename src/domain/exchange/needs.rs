//! What a request may have to wait for between its admission and 8sens: an ordered list, asked from the front.
//!
//! The body of a login of a caller's comes first: without its name nobody knows whether it may go on. Then the order is
//! this: an order is claimed, so that its repetition is told at once; then a login of the gate's own; then a turn; and
//! the durable record of an order comes last, so that a gate that dies while the order still waits leaves nothing
//! unknown. Built are the two of a login. The edge meets a need, or tells that it cannot, and calls
//! [`resume`](super::Exchange::resume), which asks again everything that may have changed.

use crate::domain::denial::Denial;
use crate::domain::session::managed::Account;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Something that only an edge can wait for. An edge that matches on it is stopped by the compiler when another one
/// appears.
#[derive(Clone, Debug)]
pub enum Need {
    /// The whole body of a login, of which the name is read. The caller sends it either way; nothing of it is lost.
    LoginBody,
    /// The session that the gate keeps for this account: its login has to begin, or to end.
    Login(Arc<Account>),
    /// Stands in for all of them in the simulation.
    #[cfg(test)]
    Word(u8),
}

/// What came of a [`Need`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is met.
    Met,
    /// Here is what was to be read.
    Body(LoginBody),
    /// It cannot be met, and this is what the caller is told.
    Refused(Denial),
}

/// The body of a login, decoded from its transfer coding: it holds a password.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginBody(Zeroizing<Vec<u8>>);

impl LoginBody {
    #[must_use]
    pub const fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Never shows a byte.
impl fmt::Debug for LoginBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoginBody({} bytes)", self.0.len())
    }
}

/// The needs of one request that are not met yet.
#[derive(Debug, Default)]
pub(super) struct Needs(VecDeque<Need>);

impl Needs {
    #[cfg(test)]
    pub(super) fn new(needs: impl IntoIterator<Item = Need>) -> Self {
        Self(needs.into_iter().collect())
    }

    /// Adds one that is waited for before the others.
    pub(super) fn begin_with(&mut self, need: Need) {
        self.0.push_front(need);
    }

    /// The one that is waited for.
    pub(super) fn first(&self) -> Option<Need> {
        self.0.front().cloned()
    }

    pub(super) fn met(&mut self) {
        self.0.pop_front();
    }
}
