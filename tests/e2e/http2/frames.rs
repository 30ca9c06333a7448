//! Frames that no honest client sends: each costs its stream or its connection, and nobody else anything.

use super::{API_KEY, Site, by_path};
use crate::gate::DEADLINE;
use crate::support::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, FrameClient, HEADERS, Outcome, PING,
    PREFACE, PRIORITY, PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE, literal, request,
};
use crate::tls::wait_for_metric;

/// Trailers are fields and nothing else (RFC 9113 section 8.1).
#[tokio::test(flavor = "multi_thread")]
async fn a_pseudo_header_in_trailers_is_a_fault_of_their_stream() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    client.get(1, "/v1/slow", &[API_KEY]).await.unwrap();
    // `:method: GET` is entry 2 of the static table; 62 is the first of the dynamic one, once `:path` of a head was put
    // there.
    let indexed = [&[0x44, 9][..], b"/v1/never"].concat();
    let field = literal(&[(b"x-checksum", b"1")]);
    let trailers = [
        ("a literal", literal(&[(b":path", b"/v1/other")])),
        ("a literal in two frames", literal(&[(b":path", b"/v1/other")])),
        ("of an answer", literal(&[(b":status", b"200")])),
        ("from the static table", vec![0x82]),
        ("put into the table", indexed),
        ("from the dynamic table", vec![0xbe]),
        ("behind a field", [field.clone(), literal(&[(b":method", b"GET")])].concat()),
        ("before a field", [literal(&[(b":method", b"GET")]), field.clone()].concat()),
        ("behind an update of the table's size", [&[0x3f, 0xe1, 0x1f][..], &[0x82]].concat()),
    ];
    for (number, (name, block)) in (1..).zip(&trailers) {
        let stream = number * 2 + 1;
        client.post(stream, "/v1/devis", &[API_KEY]).await.unwrap();
        client.data(stream, b"abc", false).await.unwrap();
        let cut = if name.ends_with("in two frames") { 3 } else { block.len() };
        let (first, second) = block.split_at(cut);
        let ends = if second.is_empty() { END_HEADERS } else { 0 };
        client.send(Frame::new(HEADERS, END_STREAM | ends, stream, first)).await.unwrap();
        if !second.is_empty() {
            client.send(Frame::new(CONTINUATION, END_HEADERS, stream, second)).await.unwrap();
        }
        assert_eq!(client.outcome(stream).await, Outcome::Reset(PROTOCOL_ERROR), "{name}");
    }
    // The table of both sides is still the same, and trailers of fields alone end a body.
    client.post(101, "/v1/devis", &[API_KEY]).await.unwrap();
    client.data(101, b"abc", false).await.unwrap();
    client.send(Frame::new(HEADERS, END_HEADERS | END_STREAM, 101, field)).await.unwrap();
    assert_eq!(client.outcome(101).await.status(), Some(200));
    assert_eq!(client.outcome(1).await.status(), Some(200), "the sibling");
    let whole: Vec<_> = site.witness.requests().into_iter().filter(|request| request.method() == "POST").collect();
    assert_eq!(whole.iter().map(|request| &*request.body).collect::<Vec<_>>(), [b"abc"]);
    assert!(whole[0].values("x-checksum").is_empty() && whole[0].values("x").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_length_than_announced_is_no_request() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    for (stream, length, body) in [(1, "5", &b"abc"[..]), (3, "3", b"abcdef"), (5, "0", b"abc")] {
        client.post(stream, "/v1/devis", &[API_KEY, ("content-length", length)]).await.unwrap();
        client.data(stream, body, true).await.unwrap();
        match client.outcome(stream).await {
            Outcome::Answer(answer) => assert_eq!(answer.status, 400, "{length}"),
            Outcome::Reset(code) => assert_eq!(code, PROTOCOL_ERROR, "{length}"),
            other => panic!("{length}: {other:?}"),
        }
    }
    client.get(7, "/v1/a", &[API_KEY]).await.unwrap();
    assert_eq!(client.outcome(7).await.status(), Some(200));
    let whole: Vec<_> = site.witness.requests().into_iter().filter(|request| request.method() == "POST").collect();
    // What was whole before the fault may be on its way, with the length that it announced.
    assert!(
        whole.iter().all(|request| request.values("content-length") == [request.body.len().to_string()]),
        "{whole:?}"
    );
}

/// Sends until the gate has enough.
async fn flood(client: &mut FrameClient, bytes: &[u8], times: usize) -> Option<u32> {
    for _ in 0..times {
        if client.send_bytes(bytes).await.is_err() {
            break;
        }
    }
    client.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_end_their_connection_and_nobody_elses() {
    let site = Site::start(by_path(), |config| config).await;
    let mut bystander = site.connect().await;
    let flags_of = |kind, flags, stream, payload: &[u8]| Frame::new(kind, flags, stream, payload).bytes();
    let floods = [
        ("PING", flags_of(PING, 0, 0, &[0; 8])),
        ("SETTINGS", flags_of(SETTINGS, 0, 0, &[])),
        ("PRIORITY", flags_of(PRIORITY, 0, 101, &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", flags_of(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("unknown frames", flags_of(0xfa, 0, 0, &[0; 20])),
    ];
    for (name, frame) in &floods {
        let mut client = site.connect().await;
        let code = flood(&mut client, &frame.repeat(100), 200).await;
        assert_eq!(code, Some(ENHANCE_YOUR_CALM), "{name}");
    }
    let mut empty = site.connect().await;
    empty.post(1, "/v1/devis", &[API_KEY]).await.unwrap();
    let code = flood(&mut empty, &Frame::new(DATA, 0, 1, []).bytes().repeat(100), 200).await;
    assert_eq!(code, Some(ENHANCE_YOUR_CALM), "empty DATA");
    let code = flood(&mut site.connect().await, &continuation(), 2000).await;
    assert!(code.is_some_and(|code| code != 0), "CONTINUATION: {code:?}");

    bystander.get(1, "/v1/a", &[API_KEY]).await.unwrap();
    assert_eq!(bystander.outcome(1).await.status(), Some(200));
    wait_for_metric(&site.gate, "sensgate_connections_total{outcome=\"flooded\"}", 6.0).await;
    let record = site.gate.wait_for_record(|record| record["reason"] == "more HTTP/2 frames than requests need");
    assert_eq!(record["code"], "malformed_request");
}

/// A head that never ends.
fn continuation() -> Vec<u8> {
    let block = literal(&[(b"x", &[b'y'; 100])]).repeat(20);
    let first = Frame::new(HEADERS, END_STREAM, 1, request("GET", "/v1/never", &[])).bytes();
    [first, Frame::new(CONTINUATION, 0, 1, block).bytes().repeat(50)].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_end_their_connection_and_leave_no_work() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    let pair = |stream: u32| {
        let head =
            Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, request("GET", "/v1/hang", &[API_KEY])).bytes();
        [head, Frame::new(RST_STREAM, 0, stream, 8u32.to_be_bytes()).bytes()].concat()
    };
    for stream in 0..2000 {
        if client.send_bytes(&pair(stream * 2 + 1)).await.is_err() {
            break;
        }
    }
    assert_eq!(client.end().await, Some(ENHANCE_YOUR_CALM));
    assert!(site.witness.requests().len() < 300, "{}", site.witness.requests().len());
    let end = std::time::Instant::now() + DEADLINE;
    while site.gate.metric("sensgate_requests_in_flight").await > 0.0 {
        assert!(std::time::Instant::now() < end, "{}", site.gate.metrics().await);
    }
    site.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_unpacks_to_more_than_it_may_is_refused() {
    let site = Site::start(by_path(), |config| config).await;
    // One entry of 4,000 bytes in the table, then named again and again by one byte each (RFC 7541 section 6.1).
    let mut bomb = request("GET", "/v1/never", &[API_KEY]);
    bomb.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    bomb.extend([b'y'; 4000]);
    bomb.extend([0xbe; 10_000]);
    let mut client = site.connect().await;
    client.send(Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, bomb)).await.unwrap();
    match client.outcome(1).await {
        Outcome::Answer(answer) => assert_eq!(answer.status, 431),
        Outcome::Reset(_) | Outcome::GoAway(_) => {}
        Outcome::Closed => panic!("closed without a word"),
    }
    // Sizes of an ordinary kind have a code, as over HTTP/1.1.
    let mut client = site.connect().await;
    let long = "x".repeat(9000);
    client.get(1, &format!("/v1/{long}"), &[API_KEY]).await.unwrap();
    let Outcome::Answer(answer) = client.outcome(1).await else { panic!() };
    assert_eq!((answer.status, answer.code().as_deref()), (414, Some("uri_too_long")));
    let many: Vec<_> = (0..101).map(|n| (format!("x-{n}"), "y")).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).chain([API_KEY]).collect();
    client.get(3, "/v1/a", &many).await.unwrap();
    let Outcome::Answer(answer) = client.outcome(3).await else { panic!() };
    assert_eq!((answer.status, answer.code().as_deref()), (431, Some("headers_too_large")));
    assert!(site.witness.requests().is_empty());
    site.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_breaks_the_protocol_is_told_and_written_down() {
    let site = Site::start(by_path(), |config| config).await;
    for (name, bytes) in [
        ("a frame that is too large", Frame::new(DATA, 0, 0, vec![0; 20_000]).bytes()),
        ("DATA without a stream", Frame::new(DATA, 0, 0, [1]).bytes()),
        ("a stream of the server", Frame::new(HEADERS, END_HEADERS | END_STREAM, 2, request("GET", "/", &[])).bytes()),
        (
            "a table index that is not there",
            Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, [0xff, 0xff, 0x01]).bytes(),
        ),
        ("a window past its end", Frame::new(WINDOW_UPDATE, 0, 0, 0x7fff_ffffu32.to_be_bytes()).bytes()),
    ] {
        let mut client = site.connect().await;
        client.send_bytes(&bytes).await.unwrap();
        let code = client.end().await;
        assert!(code.is_some_and(|code| code != 0), "{name}: {code:?}");
    }
    let mut wrong = FrameClient::silent(site.gate.address(), &site.connector()).await.unwrap();
    wrong.send_bytes(&[&PREFACE[..20], b"XXXX"].concat()).await.unwrap();
    while wrong.next().await.is_some() {}
    site.gate.wait_for_record(|record| record["reason"] == "HTTP/2 connection error");
    site.gate.wait_for_record(|record| record["reason"] == "HTTP/2 preface is wrong");
    assert!(site.witness.requests().is_empty());
    site.serves().await;
}
