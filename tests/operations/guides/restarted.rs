//! 8sens ends, comes back and knows no token: what callers see, and that they come in again.

use super::sandbox_at;
use crate::gate::{Config, Gate, KEY, consumer};
use crate::support::http::Response;
use crate::support::port;

async fn log_in(gate: &Gate, key: &str) -> Response {
    let body = "login=CLIENTREST&password=clientrest";
    let head = "POST /v1/login/user HTTP/1.1\r\nHost: gate\r\nContent-Type: application/x-www-form-urlencoded";
    gate.exchange(format!("{head}\r\napi_key: {key}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await
}

async fn read(gate: &Gate, key: &str, token: &str) -> Response {
    gate.exchange(format!("GET /v1/articles HTTP/1.1\r\nHost: gate\r\napi_key: {key}\r\naccess_token: {token}\r\n\r\n"))
        .await
}

fn token(login: &Response) -> String {
    login.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_hear_at_once_that_it_is_away_and_come_in_again_when_it_is_back() {
    const OTHER: &str = "sgk_other_Hb6Tn1Vs8Ld3Wq5Zr0Xk";
    let address = port::free();
    let config = Config::new(address).with("session", "mode = \"guard\"").and(&consumer("boutique-lyon", OTHER, ""));
    let mut gate = Gate::start(&config);
    let away = log_in(&gate, KEY).await;
    assert_eq!((away.status, away.json()["code"].as_str()), (502, Some("upstream_unreachable")));

    let (sandbox, _) = sandbox_at(address).await;
    let (mine, theirs) = (token(&log_in(&gate, KEY).await), token(&log_in(&gate, OTHER).await));
    assert_eq!((read(&gate, KEY, &mine).await.status, read(&gate, OTHER, &theirs).await.status), (200, 200));

    sandbox.forget_sessions();
    for (key, old) in [(KEY, &mine), (OTHER, &theirs)] {
        let refused = read(&gate, key, old).await;
        assert_eq!(refused.status, 401);
        assert!(
            refused.header("content-type").is_none_or(|kind| !kind.contains("problem+json")),
            "8sens says so itself"
        );
    }
    gate.wait_for_line("mass_expiry");
    for key in [KEY, OTHER] {
        let new = token(&log_in(&gate, key).await);
        assert_eq!(read(&gate, key, &new).await.status, 200);
    }
}
