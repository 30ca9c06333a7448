//! How connections are closed: the last answer arrives whatever is still being sent, and nobody leaves anything behind.

use crate::gate::{Config, DEADLINE, Gate, KEY, PARTNER_KEY, consumer, get, post};
use crate::support::http::{RawClient, Response};
use crate::support::tls::{connector, make, shake};
use crate::support::witness::{Action, Behaviour, Witness};
use crate::tls::{start, wait_for_metric};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const MIB: usize = 1 << 20;

/// The key of a consumer that has one request an hour.
const SPARING_KEY: &str = "sgk_sparing_Hd7kS3jq8Zr0Lw5V";

const LINGERING: &str = "sensgate_connections_lingering";

/// A head with a key and a body of this length behind it.
fn head(key: &str, path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: gate\r\napi_key: {key}\r\nContent-Length: {length}\r\n\r\n")
}

/// The same with a chunked body.
fn chunked(key: &str, path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: gate\r\napi_key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n")
}

/// Sends all of it, as a client does that looks for its answer afterwards, and reads the answer.
async fn upload<S: AsyncRead + AsyncWrite + Unpin>(stream: S, head: &str, piece: &[u8], size: usize) -> Response {
    let mut client = RawClient::over(stream);
    client.send(head).await.unwrap();
    for _ in 0..size.div_ceil(piece.len()) {
        client.send(piece).await.unwrap_or_else(|error| panic!("{error} within {head}"));
    }
    client.read_response().await.unwrap_or_else(|error| panic!("{error} after {head}"))
}

/// 8sens that answers each request once it has its head, and closes.
async fn hasty() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n")
                && stream.read_buf(&mut head).await.is_ok_and(|n| n > 0)
            {}
            let _ = stream.write_all(b"HTTP/1.1 413 Enough\r\nContent-Length: 6\r\n\r\nenough").await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_refused_upload_arrives() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr()).with("limits", "body_bytes = \"10MiB\"").and(&consumer(
        "sparing",
        SPARING_KEY,
        "rate_limit = \"1/h\"\n",
    ));
    let gate = Gate::start(&config);
    let filler = vec![b'x'; 64 << 10];
    let chunk = [b"10000\r\n".as_slice(), &filler, b"\r\n"].concat();
    let bad_chunk = [chunk.as_slice(), b"zz\r\n"].concat();
    assert_eq!(gate.exchange(get("/").replace(KEY, SPARING_KEY)).await.status, 200);
    let cases: [(String, &[u8], usize, u16); 11] = [
        (head("nobody", "/v1/devis", 100 << 10), &filler, 100 << 10, 401),
        (head("nobody", "/v1/devis", MIB), &filler[..8192], MIB, 401),
        (head("nobody", "/v1/devis", 9 * MIB), &filler, 9 * MIB, 401),
        (chunked("nobody", "/v1/devis"), &chunk, 9 * MIB, 401),
        (head(KEY, "/v1/devis", 12 * MIB), &filler, 12 * MIB, 413),
        (chunked(KEY, "/v1/devis"), &chunk, 12 * MIB, 413),
        (chunked(KEY, "/v1/devis"), &bad_chunk, 2 * MIB, 400),
        (head(PARTNER_KEY, "/v1/devis", 2 * MIB), &filler, 2 * MIB, 403),
        (head(SPARING_KEY, "/v1/devis", 2 * MIB), &filler, 2 * MIB, 429),
        (head(KEY, "/v1/../devis", 2 * MIB), &filler, 2 * MIB, 400),
        (format!("POST /v1/devis HTTP/1.1\r\nHost: gate\r\n bad: {KEY}\r\n\r\n"), &filler, 2 * MIB, 400),
    ];
    for (head, piece, size, status) in cases {
        let answer = upload(TcpStream::connect(gate.address()).await.unwrap(), &head, piece, size).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{head}");
    }
    assert_eq!(witness.requests().len(), 1, "{:#?}", witness.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_8sens_before_the_end_of_the_body_arrives() {
    let gate = Gate::start(&Config::new(hasty().await));
    let filler = vec![b'x'; 64 << 10];
    let chunk = [b"10000\r\n".as_slice(), &filler, b"\r\n"].concat();
    for _ in 0..5 {
        for (head, piece) in [(head(KEY, "/v1/devis", 8 * MIB), &filler), (chunked(KEY, "/v1/devis"), &chunk)] {
            let answer = upload(TcpStream::connect(gate.address()).await.unwrap(), &head, piece, 8 * MIB).await;
            assert_eq!((answer.status, answer.text().as_str()), (413, "enough"), "{head}");
            assert_eq!(answer.header("connection"), Some("close"), "{head}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_refused_upload_arrives_by_tls() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| config);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = shake(gate.address(), &connector(&[&made], &[version]), "gate.example").await.unwrap();
        let mut client = RawClient::over(stream);
        client.send(head("nobody", "/v1/devis", 8 * MIB)).await.unwrap();
        let answer = {
            for _ in 0..128 {
                client.send(vec![b'x'; 64 << 10]).await.unwrap();
            }
            client.read_response().await.unwrap()
        };
        assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
        // Without close_notify this is an error, and not the end.
        assert_eq!(client.read_to_end().await.unwrap(), b"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_place_or_has_to_come_by_https_reads_so() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr())
        .with("limits", "connections_per_address = 1")
        .and("[[listener]]\naddress = \"127.0.0.1:0\"\nplaintext = \"redirect\"\n");
    let gate = Gate::start(&config);
    let filler = vec![b'x'; 64 << 10];
    let redirected = format!("GET /v1/a HTTP/1.1\r\nHost: gate\r\nContent-Length: {}\r\n\r\n", 2 * MIB);
    let answer = upload(TcpStream::connect(gate.addresses[1]).await.unwrap(), &redirected, &filler, 2 * MIB).await;
    assert_eq!((answer.status, answer.header("connection")), (308, Some("close")));
    wait_for_metric_to_be(&gate, "sensgate_connections_open", 0.0).await;

    let mut first = gate.connect().await;
    assert_eq!(first.exchange(get("/")).await.unwrap().status, 200);
    let second = TcpStream::connect(gate.address()).await.unwrap();
    let answer = upload(second, &head(KEY, "/v1/devis", 2 * MIB), &filler, 2 * MIB).await;
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert_eq!(witness.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_refusal_is_no_request_and_holds_its_place() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("limits", "connections_per_address = 1"));
    let mut refused = gate.connect().await;
    let canaries = get("/canary").repeat(20_000);
    refused.send(head("nobody", "/v1/devis", canaries.len())).await.unwrap();
    refused.send(&canaries).await.unwrap();
    refused.send(get("/behind")).await.unwrap();
    assert_eq!(refused.read_response().await.unwrap().status, 401);
    assert_eq!(refused.read_to_end().await.unwrap(), b"");
    assert_eq!(gate.metric(LINGERING).await, 1.0, "{}", gate.metrics().await);
    assert_eq!(gate.connect().await.read_response().await.unwrap().status, 503);
    drop(refused);
    wait_for_metric_to_be(&gate, LINGERING, 0.0).await;
    wait_for_metric_to_be(&gate, "sensgate_connections_open", 0.0).await;
    assert_eq!(gate.exchange(get("/after")).await.status, 200);
    assert_eq!(witness.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_stops_sending_is_closed_in_the_end() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()));
    let mut client = gate.connect().await;
    client.send(chunked("nobody", "/v1/devis")).await.unwrap();
    let (mut sent, filler) = (0, vec![b'x'; 64 << 10]);
    while client.send(&filler).await.is_ok() {
        sent += filler.len();
        assert!(sent < 256 * MIB, "there is no end to it");
    }
    assert!(sent >= 15 * MIB, "{sent}");
    wait_for_metric_to_be(&gate, "sensgate_connections_open", 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_gate_does_not_wait_for_an_upload() {
    let witness = Witness::start(Behaviour::answer()).await;
    let mut gate = Gate::start(&Config::new(witness.addr()).with("server", "drain_timeout = \"1h\""));
    let mut client = gate.connect().await;
    client.send(chunked("nobody", "/v1/devis")).await.unwrap();
    assert_eq!(client.read_response().await.unwrap().status, 401);
    wait_for_metric(&gate, LINGERING, 1.0).await;
    // Never silent, never too slow and never too much: 128 KiB in each second, which is borne for 30.
    let dripping = tokio::spawn(async move {
        let mut drip = tokio::time::interval(Duration::from_millis(125));
        while client.send(vec![b'x'; 16 << 10]).await.is_ok() {
            drip.tick().await;
        }
    });
    gate.signal("TERM");
    assert!(gate.wait_for_exit().success());
    dripping.await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_that_is_let_go_leaves_nothing_behind() {
    let witness = Witness::start(Behaviour::always(Action::Download(64 << 20))).await;
    let made = make(&["gate.example"]);
    let gate = start(&witness, &made, |config| {
        config.with("limits", "write_timeout = \"500ms\"").and("[[listener]]\naddress = \"127.0.0.1:0\"\n")
    });
    let plain = gate.addresses[1];
    let mut held = Vec::new();
    // A write is carried to its end all the same.
    let post = post("/v1/devis", "an order");
    for request in [get("/v1/export"), post, get("/v1/export").repeat(20)] {
        let mut client = RawClient::connect(plain).await.unwrap();
        client.send(&request).await.unwrap();
        held.push(client);
    }
    let mut secure = shake(gate.address(), &connector(&[&made], rustls::ALL_VERSIONS), "gate.example").await.unwrap();
    secure.write_all(get("/v1/export").as_bytes()).await.unwrap();
    wait_for_metric(&gate, "sensgate_connections_total{outcome=\"slow_reader\"}", 4.0).await;
    for address in [plain, gate.address()] {
        wait_until_nothing_is_left(address.port());
    }
    drop((held, secure));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_refusals_and_never_reads_leaves_nothing_behind() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr())
        .with("limits", "failed_credentials = \"1000000/s\"")
        .with("limits", "address_budget = \"1000000/s\"")
        .with("limits", "requests_per_connection = 1000000");
    let gate = Gate::start(&config);
    let client = TcpStream::connect(gate.address()).await.unwrap();
    let (read, mut write) = client.into_split();
    let pipeline = get("/").replace(KEY, "nobody").repeat(500);
    // Until the gate, whose answers are not taken, reads no more and gives up.
    while write.write_all(pipeline.as_bytes()).await.is_ok() {}
    wait_for_metric(&gate, "sensgate_connections_total{outcome=\"slow_reader\"}", 1.0).await;
    wait_until_nothing_is_left(gate.address().port());
    drop(read);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_whose_answer_the_system_holds_already() {
    // Little enough to be sent in the eyes of the gate.
    let witness = Witness::start(Behaviour::always(Action::Download(40 << 10))).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("limits", "write_timeout = \"500ms\""));
    let mut client = RawClient::over(narrow(&gate, 4096).await);
    client.send(get("/v1/export")).await.unwrap();
    assert_eq!(gate.wait_for_record(|record| record["path"] == "/v1/export")["code"], "ok");
    wait_until_nothing_is_left(gate.address().port());
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_but_not_too_slowly_reads_all_of_it() {
    let witness = Witness::start(Behaviour::by(|request| match request.target() {
        "/v1/short" => Action::Download(40 << 10),
        _ => Action::Download(4 << 20),
    }))
    .await;
    let gate = Gate::start(
        &Config::new(witness.addr())
            .with("limits", "write_timeout = \"1s\"")
            .with("limits", "requests_per_connection = 2"),
    );
    let mut client = RawClient::over(narrow(&gate, 128 << 10).await);
    client.send([get("/v1/long"), get("/v1/short")].concat()).await.unwrap();
    let (mut drip, mut read) = (tokio::time::interval(Duration::from_millis(100)), 0);
    let mut piece = vec![0; 64 << 10];
    while read < 4 << 20 {
        drip.tick().await;
        read += client.stream_mut().read(&mut piece).await.unwrap();
    }
    // The gate has said everything and closed its side before the rest is read.
    gate.wait_for_record(|record| record["path"] == "/v1/short");
    loop {
        match client.stream_mut().read(&mut piece).await.unwrap() {
            0 => break,
            more => read += more,
        }
    }
    assert!(read > (4 << 20) + (40 << 10), "{read}");
}

/// A client whose system keeps so many bytes for it.
async fn narrow(gate: &Gate, bytes: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(bytes).unwrap();
    socket.connect(gate.address()).await.unwrap()
}

async fn wait_for_metric_to_be(gate: &Gate, series: &str, value: f64) {
    let end = Instant::now() + DEADLINE;
    while gate.metric(series).await != value {
        assert!(Instant::now() < end, "{series}: {}", gate.metrics().await);
    }
}

/// Waits until the system holds no connection of this local port any more, but for those that wait for late segments
/// (TIME-WAIT).
#[cfg(target_os = "linux")]
pub fn wait_until_nothing_is_left(port: u16) {
    let (listening, time_wait) = ("0A", "06");
    let left = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let of_port = |line: &&str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields[1].ends_with(&format!(":{port:04X}")) && fields[3] != listening && fields[3] != time_wait
        };
        table.lines().skip(1).filter(of_port).map(str::to_owned).collect::<Vec<_>>()
    };
    let gone = crate::gate::wait_until(|| left().is_empty().then_some(()));
    assert!(gone.is_some(), "{:#?}", left());
}
