//! What a reader should not have to see: files that nothing names, words that are no English.

use std::fs;
use std::path::{Path, PathBuf};

/// Phrases that a dictionary sends somebody else to: what is written, and what is meant.
const BANNED: [(&str, &str); 13] = [
    ("take down a", "record"),
    ("Takes down ", "Records, Notes or Ends"),
    ("taken down", "recorded"),
    ("mend the", "fix"),
    ("Mend the", "fix"),
    (" mended", " fixed"),
    (" mends", " fixes"),
    ("by a safe way", "safely"),
    ("separated by blanks", "separated by spaces"),
    ("stands in the file", "is in the file"),
    ("as it stands", "as it is"),
    ("wherever it stands", "wherever it is"),
    ("séparés par des blancs", "séparés par des espaces"),
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

/// The files that the `mod` lines of one file stand for, below the project.
fn declared(path: &str, text: &str) -> Vec<String> {
    let (folder, name) = path.rsplit_once('/').unwrap();
    let is_root = matches!(name, "mod.rs" | "main.rs" | "lib.rs");
    let below = if is_root { folder.to_owned() } else { path.trim_end_matches(".rs").to_owned() };
    let mut found = Vec::new();
    let mut elsewhere = None;
    for line in text.lines().map(str::trim_start) {
        if let Some(given) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            elsewhere = Some(given);
        } else if let Some((_, module)) = line.strip_suffix(';').and_then(|line| line.rsplit_once("mod ")) {
            match elsewhere.take() {
                Some(given) => found.push(without_dots(&format!("{folder}/{given}"))),
                None => found.extend([format!("{below}/{module}.rs"), format!("{below}/{module}/mod.rs")]),
            }
        }
    }
    found
}

fn without_dots(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// A file that no `mod` names is not compiled, whatever its tests say.
#[test]
fn no_file_is_dead() {
    let all = files(&["src", "tests"], ".rs");
    let declared: Vec<String> = all.iter().flat_map(|(path, text)| declared(path, text)).collect();
    // What cargo finds by itself: the library, the program, the test programs.
    let is_program = |path: &str| match path.split('/').collect::<Vec<_>>()[..] {
        ["src", name] => matches!(name, "lib.rs" | "main.rs"),
        ["tests", name] | ["tests", _, name] => name == "main.rs" || path.matches('/').count() == 1,
        _ => false,
    };
    let dead: Vec<&String> =
        all.iter().map(|(path, _)| path).filter(|path| !is_program(path) && !declared.contains(path)).collect();
    assert_eq!(dead, Vec::<&String>::new());
}

#[test]
fn words_mean_what_they_say() {
    let mut found = Vec::new();
    for (path, text) in rust().into_iter().chain(prose()).filter(|(path, _)| path != "tests/rules/architecture/tidy.rs")
    {
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

/// Columns after which a line is cut in a review or on half a screen.
const COLUMNS: usize = 120;

/// Pages that a program writes.
const GENERATED: [&str; 3] = ["docs/configuration.md", "docs/fr/configuration.md", "docs/metrics.md"];

/// Code with the text of a file or page in it, line by line as it is written.
const TEMPLATES: [&str; 2] = ["src/cli/init/file.rs", "src/config/reference.rs"];

#[test]
fn lines_fit_the_width() {
    let code = rust().into_iter().filter(|(path, _)| !TEMPLATES.contains(&path.as_str()));
    let code = code.map(|(path, text)| (path, text.lines().map(str::to_owned).collect()));
    let pages = prose().into_iter().filter(|(path, _)| !GENERATED.contains(&path.as_str()));
    let pages = pages.map(|(path, text)| (path, paragraphs(&text)));
    let mut found = Vec::new();
    for (path, lines) in code.chain(pages) {
        let lines: Vec<String> = lines;
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.chars().count() > COLUMNS) {
            // A URL cannot be broken, and a line of JSON is compared as one.
            if !line.contains("://") && !line.replace('\\', "").contains("\":") {
                found.push(format!("{path}:{}: {} columns", number + 1, line.chars().count()));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// The lines of a page, those of code blocks and tables emptied.
fn paragraphs(text: &str) -> Vec<String> {
    let mut in_block = false;
    let mut kept = Vec::new();
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        let is_prose = !in_block && !fence && !line.starts_with("    ") && !line.trim_start().starts_with('|');
        kept.push(if is_prose { line.to_owned() } else { String::new() });
    }
    kept
}

/// Lines of the longest function: it fits a screen.
const LONGEST_FUNCTION: usize = 90;

#[test]
fn functions_fit_a_screen() {
    let mut found = Vec::new();
    for (path, text) in rust() {
        let lines: Vec<&str> = text.lines().collect();
        for (first, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let indent = &line[..line.len() - code.len()];
            let is_function = code.split_once("fn ").is_some_and(|(before, _)| {
                before
                    .split_whitespace()
                    .all(|word| matches!(word, "async" | "const" | "extern" | "unsafe") || word.starts_with("pub"))
            });
            if is_function {
                // rustfmt puts the brace that ends it under its first word.
                let brace = format!("{indent}}}");
                let length = lines[first..].iter().position(|line| *line == brace).map_or(1, |last| last + 1);
                if length > LONGEST_FUNCTION {
                    found.push(format!("{path}:{}: {length} lines", first + 1));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}
