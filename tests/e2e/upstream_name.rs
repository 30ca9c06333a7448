//! An 8sens that is reached by its name: whichever of its addresses answers is used, and a name that moves is followed.

use crate::gate::{Config, DEADLINE, Gate, get, post, write_secret};
use crate::support::hosts::Hosts;
use crate::support::port;
use crate::support::tls::{Authority, Terminator};
use crate::support::witness::{Behaviour, Witness};
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Instant;

/// Where a name leads in these tests, all on one port.
struct Place {
    hosts: Hosts,
    folder: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn new(lines: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let hosts = Hosts::new(folder.path(), lines)?;
        Some(Self { hosts, folder, port: port::free().port() })
    }

    fn address(&self, ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse::<IpAddr>().unwrap(), self.port)
    }

    async fn witness(&self, ip: &str) -> Witness {
        Witness::start_at(self.address(ip), Behaviour::answer()).await
    }

    fn gate(&self, host: &str, more: impl FnOnce(Config) -> Config) -> Gate {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.folder.path()).unwrap().map(Result::unwrap) {
            if entry.path().extension().is_some_and(|extension| extension == "pem") {
                write_secret(&folder.path().join(entry.file_name()), &std::fs::read_to_string(entry.path()).unwrap());
            }
        }
        let config = more(Config::new(format!("{host}:{}", self.port)));
        Gate::start_command(folder, &config.text(), self.hosts.sensgate(), |command| command)
    }
}

/// Takes no connection and refuses none: the queue of those that wait is full.
struct Silent {
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl Silent {
    fn at(address: SocketAddr) -> Self {
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let patience = std::time::Duration::from_millis(200);
        let waiting: Vec<_> = (0..8).map_while(|_| TcpStream::connect_timeout(&address, patience).ok()).collect();
        assert!(waiting.len() < 8, "the queue never gets full");
        Self { _listener: listener, _waiting: waiting }
    }
}

const LOCALHOST: &str = "127.0.0.1 localhost\n::1 localhost\n";

#[tokio::test(flavor = "multi_thread")]
async fn localhost_may_lead_to_an_address_where_nobody_listens_first() {
    let Some(place) = Place::new(LOCALHOST) else { return };
    let witness = place.witness("127.0.0.1").await;
    let gate = place.gate("localhost", |config| config);
    assert_eq!(gate.exchange(post("/v1/login/user", "login=a&password=b")).await.status, 200);
    let mut client = gate.connect().await;
    for _ in 0..3 {
        assert_eq!(client.exchange(get("/v1/articles")).await.unwrap().status, 200);
    }
    let requests = witness.requests();
    assert_eq!(requests[2].connection, requests[3].connection, "reads share a connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_says_nothing_holds_nobody_up_for_long() {
    let Some(place) = Place::new("::1 8sens.lan\n127.0.0.1 8sens.lan\n") else { return };
    let (_silent, witness) = (Silent::at(place.address("::1")), place.witness("127.0.0.1").await);
    for connect_timeout in ["10s", "300ms"] {
        let timeout = format!("connect_timeout = \"{connect_timeout}\"");
        let gate = place.gate("8sens.lan", |config| config.with("upstream", &timeout));
        for request in [get("/v1/articles"), post("/v1/commandes", "a=b"), get("/v1/articles")] {
            assert_eq!(gate.exchange(request).await.status, 200, "{connect_timeout}");
        }
    }
    assert_eq!(witness.requests().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_addresses_of_a_name_share_one_connect_timeout() {
    let Some(place) = Place::new("::1 8sens.lan\n127.0.0.1 8sens.lan\n127.0.0.2 8sens.lan\n") else { return };
    let _silent = ["::1", "127.0.0.1", "127.0.0.2"].map(|ip| Silent::at(place.address(ip)));
    let gate = place.gate("8sens.lan", |config| config.with("upstream", "connect_timeout = \"1s\""));
    let refused = gate.exchange(get("/v1/articles")).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (502, Some("upstream_unreachable")));
    gate.wait_for_record(|record| record["reason"] == "connect timed out");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_at_whichever_address_answers() {
    let Some(place) = Place::new(LOCALHOST) else { return };
    let (witness, authority) = (Witness::start(Behaviour::answer()).await, Authority::new());
    let made = authority.issue("localhost", 2099);
    let terminator = Terminator::start_at(place.address("127.0.0.1"), &made, witness.addr()).await;
    std::fs::write(place.folder.path().join("ca.pem"), &authority.pem).unwrap();
    let gate = place.gate("localhost", |config| config.and("[upstream.tls]\nca = \"ca.pem\"\n"));
    for _ in 0..3 {
        assert_eq!(gate.exchange(get("/v1/a")).await.status, 200);
    }
    assert_eq!(terminator.seen.lock().unwrap()[0].0.as_deref(), Some("localhost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_moved_is_followed_by_writes() {
    let Some(place) = Place::new("127.0.0.1 8sens.lan\n") else { return };
    let old = place.witness("127.0.0.1").await;
    let gate = place.gate("8sens.lan", |config| config);
    assert_eq!(gate.exchange(post("/v1/before", "a=b")).await.status, 200);
    let new = place.witness("127.0.0.2").await;
    place.hosts.write("127.0.0.2 8sens.lan\n");
    old.stop().await;
    let followed = crate::gate::wait_until(|| {
        let answer = block(gate.exchange(post("/v1/after", "a=b")));
        assert!(matches!(answer.status, 200 | 502), "{}", answer.status);
        (answer.status == 200).then_some(())
    });
    assert!(followed.is_some(), "the name is not followed");
    assert_eq!(new.requests().len(), 1, "nothing is sent twice");
}

/// Runs a future from a closure that is not async.
fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_moves_is_followed_although_the_old_address_still_answers() {
    let Some(place) = Place::new("127.0.0.1 8sens.lan\n") else { return };
    let (old, new) = (place.witness("127.0.0.1").await, place.witness("127.0.0.2").await);
    let gate = place.gate("8sens.lan", |config| config.with("upstream", "keepalive_timeout = \"60s\""));
    assert_eq!(gate.exchange(get("/v1/before")).await.status, 200);
    place.hosts.write("127.0.0.2 8sens.lan\n");
    let end = Instant::now() + DEADLINE;
    while new.requests().is_empty() {
        assert_eq!(gate.exchange(get("/v1/articles")).await.status, 200);
        assert!(Instant::now() < end, "the name is not followed");
        tokio::task::yield_now().await;
    }
    let before = old.requests().len();
    for _ in 0..3 {
        assert_eq!(gate.exchange(get("/v1/after")).await.status, 200);
    }
    assert_eq!(old.requests().len(), before, "connections to the old address are not used again");
}
