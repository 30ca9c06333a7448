//! What the pages lead to: their links, the index of all of them, and the paths of the source that they name.

use super::{pages, read};
use crate::source;
use std::path::Path;

/// The paths that a page links to or shows, as they are written there, without those elsewhere.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let images = text.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links
        .chain(images)
        .map(|link| link.split('#').next().unwrap())
        .filter(|path| !path.is_empty() && !path.contains("://"))
}

#[test]
fn every_link_leads_somewhere() {
    let everywhere =
        pages(&["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs", "deploy"]);
    assert!(everywhere.len() > 80, "{everywhere:?}");
    for page in everywhere {
        for link in links(&std::fs::read_to_string(&page).unwrap()) {
            assert!(page.parent().unwrap().join(link).exists(), "{}: {link}", page.display());
        }
    }
}

/// Guides, alerts and decisions have an index of their own.
#[test]
fn the_index_leads_to_every_page() {
    for (index, folder) in [("docs/README.md", "docs"), ("docs/fr/index.md", "docs/fr")] {
        let text = read(index);
        let leads_to = |path: &Path| {
            links(&text).any(|link| source(folder).join(link).canonicalize().unwrap() == path.canonicalize().unwrap())
        };
        let mut wanted: Vec<_> =
            std::fs::read_dir(source(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        wanted.retain(|path| path.extension().is_some_and(|extension| extension == "md") && *path != source(index));
        wanted.extend(["guides/README.md", "alerts/README.md"].map(|page| source(folder).join(page)));
        wanted.extend(
            ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/decisions"].map(source),
        );
        assert!(wanted.len() > 12, "{wanted:?}");
        for page in wanted {
            assert!(leads_to(&page), "{index} has no link to {}", page.display());
        }
    }
}

/// Paths in backquotes, of those pages that lead a reader through the source. In ARCHITECTURE.md they may begin in
/// `src/`, and name a module without its ending.
#[test]
fn every_path_of_the_source_is_there() {
    let mut seen = 0;
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = read(page);
        let mut fenced = false;
        let prose = text.lines().filter(|line| {
            fenced ^= line.starts_with("```");
            !fenced && !line.starts_with("    ")
        });
        let prose: String = prose.flat_map(|line| [line, "\n"]).collect();
        let is_path = |span: &&str| {
            !span.starts_with('/')
                && span.trim_end_matches('/').contains('/')
                && span.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b))
        };
        for path in prose.split('`').skip(1).step_by(2).filter(is_path) {
            seen += 1;
            let places = [source(path), source("src").join(path), source("src").join(format!("{path}.rs"))];
            assert!(places.iter().any(|place| place.exists()), "{page}: {path}");
        }
    }
    assert!(seen > 40, "{seen} paths");
}
