//! The token in 8sens's answer to a login.
//!
//! The vendor's page shows a JSON object with an `access_token` and says nothing of its type, of its charset or of how
//! a failed login looks. So text and whole numbers are taken, UTF-8 and Latin-1, and anything that could be read in two
//! ways is refused.

use crate::domain::policy::token::MAX_TOKEN_LEN;
use secrecy::SecretString;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Longest answer that is read, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// Deepest nesting that is read.
pub const MAX_DEPTH: usize = 64;

/// Why an answer makes nobody an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The status is not 2xx.
    Status(u16),
    /// Longer than [`MAX_BODY`].
    TooLong,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Not one JSON object and nothing else; a compressed answer is not one either.
    NotAnObject,
    /// The object has no `access_token`.
    Missing,
    /// The object has more than one `access_token`.
    Duplicate,
    /// Neither text nor a whole number of at most 64 bits.
    WrongType,
    /// Empty, longer than a token can be, or with other bytes than visible ASCII.
    NotAToken,
}

impl NoToken {
    /// The reason in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status(_) => "login answer is not 2xx",
            Self::TooLong => "login answer is too long",
            Self::TooDeep => "login answer is nested too deep",
            Self::NotAnObject => "login answer is not a JSON object",
            Self::Missing => "login answer has no access_token",
            Self::Duplicate => "login answer has more than one access_token",
            Self::WrongType => "access_token is neither text nor a whole number",
            Self::NotAToken => "access_token is empty, too long or not visible ASCII",
        }
    }
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for NoToken {}

/// Reads the token as 8sens will expect it back: text as it is, a number in decimal.
///
/// `body` is the whole answer, decoded from its transfer coding.
///
/// # Errors
/// When there is not exactly one token that can be used; see [`NoToken`]. No part of the answer is in the error.
pub fn token(status: u16, body: &[u8]) -> Result<SecretString, NoToken> {
    if !(200..300).contains(&status) {
        return Err(NoToken::Status(status));
    }
    if body.len() > MAX_BODY {
        return Err(NoToken::TooLong);
    }
    if depth(body) > MAX_DEPTH {
        return Err(NoToken::TooDeep);
    }
    let text = decoded(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    let answer: LoginAnswer = serde_json::from_str(&text).map_err(|_| NoToken::NotAnObject)?;
    let token = match answer.0 {
        Found::Nothing => return Err(NoToken::Missing),
        Found::Several => return Err(NoToken::Duplicate),
        Found::One(Value::Other) => return Err(NoToken::WrongType),
        Found::One(Value::Token(token)) => token,
    };
    let fits = (1..=MAX_TOKEN_LEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(token.into()) } else { Err(NoToken::NotAToken) }
}

/// The text of a body that is UTF-8 or, when it cannot be, Latin-1: there every byte is the character of that number.
fn decoded(body: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(body) {
        Ok(text) => text.into(),
        Err(_) => body.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    }
}

/// The deepest nesting of arrays and objects, in one pass and without recursion.
fn depth(body: &[u8]) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What an answer has under `access_token`.
enum Found {
    Nothing,
    One(Value),
    Several,
}

enum Value {
    Token(String),
    Other,
}

/// The top level of an answer.
struct LoginAnswer(Found);

impl<'de> Deserialize<'de> for LoginAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = LoginAnswer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LoginAnswer, A::Error> {
                let mut found = Found::Nothing;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "access_token" {
                        let value = map.next_value()?;
                        found = if matches!(found, Found::Nothing) { Found::One(value) } else { Found::Several };
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(LoginAnswer(found))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Token(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Value, E> {
                Ok(Value::Token(text))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Token(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Token(number.to_string()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    fn read(body: &[u8]) -> Result<String, NoToken> {
        token(200, body).map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn the_vendors_answer() {
        let body =
            br#"{"access_token":"Zgh8-77.65/Y+h=","paramRacineCliID":129,"paramRacinePecID":127,"g8CliCode":"C1"}"#;
        assert_eq!(read(body).unwrap(), "Zgh8-77.65/Y+h=");
    }

    #[test]
    fn tokens_are_text_or_whole_numbers() {
        for (body, expected) in [
            (&br#"{"access_token":"t"}"#[..], "t"),
            (b" { \"access_token\" : 0 } \r\n", "0"),
            (br#"{"access_token":18446744073709551615}"#, "18446744073709551615"),
            (br#"{"access_token":-5}"#, "-5"),
            (br#"{"access\u005ftoken":"t"}"#, "t"),
            (br#"{"access_token":"\u0041\/b"}"#, "A/b"),
            (b"\xef\xbb\xbf{\"access_token\":\"t\"}", "t"),
            (b"{\"nom\":\"Soci\xe9t\xe9\",\"access_token\":\"t\"}", "t"),
            ("{\"nom\":\"Société\",\"access_token\":\"t\"}".as_bytes(), "t"),
            (br#"{"data":{"access_token":"inner"},"access_token":"t","x":1e999}"#, "t"),
            (br#"{"Access_Token":"other","access_token":"t"}"#, "t"),
            (br#"{"x":"\"[[[{{","access_token":"t"}"#, "t"),
        ] {
            assert_eq!(read(body).as_deref(), Ok(expected), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        for (body, reason) in [
            (&b""[..], NoToken::NotAnObject),
            (b"null", NoToken::NotAnObject),
            (b"\"t\"", NoToken::NotAnObject),
            (br#"["access_token","t"]"#, NoToken::NotAnObject),
            (br#"{"access_token":"t"} {}"#, NoToken::NotAnObject),
            (br#"{"access_token":"t""#, NoToken::NotAnObject),
            (br#"{"access_token":01}"#, NoToken::NotAnObject),
            (br#"{"access_token":1e999}"#, NoToken::NotAnObject),
            (b"\x1f\x8b\x08\x00\x00", NoToken::NotAnObject),
            (b"{}", NoToken::Missing),
            (br#"{"data":{"access_token":"t"}}"#, NoToken::Missing),
            (br#"{"access_token":"t","access_token":"t"}"#, NoToken::Duplicate),
            (br#"{"access_token":"t","access\u005ftoken":null}"#, NoToken::Duplicate),
            (br#"{"access_token":null}"#, NoToken::WrongType),
            (br#"{"access_token":true}"#, NoToken::WrongType),
            (br#"{"access_token":1.0}"#, NoToken::WrongType),
            (br#"{"access_token":18446744073709551616}"#, NoToken::WrongType),
            (br#"{"access_token":["t"]}"#, NoToken::WrongType),
            (br#"{"access_token":{"a":"t"}}"#, NoToken::WrongType),
            (br#"{"access_token":""}"#, NoToken::NotAToken),
            (br#"{"access_token":"a b"}"#, NoToken::NotAToken),
            (br#"{"access_token":"a\r\nb"}"#, NoToken::NotAToken),
            (b"{\"access_token\":\"\xe9\"}", NoToken::NotAToken),
        ] {
            assert_eq!(read(body), Err(reason), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let with_token = |length: usize| format!(r#"{{"access_token":"{}"}}"#, "t".repeat(length));
        assert!(read(with_token(MAX_TOKEN_LEN).as_bytes()).is_ok());
        assert_eq!(read(with_token(MAX_TOKEN_LEN + 1).as_bytes()), Err(NoToken::NotAToken));
        let mut long = br#"{"access_token":"t"}"#.to_vec();
        long.resize(MAX_BODY, b' ');
        assert!(read(&long).is_ok());
        long.push(b' ');
        assert_eq!(read(&long), Err(NoToken::TooLong));
        let nested = |depth: usize| {
            format!(r#"{{"x":{}{},"access_token":"t"}}"#, "[".repeat(depth), "]".repeat(depth)).into_bytes()
        };
        assert!(read(&nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH)), Err(NoToken::TooDeep));
        assert_eq!(read(&nested(10_000)), Err(NoToken::TooDeep));
        assert_eq!(read(&[b'['; MAX_BODY]), Err(NoToken::TooDeep));
    }

    #[test]
    fn only_success_makes_owners() {
        for status in [0, 100, 199, 300, 302, 401, 500, 999] {
            assert_eq!(token(status, br#"{"access_token":"t"}"#).unwrap_err(), NoToken::Status(status));
        }
        assert!(token(201, br#"{"access_token":"t"}"#).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_may_come(body: Vec<u8>) {
            let _ = read(&body);
        }

        #[test]
        fn nearly_right_answers_never_panic(at in 0usize..60, byte: u8) {
            let mut body = br#"{"a":[1,{"b":null}],"access_token":"abc","c":"\u00e9\"","d":-1.5e3}"#.to_vec();
            body[at] = byte;
            if let Ok(token) = read(&body) {
                prop_assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }

        #[test]
        fn every_visible_token_comes_back_as_it_is(token in "[!-~]{1,64}") {
            let body = serde_json::json!({ "g8CliCode": 1, "access_token": token }).to_string();
            prop_assert_eq!(read(body.as_bytes()).unwrap(), token);
        }

        #[test]
        fn every_whole_number_comes_back_in_decimal(number: i64) {
            let body = serde_json::json!({ "access_token": number }).to_string();
            prop_assert_eq!(read(body.as_bytes()).unwrap(), number.to_string());
        }
    }
}
