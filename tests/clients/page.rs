//! docs/callers.md: its examples call through a gate, in both languages; its codes are codes.

use crate::client;
use crate::gate::UPSTREAM_KEY;
use crate::site::{Said, Site};
use crate::support::witness::Witness;
use crate::trial;
use std::path::Path;

const PAGES: [&str; 2] = ["docs/callers.md", "docs/fr/callers.md"];

/// What is shown and cannot run on the machines of the tests.
const NOT_RUN: [&str; 1] = ["csharp"];

struct Example {
    /// The heading above it.
    title: String,
    language: String,
    code: String,
}

pub fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn examples(text: &str) -> Vec<Example> {
    let (mut found, mut title, mut lines) = (Vec::new(), String::new(), text.lines());
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("### ") {
            title = heading.to_owned();
        } else if let Some(language) = line.strip_prefix("```") {
            let code = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
            found.push(Example { title: title.clone(), language: language.to_owned(), code });
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_calls() {
    let site = Site::new();
    // The autoloader of an installation by Composer, which Debian has elsewhere.
    std::fs::create_dir(site.folder().join("vendor")).unwrap();
    std::fs::write(site.folder().join("vendor/autoload.php"), "<?php require 'GuzzleHttp/autoload.php';\n").unwrap();
    let mut faults = Vec::new();
    let mut ran = 0;
    for example in examples(&text(PAGES[0])).iter().filter(|example| !NOT_RUN.contains(&&*example.language)) {
        ran += 1;
        let witness = trial::eight_sens().await;
        let gate = site.gate(&witness, true);
        let mut command = client::example(site.folder(), &example.language, &example.code);
        command.current_dir(site.folder());
        let said = site.run(command, &gate, true).await;
        if let Some(fault) = fault(&said, &witness) {
            faults.push(format!("{}: {fault}", example.title));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(ran, 11, "examples that ran");
}

/// What is wrong: an example logs in, asks for one article by a query in JSON, and prints the answer.
fn fault(said: &Said, witness: &Witness) -> Option<String> {
    let printed = said.lines.concat();
    if !said.succeeded || !printed.replace(": ", ":").contains(trial::ARTICLE) {
        return Some(format!("printed {printed:?}; {}", said.end));
    }
    let seen = witness.requests();
    let [login, asked] = &*seen else { return Some(format!("{seen:?} arrived")) };
    let (path, query) = asked.target().split_once('?')?;
    let queries: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let is_good = (login.method(), login.target()) == ("POST", "/v1/login/user")
        && (asked.method(), path) == ("GET", "/v1/articles")
        && *queries == [("filter".into(), trial::ARTICLE.into())]
        && seen.iter().all(|request| request.values("api_key") == [UPSTREAM_KEY])
        && asked.values("access_token") == [trial::TOKEN];
    (!is_good).then(|| format!("{seen:?} arrived"))
}

/// The French page shows the same code; its comments are sentences, and so are French.
#[test]
fn the_french_page_shows_the_same() {
    let shown = |path| -> Vec<String> {
        let comment = |line: &str| {
            let end = line.find("   // ").or_else(|| line.find("  // ").or_else(|| line.find(" // ")));
            line[..end.unwrap_or(line.len())].trim_end().to_owned()
        };
        examples(&text(path)).iter().flat_map(|example| example.code.lines().map(comment).collect::<Vec<_>>()).collect()
    };
    assert_eq!(shown(PAGES[1]), shown(PAGES[0]));
    let indented = |path| text(path).lines().filter(|line| line.starts_with("    ")).map(str::to_owned).collect();
    let (english, french): (Vec<String>, Vec<String>) = (indented(PAGES[0]), indented(PAGES[1]));
    assert_eq!(french.len(), english.len());
}

/// Each status and code of the tables is one of the gate's.
#[test]
fn its_codes_are_codes() {
    for path in PAGES {
        let page = text(path);
        let mut found = 0;
        for (at, _) in page.match_indices(" `") {
            let Some(code) = page[at + 2..].split('`').next().and_then(sensgate::domain::denial::DenyCode::from_word)
            else {
                continue;
            };
            let status = code.status().to_string();
            assert!(page[..at].ends_with(&status), "{path}: {} is {status}", code.as_str());
            found += 1;
        }
        assert!(found >= 12, "{path}: {found} codes");
    }
}
