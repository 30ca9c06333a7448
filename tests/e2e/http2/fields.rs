//! What a head may hold: a query goes on as it came, and what is malformed costs its stream alone (RFC 9113 section
//! 8.1.1).

use super::{API_KEY, Site, by_path};
use crate::support::http2::{
    COMPRESSION_ERROR, CONTINUATION, END_HEADERS, END_STREAM, Frame, FrameClient, HEADERS, Outcome, PROTOCOL_ERROR,
    literal, request,
};

/// One field line, name and value.
type Line = (&'static [u8], &'static [u8]);

const M: Line = (b":method", b"GET");
const S: Line = (b":scheme", b"https");
const A: Line = (b":authority", b"gate.example");
const P: Line = (b":path", b"/v1/never");

/// A good request with lines added.
fn with(extra: &[Line]) -> Vec<u8> {
    [request("GET", "/v1/never", &[API_KEY]), literal(extra)].concat()
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// These pseudo-header fields, and a key.
fn pseudo(lines: &[Line]) -> Vec<u8> {
    [literal(lines), literal(&[(b"api_key", API_KEY.1.as_bytes())])].concat()
}

fn get(target: &[u8]) -> Vec<u8> {
    let lines: [(&[u8], &[u8]); 5] = [M, S, A, (b":path", target), (b"api_key", API_KEY.1.as_bytes())];
    literal(&lines)
}

async fn ask(client: &mut FrameClient, stream: u32, block: Vec<u8>) -> Outcome {
    client.send(Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, block)).await.unwrap();
    client.outcome(stream).await
}

const MISSING: &str = "pseudo-header field missing";
const REPEATED: &str = "pseudo-header field repeated";
const UNKNOWN: &str = "pseudo-header field of no request";
const LATE: &str = "pseudo-header field behind another field";
const CAPITALS: &str = "capitals in a field name";
const CONNECTION: &str = "field of a connection in HTTP/2";

/// What only HTTP/2 can get wrong resets its stream. The rest has the answer of HTTP/1.1.
const OF_HTTP_2_ALONE: [&str; 9] =
    [MISSING, REPEATED, UNKNOWN, LATE, CAPITALS, CONNECTION, "target", "authority", "scheme"];

/// Heads that mean nothing, or two things, and why they are refused.
fn malformed() -> Vec<(Vec<u8>, &'static str)> {
    const TARGET_BYTE: &str = "byte in the target that has to be encoded";
    const CONTROL: &str = "control byte in a field value";
    const NAME: &str = "field name is not a token";
    const OTHER_HOST: &str = "authority of the target is not the Host";
    let key: Line = (b"api_key", b"another");
    vec![
        (pseudo(&[M, S, A, (b":path", b"/v1/never HTTP/1.1\r\nx: y")]), TARGET_BYTE),
        (pseudo(&[M, S, A, (b":path", b"/v1/never\n")]), TARGET_BYTE),
        (pseudo(&[M, S, A, (b":path", b"/v1/ never")]), TARGET_BYTE),
        (pseudo(&[M, S, A, (b":path", b"/v1/never?a=\0")]), TARGET_BYTE),
        (pseudo(&[M, S, A, (b":path", b"/v1/never?a=b#c")]), "byte in the query that has to be encoded"),
        (pseudo(&[M, S, A, (b":path", b"/v1/never#c")]), "byte in the path that has to be encoded"),
        (pseudo(&[M, S, A, (b":path", b"/v1/<never>")]), "byte in the path that has to be encoded"),
        (pseudo(&[M, S, A, (b":path", b"")]), "target"),
        (pseudo(&[M, S, A, (b":path", b"https://gate.example/v1/never")]), "target"),
        (pseudo(&[M, S, A]), MISSING),
        (pseudo(&[S, A, P]), MISSING),
        (pseudo(&[M, A, P]), MISSING),
        (pseudo(&[M, S, P]), "Host is missing"),
        (pseudo(&[M, S, A, P, P]), REPEATED),
        (pseudo(&[M, M, S, A, P]), REPEATED),
        (pseudo(&[M, S, A, A, P]), REPEATED),
        (pseudo(&[M, S, (b":authority", b"gate\r\nx: y"), P]), "authority"),
        (pseudo(&[M, S, (b":authority", b"user@gate.example"), P]), "Host is not a host"),
        (pseudo(&[M, (b":scheme", b"ht tps"), A, P]), "scheme"),
        (pseudo(&[(b":method", b"GET /x HTTP/1.1"), S, A, P]), "method is not a token"),
        (pseudo(&[(b":method", b"GET\r\n"), S, A, P]), "method is not a token"),
        (pseudo(&[M, S, A, P, (b":status", b"200")]), UNKNOWN),
        (pseudo(&[M, S, A, P, (b":status", b"\xff")]), UNKNOWN),
        (pseudo(&[M, S, A, P, (b":protocol", b"websocket")]), UNKNOWN),
        (pseudo(&[M, S, A, P, (b":Path", b"/")]), UNKNOWN),
        (pseudo(&[M, S, A, (b"x", b"y"), P]), LATE),
        (with(&[(b"host", b"other.example")]), OTHER_HOST),
        (with(&[(b"host", b"gate.example"), (b"host", b"other.example")]), OTHER_HOST),
        (with(&[(b"host", b"gate.example"), (b"host", b"gate.example")]), "more than one Host"),
        (with(&[(b"connection", b"api_key")]), CONNECTION),
        (with(&[(b"transfer-encoding", b"chunked")]), CONNECTION),
        (with(&[(b"upgrade", b"h2c")]), CONNECTION),
        (with(&[(b"keep-alive", b"5")]), CONNECTION),
        (with(&[(b"proxy-connection", b"close")]), CONNECTION),
        (with(&[(b"te", b"gzip")]), CONNECTION),
        (with(&[(b"content-length", b"0"), (b"content-length", b"3")]), "more than one Content-Length"),
        (with(&[(b"content-length", b"+0")]), "Content-Length is not a number"),
        (with(&[(b"X-Upper", b"y")]), CAPITALS),
        (with(&[(b"x", b"y\r\nz: 1")]), CONTROL),
        (with(&[(b"x", b"y\0z")]), CONTROL),
        (with(&[(b"x", b"\x1b[1m")]), CONTROL),
        (with(&[(b"x y", b"z")]), NAME),
        (with(&[(b"x:", b"z")]), NAME),
        (with(&[(b"x\r\ny", b"z")]), NAME),
        (with(&[(b"\xe9", b"z")]), NAME),
        (with(&[(b"", b"z")]), NAME),
        (with(&[key]), "more than one key field"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_stream_is_refused_and_recorded_and_its_siblings_live() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    client.get(1, "/v1/slow", &[API_KEY]).await.unwrap();
    let (mut stream, mut refused) = (3, Vec::new());
    for (block, reason) in malformed() {
        let shown = block.escape_ascii().to_string();
        match ask(&mut client, stream, block).await {
            Outcome::Answer(answer) if !OF_HTTP_2_ALONE.contains(&reason) => assert_eq!(answer.status, 400, "{shown}"),
            outcome => assert_eq!(outcome, Outcome::Reset(PROTOCOL_ERROR), "{shown}"),
        }
        refused.push(reason);
        stream += 2;
    }
    let refusals = || site.gate.records().into_iter().filter(|record| record["code"] != "ok");
    site.gate.wait_for_record(|_| refusals().count() >= refused.len());
    let mut recorded: Vec<_> = refusals()
        .map(|record| (text(&record["reason"]), record["status"].as_u64(), record["consumer"].is_string()))
        .collect();
    let mut expected: Vec<_> = refused
        .iter()
        .map(|reason| {
            let status = if OF_HTTP_2_ALONE.contains(reason) { None } else { Some(400) };
            ((*reason).to_owned(), status, *reason != "more than one key field")
        })
        .collect();
    recorded.sort();
    expected.sort();
    assert_eq!(recorded, expected, "one record each, and whose it was");
    client.get(stream, "/v1/after", &[API_KEY]).await.unwrap();
    assert_eq!(client.outcome(stream).await.status(), Some(200), "the connection");
    assert_eq!(client.outcome(1).await.status(), Some(200), "the sibling");
    let targets: Vec<_> = site.witness.requests().iter().map(|request| request.target().to_owned()).collect();
    assert!(targets.iter().all(|target| target == "/v1/slow" || target == "/v1/after"), "{targets:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_head_in_pieces_is_refused_as_one() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    let mut stream = 1;
    for extra in [(&b"X-Upper"[..], &b"y"[..]), (b"x", b"a\nb")] {
        let block = [request("POST", "/v1/never", &[API_KEY]), literal(&[extra])].concat();
        for at in [1, block.len() / 2, block.len() - 1, block.len()] {
            let (first, second) = block.split_at(at);
            client.send(Frame::new(HEADERS, 0, stream, first)).await.unwrap();
            client.send(Frame::new(CONTINUATION, 0, stream, [])).await.unwrap();
            client.send(Frame::new(CONTINUATION, END_HEADERS, stream, second)).await.unwrap();
            client.data(stream, b"abc", true).await.unwrap();
            match client.outcome(stream).await {
                Outcome::Answer(answer) => assert_eq!(answer.status, 400, "{extra:?} cut at {at}"),
                outcome => assert_eq!(outcome, Outcome::Reset(PROTOCOL_ERROR), "{extra:?} cut at {at}"),
            }
            stream += 2;
        }
    }
    // A good head in the same pieces is a request.
    let block = request("GET", "/v1/whole", &[API_KEY]);
    client.send(Frame::new(HEADERS, END_STREAM, stream, &block[..20])).await.unwrap();
    client.send(Frame::new(CONTINUATION, END_HEADERS, stream, &block[20..])).await.unwrap();
    assert_eq!(client.outcome(stream).await.status(), Some(200));
    assert_eq!(site.witness.requests().len(), 1);
}

/// The body that still comes of a stream that was reset or refused holds up nobody: its window is given back.
#[tokio::test(flavor = "multi_thread")]
async fn the_body_of_a_malformed_request_costs_its_siblings_nothing() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    let body = vec![b'x'; 1 << 20];
    let mut stream = 1;
    for extra in [(&b"X-Upper"[..], &b"y"[..]), (b"x", b"a\nb")].into_iter().cycle().take(8) {
        let block = [request("POST", "/v1/never", &[API_KEY]), literal(&[extra])].concat();
        client.send(Frame::new(HEADERS, END_HEADERS, stream, block)).await.unwrap();
        client.body(stream, &body).await.unwrap();
        assert!(matches!(client.outcome(stream).await, Outcome::Answer(_) | Outcome::Reset(PROTOCOL_ERROR)));
        stream += 2;
    }
    client.post(stream, "/v1/devis", &[API_KEY]).await.unwrap();
    client.body(stream, &body).await.unwrap();
    assert_eq!(client.outcome(stream).await.status(), Some(200));
    assert_eq!(site.witness.requests().last().unwrap().body, body);
}

/// What the compression cannot say ends the connection (RFC 9113 section 4.3): nobody knows any more what a byte means.
#[tokio::test(flavor = "multi_thread")]
async fn broken_compression_ends_the_connection() {
    let site = Site::start(by_path(), |config| config).await;
    for block in [
        &b"\xff\xff\x01"[..],
        b"\xbe",
        b"\x80",
        b"\x82\x20",
        b"\x3f\xe2\x1f",
        b"\x00\x05ab",
        b"\x00\x84\xff\xff\xff\xff\x00",
    ] {
        let mut client = site.connect().await;
        let outcome = ask(&mut client, 1, block.to_vec()).await;
        assert_eq!(outcome, Outcome::GoAway(COMPRESSION_ERROR), "{}", block.escape_ascii());
    }
    site.gate.wait_for_record(|record| record["reason"] == "HTTP/2 connection error");
    assert!(site.witness.requests().is_empty());
    site.serves().await;
}

/// Every byte that HTTP/1.1 takes in a query, HTTP/2 takes as well, and 8sens gets it unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_goes_on_as_it_came() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    let mut stream = 1;
    for byte in (0x21..=0xff_u8).filter(|byte| !matches!(byte, b'#' | 0x7f)) {
        let target = [&b"/v1/a?b="[..], &[byte], b"%zz"].concat();
        let outcome = ask(&mut client, stream, get(&target)).await;
        assert_eq!(outcome.status(), Some(200), "{byte:#x}: {outcome:?}");
        let line = [b"GET ", &target[..], b" HTTP/1.1\r\n"].concat();
        let raw = site.witness.raw_bytes();
        let came = raw.values().any(|bytes| bytes.windows(line.len()).any(|window| window == line));
        assert!(came, "{byte:#x}");
        stream += 2;
    }
    let json = r#"/v1/articles?filter={"ref":"A1|B2","label":"É","q":["<>^\`"]}"#;
    assert_eq!(ask(&mut client, stream, get(json.as_bytes())).await.status(), Some(200));
    assert_eq!(site.witness.requests().last().unwrap().target(), json);
    // A key in there is found all the same.
    let outcome = ask(&mut client, stream + 2, get(b"/v1/a?\"&api_key=x\xe9")).await;
    assert_eq!(outcome.status(), Some(400), "{outcome:?}");
}

/// Names from the table, the Huffman code, and a table that the caller makes smaller.
#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_a_caller_is_followed() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    // A malformed head, with its path behind the key, fills the table all the same: 63 is the authority, 62 the key.
    let key = [&b"\x40\x07api_key"[..], &[u8::try_from(API_KEY.1.len()).unwrap()], API_KEY.1.as_bytes()].concat();
    let late = [b"\x82\x87\x41\x0cgate.example", &key[..], b"\x04\x05/v1/a"].concat();
    assert_eq!(ask(&mut client, 1, late).await, Outcome::Reset(PROTOCOL_ERROR));
    let named = b"\x82\x87\xbf\x04\x05/v1/b\xbe".to_vec();
    assert_eq!(ask(&mut client, 3, named).await.status(), Some(200));
    // The path in the Huffman code.
    let coded = b"\x82\x87\xbf\x04\x84\x63\xb8\x58\x27\xbe".to_vec();
    assert_eq!(ask(&mut client, 5, coded).await.status(), Some(200));
    // An empty table, and the key written out in it again.
    let emptied = [&[0x20, 0x3f, 0xe1, 0x1f][..], &request("GET", "/v1/d", &[API_KEY])].concat();
    assert_eq!(ask(&mut client, 7, emptied).await.status(), Some(200));
    let gone = ask(&mut client, 9, vec![0x82, 0x87, 0xbf]).await;
    assert_eq!(gone, Outcome::GoAway(COMPRESSION_ERROR));
    let targets: Vec<_> = site.witness.requests().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(targets, ["/v1/b", "/v1/c", "/v1/d"]);
}

/// Lengths that do not add up are for the library to find: they may show only when the body ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_length_without_a_body_is_a_fault_of_its_stream() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    let outcome = ask(&mut client, 1, with(&[(b"content-length", b"3")])).await;
    assert_eq!(outcome, Outcome::Reset(PROTOCOL_ERROR));
    assert_eq!(ask(&mut client, 3, with(&[(b"content-length", b"0")])).await.status(), Some(200));
}
