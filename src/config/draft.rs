//! Edits of a configuration's text that leave everything else as it was: comments, order, blanks and line ends.
//!
//! Pure: text in, text out. Whether the result is a valid configuration is for [`parse`](super::parse) to say.

use jiff::civil::Date;
use toml_edit::{Array, ArrayOfTables, Datetime, DocumentMut, InlineTable, Item, RawString, Table, TableLike, Value};

/// A text under edit.
#[derive(Debug)]
pub struct Draft {
    original: String,
    document: DocumentMut,
}

/// What an entry of `consumer.keys` says.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    pub id: String,
    pub source: KeySource,
    pub created: Date,
    pub expires: Option<Date>,
}

/// What a key is compared with.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Lower-case hexadecimal digits.
    Sha256(String),
    UpstreamKey,
}

/// Why an edit cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is no TOML.
    #[error("not valid TOML")]
    Syntax,
    #[error("no such consumer")]
    NoConsumer,
    #[error("the consumer exists")]
    ConsumerExists,
    #[error("the consumer has no such key")]
    NoKey,
    #[error("the consumer has a key of this id")]
    KeyExists,
    /// A consumer without keys is not a valid one.
    #[error("a consumer keeps at least one key")]
    LastKey,
    /// What is there has a form that is not edited.
    #[error("written in a form that is not edited")]
    Form,
}

impl Draft {
    /// Takes a text that stays valid TOML under every edit.
    ///
    /// # Errors
    /// When the text is no TOML.
    pub fn new(source: &str) -> Result<Self, EditError> {
        let document = without_returns(source).parse().map_err(|_| EditError::Syntax)?;
        Ok(Self { original: source.to_owned(), document })
    }

    /// The ids of a consumer's keys, in their order.
    ///
    /// # Errors
    /// When there is no such consumer, or it is written in a form that is not edited.
    pub fn key_ids(&mut self, consumer: &str) -> Result<Vec<String>, EditError> {
        let id = |table: &dyn TableLike| table.get("id").and_then(Item::as_str).map(str::to_owned);
        Ok(match self.keys(consumer)? {
            Keys::Inline(array) => array.iter().filter_map(|key| id(key.as_inline_table()?)).collect(),
            Keys::Tables(tables) => tables.iter().filter_map(|table| id(table)).collect(),
        })
    }

    /// Adds a key to a consumer that is there, in the form that its keys have.
    ///
    /// # Errors
    /// When there is no such consumer, it has a key of this id, or its form is not edited.
    pub fn add_key(&mut self, consumer: &str, key: &KeyEntry) -> Result<(), EditError> {
        if self.key_ids(consumer)?.contains(&key.id) {
            return Err(EditError::KeyExists);
        }
        match self.keys(consumer)? {
            Keys::Inline(array) => push(array, inline(key)),
            Keys::Tables(tables) => {
                let mut table = Table::new();
                for (name, value) in entries(key) {
                    table.insert(name, Item::Value(value));
                }
                table.decor_mut().set_prefix("\n");
                tables.push(table);
            }
        }
        Ok(())
    }

    /// Adds a consumer with one key, after the last one.
    ///
    /// # Errors
    /// When the consumer exists, or the form of the list is not edited.
    pub fn add_consumer(&mut self, name: &str, key: &KeyEntry) -> Result<(), EditError> {
        match self.keys(name) {
            Err(EditError::NoConsumer) => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(EditError::ConsumerExists),
        }
        let mut keys = Array::new();
        let mut first = Value::InlineTable(inline(key));
        *first.decor_mut() = toml_edit::Decor::new(" ", " ");
        keys.push_formatted(first);
        let mut consumer = Table::new();
        consumer.insert("name", Item::Value(name.into()));
        consumer.insert("keys", Item::Value(Value::Array(keys)));
        consumer.decor_mut().set_prefix("\n");
        let consumers = self.document.entry("consumer").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        consumers.as_array_of_tables_mut().ok_or(EditError::Form)?.push(consumer);
        Ok(())
    }

    /// States the last day of a key.
    ///
    /// # Errors
    /// When there is no such consumer or key, or its form is not edited.
    pub fn set_expires(&mut self, consumer: &str, id: &str, day: Date) -> Result<(), EditError> {
        self.set(consumer, id, "expires", date(day))
    }

    /// Keeps a key in the file and out of use.
    ///
    /// # Errors
    /// When there is no such consumer or key, or its form is not edited.
    pub fn disable(&mut self, consumer: &str, id: &str) -> Result<(), EditError> {
        self.set(consumer, id, "enabled", false.into())
    }

    /// Takes a key out, with the comment on its line and those right above it.
    ///
    /// # Errors
    /// When there is no such consumer or key, it is the only one, or its form is not edited.
    pub fn remove_key(&mut self, consumer: &str, id: &str) -> Result<(), EditError> {
        let ids = self.key_ids(consumer)?;
        let at = ids.iter().position(|known| known == id).ok_or(EditError::NoKey)?;
        if ids.len() == 1 {
            return Err(EditError::LastKey);
        }
        match self.keys(consumer)? {
            Keys::Inline(array) => take_out(array, at),
            Keys::Tables(tables) => {
                tables.remove(at);
            }
        }
        Ok(())
    }

    /// The edited text. Lines that no edit concerns are those of the original, byte for byte.
    #[must_use]
    pub fn finish(&self) -> String {
        with_lines_of(&self.original, &self.document.to_string())
    }

    fn set(&mut self, consumer: &str, id: &str, name: &str, value: Value) -> Result<(), EditError> {
        let is_it = |table: &dyn TableLike| table.get("id").and_then(Item::as_str) == Some(id);
        match self.keys(consumer)? {
            Keys::Inline(array) => {
                let mut tables = array.iter_mut().filter_map(Value::as_inline_table_mut);
                let key = tables.find(|key| is_it(*key)).ok_or(EditError::NoKey)?;
                if !replace(key, name, &value) {
                    append(key, name, value);
                }
            }
            Keys::Tables(tables) => {
                let key = tables.iter_mut().find(|key| is_it(*key)).ok_or(EditError::NoKey)?;
                if !replace(key, name, &value) {
                    key.insert(name, Item::Value(value));
                }
            }
        }
        Ok(())
    }

    fn keys(&mut self, consumer: &str) -> Result<Keys<'_>, EditError> {
        let named = |table: &dyn TableLike| table.get("name").and_then(Item::as_str) == Some(consumer);
        let table: &mut dyn TableLike = match self.document.get_mut("consumer") {
            None => return Err(EditError::NoConsumer),
            Some(Item::ArrayOfTables(tables)) => {
                tables.iter_mut().find(|table| named(*table)).ok_or(EditError::NoConsumer)?
            }
            Some(Item::Value(Value::Array(array))) => {
                let mut tables = array.iter_mut().filter_map(Value::as_inline_table_mut);
                tables.find(|table| named(*table)).ok_or(EditError::NoConsumer)?
            }
            Some(_) => return Err(EditError::Form),
        };
        match table.get_mut("keys") {
            Some(Item::Value(Value::Array(array))) if array.iter().all(Value::is_inline_table) => {
                Ok(Keys::Inline(array))
            }
            Some(Item::ArrayOfTables(tables)) => Ok(Keys::Tables(tables)),
            _ => Err(EditError::Form),
        }
    }
}

/// The two forms in which a consumer's keys are written.
enum Keys<'d> {
    /// `keys = [ { … } ]`
    Inline(&'d mut Array),
    /// `[[consumer.keys]]`
    Tables(&'d mut ArrayOfTables),
}

fn entries(key: &KeyEntry) -> Vec<(&'static str, Value)> {
    let source = match &key.source {
        KeySource::Sha256(digits) => ("sha256", digits.as_str().into()),
        KeySource::UpstreamKey => ("upstream_key", true.into()),
    };
    let mut entries = vec![("id", key.id.as_str().into()), source, ("created", date(key.created))];
    entries.extend(key.expires.map(|day| ("expires", date(day))));
    entries
}

fn inline(key: &KeyEntry) -> InlineTable {
    let mut table = InlineTable::new();
    for (name, value) in entries(key) {
        table.insert(name, value);
    }
    table
}

/// A day alone. Years of four digits are all that `jiff` and TOML have in common.
fn date(day: Date) -> Value {
    let of = |part: i8| u8::try_from(part).unwrap_or_default();
    let date = toml_edit::Date {
        year: u16::try_from(day.year()).unwrap_or_default(),
        month: of(day.month()),
        day: of(day.day()),
    };
    Value::from(Datetime { date: Some(date), time: None, offset: None })
}

/// Gives a key that is there another value, with the blanks and the comment of the old one.
fn replace(table: &mut dyn TableLike, name: &str, value: &Value) -> bool {
    let Some(Item::Value(old)) = table.get_mut(name) else { return false };
    let decor = old.decor().clone();
    *old = value.clone();
    *old.decor_mut() = decor;
    true
}

/// Adds a key at the end. The blank before the brace moves along.
fn append(table: &mut InlineTable, name: &str, mut value: Value) {
    if let Some((_, last)) = table.iter_mut().last() {
        let blank = text(last.decor().suffix());
        last.decor_mut().set_suffix("");
        value.decor_mut().set_prefix(" ");
        value.decor_mut().set_suffix(blank);
    }
    table.insert(name, value);
}

/// Adds an element at the end, on a line of its own when the last one has one. A comment behind the last one stays with
/// it.
fn push(array: &mut Array, table: InlineTable) {
    let mut new = Value::InlineTable(table);
    let comma = array.trailing_comma();
    let behind = text(Some(array.trailing()));
    let Some(last) = array.iter_mut().last() else { return array.push_formatted(new) };
    let before = text(last.decor().prefix());
    let after = if comma { behind } else { text(last.decor().suffix()) };
    let (prefix, rest) = match before.rfind('\n') {
        Some(line) => {
            let (comment, rest) = split_line(&after);
            (format!("{comment}\n{}", &before[line + 1..]), rest.to_owned())
        }
        None => (" ".to_owned(), after),
    };
    if !comma {
        last.decor_mut().set_suffix("");
    }
    new.decor_mut().set_prefix(prefix);
    if comma {
        array.set_trailing(rest);
    } else {
        new.decor_mut().set_suffix(rest);
    }
    array.push_formatted(new);
}

/// Takes an element out with its own comment, and leaves the comment of the one before it.
fn take_out(array: &mut Array, at: usize) {
    let comma = array.trailing_comma();
    let removed = array.remove(at);
    let (before, after) = (text(removed.decor().prefix()), text(removed.decor().suffix()));
    // What is on the line of the element before, up to its end.
    let comment_before = if before.contains('\n') { split_line(&before).0 } else { "" };
    if let Some(next) = array.get_mut(at) {
        let own = text(next.decor().prefix());
        let prefix = match (own.contains('\n'), at) {
            (true, _) => format!("{comment_before}{}", split_line(&own).1),
            (false, 0) => before.clone(),
            (false, _) => own,
        };
        next.decor_mut().set_prefix(prefix);
    } else if comma {
        let behind = text(Some(array.trailing()));
        array.set_trailing(format!("{comment_before}{}", split_line(&behind).1));
    } else if let Some(last) = array.iter_mut().last() {
        let rest = if after.contains('\n') { split_line(&after).1 } else { &after };
        last.decor_mut().set_suffix(format!("{comment_before}{rest}"));
    }
}

/// The rest of a line, and everything from its end on.
fn split_line(text: &str) -> (&str, &str) {
    text.split_at(text.find('\n').unwrap_or(text.len()))
}

fn text(raw: Option<&RawString>) -> String {
    raw.and_then(RawString::as_str).unwrap_or_default().to_owned()
}

fn without_returns(source: &str) -> String {
    source.strip_prefix('\u{feff}').unwrap_or(source).replace("\r\n", "\n")
}

/// `edited` with the lines of `original` where they say the same, and the line ends of `original` where they do not.
fn with_lines_of(original: &str, edited: &str) -> String {
    let old: Vec<&str> = original.split_inclusive('\n').collect();
    let new: Vec<&str> = edited.split_inclusive('\n').collect();
    let same = |(old, new): &(&&str, &&str)| without_returns(old) == **new;
    let first = old.iter().zip(&new).take_while(same).count();
    let most = old.len().min(new.len()) - first;
    let last = old.iter().rev().zip(new.iter().rev()).take(most).take_while(same).count();
    let end = if old.first().is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" };
    let middle: String = new[first..new.len() - last].concat().replace('\n', end);
    [old[..first].concat(), middle, old[old.len() - last..].concat()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date as day;

    fn entry(id: &str) -> KeyEntry {
        let source = KeySource::Sha256("ab".into());
        KeyEntry { id: id.into(), source, created: day(2026, 1, 30), expires: Some(day(2027, 1, 30)) }
    }

    fn edited(source: &str, edit: impl FnOnce(&mut Draft)) -> String {
        let mut draft = Draft::new(source).unwrap();
        edit(&mut draft);
        draft.finish()
    }

    const NEW: &str = "{ id = \"k2\", sha256 = \"ab\", created = 2026-01-30, expires = 2027-01-30 }";

    #[test]
    fn a_key_joins_a_list_on_one_line() {
        let source =
            "# head\n[[consumer]]\nname = \"a\" # who\nkeys = [ { id = \"k1\" } ] # keys\nallow = []\n# tail\n";
        let expected = source.replace("{ id = \"k1\" } ]", &format!("{{ id = \"k1\" }}, {NEW} ]"));
        assert_eq!(edited(source, |draft| draft.add_key("a", &entry("k2")).unwrap()), expected);
        assert_eq!(edited(&expected, |draft| draft.remove_key("a", "k2").unwrap()), source);
    }

    #[test]
    fn a_key_joins_a_list_of_lines_and_comments_stay_where_they_belong() {
        for comma in [",", ""] {
            let source = format!(
                "[[consumer]]\nname = \"a\"\nkeys = [\n    # the first\n    {{ id = \"k0\" }}, # Paris\n    {{ id = \
                 \"k1\" }}{comma} # Lyon\n    # the end\n]\n"
            );
            let expected = source.replace(
                &format!("{{ id = \"k1\" }}{comma} # Lyon\n"),
                &format!("{{ id = \"k1\" }}, # Lyon\n    {NEW}{comma}\n"),
            );
            let with_three = edited(&source, |draft| draft.add_key("a", &entry("k2")).unwrap());
            assert_eq!(with_three, expected);
            assert_eq!(edited(&with_three, |draft| draft.remove_key("a", "k2").unwrap()), source);
            let without_first = edited(&source, |draft| draft.remove_key("a", "k0").unwrap());
            assert_eq!(without_first, source.replace("\n    # the first\n    { id = \"k0\" }, # Paris", ""));
            let without_last = edited(&source, |draft| draft.remove_key("a", "k1").unwrap());
            let gone = format!("\n    {{ id = \"k1\" }}{comma} # Lyon");
            let expected = source.replace(&gone, "").replace("{ id = \"k0\" },", &format!("{{ id = \"k0\" }}{comma}"));
            assert_eq!(without_last, expected);
        }
    }

    #[test]
    fn a_key_joins_tables() {
        let source = "[[consumer]]\nname = \"a\"\n\n[[consumer.keys]] # old\nid = \"k1\"\nsha256 = \"cd\" # of \
                      old\n\n# the other\n[[consumer]]\nname = \"b\"\nkeys = [{id = \"k1\"}]\n";
        let new = "\n[[consumer.keys]]\nid = \"k2\"\nsha256 = \"ab\"\ncreated = 2026-01-30\nexpires = 2027-01-30\n";
        let expected = source.replace("# of old\n", &format!("# of old\n{new}"));
        let two = edited(source, |draft| draft.add_key("a", &entry("k2")).unwrap());
        assert_eq!(two, expected);
        assert_eq!(edited(&two, |draft| draft.remove_key("a", "k2").unwrap()), source);
        let end = edited(source, |draft| draft.set_expires("a", "k1", day(2026, 2, 6)).unwrap());
        assert_eq!(end, source.replace("# of old\n", "# of old\nexpires = 2026-02-06\n"));
        let compact = edited(source, |draft| draft.set_expires("b", "k1", day(2026, 2, 6)).unwrap());
        assert_eq!(compact, source.replace("{id = \"k1\"}", "{id = \"k1\", expires = 2026-02-06}"));
    }

    #[test]
    fn a_value_changes_and_its_comment_stays() {
        let source = "[[consumer]]\nname = \"a\"\n[[consumer.keys]]\nid = \"k1\"\nexpires   =  2030-01-01   # soon\n";
        let sooner = edited(source, |draft| draft.set_expires("a", "k1", day(2026, 2, 6)).unwrap());
        assert_eq!(sooner, source.replace("2030-01-01", "2026-02-06"));
        let off = edited("consumer = [ { name = \"a\", keys = [ { id = \"k1\" } ] } ]\n", |draft| {
            draft.disable("a", "k1").unwrap();
        });
        assert_eq!(off, "consumer = [ { name = \"a\", keys = [ { id = \"k1\", enabled = false } ] } ]\n");
    }

    #[test]
    fn a_consumer_comes_last() {
        let source = "[upstream]\naddress = \"a\"\n\n[[consumer]]\nname = \"a\"\nkeys = [ { id = \"k1\" } ]\n# tail\n";
        let new = format!("\n[[consumer]]\nname = \"b\"\nkeys = [ {NEW} ]\n");
        let two = edited(source, |draft| draft.add_consumer("b", &entry("k2")).unwrap());
        assert_eq!(two.replace(&new, ""), source, "{two}");
        let first = edited("[upstream]\naddress = \"a\"\n", |draft| draft.add_consumer("b", &entry("k2")).unwrap());
        assert_eq!(first, format!("[upstream]\naddress = \"a\"\n{new}"));
    }

    #[test]
    fn line_ends_and_the_byte_order_mark_stay() {
        let source = "\u{feff}# é\r\n[[consumer]]\r\nname = \"a\"\r\nkeys = [\r\n  { id = \"k1\" },\r\n]\r\n# mixed\n";
        let expected = source.replace("\" },\r\n", &format!("\" }},\r\n  {NEW},\r\n"));
        assert_eq!(edited(source, |draft| draft.add_key("a", &entry("k2")).unwrap()), expected);
        assert_eq!(Draft::new(source).unwrap().finish(), source);
    }

    #[test]
    fn edits_that_cannot_be_made() {
        let draft = || Draft::new("[[consumer]]\nname = \"a\"\nkeys = [ { id = \"k1\" } ]\n").unwrap();
        assert_eq!(draft().add_key("b", &entry("k2")), Err(EditError::NoConsumer));
        assert_eq!(draft().add_key("a", &entry("k1")), Err(EditError::KeyExists));
        assert_eq!(draft().add_consumer("a", &entry("k1")), Err(EditError::ConsumerExists));
        assert_eq!(draft().remove_key("a", "k9"), Err(EditError::NoKey));
        assert_eq!(draft().remove_key("a", "k1"), Err(EditError::LastKey));
        assert_eq!(draft().disable("a", "k9"), Err(EditError::NoKey));
        assert_eq!(Draft::new("[").unwrap_err(), EditError::Syntax);
        assert_eq!(Draft::new("consumer = 1").unwrap().key_ids("a"), Err(EditError::Form));
    }
}
