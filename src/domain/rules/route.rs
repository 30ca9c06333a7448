//! Route rules: which method and path a consumer may use.
//!
//! A rule is written `METHOD /path`. The method `*` is any method and `GET` implies `HEAD`. In the path a `*` at the
//! end stands for any rest, also none, and a whole segment `*` in the middle stands for exactly one segment. Matching
//! never sees the query. Rules are matched against the path in normal form ([`crate::domain::request::path`]), which is
//! also what is forwarded.
//!
//! What a rule opens, it opens for its own spelling alone, in every reading that the path has ([`covering`]). What a
//! rule closes, it closes whatever the spelling ([`RouteRule::covers_any_spelling`]): 8sens runs on systems that know
//! no case.

use crate::domain::request::path::{self, Reading};
use crate::domain::request::spelling;
use std::fmt;
use std::sync::Arc;

/// One parsed rule. Its text, as written, is its name in logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule {
    text: Arc<str>,
    method: MethodRule,
    segments: Vec<Segment>,
    tail: Tail,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum MethodRule {
    Any,
    Exactly(Box<[u8]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Exactly(Box<[u8]>),
    AnyOne,
}

/// What may follow the listed segments.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tail {
    Nothing,
    /// The last segment starts with these bytes, and anything may follow, further segments too.
    StartsWith(Box<[u8]>),
}

/// Why a rule could not be read. The words are for the operator and are translated by the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Not of the form `METHOD /path`.
    #[error("not of the form METHOD /path")]
    Shape,
    /// The method is neither `*` nor one that is ever forwarded.
    #[error("the method is neither * nor one that is forwarded")]
    Method,
    /// The path does not start with `/`.
    #[error("the path does not start with /")]
    NotAbsolute,
    /// A `*` that is neither the end of the path nor a whole segment.
    #[error("a * that is neither the end of the path nor a whole segment")]
    Star,
    /// The path holds a query, `//`, a dot segment, or a character that has a second spelling on the wire: only
    /// unreserved characters (RFC 3986 section 2.3) can be named, so that no encoding can slip past a rule.
    #[error("the path has another spelling on the wire")]
    NotCanonical,
}

impl RouteRule {
    /// Reads a rule as written in the configuration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let (method, path) = text.split_once(' ').ok_or(RouteError::Shape)?;
        let method = match method {
            "*" => MethodRule::Any,
            name if crate::domain::request::Method::from_bytes(name.as_bytes()).is_some() => {
                MethodRule::Exactly(name.as_bytes().into())
            }
            _ => return Err(RouteError::Method),
        };
        let inner = path.strip_prefix('/').ok_or(RouteError::NotAbsolute)?;
        let (body, open) = match inner.strip_suffix('*') {
            Some(rest) => (rest, true),
            None => (inner, false),
        };
        let mut parts: Vec<&str> = body.split('/').collect();
        let tail = if open {
            let last = parts.pop().unwrap_or("");
            if last.contains('*') {
                return Err(RouteError::Star);
            }
            Tail::StartsWith(last.as_bytes().into())
        } else {
            Tail::Nothing
        };
        let segments = parts
            .into_iter()
            .map(|part| match part {
                "*" => Ok(Segment::AnyOne),
                part if part.contains('*') => Err(RouteError::Star),
                part => Ok(Segment::Exactly(part.as_bytes().into())),
            })
            .collect::<Result<_, _>>()?;
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/' | b'*');
        if !path.bytes().all(named) || !crate::domain::request::path::is_canonical(path.replace('*', "x").as_bytes()) {
            return Err(RouteError::NotCanonical);
        }
        Ok(Self { text: text.into(), method, segments, tail })
    }

    /// The path, where the rule is a POST to this one path.
    #[must_use]
    pub fn as_post(&self) -> Option<&str> {
        self.text.strip_prefix("POST ").filter(|path| !path.contains('*'))
    }

    /// The rule as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same, shared.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.text
    }

    /// True when the rule covers `method` and `path` exactly as they are written.
    #[must_use]
    pub fn matches(&self, method: &[u8], path: &[u8]) -> bool {
        self.matches_reading(method, path, Reading::Written)
    }

    /// True when the rule covers `method` and any path for which a server that minds spelling less might take `path`:
    /// without regard to case, as Windows and macOS fold it, to dots and blanks at the end of a segment, to a slash at
    /// the end, and to whether an encoded slash is one.
    #[must_use]
    pub fn covers_any_spelling(&self, method: &[u8], path: &[u8]) -> bool {
        if !self.matches_method(method) {
            return false;
        }
        let readings = if path::has_encoded_slash(path) { &Reading::BOTH[..] } else { &Reading::BOTH[..1] };
        readings.iter().any(|reading| {
            // A segment of nothing but dots is a name to one system and nothing to another.
            let has_dots =
                || path.contains(&b'.') && path::segments(path, *reading).any(|(segment, _)| is_only_dots(segment));
            self.matches_path(path, *reading)
                || self.matches_folded(path, *reading, Dots::Kept)
                || (has_dots() && self.matches_folded(path, *reading, Dots::Dropped))
        })
    }

    fn matches_reading(&self, method: &[u8], path: &[u8], reading: Reading) -> bool {
        self.matches_method(method) && self.matches_path(path, reading)
    }

    fn matches_method(&self, method: &[u8]) -> bool {
        match &self.method {
            MethodRule::Any => true,
            MethodRule::Exactly(name) => **name == *method || (**name == *b"GET" && method == b"HEAD"),
        }
    }

    fn matches_path(&self, path: &[u8], reading: Reading) -> bool {
        let mut rest = path::segments(path, reading).map(|(segment, _)| segment);
        for wanted in &self.segments {
            let fits = match (rest.next(), wanted) {
                (Some(found), Segment::Exactly(wanted)) => **wanted == *found,
                (Some(found), Segment::AnyOne) => !found.is_empty(),
                (None, _) => false,
            };
            if !fits {
                return false;
            }
        }
        match &self.tail {
            Tail::Nothing => rest.next().is_none(),
            Tail::StartsWith(prefix) => rest.next().is_some_and(|found| found.starts_with(prefix)),
        }
    }

    /// As [`Self::matches_path`], comparing folded characters. An empty segment is the slash at the end, and counts for
    /// nothing.
    fn matches_folded(&self, path: &[u8], reading: Reading, dots: Dots) -> bool {
        let counts = |segment: &&[u8]| !segment.is_empty() && (dots == Dots::Kept || !is_only_dots(segment));
        let mut rest = path::segments(path, reading).map(|(segment, _)| segment).filter(counts);
        for wanted in &self.segments {
            let fits = match wanted {
                Segment::Exactly(wanted) if wanted.is_empty() => true,
                Segment::Exactly(wanted) => rest.next().is_some_and(|found| folds_to(found, wanted)),
                Segment::AnyOne => rest.next().is_some(),
            };
            if !fits {
                return false;
            }
        }
        match (&self.tail, rest.next()) {
            (Tail::Nothing, found) => found.is_none(),
            (Tail::StartsWith(prefix), None) => without_end(prefix).is_empty(),
            (Tail::StartsWith(prefix), Some(found)) => folds_to_begin(found, prefix) || folds_to(found, prefix),
        }
    }
}

/// The first rule that covers a request, when the path is covered in each of its readings.
#[must_use]
pub fn covering(rules: &[RouteRule], method: &[u8], path: &[u8]) -> Option<usize> {
    let covers = |reading| rules.iter().position(|rule| rule.matches_reading(method, path, reading));
    let first = covers(Reading::Written)?;
    (!path::has_encoded_slash(path) || covers(Reading::SlashDecoded).is_some()).then_some(first)
}

/// Whether a segment of nothing but dots counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dots {
    Kept,
    Dropped,
}

fn is_only_dots(segment: &[u8]) -> bool {
    !segment.is_empty() && segment.iter().all(|byte| *byte == b'.')
}

/// What is left of a name without the dots at its end.
fn without_end(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| *byte != b'.').map_or(0, |at| at + 1);
    &name[..end]
}

/// True when `segment` is `name` to somebody who folds case and drops dots and blanks at the end.
fn folds_to(segment: &[u8], name: &[u8]) -> bool {
    let mut folded = folded(segment);
    begins_with(&mut folded, without_end(name)) && folded.all(|byte| matches!(byte, b'.' | b' '))
}

/// True when `segment` begins with `prefix` to somebody who folds case.
fn folds_to_begin(segment: &[u8], prefix: &[u8]) -> bool {
    begins_with(&mut folded(segment), prefix)
}

fn begins_with(folded: &mut impl Iterator<Item = u8>, name: &[u8]) -> bool {
    name.iter().all(|byte| folded.next() == Some(byte.to_ascii_lowercase()))
}

/// A character that no rule can name.
const OTHER: &[u8] = &[0xff];

/// The characters of a segment as Windows and macOS compare them: a letter in lower case, also for the long s, the
/// Kelvin sign, the dotless i and whatever else an ANSI code page replaces by a letter, and nothing for what a file
/// system does not see. The accented letters of Latin-1 are themselves: every code page of a French system has them.
fn folded(segment: &[u8]) -> impl Iterator<Item = u8> {
    path::characters_of(segment).flat_map(|character| {
        let letters = match character {
            Some(character) if spelling::is_unseen(character) => b"",
            Some(character) if character.is_ascii() || character == '\u{df}' || character > '\u{ff}' => {
                // A combining mark, which is an empty text to others, makes another letter of the one before it.
                spelling::ascii(character).filter(|letters| !letters.is_empty()).unwrap_or(OTHER)
            }
            _ => OTHER,
        };
        letters.iter().copied()
    })
}

impl fmt::Display for RouteRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(rule: &str, method: &str, path: &str) -> bool {
        RouteRule::parse(rule).unwrap().matches(method.as_bytes(), path.as_bytes())
    }

    #[test]
    fn trailing_star_is_any_rest() {
        for path in ["/v1/", "/v1/a", "/v1/a/b"] {
            assert!(matches("GET /v1/*", "GET", path), "{path}");
        }
        for path in ["/v1", "/v2/a", "/"] {
            assert!(!matches("GET /v1/*", "GET", path), "{path}");
        }
        assert!(matches("POST /v1/devis*", "POST", "/v1/devis"));
        assert!(matches("POST /v1/devis*", "POST", "/v1/devis/12/lignes"));
        assert!(matches("POST /v1/devis*", "POST", "/v1/devisAutre"));
        assert!(matches("* /*", "PUT", "/anything/at/all"));
    }

    #[test]
    fn inner_star_is_one_segment() {
        assert!(matches("GET /v1/*/lignes", "GET", "/v1/12/lignes"));
        assert!(!matches("GET /v1/*/lignes", "GET", "/v1/12/13/lignes"));
        assert!(!matches("GET /v1/*/lignes", "GET", "/v1//lignes"));
        assert!(!matches("GET /v1/*/lignes", "GET", "/v1/12/lignes/3"));
    }

    #[test]
    fn get_implies_head_and_case_is_exact() {
        assert!(matches("GET /v1/x", "HEAD", "/v1/x"));
        assert!(!matches("POST /v1/x", "HEAD", "/v1/x"));
        assert!(!matches("GET /v1/x", "GET", "/V1/x"));
        assert!(!matches("GET /v1/x", "GET", "/v1/x/"));
    }

    fn covers(rule: &str, path: &str) -> bool {
        RouteRule::parse(rule).unwrap().covers_any_spelling(b"GET", path.as_bytes())
    }

    #[test]
    fn what_is_closed_is_closed_in_every_spelling() {
        for path in [
            "/v1/secret",
            "/v1/SECRET",
            "/V1/Secret",
            "/v1/secret/",
            "/v1./secret.",
            "/V1../sEcret.../",
            "/v1/secret%20.",
            "/v1/%C5%BFecret",
            "/v1/s%C4%93cret",
            "/v1/sec%E2%80%8Cret",
            "/v1/%C2%ADsecret",
            "/v1%2Fsecret",
            "/V1%2fSecret.",
            "/.../v1/secret",
            "/v1/.../secret/...",
        ] {
            for rule in
                ["* /v1/secret", "* /v1/SECRET.", "* /v1/secret/", "* /v1/secret*", "* /v1/secret/*", "* /v1/sec*"]
            {
                assert!(covers(rule, path), "{rule} {path}");
            }
        }
        for path in ["/v1/%E2%84%AAey", "/v1/KEY", "/v1/key/x"] {
            assert!(covers("GET /v1/key*", path), "{path}");
        }
        for path in ["/v1/LOG%C4%B1N", "/v1/log%C4%B0n", "/v1/login%2F"] {
            assert!(covers("GET /v1/login", path), "{path}");
        }
        for path in ["/v1/a./b", "/V1/A/B.", "/v1/...%2FB", "/v1/x%2Fb"] {
            assert!(covers("GET /v1/*/b*", path), "{path}");
        }
        for path in ["/v1/a.", "/v1/A", "/v1/a.b", "/V1/A.B", "/v1/a..", "/v1/a/x"] {
            assert!(covers("GET /v1/a.*", path), "{path}");
        }
        assert!(covers("* /", "/") && covers("* /*", "/") && covers("* /*", "/%2Fx"));
        assert!(covers("GET /v1/stock", "/v1/%EF%AC%86ock") && covers("GET /v1/access", "/v1/acce%C3%9F"));
    }

    #[test]
    fn another_name_is_another_name() {
        for path in [
            "/v1/secre",
            "/v1/sec.ret",
            "/v1/secretx",
            "/v1/secret/x",
            "/v2/secret",
            "/v1/s%C3%A9cret",
            "/v1/se%CC%81cret",
            "/v1/secr%2At",
            "/v1",
            "/",
            "/v1/secret%2Fx",
            "/v1/%E4%B8%AD",
        ] {
            assert!(!covers("* /v1/secret", path), "{path}");
        }
        assert!(!RouteRule::parse("POST /v1/x").unwrap().covers_any_spelling(b"GET", b"/v1/x"));
        assert!(!covers("* /", "/x") && !covers("GET /v1/*/b", "/v1/b"));
    }

    #[test]
    fn what_is_opened_is_opened_in_each_reading() {
        let rules = |texts: &[&str]| texts.iter().map(|text| RouteRule::parse(text).unwrap()).collect::<Vec<_>>();
        let open = rules(&["GET /v1/articles/*/prix", "GET /v1/articles/*"]);
        assert_eq!(covering(&open, b"GET", b"/v1/articles/REF%2F12"), Some(1));
        assert_eq!(covering(&open, b"GET", b"/v1/articles/REF%2F12/prix"), Some(0));
        assert_eq!(covering(&open, b"GET", b"/v1/Articles/1"), None);
        for (rule, path) in [
            ("GET /v1/articles/*/prix", "/v1/articles/REF%2F12/prix"),
            ("GET /v1/*/prix", "/v1/articles%2Fprix"),
            ("GET /v1/open*", "/v1%2Fopen"),
        ] {
            assert_eq!(covering(&rules(&[rule]), b"GET", path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn broken_rules_say_why() {
        for (text, why) in [
            ("/v1/x", RouteError::Shape),
            ("FETCH /v1/x", RouteError::Method),
            ("CONNECT /v1/x", RouteError::Method),
            ("get /v1/x", RouteError::Method),
            ("GET v1/x", RouteError::NotAbsolute),
            ("GET /v1/a*b", RouteError::Star),
            ("GET /v1/a*/b", RouteError::Star),
            ("GET /v1/**", RouteError::Star),
            ("GET /v1//x", RouteError::NotCanonical),
            ("GET /v1/../x", RouteError::NotCanonical),
            ("GET /v1/x?y=1", RouteError::NotCanonical),
            ("GET /v1/é", RouteError::NotCanonical),
            ("GET /v1/a@b", RouteError::NotCanonical),
            ("GET /v1/%41", RouteError::NotCanonical),
        ] {
            assert_eq!(RouteRule::parse(text).unwrap_err(), why, "{text}");
        }
    }
}
