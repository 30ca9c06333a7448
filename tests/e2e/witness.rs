//! The witness and the raw client, tried on each other.

use crate::support::http::RawClient;
use crate::support::witness::{Action, Behaviour, Witness};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);
const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: erp\r\nApi_Key: k\r\n\r\n";
const POST: &str = "POST /orders HTTP/1.1\r\nHost: erp\r\nContent-Length: 5\r\n\r\nhello";

async fn pair(behaviour: Behaviour) -> (Witness, RawClient) {
    let witness = Witness::start(behaviour).await;
    let client = RawClient::connect(witness.addr()).await.unwrap();
    (witness, client)
}

#[tokio::test]
async fn every_byte_and_every_request_is_seen() {
    let (witness, mut client) = pair(Behaviour::answer()).await;
    let chunked =
        "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n";
    for request in [GET, POST, chunked, "HEAD /h HTTP/1.1\r\n\r\n"] {
        let response = client.exchange(request).await.unwrap();
        assert_eq!(response.status, 200, "{request}");
        assert_eq!(response.header("content-length"), Some("16"));
        assert_eq!(response.body.is_empty(), request.starts_with("HEAD"));
    }
    let requests = witness.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|request| (request.connection, request.nth_on_connection, request.method(), request.body.as_slice()))
        .collect();
    assert_eq!(seen, [(0, 0, "GET", &b""[..]), (0, 1, "POST", b"hello"), (0, 2, "PUT", b"abcde"), (0, 3, "HEAD", b"")]);
    assert_eq!((requests[0].target(), requests[0].values("api_key")), ("/a?b=c", vec!["k".to_owned()]));
    assert!(requests[0].head.contains("Api_Key: k"), "names as sent");
    assert!(requests.iter().all(|request| request.answered));
    let expected = format!("{GET}{POST}{chunked}HEAD /h HTTP/1.1\r\n\r\n");
    assert_eq!(witness.raw_bytes()[&0], expected.as_bytes());
}

#[tokio::test]
async fn bytes_that_are_no_request_are_seen_too() {
    let (witness, mut client) = pair(Behaviour::answer()).await;
    client.send("POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
    client.finish_sending().await.unwrap();
    assert!(client.read_to_end().await.unwrap().is_empty());
    assert!(witness.requests().is_empty());
    assert!(witness.raw_bytes()[&0].ends_with(b"half"));
}

#[tokio::test]
async fn a_post_is_read_and_met_by_a_close() {
    let (witness, mut client) = pair(Behaviour::close_after_post()).await;
    assert_eq!(client.exchange(GET).await.unwrap().status, 200);
    assert_eq!(client.exchange(POST).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    let requests = witness.requests();
    assert_eq!((requests[1].body.as_slice(), requests[1].answered), (&b"hello"[..], false));
}

#[tokio::test]
async fn flaky_keep_alive_breaks_only_reused_connections_before_an_answer() {
    let witness = Witness::start(Behaviour::flaky_keep_alive(7, 30)).await;
    let (mut answers, mut unanswered) = (0, 0);
    let mut client = RawClient::connect(witness.addr()).await.unwrap();
    let mut fresh = true;
    for _ in 0..200 {
        if let Ok(response) = client.exchange(GET).await {
            assert_eq!(response.status, 200);
            answers += 1;
            fresh = false;
        } else {
            assert!(!fresh, "a fresh connection is always answered");
            unanswered += 1;
            client = RawClient::connect(witness.addr()).await.unwrap();
            fresh = true;
        }
    }
    assert!(answers > 50 && unanswered > 20, "{answers} {unanswered}");
    let requests = witness.requests();
    assert!(requests.iter().all(|request| request.answered || request.nth_on_connection > 0));
    assert!(requests.iter().any(|request| !request.answered), "some were read and met by a close");
    assert!(witness.connections() > 20);
}

#[tokio::test]
async fn hanging_and_waiting() {
    let (witness, client) = pair(Behaviour::always(Action::Hang)).await;
    let mut client = client.with_deadline(Duration::from_millis(200));
    assert_eq!(client.exchange(GET).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(!witness.wait_for(1, SOON).await[0].answered);

    let delay = Duration::from_millis(150);
    let (_witness, mut client) = pair(Behaviour::always(Action::After(delay, Box::new(Action::Answer)))).await;
    let started = Instant::now();
    assert_eq!(client.exchange(GET).await.unwrap().status, 200);
    assert!(started.elapsed() >= delay);
}

#[tokio::test]
async fn answers_as_scripted() {
    let (witness, mut client) = pair(Behaviour::by(|request| match request.target() {
        "/bytes" => Action::BytesThenClose(b"HTTP/1.1 200 OK\r\n\r\nuntil the close".to_vec()),
        "/chunked" => {
            Action::Bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n".to_vec())
        }
        "/short" => Action::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_vec()),
        "/304" => Action::AnswerWith { status: 304, headers: vec![("ETag".into(), "x".into())], body: vec![] },
        _ => Action::Download(3_000_000),
    }))
    .await;
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\n\r\n");
    assert_eq!(client.exchange(get("/chunked")).await.unwrap().text(), "hi");
    let not_modified = client.exchange(get("/304")).await.unwrap();
    assert_eq!((not_modified.status, not_modified.header("etag")), (304, Some("x")));
    assert_eq!(client.exchange(get("/download")).await.unwrap().body.len(), 3_000_000);
    assert_eq!(client.exchange(get("/bytes")).await.unwrap().text(), "until the close");

    let mut client = RawClient::connect(witness.addr()).await.unwrap();
    assert_eq!(client.exchange(get("/short")).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    let mut client = RawClient::connect(witness.addr()).await.unwrap();
    client.send("nonsense\r\n\r\n").await.unwrap();
    assert_eq!(client.read_response().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_garbled_answer_is_an_error() {
    let (_witness, mut client) = pair(Behaviour::always(Action::Bytes(b"HTTP/9 oops\r\n\r\n".to_vec()))).await;
    assert_eq!(client.exchange(GET).await.unwrap_err().kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn reading_slowly_takes_its_time() {
    let pause = Duration::from_millis(5);
    let (witness, mut client) = pair(Behaviour::answer().reading_slowly(10, pause)).await;
    let started = Instant::now();
    client.exchange(POST).await.unwrap();
    let pauses = u32::try_from(POST.len() / 10).unwrap();
    assert!(started.elapsed() >= pause * pauses, "{:?}", started.elapsed());
    assert_eq!(witness.raw_bytes()[&0], POST.as_bytes());
}
