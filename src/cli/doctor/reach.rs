//! Finds 8sens as the gate does: every address of its name, and the first of them that takes a connection.

use crate::proxy::lane::upstream::Addresses;
use crate::proxy::lane::upstream::race::{self, Failure};
use crate::text;
use crate::text::Text;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// How long the resolver may take.
const RESOLVE: Duration = Duration::from_secs(10);

/// What took a connection.
#[derive(Debug)]
pub(super) struct Found {
    pub address: SocketAddr,
    /// Our own address on the way there.
    pub ours: Option<IpAddr>,
    /// Addresses that were tried before and did not take one.
    pub failures: Vec<Failure>,
}

/// Every address of the name, in the order in which the gate tries them at first. The system's resolver cannot be
/// told how long to take, so it is asked on a thread of its own.
pub(super) fn resolve(host: &str, port: u16) -> Result<Addresses, Text> {
    let no_address = || text! { en: "no address", fr: "aucune adresse" };
    if let Ok(ip) = host.parse() {
        return Addresses::found([SocketAddr::new(ip, port)], None).ok_or_else(no_address);
    }
    let (answers, answer) = std::sync::mpsc::sync_channel(1);
    let name = host.to_owned();
    std::thread::spawn(move || {
        // Nobody listens any more when it took too long.
        let _ = answers.send((name.as_str(), port).to_socket_addrs());
    });
    match answer.recv_timeout(RESOLVE) {
        Ok(Ok(found)) => Addresses::found(found, None).ok_or_else(no_address),
        Ok(Err(error)) => Err(text! { en: "{error}", fr: "{error}" }),
        Err(_) => Err(text! { en: "no answer in time", fr: "pas de réponse à temps" }),
    }
}

/// Connects to the first address that lets itself be connected to, all within this time, and closes the connection
/// again.
pub(super) fn connect(addresses: &Addresses, within: Duration) -> Result<Found, Vec<Failure>> {
    let failed = |error| vec![Failure { address: addresses.first(), error }];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let reached = runtime.block_on(race::connect(addresses.in_order(), within))?;
    let ours = reached.stream.local_addr().ok().map(|address| address.ip());
    Ok(Found { address: reached.address, ours, failures: reached.failures })
}

/// The address of 8sens that takes connections.
pub(super) fn find(host: &str, port: u16, within: Duration) -> io::Result<SocketAddr> {
    let addresses = resolve(host, port).map_err(|why| io::Error::other(why.en))?;
    match connect(&addresses, within) {
        Ok(found) => Ok(found.address),
        Err(failures) => {
            Err(race::most_telling(failures).map_or_else(|| io::ErrorKind::NotFound.into(), |one| one.error))
        }
    }
}
