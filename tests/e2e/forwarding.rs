//! What 8sens receives, what the caller gets back, and what happens when either of them misbehaves.

use crate::gate::{Config, DEADLINE, Gate, KEY, UPSTREAM_KEY, get, post, wait_until};
use crate::support::http::RawClient;
use crate::support::port;
use crate::support::witness::{Action, Behaviour, Witness};
use std::collections::HashMap;
use std::time::Duration;

async fn gate_before(behaviour: Behaviour) -> (Gate, Witness) {
    let witness = Witness::start(behaviour).await;
    let gate = Gate::start(&Config::new(witness.addr()));
    (gate, witness)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_key_goes_to_8sens_once_and_the_callers_never() {
    let (gate, witness) = gate_before(Behaviour::answer()).await;
    for _ in 0..3 {
        assert_eq!(gate.exchange(get("/v1/articles")).await.status, 200);
    }
    for seen in witness.requests() {
        assert_eq!(seen.values("api_key"), [UPSTREAM_KEY]);
    }
    for bytes in witness.raw_bytes().values() {
        assert!(!String::from_utf8_lossy(bytes).contains(KEY));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_edited_on_the_way_there() {
    let (gate, witness) = gate_before(Behaviour::answer()).await;
    let request = format!(
        "GET /v1/articles?page=2 HTTP/1.1\r\nHost: shop.example\r\nAPI_Key: {KEY}\r\naccess_token: tok\r\nCookie: \
         a=b\r\n\
         Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: websocket\r\nProxy-Authorization: x\r\nX-Forwarded-For: 10.9.8.7\r\n\
         X-Real-IP: 10.9.8.7\r\nX-Original-URL: /admin\r\nX-HTTP-Method-Override: DELETE\r\nForwarded: for=10.9.8.7\r\n\
         X-Forwarded-Proto: https\r\nX-Request-ID: shop-77\r\ntraceparent: 00-0af7-b7ad-01\r\nVia: 1.1 cdn\r\nX-Own: \
         kept\r\n\r\n"
    );
    let response = gate.exchange(request).await;
    let seen = &witness.wait_for(1, DEADLINE).await[0];
    assert_eq!(seen.target(), "/v1/articles?page=2");
    let expected: [(&str, &[&str]); 18] = [
        ("host", &[&witness.addr().to_string()]),
        ("access_token", &["tok"]),
        ("cookie", &[]),
        ("keep-alive", &[]),
        ("te", &[]),
        ("upgrade", &[]),
        ("connection", &[]),
        ("proxy-authorization", &[]),
        ("x-forwarded-for", &["127.0.0.1"]),
        ("x-forwarded-proto", &["http"]),
        ("x-real-ip", &[]),
        ("x-original-url", &[]),
        ("x-http-method-override", &[]),
        ("forwarded", &[]),
        ("x-request-id", &["shop-77"]),
        ("traceparent", &["00-0af7-b7ad-01"]),
        ("via", &["1.1 cdn", "1.1 sensgate"]),
        ("x-own", &["kept"]),
    ];
    for (name, values) in expected {
        assert_eq!(seen.values(name), values, "{name}");
    }
    assert_eq!(response.header("x-request-id"), Some("shop-77"));
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_edited_on_the_way_back() {
    let headers = [
        ("Server", "8sens/12"),
        ("X-Powered-By", "4D"),
        ("Set-Cookie", "s=1"),
        ("Keep-Alive", "timeout=5"),
        ("Connection", "X-Secret"),
        ("X-Secret", "1"),
        ("Upgrade", "h2c"),
        ("X-Page", "3"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let answer = Action::AnswerWith { status: 201, headers, body: b"{}".to_vec() };
    let (gate, _witness) = gate_before(Behaviour::always(answer)).await;
    let response = gate.exchange(post("/v1/devis", "{}")).await;
    assert_eq!((response.status, response.text().as_str()), (201, "{}"));
    for name in ["server", "x-powered-by", "set-cookie", "keep-alive", "x-secret", "upgrade"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_eq!(response.header("x-page"), Some("3"));
    assert_eq!(response.header("connection"), Some("keep-alive"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsafe_request_id_is_replaced() {
    let (gate, witness) = gate_before(Behaviour::answer()).await;
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\napi_key: {KEY}\r\nX-Request-ID: a b<script>\r\n\r\n");
    let id = gate.exchange(request).await.header("x-request-id").unwrap().to_owned();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert_eq!(witness.wait_for(1, DEADLINE).await[0].values("x-request-id"), [id.as_str()]);
    gate.wait_for_record(|record| record["request_id"] == id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_on_only_from_places_that_8sens_reads() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("session", "token_from = [\"header:access_token\"]"));
    gate.exchange(get("/v1/a?x=1&access_token=tok&y=2")).await;
    let key = format!("Host: a\r\napi_key: {KEY}\r\n");
    gate.exchange(format!("GET /v1/b HTTP/1.1\r\n{key}Authorization: Bearer tok\r\n\r\n")).await;
    gate.exchange(format!("GET /v1/c HTTP/1.1\r\n{key}token: tok\r\n\r\n")).await;
    gate.exchange(format!("GET /v1/d HTTP/1.1\r\n{key}Authorization: Basic eHg=\r\naccess_token: tok\r\n\r\n")).await;
    let seen = witness.wait_for(4, DEADLINE).await;
    assert_eq!(seen[0].target(), "/v1/a?x=1&y=2");
    assert_eq!(seen[1].values("authorization"), Vec::<String>::new());
    assert_eq!(seen[2].values("token"), Vec::<String>::new());
    assert_eq!(
        (seen[3].values("authorization"), seen[3].values("access_token")),
        (vec!["Basic eHg=".into()], vec!["tok".into()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_runs_to_its_answer_when_the_caller_half_closes() {
    let (gate, witness) =
        gate_before(Behaviour::always(Action::After(Duration::from_millis(300), Box::new(Action::Answer)))).await;
    let mut client = gate.connect().await;
    client.send(post("/v1/devis", "{\"a\":1}")).await.unwrap();
    client.finish_sending().await.unwrap();
    assert_eq!(client.read_response().await.unwrap().status, 200);
    let seen = witness.wait_for(1, DEADLINE).await;
    assert_eq!((seen.len(), seen[0].body.as_slice(), seen[0].answered), (1, &b"{\"a\":1}"[..], true));
    let record = gate.wait_for_record(|record| record["method"] == "POST");
    assert_eq!((&record["code"], &record["status"]), (&"caller_left".into(), &200.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_runs_to_its_answer_when_the_caller_vanishes() {
    let (gate, witness) =
        gate_before(Behaviour::always(Action::After(Duration::from_millis(300), Box::new(Action::Download(400_000)))))
            .await;
    let stream = tokio::net::TcpStream::connect(gate.address()).await.unwrap();
    stream.set_zero_linger().unwrap();
    let mut client = RawClient::over(stream);
    client.send(post("/v1/devis", "{\"a\":1}")).await.unwrap();
    witness.wait_for(1, DEADLINE).await;
    drop(client);
    let record = gate.wait_for_record(|record| record["method"] == "POST");
    assert_eq!((&record["code"], &record["status"]), (&"caller_left".into(), &200.into()));
    // The whole answer was read: every byte of it is accounted for.
    assert_eq!(record["bytes_out"], 400_000);
    assert_eq!(witness.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_ends_with_its_caller() {
    let (gate, witness) = gate_before(Behaviour::always(Action::Hang)).await;
    let mut client = gate.connect().await;
    client.send(get("/v1/articles")).await.unwrap();
    witness.wait_for(1, DEADLINE).await;
    drop(client);
    let record = gate.wait_for_record(|record| record["method"] == "GET");
    assert_eq!((&record["code"], &record["status"]), (&"caller_left".into(), &serde_json::Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_that_8sens_closes_at_random_cost_no_request() {
    let (gate, witness) = gate_before(Behaviour::flaky_keep_alive(7, 30)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..10 {
        let address = gate.address();
        tasks.spawn(async move {
            let mut client = RawClient::connect(address).await.unwrap();
            for i in 0..100 {
                let response = client.exchange(get(&format!("/v1/articles/{worker}-{i}"))).await.unwrap();
                assert_eq!(response.status, 200, "{}", response.text());
                if i % 10 == 0 {
                    let response = client.exchange(post("/v1/devis", &format!("{worker}-{i}"))).await.unwrap();
                    assert_eq!(response.status, 200, "{}", response.text());
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let mut posts: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut resent = 0;
    for seen in witness.requests() {
        match seen.method() {
            "POST" => *posts.entry(seen.body).or_default() += 1,
            _ => resent += usize::from(!seen.answered),
        }
    }
    assert_eq!(posts.len(), 100);
    assert!(posts.values().all(|times| *times == 1), "{posts:?}");
    assert!(resent > 0, "8sens never closed a reused connection, so nothing was shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_8sens_drops_is_not_sent_again() {
    let (gate, witness) = gate_before(Behaviour::close_after_post()).await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let request = post("/v1/devis", "x").replacen("POST", method, 1);
        let expected = if method == "POST" { (502, "upstream_unreachable") } else { (200, "") };
        let response = gate.exchange(request).await;
        assert_eq!((response.status, response.json()["code"].as_str().unwrap_or_default()), expected, "{method}");
    }
    assert_eq!(witness.requests().iter().filter(|seen| seen.method() == "POST").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_sent_again_only_on_a_reused_connection_and_only_once() {
    // The first request of a connection is answered, every later one is dropped: also a fresh connection's first, once
    // told to.
    let (gate, witness) = gate_before(Behaviour::by(|request| match (request.target(), request.nth_on_connection) {
        ("/first", 0) => Action::Answer,
        _ => Action::Close,
    }))
    .await;
    assert_eq!(gate.exchange(get("/first")).await.status, 200);
    assert_eq!(gate.exchange(get("/second")).await.status, 502);
    let seconds =
        |seen: &[crate::support::witness::SeenRequest]| seen.iter().filter(|s| s.target() == "/second").count();
    assert_eq!(seconds(&witness.requests()), 2);
    assert_eq!(gate.exchange(get("/third")).await.status, 502);
    let thirds = witness.requests().iter().filter(|s| s.target() == "/third").count();
    assert_eq!(thirds, 1, "nothing was pooled, so nothing may be sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_head_is_not_asked_for_again() {
    let (gate, witness) = gate_before(Behaviour::by(|request| match request.nth_on_connection {
        0 => Action::Answer,
        _ => Action::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
    }))
    .await;
    assert_eq!(gate.exchange(get("/first")).await.status, 200);
    assert_eq!(gate.exchange(get("/second")).await.status, 502);
    assert_eq!(witness.requests().iter().filter(|s| s.target() == "/second").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connect_is_tried_once_more_whatever_the_method() {
    let gate = Gate::start(&Config::new(port::closed()));
    for request in [get("/v1/articles"), post("/v1/devis", "x")] {
        let response = gate.exchange(request).await;
        assert_eq!((response.status, response.json()["code"].as_str()), (502, Some("upstream_unreachable")));
    }
    assert_eq!(gate.metric("sensgate_upstream_up").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_visibly_broken() {
    let (gate, _witness) = gate_before(Behaviour::always(Action::BytesThenClose(
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this".to_vec(),
    )))
    .await;
    let mut client = gate.connect().await;
    client.send(get("/v1/articles")).await.unwrap();
    let all = client.read_to_end().await.unwrap_or_default();
    assert!(!all.ends_with(b"0\r\n\r\n") && all.len() < 400, "{}", String::from_utf8_lossy(&all));
    let record = gate.wait_for_record(|record| record["method"] == "GET");
    assert_eq!((&record["code"], &record["status"]), (&"aborted".into(), &200.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_download_is_not_cut_by_any_total_time() {
    const CHUNKS: usize = 8;
    let piece = Duration::from_millis(200);
    // Each piece comes well within read_timeout, all of them together do not.
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = upstream.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let (mut stream, _) = upstream.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                if stream.read(&mut request).await.unwrap_or(0) == 0 {
                    return;
                }
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", CHUNKS * 1000);
                stream.write_all(head.as_bytes()).await.unwrap();
                for _ in 0..CHUNKS {
                    stream.write_all(&[b'x'; 1000]).await.unwrap();
                    tokio::time::sleep(piece).await;
                }
            });
        }
    });
    let gate = Gate::start(&Config::new(address).with("upstream", "read_timeout = \"800ms\""));
    assert_eq!(gate.exchange(get("/v1/export")).await.body.len(), CHUNKS * 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_body_is_streamed_both_ways() {
    let (gate, witness) = gate_before(Behaviour::always(Action::Download(20 << 20))).await;
    let body = "b".repeat(5 << 20);
    let response = gate.exchange(post("/v1/import", &body)).await;
    assert_eq!(response.body.len(), 20 << 20);
    assert_eq!(witness.requests()[0].body.len(), 5 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_is_let_go() {
    let witness = Witness::start(Behaviour::always(Action::Download(64 << 20))).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("limits", "write_timeout = \"500ms\""));
    let mut client = gate.connect().await;
    client.send(get("/v1/export")).await.unwrap();
    let record = gate.wait_for_record(|record| record["method"] == "GET");
    assert_eq!(record["code"], "caller_left");
    assert_eq!(gate.metric("sensgate_requests_in_flight").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_bodies_are_forwarded_bounded_and_checked() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("limits", "body_bytes = \"1KiB\""));
    let head = format!("POST /v1/devis HTTP/1.1\r\nHost: a\r\napi_key: {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut client = gate.connect().await;
    let response =
        client.exchange(format!("{head}5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n")).await.unwrap();
    assert_eq!((response.status, response.header("connection")), (200, Some("keep-alive")));
    assert_eq!(client.exchange(get("/v1/articles")).await.unwrap().status, 200);
    let seen = witness.wait_for(2, DEADLINE).await;
    assert_eq!(seen[0].body, b"hello world");
    assert!(!seen[0].head.to_lowercase().contains("trailer"));

    let flood = format!("{head}{}", format!("200\r\n{}\r\n", "a".repeat(512)).repeat(3));
    let response = gate.exchange(flood).await;
    assert_eq!((response.status, response.json()["code"].as_str()), (413, Some("body_too_large")));
    let response = gate.exchange(format!("{head}5\nhello\r\n0\r\n\r\n")).await;
    assert_eq!((response.status, response.json()["code"].as_str()), (400, Some("malformed_request")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_is_answered_by_the_gate() {
    let (gate, witness) = gate_before(Behaviour::answer()).await;
    let head = format!(
        "POST /v1/devis HTTP/1.1\r\nHost: a\r\napi_key: {KEY}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    );
    let mut client = gate.connect().await;
    assert_eq!(client.exchange(&head).await.unwrap().status, 100);
    assert_eq!(client.exchange("body").await.unwrap().status, 200);
    let seen = &witness.wait_for(1, DEADLINE).await[0];
    assert_eq!((seen.body.as_slice(), seen.values("expect").len()), (&b"body"[..], 0));

    let mut stranger = gate.connect().await;
    let refused = stranger.exchange(head.replace(KEY, "nobody")).await.unwrap();
    assert_eq!((refused.status, refused.header("connection")), (401, Some("close")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_not_passed_on() {
    let switching =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes".to_vec();
    let (gate, witness) = gate_before(Behaviour::always(Action::BytesThenClose(switching))).await;
    let request =
        format!("GET /ws HTTP/1.1\r\nHost: a\r\napi_key: {KEY}\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n");
    let response = gate.exchange(request).await;
    assert_eq!((response.status, response.json()["code"].as_str()), (502, Some("upstream_invalid_response")));
    assert_eq!(witness.requests()[0].values("upgrade"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_through_the_gate_is_the_vendors_own_curl() {
    let sandbox = sensgate::sandbox::Sandbox::new(sensgate::sandbox::SandboxSettings::example()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn({
        let sandbox = sandbox.clone();
        async move { sandbox.serve(listener, std::future::pending()).await }
    });
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(address).text().replace("8sens-api-key", "sandbox-key");
    crate::gate::write_secret(&folder.path().join("sandbox-key"), "ZghY887665YhGH");
    let gate = Gate::start_text(folder, &config, |command| command);
    let curl = |key: &str| {
        let output = std::process::Command::new("curl")
            .args(["-s", "-X", "POST", "--header", "Content-Type: application/x-www-form-urlencoded"])
            .args(["--header", "Accept: application/json", "--header", &format!("api_key: {key}")])
            .args(["-d", "login=CLIENTREST&password=clientrest", "-w", "\n%{http_code}\n%{content_type}"])
            .arg(format!("http://{}/v1/login/user", gate.address()))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let good = curl(KEY);
    for field in ["access_token", "paramRacineCliID", "paramRacinePecID", "g8CliCode"] {
        assert!(good.contains(field), "{good}");
    }
    assert!(good.contains("\n200\n"), "{good}");
    let bad = curl("wrong");
    assert!(bad.contains("\n401\napplication/problem+json") && bad.contains("unknown_key"), "{bad}");
    let seen = wait_until(|| Some(sandbox.record()).filter(|record| !record.is_empty())).unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].values("api_key").collect::<Vec<_>>(), [&b"ZghY887665YhGH"[..]]);
    assert!(seen[0].headers.iter().all(|(_, value)| !value.windows(KEY.len()).any(|part| part == KEY.as_bytes())));
}

/// 8sens redirects to the address that it was asked under, as servers do. curl sends fields of one's own on to wherever
/// it is led.
#[tokio::test(flavor = "multi_thread")]
async fn curl_follows_a_redirect_of_8sens_to_the_gate() {
    let redirecting = |request: &crate::support::witness::SeenRequest| match request.target() {
        "/v1/old?page=2" => {
            let host = request.values("host").concat();
            let location = ("Location".to_owned(), format!("http://{host}/v1/new?page=2"));
            Action::AnswerWith { status: 302, headers: vec![location], body: Vec::new() }
        }
        target => Action::AnswerWith { status: 200, headers: vec![], body: target.as_bytes().to_vec() },
    };
    let (gate, witness) = gate_before(Behaviour::by(redirecting)).await;
    let output = std::process::Command::new("curl")
        .args(["-s", "-L", "--max-redirs", "3", "--header", &format!("api_key: {KEY}"), "-w", " %{url_effective}"])
        .arg(format!("http://{}/v1/old?page=2", gate.address()))
        .output()
        .unwrap();
    let expected = format!("/v1/new?page=2 http://{}/v1/new?page=2", gate.address());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_eq!(witness.requests().len(), 2);
    for seen in witness.requests() {
        assert_eq!(seen.values("api_key"), [UPSTREAM_KEY]);
    }
}
