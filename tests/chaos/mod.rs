//! Faults against promises: what is done to a running gate and its 8sens, what was promised for it, what was seen.
//!
//! `make chaos` runs it and prints the table. It is no part of the tests of CI: a row takes as long as its fault lasts,
//! and looks at times.

mod eight_sens;
mod load;
mod logins;

use std::fmt::Write;
use std::time::Duration;

/// One fault, and what came of it.
struct Row {
    fault: String,
    promise: &'static str,
    /// What was counted or measured, as it is in the table.
    seen: String,
    /// What of the promise was broken.
    broken: Vec<String>,
}

impl Row {
    fn new(fault: impl Into<String>, promise: &'static str) -> Self {
        Self { fault: fault.into(), promise, seen: String::new(), broken: Vec::new() }
    }

    /// Notes something that was seen, and whether the promise holds for it.
    fn see(&mut self, what: impl Into<String>, holds: bool) {
        let what = what.into();
        if !self.seen.is_empty() {
            self.seen.push_str("; ");
        }
        self.seen.push_str(&what);
        if !holds {
            self.broken.push(what);
        }
    }
}

/// How long a fault lasts: `CHAOS_SECONDS`, a minute unless it is set.
#[allow(clippy::disallowed_methods, reason = "a test may read its environment")]
fn fault_lasts() -> Duration {
    let seconds = std::env::var("CHAOS_SECONDS").ok().map(|text| text.parse().expect("CHAOS_SECONDS is a number"));
    Duration::from_secs(seconds.unwrap_or(60))
}

fn table(rows: &[Row]) -> String {
    let mut table = "| fault | promise | seen | holds |\n|---|---|---|---|\n".to_owned();
    for Row { fault, promise, seen, broken } in rows {
        let holds = if broken.is_empty() { "yes" } else { "NO" };
        writeln!(table, "| {fault} | {promise} | {seen} | {holds} |").unwrap();
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and looks at times: make chaos"]
async fn every_promise_holds() {
    let mut rows = Vec::new();
    rows.push(logins::eight_sens_is_away().await);
    rows.push(logins::eight_sens_answers_no_login().await);
    rows.push(logins::eight_sens_hangs_on_logins().await);
    rows.push(logins::a_stolen_key_guesses_from_everywhere().await);
    rows.push(logins::a_shop_has_an_old_password().await);
    println!("{}", table(&rows));
    let broken: Vec<_> =
        rows.iter().filter(|row| !row.broken.is_empty()).map(|row| (&row.fault, &row.broken)).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}
