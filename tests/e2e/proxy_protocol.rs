//! The PROXY header: who calls, as a proxy in front states it.

use crate::gate::{KEY, get};
use crate::support::http::RawClient;
use crate::support::tls::{connector, make};
use crate::support::witness::{Behaviour, Witness};
use crate::tls::start;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_header_says_who_calls_before_tls_and_after_it() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| {
        config.with("listener", "proxy_protocol = [\"127.0.0.1\"]").with("limits", "connections_per_address = 2")
    });
    let header = b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443\r\n";
    let connector = connector(&[&made], rustls::ALL_VERSIONS);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(gate.address()).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, header).await.unwrap();
        let stream = connector.connect(ServerName::try_from("gate.example").unwrap(), stream).await.unwrap();
        let mut client = RawClient::over(stream);
        assert_eq!(client.exchange(get("/v1/a")).await.unwrap().status, 200);
        held.push(client);
    }
    assert_eq!(gate.wait_for_record(|record| record["path"] == "/v1/a")["client_ip"], "203.0.113.9");
    assert_eq!(witness.requests()[0].values("x-forwarded-for"), ["203.0.113.9"]);
    // A third of that address has no place; the proxy itself is not counted.
    let mut stream = TcpStream::connect(gate.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, header).await.unwrap();
    let mut refused =
        RawClient::over(connector.connect(ServerName::try_from("gate.example").unwrap(), stream).await.unwrap());
    assert_eq!(refused.read_response().await.unwrap().status, 503);
    // Without the header a listed proxy is not heard.
    let mut bare = RawClient::connect(gate.address()).await.unwrap();
    bare.send(get("/v1/b").replace(KEY, "nobody")).await.unwrap();
    let _ = bare.read_to_end().await;
    gate.wait_for_record(|record| record["reason"] == "no PROXY header from a proxy");
}
