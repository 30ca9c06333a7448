//! The README: its configuration, its commands, and what it says of nginx.

use super::commands::is_a_command;
use super::proxies::nginx_in;
use super::{blocks, read, write_certificate};
use crate::gate::{DEADLINE, KEY, UPSTREAM_KEY, wait_until, write_secret};
use crate::said;
use crate::support::http::RawClient;
use crate::support::port;
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

#[test]
fn its_configuration_is_complete_in_ten_lines() {
    let shown = blocks(&read("README.md"), "toml");
    let [config] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!(config.lines().filter(|line| !line.is_empty()).count(), 10, "{config}");
    assert_eq!(blocks(&read("docs/fr/README.md"), "toml"), shown);

    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    write_secret(&folder.path().join("8sens-api-key"), UPSTREAM_KEY);
    let file = folder.path().join("sensgate.toml");
    std::fs::write(&file, config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sensgate"))
        .args(["check", "--strict", "--lang", "en", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn its_commands_are_there() {
    let makefile = read("Makefile");
    for page in ["README.md", "docs/fr/README.md"] {
        let text = read(page);
        let shown =
            || text.lines().filter_map(|line| line.strip_prefix("    ")).map(|line| line.split("  ").next().unwrap());
        let made: Vec<_> = shown().filter_map(|line| line.strip_prefix("make ")).collect();
        assert_eq!(made, ["demo", "test"], "{page}");
        assert!(made.iter().all(|target| makefile.contains(&format!("\n{target}: "))), "{page}");
        let commands: Vec<_> = shown().filter_map(|line| line.strip_prefix("sensgate ")).collect();
        assert_eq!(commands.len(), 3, "{page}: {commands:?}");
        commands.into_iter().for_each(is_a_command);
    }
}

/// Stands in 8sens's place: a GET is answered, an order is not. Says each head, and "hung up" when the proxy leaves an
/// order.
async fn upstream(listener: TcpListener, told: mpsc::Sender<String>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let told = told.clone();
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            told.send(head.clone()).await.unwrap();
            if head.starts_with("GET ") {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            } else if stream.read(&mut [0; 64]).await.is_ok_and(|read| read == 0) {
                told.send("hung up".to_owned()).await.unwrap();
            }
        });
    }
}

/// What the table says of nginx's own behaviour.
#[tokio::test(flavor = "multi_thread")]
async fn what_nginx_does_alone() {
    let listener = TcpListener::bind(super::ANY).await.unwrap();
    let (folder, address, front) = (tempfile::tempdir().unwrap(), listener.local_addr().unwrap(), port::free());
    let (told, mut seen) = mpsc::channel(8);
    tokio::spawn(upstream(listener, told));
    let log = folder.path().join("access.log");
    let http = format!(
        "access_log {};\nlimit_req_zone $binary_remote_addr zone=callers:1m rate=1r/m;\nserver {{ listen {front};\n\
         location / {{ proxy_pass http://{address}; }}\n\
         location /few {{ limit_req zone=callers; proxy_pass http://{address}; }} }}\n",
        log.display()
    );
    let _nginx = nginx_in(folder.path(), &http, front.port());
    let get = async |target: &str| {
        let mut client = RawClient::connect(front).await.unwrap();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\n\r\n").as_bytes()).await.unwrap();
        client.read_response().await.unwrap()
    };
    let mut heard = async || timeout(DEADLINE, seen.recv()).await.unwrap().unwrap();

    assert_eq!(get("/v1/articles?api_key=in-the-url").await.status, 200);
    let head = heard().await;
    assert!(head.contains("?api_key=in-the-url ") && !head.contains(KEY), "{head}");
    // The line is written when the answer is out.
    let logged = wait_until(|| std::fs::read_to_string(&log).unwrap().contains("in-the-url").then_some(()));
    assert!(logged.is_some());

    assert_eq!(get("/few").await.status, 200);
    heard().await;
    let limited = get("/few").await;
    assert_eq!((limited.status, limited.header("Retry-After")), (503, None), "{}", limited.head);

    let mut caller = TcpStream::connect(front).await.unwrap();
    caller.write_all(b"POST /v1/devis HTTP/1.1\r\nHost: gate\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert!(heard().await.starts_with("POST "));
    drop(caller);
    assert_eq!(heard().await, "hung up");
}
