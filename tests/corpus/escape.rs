//! The language in which cases write bytes.
//!
//! Text stands for itself; real line ends and the blanks after them are layout and mean nothing. `\r \n \t \0 \\ \{`
//! and `\xNN` are bytes. `{name}` is a value from the table, `{12*ab}` is `ab` twelve times. Any other brace stands for
//! itself.

use std::collections::BTreeMap;

/// What `{name}` stands for.
pub type Values = BTreeMap<&'static str, Vec<u8>>;

/// The bytes that `text` describes.
pub fn bytes(text: &str, values: &Values) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '\n' => rest = rest.trim_start_matches(' '),
            '\\' => rest = escape(rest, &mut out)?,
            '{' => match placeholder(rest, values)? {
                Some((found, after)) => {
                    out.extend(found);
                    rest = after;
                }
                None => out.push(b'{'),
            },
            other => out.extend(other.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    Ok(out)
}

/// Bytes for a reader: printable text, with a real line end after each `\n`.
pub fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 900;
    let text = bytes[..bytes.len().min(MOST)].escape_ascii().to_string().replace("\\n", "\\n\n      ");
    let more = bytes.len().saturating_sub(MOST);
    if more == 0 { text } else { format!("{text}… and {more} bytes more") }
}

fn escape<'t>(rest: &'t str, out: &mut Vec<u8>) -> Result<&'t str, String> {
    let kind = rest.chars().next().ok_or("a backslash at the end")?;
    let after = &rest[kind.len_utf8()..];
    let byte = match kind {
        'r' => b'\r',
        'n' => b'\n',
        't' => b'\t',
        '0' => 0,
        '\\' => b'\\',
        '{' => b'{',
        'x' => {
            let digits = after.get(..2).ok_or("\\x needs two digits")?;
            out.push(u8::from_str_radix(digits, 16).map_err(|_| format!("\\x{digits}"))?);
            return Ok(&after[2..]);
        }
        other => return Err(format!("unknown escape \\{other}")),
    };
    out.push(byte);
    Ok(after)
}

/// The value of the placeholder whose inside `rest` begins with, and what follows it.
fn placeholder<'t>(rest: &'t str, values: &Values) -> Result<Option<(Vec<u8>, &'t str)>, String> {
    let Some((inside, after)) = rest.split_once('}') else { return Ok(None) };
    if let Some(value) = values.get(inside) {
        return Ok(Some((value.clone(), after)));
    }
    match inside.split_once('*') {
        Some((times, what)) if times.bytes().all(|b| b.is_ascii_digit()) && !times.is_empty() => {
            let times = times.parse().map_err(|_| format!("{{{inside}}}"))?;
            Ok(Some((bytes(what, values)?.repeat(times), after)))
        }
        _ => Ok(None),
    }
}

#[test]
fn the_language() {
    let values = Values::from([("key", b"K".to_vec())]);
    let read = |text| bytes(text, &values);
    assert_eq!(read("a\\r\\n\n  b\\x00\\xff\\\\").unwrap(), b"a\r\nb\x00\xff\\");
    assert_eq!(read("{key}{3*ab}{2*\\r\\n}{x}{\\{key}").unwrap(), b"Kababab\r\n\r\n{x}{{key}");
    assert!(read("\\q").is_err() && read("\\x4").is_err() && read("\\").is_err());
}
