//! What one connection may do, and when it ends.

use crate::gate::{Config, DEADLINE, Gate, KEY, get, post};
use crate::support::http::RawClient;
use crate::support::witness::{Action, Behaviour, Witness};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let witness = Witness::start(Behaviour::by(|request| Action::AnswerWith {
        status: 200,
        headers: vec![],
        body: request.target().as_bytes().to_vec(),
    }))
    .await;
    let gate = Gate::start(&Config::new(witness.addr()));
    let mut client = gate.connect().await;
    let pipeline = [get("/1"), post("/2", "body"), get("/3").replace(KEY, "nobody"), get("/4")].concat();
    client.send(pipeline).await.unwrap();
    assert_eq!(client.read_response().await.unwrap().text(), "/1");
    assert_eq!(client.read_response().await.unwrap().text(), "/2");
    assert_eq!(client.read_response().await.unwrap().status, 401);
    assert_eq!(client.read_response().await.unwrap().text(), "/4");
    assert_eq!(witness.requests()[1].body, b"body");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_while_another_is_answered_waits_its_turn() {
    let witness = Witness::start(Behaviour::by(|request| match request.target() {
        "/slow" => Action::After(Duration::from_millis(300), Box::new(Action::Answer)),
        _ => Action::Answer,
    }))
    .await;
    let gate = Gate::start(&Config::new(witness.addr()));
    for slow in [get("/slow"), post("/slow", "order")] {
        let mut client = gate.connect().await;
        client.send(slow).await.unwrap();
        witness.wait_until(DEADLINE, |seen| seen.last().is_some_and(|last| last.target() == "/slow")).await;
        client.send(get("/next")).await.unwrap();
        assert_eq!(client.read_response().await.unwrap().status, 200);
        assert_eq!(client.read_response().await.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_keeps_the_connection_when_the_body_is_small() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()));
    let mut client = gate.connect().await;
    let refused = client.exchange(post("/v1/devis", &"x".repeat(60_000)).replace(KEY, "nobody")).await.unwrap();
    assert_eq!((refused.status, refused.header("connection")), (401, Some("keep-alive")));
    assert_eq!(client.exchange(get("/v1/articles")).await.unwrap().status, 200);
    let big = client.exchange(post("/v1/devis", &"x".repeat(70_000)).replace(KEY, "nobody")).await.unwrap();
    assert_eq!((big.status, big.header("connection")), (401, Some("close")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_is_never_taken_for_a_request() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()));
    let smuggled = get("/canary");
    for framing in [
        format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{smuggled}"),
    ] {
        let mut client = gate.connect().await;
        client.send(format!("POST /v1/devis HTTP/1.1\r\nHost: a\r\napi_key: nobody\r\n{framing}")).await.unwrap();
        assert_eq!(client.read_response().await.unwrap().status, 401);
        client.finish_sending().await.unwrap();
        assert_eq!(client.read_to_end().await.unwrap_or_default(), b"");
    }
    assert!(witness.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_end_when_they_should() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr())
        .with("limits", "head_timeout = \"300ms\"")
        .with("limits", "keepalive_timeout = \"300ms\"")
        .with("limits", "requests_per_connection = 2");
    let gate = Gate::start(&config);
    let mut silent = gate.connect().await;
    assert_eq!(silent.read_to_end().await.unwrap(), b"");
    let mut idle = gate.connect().await;
    assert_eq!(idle.exchange(get("/")).await.unwrap().header("connection"), Some("keep-alive"));
    assert_eq!(idle.read_to_end().await.unwrap(), b"");
    let mut busy = gate.connect().await;
    assert_eq!(busy.exchange(get("/")).await.unwrap().header("connection"), Some("keep-alive"));
    assert_eq!(busy.exchange(get("/")).await.unwrap().header("connection"), Some("close"));
    assert_eq!(busy.read_to_end().await.unwrap(), b"");
    let mut leaving = gate.connect().await;
    let request = get("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    assert_eq!(leaving.exchange(request).await.unwrap().header("connection"), Some("close"));
    assert_eq!(leaving.read_to_end().await.unwrap(), b"");
    // A connection that the gate has closed is over when its caller has closed too.
    drop((silent, idle, busy, leaving));
    for outcome in ["silent", "idle", "closed"] {
        let series = format!("sensgate_connections_total{{outcome=\"{outcome}\"}}");
        let end = std::time::Instant::now() + DEADLINE;
        while gate.metric(&series).await < 1.0 {
            assert!(std::time::Instant::now() < end, "{}", gate.metrics().await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_given_up() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("limits", "body_timeout = \"300ms\""));
    let mut client = gate.connect().await;
    let whole = post("/v1/devis", "0123456789");
    client.send(&whole[..whole.len() - 5]).await.unwrap();
    let response = client.read_response().await.unwrap();
    assert_eq!((response.status, response.json()["code"].as_str()), (408, Some("request_timeout")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_given_back() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("limits", "connections = 1"));
    for _ in 0..3 {
        let mut first = gate.connect().await;
        // The place of the connection before this one is given back when the gate has seen its end.
        let end = std::time::Instant::now() + DEADLINE;
        while first.exchange(get("/")).await.map_or(0, |response| response.status) != 200 {
            assert!(std::time::Instant::now() < end);
            first = gate.connect().await;
        }
        let refused = gate.connect().await.read_response().await.unwrap();
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn good_and_bad_keys_alternate_on_one_connection() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(
        &Config::new(witness.addr())
            .with("limits", "requests_per_connection = 100000")
            .with("limits", "failed_credentials = \"10000/s\"")
            .with("limits", "address_budget = \"10000/s\""),
    );
    let mut client: RawClient = gate.connect().await;
    for i in 0..500 {
        let (key, status) = if i % 2 == 0 { (KEY, 200) } else { ("nobody", 401) };
        assert_eq!(client.exchange(get("/").replace(KEY, key)).await.unwrap().status, status);
    }
    assert_eq!(witness.requests().len(), 250);
}
