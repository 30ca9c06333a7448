//! `make differential`: the same bytes at the gate and at four servers of Debian's. What the gate forwards although two of them refuse it
//! has to be justified in `docs/threats.md`.

#![allow(clippy::print_stdout, reason = "the table is what the target is for")]

mod fate;
mod peers;

use crate::format::{self, RequestCase};
use crate::site::Site;
use fate::Fate;
use peers::Peer;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Sets of servers that work side by side.
const LANES: usize = 4;

/// So many of the four have to refuse for a line in the list.
const MAJORITY: usize = 2;

/// What became of one case at the gate, and at each of the four in the order of [`Peer::NAMES`].
struct Comparison {
    name: String,
    gate: Fate,
    code: String,
    peers: [Fate; 4],
}

impl Comparison {
    fn refusing(&self) -> Vec<&'static str> {
        Peer::NAMES.into_iter().zip(self.peers).filter(|(_, fate)| fate.is_refusal()).map(|(name, _)| name).collect()
    }
}

#[test]
#[ignore = "starts nginx, HAProxy, Apache and lighttpd: `make differential`"]
fn the_gate_forwards_nothing_that_others_refuse_without_a_reason() {
    let comparisons = compare(&format::requests().0);
    let justified = justified();
    println!("{}\n", Peer::versions().join("; "));
    print_counts(&comparisons);
    let lines: Vec<_> =
        comparisons.iter().filter(|c| c.gate == Fate::Forwarded && c.refusing().len() >= MAJORITY).collect();
    let alone = comparisons.iter().filter(|c| c.gate == Fate::Forwarded && c.refusing().len() == 1);
    for line in alone {
        println!("forwarded here, refused by {} alone: {}", line.refusing().join(""), line.name);
    }
    println!("Forwarded here and refused by two or more of the four: {}", lines.len());
    let mut unjustified = Vec::new();
    for line in lines {
        let reason = justified.iter().find(|(pattern, _)| fits(pattern, &line.name));
        println!(
            "  {} ({}): {}",
            line.name,
            line.refusing().join(", "),
            reason.map_or("NOT JUSTIFIED", |(_, why)| why)
        );
        if reason.is_none() {
            unjustified.push(&line.name);
        }
    }
    assert!(unjustified.is_empty(), "{} lines have no reason in docs/threats.md", unjustified.len());
}

fn compare(cases: &[RequestCase]) -> Vec<Comparison> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut site = Site::start().await;
                    let peers = Peer::start_all().await;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(case) = cases.get(number) else { break };
                        let comparison = one(&mut site, &peers, case).await;
                        done.lock().unwrap().insert(number, comparison);
                    }
                });
            });
        }
    });
    done.into_inner().unwrap().into_values().collect()
}

async fn one(site: &mut Site, peers: &[Peer; 4], case: &RequestCase) -> Comparison {
    let gate = site.gate(case.gate).address();
    let [a, b, c, d] = peers;
    let (ours, a, b, c, d) = tokio::join!(
        fate::of(case, gate, &site.witness),
        fate::of(case, a.address, &a.witness),
        fate::of(case, b.address, &b.witness),
        fate::of(case, c.address, &c.witness),
        fate::of(case, d.address, &d.witness),
    );
    Comparison { name: case.name.clone(), gate: ours.0, code: ours.1, peers: [a.0, b.0, c.0, d.0] }
}

/// By what the gate did: how many cases, and how many of them each of the four forwarded.
fn print_counts(comparisons: &[Comparison]) {
    let mut rows: BTreeMap<&str, Vec<&Comparison>> = BTreeMap::new();
    for comparison in comparisons {
        rows.entry(&comparison.code).or_default().push(comparison);
    }
    println!("| the gate | cases | forwarded by {} |", Peer::NAMES.join(" | by "));
    println!("|---|---|---|---|---|---|");
    for (code, cases) in rows {
        let forwarded = |peer: usize| cases.iter().filter(|case| case.peers[peer] == Fate::Forwarded).count();
        let [a, b, c, d] = [0, 1, 2, 3].map(forwarded);
        println!("| {code} | {} | {a} | {b} | {c} | {d} |", cases.len());
    }
    println!();
}

/// The reasons of `docs/threats.md`, by name of case; one that ends with `*` stands for all that begin so.
fn justified() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threats.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let (pattern, reason) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((pattern.to_owned(), reason.trim_end_matches(" |").to_owned()))
    });
    rows.collect()
}

fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}
