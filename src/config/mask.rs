//! What must not be shown: values that may be secrets in the wrong place.

use super::report::Problems;
use super::shape;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// True for names under which people keep keys, tokens and passwords.
pub(super) fn sounds_secret(name: &str) -> bool {
    const WORDS: [&str; 9] = ["key", "secret", "token", "pass", "credential", "auth", "sha256", "digest", "hash"];
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Hides what may be a secret in the value of a key that nobody reads.
pub(super) fn unread(name: &str, value: &Spanned<DeValue<'_>>, problems: &Problems) {
    if sounds_secret(name) {
        scalars(value, problems);
        return;
    }
    match value.get_ref() {
        DeValue::Array(array) => array.iter().for_each(|element| unread(name, element, problems)),
        DeValue::Table(table) => table.iter().for_each(|(name, value)| unread(name.get_ref(), value, problems)),
        _ => {}
    }
}

/// Hides what may be a secret in a value that is where something else was expected: its line is shown, and nobody
/// reads it. A list or table is hidden only by the names within.
pub(super) fn misplaced(name: &str, value: &DeValue<'_>, span: Range<usize>, problems: &Problems) {
    match value {
        DeValue::Array(array) => {
            array.iter().for_each(|element| misplaced(name, element.get_ref(), element.span(), problems));
        }
        DeValue::Table(table) => table.iter().for_each(|(name, value)| unread(name.get_ref(), value, problems)),
        DeValue::String(_) if wants_secret(name) => problems.mask(span),
        _ => {}
    }
}

/// True for a dotted name at which somebody might write a secret in clear. `token_from` is a list of places.
fn wants_secret(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    sounds_secret(last) && last != "token_from"
}

/// Hides every value in it that is not a table or a list.
pub(super) fn scalars(value: &Spanned<DeValue<'_>>, problems: &Problems) {
    match value.get_ref() {
        DeValue::Array(array) => array.iter().for_each(|element| scalars(element, problems)),
        DeValue::Table(inner) => table(inner, problems),
        _ => problems.mask(value.span()),
    }
}

/// Hides every value in a table, except those that say where a secret is and not what it is.
pub(super) fn table(table: &DeTable<'_>, problems: &Problems) {
    for (_, value) in table.iter().filter(|(name, _)| !shape::SECRET.has(name.get_ref())) {
        scalars(value, problems);
    }
}
