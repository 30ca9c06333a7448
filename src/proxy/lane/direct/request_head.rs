//! The head of a request as 8sens receives it.

use crate::config::UpstreamSettings;
use crate::domain::exchange::{ForwardPlan, Target};
use crate::domain::request::FieldRole;
use crate::domain::request::head::{FieldLines, fragment};

/// Bytes that the gate adds at most, beside the host and the key: the line ends, the names and values of its own
/// fields.
const ADDED: usize = 512;

/// Writes it: the plan applied to the caller's head, whose untouched lines go on as they came, and the upstream key.
/// `head` is what was scanned when the request was decided on, `lines` what the scan found in it. `closes` says that
/// the connection serves this request alone.
///
/// `out` has room for all of it from the beginning, so that no copy of the key is left behind.
pub(super) fn write(
    out: &mut Vec<u8>,
    head: &[u8],
    lines: &FieldLines,
    plan: &ForwardPlan,
    upstream: &UpstreamSettings,
    closes: bool,
) {
    let target = match &plan.target {
        Target::AsReceived => fragment(head).target,
        Target::Rewritten(target) => target,
    };
    let (host, key) = (upstream.host_field.as_bytes(), upstream.api_key.as_bytes());
    out.clear();
    out.reserve(head.len() + target.len() + host.len() + key.len() + plan.fields.token_room() + ADDED);
    let room = out.capacity();
    for part in [plan.method.as_str().as_bytes(), b" ", target, b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    field(out, "Host", host);
    for line in lines.iter(head) {
        match line.role {
            // The body is framed anew.
            Some(FieldRole::TransferEncoding) => field(out, "Transfer-Encoding", b"chunked"),
            role if plan.fields.keeps(line.name, role, line.value) => out.extend_from_slice(line.line),
            _ => {}
        }
    }
    plan.fields.add(|name, value| field(out, name, value));
    plan.fields.add_token(|name, value| field(out, name, value));
    if closes {
        field(out, "Connection", b"close");
    }
    field(out, "api_key", key);
    out.extend_from_slice(b"\r\n");
    debug_assert_eq!(room, out.capacity(), "a copy was left behind");
}

/// One field line.
pub(super) fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::plan;
    use std::path::Path;

    fn written(head: &str, target: Target, closes: bool) -> String {
        let source = include_str!("../../../../tests/config/valid/minimal.toml")
            .replace("file = \"8sens-api-key\"", "env = \"CARGO_PKG_NAME\"");
        let settings = crate::config::parse(&source, "minimal.toml", Path::new(".")).unwrap().settings;
        let mut out = Vec::new();
        let lines = FieldLines::of(head.as_bytes(), &settings.snapshot.fields);
        write(&mut out, head.as_bytes(), &lines, &plan(target), &settings.upstream, closes);
        String::from_utf8(out).unwrap()
    }

    const HEAD: &str = "GET /a?b=\"c\" HTTP/1.2\r\nHost: gate\r\napi_key: sgk_x\r\nX-Own:\t kept \r\nX-Hop: no\r\n\
                        Connection: x-hop\r\nCookie: a=b\r\nvia: 1.1 cdn\r\naccess_token: t\r\n\r\n";

    #[test]
    fn untouched_lines_go_on_as_they_came() {
        insta::assert_snapshot!(written(HEAD, Target::AsReceived, false).replace("\r\n", "\n"), @r#"
        GET /a?b="c" HTTP/1.1
        Host: 127.0.0.1:8082
        X-Own:	 kept 
        via: 1.1 cdn
        access_token: t
        Via: 1.1 sensgate
        X-Request-ID: req-1
        X-Forwarded-For: 192.0.2.7
        X-Forwarded-Proto: https
        api_key: sensgate
        "#);
    }

    #[test]
    fn the_plan_names_the_target_and_a_connection_of_its_own_says_so() {
        let text = written(HEAD, Target::Rewritten(b"/b"[..].into()), true);
        assert!(text.starts_with("GET /b HTTP/1.1\r\nHost: "));
        assert!(text.contains("\r\nConnection: close\r\n") && text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn nothing_is_moved_while_it_is_written() {
        let long = HEAD.replace("/a?", &format!("/{}?", "a".repeat(40_000)));
        for head in [HEAD, &long] {
            // The assertion is within.
            assert!(written(head, Target::AsReceived, true).contains("api_key: sensgate\r\n"));
        }
    }
}
