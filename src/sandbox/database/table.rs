//! Rows in memory under numbers that are given out once.

use std::collections::VecDeque;

/// Most rows kept; the oldest go first.
const MAX_ROWS: usize = 10_000;
/// Most rows in a list.
pub(in crate::sandbox) const MAX_LISTED: usize = 100;

pub(in crate::sandbox) struct Table<T> {
    rows: VecDeque<T>,
    /// The number before that of the row at the front.
    before: u64,
}

impl<T> Table<T> {
    /// An empty table, whose first row is number `number + 1`.
    pub(super) fn after(number: u64) -> Self {
        Self { rows: VecDeque::new(), before: number }
    }

    /// Adds a row and gives its number.
    pub(super) fn push(&mut self, row: T) -> u64 {
        if self.rows.len() >= MAX_ROWS {
            self.rows.pop_front();
            self.before += 1;
        }
        self.rows.push_back(row);
        self.last()
    }

    /// The number given out last.
    pub(super) fn last(&self) -> u64 {
        self.before + self.rows.len() as u64
    }

    pub(in crate::sandbox) fn get(&self, number: u64) -> Option<&T> {
        self.rows.get(self.index(number)?)
    }

    pub(in crate::sandbox) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = self.index(number)?;
        self.rows.get_mut(index)
    }

    /// How many rows are kept.
    pub(in crate::sandbox) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The last rows with their numbers, oldest first; at most [`MAX_LISTED`].
    pub(in crate::sandbox) fn latest(&self) -> impl Iterator<Item = (u64, &T)> {
        let skipped = self.rows.len().saturating_sub(MAX_LISTED);
        (self.before + 1..).zip(&self.rows).skip(skipped)
    }

    /// The last rows that `wanted` takes, with their numbers, oldest first; at most [`MAX_LISTED`].
    pub(in crate::sandbox) fn latest_of(&self, wanted: impl Fn(&T) -> bool) -> Vec<(u64, &T)> {
        let mut found: Vec<_> = (self.before + 1..).zip(&self.rows).filter(|(_, row)| wanted(row)).collect();
        found.drain(..found.len().saturating_sub(MAX_LISTED));
        found
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.before + 1)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_bounded_and_keep_their_numbers() {
        let mut table = Table::after(87);
        assert_eq!((table.last(), table.get(87)), (87, None));
        for row in 0..=MAX_ROWS as u64 {
            assert_eq!(table.push(row), 88 + row);
        }
        assert_eq!(table.len(), MAX_ROWS);
        assert_eq!((table.get(88), table.get(89), table.get(88 + MAX_ROWS as u64)), (None, Some(&1), Some(&10_000)));
        assert_eq!(table.get(89 + MAX_ROWS as u64), None);
        *table.get_mut(90).unwrap() = 5;
        assert_eq!(table.get(90), Some(&5));
        assert_eq!((table.get(0), table.get(u64::MAX)), (None, None));
    }

    #[test]
    fn a_list_is_the_last_hundred() {
        let mut table = Table::after(0);
        table.push(0);
        assert_eq!(table.latest().collect::<Vec<_>>(), [(1, &0)]);
        for row in 1..250_u64 {
            table.push(row);
        }
        let listed: Vec<_> = table.latest().collect();
        assert_eq!((listed.len(), listed[0], listed[99]), (100, (151, &150), (250, &249)));
    }
}
