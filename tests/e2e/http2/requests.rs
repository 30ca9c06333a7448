//! What a request means does not depend on the protocol that brought it.

use super::{API_KEY, Site, by_path};
use crate::gate::{DEADLINE, UPSTREAM_KEY};
use crate::support::http::RawClient;
use crate::support::http2::{
    DATA, END_HEADERS, END_STREAM, Frame, FrameClient, HEADERS, NO_ERROR, Outcome, RST_STREAM, request,
};
use crate::support::tls::{connector, shake};
use crate::support::witness::{Action, Behaviour};
use crate::tls::wait_for_metric;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_forwarded_and_refused_as_ever() {
    let site = Site::start(by_path(), |config| config.with("session", "cookies = \"pass\"")).await;
    let mut client = site.connect().await;
    let fields = [API_KEY, ("cookie", "a=1"), ("te", "trailers"), ("cookie", "b=2"), ("access_token", "tok")];
    client.get(1, "/v1/articles?page=2", &fields).await.unwrap();
    let Outcome::Answer(answer) = client.outcome(1).await else { panic!() };
    assert_eq!((answer.status, &*answer.body), (200, &b"{\"witness\":true}"[..]));
    assert!(answer.header("connection").is_none() && answer.header("x-request-id").is_some());
    let seen = &site.witness.requests()[0];
    assert_eq!(seen.head.lines().next(), Some("GET /v1/articles?page=2 HTTP/1.1"));
    assert_eq!(seen.values("cookie"), ["a=1; b=2"], "RFC 9113 section 8.2.3");
    for (name, values) in
        [("api_key", &[UPSTREAM_KEY][..]), ("x-forwarded-proto", &["https"]), ("te", &[]), ("access_token", &["tok"])]
    {
        assert_eq!(seen.values(name), values, "{name}");
    }

    client.get(3, "/v1/articles", &[]).await.unwrap();
    let Outcome::Answer(answer) = client.outcome(3).await else { panic!() };
    assert_eq!((answer.status, answer.code().as_deref()), (401, Some("missing_key")));
    assert_eq!(answer.header("www-authenticate"), Some("ApiKey realm=\"sensgate\""));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));

    let head = Frame::new(HEADERS, END_HEADERS | END_STREAM, 5, request("HEAD", "/v1/a", &[API_KEY]));
    client.send(head).await.unwrap();
    let Outcome::Answer(answer) = client.outcome(5).await else { panic!() };
    assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (200, Some("16"), 0));

    let connect = Frame::new(
        HEADERS,
        END_HEADERS | END_STREAM,
        7,
        crate::support::http2::literal(&[(b":method", b"CONNECT"), (b":authority", b"127.0.0.9:81")]),
    );
    client.send(connect).await.unwrap();
    let Outcome::Answer(answer) = client.outcome(7).await else { panic!() };
    assert_eq!((answer.status, answer.code().as_deref()), (405, Some("method_not_allowed")));
    assert_eq!(site.witness.requests().len(), 2);
    let record = site.gate.wait_for_record(|record| record["code"] == "missing_key");
    assert_eq!((&record["http"], &record["path"]), (&"2".into(), &"/v1/articles".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_known_and_of_unknown_length_arrive_whole() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    let length = [API_KEY, ("content-length", "6")];
    client.post(1, "/v1/devis", &length).await.unwrap();
    client.data(1, b"abc", false).await.unwrap();
    client.data(1, b"def", true).await.unwrap();
    assert_eq!(client.outcome(1).await.status(), Some(200));
    // A last frame without bytes must not be a second end of the body (cloudflare/pingora#935).
    client.post(3, "/v1/devis", &[API_KEY]).await.unwrap();
    for piece in [&b""[..], b"abc", b"", b"def"] {
        client.data(3, piece, false).await.unwrap();
    }
    client.data(3, b"", true).await.unwrap();
    assert_eq!(client.outcome(3).await.status(), Some(200));
    client.get(5, "/v1/after", &[API_KEY]).await.unwrap();
    assert_eq!(client.outcome(5).await.status(), Some(200));
    // Trailers end a body as well, and go no further.
    client.post(7, "/v1/devis", &[API_KEY]).await.unwrap();
    client.data(7, b"abcdef", false).await.unwrap();
    let trailer = crate::support::http2::literal(&[(b"api_key", b"in the trailer")]);
    client.send(Frame::new(HEADERS, END_HEADERS | END_STREAM, 7, trailer)).await.unwrap();
    assert_eq!(client.outcome(7).await.status(), Some(200));
    let seen = site.witness.requests();
    let bodies: Vec<_> = seen.iter().map(|request| request.body.as_slice()).collect();
    assert_eq!(bodies, [&b"abcdef"[..], b"abcdef", b"", b"abcdef"]);
    for bytes in site.witness.raw_bytes().values() {
        let ends = bytes.windows(5).filter(|window| window == b"0\r\n\r\n").count();
        assert!(ends <= 1 && !bytes.windows(7).any(|window| window == b"trailer"), "{}", bytes.escape_ascii());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_of_one_connection_get_their_own_answers() {
    let echo = Behaviour::by(|request| Action::AnswerWith {
        status: 200,
        headers: vec![],
        body: request.target().as_bytes().to_vec(),
    });
    let site = Site::start(echo, |config| config).await;
    let mut client = site.connect().await;
    // Good keys and none in turn: nothing of one request may stick to the connection.
    for round in 0..10 {
        let streams: Vec<u32> = (0..40).map(|n| round * 80 + n * 2 + 1).collect();
        for stream in &streams {
            let fields: &[_] = if stream % 4 == 1 { &[API_KEY] } else { &[] };
            client.get(*stream, &format!("/v1/{stream}"), fields).await.unwrap();
        }
        for stream in streams {
            let Outcome::Answer(answer) = client.outcome(stream).await else { panic!() };
            if stream % 4 == 1 {
                assert_eq!((answer.status, answer.body), (200, format!("/v1/{stream}").into_bytes()));
            } else {
                assert_eq!((answer.status, answer.code().as_deref()), (401, Some("missing_key")));
            }
        }
    }
    assert_eq!(site.witness.requests().len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_answer_comes_whole_and_beside_it_a_small_one() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    client.get(1, "/v1/download", &[API_KEY]).await.unwrap();
    client.get(3, "/v1/small", &[API_KEY]).await.unwrap();
    assert_eq!(client.outcome(3).await.status(), Some(200));
    let Outcome::Answer(answer) = client.outcome(1).await else { panic!() };
    assert!(answer.body.len() == 3 << 20 && answer.body.iter().all(|byte| *byte == b'w'));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_is_met_before_the_body() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    let fields = [API_KEY, ("content-length", "3"), ("expect", "100-continue")];
    client.post(1, "/v1/devis", &fields).await.unwrap();
    loop {
        let frame = client.next().await.unwrap();
        if frame.kind == HEADERS {
            assert_eq!(frame.flags & END_STREAM, 0);
            break;
        }
    }
    assert!(site.witness.requests().is_empty());
    client.data(1, b"abc", true).await.unwrap();
    assert_eq!(client.outcome(1).await.status(), Some(200));
    assert!(site.witness.requests()[0].values("expect").is_empty());
    // Without a good key there is no leave to go on.
    client.post(3, "/v1/devis", &fields[1..]).await.unwrap();
    assert_eq!(client.outcome(3).await.status(), Some(401));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_given_up_ends_a_read_and_not_a_write() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    client.get(1, "/v1/hang", &[API_KEY]).await.unwrap();
    site.witness.wait_for(1, DEADLINE).await;
    client.send(Frame::new(RST_STREAM, 0, 1, 8u32.to_be_bytes())).await.unwrap();
    let record = site.gate.wait_for_record(|record| record["path"] == "/v1/hang");
    assert_eq!(record["code"], "caller_left");
    client.post(3, "/v1/slow", &[API_KEY]).await.unwrap();
    client.data(3, b"order", true).await.unwrap();
    site.witness.wait_for(2, DEADLINE).await;
    client.send(Frame::new(RST_STREAM, 0, 3, 8u32.to_be_bytes())).await.unwrap();
    let record = site.gate.wait_for_record(|record| record["path"] == "/v1/slow");
    assert_eq!((&record["code"], &record["status"]), (&"caller_left".into(), &200.into()), "8sens has answered");
    // Both places are free again.
    wait_for_open_connections(&site, 1.0).await;
    client.get(5, "/v1/a", &[API_KEY]).await.unwrap();
    assert_eq!(client.outcome(5).await.status(), Some(200));
}

async fn wait_for_open_connections(site: &Site, count: f64) {
    let end = std::time::Instant::now() + DEADLINE;
    while site.gate.metric("sensgate_requests_in_flight").await > 0.0
        || (site.gate.metric("sensgate_connections_open").await - count).abs() > 0.1
    {
        assert!(std::time::Instant::now() < end, "{}", site.gate.metrics().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_take_places_like_connections() {
    let site = Site::start(by_path(), |config| config.with("limits", "connections_per_address = 3")).await;
    let mut client = site.connect().await;
    for stream in [1, 3] {
        client.get(stream, "/v1/hang", &[API_KEY]).await.unwrap();
    }
    site.witness.wait_for(2, DEADLINE).await;
    client.get(5, "/v1/a", &[API_KEY]).await.unwrap();
    let Outcome::Answer(answer) = client.outcome(5).await else { panic!() };
    assert_eq!((answer.status, answer.code().as_deref()), (503, Some("too_many_connections")));
    assert_eq!(answer.header("retry-after"), Some("1"));
    client.send(Frame::new(RST_STREAM, 0, 1, 8u32.to_be_bytes())).await.unwrap();
    site.gate.wait_for_record(|record| record["path"] == "/v1/hang");
    let mut stream = 7;
    loop {
        client.get(stream, "/v1/a", &[API_KEY]).await.unwrap();
        if client.outcome(stream).await.status() == Some(200) {
            break;
        }
        stream += 2;
        assert!(stream < 2000, "the place is not given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_in_order_when_it_has_served_enough_or_the_gate_stops() {
    let mut site = Site::start(by_path(), |config| config.with("limits", "requests_per_connection = 3")).await;
    let mut client = site.connect().await;
    for stream in [1, 3, 5] {
        client.get(stream, "/v1/slow", &[API_KEY]).await.unwrap();
    }
    for stream in [1, 3, 5] {
        assert_eq!(client.outcome(stream).await.status(), Some(200));
    }
    assert_eq!(client.end().await, Some(NO_ERROR));

    let mut client = site.connect().await;
    client.get(1, "/v1/slow", &[API_KEY]).await.unwrap();
    site.witness.wait_for(4, DEADLINE).await;
    site.gate.signal("TERM");
    // What is sent before the caller can know is served, or said not to have been.
    for stream in [3, 5, 7, 9] {
        client.get(stream, "/v1/slow", &[API_KEY]).await.unwrap();
    }
    assert_eq!(client.outcome(1).await.status(), Some(200));
    for stream in [3, 5, 7, 9] {
        let outcome = client.outcome(stream).await;
        assert!(outcome.status() == Some(200) || outcome == Outcome::GoAway(NO_ERROR), "{outcome:?}");
    }
    assert_eq!(client.end().await, Some(NO_ERROR));
    assert!(site.gate.wait_for_exit().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_resets_its_stream_alone() {
    let broken = Behaviour::by(|request| match request.target() {
        "/v1/broken" => Action::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec()),
        _ => Action::Answer,
    });
    let site = Site::start(broken, |config| config).await;
    let mut client = site.connect().await;
    client.get(1, "/v1/broken", &[API_KEY]).await.unwrap();
    assert!(matches!(client.outcome(1).await, Outcome::Reset(_)));
    client.get(3, "/v1/a", &[API_KEY]).await.unwrap();
    assert_eq!(client.outcome(3).await.status(), Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_offered_unless_it_is_switched_off() {
    let site = Site::start(by_path(), |config| config.with("listener", "http2 = false")).await;
    let stream = shake(site.gate.address(), &connector(&[&site.made], rustls::ALL_VERSIONS), "gate.example").await;
    let stream = stream.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    // The preface without the handshake's agreement is not HTTP/1.1.
    let mut client = RawClient::over(stream);
    client.send(crate::support::http2::PREFACE).await.unwrap();
    assert_eq!(client.read_response().await.unwrap().status, 505);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_slow_bodies_have_their_deadlines() {
    let site = Site::start(by_path(), |config| {
        config
            .with("limits", "head_timeout = \"300ms\"")
            .with("limits", "keepalive_timeout = \"400ms\"")
            .with("limits", "body_timeout = \"300ms\"")
            .with("limits", "write_timeout = \"300ms\"")
    })
    .await;
    let mut silent = FrameClient::silent(site.gate.address(), &site.connector()).await.unwrap();
    while silent.next().await.is_some() {}
    wait_for_metric(&site.gate, "sensgate_connections_total{outcome=\"silent\"}", 1.0).await;

    let mut client = site.connect().await;
    client.post(1, "/v1/devis", &[API_KEY, ("content-length", "10")]).await.unwrap();
    let Outcome::Answer(answer) = client.outcome(1).await else { panic!() };
    assert_eq!((answer.status, answer.code().as_deref()), (408, Some("request_timeout")));
    // A window that stays shut: the stream is given up, and its sibling is served.
    let mut shut = site.connect_with(&[(4, 0)]).await;
    shut.get(1, "/v1/download", &[API_KEY]).await.unwrap();
    shut.send(Frame::new(HEADERS, END_HEADERS | END_STREAM, 3, request("HEAD", "/v1/a", &[API_KEY]))).await.unwrap();
    assert_eq!(shut.outcome(3).await.status(), Some(200));
    assert!(matches!(shut.outcome(1).await, Outcome::Reset(_)));
    assert!(shut.seen.iter().all(|frame| frame.kind != DATA));
    // Nothing asked: the connection ends, whatever else is sent.
    let mut idle = site.connect().await;
    idle.get(1, "/v1/a", &[API_KEY]).await.unwrap();
    assert_eq!(idle.outcome(1).await.status(), Some(200));
    let mut pings = tokio::time::interval(Duration::from_millis(50));
    let ended = loop {
        tokio::select! {
            frame = idle.next() => if frame.is_none() { break true },
            _ = pings.tick() => {}
        }
        if idle.send(Frame::new(crate::support::http2::PING, 0, 0, [0; 8])).await.is_err() {
            break true;
        }
    };
    assert!(ended);
    wait_for_metric(&site.gate, "sensgate_connections_total{outcome=\"idle\"}", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hsts_goes_with_every_answer() {
    let site = Site::start(by_path(), |config| config.with("listener", "hsts = \"1d\"")).await;
    let mut client = site.connect().await;
    client.get(1, "/v1/articles", &[API_KEY]).await.unwrap();
    client.get(3, "/v1/articles", &[]).await.unwrap();
    // Refused before it is a request.
    let head = crate::support::http2::literal(&[(b":method", b"CONNECT"), (b":authority", b"127.0.0.9:81")]);
    client.send(Frame::new(HEADERS, END_HEADERS | END_STREAM, 5, head)).await.unwrap();
    for (stream, status) in [(1, 200), (3, 401), (5, 405)] {
        let Outcome::Answer(answer) = client.outcome(stream).await else { panic!("{stream}") };
        assert_eq!((answer.status, answer.header("strict-transport-security")), (status, Some("max-age=86400")));
    }
}
