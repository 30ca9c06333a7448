//! What is wrong with a configuration file: every finding with its place, its rule and a hint.
//!
//! A [`Report`] keeps the source with every secret masked, so no way of showing it can leak one.

use super::render;
use crate::text;
use crate::text::{Lang, Text};
use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// More findings than anyone reads; further ones are counted and not kept.
pub const MAX_DIAGNOSTICS: usize = 200;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// The rules of the file. A code is stable: scripts may match on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule { $($(#[$doc])* $name,)* }

        impl Rule {
            /// Every rule there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable word for the rule.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

rules! {
    UnreadableFile = "unreadable_file",
    Syntax = "syntax",
    DuplicateKey = "duplicate_key",
    UnknownKey = "unknown_key",
    RenamedKey = "renamed_key",
    NotAvailable = "not_available",
    MissingKey = "missing_key",
    WrongType = "wrong_type",
    InvalidChoice = "invalid_choice",
    InvalidDuration = "invalid_duration",
    InvalidSize = "invalid_size",
    InvalidQuota = "invalid_quota",
    InvalidAddress = "invalid_address",
    InvalidNetwork = "invalid_network",
    InvalidName = "invalid_name",
    InvalidRoute = "invalid_route",
    InvalidDate = "invalid_date",
    InvalidDigest = "invalid_digest",
    InvalidPath = "invalid_path",
    OutOfRange = "out_of_range",
    EmptyList = "empty_list",
    DuplicateValue = "duplicate_value",
    DuplicateCredential = "duplicate_credential",
    AddressConflict = "address_conflict",
    ReservedField = "reserved_field",
    SecretInFile = "secret_in_file",
    SecretSource = "secret_source",
    SecretUnreadable = "secret_unreadable",
    SecretContent = "secret_content",
    SecretPermissions = "secret_permissions",
    WeakSecret = "weak_secret",
    CredentialSource = "credential_source",
    PlaintextRequired = "plaintext_required",
    TlsUnusable = "tls_unusable",
    TlsAndPlaintext = "tls_and_plaintext",
    CertificateExpires = "certificate_expires",
    HstsWithoutTls = "hsts_without_tls",
    AcmeAndFiles = "acme_and_files",
    AcmeDomain = "acme_domain",
    AcmeContact = "acme_contact",
    AcmeDirectory = "acme_directory",
    AcmeProfile = "acme_profile",
    AcmeNoPlainListener = "acme_no_plain_listener",
    NoTrustedProxy = "no_trusted_proxy",
    NetworkTooWide = "network_too_wide",
    NotShadowable = "not_shadowable",
    MarginTooLong = "margin_too_long",
    AdminTokenRequired = "admin_token_required",
    DebugLevel = "debug_level",
    WideLoginRoute = "wide_login_route",
    KeyNeverExpires = "key_never_expires",
    KeyExpired = "key_expired",
    SharedUpstreamKey = "shared_upstream_key",
    LimitsOff = "limits_off",
    NoConsumer = "no_consumer",
}

/// Whether a finding stops the gate from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What is wrong, without saying where.
#[derive(Clone, Debug)]
pub(super) struct Complaint(Box<Content>);

#[derive(Clone, Debug)]
struct Content {
    rule: Rule,
    message: Text,
    label: Text,
    hint: Option<Text>,
    related: Option<(Range<usize>, Text)>,
}

impl Complaint {
    /// `message` is the sentence, `label` stands under the culprit.
    pub fn new(rule: Rule, message: Text, label: Text) -> Self {
        Self(Box::new(Content { rule, message, label, hint: None, related: None }))
    }

    /// What to write instead.
    pub fn hint(mut self, hint: Text) -> Self {
        self.0.hint = Some(hint);
        self
    }

    /// Message and hint in one, for a value that stands in no file.
    pub fn sentence(self) -> Text {
        let Content { message: Text { en, fr }, label, hint, .. } = *self.0;
        let Text { en: hint_en, fr: hint_fr } = hint.unwrap_or(label);
        text! { en: "{en}: {hint_en}", fr: "{fr} : {hint_fr}" }
    }

    /// A second place that belongs to the story.
    pub fn related(mut self, span: Range<usize>, label: Text) -> Self {
        self.0.related = Some((span, label));
        self
    }
}

/// A place in the file, counted from 1; columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1 };

    fn of(source: &str, offset: usize) -> Self {
        let before = &source[..source.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    pub severity: Severity,
    pub rule: Rule,
    pub message: Text,
    /// Stands under the culprit.
    pub label: Text,
    /// Bytes of the source, on character boundaries. `None` concerns the file as a whole.
    pub span: Option<Range<usize>>,
    pub hint: Option<Text>,
    /// A second place, with its label.
    pub related: Option<(Range<usize>, Text)>,
    pub start: Position,
    pub end: Position,
}

/// All findings on one file, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Report {
    file: String,
    /// The file with its secrets masked; byte offsets are those of the file.
    source: String,
    diagnostics: Vec<Diagnostic>,
    /// Findings past [`MAX_DIAGNOSTICS`].
    omitted: usize,
    files: Vec<PathBuf>,
}

impl Report {
    /// The files beside this one whose content counts: secrets, certificates and keys, also those that could not be read.
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

    /// Every finding as rustc would show it. Ends with a line end when there is any.
    #[must_use]
    pub fn render(&self, lang: Lang, color: bool) -> String {
        render::text(&self.file, &self.source, &self.diagnostics, self.omitted, lang, color)
    }

    /// Every finding as one element of a JSON array.
    #[must_use]
    pub fn to_json(&self, lang: Lang) -> serde_json::Value {
        render::json(&self.file, &self.diagnostics, lang)
    }
}

/// How bad, where and what.
type Found = (Severity, Option<Range<usize>>, Complaint);

/// Collects findings while the file is read, and the places that must not be shown.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: RefCell<Vec<Found>>,
    omitted: RefCell<usize>,
    masks: RefCell<Vec<Range<usize>>>,
    files: RefCell<Vec<PathBuf>>,
}

impl Problems {
    pub fn error(&self, span: impl Into<Option<Range<usize>>>, complaint: Complaint) {
        self.push(Severity::Error, span.into(), complaint);
    }

    pub fn warn(&self, span: impl Into<Option<Range<usize>>>, complaint: Complaint) {
        self.push(Severity::Warning, span.into(), complaint);
    }

    /// The bytes of `span` are never shown.
    pub fn mask(&self, span: Range<usize>) {
        self.masks.borrow_mut().push(span);
    }

    /// The content of this file counts as a part of the configuration.
    pub fn depends_on(&self, path: &Path) {
        self.files.borrow_mut().push(path.to_owned());
    }

    /// True when nothing stops the gate from starting.
    pub fn none_is_fatal(&self) -> bool {
        self.found.borrow().iter().all(|(severity, ..)| *severity != Severity::Error)
    }

    fn push(&self, severity: Severity, span: Option<Range<usize>>, complaint: Complaint) {
        let mut found = self.found.borrow_mut();
        if found.len() < MAX_DIAGNOSTICS {
            found.push((severity, span, complaint));
        } else {
            *self.omitted.borrow_mut() += 1;
            // A fatal finding always has its place, so that "none is fatal" stays true to its name.
            if severity == Severity::Error
                && let Some(slot) = found.iter_mut().find(|(known, ..)| *known == Severity::Warning)
            {
                *slot = (severity, span, complaint);
            }
        }
    }

    /// The report, in the order of the file; findings on the file as a whole come last.
    pub fn into_report(self, file: &str, source: &str) -> Report {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(_, span, _)| span.as_ref().map_or(usize::MAX, |span| span.start));
        let diagnostics = found.into_iter().map(|finding| place(source, finding));
        Report {
            file: file.to_owned(),
            diagnostics: diagnostics.collect(),
            source: masked(source, &self.masks.into_inner()),
            omitted: self.omitted.into_inner(),
            files: self.files.into_inner(),
        }
    }
}

fn place(source: &str, (severity, span, Complaint(content)): Found) -> Diagnostic {
    let span = span.map(|span| on_boundaries(source, &span));
    let (start, end) = match &span {
        Some(span) => (Position::of(source, span.start), Position::of(source, span.end)),
        None => (Position::START, Position::START),
    };
    Diagnostic {
        severity,
        rule: content.rule,
        message: content.message,
        label: content.label,
        hint: content.hint,
        related: content.related.map(|(span, label)| (on_boundaries(source, &span), label)),
        span,
        start,
        end,
    }
}

fn on_boundaries(source: &str, span: &Range<usize>) -> Range<usize> {
    let start = source.floor_char_boundary(span.start);
    let end = source.ceil_char_boundary(span.end.min(source.len())).max(start);
    start..end
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

    #[test]
    fn positions_count_characters() {
        let source = "é = 1\nàb = 2\n";
        assert_eq!(Position::of(source, 0), Position { line: 1, column: 1 });
        assert_eq!(Position::of(source, 3), Position { line: 1, column: 3 });
        assert_eq!(Position::of(source, 9), Position { line: 2, column: 2 });
        assert_eq!(Position::of(source, 999), Position { line: 3, column: 1 });
    }

    #[test]
    fn masks_keep_offsets_and_may_overlap() {
        assert_eq!(masked("abcdef", &[1..3, 2..4]), "a***ef");
        assert_eq!(masked("ab\ncd", &[0..5, 0..0]), "**\n**");
        assert_eq!(masked("aéb", &[2..3, 0..0]), "a**b");
        assert_eq!(masked("abc", &[2..99, 0..0]), "ab*");
    }

    #[test]
    fn codes_are_unique() {
        let mut codes: Vec<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Rule::ALL.len());
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
