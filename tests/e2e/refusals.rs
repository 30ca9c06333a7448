//! Every refusal on the wire, produced by a real request. A code that nothing here produces fails the suite.

use crate::gate::{Config, DEPOT_KEY, Gate, KEY, PARTNER_KEY, get};
use crate::support::http::{RawClient, Response};
use crate::support::port;
use crate::support::witness::{Action, Behaviour, Witness};
use sensgate::domain::denial::DenyCode;
use std::collections::BTreeMap;

fn with_key(key: &str, rest: &str) -> String {
    format!("GET /v1/articles HTTP/1.1\r\nHost: gate\r\napi_key: {key}\r\n{rest}\r\n")
}

/// The request that provokes each code on the ordinary gate. Codes that need a gate of their own are not here.
fn provocations() -> Vec<(DenyCode, String)> {
    let long = "a".repeat(600);
    vec![
        (DenyCode::MalformedRequest, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (DenyCode::AmbiguousKey, with_key(KEY, &format!("api_key: {KEY}\r\n"))),
        (DenyCode::AmbiguousToken, with_key(KEY, "access_token: a\r\ntoken: b\r\n")),
        (DenyCode::KeyInUrl, get("/v1/articles?api_key=x")),
        (DenyCode::MissingKey, "GET /v1/articles HTTP/1.1\r\nHost: gate\r\n\r\n".to_owned()),
        (DenyCode::UnknownKey, with_key("nobody", "")),
        (DenyCode::ForbiddenRoute, with_key(PARTNER_KEY, "")),
        (DenyCode::ForbiddenAddress, with_key(DEPOT_KEY, "")),
        (DenyCode::MethodNotAllowed, "TRACE / HTTP/1.1\r\nHost: gate\r\n\r\n".to_owned()),
        (DenyCode::ExpectationFailed, with_key(KEY, "Expect: something-else\r\n")),
        (
            DenyCode::MisdirectedRequest,
            format!("GET https://gate/v1/a HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\n\r\n"),
        ),
        (DenyCode::UnknownMethod, "BREW / HTTP/1.1\r\nHost: gate\r\n\r\n".to_owned()),
        (DenyCode::RequestTimeout, "GET / HT".to_owned()),
        (DenyCode::BodyTooLarge, with_key(KEY, "Content-Length: 2000\r\n")),
        (DenyCode::UriTooLong, get(&format!("/{long}"))),
        (DenyCode::HeadersTooLarge, with_key(KEY, &format!("X: {long}\r\nY: {long}\r\n"))),
        (DenyCode::UnsupportedTransferCoding, with_key(KEY, "Transfer-Encoding: gzip, chunked\r\n")),
        (DenyCode::UpstreamInvalidResponse, get("/v1/garbage")),
        (DenyCode::UpstreamTimeout, get("/v1/hang")),
        (DenyCode::HttpVersion, "GET / HTTP/1.0\r\nHost: gate\r\n\r\n".to_owned()),
    ]
}

/// The answer with everything that differs from run to run replaced.
fn stable(response: &Response) -> String {
    let id = response.header("x-request-id").expect("every refusal has a request id").to_owned();
    let date = response.header("date").expect("every refusal has a date").to_owned();
    // How long to wait depends on how long the test took; other tests look at the figure.
    let head: Vec<String> = response
        .head
        .lines()
        .map(|line| match line.split_once(": ") {
            Some(("Retry-After", _)) => "Retry-After: <seconds>".to_owned(),
            Some(("RateLimit", value)) => format!("RateLimit: {};t=<seconds>", value.split(";t=").next().unwrap()),
            _ => line.to_owned(),
        })
        .collect();
    format!("{}\n{}", head.join("\n"), response.text())
        .replace(&id, "<id>")
        .replace(&date, "<date>")
        .replace("\r\n", "\n")
}

/// The key of a consumer whose session the gate keeps.
const MANAGED_KEY: &str = "sgk_managed_Lk9Jh8Gf7Ds6Aq5Wz4";

/// A gate in front of no 8sens.
fn lonely_gate() -> Gate {
    // Any text will do for a password.
    let login = "session = \"managed\"\nlogin = { user = \"CLIENTREST\", password = { env = \"PATH\" } }\n";
    Gate::start(&Config::new(port::closed()).and(&crate::gate::consumer("geree", MANAGED_KEY, login)))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_code_is_produced_by_a_real_request() {
    let witness = Witness::start(Behaviour::by(|request| match request.target() {
        "/v1/hang" => Action::Hang,
        "/v1/garbage" => Action::BytesThenClose(b"garbage\r\n\r\n".to_vec()),
        _ => Action::Answer,
    }))
    .await;
    let config = Config::new(witness.addr())
        .with("upstream", "read_timeout = \"500ms\"")
        .with("limits", "head_timeout = \"500ms\"")
        .with("limits", "head_bytes = \"1KiB\"")
        .with("limits", "uri_bytes = \"512B\"")
        .with("limits", "body_bytes = \"1KiB\"")
        .with("client_ip", "trusted_proxies = [\"127.0.0.1/32\"]")
        .and("[[listener]]\naddress = \"127.0.0.1:0\"\nplaintext = \"behind_proxy\"\n");
    let gate = Gate::start(&config);
    let mut seen = BTreeMap::new();
    for (code, request) in provocations() {
        seen.insert(code.as_str(), gate.exchange(request).await);
    }
    let insecure = RawClient::connect(gate.addresses[1]).await.unwrap().exchange(with_key(KEY, "")).await.unwrap();
    seen.insert(DenyCode::InsecureTransport.as_str(), insecure);
    let lonely = lonely_gate();
    seen.insert(DenyCode::UpstreamUnreachable.as_str(), lonely.exchange(get("/v1/articles")).await);
    seen.insert(DenyCode::LoginUnavailable.as_str(), lonely.exchange(with_key(MANAGED_KEY, "")).await);
    let other = "sgk_guarded_Hy6Tg5Rf4Ed3Ws2Qa1";
    let rules = crate::gate::consumer("limite", other, "rate_limit = \"1/h\"\n");
    let login = Action::AnswerWith { status: 200, headers: vec![], body: b"{\"access_token\":\"t-1\"}".to_vec() };
    let strict = Witness::start(Behaviour::always(login)).await;
    let guarded = Config::new(strict.addr())
        .with("session", "mode = \"guard\"")
        .with("upstream", "idle_timeout = \"1s\"")
        .and(&rules);
    let guarded = Gate::start(&guarded);
    let with_token = |key: &str, token: &str| with_key(key, &format!("access_token: {token}\r\n"));
    assert_eq!(
        guarded
            .exchange("POST /v1/login/user HTTP/1.1\r\nHost: a\r\napi_key: KEY\r\n\r\n".replace("KEY", KEY))
            .await
            .status,
        200
    );
    seen.insert(DenyCode::SessionMissing.as_str(), guarded.exchange(with_key(KEY, "")).await);
    seen.insert(DenyCode::SessionUnknown.as_str(), guarded.exchange(with_token(KEY, "nobody-s")).await);
    seen.insert(DenyCode::SessionNotYours.as_str(), guarded.exchange(with_token(other, "t-1")).await);
    assert_eq!(
        guarded
            .exchange("POST /v1/login/user HTTP/1.1\r\nHost: a\r\napi_key: KEY\r\n\r\n".replace("KEY", other))
            .await
            .status,
        200
    );
    seen.insert(DenyCode::RateLimited.as_str(), guarded.exchange(with_token(other, "t-1")).await);
    let idle = std::time::Instant::now();
    crate::gate::wait_until(|| (idle.elapsed() > std::time::Duration::from_millis(1100)).then_some(()));
    seen.insert(DenyCode::SessionExpired.as_str(), guarded.exchange(with_token(KEY, "t-1")).await);
    let refusal = Action::AnswerWith { status: 401, headers: vec![], body: vec![] };
    let forgetful = Witness::start(Behaviour::always(refusal)).await;
    let shielded = Config::new(forgetful.addr()).with("limits", "failed_logins_per_key = \"1/h\"");
    let shielded = Gate::start(&shielded);
    let login = "POST /v1/login/user HTTP/1.1\r\nHost: a\r\napi_key: KEY\r\n\r\n".replace("KEY", KEY);
    assert_eq!(shielded.exchange(&login).await.status, 401);
    seen.insert(DenyCode::LoginThrottled.as_str(), shielded.exchange(&login).await);
    let narrow = Gate::start(&Config::new(witness.addr()).with("limits", "connections = 1"));
    let mut first = narrow.connect().await;
    assert_eq!(first.exchange(get("/v1/articles")).await.unwrap().status, 200);
    seen.insert(DenyCode::TooManyConnections.as_str(), narrow.connect().await.read_response().await.unwrap());

    let all: Vec<&str> = DenyCode::ALL.iter().map(|code| code.as_str()).collect();
    let missing: Vec<_> = all.iter().filter(|code| !seen.contains_key(**code)).collect();
    assert!(missing.is_empty(), "no request here produces {missing:?}");
    for code in DenyCode::ALL {
        let response = &seen[code.as_str()];
        assert_eq!(response.status, code.status(), "{}: {}", code.as_str(), response.text());
        assert_eq!(response.json()["code"], code.as_str());
        insta::assert_snapshot!(code.as_str(), stable(response));
    }
    let codes: Vec<String> = [&gate, &lonely, &narrow, &guarded, &shielded]
        .iter()
        .flat_map(|gate| {
            gate.wait_for_record(|record| record["code"] != "ok");
            gate.records()
        })
        .filter_map(|record| record["code"].as_str().map(str::to_owned))
        .collect();
    for code in all {
        assert!(codes.iter().any(|seen| seen == code), "{code} is not in an access log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_requests_never_reach_8sens() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()));
    for (code, request) in provocations() {
        let reaches = matches!(code, DenyCode::UpstreamInvalidResponse | DenyCode::UpstreamTimeout);
        let waits = matches!(
            code,
            DenyCode::RequestTimeout | DenyCode::UriTooLong | DenyCode::HeadersTooLarge | DenyCode::BodyTooLarge
        );
        if !reaches && !waits {
            assert_eq!(gate.exchange(request).await.status, code.status(), "{}", code.as_str());
        }
    }
    assert_eq!(witness.connections(), usize::from(probed(&witness)));
    assert!(witness.requests().is_empty());
}

/// The gate's own TCP probe at its start may have come by; it sends nothing.
fn probed(witness: &Witness) -> bool {
    witness.connections() == 1 && witness.raw_bytes().values().all(Vec::is_empty)
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_expired_and_disabled_keys_read_the_same() {
    let witness = Witness::start(Behaviour::answer()).await;
    let sha256 = |key: &str| {
        sensgate::domain::rules::consumer::digest(key.as_bytes()).iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    let more = format!(
        "[[consumer]]\nname = \"ancien\"\nkeys = [ {{ id = \"old\", sha256 = \"{}\", expires = 2020-01-01 }}, {{ id = \
         \"off\", sha256 = \"{}\", expires = 2099-01-01, enabled = false }} ]\n",
        sha256("expired-key-expired-key"),
        sha256("disabled-key-disabled-key"),
    );
    let gate = Gate::start(&Config::new(witness.addr()).and(&more));
    let mut bodies = Vec::new();
    for key in ["nobody", "expired-key-expired-key", "disabled-key-disabled-key"] {
        bodies.push(stable(&gate.exchange(with_key(key, "")).await));
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:#?}");
    let expired = gate.wait_for_record(|record| record["reason"] == "key expired");
    assert_eq!((&expired["consumer"], &expired["key_id"]), (&"ancien".into(), &"old".into()));
    gate.wait_for_record(|record| record["reason"] == "key disabled" && record["key_id"] == "off");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_gets_no_body() {
    let gate = Gate::start(&Config::new(port::closed()));
    let mut client = gate.connect().await;
    client.send("HEAD / HTTP/1.1\r\nHost: gate\r\n\r\n").await.unwrap();
    let response = client.read_response_to_head().await.unwrap();
    assert_eq!((response.status, response.header("connection")), (401, Some("keep-alive")));
    // The connection is still in step.
    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: gate\r\n\r\n").await.unwrap().status, 401);
}

/// An admin has to find the shop whose requests are malformed; the shop has to learn what to change and nothing about
/// its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_with_a_good_key_names_its_consumer_in_the_log_alone() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()));
    for (request, reason, detail) in [
        ("GET /v1/a HTTP/1.1\r\napi_key: KEY\r\n\r\n", "Host is missing", "The Host field is missing"),
        (
            "GET /v1/a HTTP/1.1\r\nHost: g\r\napi_key: KEY\r\nsecret-word\r\n\r\n",
            "field without a colon",
            "Line 5, byte 1",
        ),
        ("GET /v1//a HTTP/1.1\r\nHost: g\r\napi_key: KEY\r\n\r\n", "empty segment in the path", "two slashes"),
    ] {
        let (id, stranger_id) = (format!("ours-{}", reason.len()), format!("them-{}", reason.len()));
        let with =
            |key: &str, id: &str| request.replace("api_key: KEY", &format!("X-Request-ID: {id}\r\napi_key: {key}"));
        let known = gate.exchange(with(KEY, &id)).await;
        let stranger = gate.exchange(with("nobody's-key", &stranger_id)).await;
        assert_eq!(stable(&known), stable(&stranger), "{reason}");
        assert!(known.text().contains(detail) && !known.text().contains("secret-word"), "{}", known.text());
        let of_consumer = |record: &serde_json::Value, named: bool| {
            record["reason"].as_str().is_some_and(|found| found == reason) && record["consumer"].is_string() == named
        };
        assert_eq!(gate.wait_for_record(|record| of_consumer(record, true))["code"], "malformed_request");
        gate.wait_for_record(|record| of_consumer(record, false));
    }
    assert!(witness.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_recognised() {
    let gate = Gate::start(&Config::new(port::closed()));
    let preflight = "OPTIONS /v1/a HTTP/1.1\r\nHost: g\r\nOrigin: https://shop.example\r\n\
                     Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: api_key\r\n\r\n";
    let answer = gate.exchange(preflight).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("preflight"), "{}", answer.text());
    gate.wait_for_record(|record| record["reason"] == "preflight of a browser" && record["code"] == "missing_key");
}
