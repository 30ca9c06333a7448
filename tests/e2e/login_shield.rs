//! Failed logins are counted and held back, and whoever logs in with the right password never notices.

use crate::gate::{Config, Gate, KEY, consumer, wait_until};
use crate::support::http::{RawClient, Response};
use crate::support::witness::{Action, Behaviour, Witness};
use sensgate::sandbox::{FailedLoginAnswer, Sandbox, SandboxSettings};
use std::net::SocketAddr;
use std::time::Instant;
use tokio::net::TcpListener;

const OTHER_KEY: &str = "sgk_other_Bn3Vm5Cx7Zl9Kj2Hg4Fd";
const RIGHT: &str = "login=CLIENTREST&password=clientrest";
const WRONG: &str = "login=CLIENTREST&password=wrong";

/// A login from an address behind the proxy that the gate trusts.
fn login_from(key: &str, address: &str, body: &str) -> String {
    format!(
        "POST /v1/login/user HTTP/1.1\r\nHost: gate\r\napi_key: {key}\r\nX-Forwarded-For: {address}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn login(body: &str) -> String {
    login_from(KEY, "192.0.2.1", body)
}

fn config(upstream: SocketAddr) -> Config {
    Config::new(upstream)
        .with("session", "mode = \"guard\"")
        .with("client_ip", "trusted_proxies = [\"127.0.0.1/32\"]")
        .and(&consumer("autre", OTHER_KEY, ""))
}

/// A sandbox that knows the upstream key of the tests.
async fn sandbox(change: impl FnOnce(&mut SandboxSettings)) -> (Sandbox, SocketAddr) {
    let mut settings = SandboxSettings { api_key: crate::gate::UPSTREAM_KEY.into(), ..SandboxSettings::example() };
    change(&mut settings);
    let sandbox = Sandbox::new(settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = sandbox.clone();
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
    (sandbox, address)
}

/// How many logins that failed have reached 8sens.
fn failed(sandbox: &Sandbox) -> usize {
    sandbox.record().iter().filter(|seen| seen.target.starts_with("/v1/login/user") && seen.status != Some(200)).count()
}

fn code(response: &Response) -> String {
    response.json()["code"].as_str().unwrap_or_default().to_owned()
}

fn retry_after(response: &Response) -> u64 {
    response.header("retry-after").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_from_everywhere_reaches_8sens_as_often_as_the_quota_says_and_the_shop_never_notices() {
    let (sandbox, upstream) = sandbox(|settings| settings.lock_after = 0).await;
    let config = config(upstream).with("limits", "requests_per_connection = 1000000");
    let gate = Gate::start(&config.with("limits", "failed_logins_per_key = \"1/h, burst 8\""));
    let begun = Instant::now();
    let mut shop = gate.connect().await;
    assert_eq!(shop.exchange(login_from(KEY, "203.0.113.9", RIGHT)).await.unwrap().status, 200);
    let mut attacker = gate.connect().await;
    let mut throttled = 0;
    for n in 0..3_000_u32 {
        // The key is the shop's own.
        let address = format!("10.1.{}.{}", n / 200 % 5, n % 200);
        let answer = attacker.exchange(login_from(KEY, &address, WRONG)).await.unwrap();
        if answer.status == 429 {
            assert_eq!(code(&answer), "login_throttled");
            assert!(retry_after(&answer) >= 1);
            throttled += 1;
        } else {
            assert_eq!(answer.status, 401, "{n}");
        }
        if n % 100 == 0 {
            let answer = shop.exchange(login_from(KEY, "203.0.113.9", RIGHT)).await.unwrap();
            assert_eq!(answer.status, 200, "{n}: {}", answer.text());
        }
    }
    let hours = usize::try_from(begun.elapsed().as_secs() / 3_600).unwrap();
    assert!((4..=8 + 1 + hours).contains(&failed(&sandbox)), "{}", failed(&sandbox));
    assert_eq!(failed(&sandbox) + throttled, 3_000);
    let record = gate.wait_for_record(|record| record["code"] == "login_throttled");
    assert_eq!(
        (&record["reason"], &record["consumer"]),
        (&"too many failed logins with this key".into(), &"boutique-paris".into())
    );
    // Another key is not hit by what this one has used up.
    let other = gate.exchange(login_from(OTHER_KEY, "198.51.100.4", RIGHT)).await;
    assert_eq!(other.status, 200, "{}", other.text());
    let counted = gate.metric("sensgate_logins_total{consumer=\"boutique-paris\",result=\"throttled\"}").await;
    assert_eq!(counted, f64::from(u32::try_from(throttled).unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_is_one_name_wherever_and_however_it_is_sent() {
    let refusal = Action::AnswerWith { status: 401, headers: vec![], body: b"{}".to_vec() };
    let witness = Witness::start(Behaviour::always(refusal)).await;
    let gate = Gate::start(&config(witness.addr()).with("limits", "failed_logins_per_name = \"1/h, burst 9\""));
    let json = "{\"login\":\"client\\u0052est\",\"password\":\"x\"}";
    let chunked = "POST /v1/login/user HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\napi_key: KEY\r\n\r\n\
                   8\r\nlogin=Cl\r\n9\r\nIENTREST&\r\n0\r\n\r\n";
    let query = "POST /v1/login/user?login=clientrest HTTP/1.1\r\nHost: gate\r\napi_key: KEY\r\n\r\n";
    // Half of a burst of nine passes at once.
    for request in [
        login(WRONG),
        login(json),
        login("login=%43LIENTREST+"),
        chunked.replace("KEY", KEY),
        query.replace("KEY", KEY),
    ] {
        let answer = gate.exchange(&request).await;
        assert_eq!(answer.status, 401, "{request}: {}", answer.text());
    }
    for (n, request) in [login(WRONG), login(json), chunked.replace("KEY", OTHER_KEY), query.replace("KEY", OTHER_KEY)]
        .into_iter()
        .enumerate()
    {
        let answer = gate.exchange(&request).await;
        assert_eq!((answer.status, code(&answer).as_str()), (429, "login_throttled"), "{n}: {}", answer.text());
        assert!((300..=360).contains(&retry_after(&answer)), "a tenth of an hour: {}", retry_after(&answer));
    }
    assert_eq!(gate.exchange(login("login=AUTRE&password=x")).await.status, 401, "another name");
    let seen = witness.requests();
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[1].body, json.as_bytes(), "the body arrives as it was sent");
    gate.wait_for_record(|record| record["reason"] == "too many failed logins of this name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_two_or_too_long_goes_no_further() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&config(witness.addr()));
    let two = gate.exchange(login("login=a&password=x&login=b")).await;
    assert_eq!((two.status, code(&two).as_str()), (400, "malformed_request"), "{}", two.text());
    assert!(two.text().contains("more than one login name"));
    let long = gate.exchange(login(&format!("login=a&x={}", "y".repeat(64 << 10)))).await;
    assert_eq!((long.status, code(&long).as_str()), (413, "body_too_large"));
    assert!(witness.requests().is_empty());
    // Neither keeps the connection from being used where the framing is known.
    let mut client = gate.connect().await;
    assert_eq!(client.exchange(login("login=a&login=b")).await.unwrap().status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_waits_for_a_word_gets_one_and_what_follows_is_the_next_request() {
    let (_, upstream) = sandbox(|_| ()).await;
    let gate = Gate::start(&config(upstream));
    let mut client = gate.connect().await;
    let (head, body) =
        login(RIGHT).split_once("\r\n\r\n").map(|(head, body)| (head.to_owned(), body.to_owned())).unwrap();
    client.send(format!("{head}\r\nExpect: 100-continue\r\n\r\n")).await.unwrap();
    let word = client.read_response().await.unwrap();
    assert_eq!(word.status, 100);
    // The next login is sent before this one is answered.
    client.send(format!("{body}{}", login(RIGHT))).await.unwrap();
    for _ in 0..2 {
        let answer = client.read_response().await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.json()["access_token"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_inside_a_200_counts_where_sessions_are_guarded_and_where_an_admin_says_so() {
    let (sandbox, upstream) = sandbox(|settings| settings.failed_login_answer = FailedLoginAnswer::OkWithError).await;
    let one = |mode: &str| {
        Config::new(upstream)
            .with("session", &format!("mode = \"{mode}\""))
            .with("limits", "failed_logins_per_name = \"1/h\"")
    };
    let twice = async |gate: &Gate| {
        let first = gate.exchange(login(WRONG)).await.status;
        (first, gate.exchange(login(WRONG)).await.status)
    };
    let guarding = Gate::start(&one("guard"));
    assert_eq!(twice(&guarding).await, (200, 429));
    // A gate that does not understand the answers of this 8sens must not lock its shops out.
    let observing = Gate::start(&one("observe"));
    assert_eq!(twice(&observing).await, (200, 200));
    let failed_when = "failed_when = [{ status = 200, body_contains = \"invalid_login\" }]";
    let told = Gate::start(&one("observe").with("login", failed_when));
    assert_eq!(twice(&told).await, (200, 429));
    assert_eq!(sandbox.record().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_8sens_is_no_failure_of_the_shop() {
    let (sandbox, upstream) = sandbox(|settings| settings.login_fault = "status=503".parse().unwrap()).await;
    let gate = Gate::start(&config(upstream).with("limits", "failed_logins_per_name = \"1/h\""));
    for _ in 0..20 {
        assert_eq!(gate.exchange(login(RIGHT)).await.status, 503);
    }
    sandbox.set_login_fault("close".parse().unwrap());
    for _ in 0..5 {
        assert_eq!(gate.exchange(login(RIGHT)).await.status, 502);
    }
    sandbox.set_login_fault("".parse().unwrap());
    assert_eq!(gate.exchange(login(RIGHT)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_lets_through_and_says_what_it_would_have_refused() {
    let (sandbox, upstream) = sandbox(|_| ()).await;
    let config = config(upstream).with("limits", "failed_logins_per_name = \"1/h\"");
    let gate = Gate::start(&config.clone().with("limits", "enforce = \"shadow\""));
    for _ in 0..3 {
        assert_eq!(gate.exchange(login(WRONG)).await.status, 401);
    }
    let record = gate.wait_for_record(|record| record["would_refuse"] == "login_throttled");
    assert_eq!(record["code"], "ok");
    let off = Gate::start(&config.with("limits", "enforce = \"off\""));
    for _ in 0..3 {
        assert_eq!(off.exchange(login(WRONG)).await.status, 401);
    }
    assert_eq!(failed(&sandbox), 6);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_up_quotas_and_keeps_what_is_known() {
    let (_, upstream) = sandbox(|_| ()).await;
    let strict = config(upstream).with("limits", "failed_logins_per_name = \"1/h\"");
    let gate = Gate::start(&strict);
    assert_eq!(gate.exchange(login_from(KEY, "203.0.113.9", RIGHT)).await.status, 200);
    assert_eq!(gate.exchange(login(WRONG)).await.status, 401);
    assert_eq!(gate.exchange(login(RIGHT)).await.status, 429);
    let wide = config(upstream).with("limits", "failed_logins_per_name = \"1000/h\"");
    std::fs::write(gate.folder.path().join("sensgate.toml"), wide.text()).unwrap();
    let (status, stdout, _) = crate::reload::sensgate(&gate, &["reload", "--lang", "en"]);
    assert_eq!((status, stdout.trim()), (0, "[limits] failed_logins_per_name"));
    assert_eq!(gate.exchange(login(WRONG)).await.status, 401);
    std::fs::write(gate.folder.path().join("sensgate.toml"), strict.text()).unwrap();
    assert_eq!(crate::reload::sensgate(&gate, &["reload"]).0, 0);
    assert_eq!(gate.exchange(login(WRONG)).await.status, 429);
    assert_eq!(gate.exchange(login_from(KEY, "203.0.113.9", RIGHT)).await.status, 200, "it is known still");
}

/// The first logins of a shop that has many workers come together, and nobody knows yet that they are right.
#[tokio::test(flavor = "multi_thread")]
async fn many_first_logins_at_once_all_pass() {
    let (sandbox, upstream) = sandbox(|settings| settings.login_fault = "hang".parse().unwrap()).await;
    let gate = Gate::start(&config(upstream));
    let mut workers = Vec::new();
    for _ in 0..30 {
        let mut worker: RawClient = gate.connect().await;
        worker.send(login(RIGHT)).await.unwrap();
        workers.push(worker);
    }
    wait_until(|| (sandbox.record().len() == 30).then_some(())).expect("all are under way");
    sandbox.set_login_fault("".parse().unwrap());
    drop(workers);
    // They hang at 8sens. Those that come now are not held up by them.
    assert_eq!(gate.exchange(login(RIGHT)).await.status, 200);
}
