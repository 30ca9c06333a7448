//! What the sandbox saw, for tests and the demo.

use http::request::Parts;
use std::collections::VecDeque;
use std::fmt;

/// Most requests kept; the oldest go first.
const MAX_REQUESTS: usize = 10_000;
/// Most bytes of targets and headers kept, in all.
const MAX_BYTES: usize = 64 << 20;

/// One request as it reached the sandbox.
///
/// Header values hold keys and tokens: that is what tests look at. `Debug` shows neither them nor the query.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// In the order of arrival for one name; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Bytes of the decoded body; 0 until it has been read.
    pub body_length: usize,
    /// `None` while unanswered, or when the connection was closed instead.
    pub status: Option<u16>,
}

impl Seen {
    fn of(parts: &Parts) -> Self {
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        Self {
            method: parts.method.to_string(),
            target: parts.uri.to_string(),
            headers: headers.collect(),
            body_length: 0,
            status: None,
        }
    }

    /// The values of one header, by its name in lower case.
    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    fn bytes(&self) -> usize {
        self.target.len() + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Seen")
            .field("method", &self.method)
            .field("path", &path)
            .field("header_names", &names)
            .field("body_length", &self.body_length)
            .field("status", &self.status)
            .finish()
    }
}

/// The last requests, oldest first.
#[derive(Default)]
pub(super) struct Recording {
    seen: VecDeque<Seen>,
    /// Number of the request at the front.
    first: u64,
    bytes: usize,
}

impl Recording {
    /// Notes a request head; gives the number it is updated by.
    pub(super) fn arrived(&mut self, parts: &Parts) -> u64 {
        let seen = Seen::of(parts);
        self.bytes += seen.bytes();
        self.seen.push_back(seen);
        let number = self.first + self.seen.len() as u64 - 1;
        while self.seen.len() > MAX_REQUESTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.seen.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.first += 1;
        }
        number
    }

    pub(super) fn body_read(&mut self, number: u64, length: usize) {
        if let Some(seen) = self.get_mut(number) {
            seen.body_length = length;
        }
    }

    pub(super) fn answered(&mut self, number: u64, status: u16) {
        if let Some(seen) = self.get_mut(number) {
            seen.status = Some(status);
        }
    }

    pub(super) fn to_vec(&self) -> Vec<Seen> {
        self.seen.iter().cloned().collect()
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Seen> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.seen.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(target: &str, value: &str) -> Parts {
        http::Request::get(target).header("api_key", value).body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_oldest_go_first_and_updates_find_their_request() {
        let mut record = Recording::default();
        let first = record.arrived(&parts("/first", "k"));
        let numbers: Vec<u64> = (0..MAX_REQUESTS).map(|n| record.arrived(&parts(&format!("/{n}"), "k"))).collect();
        record.answered(first, 200);
        record.answered(numbers[0], 201);
        record.body_read(numbers[MAX_REQUESTS - 1], 12);
        let seen = record.to_vec();
        assert_eq!(seen.len(), MAX_REQUESTS);
        assert_eq!((seen[0].target.as_str(), seen[0].status), ("/0", Some(201)));
        assert_eq!(seen[MAX_REQUESTS - 1].body_length, 12);
        assert_eq!(seen[1].status, None);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut record = Recording::default();
        let value = "v".repeat(1 << 20);
        for _ in 0..100 {
            record.arrived(&parts("/", &value));
        }
        assert!(record.bytes <= MAX_BYTES);
        assert_eq!(record.seen.len(), 63);
    }

    #[test]
    fn debug_shows_no_value_and_no_query() {
        let seen = Seen::of(&parts("/v1/articles?access_token=topsecret", "othersecret"));
        let shown = format!("{seen:?}");
        assert!(shown.contains("/v1/articles") && shown.contains("api_key") && !shown.contains("secret"), "{shown}");
        assert_eq!(seen.values("api_key").collect::<Vec<_>>(), [b"othersecret"]);
    }
}
