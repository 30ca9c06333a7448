//! All findings on one configuration, collected while it is read.
//!
//! A [`Report`] keeps the source with every secret masked, so no way of showing it can leak one.

use super::diagnostic::{Complaint, Diagnostic, MAX_DIAGNOSTICS, Severity, Spot, on_boundaries};
use super::render::{self, Source};
use crate::text::Lang;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// All findings on one configuration, in the order of its files.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The configuration itself, then the files that it names for consumers.
    sources: Vec<Source>,
    diagnostics: Vec<Diagnostic>,
    /// Findings past [`MAX_DIAGNOSTICS`].
    omitted: usize,
    files: Vec<PathBuf>,
}

impl Report {
    /// The files beside this one whose content counts: secrets, certificates and keys, also those that could not be
    /// read.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The name of the file that a finding of this report is about.
    #[must_use]
    pub fn file_of(&self, finding: &Diagnostic) -> &str {
        self.sources.get(finding.text).map_or("", |source| &source.name)
    }

    /// Every finding as rustc would show it. Ends with a line end when there is any.
    #[must_use]
    pub fn render(&self, lang: Lang, color: bool) -> String {
        render::text(&self.sources, &self.diagnostics, self.omitted, lang, color)
    }

    /// Every finding as one element of a JSON array.
    #[must_use]
    pub fn to_json(&self, lang: Lang) -> serde_json::Value {
        render::json(&self.sources, &self.diagnostics, lang)
    }
}

/// How bad, in which text, where and what.
type Found = (Severity, usize, Option<Range<usize>>, Complaint);

/// Collects findings while the file is read, and the locations that must not be shown.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// The text that is read.
    text: Cell<usize>,
    found: RefCell<Vec<Found>>,
    omitted: RefCell<usize>,
    masks: RefCell<Vec<Spot>>,
    files: RefCell<Vec<PathBuf>>,
}

impl Problems {
    pub(super) fn error(&self, span: impl Into<Option<Range<usize>>>, complaint: Complaint) {
        self.push(Severity::Error, span.into(), complaint);
    }

    pub(super) fn warn(&self, span: impl Into<Option<Range<usize>>>, complaint: Complaint) {
        self.push(Severity::Warning, span.into(), complaint);
    }

    /// The bytes of `span` are never shown.
    pub(super) fn mask(&self, span: Range<usize>) {
        self.masks.borrow_mut().push(self.spot(span));
    }

    /// What is said from now on is about the text with this number.
    pub(super) fn enter(&self, text: usize) {
        self.text.set(text);
    }

    /// A location in the text that is read.
    pub(super) fn spot(&self, span: Range<usize>) -> Spot {
        Spot { text: self.text.get(), span }
    }

    /// The content of this file counts as a part of the configuration.
    pub(super) fn depends_on(&self, path: &Path) {
        self.files.borrow_mut().push(path.to_owned());
    }

    /// True when nothing stops the gate from starting.
    pub(super) fn none_is_fatal(&self) -> bool {
        self.found.borrow().iter().all(|(severity, ..)| *severity != Severity::Error)
    }

    fn push(&self, severity: Severity, span: Option<Range<usize>>, complaint: Complaint) {
        let mut found = self.found.borrow_mut();
        if found.len() < MAX_DIAGNOSTICS {
            found.push((severity, self.text.get(), span, complaint));
        } else {
            *self.omitted.borrow_mut() += 1;
            // A fatal finding always has its location, so that "none is fatal" stays true to its name.
            if severity == Severity::Error
                && let Some(slot) = found.iter_mut().find(|(known, ..)| *known == Severity::Warning)
            {
                *slot = (severity, self.text.get(), span, complaint);
            }
        }
    }

    /// The report on a configuration that is one text.
    pub(super) fn into_report(self, file: &str, source: &str) -> Report {
        self.into_report_on(&[(file, source)])
    }

    /// The report, in the order of the texts, which come with the names of their files; findings on a text as a whole
    /// come last.
    pub(super) fn into_report_on(self, sources: &[(&str, &str)]) -> Report {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(_, text, span, _)| (*text, span.as_ref().map_or(usize::MAX, |span| span.start)));
        let diagnostics: Vec<Diagnostic> = found
            .into_iter()
            .map(|(severity, text, span, complaint)| complaint.at(sources, severity, text, span))
            .collect();
        let masks = self.masks.into_inner();
        let shown = |number: usize| {
            let related = |finding: &Diagnostic| finding.related.as_ref().is_some_and(|(spot, _)| spot.text == number);
            diagnostics.iter().any(|finding| finding.text == number || related(finding))
        };
        let source = |(number, (name, text)): (usize, &(&str, &str))| {
            let text = if shown(number) {
                let of_text = masks.iter().filter(|mask| mask.text == number);
                masked(text, &of_text.map(|mask| mask.span.clone()).collect::<Vec<_>>())
            } else {
                String::new()
            };
            Source { name: (*name).to_owned(), text }
        };
        let sources = sources.iter().enumerate().map(source).collect();
        Report { sources, diagnostics, omitted: self.omitted.into_inner(), files: self.files.into_inner() }
    }
}

/// `source` with every byte of `masks` replaced by `*`, line ends aside. Offsets stay.
fn masked(source: &str, masks: &[Range<usize>]) -> String {
    let mut masks: Vec<_> = masks.iter().map(|span| on_boundaries(source, span)).collect();
    masks.sort_by_key(|span| span.start);
    let mut shown = String::with_capacity(source.len());
    let mut at = 0;
    for span in masks {
        let start = span.start.max(at);
        shown.push_str(&source[at..start]);
        at = span.end.max(start);
        shown.extend(
            source[start..at].bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { byte as char } else { '*' }),
        );
    }
    shown.push_str(&source[at..]);
    // A carriage return at a line's end is no part of what is shown.
    shown.replace("\r\n", " \n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnostic::Rule;

    #[test]
    fn masks_keep_offsets_and_may_overlap() {
        assert_eq!(masked("abcdef", &[1..3, 2..4]), "a***ef");
        assert_eq!(masked("ab\ncd", &[0..5, 0..0]), "**\n**");
        assert_eq!(masked("aéb", &[2..3, 0..0]), "a**b");
        assert_eq!(masked("abc", &[2..99, 0..0]), "ab*");
    }

    #[test]
    fn an_error_past_the_bound_still_counts() {
        let complaint = || {
            let empty = crate::text! { en: "", fr: "" };
            Complaint::new(Rule::Syntax, empty.clone(), empty)
        };
        let problems = Problems::default();
        for _ in 0..MAX_DIAGNOSTICS {
            problems.warn(0..1, complaint());
        }
        problems.error(None, complaint());
        assert!(!problems.none_is_fatal());
        let report = problems.into_report("f", "x");
        assert_eq!((report.errors(), report.warnings(), report.omitted), (1, MAX_DIAGNOSTICS - 1, 1));
    }
}
