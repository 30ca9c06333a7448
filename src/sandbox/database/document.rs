//! Quotes and orders: their lines, their totals, their numbers.

use super::catalogue::Article;
use jiff::civil::Date;

/// Most lines of one document.
pub(in crate::sandbox) const MAX_LINES: usize = 100;
/// Most bytes of a reference.
pub(in crate::sandbox) const MAX_REFERENCE: usize = 200;
/// Most pieces on one line. The totals stay far within their 64 bits.
pub(in crate::sandbox) const MAX_QUANTITY: u32 = 10_000;

/// What quotes and orders have in common.
#[derive(Clone)]
pub(in crate::sandbox) struct Document {
    pub date: Date,
    /// Id of the client.
    pub client: u64,
    /// What the shop calls it.
    pub reference: Option<String>,
    pub lines: Vec<Line>,
}

#[derive(Clone, Copy)]
pub(in crate::sandbox) struct Line {
    pub article: &'static Article,
    /// From 1 to [`MAX_QUANTITY`].
    pub quantity: u32,
}

pub(in crate::sandbox) struct Quote {
    pub document: Document,
    /// Number of the order it was transformed into.
    pub order: Option<u64>,
}

pub(in crate::sandbox) struct Order {
    pub document: Document,
    /// Number of the quote it was.
    pub quote: u64,
}

impl Line {
    /// Cents without tax.
    pub(in crate::sandbox) fn amount(&self) -> u64 {
        self.article.price * u64::from(self.quantity)
    }

    /// Cents of VAT, half a cent rounded up.
    fn vat(&self) -> u64 {
        (self.amount() * self.article.vat_rate + 5_000) / 10_000
    }
}

impl Document {
    /// Cents without tax.
    pub(in crate::sandbox) fn total(&self) -> u64 {
        self.lines.iter().map(Line::amount).sum()
    }

    /// Cents of VAT: the sum over the lines, each rounded.
    pub(in crate::sandbox) fn vat(&self) -> u64 {
        self.lines.iter().map(Line::vat).sum()
    }
}

/// The name of a document: a prefix and at least five digits, such as `DE00001`.
pub(in crate::sandbox) fn name(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:05}")
}

/// The number in such a name; `None` for any other spelling.
pub(in crate::sandbox) fn number(prefix: &str, text: &str) -> Option<u64> {
    let number = text.strip_prefix(prefix)?.parse().ok()?;
    (name(prefix, number) == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::article;
    use super::*;

    #[test]
    fn totals_are_rounded_per_line() {
        let line = |code, quantity| Line { article: article(code).unwrap(), quantity };
        let lines = vec![line("CAF-1KG", 2), line("MIEL-500", 1), line("COUT-LAG", 1)];
        let document = Document { date: Date::constant(2026, 1, 31), client: 87, reference: None, lines };
        assert_eq!(document.total(), 2 * 2_133 + 995 + 7_417);
        // 234.63, 54.725 and 1,483.4 cents.
        assert_eq!(document.vat(), 235 + 55 + 1_483);
    }

    #[test]
    fn names_have_one_spelling() {
        for (name_, number_) in [("DE00001", 1), ("DE99999", 99_999), ("DE100000", 100_000)] {
            assert_eq!((name("DE", number_).as_str(), number("DE", name_)), (name_, Some(number_)));
        }
        for other in
            ["", "DE", "DE1", "DE000001", "DE+0001", "CO00001", "de00001", "DE00001 ", "DE99999999999999999999"]
        {
            assert_eq!(number("DE", other), None, "{other}");
        }
    }
}
