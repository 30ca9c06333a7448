//! Typed access to a parsed TOML table: every mistake becomes a finding, and reading goes on.

use super::diagnostic::{Complaint, Rule};
use super::field::Field;
use super::report::Problems;
use super::shape::{self, Form, Presence, TableSpec};
use super::{mask, value};
use crate::text;
use std::ops::Range;
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
    pub(super) fn open(
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
    pub(super) fn get(&self, name: &'static str) -> Option<Field<'a>> {
        debug_assert!(self.spec.has(name), "{name} is not registered for {}", self.spec.path);
        let value = self.table?.get(name)?;
        Some(self.field(name, value, self.problems))
    }

    fn field<'v>(&self, name: &'static str, value: &'v Spanned<DeValue<'v>>, problems: &'v Problems) -> Field<'v> {
        let path = match self.spec.form {
            Form::Root | Form::Inline => name.to_owned(),
            Form::Table | Form::Repeated => format!("{}.{name}", self.spec.path),
        };
        Field::new(path, self.spec.key(name).map(|key| key.kind), value, problems)
    }

    /// True when one of these keys was meant, under a name that was reported.
    pub(super) fn meant_any(&self, names: &[&str]) -> bool {
        self.meant.iter().any(|name| names.contains(name))
    }

    /// The value of a key that must be there; `example` is what a person could write. A table that is missing as a
    /// whole is reported once, by [`Section::table`].
    pub(super) fn required(&self, name: &'static str, example: &str) -> Option<Field<'a>> {
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

    /// The value of a key as `read` finds it, or the default of the registry when it is left out. A value that cannot
    /// be read is reported, and what is returned for it never leaves the reader: the file is refused.
    pub(super) fn value<T>(&self, name: &'static str, read: impl Fn(&Field<'_>) -> Option<T>) -> T {
        match self.get(name).and_then(|field| read(&field)) {
            Some(value) => value,
            None => self.default(name, read),
        }
    }

    #[expect(clippy::expect_used, reason = "a static text that loading any configuration reads")]
    fn default<T>(&self, name: &'static str, read: impl Fn(&Field<'_>) -> Option<T>) -> T {
        let Some(Presence::Default(text)) = self.spec.key(name).map(|key| key.presence) else {
            unreachable!("{}.{name} has no default", self.spec.path)
        };
        let value = DeValue::parse(text).expect("a default is TOML");
        let problems = Problems::default();
        read(&self.field(name, &value, &problems)).expect("a default can be read")
    }

    /// As [`Section::value`], for a key whose default depends on others.
    pub(super) fn or<T>(&self, name: &'static str, default: T, read: impl FnOnce(&Field<'a>) -> Option<T>) -> T {
        self.get(name).and_then(|field| read(&field)).unwrap_or(default)
    }

    /// The table `[name]`, or an empty one.
    pub(super) fn table(&self, name: &'static str, spec: &'static TableSpec) -> Self {
        let Some(field) = self.get(name) else {
            return Section::absent(spec, self.problems);
        };
        if let DeValue::Table(table) = field.value {
            return Section::open(spec, table, Some(field.span), self.problems);
        }
        let head = spec.head();
        field.wrong_type(&a_table(), Some(text! { en: "write `{head}`", fr: "écrivez `{head}`" }));
        Section::absent(spec, self.problems)
    }

    /// Reports a table that must be there.
    pub(super) fn expect_table(&self, name: &'static str, spec: &'static TableSpec, example: &str) {
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
    pub(super) fn tables(&self, name: &'static str, spec: &'static TableSpec) -> Vec<Self> {
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
                _ => field.element(element).wrong_type(&a_table(), write()),
            }
        }
        sections
    }

    fn check_key(&mut self, key: &'a Spanned<toml::de::DeString<'a>>, value: &Spanned<DeValue<'a>>) {
        let name = key.get_ref().as_ref();
        if self.spec.has(name) {
            return;
        }
        if self.spec.path == shape::SECRET.path {
            mask::scalars(value, self.problems);
        } else {
            mask::unread(name, value, self.problems);
        }
        let shown = value::quoted(name);
        let complaint = if let Some((_, new)) = self.spec.renamed.iter().find(|(old, _)| *old == name) {
            self.meant.push(new);
            mask::unread(new, value, self.problems);
            Complaint::new(
                Rule::RenamedKey,
                text! { en: "`{shown}` is called `{new}`", fr: "`{shown}` s'appelle `{new}`" },
                text! { en: "not a name of this file", fr: "ce nom n'existe pas dans ce fichier" },
            )
            .hint(text! { en: "write `{new}`", fr: "écrivez `{new}`" })
        } else if name == "enforce" && shape::NEVER_SHADOWED.contains(&self.spec.path) {
            let head = self.spec.head();
            Complaint::new(
                Rule::NotShadowable,
                text! {
                    en: "what `{head}` says cannot be shadowed or switched off",
                    fr: "ce que dit `{head}` ne peut être ni mis en observation ni désactivé"
                },
                text! { en: "always in force", fr: "toujours en vigueur" },
            )
            .hint(text! {
                en: "`enforce` is for quotas, address and route rules: write it in `[limits]` or in a `[[consumer]]`; \
                     sessions have `mode`",
                fr: "`enforce` concerne les quotas, les adresses et les routes : mettez-le dans `[limits]` ou dans un \
                     `[[consumer]]` ; les sessions ont `mode`"
            })
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
            self.unknown(name, &shown, value)
        };
        self.problems.error(key.span(), complaint);
    }

    fn unknown(&mut self, name: &str, shown: &str, value: &Spanned<DeValue<'a>>) -> Complaint {
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
            mask::unread(near, value, self.problems);
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
}

fn a_table() -> text::Text {
    text! { en: "a table", fr: "une table" }
}
