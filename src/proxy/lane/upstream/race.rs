//! One connection to any of several addresses (in the spirit of RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

/// The head start that an attempt has over the next one (RFC 8305 section 8), unless it fails before.
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection, and which addresses refused one before.
#[derive(Debug)]
pub struct Reached<T> {
    pub address: SocketAddr,
    pub stream: T,
    pub failures: Vec<Failure>,
}

/// One address that took no connection.
#[derive(Debug)]
pub struct Failure {
    pub address: SocketAddr,
    pub error: io::Error,
}

/// Connects to the first of these addresses that takes a connection, trying them in this order, each a little later
/// than the one before or as soon as that one has failed. All of it takes so long at most.
///
/// # Errors
/// Why each address failed, when all did.
pub async fn connect(addresses: &[SocketAddr], within: Duration) -> Result<Reached<TcpStream>, Vec<Failure>> {
    let deadline = Instant::now() + within;
    let attempt = async |address| match timeout_at(deadline, TcpStream::connect(address)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    race(addresses, head_start(addresses.len(), within), attempt).await
}

/// The failure that tells most: that an address was silent, else that it refused, else the first one.
#[must_use]
pub fn most_telling(failures: Vec<Failure>) -> Option<Failure> {
    let rank = |failure: &Failure| match failure.error.kind() {
        io::ErrorKind::TimedOut => 0,
        io::ErrorKind::ConnectionRefused => 1,
        _ => 2,
    };
    failures.into_iter().min_by_key(rank)
}

/// Every address has its share of a short time.
fn head_start(addresses: usize, within: Duration) -> Duration {
    HEAD_START.min(within / u32::try_from(addresses).unwrap_or(u32::MAX).max(1))
}

/// Attempts that were overtaken are dropped.
async fn race<T, A: Future<Output = io::Result<T>>>(
    addresses: &[SocketAddr],
    head_start: Duration,
    attempt: impl Fn(SocketAddr) -> A,
) -> Result<Reached<T>, Vec<Failure>> {
    let mut waiting = addresses.iter().copied();
    let mut running: Vec<(SocketAddr, Pin<Box<A>>)> = Vec::new();
    let mut failures = Vec::new();
    loop {
        if let Some(address) = waiting.next() {
            running.push((address, Box::pin(attempt(address))));
        }
        if running.is_empty() {
            return Err(failures);
        }
        tokio::select! {
            (address, outcome) = first_to_end(&mut running) => match outcome {
                Ok(stream) => return Ok(Reached { address, stream, failures }),
                Err(error) => failures.push(Failure { address, error }),
            },
            () = sleep(head_start), if waiting.len() > 0 => {}
        }
    }
}

/// Waits until one of them ends, and takes it out.
async fn first_to_end<T, A: Future<Output = T>>(running: &mut Vec<(SocketAddr, Pin<Box<A>>)>) -> (SocketAddr, T) {
    std::future::poll_fn(|cx| {
        for index in 0..running.len() {
            if let Poll::Ready(outcome) = running[index].1.as_mut().poll(cx) {
                return Poll::Ready((running.remove(index).0, outcome));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// What an address does, and after how many milliseconds.
    #[derive(Clone, Copy)]
    enum Does {
        Take(u64),
        Refuse(u64),
        Nothing,
    }
    use Does::{Nothing, Refuse, Take};

    /// Races addresses with the ports 1, 2, 3 …; says who won, when, which were tried and which failed.
    async fn run(all: &[Does], head_start: u64) -> (Option<u16>, u64, Vec<u16>, Vec<u16>) {
        let addresses: Vec<_> =
            (1..).take(all.len()).map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        let (tried, start) = (Mutex::new(Vec::new()), Instant::now());
        let attempt = |address: SocketAddr| {
            tried.lock().unwrap().push(address.port());
            let does = all[usize::from(address.port()) - 1];
            async move {
                match does {
                    Take(after) => sleep(Duration::from_millis(after)).await,
                    Refuse(after) => {
                        sleep(Duration::from_millis(after)).await;
                        return Err(io::ErrorKind::ConnectionRefused.into());
                    }
                    Nothing => std::future::pending().await,
                }
                Ok(())
            }
        };
        let raced = race(&addresses, Duration::from_millis(head_start), attempt).await;
        let after = u64::try_from(start.elapsed().as_millis()).unwrap();
        let ports = |failures: &[Failure]| failures.iter().map(|failure| failure.address.port()).collect();
        let tried = tried.into_inner().unwrap();
        match raced {
            Ok(reached) => (Some(reached.address.port()), after, tried, ports(&reached.failures)),
            Err(failures) => (None, after, tried, ports(&failures)),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_one_starts_when_the_one_before_fails_or_takes_too_long() {
        assert_eq!(run(&[Take(10), Take(0)], 250).await, (Some(1), 10, vec![1], vec![]));
        assert_eq!(run(&[Refuse(5), Take(10)], 250).await, (Some(2), 15, vec![1, 2], vec![1]));
        assert_eq!(run(&[Nothing, Take(10)], 250).await, (Some(2), 260, vec![1, 2], vec![]));
        assert_eq!(run(&[Nothing, Refuse(0), Take(1)], 250).await, (Some(3), 251, vec![1, 2, 3], vec![2]));
        assert_eq!(run(&[Nothing, Nothing, Nothing, Take(0)], 100).await.1, 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_one_may_still_win() {
        assert_eq!(run(&[Take(300), Take(300)], 250).await, (Some(1), 300, vec![1, 2], vec![]));
        assert_eq!(run(&[Take(300), Refuse(10)], 250).await, (Some(1), 300, vec![1, 2], vec![2]));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_each_one_says_so() {
        assert_eq!(run(&[Refuse(1), Refuse(2)], 250).await, (None, 3, vec![1, 2], vec![1, 2]));
        assert_eq!(run(&[Refuse(300), Refuse(0)], 250).await, (None, 300, vec![1, 2], vec![2, 1]));
        assert_eq!(run(&[], 250).await, (None, 0, vec![], vec![]));
    }

    #[test]
    fn every_address_gets_its_turn_within_the_time() {
        let of = |addresses, within| head_start(addresses, Duration::from_millis(within)).as_millis();
        assert_eq!(of(2, 2000), 250);
        assert_eq!(of(2, 200), 100);
        assert_eq!(of(8, 1000), 125);
        assert_eq!(of(0, 1000), 250);
    }

    #[test]
    fn silence_tells_more_than_a_refusal() {
        let told = |kinds: &[io::ErrorKind]| {
            let failure = |kind: &io::ErrorKind| Failure { address: ([127, 0, 0, 1], 1).into(), error: (*kind).into() };
            most_telling(kinds.iter().map(failure).collect()).map(|failure| failure.error.kind())
        };
        use io::ErrorKind::{ConnectionRefused, NetworkUnreachable, TimedOut};
        assert_eq!(told(&[NetworkUnreachable, ConnectionRefused]), Some(ConnectionRefused));
        assert_eq!(told(&[ConnectionRefused, TimedOut]), Some(TimedOut));
        assert_eq!(told(&[NetworkUnreachable]), Some(NetworkUnreachable));
        assert_eq!(told(&[]), None);
    }
}
