//! A wall clock that jumps, under the real binary (libfaketime): idle time is counted by the monotonic clock, and what
//! the gate slept through while it was down is believed only as far as it cannot prolong anything.

use crate::gate::{Config, Gate, KEY, get};
use crate::sessions::{config, eight_sens, log_in, others, outcome, refused, with_token};
use crate::support::witness::Witness;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Where Debian's libfaketime is; `$LIB` is the loader's to fill in.
const LIBFAKETIME: &str = "/usr/$LIB/faketime/libfaketime.so.1";

const IDLE: Duration = Duration::from_secs(1);

/// The wall clock of one gate, moved by writing into a file.
struct WallClock {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

impl WallClock {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Self { file: folder.path().join("clock"), _folder: folder };
        clock.moved_by("+0");
        clock
    }

    /// Moves it by so much from the true time, at once.
    fn moved_by(&self, offset: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{offset}\n")).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    fn under<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("LD_PRELOAD", LIBFAKETIME)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
    }
}

fn short_idle(witness: &Witness) -> Config {
    config(witness).with("upstream", "idle_timeout = \"1s\"").with("session", "margin = \"100ms\"")
}

/// The year and hour that the gate takes it to be.
async fn what_time_is_it(gate: &Gate, path: &str) -> String {
    gate.exchange(get(path)).await;
    let record = gate.wait_for_record(|record| record["path"] == path);
    record["time"].as_str().unwrap()[..13].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumps_neither_ends_nor_prolongs_a_session() {
    let witness = Witness::start(eight_sens()).await;
    for (round, offset) in ["+1h", "-1h", "+10y"].into_iter().enumerate() {
        let clock = WallClock::new();
        let gate = Gate::start_in(tempfile::tempdir().unwrap(), &short_idle(&witness), |command| clock.under(command));
        let before = what_time_is_it(&gate, "/v1/before").await;
        let token = log_in(&gate, KEY).await;
        clock.moved_by(offset);
        assert_ne!(what_time_is_it(&gate, "/v1/after").await, before, "the clock of the gate moved");
        assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &token)).await.0, 200, "{offset}: still in use");
        let last_use = Instant::now();
        let seen = others(&witness.requests());
        // What is waited for is the idle time itself.
        while last_use.elapsed() < IDLE {
            tokio::time::sleep_until((last_use + IDLE).into()).await;
        }
        assert_eq!(
            outcome(&gate, with_token(KEY, "/v1/a", &token)).await,
            refused("session_expired"),
            "{round} {offset}"
        );
        assert_eq!(others(&witness.requests()), seen, "{offset}: 8sens saw an idle token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumped_while_the_gate_was_down_prolongs_nothing() {
    let witness = Witness::start(eight_sens()).await;
    let config = config(&witness);
    for (offset, lives) in [("+0", true), ("+1h", false), ("-1h", false), ("+10y", false)] {
        let clock = WallClock::new();
        let mut gate = Gate::start_in(tempfile::tempdir().unwrap(), &config, |command| clock.under(command));
        let token = log_in(&gate, KEY).await;
        gate.signal("KILL");
        gate.wait_for_exit();
        clock.moved_by(offset);
        let gate = gate.restart_with(&config, |command| clock.under(command));
        let seen = others(&witness.requests());
        let expected = if lives { (200, String::new()) } else { refused("session_unknown") };
        assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &token)).await, expected, "{offset}");
        assert_eq!(others(&witness.requests()) - seen, usize::from(lives), "{offset}");
    }
}
