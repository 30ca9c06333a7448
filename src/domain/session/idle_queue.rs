//! The entries of one consumer, the longest idle first.
//!
//! A use of a token does not touch this queue. An item keeps the last use under which it was queued; when it comes to
//! the front and the entry was used since, it goes back with its new last use. No entry was ever used before its item
//! says, so an item whose last use is still true is really the longest idle. A plain first-in first-out queue would not
//! do: an item put back at its end would be behind newer ones.

use super::hash::SessionHash;
use super::tick::Tick;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One entry on a token, as it was when it was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) queued: Tick,
    pub(super) hash: SessionHash,
}

/// A lazily kept priority queue: an item costs a logarithm when it is queued and again each time it comes to the front
/// after a use.
#[derive(Debug, Default)]
pub(super) struct IdleQueue {
    heap: BinaryHeap<Reverse<Item>>,
}

/// Out-of-date items that are always borne.
const SLACK: usize = 64;

impl IdleQueue {
    pub(super) fn push(&mut self, item: Item) {
        self.heap.push(Reverse(item));
    }

    pub(super) fn front(&self) -> Option<Item> {
        self.heap.peek().map(|Reverse(item)| *item)
    }

    pub(super) fn pop(&mut self) {
        self.heap.pop();
    }

    /// Puts the front item back under its new last use.
    pub(super) fn requeue_front(&mut self, queued: Tick) {
        if let Some(mut front) = self.heap.peek_mut() {
            front.0.queued = queued;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Entries that ended early leave their items behind. True when these outnumber the living: then
    /// [`IdleQueue::retain`] is due.
    pub(super) fn is_littered(&self, entries: usize) -> bool {
        self.heap.len() > 2 * entries + SLACK
    }

    /// Keeps only some items, each once, and gives memory back.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Item) -> bool) {
        let mut items = std::mem::take(&mut self.heap).into_vec();
        items.retain(|Reverse(item)| keep(*item));
        // A token ended and learned again within one tick leaves an item that looks like the new one.
        items.sort_unstable();
        items.dedup();
        items.shrink_to(items.len() + SLACK);
        self.heap = items.into();
    }

    /// Gives memory back after many entries went.
    pub(super) fn shrink(&mut self) {
        if self.heap.capacity() > 4 * (self.heap.len() + SLACK) {
            self.heap.shrink_to(self.heap.len() + SLACK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::types::Mono;

    fn item(second: u64, byte: u8) -> Item {
        Item { queued: Tick::at(Mono(second * 1_000_000_000)), hash: SessionHash::from_bytes([byte; 16]) }
    }

    #[test]
    fn an_item_put_back_finds_its_place() {
        let mut queue = IdleQueue::default();
        queue.push(item(0, 1));
        queue.push(item(10, 2));
        queue.requeue_front(item(5, 0).queued);
        assert_eq!(queue.front(), Some(item(5, 1)));
        queue.requeue_front(item(11, 0).queued);
        assert_eq!(queue.front(), Some(item(10, 2)));
        queue.pop();
        assert_eq!(queue.front(), Some(item(11, 1)));
        queue.pop();
        assert_eq!(queue.front(), None);
    }

    #[test]
    fn litter_is_bounded() {
        let mut queue = IdleQueue::default();
        for byte in 0..=SLACK {
            assert!(!queue.is_littered(0), "{byte}");
            queue.push(item(0, u8::try_from(byte).unwrap()));
        }
        assert!(queue.is_littered(0));
        assert!(!queue.is_littered(1));
        queue.push(item(0, 3));
        queue.retain(|item| item.hash.as_bytes()[0] == 3);
        assert_eq!(queue.heap.len(), 1);
        assert_eq!(queue.front(), Some(item(0, 3)));
    }

    #[test]
    fn memory_is_given_back_once_three_quarters_of_it_are_not_used() {
        let kept = 3;
        let of_capacity = |capacity| {
            let mut queue = IdleQueue { heap: BinaryHeap::with_capacity(capacity) };
            (0..kept).for_each(|byte| queue.push(item(0, byte)));
            assert_eq!(queue.heap.capacity(), capacity);
            queue
        };
        let needed = usize::from(kept) + SLACK;
        for (capacity, left) in [(4 * needed, 4 * needed), (4 * needed + 1, needed)] {
            let mut queue = of_capacity(capacity);
            queue.shrink();
            assert_eq!((queue.heap.capacity(), queue.len()), (left, usize::from(kept)));
        }
        let mut queue = of_capacity(4 * needed);
        queue.retain(|_| true);
        assert_eq!((queue.heap.capacity(), queue.len()), (needed, usize::from(kept)));
    }
}
