//! What a server made of a case: the requests that reached the witness behind it, beside what is in the bytes.

use crate::format::RequestCase;
use crate::support::wire::fields;
use crate::support::witness::SeenRequest;
use std::collections::BTreeMap;

/// Fields that every proxy removes, sets or rewrites by itself. What becomes of them says nothing about a reading.
const OF_A_PROXY: [&str; 15] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "expect",
    "upgrade",
    "http2-settings",
    "via",
    "forwarded",
    "x-real-ip",
    "x-host",
    "proxy",
    "accept-encoding",
];

/// One request, as far as its reading shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    method: String,
    target: String,
    /// Names in lower case, with all values in their order.
    fields: BTreeMap<String, Vec<String>>,
    body: Vec<u8>,
}

impl Reading {
    pub fn of(seen: &SeenRequest) -> Self {
        Self {
            method: seen.method().to_owned(),
            target: origin_form(seen.target()).to_owned(),
            fields: by_name(fields(&seen.head)),
            body: seen.body.clone(),
        }
    }

    /// The one request that is in the bytes of a case when each line means what it says; `None` when they are none.
    pub fn as_it_stands(case: &RequestCase) -> Option<Self> {
        let sent = String::from_utf8_lossy(case.send.first()?).into_owned();
        // Empty lines before a request are passed over (RFC 9112 section 2.2).
        let (head, body) = sent.trim_start_matches("\r\n").split_once("\r\n\r\n")?;
        let line = head.split("\r\n").next()?;
        let (method, rest) = line.split_once(' ')?;
        let (target, _) = rest.rsplit_once(' ')?;
        Some(Self {
            method: method.to_owned(),
            target: origin_form(target).to_owned(),
            fields: by_name(fields(&format!("{head}\r\n\r\n"))),
            body: body.as_bytes().to_vec(),
        })
    }

    /// How this reading differs from what is there, if it does.
    pub fn difference(&self, stands: &Self) -> Option<String> {
        if self.method != stands.method {
            return Some(format!("method {}", shown(&self.method)));
        }
        if self.target != stands.target {
            return Some(format!("target {}", shown(&self.target)));
        }
        stands.fields.iter().find_map(|(name, values)| match self.fields.get(name) {
            None => Some(format!("no field {}", shown(name))),
            Some(found) if found != values => Some(format!("{}: {}", shown(name), shown(&found.join(" and ")))),
            Some(_) => None,
        })
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// The path and query of a target; the form says nothing about its reading.
fn origin_form(target: &str) -> &str {
    match target.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        _ => target,
    }
}

fn by_name(fields: Vec<(String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in fields {
        let name = name.to_lowercase();
        if !OF_A_PROXY.contains(&name.as_str()) && !name.starts_with("x-forwarded-") && !name.starts_with("proxy-") {
            by_name.entry(name).or_default().push(value);
        }
    }
    by_name
}

/// Printable, for a table; a key of the corpus is a dot.
fn shown(text: &str) -> String {
    let words: Vec<&str> = text.split(", ").map(|word| if word.starts_with("sgk_") { "·" } else { word }).collect();
    let text: String = words.join(", ").chars().take(40).collect();
    format!("`{}`", text.escape_default().to_string().replace('|', "\\|"))
}
