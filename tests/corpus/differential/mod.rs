//! `make differential`: the same bytes at the gate and at four servers of Debian's. What the gate forwards although two
//! of them refuse it has to be justified in `docs/threats.md`, and for each form that the gate refuses
//! `docs/readings.md` has to name a program that reads it otherwise.

#![allow(clippy::print_stdout, reason = "the table is what the target is for")]

mod classes;
mod fate;
mod page;
mod peers;
mod reading;

use crate::format::{self, RequestCase};
use crate::gate::wait_until;
use crate::site::Site;
use fate::Fate;
use page::Page;
use peers::Peer;
use reading::Reading;
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
    /// The gate's code, or a word for what it did otherwise.
    word: String,
    /// The reason of a refusal, from its record.
    reason: Option<String>,
    /// The one request in its bytes, when each line means what it says.
    stands: Option<Reading>,
    peers: [Fate; 4],
}

impl Comparison {
    fn refusing(&self) -> Vec<&'static str> {
        Peer::NAMES.into_iter().zip(&self.peers).filter(|(_, fate)| fate.is_refusal()).map(|(name, _)| name).collect()
    }
}

#[test]
#[ignore = "starts nginx, HAProxy, Apache and lighttpd: `make differential`"]
fn the_gate_forwards_nothing_that_others_refuse_without_a_reason() {
    let comparisons = compare(&format::requests().0);
    let justified = justified();
    println!("{}\n", Peer::versions().join("; "));
    print_counts(&comparisons);
    let lacking = print_classes(&comparisons);
    let lines: Vec<_> =
        comparisons.iter().filter(|c| c.gate.is_forwarded() && c.refusing().len() >= MAJORITY).collect();
    let alone = comparisons.iter().filter(|c| c.gate.is_forwarded() && c.refusing().len() == 1);
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
    assert!(
        lacking.is_empty(),
        "docs/readings.md:\n{}\nUPDATE_READINGS=1 writes what was measured",
        lacking.join("\n")
    );
    assert!(unjustified.is_empty(), "{} lines have no reason in docs/threats.md", unjustified.len());
}

fn compare(cases: &[RequestCase]) -> Vec<Comparison> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let compared = runtime.block_on(lane(cases, &next));
                done.lock().unwrap().extend(compared);
            });
        }
    });
    done.into_inner().unwrap().into_values().collect()
}

/// Compares the cases that no other lane takes, each with its number.
async fn lane(cases: &[RequestCase], next: &AtomicUsize) -> Vec<(usize, Comparison)> {
    let mut site = Site::start(crate::site::Forwarder::Direct).await;
    let peers = Peer::start_all().await;
    let mut compared = Vec::new();
    let mut refused = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(case) = cases.get(number) else { break };
        let (comparison, request_id) = one(&mut site, &peers, case).await;
        refused.extend(request_id.map(|id| (compared.len(), id)));
        compared.push((number, comparison));
    }
    let mut reasons = BTreeMap::new();
    let recorded = wait_until(|| {
        reasons = site.reasons();
        refused.iter().all(|(_, id)| reasons.contains_key(id)).then_some(())
    });
    assert!(recorded.is_some(), "a refusal has no record");
    for (at, id) in refused {
        compared[at].1.reason = reasons.get(&id).cloned().flatten();
    }
    compared
}

/// One case at all of them, and the id under which the gate has a record of its refusal.
async fn one(site: &mut Site, peers: &[Peer; 4], case: &RequestCase) -> (Comparison, Option<String>) {
    let gate = site.gate(case.gate).address();
    let [a, b, c, d] = peers;
    let (own, a, b, c, d) = tokio::join!(
        fate::own(case, gate, &site.witness),
        fate::of(case, a.address, &a.witness),
        fate::of(case, b.address, &b.witness),
        fate::of(case, c.address, &c.witness),
        fate::of(case, d.address, &d.witness),
    );
    let comparison = Comparison {
        name: case.name.clone(),
        gate: own.fate,
        word: own.word,
        reason: None,
        stands: Reading::as_it_stands(case),
        peers: [a, b, c, d],
    };
    (comparison, own.request_id)
}

/// By what the gate did: how many cases, and how many of them each of the four forwarded.
fn print_counts(comparisons: &[Comparison]) {
    let mut rows: BTreeMap<&str, Vec<&Comparison>> = BTreeMap::new();
    for comparison in comparisons {
        rows.entry(&comparison.word).or_default().push(comparison);
    }
    println!("| the gate | cases | forwarded by {} |", Peer::NAMES.join(" | by "));
    println!("|---|---|---|---|---|---|");
    for (code, cases) in rows {
        let forwarded = |peer: usize| cases.iter().filter(|case| case.peers[peer].is_forwarded()).count();
        let [a, b, c, d] = [0, 1, 2, 3].map(forwarded);
        println!("| {code} | {} | {a} | {b} | {c} | {d} |", cases.len());
    }
    println!();
}

/// By the reason of the refusal: what each of the four made of the cases, and who else reads them otherwise. Returns
/// what the page lacks.
#[allow(clippy::disallowed_methods, reason = "a test may read its environment")]
fn print_classes(comparisons: &[Comparison]) -> Vec<String> {
    let mut page = Page::read();
    let classes = classes::of(comparisons);
    if std::env::var_os("UPDATE_READINGS").is_some() {
        Page::write(&page.rewritten(&classes));
        page = Page::read();
    }
    println!("As it stands / read otherwise / refused:\n");
    println!("| refused here for | cases | {} | read otherwise by | known of others |", Peer::NAMES.join(" | "));
    println!("|---|---|---|---|---|---|---|---|");
    let mut lacking = Vec::new();
    for (word, class) in classes.iter().filter(|(word, _)| classes::is_about_form(word)) {
        let (measured, row) = (class.measured(), page.row(word));
        let numbers = [0, 1, 2, 3].map(|peer| class.numbers(peer)).join(" | ");
        println!("| {word} | {} | {numbers} | {measured} | {} |", class.cases, row.map_or("", |row| &row.known));
        match row {
            None => lacking.push(format!("no row for `{word}`")),
            Some(row) if names(&row.measured) != names(&measured) => {
                lacking.push(format!("`{word}` is read otherwise by {measured}"));
            }
            Some(row) if measured.is_empty() && row.known.is_empty() => {
                lacking.push(format!("nobody reads `{word}` otherwise: it need not be refused"));
            }
            Some(_) => {}
        }
        if !classes::is_about_credentials(word) {
            let alike = class.alike.iter().filter(|name| !page.alike.iter().any(|(pattern, _)| fits(pattern, name)));
            lacking.extend(alike.map(|name| format!("all four forward {name:?}, refused for `{word}`")));
        }
    }
    println!();
    lacking
}

/// Which of the four are named as reading something otherwise.
fn names(measured: &str) -> Vec<&'static str> {
    let otherwise = |name: &&str| measured.contains(&format!("{name} ("));
    Peer::NAMES.into_iter().filter(otherwise).collect()
}

/// The reasons of `docs/threats.md`, by name of case; a `*` stands for anything.
fn justified() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threats.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let (pattern, reason) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((pattern.to_owned(), reason.trim_end_matches(" |").to_owned()))
    });
    rows.collect()
}

/// A `*` of a pattern stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| fits(rest, &name[at..]))
}

#[test]
fn a_star_stands_for_anything() {
    for (pattern, name, fitting) in [
        ("a: b", "a: b", true),
        ("a: b", "a: bc", false),
        ("a: *", "a: b", true),
        ("a*: d*", "a, b: double", true),
        ("a*: d*", "a, b: encoded", false),
        ("*", "", true),
    ] {
        assert_eq!(fits(pattern, name), fitting, "{pattern} {name}");
    }
}
