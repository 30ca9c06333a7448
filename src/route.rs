//! Route rules: which method and path a consumer may use.
//!
//! A rule is written `METHOD /path`. The method `*` is any method and `GET` implies `HEAD`. In the path a `*` at the end
//! stands for any rest, also none, and a whole segment `*` in the middle stands for exactly one segment. Matching is exact in
//! case and never sees the query. Rules are matched against the canonical path ([`crate::path`]), which is also what is forwarded.

use std::fmt;

/// One parsed rule. Its text, as written, is its name in logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule {
    text: Box<str>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// Not of the form `METHOD /path`.
    Shape,
    /// The method is neither `*` nor one that is ever forwarded.
    Method,
    /// The path does not start with `/`.
    NotAbsolute,
    /// A `*` that is neither the end of the path nor a whole segment.
    Star,
    /// The path holds a query, `//`, a dot segment, or a character that has a second spelling on the wire: only
    /// unreserved characters (RFC 3986 section 2.3) can be named, so that no encoding can slip past a rule.
    NotCanonical,
}

impl RouteRule {
    /// Reads a rule as written in the configuration.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let (method, path) = text.split_once(' ').ok_or(RouteError::Shape)?;
        let method = match method {
            "*" => MethodRule::Any,
            name if crate::request::Method::from_bytes(name.as_bytes()).is_some() => {
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
        if !path.bytes().all(named) || !crate::path::is_canonical(path.replace('*', "x").as_bytes()) {
            return Err(RouteError::NotCanonical);
        }
        Ok(Self { text: text.into(), method, segments, tail })
    }

    /// The rule as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True when the rule covers `method` and the canonical `path`.
    #[must_use]
    pub fn matches(&self, method: &[u8], path: &[u8]) -> bool {
        self.matches_method(method) && self.matches_path(path)
    }

    fn matches_method(&self, method: &[u8]) -> bool {
        match &self.method {
            MethodRule::Any => true,
            MethodRule::Exactly(name) => **name == *method || (**name == *b"GET" && method == b"HEAD"),
        }
    }

    fn matches_path(&self, path: &[u8]) -> bool {
        let Some(mut rest) = path.strip_prefix(b"/") else { return false };
        let mut first = true;
        for segment in &self.segments {
            if !first {
                let Some(next) = rest.strip_prefix(b"/") else { return false };
                rest = next;
            }
            first = false;
            let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
            let (this, after) = rest.split_at(end);
            let fits = match segment {
                Segment::Exactly(bytes) => **bytes == *this,
                Segment::AnyOne => !this.is_empty(),
            };
            if !fits {
                return false;
            }
            rest = after;
        }
        match &self.tail {
            Tail::Nothing => rest.is_empty(),
            Tail::StartsWith(prefix) if first => rest.starts_with(prefix),
            Tail::StartsWith(prefix) => rest.strip_prefix(b"/").is_some_and(|rest| rest.starts_with(prefix)),
        }
    }
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
