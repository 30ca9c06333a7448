//! Login answers: a token is learned only when there is exactly one reading of the answer, and it is shown to nobody.

use secrecy::ExposeSecret;
use sensgate::domain::policy::token::MAX_TOKEN_LEN;
use sensgate::domain::session::login_answer::{MAX_BODY, NoToken, token};
use serde_json::Value;

pub fn check(body: &[u8]) {
    let read = read(200, body);
    for status in [201, 299] {
        assert_eq!(self::read(status, body), read, "2xx is one thing");
    }
    for status in [0, 199, 300, 401, 500, u16::MAX] {
        assert_eq!(self::read(status, body), Err(NoToken::Status(status)));
    }
    match &read {
        Ok(token) => learned(body, token),
        Err(error) => refused(body, *error),
    }
    // Blanks around are no part of JSON.
    let padded = [body, b" \r\n\t"].concat();
    if padded.len() <= MAX_BODY && std::str::from_utf8(body).is_ok() {
        assert_eq!(self::read(200, &padded), read);
    }
}

fn read(status: u16, body: &[u8]) -> Result<String, NoToken> {
    let found = token(status, body);
    let shown = format!("{found:?}");
    found.map(|token| {
        let token = token.expose_secret().to_owned();
        // A token of a few letters may well be in the words around it.
        assert!(token.len() < 8 || !shown.contains(&token), "a token is shown");
        token
    })
}

fn learned(body: &[u8], token: &str) {
    assert!(body.len() <= MAX_BODY && (1..=MAX_TOKEN_LEN).contains(&token.len()));
    assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
    let text = text(body);
    match serde_json::from_str::<Value>(&text) {
        Ok(answer) => match &answer.as_object().expect("an object")["access_token"] {
            Value::String(text) => assert_eq!(token, text),
            Value::Number(number) if !number.is_f64() => assert_eq!(token, number.to_string()),
            other => panic!("a token from {other}"),
        },
        // Beside the token stands what the grammar allows and no type can hold: a number out of range, half a surrogate
        // pair.
        Err(error) => {
            let error = error.to_string();
            assert!(["out of range", "surrogate", "hex escape"].iter().any(|known| error.contains(known)), "{error}");
        }
    }
    let at = text.find('{').expect("an object opens") + 1;
    let with = |inserted: &str| [&text[..at], inserted, &text[at..]].concat();
    for twin in [r#""access_token":"zz","#, r#""access\u005ftoken":null,"#, r#""\u0061ccess_token":{"a":[1]},"#] {
        let twice = with(twin);
        assert!(twice.len() > MAX_BODY || read(200, twice.as_bytes()) == Err(NoToken::Duplicate));
    }
    for other in [r#""Access_Token":"zz","#, r#""data":{"access_token":"zz"},"#, r#""n":[{"x":null},-1.5e3,""],"#] {
        let beside = with(other);
        assert!(beside.len() > MAX_BODY || read(200, beside.as_bytes()).as_deref() == Ok(token));
    }
    let [cut, longer] = [text.trim_end().strip_suffix('}').expect("an object closes").to_owned(), text + "{}"];
    assert_eq!(read(200, cut.as_bytes()), Err(NoToken::NotAnObject), "half an answer");
    assert!(longer.len() > MAX_BODY || read(200, longer.as_bytes()) == Err(NoToken::NotAnObject), "two answers");
}

/// What is refused is not an answer with one good token.
fn refused(body: &[u8], error: NoToken) {
    assert!(!error.to_string().is_empty());
    match error {
        NoToken::TooLong => assert!(body.len() > MAX_BODY),
        NoToken::Status(_) => panic!("200 is 2xx"),
        _ => assert!(body.len() <= MAX_BODY),
    }
    let Ok(Value::Object(answer)) = serde_json::from_str(&text(body)) else { return };
    let fits = match answer.get("access_token") {
        Some(Value::String(text)) => {
            (1..=MAX_TOKEN_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        }
        Some(Value::Number(number)) => !number.is_f64(),
        _ => false,
    };
    // The last of several is in `answer`.
    assert!(!fits || matches!(error, NoToken::Duplicate | NoToken::TooDeep | NoToken::TooLong), "{error:?}");
}

fn text(body: &[u8]) -> String {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => body.iter().map(|byte| char::from(*byte)).collect(),
    }
}
