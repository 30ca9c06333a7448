//! The login name in a request to log in.
//!
//! The vendor's page shows a form with a field `login`. Others may send JSON, or put it into the query, and nobody
//! knows which of them 8sens reads, nor whether it minds case, accents or blanks. So every reading is made of every
//! request, whatever its `Content-Type`, and names are compared without what somebody may not see. Two names that 8sens
//! holds apart then share a counter, which harms nobody; one name under two spellings never has two.

use crate::domain::request::query::name_and_value;
use crate::domain::request::spelling;
use percent_encoding::percent_decode;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Longest body of a login, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// How often a value is decoded that still looks encoded.
const DECODINGS: usize = 3;

/// Which name a request logs in under, in the form in which names are compared.
#[derive(Clone, PartialEq, Eq)]
pub enum LoginName {
    /// No name was found: it is in no place that is read, or the body is compressed, or no form and no JSON.
    None,
    One(Box<[u8]>),
    /// More than one: 8sens would have to choose.
    Several,
}

impl LoginName {
    /// Reads the name from query and body; `field` is what 8sens calls it.
    #[must_use]
    pub fn read(field: &str, query: Option<&[u8]>, body: &[u8]) -> Self {
        let field = canonical(field.as_bytes());
        let mut found = Self::None;
        for form in [query.unwrap_or_default(), body] {
            for pair in form.split(|byte| matches!(byte, b'&' | b';')) {
                let (name, value) = name_and_value(pair);
                if decoded(name) == field {
                    found.add(decoded(value));
                }
            }
        }
        let text = text(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
        for value in serde_json::from_str::<Fields>(&text).map(|fields| fields.0).unwrap_or_default() {
            if canonical(value.0.as_bytes()) == field {
                found.add(canonical(value.1.as_bytes()));
            }
        }
        found
    }

    fn add(&mut self, name: Vec<u8>) {
        let same = match self {
            _ if name.is_empty() => return,
            Self::None => {
                *self = Self::One(name.into());
                return;
            }
            Self::One(known) => **known == *name,
            Self::Several => return,
        };
        if !same {
            *self = Self::Several;
        }
    }
}

/// Never shows a name.
impl fmt::Debug for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::One(_) => "One(..)",
            Self::Several => "Several",
        })
    }
}

/// A name or value of a form (WHATWG URL, "application/x-www-form-urlencoded parsing"), in canonical form.
fn decoded(encoded: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let mut bytes = spaced;
    for _ in 0..DECODINGS {
        if !bytes.contains(&b'%') {
            break;
        }
        bytes = percent_decode(&bytes).collect();
    }
    canonical(&bytes)
}

/// What is left of a name for every reader: lower-case letters and digits without accents, no blank, nothing unseen.
fn canonical(name: &[u8]) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(name.len());
    let seen = |character: &char| !character.is_whitespace() && !character.is_control();
    for letter in text(name).chars().filter(seen).flat_map(char::to_lowercase) {
        match spelling::ascii(letter) {
            Some(letters) => canonical.extend(letters.iter().filter(|letter| **letter != b' ')),
            None => canonical.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    canonical
}

/// UTF-8 or, when it cannot be, Latin-1: there every byte is the character of that number.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    }
}

/// The texts and numbers at the top level of a JSON object, by name.
#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some(name) = map.next_key::<String>()? {
                    if let Scalar(Some(text)) = map.next_value()? {
                        fields.0.push((name, text));
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A text or a number; `None` for anything else.
struct Scalar(Option<String>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Value {
            Text(String),
            Number(serde_json::Number),
            Other(IgnoredAny),
        }

        Ok(Self(match Value::deserialize(deserializer)? {
            Value::Text(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Other(_) => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(query: &str, body: &[u8]) -> LoginName {
        LoginName::read("login", (!query.is_empty()).then_some(query.as_bytes()), body)
    }

    fn one(name: &str) -> LoginName {
        LoginName::One(name.as_bytes().into())
    }

    #[test]
    fn the_vendors_form() {
        assert_eq!(read("", b"login=CLIENTREST&password=clientrest"), one("clientrest"));
    }

    #[test]
    fn every_place_and_spelling_is_one_name() {
        for (query, body) in [
            ("", &b"password=x&login=clientrest"[..]),
            ("", b"login=ClientRest;password=x"),
            ("", b"LOGIN=CLIENTREST"),
            ("", b"login=CLIENT+REST"),
            ("", b"login=%20CLIENTREST%20"),
            ("", b"%6Cogin=%43LIENTREST"),
            ("", b"login=%2543LIENTREST"),
            ("", b"login=CLI%C3%89NTREST"),
            ("", b"login=CLI%C9NTREST"),
            ("", b"login=CLIENT%E2%80%8BREST"),
            ("", b"login=CLIENTREST%00"),
            ("", "login=ＣＬＩＥＮＴＲＥＳＴ".as_bytes()),
            ("", br#"{"login":"CLIENTREST","password":"x"}"#),
            ("", b"\xef\xbb\xbf {\"password\":[1,{}],\"Login\":\"CLIENT\\u0052EST\"}"),
            ("", b"{\"login\":\"CLI\xc9NTREST\"}"),
            ("login=CLIENTREST", b""),
            ("v=1&login=clientrest", b"login=CLIENTREST"),
            ("", b"login=CLIENTREST&login=clientrest&login="),
        ] {
            assert_eq!(read(query, body), one("clientrest"), "{query} {}", String::from_utf8_lossy(body));
        }
        assert_eq!(read("", br#"{"login":42}"#), one("42"));
        assert_eq!(read("", "login=Ωmega".as_bytes()), read("", "login=ωMEGA".as_bytes()));
        assert_eq!(LoginName::read("utilisateur", None, b"login=a&Utilisateur=b"), one("b"));
    }

    #[test]
    fn what_holds_no_name() {
        for body in [
            &b""[..],
            b"password=x",
            b"login=",
            b"login=%20",
            br#"["login","CLIENTREST"]"#,
            br#"{"data":{"login":"CLIENTREST"}}"#,
            br#"{"login":null}"#,
            br#"{"login":"CLIENTREST""#,
            b"\x1f\x8b\x08\x00",
            b"--b\r\nContent-Disposition: form-data; name=\"login\"\r\n\r\nCLIENTREST\r\n--b--\r\n",
        ] {
            assert_eq!(read("", body), LoginName::None, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn two_names_are_told() {
        for (query, body) in [
            ("", &b"login=a&login=b"[..]),
            ("", b"login=a&Login=b&login=c"),
            ("login=a", b"login=b"),
            ("login=a", br#"{"login":"b"}"#),
            ("", br#"{"login":"a","login":"b"}"#),
            ("", br#"{"login":"a","x":"&login=b"}"#),
        ] {
            assert_eq!(read(query, body), LoginName::Several, "{query} {}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn no_name_is_shown() {
        assert_eq!(format!("{:?}", one("clientrest")), "One(..)");
    }

    proptest! {
        #[test]
        fn any_bytes_may_come(query: Vec<u8>, body: Vec<u8>) {
            let _ = LoginName::read("login", Some(&query), &body);
        }

        #[test]
        fn a_name_is_found_whatever_its_case(name in "[A-Za-z0-9_.-]{1,40}") {
            let lower = one(&name.to_lowercase());
            prop_assert_eq!(read("", format!("login={name}&password=x").as_bytes()), lower.clone());
            prop_assert_eq!(read("", serde_json::json!({ "login": name }).to_string().as_bytes()), lower);
        }
    }
}
