//! One value of the file: what it should be, and what is said when it is not.

use super::diagnostic::{Complaint, Rule};
use super::mask;
use super::report::Problems;
use super::spec::ValueKind;
use super::value::{self, Parsed};
use crate::domain::limit::Quota;
use crate::text;
use crate::text::Text;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// One value with its location.
pub(super) struct Field<'a> {
    /// Its dotted name, for messages.
    pub name: String,
    pub span: Range<usize>,
    pub value: &'a DeValue<'a>,
    /// What the registry says may be here; nothing for what a reader of its own looks at.
    kind: Option<ValueKind>,
    /// One of the elements of the list with that name.
    in_list: bool,
    pub problems: &'a Problems,
}

impl<'a> Field<'a> {
    pub(super) fn new(
        name: String,
        kind: Option<ValueKind>,
        value: &'a Spanned<DeValue<'a>>,
        problems: &'a Problems,
    ) -> Self {
        Self { name, span: value.span(), value: value.get_ref(), kind, in_list: false, problems }
    }

    pub(super) fn error(&self, complaint: Complaint) {
        self.problems.error(self.span.clone(), complaint);
    }

    pub(super) fn warn(&self, complaint: Complaint) {
        self.problems.warn(self.span.clone(), complaint);
    }

    /// Hides the value, whatever it is.
    pub(super) fn mask(&self) {
        self.problems.mask(self.span.clone());
    }

    /// Hides every value inside.
    pub(super) fn mask_scalars(&self) {
        match self.value {
            DeValue::Array(array) => array.iter().for_each(|element| mask::scalars(element, self.problems)),
            DeValue::Table(table) => mask::table(table, self.problems),
            _ => self.mask(),
        }
    }

    /// Says that the value should have been `expected`.
    pub(super) fn wrong_type(&self, expected: &Text, hint: Option<Text>) {
        mask::misplaced(&self.name, self.value, self.span.clone(), self.problems);
        let (en, fr, found) = (&expected.en, &expected.fr, type_name(self.value));
        let (found_en, found_fr) = (&found.en, &found.fr);
        let name = &self.name;
        let complaint = Complaint::new(
            Rule::WrongType,
            if self.in_list {
                text! { en: "each element of `{name}` must be {en}", fr: "chaque élément de `{name}` doit être {fr}" }
            } else {
                text! { en: "`{name}` must be {en}", fr: "`{name}` doit être {fr}" }
            },
            text! { en: "this is {found_en}", fr: "ceci est {found_fr}" },
        );
        self.error(match hint {
            Some(hint) => complaint.hint(hint),
            None => complaint,
        });
    }

    /// One element of the list that this field is.
    pub(super) fn element(&self, element: &'a Spanned<DeValue<'a>>) -> Self {
        Field {
            name: self.name.clone(),
            span: element.span(),
            value: element.get_ref(),
            kind: match self.kind {
                Some(ValueKind::List(inner)) => Some(*inner),
                other => other,
            },
            in_list: true,
            problems: self.problems,
        }
    }

    pub(super) fn string(&self) -> Option<&'a str> {
        self.string_or(None)
    }

    /// A string; `hint` helps who wrote something else.
    pub(super) fn string_or(&self, hint: Option<Text>) -> Option<&'a str> {
        if let DeValue::String(text) = self.value {
            return Some(text);
        }
        let quotes =
            text! { en: "a string goes between double quotes", fr: "une chaîne se met entre guillemets droits (\")" };
        let scalar = !matches!(self.value, DeValue::Array(_) | DeValue::Table(_));
        self.wrong_type(&text! { en: "a string", fr: "une chaîne de caractères" }, hint.or(scalar.then_some(quotes)));
        None
    }

    /// A string that `parse` understands.
    pub(super) fn parsed<T>(&self, parse: impl FnOnce(&str) -> Parsed<T>) -> Option<T> {
        let text = self.string()?;
        parse(text).map_err(|complaint| self.error(complaint)).ok()
    }

    pub(super) fn bool(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                let hint = text! {
                    en: "write `true` or `false`, without quotes",
                    fr: "écrivez `true` ou `false`, sans guillemets"
                };
                self.wrong_type(&text! { en: "`true` or `false`", fr: "`true` ou `false`" }, Some(hint));
                None
            }
        }
    }

    /// An integer within the bounds of the registry, which fit `T`.
    pub(super) fn integer<T: TryFrom<u64>>(&self) -> Option<T> {
        let Some(ValueKind::Integer { least, most }) = self.kind else { unreachable!("{} is no integer", self.name) };
        let DeValue::Integer(integer) = self.value else {
            let hint = match self.value {
                DeValue::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                    let shown = value::quoted(text);
                    Some(text! { en: "write {shown}, without quotes", fr: "écrivez {shown}, sans guillemets" })
                }
                _ => None,
            };
            self.wrong_type(&text! { en: "an integer", fr: "un nombre entier" }, hint);
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        self.in_range(number, least..=most, &u64::to_string)?.try_into().ok()
    }

    /// A duration within the bounds of the registry.
    pub(super) fn duration(&self) -> Option<Duration> {
        let Some(ValueKind::Duration { least, most }) = self.kind else { unreachable!("{} is no duration", self.name) };
        let hint = self.bare_number().map(|n| text! { en: "write \"{n}s\"", fr: "écrivez \"{n}s\"" });
        let duration = value::duration(self.string_or(hint)?).map_err(|complaint| self.error(complaint)).ok()?;
        self.in_range(Some(duration), least..=most, &|d| value::show_duration(*d))
    }

    /// A size in bytes within the bounds of the registry.
    pub(super) fn size(&self) -> Option<u64> {
        let Some(ValueKind::Size { least, most }) = self.kind else { unreachable!("{} is no size", self.name) };
        let hint = self.bare_number().map(|n| {
            let bytes = n.parse().map_or_else(|_| format!("{n}B"), value::show_size);
            text! { en: "write \"{bytes}\"", fr: "écrivez \"{bytes}\"" }
        });
        let size = value::size(self.string_or(hint)?).map_err(|complaint| self.error(complaint)).ok()?;
        self.in_range(Some(size), least..=most, &|size| value::show_size(*size))
    }

    /// Bytes in a second, such as `1KiB/s`, within the bounds of the registry.
    pub(super) fn byte_rate(&self) -> Option<u64> {
        let Some(ValueKind::ByteRate { least, most }) = self.kind else { unreachable!("{} is no rate", self.name) };
        let hint = self.bare_number().map(|n| text! { en: "write \"{n}B/s\"", fr: "écrivez \"{n}B/s\"" });
        let rate = value::byte_rate(self.string_or(hint)?).map_err(|complaint| self.error(complaint)).ok()?;
        self.in_range(Some(rate), least..=most, &|rate| value::show_byte_rate(*rate))
    }

    /// A quota such as `20/s, burst 40`.
    pub(super) fn quota(&self) -> Option<Quota> {
        let hint = self.bare_number().map(|n| text! { en: "write \"{n}/s\"", fr: "écrivez \"{n}/s\"" });
        value::quota(self.string_or(hint)?).map_err(|complaint| self.error(complaint)).ok()
    }

    /// The value when it is one of these words, which are those of the registry.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let words = choices.iter().map(|(word, _)| word);
        debug_assert!(
            matches!(self.kind, Some(ValueKind::Choice(known)) if known.iter().eq(words)),
            "{}: {:?}",
            self.name,
            self.kind
        );
        let word = self.string()?;
        if let Some((_, found)) = choices.iter().find(|(name, _)| *name == word) {
            return Some(*found);
        }
        let shown = value::quoted(word);
        let name = &self.name;
        let complaint = Complaint::new(
            Rule::InvalidChoice,
            text! { en: "`{name}` cannot be \"{shown}\"", fr: "`{name}` ne peut pas valoir \"{shown}\"" },
            text! { en: "not one of the choices", fr: "ne fait pas partie des choix" },
        );
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let all = format!("\"{}\"", words.join("\", \""));
        self.error(complaint.hint(match value::nearest(word, words.iter().copied()) {
            Some(near) => text! {
                en: "did you mean \"{near}\"? The choices are {all}",
                fr: "vouliez-vous dire \"{near}\" ? Les choix sont {all}"
            },
            None => text! { en: "the choices are {all}", fr: "les choix sont {all}" },
        }));
        None
    }

    pub(super) fn list(&self) -> Option<Vec<Self>> {
        self.list_or(None)
    }

    /// The elements of a list; `hint` helps who wrote something else.
    pub(super) fn list_or(&self, hint: Option<Text>) -> Option<Vec<Self>> {
        if let DeValue::Array(array) = self.value {
            return Some(array.iter().map(|element| self.element(element)).collect());
        }
        let usual = match self.value {
            DeValue::String(text) => {
                let shown = value::quoted(text);
                Some(text! { en: "write [\"{shown}\"]", fr: "écrivez [\"{shown}\"]" })
            }
            _ => None,
        };
        self.wrong_type(&text! { en: "a list", fr: "une liste" }, hint.or(usual));
        None
    }

    fn bare_number(&self) -> Option<&str> {
        match self.value {
            DeValue::Integer(integer) if integer.radix() == 10 && !integer.as_str().starts_with(['-', '+']) => {
                Some(integer.as_str())
            }
            _ => None,
        }
    }

    fn in_range<T: PartialOrd>(
        &self,
        value: Option<T>,
        range: RangeInclusive<T>,
        show: &dyn Fn(&T) -> String,
    ) -> Option<T> {
        if let Some(value) = value.filter(|value| range.contains(value)) {
            return Some(value);
        }
        let (name, least, most) = (&self.name, show(range.start()), show(range.end()));
        self.error(Complaint::new(
            Rule::OutOfRange,
            text! {
                en: "`{name}` must be between {least} and {most}",
                fr: "`{name}` doit être compris entre {least} et {most}"
            },
            text! { en: "out of range", fr: "hors limites" },
        ));
        None
    }
}

fn type_name(value: &DeValue<'_>) -> Text {
    match value {
        DeValue::String(_) => text! { en: "a string", fr: "une chaîne de caractères" },
        DeValue::Integer(_) => text! { en: "an integer", fr: "un nombre entier" },
        DeValue::Float(_) => text! { en: "a decimal number", fr: "un nombre décimal" },
        DeValue::Boolean(_) => text! { en: "a boolean", fr: "un booléen" },
        DeValue::Datetime(_) => text! { en: "a date", fr: "une date" },
        DeValue::Array(_) => text! { en: "a list", fr: "une liste" },
        DeValue::Table(_) => text! { en: "a table", fr: "une table" },
    }
}
