//! How findings look on a terminal and in JSON.

use super::diagnostic::{Diagnostic, Severity};
use crate::text;
use crate::text::Lang;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use std::fmt::Write as _;
use std::ops::Range;

/// Each finding with its line, caret, label and hint.
pub(super) fn text(
    file: &str,
    source: &str,
    diagnostics: &[Diagnostic],
    omitted: usize,
    lang: Lang,
    color: bool,
) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        let group = group(file, source, diagnostic, lang);
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    if omitted > 0 {
        let more = text! { en: "… and {omitted} more", fr: "… et {omitted} de plus" };
        let _ = writeln!(out, "{}\n", more.in_lang(lang));
    }
    out
}

fn group<'a>(file: &'a str, source: &'a str, diagnostic: &'a Diagnostic, lang: Lang) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR.with_name(if lang == Lang::Fr { "erreur" } else { "error" }),
        Severity::Warning => Level::WARNING.with_name(if lang == Lang::Fr { "avertissement" } else { "warning" }),
    };
    let title = level.primary_title(diagnostic.message.in_lang(lang)).id(diagnostic.rule.code());
    let group = match &diagnostic.span {
        Some(span) => title.element(snippet(file, source, span, diagnostic, lang)),
        None => title.element(Origin::path(file)),
    };
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
    file: &'a str,
    source: &'a str,
    span: &Range<usize>,
    diagnostic: &'a Diagnostic,
    lang: Lang,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let span = first_line_of(source, span);
    let related = diagnostic.related.as_ref().map(|(span, label)| (first_line_of(source, span), label));
    let first = related.as_ref().map_or(span.start, |(other, _)| other.start.min(span.start));
    let last = related.as_ref().map_or(span.end, |(other, _)| other.end.max(span.end));
    let from = source[..first].rfind('\n').map_or(0, |at| at + 1);
    let to = source[last..].find('\n').map_or(source.len(), |at| last + at);
    let line = source[..from].matches('\n').count() + 1;
    let mut snippet = Snippet::source(&source[from..to]).line_start(line).path(file).annotation(
        AnnotationKind::Primary.span(span.start - from..span.end - from).label(diagnostic.label.in_lang(lang)),
    );
    if let Some((other, label)) = related {
        snippet = snippet
            .annotation(AnnotationKind::Context.span(other.start - from..other.end - from).label(label.in_lang(lang)));
    }
    snippet
}

/// A value over several lines is pointed at by its first one.
fn first_line_of(source: &str, span: &Range<usize>) -> Range<usize> {
    let end = source[span.clone()].find(['\n', '\r']).map_or(span.end, |at| span.start + at);
    span.start..end
}

/// One object for each finding.
pub(super) fn json(file: &str, diagnostics: &[Diagnostic], lang: Lang) -> serde_json::Value {
    diagnostics
        .iter()
        .map(|diagnostic| {
            serde_json::json!({
                "file": file,
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
