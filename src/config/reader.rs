//! Typed access to a parsed TOML table: every mistake becomes a finding, and reading goes on.

use super::diagnostic::{Complaint, Problems, Rule};
use super::shape::{self, Form, TableSpec};
use super::value::{self, Parsed};
use crate::text;
use crate::text::Text;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One table of the file, held to its [`TableSpec`].
pub(super) struct Section<'a> {
    spec: &'static TableSpec,
    table: Option<&'a DeTable<'a>>,
    /// The table's head, or the whole of an inline table.
    pub span: Option<Range<usize>>,
    /// Keys that were meant, under another name: they are not missing as well.
    meant: Vec<&'static str>,
    pub problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// Opens a table and reports every key that it does not know.
    pub fn open(
        spec: &'static TableSpec,
        table: &'a DeTable<'a>,
        span: Option<Range<usize>>,
        problems: &'a Problems,
    ) -> Self {
        let mut section = Self { spec, table: Some(table), span, meant: Vec::new(), problems };
        for (key, value) in table {
            section.check_key(key, value);
        }
        section
    }

    /// A table that is not in the file: every key has its default.
    fn absent(spec: &'static TableSpec, problems: &'a Problems) -> Self {
        Self { spec, table: None, span: None, meant: Vec::new(), problems }
    }

    /// The value of a key, when it is there.
    pub fn get(&self, name: &'static str) -> Option<Field<'a>> {
        debug_assert!(self.spec.has(name), "{name} is not registered for {}", self.spec.path);
        let (key, value) = self.table?.get_key_value(name)?;
        let path = match self.spec.form {
            Form::Root | Form::Inline => name.to_owned(),
            Form::Table | Form::Repeated => format!("{}.{name}", self.spec.path),
        };
        Some(Field {
            name: path,
            key: key.span(),
            span: value.span(),
            value: value.get_ref(),
            in_list: false,
            problems: self.problems,
        })
    }

    /// True when one of these keys was meant, under a name that was reported.
    pub fn meant_any(&self, names: &[&str]) -> bool {
        self.meant.iter().any(|name| names.contains(name))
    }

    /// The value of a key that must be there; `example` is what a person could write. A table that is missing as a whole is
    /// reported once, by [`Section::table`].
    pub fn required(&self, name: &'static str, example: &str) -> Option<Field<'a>> {
        let found = self.get(name);
        if found.is_none() && self.table.is_some() && !self.meant.contains(&name) {
            let head = self.spec.head();
            let complaint = Complaint::new(
                Rule::MissingKey,
                text! { en: "`{name}` is missing from `{head}`", fr: "il manque `{name}` dans `{head}`" },
                text! { en: "`{name}` is required here", fr: "`{name}` est obligatoire ici" },
            );

            self.problems
                .error(self.span.clone(), complaint.hint(text! { en: "add `{example}`", fr: "ajoutez `{example}`" }));
        }
        found
    }

    /// The value of a key as `read` finds it, or `default` when it is left out. A value that cannot be read is reported, and what
    /// is returned for it never leaves the reader: the file is refused.
    pub fn or<T>(&self, name: &'static str, default: T, read: impl FnOnce(&Field<'a>) -> Option<T>) -> T {
        self.get(name).and_then(|field| read(&field)).unwrap_or(default)
    }

    /// The table `[name]`, or an empty one.
    pub fn table(&self, name: &'static str, spec: &'static TableSpec) -> Section<'a> {
        let Some(field) = self.get(name) else {
            return Section::absent(spec, self.problems);
        };
        if let DeValue::Table(table) = field.value {
            return Section::open(spec, table, Some(field.span), self.problems);
        }
        let head = spec.head();
        field.wrong_type(&field.a_table(), Some(text! { en: "write `{head}`", fr: "écrivez `{head}`" }));
        Section::absent(spec, self.problems)
    }

    /// Reports a table that must be there.
    pub fn expect_table(&self, name: &'static str, spec: &'static TableSpec, example: &str) {
        if self.get(name).is_none() && !self.meant.contains(&name) {
            let head = spec.head();
            let complaint = Complaint::new(
                Rule::MissingKey,
                text! { en: "the file has no `{head}`", fr: "le fichier n'a pas de `{head}`" },
                text! { en: "missing", fr: "absent" },
            );

            self.problems.error(
                None,
                complaint.hint(text! { en: "add `{head}` with `{example}`", fr: "ajoutez `{head}` avec `{example}`" }),
            );
        }
    }

    /// Every `[[name]]`.
    pub fn tables(&self, name: &'static str, spec: &'static TableSpec) -> Vec<Section<'a>> {
        let Some(field) = self.get(name) else { return Vec::new() };
        let head = spec.head();
        let write = || Some(text! { en: "write `{head}`", fr: "écrivez `{head}`" });
        let DeValue::Array(array) = field.value else {
            field.wrong_type(&text! { en: "a list of tables", fr: "une liste de tables" }, write());
            return Vec::new();
        };
        let mut sections = Vec::new();
        for element in array {
            match element.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section::open(spec, table, Some(element.span()), self.problems));
                }
                _ => field.element(element).wrong_type(&field.a_table(), write()),
            }
        }
        sections
    }

    fn check_key(&mut self, key: &'a Spanned<toml::de::DeString<'a>>, value: &Spanned<DeValue<'a>>) {
        let name = key.get_ref().as_ref();
        if self.spec.has(name) {
            return;
        }
        self.mask_unread(name, value);
        let shown = value::quoted(name);
        let complaint = if let Some((_, new)) = self.spec.renamed.iter().find(|(old, _)| *old == name) {
            self.meant.push(new);
            Complaint::new(
                Rule::RenamedKey,
                text! { en: "`{shown}` is called `{new}`", fr: "`{shown}` s'appelle `{new}`" },
                text! { en: "not a name of this file", fr: "ce nom n'existe pas dans ce fichier" },
            )
            .hint(text! { en: "write `{new}`", fr: "écrivez `{new}`" })
        } else if self.spec.later.contains(&name) {
            let whole = if self.spec.path.is_empty() { shown } else { format!("{}.{shown}", self.spec.path) };
            Complaint::new(
                Rule::NotAvailable,
                text! {
                    en: "this version does not have `{whole}` yet",
                    fr: "cette version n'a pas encore `{whole}`"
                },
                text! { en: "not available yet", fr: "pas encore disponible" },
            )
            .hint(text! { en: "remove it from the file", fr: "retirez cela du fichier" })
        } else {
            self.unknown(name, &shown)
        };
        self.problems.error(key.span(), complaint);
    }

    fn unknown(&mut self, name: &str, shown: &str) -> Complaint {
        let head = self.spec.head();
        let message = match self.spec.form {
            Form::Root => text! { en: "unknown table or key `{shown}`", fr: "table ou clé inconnue : `{shown}`" },
            Form::Inline => text! { en: "unknown key `{shown}`", fr: "clé inconnue : `{shown}`" },
            _ => text! { en: "unknown key `{shown}` in `{head}`", fr: "clé inconnue dans `{head}` : `{shown}`" },
        };
        let complaint = Complaint::new(
            Rule::UnknownKey,
            message,
            text! { en: "nothing has this name here", fr: "rien ne porte ce nom ici" },
        );
        if let Some(near) = value::nearest(name, self.spec.keys.iter().map(|key| key.name)) {
            self.meant.push(near);
            return complaint.hint(text! { en: "did you mean `{near}`?", fr: "vouliez-vous dire `{near}` ?" });
        }
        if let Some(owner) = shape::only_owner(name)
            && owner.form != Form::Inline
        {
            let owner = owner.head();
            return complaint
                .hint(text! { en: "`{shown}` belongs in `{owner}`", fr: "`{shown}` se place dans `{owner}`" });
        }
        let known: Vec<_> = self.spec.keys.iter().map(|key| key.name).collect();
        let known = known.join("`, `");
        complaint.hint(text! { en: "known here: `{known}`", fr: "connues ici : `{known}`" })
    }

    /// The value of a key that nobody reads may be a secret that was put in the wrong place.
    fn mask_unread(&self, name: &str, value: &Spanned<DeValue<'a>>) {
        if self.spec.path == shape::SECRET.path || sounds_secret(name) {
            mask_scalars(value, self.problems);
        }
    }
}

/// True for names under which people keep keys, tokens and passwords.
pub(super) fn sounds_secret(name: &str) -> bool {
    const WORDS: [&str; 9] = ["key", "secret", "token", "pass", "credential", "auth", "sha256", "digest", "hash"];
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Hides every value in it that is not a table or a list.
fn mask_scalars(value: &Spanned<DeValue<'_>>, problems: &Problems) {
    match value.get_ref() {
        DeValue::Array(array) => array.iter().for_each(|element| mask_scalars(element, problems)),
        DeValue::Table(table) => mask_table(table, problems),
        _ => problems.mask(value.span()),
    }
}

/// Says where a secret is, and not what it is: that may be shown.
fn mask_table(table: &DeTable<'_>, problems: &Problems) {
    for (_, value) in table.iter().filter(|(name, _)| !shape::SECRET.has(name.get_ref())) {
        mask_scalars(value, problems);
    }
}

/// One value with its place.
pub(super) struct Field<'a> {
    /// Its dotted name, for messages.
    pub name: String,
    pub key: Range<usize>,
    pub span: Range<usize>,
    pub value: &'a DeValue<'a>,
    /// One of the elements of the list with that name.
    in_list: bool,
    pub problems: &'a Problems,
}

impl<'a> Field<'a> {
    pub fn error(&self, complaint: Complaint) {
        self.problems.error(self.span.clone(), complaint);
    }

    pub fn warn(&self, complaint: Complaint) {
        self.problems.warn(self.span.clone(), complaint);
    }

    /// Hides the value, whatever it is.
    pub fn mask(&self) {
        self.problems.mask(self.span.clone());
    }

    /// Hides every value inside.
    pub fn mask_scalars(&self) {
        match self.value {
            DeValue::Array(array) => array.iter().for_each(|element| mask_scalars(element, self.problems)),
            DeValue::Table(table) => mask_table(table, self.problems),
            _ => self.mask(),
        }
    }

    fn a_table(&self) -> Text {
        text! { en: "a table", fr: "une table" }
    }

    /// Says that the value should have been `expected`.
    pub fn wrong_type(&self, expected: &Text, hint: Option<Text>) {
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
    pub fn element(&self, element: &'a Spanned<DeValue<'a>>) -> Field<'a> {
        Field {
            name: self.name.clone(),
            key: self.key.clone(),
            span: element.span(),
            value: element.get_ref(),
            in_list: true,
            problems: self.problems,
        }
    }

    pub fn string(&self) -> Option<&'a str> {
        self.string_or(None)
    }

    /// A string; `hint` helps who wrote something else.
    pub fn string_or(&self, hint: Option<Text>) -> Option<&'a str> {
        if let DeValue::String(text) = self.value {
            return Some(text);
        }
        let quotes =
            text! { en: "a string stands between double quotes", fr: "une chaîne se met entre guillemets droits (\")" };
        self.wrong_type(&text! { en: "a string", fr: "une chaîne de caractères" }, hint.or(Some(quotes)));
        None
    }

    /// A string that `parse` understands.
    pub fn parsed<T>(&self, parse: impl FnOnce(&str) -> Parsed<T>) -> Option<T> {
        let text = self.string()?;
        parse(text).map_err(|complaint| self.error(complaint)).ok()
    }

    pub fn bool(&self) -> Option<bool> {
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

    pub fn integer<T: TryFrom<u64> + Display + Copy + PartialOrd>(&self, range: RangeInclusive<T>) -> Option<T> {
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
        let number =
            u64::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|number| number.try_into().ok());
        self.in_range(number, range, &T::to_string)
    }

    pub fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let hint = self.bare_number().map(|n| text! { en: "write \"{n}s\"", fr: "écrivez \"{n}s\"" });
        let duration = value::duration(self.string_or(hint)?).map_err(|complaint| self.error(complaint)).ok()?;
        self.in_range(Some(duration), range, &|d| value::show_duration(*d))
    }

    pub fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let hint = self.bare_number().map(|n| {
            let bytes = n.parse().map_or_else(|_| format!("{n}B"), value::show_size);
            text! { en: "write \"{bytes}\"", fr: "écrivez \"{bytes}\"" }
        });
        let size = value::size(self.string_or(hint)?).map_err(|complaint| self.error(complaint)).ok()?;
        self.in_range(Some(size), range, &|size| value::show_size(*size))
    }

    /// The value when it is one of these words.
    pub fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
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

    /// The elements of a list.
    pub fn list(&self) -> Option<Vec<Field<'a>>> {
        if let DeValue::Array(array) = self.value {
            return Some(array.iter().map(|element| self.element(element)).collect());
        }
        let hint = match self.value {
            DeValue::String(text) => {
                let shown = value::quoted(text);
                Some(text! { en: "write [\"{shown}\"]", fr: "écrivez [\"{shown}\"]" })
            }
            _ => None,
        };
        self.wrong_type(&text! { en: "a list", fr: "une liste" }, hint);
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
