//! What a request may have to wait for between its admission and 8sens: an ordered list, asked from the front.
//!
//! The order is that of the enum: an order is claimed first, so that its repetition is told at once; then a login; then
//! a turn; and the durable record of an order comes last, so that a gate that dies while the order still waits leaves
//! nothing unknown. None of them is built yet. What is built is how an exchange waits: the edge meets the need, or
//! tells that it cannot, and calls [`resume`](super::Exchange::resume), which asks again everything that may have
//! changed.

use crate::domain::denial::Denial;
use std::collections::VecDeque;

/// Something that only an edge can wait for. Outside the simulation there is none yet; an edge that matches on it is
/// stopped by the compiler when the first one appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Stands in for all of them in the simulation.
    #[cfg(test)]
    Word(u8),
}

/// What came of a [`Need`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is met.
    Met,
    /// It cannot be met, and this is what the caller is told.
    Refused(Denial),
}

/// The needs of one request that are not met yet.
#[derive(Debug, Default)]
pub(super) struct Needs(VecDeque<Need>);

impl Needs {
    #[cfg(test)]
    pub(super) fn new(needs: impl IntoIterator<Item = Need>) -> Self {
        Self(needs.into_iter().collect())
    }

    /// The one that is waited for.
    pub(super) fn first(&self) -> Option<Need> {
        self.0.front().copied()
    }

    pub(super) fn met(&mut self) {
        self.0.pop_front();
    }
}
