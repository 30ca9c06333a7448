//! How findings look on a terminal and in JSON.

use super::diagnostic::{Diagnostic, Severity};
use crate::text;
use crate::text::Lang;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use std::fmt::Write as _;
use std::ops::Range;

/// One text that findings point into.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    /// As the file is called.
    pub(super) name: String,
    /// The text with its secrets masked; byte offsets are those of the file. Empty when no finding points into it.
    pub(super) text: String,
}

/// Each finding with its line, caret, label and hint.
pub(super) fn text(sources: &[Source], diagnostics: &[Diagnostic], omitted: usize, lang: Lang, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        let group = group(sources, diagnostic, lang);
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    if omitted > 0 {
        let more = text! { en: "… and {omitted} more", fr: "… et {omitted} de plus" };
        let _ = writeln!(out, "{}\n", more.in_lang(lang));
    }
    out
}

fn group<'a>(sources: &'a [Source], diagnostic: &'a Diagnostic, lang: Lang) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR.with_name(if lang == Lang::Fr { "erreur" } else { "error" }),
        Severity::Warning => Level::WARNING.with_name(if lang == Lang::Fr { "avertissement" } else { "warning" }),
    };
    let title = level.primary_title(diagnostic.message.in_lang(lang)).id(diagnostic.rule.code());
    let source = &sources[diagnostic.text];
    let mut group = match &diagnostic.span {
        Some(span) => title.element(snippet(source, span, diagnostic, lang)),
        None => title.element(Origin::path(&source.name)),
    };
    if let Some((spot, label)) = &diagnostic.related
        && spot.text != diagnostic.text
    {
        group = group.element(elsewhere(&sources[spot.text], &spot.span, label.in_lang(lang)));
    }
    match &diagnostic.hint {
        Some(hint) => {
            let help = Level::HELP.with_name(if lang == Lang::Fr { "aide" } else { "help" });
            group.element(help.message(normalize_untrusted_str(hint.in_lang(lang))))
        }
        None => group,
    }
}

/// The lines that matter, so that the cost does not grow with the file.
fn snippet<'a>(
    source: &'a Source,
    span: &Range<usize>,
    diagnostic: &'a Diagnostic,
    lang: Lang,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let Source { name: file, text: source } = source;
    let span = first_line_of(source, span);
    let related = diagnostic.related.as_ref().filter(|(spot, _)| spot.text == diagnostic.text);
    let related = related.map(|(spot, label)| (first_line_of(source, &spot.span), label));
    let first = related.as_ref().map_or(span.start, |(other, _)| other.start.min(span.start));
    let last = related.as_ref().map_or(span.end, |(other, _)| other.end.max(span.end));
    let from = source[..first].rfind('\n').map_or(0, |at| at + 1);
    let to = source[last..].find('\n').map_or(source.len(), |at| last + at);
    let line = line_at(source, from);
    let mut snippet = Snippet::source(&source[from..to]).line_start(line).path(file).annotation(
        AnnotationKind::Primary.span(span.start - from..span.end - from).label(diagnostic.label.in_lang(lang)),
    );
    if let Some((other, label)) = related {
        snippet = snippet
            .annotation(AnnotationKind::Context.span(other.start - from..other.end - from).label(label.in_lang(lang)));
    }
    snippet
}

/// The line of another file that belongs to the story.
fn elsewhere<'a>(
    source: &'a Source,
    span: &Range<usize>,
    label: &'a str,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let Source { name, text } = source;
    let span = first_line_of(text, span);
    let from = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let to = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at);
    let annotation = AnnotationKind::Context.span(span.start - from..span.end - from).label(label);
    Snippet::source(&text[from..to]).line_start(line_at(text, from)).path(name).annotation(annotation)
}

/// The number of the line that begins at `offset`.
fn line_at(source: &str, offset: usize) -> usize {
    memchr::memchr_iter(b'\n', &source.as_bytes()[..offset]).count() + 1
}

/// A value over several lines is pointed at by its first one.
fn first_line_of(source: &str, span: &Range<usize>) -> Range<usize> {
    let end = source[span.clone()].find(['\n', '\r']).map_or(span.end, |at| span.start + at);
    span.start..end
}

/// One object for each finding.
pub(super) fn json(sources: &[Source], diagnostics: &[Diagnostic], lang: Lang) -> serde_json::Value {
    diagnostics
        .iter()
        .map(|diagnostic| {
            serde_json::json!({
                "file": sources[diagnostic.text].name,
                "line": diagnostic.start.line,
                "column": diagnostic.start.column,
                "end_line": diagnostic.end.line,
                "end_column": diagnostic.end.column,
                "severity": diagnostic.severity.as_str(),
                "rule": diagnostic.rule.code(),
                "message": diagnostic.message.in_lang(lang),
                "hint": diagnostic.hint.as_ref().map(|hint| hint.in_lang(lang)),
            })
        })
        .collect()
}
