//! `docs/threats.md` is a promise: every row names what shows it, and what it names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a row may say instead of naming a test.
const EXCUSES: [&str; 2] = ["not built yet", "not the gate's"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            sources(&entry.path(), found);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            found.push(entry.path());
        }
    }
}

/// `module::name` of every test function, where the module is the file's, or its folder's for a `main.rs`.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    sources(&root().join("tests"), &mut files);
    files.iter().flat_map(|file| tests_of(file)).collect()
}

fn tests_of(file: &Path) -> Vec<String> {
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let module = match stem {
        "main" | "mod" => file.parent().unwrap().file_name().unwrap().to_str().unwrap(),
        other => other,
    };
    let text = fs::read_to_string(file).unwrap();
    let has_properties = text.lines().any(|line| line.trim_start().starts_with("proptest!"));
    let mut is_test = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        }
        let declared = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
        if let Some(name) = declared.and_then(|rest| rest.split(['(', '<']).next()) {
            if is_test || has_properties {
                found.push(format!("{module}::{name}"));
            }
            is_test = false;
        }
    }
    // The targets whose seeds are tests are listed in one macro.
    if stem == "fuzz_seeds" {
        let list = text.split("held!(").nth(1).and_then(|rest| rest.split(')').next()).unwrap_or_default();
        found.extend(list.split_whitespace().map(|name| format!("{module}::{name}")));
    }
    found
}

/// The cells of each row that describes a threat.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("| T"));
    lines.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn exists(named: &str, tests: &BTreeSet<String>) -> bool {
    if let Some(file) = named.strip_prefix("corpus/") {
        return root().join("tests/corpus").join(file).is_file();
    }
    let path: Vec<&str> = named.split("::").filter(|part| *part != "tests").collect();
    match path[..] {
        [name] => tests.iter().any(|test| test.ends_with(&format!("::{name}"))),
        [.., module, name] => tests.contains(&format!("{module}::{name}")),
        [] => false,
    }
}

#[test]
fn every_row_has_its_test() {
    let tests = tests();
    let rows = rows();
    assert!(rows.len() >= 39, "{} rows", rows.len());
    for (number, row) in rows.iter().enumerate() {
        let [id, _, _, shown] = &row[..] else { panic!("not four cells: {row:?}") };
        assert_eq!(*id, format!("T{}", number + 1), "rows are numbered in order");
        let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty() || EXCUSES.iter().any(|excuse| shown.contains(excuse)), "{id} is shown by nothing");
        for name in named {
            assert!(exists(name, &tests), "{id} names `{name}`, which does not exist");
        }
    }
}

#[test]
fn a_name_that_does_not_exist_is_noticed() {
    let tests = tests();
    assert!(exists("threats::every_row_has_its_test", &tests));
    for nothing in ["threats::rows", "hostile::every_row_has_its_test", "corpus/requests/none.toml", "no_such_test"] {
        assert!(!exists(nothing, &tests), "{nothing}");
    }
}
