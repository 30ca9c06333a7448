//! The head of an answer as the caller receives it.

use super::request_head::field;
use crate::config::UpstreamSettings;
use crate::domain::answer::fields::AnswerEdits;
use crate::domain::answer::head::{Field, Head};
use crate::domain::answer::reference;
use crate::domain::types::Wall;
use crate::proxy::reply::http_date;
use std::cell::RefCell;
use std::net::IpAddr;

/// What the head of one answer is made by, beside its bytes.
pub(super) struct AnswerRules<'r> {
    pub edits: AnswerEdits<'r>,
    /// 8sens as it is known from the configuration.
    pub upstream: &'r UpstreamSettings,
    /// What its name resolves to; asked only where an answer says where else to go.
    pub addresses: &'r dyn Fn() -> Vec<IpAddr>,
    pub now: Wall,
    /// The connection ends with this answer.
    pub closes: bool,
}

/// Writes it: 8sens's own lines where they go on, led back to the gate where they name 8sens, and what the gate adds.
/// `bytes` are those that were scanned.
pub(super) fn write(out: &mut Vec<u8>, bytes: &[u8], head: &Head, rules: &AnswerRules<'_>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(head.status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.reason(bytes));
    out.extend_from_slice(b"\r\n");
    // Most answers nominate nothing, and then nobody has to look for it.
    let mut connection: Vec<&[u8]> = Vec::new();
    if head.nominates {
        connection.extend(head.fields(bytes).filter(|line| is(line, b"connection")).map(|line| line.value));
    }
    let kept = |line: &Field<'_>| rules.edits.keeps(line.name, connection.iter().copied());
    let mut refers = false;
    for line in head.fields(bytes).filter(kept) {
        if reference::FIELDS.iter().any(|name| is(&line, name.as_bytes())) {
            refers = true;
        } else {
            out.extend_from_slice(line.line);
        }
    }
    if refers {
        write_references(out, head.fields(bytes).filter(kept), rules);
    }
    rules.edits.add_framing(|name, value| field(out, name, value));
    rules.edits.add(|name, value| field(out, name, value));
    write_date(out, rules.now);
    field(out, "Connection", if rules.closes { b"close" } else { b"keep-alive" });
    out.extend_from_slice(b"\r\n");
}

fn is(field: &Field<'_>, name: &[u8]) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

/// Those lines that say where else to go.
fn write_references<'b>(out: &mut Vec<u8>, fields: impl Iterator<Item = Field<'b>> + Clone, rules: &AnswerRules<'_>) {
    let addresses = (rules.addresses)();
    let itself = rules.upstream.itself(&addresses);
    for name in reference::FIELDS {
        let named = || fields.clone().filter(|line| is(line, name.as_bytes()));
        let lines: Vec<&[u8]> = named().map(|line| line.value).collect();
        match reference::rewrite(name, &lines, &itself) {
            Some(rewritten) => rewritten.iter().for_each(|line| field(out, name, line)),
            None => named().for_each(|line| out.extend_from_slice(line.line)),
        }
    }
}

/// `Date`, which is the same for a second.
fn write_date(out: &mut Vec<u8>, now: Wall) {
    thread_local! {
        static LATEST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    LATEST.with_borrow_mut(|(second, date)| {
        if *second != now.0.div_euclid(1000) {
            (*second, *date) = (now.0.div_euclid(1000), http_date(now));
        }
        field(out, "Date", date.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::answer::head::{AnswerScanner, Scan};
    use crate::domain::exchange::{FieldEdits, RateLimitFields};
    use crate::domain::fixture::field_edits;
    use crate::domain::request::Method;
    use std::path::Path;

    fn written(answer: &str, closes: bool) -> String {
        let source = include_str!("../../../../tests/config/valid/minimal.toml")
            .replace("file = \"8sens-api-key\"", "env = \"CARGO_PKG_NAME\"");
        let settings = crate::config::parse(&source, "minimal.toml", Path::new(".")).unwrap().settings;
        let bytes = answer.as_bytes();
        let Scan::Complete(head) = AnswerScanner::new(Method::Get).scan(bytes) else { panic!("no head") };
        let rate_limit = Some(RateLimitFields { policy: "p".into(), limit: "l".into() });
        let of_request = FieldEdits { rate_limit, ..field_edits() };
        let rules = AnswerRules {
            edits: AnswerEdits { of_request: &of_request, hsts: Some(b"max-age=1"), framing: head.framing },
            upstream: &settings.upstream,
            addresses: &|| vec!["192.0.2.9".parse().unwrap()],
            now: Wall(1_704_067_200_999),
            closes,
        };
        let mut out = Vec::new();
        write(&mut out, bytes, &head, &rules);
        String::from_utf8(out).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn what_goes_on_goes_on_as_it_came() {
        insta::assert_snapshot!(
            written(
                "HTTP/1.0 203 Some Thing\r\nServer: 8sens\r\nX-Page:\t3 \r\ncontent-length: 5, 5\r\nDate: \
                 old\r\nRateLimit: x\r\n\
                 Connection: X-Inside\r\nX-Inside: 1\r\nSet-Cookie: a=b\r\nx-request-id: theirs\r\n\r\n",
                false,
            ),
            @r#"
        HTTP/1.1 203 Some Thing
        X-Page:	3 
        Content-Length: 5
        RateLimit-Policy: p
        RateLimit: l
        X-Request-ID: req-1
        Strict-Transport-Security: max-age=1
        Date: Mon, 01 Jan 2024 00:00:00 GMT
        Connection: keep-alive
        "#
        );
    }

    #[test]
    fn what_names_8sens_leads_back() {
        let text = written(
            "HTTP/1.1 302 Found\r\nLocation:  http://192.0.2.9/a\r\nLink: <http://other.example/>\r\nConnection: \
             close\r\n\r\n",
            true,
        );
        assert!(text.contains("\nLocation: /a\n") && text.contains("\nLink: <http://other.example/>\n"), "{text}");
        assert!(text.contains("\nTransfer-Encoding: chunked\n") && text.ends_with("\nConnection: close\n\n"), "{text}");
    }
}
