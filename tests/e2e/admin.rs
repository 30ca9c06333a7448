//! The admin listener over a real port, asked by a client that writes raw bytes.

use secrecy::SecretString;
use sensgate::admin::{self, AdminContext, Readiness};
use sensgate::config::{AccessLogTarget, LogSettings};
use sensgate::domain::tables::{NoJournal, Tables};
use sensgate::proxy::shared::Shared;
use sensgate::telemetry::{Telemetry, catalogue};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zeroize::Zeroizing;

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "an-admin-token-for-tests";

struct Served {
    address: SocketAddr,
    readiness: Arc<Readiness>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn serve(token: Option<&str>) -> Served {
    let settings = LogSettings { access: AccessLogTarget::Off, ..LogSettings::default() };
    let readiness = Arc::new(Readiness::default());
    let telemetry = Arc::new(Telemetry::start(&settings).unwrap());
    let source = include_str!("../config/valid/minimal.toml");
    let source = source.replace("file = \"8sens-api-key\"", "env = \"CARGO_PKG_NAME\"");
    let source = source + "\n[admin]\nhosts = [\"gate.lan\", \"monitor.lan:9180\"]\n";
    let gate = sensgate::config::parse(&source, "minimal.toml", Path::new(".")).unwrap().settings;
    let secret = Zeroizing::new([0; 32]);
    let tables = Tables::new(&secret, &gate.snapshot, Box::new(NoJournal), sensgate::platform::clock::now());
    let admin = AdminContext {
        shared: Arc::new(Shared::new(gate, Arc::new(tables), telemetry)),
        readiness: Arc::clone(&readiness),
        token: token.map(SecretString::from),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move {
        let _ = stopped.await;
    };
    Served { address, readiness, stop, task: tokio::spawn(admin::serve(listener, admin, shutdown)) }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn code(&self) -> String {
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{}", self.head);
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("urn:sensgate:problem:{code}"));
        assert_eq!(problem["status"], self.status);
        code
    }
}

/// Sends `request` as it is, with the connection to be closed after the answer.
async fn ask_raw(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Asks with the right `Host` and these further fields.
async fn ask(address: SocketAddr, line: &str, fields: &str) -> Answer {
    ask_raw(address, &format!("{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{fields}\r\n")).await
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused() {
    let served = serve(None).await;
    let host = |host: &str| format!("GET /metrics HTTP/1.1\r\nConnection: close\r\nHost: {host}\r\n\r\n");
    let port = served.address.port();
    for evil in ["evil.example".to_owned(), format!("evil.example:{port}"), format!("localhost.evil.example:{port}")] {
        let answer = ask_raw(served.address, &host(&evil)).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden_host"), "{evil}");
    }
    for good in ["localhost".to_owned(), format!("localhost:{port}"), "127.0.0.1".into(), "[::1]:1".into()] {
        assert_eq!(ask_raw(served.address, &host(&good)).await.status, 200, "{good}");
    }
    let none = ask_raw(served.address, "GET /metrics HTTP/1.0\r\n\r\n").await;
    assert_eq!(none.code(), "forbidden_host");
    for configured in ["gate.lan".to_owned(), format!("GATE.LAN:{port}"), "monitor.lan:9180".into()] {
        assert_eq!(ask_raw(served.address, &host(&configured)).await.status, 200, "{configured}");
    }

    for evil in ["http://evil.example", "null", "https://evil.example"] {
        let answer = ask(served.address, "GET /metrics", &format!("Origin: {evil}\r\n")).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden_origin"), "{evil}");
        assert!(answer.field("access-control-allow-origin").is_none());
    }
    let own = ask(served.address, "GET /metrics", &format!("Origin: http://{}\r\n", served.address)).await;
    assert_eq!(own.status, 200);
}

#[tokio::test]
async fn every_page_asks_for_a_configured_token() {
    let served = serve(Some(TOKEN)).await;
    served.readiness.set_listening(true);
    for page in ["/metrics", "/api/live", "/nothing"] {
        for fields in ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic YTpi\r\n"] {
            let answer = ask(served.address, &format!("GET {page}"), fields).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{page} {fields}");
            assert!(answer.field("www-authenticate").unwrap().starts_with("Bearer"));
        }
        let right = ask(served.address, &format!("GET {page}"), &format!("Authorization: Bearer {TOKEN}\r\n")).await;
        assert_eq!(right.status, if page == "/nothing" { 404 } else { 200 }, "{page}");
        assert!(!right.head.contains(TOKEN) && !right.body.contains(TOKEN));
    }
}

#[tokio::test]
async fn a_right_token_stands_for_the_host_of_reads_alone() {
    let served = serve(Some(TOKEN)).await;
    let ask = async |line: &str, fields: &str| {
        ask_raw(served.address, &format!("{line}\r\nConnection: close\r\n{fields}\r\n")).await
    };
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    let named = "Host: prometheus-scrapes.lan:9180\r\n";
    for line in
        ["GET /metrics HTTP/1.1", "HEAD /metrics HTTP/1.1", "GET http://prometheus-scrapes.lan/metrics HTTP/1.1"]
    {
        assert_eq!(ask(line, &format!("{named}{right}")).await.status, 200, "{line}");
    }
    assert_eq!(ask("GET /metrics HTTP/1.0", &right).await.status, 200);
    assert_eq!(ask("GET /metrics HTTP/1.1", named).await.code(), "forbidden_host");
    assert_eq!(ask("GET /metrics HTTP/1.1", &format!("{named}{named}{right}")).await.code(), "forbidden_host");
    let wrong = format!("{named}Authorization: Bearer wrong\r\n");
    assert_eq!(ask("GET /metrics HTTP/1.1", &wrong).await.code(), "unauthorized");
    for origin in ["http://prometheus-scrapes.lan:9180", "http://evil.example", "null"] {
        let fields = format!("{named}{right}Origin: {origin}\r\n");
        assert_eq!(ask("GET /metrics HTTP/1.1", &fields).await.code(), "forbidden_origin", "{origin}");
        let change = ask("DELETE /api/sessions/abcdef HTTP/1.1", &fields).await;
        assert_eq!(change.code(), "forbidden_host", "{origin}");
    }
}

#[tokio::test]
async fn health_says_one_word_to_whoever_asks() {
    let served = serve(Some(TOKEN)).await;
    let ask = async |line: &str, fields: &str| {
        let answer = ask_raw(served.address, &format!("{line}\r\nConnection: close\r\n{fields}\r\n")).await;
        (answer.status, answer.body)
    };
    let answer = |status: u16, body: &str| (status, body.to_owned());
    for (is_ready, ready) in [(false, answer(503, "unready\n")), (true, answer(200, "ok\n"))] {
        served.readiness.set_listening(is_ready);
        for query in ["", "?", "?verbose", "?verbose=1&x", "?token=x"] {
            for fields in ["", "Host: gate.lan\r\n", "Host: 127.0.0.1\r\n", "Authorization: Bearer wrong\r\n"] {
                for version in ["1.0", "1.1"] {
                    let line = format!("GET /readyz{query} HTTP/{version}");
                    assert_eq!(ask(&line, fields).await, ready, "{line} {fields}");
                    let line = format!("GET /livez{query} HTTP/{version}");
                    assert_eq!(ask(&line, fields).await, answer(200, "ok\n"), "{line} {fields}");
                }
            }
        }
        let head = ask("HEAD /readyz HTTP/1.0", "").await;
        assert_eq!(head, (ready.0, String::new()));
    }
    let rebound = "Host: evil.example\r\nOrigin: http://evil.example\r\n";
    assert_eq!(ask("GET /livez HTTP/1.1", rebound).await.0, 403);
}

#[tokio::test]
async fn the_page_is_open_and_its_data_is_not() {
    let served = serve(Some(TOKEN)).await;
    for (file, kind) in [("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")] {
        let answer = ask(served.address, &format!("GET {file}"), "").await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.field("content-type").unwrap().starts_with(kind), "{file}");
        let policy = answer.field("content-security-policy").unwrap();
        for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.split("; ").any(|part| part == rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    for data in ["/api/live", "/api/sessions"] {
        assert_eq!(ask(served.address, &format!("GET {data}"), "").await.code(), "unauthorized", "{data}");
        let right = ask(served.address, &format!("GET {data}"), &format!("Authorization: Bearer {TOKEN}\r\n")).await;
        assert_eq!((right.status, right.field("content-type")), (200, Some("application/json")), "{data}");
    }
}

#[tokio::test]
async fn a_session_is_ended_with_the_token_and_from_the_page_only() {
    let served = serve(Some(TOKEN)).await;
    let origin = format!("Origin: http://{}\r\n", served.address);
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let end = async |fields: String| ask(served.address, "DELETE /api/sessions/abcdef", &fields).await.code();
    assert_eq!(end(origin.clone()).await, "unauthorized");
    assert_eq!(end(token.clone()).await, "forbidden_origin");
    assert_eq!(end(format!("Origin: http://evil.example\r\n{token}")).await, "forbidden_origin");
    assert_eq!(end(format!("{origin}{token}")).await, "no_such_session");
    let open = serve(None).await;
    let origin = format!("Origin: http://{}\r\n", open.address);
    assert_eq!(ask(open.address, "DELETE /api/sessions/abcdef", &origin).await.code(), "token_not_configured");
    assert_eq!(ask(open.address, "POST /api/live", &origin).await.code(), "method_not_allowed");
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let served = serve(None).await;
    let answer = ask(served.address, "GET /metrics", "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.field("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let mut samples = 0;
    for line in answer.body.lines().filter(|line| !line.starts_with("# ")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
        let name = series.split('{').next().unwrap();
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
        assert_eq!(series.contains('{'), series.ends_with('}'), "{line}");
        samples += 1;
    }
    assert!(samples > 10, "{}", answer.body);
    assert!(answer.body.contains(&format!("# HELP {}", catalogue::build_info().name)));
}

#[tokio::test]
async fn readiness_flips_and_liveness_does_not() {
    let served = serve(Some(TOKEN)).await;
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let ask = |line| ask(served.address, line, &token);
    let ready = || ask("GET /readyz");
    let early = ready().await;
    assert_eq!((early.status, early.body.as_str()), (503, "[-] listening failed\n[+] not_draining ok\nunready\n"));
    served.readiness.set_listening(true);
    let now = ready().await;
    assert_eq!((now.status, now.body.as_str()), (200, "ok\n"));
    let verbose = ask("GET /readyz?verbose").await;
    assert_eq!((verbose.status, verbose.body.as_str()), (200, "[+] listening ok\n[+] not_draining ok\nok\n"));
    served.readiness.start_draining();
    let late = ready().await;
    assert_eq!((late.status, late.body.as_str()), (503, "[+] listening ok\n[-] not_draining failed\nunready\n"));
    let alive = ask("GET /livez").await;
    assert_eq!((alive.status, alive.body.as_str()), (200, "ok\n"));
}

#[tokio::test]
async fn only_known_pages_and_safe_methods() {
    let served = serve(None).await;
    for page in ["//", "/metrics/", "/livez/x", "/debug/pprof", "/../livez"] {
        let answer = ask(served.address, &format!("GET {page}"), "").await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{page}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = ask(served.address, &format!("{method} /metrics"), "Content-Length: 0\r\n").await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"), "{method}");
        assert_eq!(answer.field("allow"), Some("GET, HEAD"));
    }
    for page in ["/livez", "/metrics", "/nothing"] {
        let head = ask(served.address, &format!("HEAD {page}"), "").await;
        assert_eq!((head.status, head.body.as_str()), (if page == "/nothing" { 404 } else { 200 }, ""), "{page}");
    }
}

#[tokio::test]
async fn no_answer_may_be_kept_or_guessed_at() {
    let served = serve(None).await;
    for line in ["GET /livez", "GET /metrics", "GET /readyz", "GET /nothing", "POST /livez"] {
        let answer = ask(served.address, line, "").await;
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{line}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{line}");
    }
}

#[tokio::test]
async fn silent_connections_are_capped_and_time_out() {
    let served = serve(None).await;
    let began = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..admin::MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHo").await.unwrap();
        silent.push(stream);
    }
    // Served only after one of the silent ones has timed out.
    assert_eq!(ask(served.address, "GET /livez", "").await.status, 200);
    assert!(began.elapsed() >= admin::HEAD_TIMEOUT / 2, "{:?}", began.elapsed());
    for mut stream in silent {
        let mut rest = Vec::new();
        // A reset is as good an end as a closed connection.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("closed in time");
    }
}

#[tokio::test]
async fn shutdown_closes_idle_connections() {
    let served = serve(None).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = format!("GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"ok\n") {
        assert_ne!(timeout(PATIENCE, stream.read_buf(&mut seen)).await.unwrap().unwrap(), 0);
    }
    served.stop.send(()).unwrap();
    timeout(PATIENCE, served.task).await.expect("serve ends").unwrap();
    assert_eq!(timeout(PATIENCE, stream.read_buf(&mut seen)).await.unwrap().unwrap(), 0);
    assert!(TcpStream::connect(served.address).await.is_err());
}
