//! The lane as a whole: whatever 8sens sends, and however it ends, its caller gets one answer or sees that it breaks
//! off.

use super::DirectLane;
use crate::config::{AccessLogTarget, LogSettings, Settings};
use crate::domain::exchange::{Exchange, Step};
use crate::domain::fixture::{NOW, PEER, consumer, snapshot, tables};
use crate::domain::request::Transport;
use crate::domain::request::head::{self, Origin, Scan};
use crate::domain::rules::snapshot::SessionMode;
use crate::domain::session::managed::Account;
use crate::domain::types::{HttpVersion, RequestId};
use crate::proxy::caller_stream::CallerStream;
use crate::proxy::lane::upstream::Upstream;
use crate::proxy::lane::{Carried, Handoff};
use crate::proxy::socket::Socket;
use crate::proxy::ticket::Ticket;
use crate::proxy::waiting::Logins;
use crate::telemetry::Telemetry;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

const KEY: &str = "sgk_lane_8Zr0Lw5VbTn2YxUcHd7";

/// No case takes longer: 8sens may be silent for a twentieth of it.
const PATIENCE: Duration = Duration::from_secs(10);

fn settings(upstream: SocketAddr) -> Settings {
    let source = include_str!("../../../../tests/config/valid/minimal.toml")
        .replace("file = \"8sens-api-key\"", "env = \"CARGO_PKG_NAME\"")
        .replace("127.0.0.1:8082", &upstream.to_string())
        .replace("[upstream]", "[upstream]\nread_timeout = \"500ms\"");
    crate::config::parse(&source, "minimal.toml", Path::new(".")).unwrap().settings
}

/// What 8sens does about each connection: reads a request if it is to, and sends these pieces.
#[derive(Clone, Debug)]
struct Upstreams {
    pieces: Vec<Vec<u8>>,
    reads_first: bool,
    stays: bool,
}

async fn misbehave(listener: TcpListener, does: Upstreams) {
    let mut held = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let mut request = vec![0; 64 << 10];
        if does.reads_first && stream.read(&mut request).await.is_err() {
            continue;
        }
        for piece in &does.pieces {
            if stream.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if does.stays {
            held.push(stream);
        }
    }
}

/// Nobody needs one here.
struct NoLogins;

impl Logins for NoLogins {
    async fn settled(&self, _account: &Arc<Account>) {}
}

/// What the caller of one request gets, and whether its connection may go on.
async fn carry(request: &[u8], does: Upstreams) -> (Vec<u8>, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Arc::new(settings(listener.local_addr().unwrap()));
    let upstreams = tokio::spawn(misbehave(listener, does));
    let log = LogSettings { access: AccessLogTarget::Off, ..LogSettings::default() };
    let telemetry = Arc::new(Telemetry::start(&log).unwrap());
    let upstream = Arc::new(Upstream::new(&settings.upstream, Arc::clone(&telemetry)));
    let lane = DirectLane::start(upstream, 4);

    // Nobody needs a session here.
    let mut snapshot = snapshot(vec![consumer("lane", KEY)]);
    snapshot.session.mode = SessionMode::Observe;
    let snapshot = Arc::new(snapshot);
    let tables = Arc::new(tables(&snapshot));
    let origin = Origin { peer: PEER, transport: Transport::Trusted, version: HttpVersion::Http11 };
    let (mut near, far) = tokio::io::duplex(1 << 20);
    near.write_all(request).await.unwrap();
    let mut caller = Box::new(CallerStream::new(Socket::piped(far), &settings.connections));
    while !caller.buffered().ends_with(&request[request.len().saturating_sub(4)..]) {
        caller.fill().await.unwrap();
    }
    let (buffered, lines) = caller.to_scan();
    let scanned = head::scan(buffered, snapshot.limits.head, &snapshot.fields, origin, lines);
    let Scan::Complete(head_len, view) = scanned else { panic!("no request: {}", request.escape_ascii()) };
    let (framing, id) = (view.framing, RequestId::from_random([7; 16]));
    let (exchange, step) = Exchange::begin(Arc::clone(&snapshot), tables, &view, id, NOW);
    let Step::Forward(plan) = step else { panic!("{step:?}") };
    let ticket = Ticket::new(exchange, telemetry);
    let handoff = Handoff { ticket, plan, settings, hsts: None, head_len, framing, last: false };
    let (_running, shutdown) = watch::channel(false);
    let carried = timeout(PATIENCE, lane.carry(caller, handoff, &shutdown, &NoLogins)).await.expect("it has an end");
    upstreams.abort();
    let keeps = match carried {
        Carried::Reusable(mut caller) => {
            // What is still in its buffers would come with the next answer.
            caller.flush().await.unwrap();
            true
        }
        Carried::ToClose(mut caller) => {
            caller.flush().await.unwrap();
            false
        }
        Carried::Lost => panic!("the lane lends it to nobody"),
    };
    let mut got = Vec::new();
    near.read_to_end(&mut got).await.unwrap();
    (got, keeps)
}

/// How much of the bytes is one whole answer; `None` when it is broken off.
fn whole(bytes: &[u8], to_head: bool) -> Option<usize> {
    let mut room = [httparse::EMPTY_HEADER; 300];
    let mut answer = httparse::Response::new(&mut room);
    let Ok(httparse::Status::Complete(len)) = answer.parse(bytes) else { return None };
    let named = |name: &str| answer.headers.iter().filter(|f| f.name.eq_ignore_ascii_case(name)).collect::<Vec<_>>();
    let (codings, lengths) = (named("transfer-encoding"), named("content-length"));
    assert!(codings.len() + lengths.len() <= 1, "two framings");
    let bodiless = to_head || matches!(answer.code, Some(204 | 304));
    let rest = &bytes[len..];
    match (&codings[..], &lengths[..]) {
        _ if bodiless => Some(len),
        ([_], _) => {
            let mut scanner = crate::domain::request::chunked::ChunkScanner::default();
            let body = scanner.follow(rest).expect("the gate frames well");
            scanner.is_done().then_some(len + body)
        }
        (_, [length]) => {
            let length: usize = std::str::from_utf8(length.value).unwrap().parse().unwrap();
            (rest.len() >= length).then_some(len + length)
        }
        _ => panic!("an answer without an end"),
    }
}

const GOOD: [&str; 6] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n",
    "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.0 404 Not Found\r\nServer: 8sens\r\n\r\nnothing",
    "HTTP/1.1 205 Reset\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nConnection: close\r\n\r\n",
];

/// A good answer with up to three changes, in pieces.
fn sent() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let change = (
        any::<prop::sample::Index>(),
        select(vec!["", "\r", "\n", "\r\n", ":", " ", "0", "\0", "HTTP/1.1 "]),
        0usize..3,
    );
    let parts =
        (select(GOOD.to_vec()), prop::collection::vec(change, 0..4), any::<prop::sample::Index>(), any::<bool>());
    parts.prop_map(|(good, changes, cut, twice)| {
        let mut bytes = good.as_bytes().to_vec();
        for (at, with, removes) in changes {
            let at = at.index(bytes.len() + 1);
            let end = (at + removes).min(bytes.len());
            bytes.splice(at..end, with.bytes());
        }
        if twice {
            bytes.extend_from_slice(GOOD[0].as_bytes());
        }
        let rest = bytes.split_off(cut.index(bytes.len() + 1));
        vec![bytes, rest]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_8sens_sends_its_caller_can_tell(
        pieces in sent(),
        method in select(vec!["GET", "HEAD", "POST"]),
        reads_first: bool,
        stays in prop::bool::weighted(0.2),
    ) {
        let body = if method == "POST" { "Content-Length: 5\r\n\r\nhello" } else { "\r\n" };
        let request = format!("{method} /v1/a HTTP/1.1\r\nHost: a\r\napi_key: {KEY}\r\n{body}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let does = Upstreams { pieces, reads_first, stays };
        let (got, keeps) = runtime.block_on(carry(request.as_bytes(), does));
        let end = whole(&got, method == "HEAD");
        // What a caller reads as one answer is all that it gets, and only such a connection goes on.
        prop_assert!(end.is_none_or(|end| end == got.len()), "{}", got.escape_ascii());
        prop_assert!(!keeps || end.is_some(), "{}", got.escape_ascii());
        let says_so = got.windows(12).any(|window| window == b": keep-alive");
        prop_assert!(end.is_none() || keeps == says_so, "{}", got.escape_ascii());
    }
}
