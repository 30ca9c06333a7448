//! The sandbox over TCP: the vendor's own request, the refusals, the idle time, the faults, the way from a quote to an
//! order.

mod access;
mod logins;
mod sales;

use crate::support::http::{RawClient, Response};
use sensgate::domain::types::Mono;
use sensgate::sandbox::{Sandbox, SandboxSettings};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const KEY: &str = "api_key: ZghY887665YhGH\r\n";
const BODY: &str = "login=CLIENTREST&password=clientrest";

/// A sandbox on a free port, with a clock the test moves.
struct Running {
    sandbox: Sandbox,
    address: SocketAddr,
    seconds: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Running {
    async fn start(change: impl FnOnce(&mut SandboxSettings)) -> Self {
        let mut settings = SandboxSettings::example();
        change(&mut settings);
        let seconds = Arc::new(AtomicU64::new(1_000));
        let clock = Arc::clone(&seconds);
        let clock = move || Mono(clock.load(Ordering::SeqCst) * 1_000_000_000);
        let sandbox = Sandbox::with_clock(settings, clock).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = sandbox.clone();
        let served = tokio::spawn(async move {
            serving.serve(listener, async { drop(stopped.await) }).await;
        });
        Self { sandbox, address, seconds, stop: Some(stop), served }
    }

    async fn client(&self) -> RawClient {
        RawClient::connect(self.address).await.unwrap()
    }

    async fn ask(&self, request: String) -> Response {
        self.client().await.exchange(request).await.unwrap()
    }

    async fn token(&self) -> String {
        self.token_of(BODY).await
    }

    async fn token_of(&self, body: &str) -> String {
        let response = self.ask(login(KEY, body)).await;
        response.json()["access_token"].as_str().unwrap().to_owned()
    }

    fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// What curl sends for the request of the vendor's page.
fn login(key: &str, body: &str) -> String {
    format!(
        "POST /v1/login/user HTTP/1.1\r\nHost: localhost:8082\r\nUser-Agent: curl/8.14.1\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\n{key}Content-Length: \
         {}\r\n\r\n{body}",
        body.len()
    )
}

fn articles(fields: &str) -> String {
    format!("GET /v1/articles HTTP/1.1\r\nHost: erp\r\n{fields}\r\n")
}

fn with_token(token: &str) -> String {
    articles(&format!("{KEY}access_token: {token}\r\n"))
}

#[tokio::test]
async fn the_vendors_request_is_answered_by_the_four_fields() {
    let running = Running::start(|_| ()).await;
    let response = running.ask(login(KEY, BODY)).await;
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    assert_eq!(response.header("server"), Some("8sens-sandbox"));
    let answer = response.json();
    let mut names: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["access_token", "g8CliCode", "paramRacineCliID", "paramRacinePecID"]);
    assert_eq!((&answer["paramRacineCliID"], &answer["paramRacinePecID"]), (&129.into(), &127.into()));
    assert_eq!(answer["access_token"].as_str().unwrap().len(), 32);

    let seen = running.sandbox.record();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("POST", "/v1/login/user"));
    assert_eq!((seen[0].body_length, seen[0].status), (BODY.len(), Some(200)));
    assert_eq!(seen[0].values("api_key").collect::<Vec<_>>(), [b"ZghY887665YhGH"]);
}

#[tokio::test]
async fn logins_are_refused() {
    let running = Running::start(|settings| {
        settings.users[1].rest_right = true;
        let mut visitor = settings.users[1].clone();
        (visitor.id, visitor.name, visitor.rest_right) = (8, "VISITEUR".into(), false);
        settings.users.push(visitor);
    })
    .await;
    let twice = format!("{KEY}{KEY}");
    for (key, body, status, error) in [
        ("", BODY, 401, "invalid_api_key"),
        ("api_key: wrong\r\n", BODY, 401, "invalid_api_key"),
        (&twice, BODY, 401, "invalid_api_key"),
        (KEY, "login=CLIENTREST&password=wrong", 401, "invalid_login"),
        (KEY, "login=NOBODY&password=clientrest", 401, "invalid_login"),
        (KEY, "login=VISITEUR&password=clientrest", 401, "invalid_login"),
        (KEY, "login=CLIENTREST", 422, "invalid_form"),
        (KEY, "", 422, "invalid_form"),
    ] {
        let response = running.ask(login(key, body)).await;
        assert_eq!((response.status, &response.json()["error"]), (status, &error.into()), "{key}{body}");
        assert_eq!(response.header("server"), Some("8sens-sandbox"));
    }
}

#[tokio::test]
async fn each_place_of_the_token_opens_the_catalogue() {
    let running = Running::start(|_| ()).await;
    let token = running.token().await;
    for fields in [
        format!("{KEY}access_token: {token}\r\n"),
        format!("{KEY}Authorization: Bearer {token}\r\n"),
        format!("{KEY}token: {token}\r\n"),
    ] {
        let response = running.ask(articles(&fields)).await;
        assert_eq!(response.status, 200, "{}", response.text());
        assert!(response.json()["articles"].as_array().unwrap().len() > 2);
    }
    let in_query = articles(KEY).replace("/v1/articles", &format!("/v1/articles?access_token={token}"));
    assert_eq!(running.ask(in_query).await.status, 200);

    let without_key = running.ask(articles(&format!("access_token: {token}\r\n"))).await;
    assert_eq!((without_key.status, &without_key.json()["error"]), (401, &"invalid_api_key".into()));
    for refused in [articles(KEY), with_token("0123456789abcdef0123456789abcdef")] {
        let response = running.ask(refused).await;
        assert_eq!((response.status, &response.json()["error"]), (401, &"invalid_token".into()));
    }
}

#[tokio::test]
async fn a_token_dies_of_idleness_and_each_use_puts_that_off() {
    let running = Running::start(|_| ()).await;
    let token = running.token().await;
    for _ in 0..3 {
        running.pass(899);
        assert_eq!(running.ask(with_token(&token)).await.status, 200);
    }
    running.pass(900);
    assert_eq!(running.ask(with_token(&token)).await.status, 401);
    assert_ne!(running.token().await, token);
}

#[tokio::test]
async fn head_and_unknown_routes() {
    let running = Running::start(|_| ()).await;
    let token = running.token().await;
    let mut client = running.client().await;
    let head = client.exchange(with_token(&token).replace("GET", "HEAD")).await.unwrap();
    let get = client.exchange(with_token(&token)).await.unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, get.header("content-length")));
    for (request, status) in [("GET /v1/nowhere", 404), ("DELETE /v1/articles", 405), ("GET /v1/login/user", 405)] {
        let response = client.exchange(format!("{request} HTTP/1.1\r\nHost: erp\r\n\r\n")).await.unwrap();
        assert_eq!(response.status, status, "{request}");
        assert!(response.json()["error"].is_string());
    }
}

fn faulty(fault: &str) -> String {
    format!("GET /v1/nowhere HTTP/1.1\r\nHost: erp\r\nx-sandbox-fault: {fault}\r\n\r\n")
}

#[tokio::test]
async fn faults_are_ignored_unless_allowed() {
    let running = Running::start(|_| ()).await;
    assert_eq!(running.ask(faulty("close")).await.status, 404);
}

#[tokio::test]
async fn faults_shape_the_answer() {
    let running = Running::start(|settings| settings.faults = true).await;
    let response = running.ask(faulty("status=503")).await;
    assert_eq!((response.status, response.header("server")), (503, Some("8sens-sandbox")));
    assert_eq!(running.ask(faulty("unheard-of")).await.json()["error"], "unknown_fault unheard-of");

    let response = running.ask(faulty("big-body=5MiB")).await;
    assert_eq!((response.status, response.body.len()), (404, 5 << 20));
    assert_eq!(response.header("content-length"), Some("5242880"));

    let started = Instant::now();
    let response = running.ask(faulty("delay=80ms; status=401; slow-body=2ms; big-body=64")).await;
    assert_eq!((response.status, response.body.len()), (401, 64));
    assert!(started.elapsed() >= Duration::from_millis(80 + 63 * 2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn connections_are_really_dropped() {
    let running = Running::start(|settings| settings.faults = true).await;
    let mut client = running.client().await;
    client.send(faulty("close")).await.unwrap();
    assert!(client.read_to_end().await.unwrap().is_empty(), "not one byte");
    assert_eq!(running.sandbox.record()[0].status, None);

    for fault in ["close-after-head", "close-after-head; big-body=300KiB", "close-after-head; slow-body=1ms"] {
        let mut client = running.client().await;
        client.send(faulty(fault)).await.unwrap();
        let received = String::from_utf8(client.read_to_end().await.unwrap()).unwrap();
        let (head, body) = received.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{fault}: {received:?}"));
        let promised = head.to_lowercase().split("content-length: ").nth(1).unwrap().lines().next().unwrap().to_owned();
        let promised: usize = promised.parse().unwrap();
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        assert_eq!(body.len(), promised / 2, "{fault}");
    }
}

#[tokio::test]
async fn a_hanging_request_is_never_answered_and_does_not_hold_up_the_shutdown() {
    let mut running = Running::start(|settings| settings.faults = true).await;
    let mut client = running.client().await.with_deadline(Duration::from_millis(200));
    assert_eq!(client.exchange(faulty("hang")).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(running.sandbox.record()[0].status, None);
    drop(running.stop.take());
    tokio::time::timeout(Duration::from_secs(10), running.served).await.expect("serve ends").unwrap();
    assert!(RawClient::connect(running.address).await.is_err());
}
