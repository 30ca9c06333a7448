//! So many requests a second, from so many callers, and when each was answered how.

use crate::support::http::RawClient;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(70);

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    pub sent: Instant,
    pub came: Instant,
    /// `None` when the connection ended without an answer.
    pub status: Option<u16>,
}

/// Callers at work, each on one connection.
pub struct Load {
    stop: Arc<AtomicBool>,
    callers: JoinSet<Vec<Answered>>,
}

impl Load {
    /// `request` makes the requests of a caller, by its number and that of the request.
    pub fn start(
        gate: SocketAddr,
        per_second: u32,
        callers: u32,
        request: impl Fn(u32, u32) -> String + Clone + Send + Sync + 'static,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let mut set = JoinSet::new();
        for caller in 0..callers {
            let (request, stop) = (request.clone(), Arc::clone(&stop));
            let pace = Duration::from_secs(callers.into()) / per_second;
            set.spawn(async move { call(gate, pace, &stop, |number| request(caller, number)).await });
        }
        Self { stop, callers: set }
    }

    /// Ends it, and gives all that was sent, in the order in which it was.
    pub async fn end(self) -> Vec<Answered> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all: Vec<Answered> = self.callers.join_all().await.into_iter().flatten().collect();
        all.sort_by_key(|answered| answered.sent);
        all
    }
}

async fn call(
    gate: SocketAddr,
    pace: Duration,
    stop: &AtomicBool,
    request: impl Fn(u32) -> String + Send,
) -> Vec<Answered> {
    let (mut seen, mut client) = (Vec::new(), None::<RawClient>);
    let mut pace = interval(pace);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0.. {
        pace.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let sent = Instant::now();
        let answer = match client.take() {
            Some(open) => Some(open),
            None => RawClient::connect(gate).await.ok().map(|open| open.with_deadline(PATIENCE)),
        };
        let mut status = None;
        if let Some(mut open) = answer
            && let Ok(answer) = open.exchange(request(number)).await
        {
            status = Some(answer.status);
            if answer.header("connection") != Some("close") {
                client = Some(open);
            }
        }
        seen.push(Answered { sent, came: Instant::now(), status });
    }
    seen
}

/// How many were answered so.
pub fn count(answered: &[Answered], status: u16) -> usize {
    answered.iter().filter(|one| one.status == Some(status)).count()
}

/// The statuses and how often each came, such as `200 × 12, 401 × 3`.
pub fn statuses(answered: &[Answered]) -> String {
    let mut counts = std::collections::BTreeMap::<Option<u16>, usize>::new();
    for one in answered {
        *counts.entry(one.status).or_default() += 1;
    }
    let named = |status: Option<u16>| status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    counts.into_iter().map(|(status, count)| format!("{} × {count}", named(status))).collect::<Vec<_>>().join(", ")
}

/// The time within which 99 of 100 were answered.
pub fn p99(answered: impl Iterator<Item = Answered>) -> Duration {
    let mut times: Vec<Duration> = answered.map(|one| one.came - one.sent).collect();
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
}
