//! What callers see of an answer's fields, as rules on names and values: which of 8sens's lines go on as they came, and
//! what the gate writes itself. Any lane applies them.

use super::framing::{AnswerFraming, Content};
use crate::domain::exchange::FieldEdits;
use crate::domain::request::grammar::elements;

/// Fields that concern one connection, or tell what runs behind the gate.
const HIDDEN: [&[u8]; 12] = [
    b"api_key",
    b"server",
    b"x-powered-by",
    b"via",
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authenticate",
    b"te",
    b"trailer",
    b"upgrade",
    b"alt-svc",
    b"strict-transport-security",
];

/// Fields that an option of 8sens's connection does not take away: they are settled here, whatever it calls them.
const SETTLED_HERE: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"date"];

/// The rules for the fields of one answer. `Date` and `Connection` are for whoever writes to the caller; 8sens's own go
/// no further.
#[derive(Clone, Copy, Debug)]
pub struct AnswerEdits<'e> {
    /// What was settled when the request was decided on.
    pub of_request: &'e FieldEdits,
    /// `Strict-Transport-Security`, where it is to be sent.
    pub hsts: Option<&'e [u8]>,
    pub framing: AnswerFraming,
}

impl AnswerEdits<'_> {
    /// True when a line of 8sens's answer with this name goes on as it came, in its order. `connection` are the values
    /// of all its `Connection` lines. Lines of [`super::reference::FIELDS`] are to be led back to the gate first.
    #[must_use]
    pub fn keeps<'l>(&self, name: &[u8], connection: impl DoubleEndedIterator<Item = &'l [u8]>) -> bool {
        !self.is_replaced(name) && self.passes(name, connection)
    }

    /// The same for whoever writes `Date`, `Connection`, framing and the gate's own fields over those of the same name.
    #[must_use]
    pub fn passes<'l>(&self, name: &[u8], connection: impl DoubleEndedIterator<Item = &'l [u8]>) -> bool {
        let is_cookie = name.eq_ignore_ascii_case(b"set-cookie");
        !is_one_of(&HIDDEN, name)
            && (!is_cookie || self.of_request.pass_cookies)
            && (is_one_of(&SETTLED_HERE, name)
                || !elements(connection).any(|option| !option.is_empty() && option.eq_ignore_ascii_case(name)))
    }

    /// Gives `write` each field that says where the answer ends, name and value.
    pub fn add_framing(&self, mut write: impl FnMut(&'static str, &[u8])) {
        if let Some(length) = self.framing.length_field {
            write("Content-Length", itoa::Buffer::new().format(length).as_bytes());
        }
        if self.framing.content == Content::UntilClose {
            write("Transfer-Encoding", b"chunked");
        }
    }

    /// Gives `write` each further field that the gate adds, name and value.
    pub fn add(&self, mut write: impl FnMut(&'static str, &[u8])) {
        if let Some(rate_limit) = &self.of_request.rate_limit {
            write("RateLimit-Policy", rate_limit.policy.as_bytes());
            write("RateLimit", rate_limit.limit.as_bytes());
        }
        write("X-Request-ID", self.of_request.request_id.as_bytes());
        if let Some(hsts) = self.hsts {
            write("Strict-Transport-Security", hsts);
        }
    }

    /// True for a field that the gate or its edge writes itself.
    fn is_replaced(&self, name: &[u8]) -> bool {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 => is(b"date"),
            9 => is(b"ratelimit") && self.of_request.rate_limit.is_some(),
            10 => is(b"connection"),
            12 => is(b"x-request-id"),
            14 => is(b"content-length"),
            16 => is(b"ratelimit-policy") && self.of_request.rate_limit.is_some(),
            // The one coding that is understood goes on as 8sens wrote it.
            17 => is(b"transfer-encoding") && self.framing.content != Content::Chunked,
            _ => false,
        }
    }
}

fn is_one_of(names: &[&[u8]], name: &[u8]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exchange::{FieldEdits, RateLimitFields};
    use crate::domain::fixture::field_edits;

    fn framing(content: Content, length_field: Option<u64>) -> AnswerFraming {
        AnswerFraming { content, length_field, announced_too_much: false }
    }

    fn written(edits: &AnswerEdits<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut write =
            |name: &'static str, value: &[u8]| lines.push(format!("{name}: {}", String::from_utf8_lossy(value)));
        edits.add_framing(&mut write);
        edits.add(&mut write);
        lines
    }

    #[test]
    fn what_tells_of_8sens_or_of_its_connection_stays_here() {
        let of_request = field_edits();
        let edits = AnswerEdits { of_request: &of_request, hsts: None, framing: framing(Content::Chunked, None) };
        let connection = [&b"close, X-Hop"[..], b",Content-Length, transfer-encoding"];
        let keeps = |name: &str| edits.keeps(name.as_bytes(), connection.into_iter());
        for name in ["Server", "api_key", "VIA", "Keep-Alive", "Alt-Svc", "Trailer", "x-hop", "Close", "Set-Cookie"] {
            assert!(!keeps(name), "{name}");
        }
        for name in ["Content-Type", "Location", "ETag", "X-Hops", "Transfer-Encoding", "RateLimit", "Cookie"] {
            assert!(keeps(name), "{name}");
        }
        let of_request = FieldEdits { pass_cookies: true, ..of_request.clone() };
        assert!(AnswerEdits { of_request: &of_request, ..edits }.keeps(b"Set-Cookie", std::iter::empty()));
        assert!(!edits.passes(b"x-hop", connection.into_iter()) && edits.passes(b"date", [&b"date"[..]].into_iter()));
    }

    #[test]
    fn what_the_gate_writes_stands_there_once() {
        let rate_limit = RateLimitFields { policy: "p".into(), limit: "l".into() };
        let of_request = FieldEdits { rate_limit: Some(rate_limit), ..field_edits() };
        let hsts = Some(&b"max-age=1"[..]);
        let all = [
            "Content-Length: 5",
            "RateLimit-Policy: p",
            "RateLimit: l",
            "X-Request-ID: req-1",
            "Strict-Transport-Security: max-age=1",
        ];
        let edits = AnswerEdits { of_request: &of_request, hsts, framing: framing(Content::Length(5), Some(5)) };
        assert_eq!(written(&edits), all);
        for name in all.map(|line| line.split(':').next().unwrap()).into_iter().chain(["Date", "Connection"]) {
            assert!(!edits.keeps(name.as_bytes(), std::iter::empty()), "{name}");
        }
        assert!(!edits.keeps(b"transfer-encoding", std::iter::empty()));
    }

    #[test]
    fn an_answer_without_a_stated_end_goes_on_chunked() {
        let of_request = field_edits();
        let edits = AnswerEdits { of_request: &of_request, hsts: None, framing: framing(Content::UntilClose, None) };
        assert_eq!(written(&edits), ["Transfer-Encoding: chunked", "X-Request-ID: req-1"]);
        let bare = AnswerEdits { framing: framing(Content::None, None), ..edits };
        assert_eq!(written(&bare), ["X-Request-ID: req-1"]);
    }
}
