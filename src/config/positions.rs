//! Which line says what: the location of every setting in the files, for whoever explains a decision.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The lines of a configuration and its files of consumers by the dotted path of what they set. Lines are counted from
/// 1; values are not kept.
///
/// An element of a list that has a `name` or an `id` goes by it, any other one by its number from 0:
/// `limits.body_bytes`, `consumer.boutique-paris.allow`, `consumer.boutique-paris.allow.1`,
/// `consumer.boutique-paris.keys.k1`, `listener.0.plaintext`.
///
/// Of a path only a hash of 64 bits is kept: 16 bytes for each setting of each consumer, however long their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    files: Vec<String>,
    /// In the order of the hashes, once it is sorted.
    lines: Vec<SettingLine>,
}

/// Where a path is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SettingLine {
    path: u64,
    file: u16,
    line: u32,
}

/// A line of a file, written `sensgate.toml:12`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Location {
    pub file: String,
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Positions {
    /// Adds the lines of one file, whose name is shown as it is given.
    pub(super) fn add(&mut self, file: &str, source: &str, table: &DeTable<'_>) {
        // More files than numbers are refused before.
        let number = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
        self.files.push(file.to_owned());
        Walk { starts: line_starts(source), file: number, lines: &mut self.lines }.table(None, table);
    }

    /// Ready to be asked. The first location of a path stays: what is named twice is refused anyway.
    pub(super) fn sorted(mut self) -> Self {
        self.lines.sort_unstable();
        self.lines.dedup_by_key(|line| line.path);
        self.lines.shrink_to_fit();
        self
    }

    /// Where a setting is; `None` when the file leaves it out.
    #[must_use]
    pub fn location(&self, path: &str) -> Option<Location> {
        let path = Path::of(path).finish();
        let at = self.lines.binary_search_by_key(&path, |line| line.path).ok()?;
        let SettingLine { file, line, .. } = self.lines[at];
        Some(Location { file: self.files.get(usize::from(file))?.clone(), line: usize::try_from(line).ok()? })
    }
}

/// A dotted path, as the hash of what was read of it so far.
#[derive(Clone)]
struct Path(DefaultHasher);

impl Path {
    fn of(name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(name.as_bytes());
        Self(hasher)
    }

    /// The path of something in what this is the path of.
    fn joined(above: Option<&Self>, name: &str) -> Self {
        let Some(Self(hasher)) = above else { return Self::of(name) };
        let mut hasher = hasher.clone();
        hasher.write(b".");
        hasher.write(name.as_bytes());
        Self(hasher)
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

struct Walk<'l> {
    /// The offset at which each line begins.
    starts: Vec<usize>,
    file: u16,
    lines: &'l mut Vec<SettingLine>,
}

impl Walk<'_> {
    fn table(&mut self, above: Option<&Path>, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = Path::joined(above, key.get_ref());
            self.note(&path, key.span().start);
            self.value(&path, value);
        }
    }

    fn value(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(Some(path), table),
            DeValue::Array(array) => {
                for (index, element) in array.iter().enumerate() {
                    let path = match name_of(element.get_ref()) {
                        Some(name) => Path::joined(Some(path), name),
                        None => Path::joined(Some(path), &index.to_string()),
                    };
                    self.note(&path, element.span().start);
                    self.value(&path, element);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, path: &Path, offset: usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        self.lines.push(SettingLine { path: path.finish(), file: self.file, line });
    }
}

/// What an element of a list calls itself.
fn name_of<'e>(element: &'e DeValue<'_>) -> Option<&'e str> {
    let DeValue::Table(table) = element else { return None };
    ["name", "id"].iter().find_map(|key| match table.get(*key)?.get_ref() {
        DeValue::String(name) => Some(name.as_ref()),
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
        let mut positions = Positions::default();
        positions.add("f.toml", source, table.get_ref());
        let other = "[[consumer]]\nname = \"c\"\n";
        positions.add("c.d/a.toml", other, DeTable::parse_recoverable(other).0.get_ref());
        let positions = positions.sorted();
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
            assert_eq!(positions.location(path), Some(Location { file: "f.toml".into(), line }), "{path}");
        }
        assert_eq!(positions.location("limits.uri_bytes"), None);
        assert_eq!(positions.location("consumer.c.name").unwrap().to_string(), "c.d/a.toml:2");
        assert_eq!(positions.location("limits.body_bytes").unwrap().to_string(), "f.toml:3");
    }
}
