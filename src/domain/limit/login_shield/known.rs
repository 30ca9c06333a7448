//! Who logged in with success lately: which key, from which address, under which names.
//!
//! Only a success with a good key makes an entry, and each key has a small number of its own, so that nobody can crowd
//! out those of another key.

use crate::domain::types::Mono;
use std::collections::HashMap;
use std::time::Duration;

/// How long a success is remembered: longer than a shop is closed.
pub(super) const KNOWN_FOR: Duration = Duration::from_hours(7 * 24);
/// Most addresses of one key.
const ADDRESSES: usize = 16;
/// Most names of one key and address.
const NAMES: usize = 8;

/// By the keyed hash of a key.
#[derive(Debug, Default)]
pub(super) struct KnownCallers(HashMap<u64, Vec<Address>>);

#[derive(Debug)]
struct Address {
    /// Its keyed hash.
    address: u64,
    last: Mono,
    names: Vec<Name>,
}

#[derive(Debug)]
struct Name {
    /// Its keyed hash.
    name: u64,
    last: Mono,
}

/// How well a caller is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    No,
    /// By its key and address, under other names.
    Caller,
    /// Under this name.
    Name,
}

impl KnownCallers {
    pub(super) fn look_up(&self, key: u64, address: u64, name: u64, now: Mono) -> Known {
        let lately = |last: Mono| now.since(last) < KNOWN_FOR;
        let addresses = self.0.get(&key).map(Vec::as_slice).unwrap_or_default();
        let Some(known) = addresses.iter().find(|known| known.address == address && lately(known.last)) else {
            return Known::No;
        };
        let has_name = known.names.iter().any(|known| known.name == name && lately(known.last));
        if has_name { Known::Name } else { Known::Caller }
    }

    /// A login succeeded. Where there is no room the longest quiet of the same key, or of the same key and address,
    /// makes some.
    pub(super) fn succeeded(&mut self, key: u64, address: u64, name: u64, now: Mono) {
        let addresses = self.0.entry(key).or_default();
        let known = place(
            addresses,
            ADDRESSES,
            |known| known.address == address,
            |known| known.last,
            || Address { address, last: now, names: Vec::new() },
        );
        known.last = now;
        let name = Name { name, last: now };
        let of = name.name;
        place(&mut known.names, NAMES, |known| known.name == of, |known| known.last, || name).last = now;
    }

    /// Forgets the keys that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.0.retain(|key, _| keep(*key));
    }
}

/// The entry that `is_it`, or a new one.
fn place<T>(
    entries: &mut Vec<T>,
    most: usize,
    is_it: impl Fn(&T) -> bool,
    last: impl Fn(&T) -> Mono,
    new: impl FnOnce() -> T,
) -> &mut T {
    let at = entries.iter().position(is_it).unwrap_or_else(|| {
        if entries.len() < most {
            entries.push(new());
            return entries.len() - 1;
        }
        let oldest = (0..entries.len()).min_by_key(|at| last(&entries[*at])).unwrap_or_default();
        entries[oldest] = new();
        oldest
    });
    &mut entries[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn a_success_is_remembered_for_a_week() {
        let mut known = KnownCallers::default();
        assert_eq!(known.look_up(1, 2, 3, at(0)), Known::No);
        known.succeeded(1, 2, 3, at(0));
        assert_eq!(known.look_up(1, 2, 3, at(10)), Known::Name);
        assert_eq!(known.look_up(1, 2, 4, at(10)), Known::Caller);
        assert_eq!(known.look_up(1, 9, 3, at(10)), Known::No);
        assert_eq!(known.look_up(9, 2, 3, at(10)), Known::No);
        known.succeeded(1, 2, 4, at(86_400));
        let week = KNOWN_FOR.as_secs();
        assert_eq!(known.look_up(1, 2, 3, at(week)), Known::Caller);
        assert_eq!(known.look_up(1, 2, 4, at(week)), Known::Name);
        assert_eq!(known.look_up(1, 2, 4, at(86_400 + week)), Known::No);
    }

    #[test]
    fn a_key_makes_room_among_its_own_alone() {
        let mut known = KnownCallers::default();
        known.succeeded(1, 2, 3, at(0));
        for address in 0..100 {
            known.succeeded(7, address, 3, at(1));
        }
        for name in 0..100 {
            known.succeeded(7, 99, name, at(2 + name));
        }
        assert_eq!(known.look_up(1, 2, 3, at(200)), Known::Name);
        assert_eq!(known.look_up(7, 99, 99, at(200)), Known::Name);
        assert_eq!(known.look_up(7, 99, 1, at(200)), Known::Caller);
        assert_eq!(
            (known.0[&7].len(), known.0[&7].iter().map(|known| known.names.len()).max()),
            (ADDRESSES, Some(NAMES))
        );
        known.retain(|key| key == 1);
        assert_eq!((known.look_up(7, 99, 99, at(3)), known.look_up(1, 2, 3, at(3))), (Known::No, Known::Name));
    }

    #[test]
    fn the_longest_quiet_makes_room() {
        let mut known = KnownCallers::default();
        for address in 0..ADDRESSES as u64 {
            known.succeeded(1, address, 3, at(address));
        }
        known.succeeded(1, 0, 3, at(100));
        known.succeeded(1, 50, 3, at(101));
        assert_eq!(known.look_up(1, 0, 3, at(102)), Known::Name);
        assert_eq!(known.look_up(1, 1, 3, at(102)), Known::No);
    }
}
