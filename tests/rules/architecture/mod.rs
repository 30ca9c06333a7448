//! Who may name whom. The layers are modules of one crate, so the compiler does not hold them apart; this test does.

mod imports;
mod tidy;

use std::fs;
use std::path::{Path, PathBuf};

/// What the domain may not name although it comes from outside the crate: I/O, clocks, threads, frameworks, loggers.
const NOT_IN_DOMAIN: [&str; 15] = [
    "pingora",
    "tokio::",
    "prometheus",
    "tracing::",
    "log::",
    "std::fs",
    "std::env",
    "std::io",
    "std::net::Tcp",
    "std::net::Udp",
    "Instant::now",
    "SystemTime",
    "std::thread",
    "println!",
    "async ",
];

/// One source file: its path below `src`, its module, its code without unit tests and comments.
struct Source {
    path: String,
    module: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 20, "only {} sources found", found.len());
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            let module = relative.split(['/', '.']).next().unwrap().to_owned();
            found.push(Source { path: relative, module, code: code(&fs::read_to_string(&path).unwrap()) });
        }
    }
}

/// The code before the unit tests, without comment lines.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..end].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Places where `word` is in the files that `among` picks.
fn places(word: &str, among: impl Fn(&Source) -> bool) -> Vec<String> {
    let found = sources().into_iter().filter(|source| among(source) && source.code.contains(word));
    found.map(|source| format!("{}: {word}", source.path)).collect()
}

/// The rule of the folder: no file under it names anything outside it.
#[test]
fn the_domain_names_nothing_outside_itself() {
    let files = imports::files();
    let domain: Vec<_> = files.iter().filter(|file| file.path.starts_with("domain/")).collect();
    assert!(domain.len() > 30, "only {} files under domain/", domain.len());
    let outside: Vec<String> = domain
        .iter()
        .flat_map(|file| file.named.iter().map(move |named| (&file.path, named)))
        .filter(|(_, named)| named.first().is_none_or(|first| first != "domain"))
        .map(|(path, named)| format!("{path}: crate::{}", named.join("::")))
        .collect();
    assert_eq!(outside, Vec::<String>::new());
}

#[test]
fn the_domain_does_no_io_and_reads_no_clock() {
    for word in NOT_IN_DOMAIN {
        assert_eq!(places(word, |source| source.module == "domain"), Vec::<String>::new());
    }
}

/// What takes names from each other can only be understood, tested and changed together.
#[test]
fn no_circle_between_files() {
    assert_eq!(imports::circles(&imports::files()), Vec::<Vec<String>>::new());
}

#[test]
fn explanations_do_no_io_and_know_no_edge() {
    for word in NOT_IN_DOMAIN.iter().filter(|word| **word != "async ") {
        assert_eq!(places(word, |source| source.module == "explain"), Vec::<String>::new());
    }
    let outside: Vec<String> = imports::files()
        .iter()
        .filter(|file| file.path.starts_with("explain/"))
        .flat_map(|file| file.named.iter())
        .filter(|named| !matches!(named.first().map(String::as_str), Some("domain" | "config" | "explain" | "text")))
        .map(|named| named.join("::"))
        .collect();
    assert_eq!(outside, Vec::<String>::new());
}

/// Pingora is one of the lanes: its types for connections, heads and errors, and the texts of these, are named in the
/// folder of that lane alone. One function is called from outside: the bounds that it sets for the HTTP/2 library.
#[test]
fn pingora_is_named_by_its_lane_alone() {
    let elsewhere = |source: &Source| !source.path.starts_with("proxy/lane/pingora/");
    for word in ["pingora_proxy", "pingora_http", "pingora_error", "pingora_core", "bytes already read"] {
        let mut found = places(word, |source| elsewhere(source) && source.path != "proxy/http2/mod.rs");
        let http2 = sources().into_iter().find(|source| source.path == "proxy/http2/mod.rs").unwrap();
        let named = http2.code.matches(word).count();
        let allowed = http2.code.matches("pingora_core::protocols::http::v2::server::default_h2_options()").count();
        if named > if word == "pingora_core" { allowed } else { 0 } {
            found.push(format!("{}: {word}", http2.path));
        }
        assert_eq!(found, Vec::<String>::new());
    }
}

#[test]
fn nothing_imports_the_server_but_the_commands() {
    let others = |source: &Source| !matches!(source.module.as_str(), "main" | "cli");
    assert_eq!(places("crate::server", others), Vec::<String>::new());
}

#[test]
fn refusals_are_written_in_one_place() {
    let others =
        |source: &Source| source.path != "proxy/reply.rs" && !matches!(source.module.as_str(), "admin" | "sandbox");
    assert_eq!(places("application/problem+json", others), Vec::<String>::new());
}

#[test]
fn the_wall_clock_is_read_in_one_place() {
    let others =
        |source: &Source| source.path != "platform/clock.rs" && !matches!(source.module.as_str(), "sandbox" | "cli");
    for word in ["SystemTime::now", "Timestamp::now", "Zoned::now"] {
        assert_eq!(places(word, others), Vec::<String>::new());
    }
}

#[test]
fn a_policy_is_listed_where_the_order_is() {
    let order = sources().into_iter().find(|source| source.path == "domain/policy/order.rs").unwrap().code;
    // Where they are put together, who calls, and the dry run are no rules; the key is asked for between them.
    let no_rule = ["mod", "order", "objection", "refusal", "trial", "credential"];
    for source in sources().iter().filter(|source| source.path.starts_with("domain/policy/")) {
        let name = source.path.trim_start_matches("domain/policy/").trim_end_matches(".rs");
        if no_rule.contains(&name) {
            continue;
        }
        let asks = |name: &str| order.contains(&format!("{name}::"));
        assert!(asks(name) || (name == "quota" && order.contains("Buckets::of")), "policy {name} is never asked");
    }
}

/// The text of a string literal that starts behind this quote, and what follows it.
fn literal(code: &str) -> (String, &str) {
    let mut text = String::new();
    let mut chars = code.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, &code[at + 1..]),
            '\\' => {
                // Line ends and quotes are no words.
                let _ = chars.next();
                text.push(' ');
            }
            c => text.push(c),
        }
    }
    (text, "")
}

/// Words of a sentence, without what is filled in and what is quoted as code.
fn words(text: &str, shortest: usize) -> Vec<&str> {
    let said = text.split('`').step_by(2);
    let said = said.flat_map(|part| part.split(['{', '}']).step_by(2));
    said.flat_map(|part| part.split(|c: char| !c.is_alphabetic()))
        .filter(|word| word.chars().count() >= shortest)
        .collect()
}

/// `text!` asks for both languages; the same words in both are a translation that was forgotten. One word may be the
/// same.
#[test]
fn every_sentence_is_translated() {
    // The same in both, rightly: names of header fields, of programs and of keys.
    let same = ["Authorization: Bearer …"];
    let mut compared = 0;
    let mut forgotten = Vec::new();
    for source in sources() {
        let mut rest = source.code.as_str();
        while let Some(at) = rest.find("en: \"") {
            let (english, behind) = literal(&rest[at + 5..]);
            rest = behind;
            let Some(french) = behind.trim_start_matches([',', ' ', '\n']).strip_prefix("fr: \"") else { continue };
            let (french, _) = literal(french);
            compared += 1;
            if english == french && words(&english, 2).len() > 1 && !same.contains(&english.as_str()) {
                forgotten.push(format!("{}: {english}", source.path));
            }
        }
    }
    assert!(compared > 500, "{compared}");
    assert_eq!(forgotten, Vec::<String>::new());
}

/// What is printed without `text!` is in one language only.
#[test]
fn commands_say_nothing_past_the_translations() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.module == "cli") {
        for print in ["println!(\"", "print!(\""] {
            for (at, _) in source.code.match_indices(print) {
                let (text, _) = literal(&source.code[at + print.len()..]);
                // What was typed may stand before a sentence: `sensgate keys new: `.
                let said = if text.starts_with("sensgate ") {
                    text.split_once(": ").map_or(&*text, |both| both.1)
                } else {
                    &text
                };
                if !words(said, 4).is_empty() {
                    found.push(format!("{}: {text}", source.path));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// A page for admins in one language only, or one that fell behind, fails here.
#[test]
fn pages_for_admins_are_there_in_french() {
    // For who works on the gate or judges it; metrics have English names and help.
    let english_only = ["metrics.md", "out-of-scope.md", "performance.md", "readings.md", "threats.md"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pairs = vec![
        (root.join("README.md"), root.join("docs/fr/README.md")),
        (root.join("docs/README.md"), root.join("docs/fr/index.md")),
        (root.join("deploy/README.md"), root.join("docs/fr/installation.md")),
    ];
    for folder in ["", "guides", "alerts"] {
        let pages = fs::read_dir(root.join("docs").join(folder)).unwrap().map(|page| page.unwrap().file_name());
        for page in pages.filter(|page| page.to_str().unwrap().ends_with(".md")) {
            let is_index = folder.is_empty() && page == "README.md";
            if !is_index && !english_only.contains(&page.to_str().unwrap()) {
                pairs.push((root.join("docs").join(folder).join(&page), root.join("docs/fr").join(folder).join(&page)));
            }
        }
    }
    for (english, french) in pairs {
        let parts = |path: &Path| {
            let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (
                text.lines().filter(|line| line.starts_with('#')).count(),
                text.lines().filter(|line| line.starts_with("```")).count(),
            )
        };
        assert_eq!(parts(&french), parts(&english), "headings and code of {}", french.display());
    }
}

#[test]
fn no_drawer_for_odds_and_ends() {
    for source in sources() {
        // systemd's own word for what it is.
        let path = source.path.replace("service_manager", "");
        for name in ["util", "helper", "manager", "common", "misc"] {
            assert!(!path.contains(name), "{path}");
        }
    }
}
