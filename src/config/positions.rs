//! Which line says what: the place of every setting that is in the file, for whoever explains a decision.

use std::collections::HashMap;
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The lines of a configuration file by the dotted path of what they set. Lines are counted from 1; values are not
/// kept.
///
/// An element of a list that has a `name` or an `id` goes by it, any other one by its number from 0:
/// `limits.body_bytes`, `consumer.boutique-paris.allow`, `consumer.boutique-paris.allow.1`,
/// `consumer.boutique-paris.keys.k1`, `listener.0.plaintext`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    file: String,
    lines: HashMap<Box<str>, usize>,
}

/// A line of a file, written `sensgate.toml:12`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    pub file: String,
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Positions {
    pub(super) fn of(file: &str, source: &str, table: &DeTable<'_>) -> Self {
        let mut walk = Walk { starts: line_starts(source), lines: HashMap::new() };
        walk.table("", table);
        Self { file: file.to_owned(), lines: walk.lines }
    }

    /// Where a setting stands; `None` when the file leaves it out.
    #[must_use]
    pub fn place(&self, path: &str) -> Option<Place> {
        self.lines.get(path).map(|line| Place { file: self.file.clone(), line: *line })
    }
}

struct Walk {
    /// The offset at which each line begins.
    starts: Vec<usize>,
    lines: HashMap<Box<str>, usize>,
}

impl Walk {
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = joined(path, key.get_ref());
            self.note(&path, key.span().start);
            self.value(&path, value);
        }
    }

    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(path, table),
            DeValue::Array(array) => {
                for (place, element) in array.iter().enumerate() {
                    let path = joined(path, &name_of(element.get_ref()).unwrap_or_else(|| place.to_string()));
                    self.note(&path, element.span().start);
                    self.value(&path, element);
                }
            }
            _ => {}
        }
    }

    /// The first place of a path stays: a file that names something twice is refused anyway.
    fn note(&mut self, path: &str, offset: usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        self.lines.entry(path.into()).or_insert(line);
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// What an element of a list calls itself.
fn name_of(element: &DeValue<'_>) -> Option<String> {
    let DeValue::Table(table) = element else { return None };
    ["name", "id"].iter().find_map(|key| match table.get(*key)?.get_ref() {
        DeValue::String(name) => Some(name.to_string()),
        _ => None,
    })
}

fn line_starts(source: &str) -> Vec<usize> {
    std::iter::once(0).chain(memchr::memchr_iter(b'\n', source.as_bytes()).map(|at| at + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_knows_its_line() {
        let source = "# é\n[limits]\nbody_bytes = \"1MiB\"\n\n[[listener]]\naddress = \
                      \"127.0.0.1:1\"\n\n[[consumer]]\nname = \"b\"\n\
                      allow = [\n  \"GET /a\",\n  \"GET /b\",\n]\nkeys = [{ id = \"k1\", sha256 = \"00\" \
                      }]\n[[consumer.keys]]\nid = \"k2\"\n";
        let (table, _) = DeTable::parse_recoverable(source);
        let positions = Positions::of("f.toml", source, table.get_ref());
        for (path, line) in [
            ("limits", 2),
            ("limits.body_bytes", 3),
            ("listener.0", 5),
            ("listener.0.address", 6),
            ("consumer.b", 8),
            ("consumer.b.allow", 10),
            ("consumer.b.allow.1", 12),
            ("consumer.b.keys.k1", 14),
        ] {
            assert_eq!(positions.place(path), Some(Place { file: "f.toml".into(), line }), "{path}");
        }
        assert_eq!(positions.place("limits.uri_bytes"), None);
        assert_eq!(positions.place("limits.body_bytes").unwrap().to_string(), "f.toml:3");
    }
}
