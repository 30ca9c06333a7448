//! `docs/readings.md`: who reads otherwise what the gate refuses for its form.

use super::classes::{self, Class};
use sensgate::domain::denial::Reason;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A row for a class of refusals.
pub struct Row {
    /// The words of its reason, or its code where that says it all.
    pub word: String,
    /// What the four make of it, as last measured; empty when they see nothing in it.
    pub measured: String,
    /// What is known of other programs, with its source; may be empty.
    pub known: String,
}

/// What is on the page: the classes, and the cases that all four forward alike, by pattern, with the reason for
/// refusing them.
pub struct Page {
    text: String,
    pub rows: Vec<Row>,
    pub alike: Vec<(String, String)>,
}

impl Page {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(path()).unwrap();
        let (mut rows, mut alike) = (Vec::new(), Vec::new());
        for line in text.lines() {
            match cells(line)[..] {
                [word, measured, known] => {
                    let [word, measured, known] = [word, measured, known].map(str::to_owned);
                    rows.push(Row { word, measured, known });
                }
                [pattern, why] => alike.push((pattern.to_owned(), why.to_owned())),
                _ => {}
            }
        }
        Self { text, rows, alike }
    }

    pub fn row(&self, word: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.word == word)
    }

    /// The page with what was measured now. Classes that no request of the corpus belongs to keep their row.
    pub fn rewritten(&self, classes: &BTreeMap<String, Class>) -> String {
        let rewritten = self.text.lines().map(|line| match cells(line)[..] {
            [word, _, known] => match classes.get(word) {
                Some(class) => row(word, &class.measured(), known),
                None => line.to_owned(),
            },
            _ => line.to_owned(),
        });
        rewritten.collect::<Vec<_>>().join("\n") + "\n"
    }

    pub fn write(text: &str) {
        std::fs::write(path(), text).unwrap();
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/readings.md")
}

/// The cells of a row that begins with a name in backquotes; a dash stands for an empty one.
fn cells(line: &str) -> Vec<&str> {
    let Some(line) = line.strip_prefix("| `").and_then(|line| line.strip_suffix(" |")) else { return Vec::new() };
    let Some((name, rest)) = line.split_once("` | ") else { return Vec::new() };
    let rest = rest.split(" | ").map(|cell| if cell == "–" { "" } else { cell });
    [name].into_iter().chain(rest).collect()
}

fn row(word: &str, measured: &str, known: &str) -> String {
    let cell = |text: &str| if text.is_empty() { "–".to_owned() } else { text.to_owned() };
    format!("| `{word}` | {} | {} |", cell(measured), cell(known))
}

#[test]
fn every_form_that_is_refused_has_a_program_that_reads_it_otherwise() {
    let page = Page::read();
    for row in &page.rows {
        assert!(classes::is_about_form(&row.word), "{} is no form that is refused", row.word);
        assert!(!row.measured.is_empty() || !row.known.is_empty(), "nobody reads otherwise: {}", row.word);
        assert_eq!(page.rows.iter().filter(|other| other.word == row.word).count(), 1, "{}", row.word);
    }
    let words = Reason::ALL.iter().map(|reason| reason.as_str()).filter(|word| classes::is_about_form(word));
    let missing: Vec<_> = words.filter(|word| page.row(word).is_none()).collect();
    assert!(missing.is_empty(), "docs/readings.md says nothing of {missing:?}");
}
