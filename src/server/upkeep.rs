//! What is done again and again while the gate runs: one list of jobs, and what drives it.

use super::supervision::Rounds;
use crate::platform::clock;
use crate::proxy::shared::Shared;
use crate::state::SessionLog;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// From one round of upkeep to the next.
const ROUND: Duration = Duration::from_secs(1);

/// How many sessions are looked at in a round, to find the expired ones.
const SWEEP_BUDGET: usize = 20_000;

/// What jobs work on. Cheap to clone.
#[derive(Clone)]
pub(super) struct Upkeep {
    pub(super) shared: Arc<Shared>,
    pub(super) log: Arc<SessionLog>,
    pub(super) rounds: Arc<Rounds>,
}

/// One thing that is done again and again.
struct Job {
    /// In rounds.
    every: u64,
    run: Run,
}

/// Where a job runs.
enum Run {
    /// On the runtime: it is short and does no I/O.
    Here(fn(&Upkeep)),
    /// On a thread of its own, which the next job waits for.
    Blocking(fn(&Upkeep)),
}

/// All of them, in the order in which those of one round are done.
const JOBS: [Job; 8] = [
    Job { every: 1, run: Run::Here(sweep_sessions) },
    Job { every: 1, run: Run::Here(count_sessions) },
    Job { every: 1, run: Run::Here(|upkeep| upkeep.shared.telemetry.sample()) },
    // Says that no lock in the tables is held for ever.
    Job { every: 1, run: Run::Here(|upkeep| upkeep.rounds.done()) },
    // What a killed gate may forget of the last uses of keys.
    Job { every: 120, run: Run::Blocking(Upkeep::write_key_uses) },
    // How long a killed gate may have had a managed session of which the next one does not know.
    Job { every: 5, run: Run::Blocking(Upkeep::write_new_managed_sessions) },
    // What it may lose of their idle time.
    Job { every: 60, run: Run::Blocking(Upkeep::write_managed_sessions) },
    // What a killed gate may lose of each session's idle time.
    Job { every: 5, run: Run::Blocking(write_touches) },
];

impl Upkeep {
    /// Does every job when it is due, for ever. Ends with the runtime.
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(ROUND);
        for round in 1_u64.. {
            ticks.tick().await;
            for job in JOBS.iter().filter(|job| round.is_multiple_of(job.every)) {
                match job.run {
                    Run::Here(run) => run(&self),
                    Run::Blocking(run) => {
                        let upkeep = self.clone();
                        // A panic in there is counted; the next round that is due tries again.
                        let _ = tokio::task::spawn_blocking(move || run(&upkeep)).await;
                    }
                }
            }
        }
    }

    /// Writes down what the next start has to know, as the last thing that is done.
    pub(super) fn finish(&self) {
        self.shared.tables.flush_touches(clock::now());
        self.write_key_uses();
        self.write_managed_sessions();
    }

    /// Writes down the sessions that the gate keeps, if one began or ended.
    fn write_new_managed_sessions(&self) {
        if self.shared.tables.accounts.take_changed() {
            self.write_managed_sessions();
        }
    }

    /// Writes down the sessions that the gate keeps.
    fn write_managed_sessions(&self) {
        let now = clock::now();
        let (accounts, state) = (&self.shared.tables.accounts, self.log.state());
        let sessions = accounts.kept(now.mono);
        let written = if sessions.is_empty() {
            state.forget_managed_sessions()
        } else {
            let upstream = &self.shared.settings.load().upstream;
            let upstream = format!("{}:{}", upstream.host, upstream.port);
            let secret = state.secret().map_err(io::Error::other);
            secret.and_then(|secret| state.write_managed_sessions(&secret, &upstream, &sessions, now.wall))
        };
        if let Err(error) = written {
            accounts.set_changed();
            self.shared.telemetry.state_write_failed(&error);
        }
    }

    /// Writes down when keys were last used, if one was since the last time.
    fn write_key_uses(&self) {
        let uses = &self.shared.tables.key_uses;
        if uses.take_changed()
            && let Err(error) = self.log.state().write_key_uses(&uses.all())
        {
            uses.set_changed();
            self.shared.telemetry.state_write_failed(&error);
        }
    }
}

fn sweep_sessions(upkeep: &Upkeep) {
    let limits = upkeep.shared.settings.load().snapshot.session.limits;
    upkeep.shared.tables.sessions.sweep(clock::now().mono, SWEEP_BUDGET, &limits);
}

fn count_sessions(upkeep: &Upkeep) {
    let Upkeep { shared, .. } = upkeep;
    shared.telemetry.metrics.sessions(shared.tables.sessions.len());
    shared.telemetry.metrics.limiter_overflowed(shared.tables.limiter.overflowed());
}

/// Writes down how long sessions were used, and keeps the log short.
fn write_touches(upkeep: &Upkeep) {
    let Upkeep { shared, log, .. } = upkeep;
    shared.tables.flush_touches(clock::now());
    if log.needs_compaction() {
        let limits = shared.settings.load().snapshot.session.limits;
        if let Err(error) = log.compact(&shared.tables, &limits, clock::now()) {
            tracing::error!(?error, "the session log cannot be compacted");
        }
    }
}
