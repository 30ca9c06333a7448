//! What is wrong with a configuration file: every finding with its location, its rule and a hint.

use crate::text;
use crate::text::Text;
use std::ops::Range;
use strum::IntoStaticStr;

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
    ManagedWithoutLogin = "managed_without_login",
    ManagedLoginRoute = "managed_login_route",
    InjectedTokenNotRead = "injected_token_not_read",
    SharedLoginDiffers = "shared_login_differs",
    LoginUsedTwice = "login_used_twice",
    LoginNotUsed = "login_not_used",
}

/// Whether a finding stops the gate from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

/// What is wrong, without saying where.
#[derive(Clone, Debug)]
pub(super) struct Complaint(Box<ComplaintParts>);

#[derive(Clone, Debug)]
struct ComplaintParts {
    rule: Rule,
    message: Text,
    label: Text,
    hint: Option<Text>,
    related: Option<(Spot, Text)>,
}

/// A location in one of the texts that are read.
#[derive(Clone, Debug)]
pub struct Spot {
    /// Which text: 0 is the configuration itself, then come its files of consumers.
    pub text: usize,
    pub span: Range<usize>,
}

impl From<Range<usize>> for Spot {
    /// A location in the configuration itself.
    fn from(span: Range<usize>) -> Self {
        Self { text: 0, span }
    }
}

impl Complaint {
    /// `message` is the sentence, `label` goes under the culprit.
    pub(super) fn new(rule: Rule, message: Text, label: Text) -> Self {
        Self(Box::new(ComplaintParts { rule, message, label, hint: None, related: None }))
    }

    /// What to write instead.
    pub(super) fn hint(mut self, hint: Text) -> Self {
        self.0.hint = Some(hint);
        self
    }

    /// Message and hint in one, for a value that is in no file.
    pub(super) fn sentence(self) -> Text {
        let ComplaintParts { message: Text { en, fr }, label, hint, .. } = *self.0;
        let Text { en: hint_en, fr: hint_fr } = hint.unwrap_or(label);
        text! { en: "{en}: {hint_en}", fr: "{fr} : {hint_fr}" }
    }

    /// A second location that belongs to the story.
    pub(super) fn related(mut self, location: impl Into<Spot>, label: Text) -> Self {
        self.0.related = Some((location.into(), label));
        self
    }
}

/// A location in the file, counted from 1; columns in characters.
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
        Self {
            line: memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    pub severity: Severity,
    pub rule: Rule,
    pub message: Text,
    /// Goes under the culprit.
    pub label: Text,
    /// Which of the texts of its report it is about; the configuration itself is 0.
    pub text: usize,
    /// Bytes of the source, on character boundaries. `None` concerns the file as a whole.
    pub span: Option<Range<usize>>,
    pub hint: Option<Text>,
    /// A second location, with its label.
    pub related: Option<(Spot, Text)>,
    pub start: Position,
    pub end: Position,
}

impl Complaint {
    /// The finding that this is at a location of the text with this number; `None` is the text as a whole.
    pub(super) fn at(
        self,
        sources: &[(&str, &str)],
        severity: Severity,
        text: usize,
        span: Option<Range<usize>>,
    ) -> Diagnostic {
        let Self(content) = self;
        let source = sources[text].1;
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
            related: content.related.map(|(Spot { text, span }, label)| {
                (Spot { text, span: on_boundaries(sources[text].1, &span) }, label)
            }),
            text,
            span,
            start,
            end,
        }
    }
}

/// The nearest range that cuts no character.
pub(super) fn on_boundaries(source: &str, span: &Range<usize>) -> Range<usize> {
    let start = source.floor_char_boundary(span.start);
    let end = source.ceil_char_boundary(span.end.min(source.len())).max(start);
    start..end
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
    fn codes_are_unique() {
        let mut codes: Vec<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Rule::ALL.len());
    }
}
