//! What a reader should not have to see: files that nothing names, words that are no English.

use std::fs;
use std::path::{Path, PathBuf};

/// Phrases that a dictionary sends somebody else to: what is written, and what is meant.
const BANNED: [(&str, &str); 6] = [
    ("take down a", "record"),
    ("Takes down ", "Records, Notes or Ends"),
    ("mend the", "fix"),
    ("Mend the", "fix"),
    ("by a safe way", "safely"),
    ("separated by blanks", "separated by spaces"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `folders` that end so, sorted, by their path below the project.
fn files(folders: &[&str], ending: &str) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for folder in folders {
        collect(&root().join(folder), ending, &mut paths);
    }
    paths.sort();
    let relative = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
    paths.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
}

fn collect(path: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), ending, found);
        }
    } else if path.to_str().unwrap().ends_with(ending) {
        found.push(path.to_owned());
    }
}

fn rust() -> Vec<(String, String)> {
    files(&["src", "tests", "benches", "fuzz/src", "build.rs"], ".rs")
}

fn prose() -> Vec<(String, String)> {
    let top = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    files(&[&top[..], &["docs", "deploy", "tests/corpus"]].concat(), ".md")
}

/// A file that no `mod` names is not compiled, whatever its tests say.
#[test]
fn no_file_is_dead() {
    let all = files(&["src"], ".rs");
    for (path, _) in &all {
        let stem = path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        let (folder, name) = stem.rsplit_once('/').unwrap();
        if folder == "src" && matches!(name, "lib" | "main") {
            continue;
        }
        let parents = [format!("{folder}/mod.rs"), format!("{folder}.rs"), "src/lib.rs".to_owned()];
        let declared = all
            .iter()
            .filter(|(parent, _)| parents.contains(parent))
            .any(|(_, text)| text.lines().any(|line| line.trim_start().ends_with(&format!("mod {name};"))));
        assert!(declared, "{path} is part of nothing");
    }
}

#[test]
fn words_mean_what_they_say() {
    let mut found = Vec::new();
    for (path, text) in rust().into_iter().chain(prose()).filter(|(path, _)| path != "tests/architecture/tidy.rs") {
        for (number, line) in text.lines().enumerate() {
            for (banned, meant) in BANNED {
                if line.contains(banned) {
                    found.push(format!("{path}:{}: {banned:?}, {meant}", number + 1));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}
