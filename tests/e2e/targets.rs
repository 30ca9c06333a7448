//! Targets through the real gate: what is decided on is what 8sens gets and what the log shows.

use crate::gate::{Config, DEADLINE, Gate, KEY, get, post};
use crate::sessions::{eight_sens, log_in};
use crate::support::witness::{Action, Behaviour, Witness};

async fn gate_before(behaviour: Behaviour, config: impl FnOnce(Config) -> Config) -> (Gate, Witness) {
    let witness = Witness::start(behaviour).await;
    let gate = Gate::start(&config(Config::new(witness.addr())));
    (gate, witness)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_normal_form_is_what_8sens_gets_and_the_log_shows() {
    let slash = |config: Config| config.with("upstream", "encoded_slash = [\"GET /v1/articles/*\"]");
    let (gate, witness) = gate_before(Behaviour::answer(), slash).await;
    for (sent, path, query) in [
        ("/v1/%61rticles/REF%7E1?q=%7e|{x}", "/v1/articles/REF~1", "?q=%7e|{x}"),
        ("/v1/articles/%52EF%2F12", "/v1/articles/REF%2F12", ""),
    ] {
        assert_eq!(gate.exchange(get(sent)).await.status, 200, "{sent}");
        assert_eq!(witness.requests().last().unwrap().target(), format!("{path}{query}"));
        gate.wait_for_record(|record| record["path"] == path && record["code"] == "ok");
    }
    let refused = gate.exchange(get("/v1/clients/REF%2F12")).await;
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(refused.status == 400 && detail.contains("%2F"), "{detail}");
    let record = gate.wait_for_record(|record| record["path"] == "/v1/clients/REF%2F12");
    assert_eq!(record["reason"], "encoded slash in the path");
}

/// 8sens might take each of these for the login, and hand out a token that the gate never sees.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_in_another_spelling_is_refused_whatever_is_switched_off() {
    for (mode, enforce) in [("guard", "on"), ("observe", "shadow"), ("observe", "off")] {
        let (gate, witness) = gate_before(eight_sens(), |config| {
            config
                .with("session", &format!("mode = \"{mode}\""))
                .with("limits", &format!("enforce = \"{enforce}\""))
                .with("upstream", "encoded_slash = [\"* /*\"]")
        })
        .await;
        for path in
            ["/v1/Login/User", "/v1/login/user/", "/v1/login./user.", "/v1%2Flogin%2fuser", "/v1/log%C4%B1n/user"]
        {
            let answer = gate.exchange(post(path, "login=CLIENTREST&password=clientrest")).await;
            assert_eq!((answer.status, answer.json()["code"].as_str()), (403, Some("forbidden_route")), "{path}");
            assert!(answer.json()["detail"].as_str().unwrap().contains("login"), "{path}");
        }
        gate.wait_for_record(|record| record["reason"] == "login in another spelling");
        assert!(witness.requests().is_empty(), "{mode} {enforce}");
        // The login itself, its letters encoded without need.
        let encoded = post("/v1/%6Cogin/user", "login=CLIENTREST&password=clientrest");
        assert_eq!(gate.exchange(encoded).await.json()["access_token"], "token-1");
        assert_eq!(log_in(&gate, KEY).await, "token-2");
        assert!(witness.requests().iter().all(|request| request.target() == "/v1/login/user"));
    }
}

/// Pingora cannot write these: there they go out on connections of their own, and all else is as ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_no_library_can_hold_goes_on_as_it_came() {
    let odd_ones = |forwarder: &'static str| async move {
        let echo = |request: &crate::support::witness::SeenRequest| Action::AnswerWith {
            status: 200,
            headers: vec![],
            body: [request.target().as_bytes(), b" ", &request.body].concat(),
        };
        let line = format!("forwarder = \"{forwarder}\"");
        let (gate, witness) = gate_before(Behaviour::by(echo), |config| config.with("upstream", &line)).await;
        let mut client = gate.connect().await;
        let odd = "/v1/a?filter={\"ref\":\"<A1>\"}";
        for (request, body, closes) in [
            (get("/v1/a"), "/v1/a ".to_owned(), false),
            (get(odd), format!("{odd} "), false),
            (post(odd, "hello"), format!("{odd} hello"), true),
            (get("/v1/%61?<"), "/v1/a?< ".to_owned(), false),
            (get("/v1/b"), "/v1/b ".to_owned(), false),
        ] {
            let answer = client.exchange(&request).await.unwrap();
            assert_eq!((answer.status, answer.text()), (200, body), "{request}");
            let seen = witness.requests().pop().unwrap();
            let expected = if closes { vec!["close".to_owned()] } else { vec![] };
            assert_eq!(seen.values("connection"), expected, "{request}");
        }
        let head = format!("HEAD {odd} HTTP/1.1\r\nHost: a\r\napi_key: {KEY}\r\n\r\n");
        assert_eq!(gate.exchange(head).await.status, 200);
        // Which requests went out on the connection of the first one.
        let connections: Vec<u64> = witness.requests().iter().map(|request| request.connection).collect();
        connections.iter().map(|connection| *connection == connections[0]).collect::<Vec<_>>()
    };
    assert_eq!(odd_ones("pingora").await[..5], [true, false, false, false, true]);
    assert_eq!(odd_ones("direct").await[..5], [true, true, false, true, true], "a write has its own, like any other");
}

#[tokio::test(flavor = "multi_thread")]
async fn such_a_query_is_sent_once_when_8sens_drops_it() {
    let (gate, witness) = gate_before(Behaviour::by(|_| Action::Close), |config| config).await;
    for request in [get("/v1/a?<"), post("/v1/a?<", "hello")] {
        let answer = gate.exchange(request).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (502, Some("upstream_unreachable")));
    }
    assert_eq!(witness.wait_for(2, DEADLINE).await.len(), 2);
    drop(witness);
    assert_eq!(gate.exchange(get("/v1/a?<")).await.status, 502, "nobody there");
}
