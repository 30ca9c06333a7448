//! The boards as files: what Grafana needs of them, and the queries in them.

use super::files::{CONSUMER, OVERVIEW, read};
use serde_json::Value;
use std::collections::BTreeSet;

/// One query of a panel, with the variables replaced.
pub struct Query {
    pub panel: String,
    pub expression: String,
}

pub fn board(file: &str) -> Value {
    serde_json::from_str(&read(file)).unwrap()
}

fn panels(board: &Value) -> Vec<Value> {
    board["panels"].as_array().unwrap().clone()
}

/// Every query of a board, for every gate, one consumer, and a range that a test can wait for.
pub fn queries(file: &str, consumer: &str) -> Vec<Query> {
    let board = board(file);
    let title = board["title"].as_str().unwrap().to_owned();
    let of_panel = |panel: &Value| {
        let name = format!("{title}, {}", panel["title"].as_str().unwrap());
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| (name.clone(), target["expr"].as_str().unwrap().to_owned()))
    };
    let filled = |(panel, expression): (String, String)| {
        let expression =
            expression.replace("$instance", ".*").replace("$consumer", consumer).replace("$__rate_interval", "20s");
        assert!(!expression.contains('$'), "{panel}: a variable is left in {expression}");
        Query { panel, expression }
    };
    panels(&board).iter().flat_map(of_panel).map(filled).collect()
}

#[test]
fn a_board_can_be_imported_and_provisioned() {
    let mut uids = BTreeSet::new();
    for file in [OVERVIEW, CONSUMER] {
        let board = board(file);
        assert!(uids.insert(board["uid"].as_str().unwrap().to_owned()), "{file}");
        assert!(board["id"].is_null() && board["schemaVersion"].is_u64(), "{file}");
        // By hand, Grafana asks for the input; from a folder, the variable of the same name stands for it.
        assert_eq!(board["__inputs"][0]["name"], "DS_PROMETHEUS");
        let variables = board["templating"]["list"].as_array().unwrap();
        let of_source = variables.iter().find(|variable| variable["name"] == "DS_PROMETHEUS").unwrap();
        assert_eq!((&of_source["type"], &of_source["query"]), (&"datasource".into(), &"prometheus".into()));
        let names: BTreeSet<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        for used in ["DS_PROMETHEUS", "instance", "consumer"] {
            assert_eq!(
                read(file).contains(&format!("${used}")) || read(file).contains(&format!("${{{used}}}")),
                names.contains(used),
                "{file}: {used}"
            );
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    for file in [OVERVIEW, CONSUMER] {
        let (mut ids, mut shown) = (BTreeSet::new(), 0);
        for panel in panels(&board(file)) {
            let title = panel["title"].as_str().unwrap();
            assert!(!title.is_empty() && ids.insert(panel["id"].as_u64().unwrap()), "{file}: {panel}");
            if matches!(panel["type"].as_str(), Some("row" | "text")) {
                continue;
            }
            shown += 1;
            assert!(panel["description"].as_str().is_some_and(|words| words.len() > 10), "{file}: {title}");
            assert!(
                panel["fieldConfig"]["defaults"].get("unit").is_some() || panel["type"] == "table",
                "{file}: {title}"
            );
            let targets = panel["targets"].as_array().unwrap();
            let references: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
            assert!(!targets.is_empty() && references.len() == targets.len(), "{file}: {title}");
            for target in targets {
                assert!(!target["legendFormat"].as_str().unwrap().is_empty(), "{file}: {title}");
                assert_eq!(target["datasource"]["uid"], "${DS_PROMETHEUS}", "{file}: {title}");
            }
        }
        assert!(shown >= 10, "{file}");
    }
}

#[test]
fn panels_fill_the_grid_without_overlap() {
    for file in [OVERVIEW, CONSUMER] {
        let mut taken = BTreeSet::new();
        for panel in panels(&board(file)) {
            let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{file}: {}", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{file}: {} lies over another panel", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn a_docs_page_that_a_board_names_exists() {
    for file in [OVERVIEW, CONSUMER] {
        let text = read(file);
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c)));
        let pages: BTreeSet<_> = words.filter(|word| word.starts_with("docs/") && word.ends_with(".md")).collect();
        assert!(!pages.is_empty(), "{file}");
        pages.into_iter().for_each(|page| drop(read(page)));
    }
}
