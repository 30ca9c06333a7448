//! Which consumers have something to sweep, so that a sweep costs what there are sessions of, however many consumers
//! the configuration names.

use super::callers::ConsumerId;
use std::collections::BTreeSet;
use std::ops::Bound;

/// The consumers whose queue may hold an item, visited in turn.
///
/// A consumer is added and removed under the lock of its queue, so one with an item is always in here. Its own lock is
/// held for one call and nothing is locked under it.
#[derive(Debug, Default)]
pub(super) struct Occupied {
    consumers: BTreeSet<ConsumerId>,
    /// The one that was visited last.
    visited: Option<ConsumerId>,
}

impl Occupied {
    pub(super) fn len(&self) -> usize {
        self.consumers.len()
    }

    pub(super) fn add(&mut self, consumer: ConsumerId) {
        self.consumers.insert(consumer);
    }

    pub(super) fn remove(&mut self, consumer: ConsumerId) {
        self.consumers.remove(&consumer);
    }

    /// The next consumer in turn: the first one after the last one.
    pub(super) fn visit(&mut self) -> Option<ConsumerId> {
        let above = self.visited.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.consumers.range((above, Bound::Unbounded)).next().or_else(|| self.consumers.first()).copied();
        self.visited = next;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::super::callers::CallerId;
    use super::*;

    #[test]
    fn each_has_its_turn_whoever_comes_and_goes() {
        let id = |number| CallerId::for_test(number).consumer();
        let mut occupied = Occupied::default();
        assert_eq!(occupied.visit(), None);
        [3, 1, 2, 2].into_iter().for_each(|number| occupied.add(id(number)));
        assert_eq!([(); 4].map(|()| occupied.visit()), [1, 2, 3, 1].map(|number| Some(id(number))));
        occupied.remove(id(1));
        occupied.remove(id(2));
        assert_eq!((occupied.visit(), occupied.visit(), occupied.len()), (Some(id(3)), Some(id(3)), 1));
        occupied.remove(id(3));
        assert_eq!(occupied.visit(), None);
    }
}
