//! The two forwarders against each other: generated requests and generated answers, told alike to both. Where what the
//! caller gets or what 8sens sees is not the same, the case has to have a feature for which that is decided (decision
//! 0025).

use crate::escape::shown;
use crate::format::GateKind;
use crate::gate::KEY;
use crate::outcome::{Caller, Seen};
use crate::site::{Forwarder, Site};
use crate::support::wire::fields;
use crate::support::witness::{Action, Script, ScriptEnd, SeenRequest, Step};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Requests and answers that are played.
const CASES: usize = 400;

/// What a request may hold beside Host and key.
const REQUEST_LINES: [&str; 16] = [
    "X-Own: a",
    "X-Own:\t b  ",
    "x-empty:",
    "Via: 1.1 cdn",
    "Cookie: a=b",
    "access_token: tok",
    "Authorization: Basic eHg=",
    "Accept-Encoding: gzip",
    "Range: bytes=0-1",
    "Connection: X-Hop\r\nX-Hop: 1",
    "TE: trailers",
    "Keep-Alive: 5",
    "X-Real-IP: 10.0.0.1",
    "Upgrade: websocket",
    "Content-Type: text/plain",
    "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// What an answer may hold beside its framing.
const ANSWER_LINES: [&str; 19] = [
    "X-Own: a",
    "X-Own:\t b  ",
    "x-empty:",
    "X-Text: caf\u{e9}",
    "Server: 8sens",
    "X-Powered-By: 4D",
    "Set-Cookie: a=b",
    "Keep-Alive: timeout=5",
    "Connection: X-Inside, keep-alive",
    "X-Inside: 1",
    "Via: 1.1 inner",
    "Date: yesterday",
    "X-Request-ID: theirs",
    "Location: http://localhost:8082/v1/a",
    "Link: <http://localhost:8082/v1?p=2>; rel=\"next\", </b>",
    "Location: /v1/c",
    "Content-Type: application/json",
    "Strict-Transport-Security: max-age=1",
    "api_key: 8sens-upstream",
];

/// Lines that the gate's own forwarder takes for no field, and Pingora's parser for one.
const LENIENT_LINES: [&str; 4] = ["X-Odd : a", "X-Odd: a\r\n b", "X-Odd: a\nX-Even: b", "X-Odd\t: a"];

#[derive(Clone, Debug)]
struct Case {
    method: &'static str,
    target: &'static str,
    request_lines: Vec<&'static str>,
    /// How the body of the request is framed, and the bytes of it.
    request_body: (&'static str, &'static str),
    interim: usize,
    status: &'static str,
    answer_lines: Vec<&'static str>,
    lenient: Option<&'static str>,
    /// Framing lines, the bytes behind the head, and whether 8sens closes behind them.
    content: (&'static str, &'static str, bool),
}

fn cases() -> impl Strategy<Value = Case> {
    let targets = select(vec!["/v1/a", "/v1/a?b=c&d", "/v1/%61?x", "/v1/a?q=\"<x>\"", "/v1/a?{|}", "/v1/b?\u{e9}"]);
    let bodies = select(vec![
        ("", ""),
        ("Content-Length: 0\r\n", ""),
        ("Content-Length: 5\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-T: 1\r\n\r\n"),
        ("transfer-encoding: Chunked\r\n", "0\r\n\r\n"),
    ]);
    let statuses = select(vec![
        "HTTP/1.1 200 OK",
        "HTTP/1.1 201 Made So",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 302 Found",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 404 ",
        "HTTP/1.1 500",
        "HTTP/1.1 200 caf\u{e9}",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 101 Switching Protocols",
        "HTTP/1.1 20 OK",
        "HTTP/2.0 200 OK",
    ]);
    let contents = select(vec![
        ("Content-Length: 5\r\n", "hello", false),
        ("Content-Length: 0\r\n", "", false),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", "hello", false),
        ("Content-Length: 5, 5\r\n", "hello", false),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "hello", true),
        ("Content-Length: 50\r\n", "hello", true),
        ("Content-Length: 5\r\n", "hello and more", true),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n6;x\r\n world\r\n0\r\nX-T: 1\r\n\r\n", false),
        ("Transfer-Encoding: Chunked\r\n", "0\r\n\r\n", false),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n", true),
        ("Transfer-Encoding: chunked\r\n", "zz\r\nhello\r\n", true),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", false),
        ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", true),
        ("Transfer-Encoding: identity\r\n", "hello", true),
        ("", "hello", true),
        ("", "", true),
    ]);
    (
        select(vec!["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]),
        targets,
        subsequence(REQUEST_LINES.to_vec(), 0..6),
        bodies,
        prop_oneof![4 => Just(0usize), 1 => 1usize..3],
        statuses,
        subsequence(ANSWER_LINES.to_vec(), 0..6),
        prop::option::weighted(0.1, select(LENIENT_LINES.to_vec())),
        contents,
    )
        .prop_map(|parts| {
            let (method, target, request_lines, request_body, interim, status, answer_lines, lenient, content) = parts;
            Case { method, target, request_lines, request_body, interim, status, answer_lines, lenient, content }
        })
}

impl Case {
    fn request(&self) -> Vec<u8> {
        let lines: String = self.request_lines.iter().map(|line| format!("{line}\r\n")).collect();
        let (framing, body) = self.request_body;
        let (method, target) = (self.method, self.target);
        format!("{method} {target} HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\n{lines}{framing}\r\n{body}").into_bytes()
    }

    fn answer(&self) -> Vec<u8> {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(self.interim);
        let lines: String = self.answer_lines.iter().chain(&self.lenient).map(|line| format!("{line}\r\n")).collect();
        let (framing, content, _) = self.content;
        // What has no content brings none: what else becomes of it stands in the corpus.
        let bodiless = self.method == "HEAD" || self.status.contains(" 204 ") || self.status.contains(" 304 ");
        let content = if bodiless { "" } else { content };
        format!("{interim}{}\r\n{lines}{framing}\r\n{content}", self.status).into_bytes()
    }

    /// For what the forwarders may differ.
    fn decided(&self) -> Option<&'static str> {
        if self.lenient.is_some() {
            return Some("a line that programs read differently");
        }
        (!self.status.is_ascii()).then_some("a reason phrase outside ASCII")
    }
}

#[test]
fn the_forwarders_differ_only_where_that_is_decided() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut runner, strategy) = (TestRunner::deterministic(), cases());
    let mut decided = BTreeSet::new();
    runtime.block_on(async {
        let (mut direct, mut pingora) = (Site::start(Forwarder::Direct).await, Site::start(Forwarder::Pingora).await);
        for number in 0..CASES {
            let case = strategy.new_tree(&mut runner).unwrap().current();
            let (one, other) = (play(&mut direct, &case).await, play(&mut pingora, &case).await);
            if one == other {
                continue;
            }
            let why = case.decided();
            assert!(
                why.is_some(),
                "{number} differs\n  asked\n      {}\n  8sens answered\n      {}\n  direct\n      {one:#?}\n  \
                 pingora\n      {other:#?}",
                shown(&case.request()),
                shown(&case.answer()),
            );
            decided.extend(why);
        }
    });
    assert_eq!(decided.len(), 2, "{decided:?}: a difference that is decided on and never seen is none");
}

/// What came of a case, without what is never the same twice.
#[derive(Debug, PartialEq, Eq)]
struct View {
    caller: String,
    /// Lines in any order, since one forwarder keeps it and the other groups them by name.
    caller_fields: BTreeSet<String>,
    body: Vec<u8>,
    upstream: Vec<(String, BTreeSet<String>, Vec<u8>)>,
}

async fn play(site: &mut Site, case: &Case) -> View {
    let address = site.gate(GateKind::Plain).address();
    let end = if case.content.2 || case.answer().starts_with(b"HTTP/1.0") { ScriptEnd::Close } else { ScriptEnd::Keep };
    let script = Arc::new(Script::new(vec![Step::Send(case.answer())], end));
    // As 8sens sees it: in its normal form.
    let target = case.target.replace("%61", "a");
    site.act(&target, Action::Script(Arc::clone(&script)));
    let mark = site.mark();
    let mut caller = Caller::connect(address).await.unwrap();
    caller.send(&case.request()).await;
    let seen = caller.answer(case.method == "HEAD").await;
    drop(caller);
    let (requests, _) = site.since(&mark);
    let (caller, caller_fields, body) = match seen {
        Seen::Answer(answer) => {
            let line = answer.head.lines().next().unwrap_or_default().trim_end().to_owned();
            let problem = answer.code();
            let body = if problem.is_some() { Vec::new() } else { answer.body };
            let mut fields = comparable(&answer.head, &["date", "x-request-id"]);
            if problem.is_some() {
                fields.clear();
            }
            (format!("{line} {problem:?}"), fields, body)
        }
        Seen::Broken { status, .. } => (format!("broken {status:?}"), BTreeSet::new(), Vec::new()),
        other => (other.to_string(), BTreeSet::new(), Vec::new()),
    };
    View { caller, caller_fields, body, upstream: requests.iter().map(request).collect() }
}

fn request(seen: &SeenRequest) -> (String, BTreeSet<String>, Vec<u8>) {
    let line = seen.head.lines().next().unwrap_or_default().to_owned();
    (line, comparable(&seen.head, &["host", "x-request-id"]), seen.body.clone())
}

fn comparable(head: &str, but: &[&str]) -> BTreeSet<String> {
    let fields = fields(head).into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let fields = fields.filter(|(name, _)| !but.contains(&name.as_str()));
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    let numbered = fields.map(|(name, value)| {
        let value = if name == "transfer-encoding" { value.to_ascii_lowercase() } else { value };
        let line = format!("{name}: {value}");
        let times = seen.entry(line.clone()).or_default();
        *times += 1;
        format!("{line} ({times})")
    });
    numbered.collect()
}
