//! What the base of the sandbox holds, in memory: clients, prospects, quotes and orders.
//!
//! Each table keeps its last 10,000 rows. The client "Client divers" is always there. Nothing here is tied to a
//! session: a quote outlives the token it was made with, which is our assumption.

pub(super) mod catalogue;
pub(super) mod document;
mod references;
mod table;
pub(super) mod third_party;

use document::{Document, Order, Quote};
use jiff::civil::Date;
use references::References;
use table::Table;
use third_party::{ThirdParty, ThirdPartyKind};

pub(super) struct Database {
    client_divers: u64,
    divers: ThirdParty,
    clients: Table<ThirdParty>,
    prospects: Table<ThirdParty>,
    pub(super) quotes: Table<Quote>,
    pub(super) orders: Table<Order>,
    pub(super) references: References,
}

/// Why a quote was not transformed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotTransformed {
    UnknownQuote,
    /// It already is the order of this number.
    Already(u64),
}

impl Database {
    /// An empty base. The ids of clients start after that of "Client divers", so that none collides with it.
    pub(super) fn new(client_divers: u32) -> Self {
        let client_divers = u64::from(client_divers);
        Self {
            client_divers,
            divers: ThirdParty { nom: "Client divers".to_owned(), email: None, ville: None },
            clients: Table::after(client_divers),
            prospects: Table::after(0),
            quotes: Table::after(0),
            orders: Table::after(0),
            references: References::default(),
        }
    }

    /// Adds a client or a prospect and gives its id.
    pub(super) fn add(&mut self, kind: ThirdPartyKind, third_party: ThirdParty) -> u64 {
        match kind {
            ThirdPartyKind::Client => self.clients.push(third_party),
            ThirdPartyKind::Prospect => self.prospects.push(third_party),
        }
    }

    pub(super) fn third_party(&self, kind: ThirdPartyKind, id: u64) -> Option<&ThirdParty> {
        match kind {
            ThirdPartyKind::Client if id == self.client_divers => Some(&self.divers),
            ThirdPartyKind::Client => self.clients.get(id),
            ThirdPartyKind::Prospect => self.prospects.get(id),
        }
    }

    /// How many there are, and the last hundred with their ids; "Client divers" comes before them.
    pub(super) fn third_parties(&self, kind: ThirdPartyKind) -> (usize, impl Iterator<Item = (u64, &ThirdParty)>) {
        let (divers, table) = match kind {
            ThirdPartyKind::Client => (Some((self.client_divers, &self.divers)), &self.clients),
            ThirdPartyKind::Prospect => (None, &self.prospects),
        };
        (table.len() + usize::from(divers.is_some()), divers.into_iter().chain(table.latest()))
    }

    pub(super) fn add_quote(&mut self, document: Document) -> u64 {
        if let Some(reference) = &document.reference {
            self.references.quote_made(reference);
        }
        self.quotes.push(Quote { document, order: None })
    }

    /// Makes an order of a quote, once, and gives its number.
    ///
    /// # Errors
    /// There is no such quote, or it is an order already.
    pub(super) fn transform(&mut self, number: u64, date: Date) -> Result<u64, NotTransformed> {
        let quote = self.quotes.get_mut(number).ok_or(NotTransformed::UnknownQuote)?;
        if let Some(order) = quote.order {
            return Err(NotTransformed::Already(order));
        }
        let document = Document { date, ..quote.document.clone() };
        if let Some(reference) = &document.reference {
            self.references.order_made(reference);
        }
        let order = self.orders.push(Order { document, quote: number });
        quote.order = Some(order);
        Ok(order)
    }

    /// Quotes made since the start, those no longer kept included.
    pub(super) fn quotes_made(&self) -> u64 {
        self.quotes.last()
    }

    /// Orders made since the start, those no longer kept included.
    pub(super) fn orders_made(&self) -> u64 {
        self.orders.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_becomes_an_order_once() {
        let mut database = Database::new(87);
        let (made, sold) = (Date::constant(2026, 1, 31), Date::constant(2026, 2, 1));
        let quote = database.add_quote(Document { date: made, client: 87, reference: None, lines: Vec::new() });
        assert_eq!(database.transform(quote + 1, sold), Err(NotTransformed::UnknownQuote));
        assert_eq!(database.transform(quote, sold), Ok(1));
        assert_eq!(database.transform(quote, sold), Err(NotTransformed::Already(1)));
        assert_eq!((database.quotes_made(), database.orders_made()), (1, 1));
        let order = database.orders.get(1).unwrap();
        assert_eq!((order.quote, order.document.date, order.document.client), (quote, sold, 87));
    }

    #[test]
    fn client_divers_is_always_a_client_and_never_a_prospect() {
        let mut database = Database::new(87);
        let anais = ThirdParty { nom: "Anaïs".to_owned(), email: None, ville: None };
        assert_eq!(database.add(ThirdPartyKind::Client, anais.clone()), 88);
        assert_eq!(database.add(ThirdPartyKind::Prospect, anais), 1);
        assert_eq!(database.third_party(ThirdPartyKind::Client, 87).unwrap().nom, "Client divers");
        assert!(database.third_party(ThirdPartyKind::Prospect, 87).is_none());
        let (count, listed) = database.third_parties(ThirdPartyKind::Client);
        assert_eq!((count, listed.map(|(id, _)| id).collect::<Vec<_>>()), (2, vec![87, 88]));
        assert_eq!(database.third_parties(ThirdPartyKind::Prospect).0, 1);
    }
}
