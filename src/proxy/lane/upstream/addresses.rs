//! The addresses that the name of 8sens has, in the order in which they are tried.

use std::net::SocketAddr;

/// Addresses of one name that are tried.
pub const MAX_ADDRESSES: usize = 8;

/// Addresses of one name that are looked at when these are chosen.
const MAX_FOUND: usize = 64;

/// At least one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    order: Vec<SocketAddr>,
    /// The first one took a connection when it was last needed.
    first_answered: bool,
}

impl Addresses {
    /// What a resolver found, in its order (RFC 6724); `None` when it found nothing. Of what was `known`, only the
    /// address that answered last counts: it stays the first one if the name still has it.
    #[must_use]
    pub fn found(found: impl IntoIterator<Item = SocketAddr>, known: Option<&Self>) -> Option<Self> {
        let mut distinct = Vec::new();
        for address in found.into_iter().take(MAX_FOUND) {
            if !distinct.contains(&address) {
                distinct.push(address);
            }
        }
        let answered = known.and_then(Self::answered).filter(|address| distinct.contains(address));
        let order = in_order(distinct, answered);
        (!order.is_empty()).then_some(Self { order, first_answered: answered.is_some() })
    }

    /// The same addresses after one of them took a connection; `None` when that is no news.
    #[must_use]
    pub fn after_answer_of(&self, address: SocketAddr) -> Option<Self> {
        let is_news = self.answered() != Some(address) && self.order.contains(&address);
        is_news.then(|| Self { order: in_order(self.order.clone(), Some(address)), first_answered: true })
    }

    /// The one to try first.
    #[must_use]
    pub fn first(&self) -> SocketAddr {
        self.order[0]
    }

    /// All of them, the first to try first; at most [`MAX_ADDRESSES`].
    #[must_use]
    pub fn in_order(&self) -> &[SocketAddr] {
        &self.order
    }

    /// Whether both name the same addresses, in whatever order.
    #[must_use]
    pub fn has_same_places(&self, other: &Self) -> bool {
        self.order.len() == other.order.len() && self.order.iter().all(|address| other.order.contains(address))
    }

    /// The one that took a connection last.
    fn answered(&self) -> Option<SocketAddr> {
        self.first_answered.then(|| self.first())
    }
}

/// `first`, then the others in their order, the two families taking turns (RFC 8305 section 4): a family that leads
/// nowhere costs one attempt.
fn in_order(mut found: Vec<SocketAddr>, first: Option<SocketAddr>) -> Vec<SocketAddr> {
    if let Some(index) = found.iter().position(|address| Some(*address) == first) {
        found[..=index].rotate_right(1);
    }
    let of_first_family =
        |address: &SocketAddr| found.first().is_some_and(|first| first.is_ipv6() == address.is_ipv6());
    let (one, other): (Vec<_>, Vec<_>) = found.iter().copied().partition(of_first_family);
    let turns = (0..found.len()).flat_map(|turn| [one.get(turn), other.get(turn)]);
    turns.flatten().copied().take(MAX_ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address by the last digit of its port, `a` IPv6 and `b` IPv4.
    fn parse(names: &str) -> Vec<SocketAddr> {
        let address = |name: &str| {
            let (family, port) = name.split_at(1);
            let ip = if family == "a" { "[::1]" } else { "127.0.0.1" };
            format!("{ip}:{port}").parse().unwrap()
        };
        names.split_whitespace().map(address).collect()
    }

    fn show(addresses: &Addresses) -> String {
        let show = |address: &SocketAddr| format!("{}{}", if address.is_ipv6() { "a" } else { "b" }, address.port());
        addresses.in_order().iter().map(show).collect::<Vec<_>>().join(" ")
    }

    fn found(names: &str, known: Option<&Addresses>) -> Addresses {
        Addresses::found(parse(names), known).unwrap()
    }

    #[test]
    fn families_take_turns_and_the_resolver_says_which_begins() {
        for (found_in, tried_in) in [
            ("b1", "b1"),
            ("a1 b1", "a1 b1"),
            ("a1 a2 a3 b1 b2", "a1 b1 a2 b2 a3"),
            ("b1 a1 a2 a3", "b1 a1 a2 a3"),
            ("b1 b1 a1 b1", "b1 a1"),
            ("a1 a2 a3 a4 a5 a6 a7 a8 a9 b1", "a1 b1 a2 a3 a4 a5 a6 a7"),
        ] {
            assert_eq!(show(&found(found_in, None)), tried_in);
        }
        assert_eq!(Addresses::found([], None), None);
        let many = (1..=u16::MAX).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!(Addresses::found(many, None).unwrap().in_order().len(), MAX_ADDRESSES);
    }

    #[test]
    fn the_one_that_answered_last_is_first_until_another_does() {
        let start = found("a1 a2 b1 b2", None);
        let later = start.after_answer_of(parse("b2")[0]).unwrap();
        assert_eq!(show(&later), "b2 a1 b1 a2");
        assert_eq!(later.after_answer_of(parse("b2")[0]), None, "no news");
        assert_eq!(show(&later.after_answer_of(parse("a2")[0]).unwrap()), "a2 b2 a1 b1");
        assert_eq!(start.after_answer_of(parse("a1")[0]).map(|known| show(&known)).as_deref(), Some("a1 b1 a2 b2"));
        assert_eq!(start.after_answer_of(parse("b9")[0]), None, "the name no longer has it");
    }

    #[test]
    fn a_name_that_moves_is_followed() {
        let start = found("a1 b1", None);
        assert_eq!(show(&found("b1 a1", Some(&start))), "b1 a1", "nothing has answered yet");
        let known = start.after_answer_of(parse("b1")[0]).unwrap();
        assert_eq!(show(&found("a1 b1 b2", Some(&known))), "b1 a1 b2");
        let moved = found("a2 b2", Some(&known));
        assert_eq!(show(&moved), "a2 b2");
        assert_eq!(show(&found("b2 a2", Some(&moved))), "b2 a2", "what answered once counts no more");
        assert!(moved.has_same_places(&found("b2 a2", None)));
        assert!(!moved.has_same_places(&start));
    }

    #[test]
    fn the_one_that_answered_stays_first_among_however_many() {
        let known = found("b9", None).after_answer_of(parse("b9")[0]).unwrap();
        let all = "a1 a2 a3 a4 a5 a6 a7 a8 b1 b2 b3 b9";
        assert_eq!(show(&found(all, Some(&known))), "b9 a1 b1 a2 b2 a3 b3 a4");
    }
}
