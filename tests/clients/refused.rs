//! The table of what is refused, on docs/callers.md: each row is sent, and answered as the row says.

use crate::gate::{Config, Gate, KEY};
use crate::site::Site;
use crate::support::witness::{Behaviour, Witness};
use std::collections::BTreeSet;

/// What is sent for each row, in the order of the table. `{h}` is a Host and a good key, `{long:N}` so many letters.
const ROWS: [&[&str]; 22] = [
    &["GET /v1/a HTTP/1.0\r\n{h}\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    &["GET /v1/a HTTP/1.1\r\nHost: gate\r\n\r\n", "GET /v1/a HTTP/1.1\r\n{h}api_key: another\r\n\r\n"],
    &["GET /v1/a?api_key=one HTTP/1.1\r\n{h}\r\n", "GET /v1/a HTTP/1.1\r\n{h}Cookie: api_key=one\r\n\r\n"],
    &[
        "GET /v1/a HTTP/1.1\r\nHost: gate\r\napi_key: Bearer {key}\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\n{h}access_token: to ken\r\n\r\n",
    ],
    &["GET /v1/a HTTP/1.1\r\nHost: gate\r\napi_key: \"{key}\"\r\n\r\n"],
    &["GET /v1/a HTTP/1.1\r\n{h}access_token: one\r\nAuthorization: Bearer two\r\n\r\n"],
    &[
        "GET /v1/a?b=#c HTTP/1.1\r\n{h}\r\n",
        "GET /v1/a?b=%00 HTTP/1.1\r\n{h}\r\n",
        "GET /v1/a?b=c d HTTP/1.1\r\n{h}\r\n",
    ],
    &[
        "GET /v1//a HTTP/1.1\r\n{h}\r\n",
        "GET /v1/../a HTTP/1.1\r\n{h}\r\n",
        "GET /v1/a\\b HTTP/1.1\r\n{h}\r\n",
        "GET /v1/a;b HTTP/1.1\r\n{h}\r\n",
        "GET /v1/%2e/a HTTP/1.1\r\n{h}\r\n",
        "GET /v1/50%25 HTTP/1.1\r\n{h}\r\n",
        "GET /v1/a|b HTTP/1.1\r\n{h}\r\n",
    ],
    &["GET /v1/a%2Fb HTTP/1.1\r\n{h}\r\n"],
    &[
        "POST /V1/login/user HTTP/1.1\r\n{h}Content-Length: 0\r\n\r\n",
        "POST /v1/login/user/ HTTP/1.1\r\n{h}Content-Length: 0\r\n\r\n",
    ],
    &["GET /v1/a HTTP/1.1\r\n{h}Connection: api_key\r\n\r\n", "GET /v1/a HTTP/1.1\r\n{h}Connection: Host\r\n\r\n"],
    &[
        "POST /v1/a HTTP/1.1\r\n{h}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/a HTTP/1.1\r\n{h}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    ],
    &["POST /v1/a HTTP/1.1\r\n{h}Transfer-Encoding: gzip\r\n\r\n"],
    &["POST /v1/a HTTP/1.1\r\n{h}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    &["CONNECT gate:443 HTTP/1.1\r\n{h}\r\n", "TRACE /v1/a HTTP/1.1\r\n{h}\r\n"],
    &["BREW /v1/a HTTP/1.1\r\n{h}\r\n", "get /v1/a HTTP/1.1\r\n{h}\r\n"],
    &["POST /v1/a HTTP/1.1\r\n{h}Content-Length: 1\r\nExpect: a-pony\r\n\r\n"],
    &["GET https://gate/v1/a HTTP/1.1\r\n{h}\r\n"],
    &[
        "POST /v1/login/user HTTP/1.1\r\n{h}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 15\r\n\r\nlogin=a&login=b",
        "POST /v1/login/user HTTP/1.1\r\n{h}Content-Length: 65537\r\n\r\n{long:65537}",
    ],
    // Takes logins that reach 8sens: tests/e2e/login_shield.rs.
    &[],
    &[
        "POST /v1/a HTTP/1.1\r\n{h}Content-Length: 10485761\r\n\r\n",
        "GET /{long:9000} HTTP/1.1\r\n{h}\r\n",
        "GET /v1/a HTTP/1.1\r\n{h}X-Long: {long:33000}\r\n\r\n",
    ],
    // Sent in clear to a listener with TLS.
    &["GET /v1/a HTTP/1.1\r\n{h}\r\n"],
];

fn written(request: &str) -> String {
    let text = request.replace("{h}", "Host: gate\r\napi_key: {key}\r\n").replace("{key}", KEY);
    let Some((before, rest)) = text.split_once("{long:") else { return text };
    let (length, after) = rest.split_once('}').unwrap();
    format!("{before}{}{after}", "a".repeat(length.parse().unwrap()))
}

/// The status and the code of each answer that a row names.
fn rows(text: &str) -> Vec<BTreeSet<String>> {
    let table = text.split("\n## ").nth(2).unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let answers = |line: &str| {
        // A bar within a cell stands behind a backslash.
        let cell = line.replace("\\|", "").split('|').nth(2).unwrap().to_owned();
        cell.split(", ").map(|answer| answer.trim().replace('`', "")).collect()
    };
    lines.map(answers).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_is_answered_as_the_page_says() {
    let witness = Witness::start(Behaviour::answer()).await;
    let site = Site::new();
    let config = || Config::new(witness.addr()).with("limits", "failed_credentials = \"1000/min\"");
    let (gate, encrypted) = (site.gate_with(config(), false), site.gate_with(config(), true));
    let english = rows(&crate::page::text("docs/callers.md"));
    assert_eq!(rows(&crate::page::text("docs/fr/callers.md")), english);
    assert_eq!(english.len(), ROWS.len(), "{english:?}");
    for (at, (sent, said)) in ROWS.iter().zip(&english).enumerate() {
        if sent.is_empty() {
            assert_eq!(*said, BTreeSet::from(["429 login_throttled".to_owned()]));
            continue;
        }
        let asked: &Gate = if at + 1 == ROWS.len() { &encrypted } else { &gate };
        let mut answered = BTreeSet::new();
        for request in *sent {
            let answer = asked.exchange(written(request)).await;
            answered.insert(format!("{} {}", answer.status, answer.json()["code"].as_str().unwrap()));
        }
        assert_eq!(answered, *said, "row {}: {sent:?}", at + 1);
    }
    assert!(witness.requests().is_empty(), "something of it reached 8sens");
}
