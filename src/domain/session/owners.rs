//! The owners of one token: one as a rule, at most four.

use super::callers::{CallerId, ConsumerId};
use super::tick::Tick;

/// Most consumers that can own one token.
pub const MAX_OWNERS: usize = 4;

/// One consumer's entry on a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) caller: CallerId,
    /// When the last answered request of this owner was sent.
    pub(super) last_use: Tick,
    /// The last use under which this entry is in its consumer's idle queue; an item with another one is out of
    /// date.
    pub(super) queued: Tick,
}

/// All owners of one token. The one-owner case takes no allocation.
#[derive(Debug)]
pub(super) enum Owners {
    One(Owner),
    Several(Box<[Option<Owner>; MAX_OWNERS]>),
}

// Sixteen bytes beside a key of sixteen: what keeps a million sessions within their memory bound.
const _: () = assert!(size_of::<Owners>() == 16 && size_of::<Option<Owner>>() == 16);

impl Owners {
    pub(super) const fn one(owner: Owner) -> Self {
        Self::One(owner)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Owner> {
        let (one, several) = match self {
            Self::One(owner) => (Some(owner), None),
            Self::Several(slots) => (None, Some(slots.iter().flatten())),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }

    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(super) fn get(&self, consumer: ConsumerId) -> Option<&Owner> {
        self.iter().find(|owner| owner.caller.consumer() == consumer)
    }

    pub(super) fn get_mut(&mut self, consumer: ConsumerId) -> Option<&mut Owner> {
        match self {
            Self::One(owner) => (owner.caller.consumer() == consumer).then_some(owner),
            Self::Several(slots) => slots.iter_mut().flatten().find(|owner| owner.caller.consumer() == consumer),
        }
    }

    /// Adds an owner that is not there yet. When all slots are taken, the longest idle owner loses its slot and is
    /// returned.
    pub(super) fn add(&mut self, new: Owner) -> Option<Owner> {
        debug_assert!(self.get(new.caller.consumer()).is_none(), "a consumer has one slot on a token");
        match self {
            Self::One(first) => {
                *self = Self::Several(Box::new([Some(*first), Some(new), None, None]));
                None
            }
            Self::Several(slots) => {
                // An empty slot sorts before every owner.
                let slot = slots.iter_mut().min_by_key(|slot| slot.as_ref().map(|owner| owner.last_use))?;
                slot.replace(new)
            }
        }
    }

    /// Takes `consumer`'s slot away if `which` says so.
    pub(super) fn remove(&mut self, consumer: ConsumerId, which: impl FnOnce(&Owner) -> bool) -> Removal {
        if !self.get(consumer).is_some_and(which) {
            return Removal::Kept;
        }
        match self {
            Self::One(_) => return Removal::NobodyLeft,
            Self::Several(slots) => {
                for slot in slots.iter_mut().filter(|slot| slot.is_some_and(|o| o.caller.consumer() == consumer)) {
                    *slot = None;
                }
            }
        }
        let last = if self.len() == 1 { self.iter().next().copied() } else { None };
        if let Some(last) = last {
            *self = Self::One(last);
        }
        Removal::OthersLeft
    }
}

/// What became of an owner that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// It is no owner, or it may stay.
    Kept,
    OthersLeft,
    /// It is the only owner and is still there; the token has to be removed with it.
    NobodyLeft,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::types::Mono;

    fn owner(consumer: u32, second: u64) -> Owner {
        let last_use = Tick::at(Mono(second * 1_000_000_000));
        Owner { caller: CallerId::for_test(consumer), last_use, queued: last_use }
    }

    fn consumers(owners: &Owners) -> Vec<u32> {
        let mut found: Vec<_> = owners.iter().map(|owner| owner.caller.consumer().number()).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn the_fifth_takes_the_place_of_the_longest_idle() {
        let mut owners = Owners::one(owner(1, 10));
        for (consumer, second) in [(2, 5), (3, 20), (4, 30)] {
            assert_eq!(owners.add(owner(consumer, second)), None);
        }
        assert_eq!(owners.add(owner(5, 1)), Some(owner(2, 5)));
        assert_eq!(consumers(&owners), [1, 3, 4, 5]);
        assert_eq!(owners.add(owner(6, 40)), Some(owner(5, 1)));
        assert_eq!(consumers(&owners), [1, 3, 4, 6]);
    }

    #[test]
    fn owners_leave_one_by_one() {
        let mut owners = Owners::one(owner(1, 0));
        owners.add(owner(2, 0));
        owners.add(owner(3, 0));
        let id = |number| CallerId::for_test(number).consumer();
        assert_eq!(owners.remove(id(9), |_| true), Removal::Kept);
        assert_eq!(owners.remove(id(2), |_| false), Removal::Kept);
        assert_eq!(owners.remove(id(2), |_| true), Removal::OthersLeft);
        assert_eq!(consumers(&owners), [1, 3]);
        assert_eq!(owners.remove(id(1), |_| true), Removal::OthersLeft);
        assert!(matches!(owners, Owners::One(_)));
        assert_eq!(owners.remove(id(3), |_| true), Removal::NobodyLeft);
        owners.add(owner(4, 0));
        assert_eq!(consumers(&owners), [3, 4]);
    }
}
