//! How often something was made under a reference of the shop.

use std::collections::{HashMap, VecDeque};

/// Most references kept; the oldest go first.
const MAX_REFERENCES: usize = 10_000;

#[derive(Default)]
pub(in crate::sandbox) struct References {
    made: HashMap<String, Made>,
    /// In the order of their first use.
    order: VecDeque<String>,
}

#[derive(Clone, Copy, Default)]
struct Made {
    quotes: u64,
    orders: u64,
}

impl References {
    /// How many quotes were made under it.
    pub(in crate::sandbox) fn quotes(&self, reference: &str) -> u64 {
        self.made.get(reference).map_or(0, |made| made.quotes)
    }

    /// How many orders were made under it.
    pub(in crate::sandbox) fn orders(&self, reference: &str) -> u64 {
        self.made.get(reference).map_or(0, |made| made.orders)
    }

    pub(super) fn quote_made(&mut self, reference: &str) {
        self.entry(reference).quotes += 1;
    }

    pub(super) fn order_made(&mut self, reference: &str) {
        self.entry(reference).orders += 1;
    }

    fn entry(&mut self, reference: &str) -> &mut Made {
        if !self.made.contains_key(reference) {
            if self.order.len() >= MAX_REFERENCES
                && let Some(oldest) = self.order.pop_front()
            {
                self.made.remove(&oldest);
            }
            self.order.push_back(reference.to_owned());
        }
        self.made.entry(reference.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reference_has_its_counts_and_the_oldest_goes_first() {
        let mut references = References::default();
        for _ in 0..2 {
            references.quote_made("W-1");
        }
        references.order_made("W-1");
        assert_eq!((references.quotes("W-1"), references.orders("W-1"), references.quotes("W-2")), (2, 1, 0));
        for number in 0..MAX_REFERENCES {
            references.order_made(&format!("X-{number}"));
        }
        assert_eq!((references.made.len(), references.order.len()), (MAX_REFERENCES, MAX_REFERENCES));
        assert_eq!((references.quotes("W-1"), references.orders("X-0")), (0, 1));
    }
}
