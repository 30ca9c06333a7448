//! What the service manager learns while the gate runs: that it is alive, and whether 8sens answers.

use crate::platform::{Notice, ServiceManager};
use crate::proxy::lane::upstream::Upstream;
use crate::text;
use crate::text::Lang;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How soon `systemctl status` shows that 8sens is gone, or back.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How long the tables may go unswept before the gate is taken for stuck. They are swept each second.
const LATEST_ROUND: Duration = Duration::from_secs(10);

/// Counts the rounds in which the tables were swept: a lock in them that is never given back stops it.
#[derive(Debug, Default)]
pub(super) struct Rounds(AtomicU64);

impl Rounds {
    pub(super) fn done(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Who is told, and in which language.
#[derive(Clone, Debug)]
pub(super) struct Supervision {
    pub(super) manager: ServiceManager,
    pub(super) lang: Lang,
}

impl Default for Supervision {
    fn default() -> Self {
        Self { manager: ServiceManager::default(), lang: Lang::En }
    }
}

impl Supervision {
    /// Tells it for ever; ends with the runtime. The gate is alive while this task is woken in time, the tables are
    /// swept, and every accept loop runs, unless the gate is draining. Without all three nothing is said, and the
    /// service manager starts the gate anew.
    pub(super) async fn watch(
        self,
        upstream: Arc<Upstream>,
        rounds: Arc<Rounds>,
        accepting: Vec<AbortHandle>,
        draining: watch::Receiver<bool>,
    ) {
        if !self.manager.is_there() {
            return;
        }
        // A third: one late beat is not the end.
        let beat = self.manager.watchdog().map(|watchdog| (watchdog / 3).max(Duration::from_millis(1)));
        let mut status = tokio::time::interval(STATUS_EVERY);
        let mut beats = tokio::time::interval(beat.unwrap_or(STATUS_EVERY));
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut shown = None;
        let mut pulse = Pulse { rounds: rounds.count(), at: Instant::now() };
        loop {
            tokio::select! {
                _ = status.tick() => {
                    let reachable = upstream.is_reachable();
                    if shown != Some(reachable) {
                        self.manager.tell(Notice::Status(self.sentence(reachable)));
                        shown = Some(reachable);
                    }
                }
                _ = beats.tick(), if beat.is_some() => {
                    let accepts = *draining.borrow() || !accepting.iter().any(AbortHandle::is_finished);
                    if pulse.is_felt(rounds.count(), Instant::now()) && accepts {
                        self.manager.tell(Notice::Alive);
                    }
                }
            }
        }
    }

    fn sentence(&self, reachable: Option<bool>) -> String {
        let text = match reachable {
            Some(true) => text! { en: "8sens is reachable", fr: "8sens est joignable" },
            Some(false) => text! { en: "8sens is not reachable", fr: "8sens n'est pas joignable" },
            None => text! { en: "8sens was not asked yet", fr: "8sens n'a pas encore été interrogé" },
        };
        text.in_lang(self.lang).to_owned()
    }
}

/// The last round that was seen, and when.
#[derive(Debug)]
struct Pulse {
    rounds: u64,
    at: Instant,
}

impl Pulse {
    fn is_felt(&mut self, rounds: u64, now: Instant) -> bool {
        if rounds != self.rounds {
            *self = Self { rounds, at: now };
        }
        now.duration_since(self.at) <= LATEST_ROUND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_whose_tables_are_stuck_is_not_alive() {
        let start = Instant::now();
        let mut pulse = Pulse { rounds: 0, at: start };
        assert!(pulse.is_felt(0, start + LATEST_ROUND), "beats may come faster than rounds");
        assert!(pulse.is_felt(1, start + 2 * LATEST_ROUND));
        assert!(pulse.is_felt(1, start + 3 * LATEST_ROUND));
        assert!(!pulse.is_felt(1, start + 3 * LATEST_ROUND + Duration::from_secs(1)));
        assert!(pulse.is_felt(2, start + 4 * LATEST_ROUND), "it may come back");
    }
}
