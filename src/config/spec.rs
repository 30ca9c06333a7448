//! What can be said of a key and of a table: the words in which the registry of keys is written.

use crate::text::StaticText;
use std::time::Duration;

/// What the value of a key is.
#[derive(Clone, Copy, Debug)]
pub enum ValueKind {
    Bool,
    Integer {
        least: u64,
        most: u64,
    },
    /// `"900s"`
    Duration {
        least: Duration,
        most: Duration,
    },
    /// `"64KiB"`, in bytes.
    Size {
        least: u64,
        most: u64,
    },
    /// `"1KiB/s"`, in bytes a second.
    ByteRate {
        least: u64,
        most: u64,
    },
    /// `"20/s, burst 40"`
    Quota,
    /// A calendar day.
    Date,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A string of a certain form.
    Text(&'static Syntax),
    List(&'static Self),
    /// `[name]`, or a table within a line.
    Table(&'static TableSpec),
    /// `[[name]]`, or a list of tables within a line.
    Tables(&'static TableSpec),
    /// One table, or a list of such.
    TableOrTables(&'static TableSpec),
}

/// The form of a string.
#[derive(Debug)]
pub struct Syntax {
    pub name: StaticText,
    /// A regular expression (ECMA 262) that every valid string matches; some invalid ones may.
    pub pattern: Option<&'static str>,
    pub example: &'static str,
}

/// Whether a key may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The file is refused without it.
    Required,
    /// Left out, it has this value, as it would be written.
    Default(&'static str),
    /// Left out, it has no value.
    Optional,
}

/// One key of a table.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    pub name: &'static str,
    pub presence: Presence,
    pub kind: ValueKind,
    /// What it is for: one phrase, without a full stop.
    pub about: StaticText,
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The file itself.
    Root,
    /// `[name]`
    Table,
    /// `[[name]]`
    Repeated,
    /// `{ … }`, an element of a list or a secret.
    Inline,
}

/// One table of the file.
#[derive(Debug)]
pub struct TableSpec {
    /// Its name, dotted when it is inside another one; empty for the file itself.
    pub path: &'static str,
    pub form: Form,
    /// What it is for: one sentence.
    pub about: StaticText,
    pub keys: &'static [KeySpec],
    /// Optional keys of which at least one must be there; empty when all may be left out.
    pub any_of: &'static [&'static str],
    /// Names that people write or that earlier versions had, with the name of today.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Names that a later version will have. Deleting one here is all it takes to free it.
    pub later: &'static [&'static str],
}

impl TableSpec {
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.key(name).is_some()
    }

    /// What is known of a key.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static KeySpec> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// How a person would write the table's head.
    pub(super) fn head(&self) -> String {
        match self.form {
            Form::Root => String::new(),
            Form::Table => format!("[{}]", self.path),
            Form::Repeated => format!("[[{}]]", self.path),
            Form::Inline => self.path.to_owned(),
        }
    }
}
