//! The adversarial corpus: raw requests, and misbehaviours of 8sens, against the running binary. `README.md` says how a
//! case is written.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod differential;
mod escape;
mod format;
#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../e2e/gate.rs"]
mod gate;
mod lanes;
mod outcome;
mod over_http2;
mod requests;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod upstream;
mod upstream_over_http2;

use site::{Forwarder, Site};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Sites that work side by side.
const SITES: usize = 6;

/// At least this many entries must be in the files.
const REQUESTS: usize = 250;
const MISBEHAVIOURS: usize = 40;

/// At most this many failures are printed whole.
const SHOWN: usize = 25;

#[test]
fn the_corpus_has_its_size() {
    let (_, requests) = format::requests();
    let misbehaviours = format::misbehaviours().len();
    assert!(requests >= REQUESTS && misbehaviours >= MISBEHAVIOURS, "{requests} and {misbehaviours}");
}

#[test]
fn every_request_of_the_corpus() {
    let (mut cases, _) = format::requests();
    cases.retain(|case| wanted(&case.name));
    // Cases of one kind of gate stand together, so that few sites need a second gate.
    cases.sort_by_key(|case| case.gate);
    play_all(cases, async |site, case, number| requests::play(site, &case, number).await);
}

#[test]
fn every_misbehaviour_of_8sens() {
    let mut cases = format::misbehaviours();
    cases.retain(|case| wanted(&case.name));
    play_all(cases, async |site, case, number| upstream::play(site, &case, number).await);
}

/// `CORPUS_CASE=part` plays only the cases whose name holds that part.
#[allow(clippy::disallowed_methods, reason = "a test may read its environment")]
fn wanted(name: &str) -> bool {
    std::env::var("CORPUS_CASE").is_ok_and(|part| name.contains(&part)) || std::env::var("CORPUS_CASE").is_err()
}

/// Plays the cases over every lane, and fails with everything that went wrong.
fn play_all<C: Clone + Send + Sync>(
    cases: Vec<C>,
    play: impl AsyncFn(&mut Site, C, usize) -> Result<(), String> + Send + Sync,
) {
    for forwarder in Forwarder::ALL {
        let failures = play_over(forwarder, &cases, &play);
        let shown: Vec<_> = failures.iter().take(SHOWN).map(String::as_str).collect();
        let (failed, all) = (failures.len(), cases.len());
        assert!(failures.is_empty(), "{failed} of {all} failed over {forwarder:?}\n\n{}", shown.join("\n\n"));
    }
}

/// Deals the cases out to the sites. What went wrong, in the order of the cases.
fn play_over<C: Clone + Send + Sync>(
    forwarder: Forwarder,
    cases: &[C],
    play: &(impl AsyncFn(&mut Site, C, usize) -> Result<(), String> + Send + Sync),
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SITES.min(cases.len()) {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut site = Site::start(forwarder).await;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(case) = cases.get(number) else { break };
                        if let Err(failure) = play(&mut site, case.clone(), number).await {
                            failures.lock().unwrap().push((number, failure));
                        }
                    }
                    let leaked = site.witness.raw_bytes().values().any(|bytes| holds_canary(bytes));
                    if leaked {
                        failures.lock().unwrap().push((usize::MAX, "a canary reached 8sens".to_owned()));
                    }
                });
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    failures.into_iter().map(|(_, failure)| failure).collect()
}

fn holds_canary(bytes: &[u8]) -> bool {
    bytes.windows(8).any(|window| window == b"/canary-")
}
