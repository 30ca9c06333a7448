//! The data files: `requests/*.toml` and `upstream/*.toml`.

use crate::escape::{self, Values};
use crate::gate::{DEPOT_KEY, KEY, PARTNER_KEY};
use crate::outcome::Expected;
use crate::site::Forwarder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::Path;

/// The key of a consumer who may do everything but `/v1/secret*` and the login.
pub const DENIED_KEY: &str = "sgk_denied_Hq2Lw8Vn5Rx1Tc7Zb4Ky";

/// One text, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// One file: what its cases share, then the cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<C> {
    rfc: Option<String>,
    allowed: Option<Vec<String>>,
    case: Vec<C>,
}

/// A request as it is in a file. See `README.md` beside the files for what each key means.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestEntry {
    name: String,
    rfc: Option<String>,
    send: Texts,
    allowed: Option<Vec<String>>,
    #[serde(default)]
    then: Vec<String>,
    sees: Option<Texts>,
    #[serde(default)]
    partial: bool,
    #[serde(default)]
    bytes: Option<String>,
    #[serde(default)]
    class: Vec<ClassEntry>,
    #[serde(default = "yes")]
    canary: bool,
    #[serde(default)]
    finish: bool,
    #[serde(default)]
    bytewise: bool,
    #[serde(default)]
    gate: GateKind,
}

/// Bytes of an `all` case whose outcome differs from the rest.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassEntry {
    bytes: Vec<String>,
    allowed: Vec<String>,
    sees: Option<String>,
}

/// Which gate a case is sent to.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    #[default]
    Plain,
    /// `credentials.aliases` names both aliases.
    Aliases,
    /// `token_from` names only `header:access_token`.
    OneTokenPlace,
    /// Cookies pass.
    Cookies,
    /// The loopback network is a trusted proxy.
    TrustedProxy,
    /// `encoded_slash` names the reading of articles.
    EncodedSlash,
    /// `encoded_slash` names every route.
    EncodedSlashAnywhere,
}

const fn yes() -> bool {
    true
}

/// A request ready to be sent.
#[derive(Clone, Debug)]
pub struct RequestCase {
    pub name: String,
    /// Sent in order; between two pieces an interim answer is awaited.
    pub send: Vec<Vec<u8>>,
    pub allowed: Vec<Expected>,
    pub then: Vec<Expected>,
    /// The whole requests that the witness must see, without the fields that the gate always sets.
    pub sees: Vec<Vec<u8>>,
    /// The witness may see the beginning of the request, broken off.
    pub partial: bool,
    pub canary: bool,
    pub finish: bool,
    pub bytewise: bool,
    pub gate: GateKind,
}

/// A misbehaviour of 8sens as it is in a file.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamEntry {
    name: String,
    rfc: Option<String>,
    #[serde(default)]
    request: Option<String>,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    bytewise: bool,
    #[serde(default)]
    dripped: String,
    #[serde(default)]
    endless: String,
    #[serde(default)]
    pause_before: u64,
    #[serde(default)]
    late: String,
    #[serde(default)]
    end: EndKind,
    #[serde(default)]
    reuse: bool,
    allowed: Option<Vec<String>>,
    pingora: Option<Vec<String>>,
    body: Option<String>,
    #[serde(default)]
    with: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum EndKind {
    #[default]
    Keep,
    Close,
    Reset,
    Hang,
}

/// A misbehaviour ready to be played.
#[derive(Clone, Debug)]
pub struct UpstreamCase {
    pub name: String,
    /// `{target}` stands for the target of the case.
    pub request: String,
    pub answer: Vec<u8>,
    pub bytewise: bool,
    /// Sent after the answer, a byte at a time and slowly.
    pub dripped: Vec<u8>,
    /// Repeated after the answer until the gate closes.
    pub endless: Vec<u8>,
    /// Milliseconds before the answer.
    pub pause_before: u64,
    /// Sent a moment after the answer.
    pub late: Vec<u8>,
    pub end: EndKind,
    /// The connection may be used again: nothing was wrong in the end.
    reuse: bool,
    allowed: Vec<Expected>,
    /// The same for Pingora's lane, where that is not as strict.
    pingora: Option<Vec<Expected>>,
    /// The exact body of a whole answer.
    pub body: Option<Vec<u8>>,
    /// What the caller must be sent.
    pub with: Vec<Vec<u8>>,
    /// What the caller must not be sent.
    pub without: Vec<Vec<u8>>,
}

impl UpstreamCase {
    /// The outcomes that are right over that lane.
    pub fn allowed(&self, forwarder: Forwarder) -> &[Expected] {
        match &self.pingora {
            Some(pingora) if forwarder == Forwarder::Pingora => pingora,
            _ => &self.allowed,
        }
    }

    /// Whether the connection to 8sens may be used again over that lane.
    pub fn reuse(&self, forwarder: Forwarder) -> bool {
        self.reuse || (self.pingora.is_some() && forwarder == Forwarder::Pingora)
    }
}

/// The placeholders that every case may use.
pub fn values() -> Values {
    let field = |key: &str| format!("Host: gate\r\napi_key: {key}\r\n").into_bytes();
    Values::from([
        ("key", KEY.into()),
        ("partner", PARTNER_KEY.into()),
        ("depot", DEPOT_KEY.into()),
        ("denied", DENIED_KEY.into()),
        ("head", field(KEY)),
        ("stranger", field("nobody")),
    ])
}

/// Every request of the corpus, those with `bytes = "all"` as 256 each, and how many entries there are.
pub fn requests() -> (Vec<RequestCase>, usize) {
    let entries = load::<RequestEntry>("requests");
    let mut names = BTreeSet::new();
    let mut cases = Vec::new();
    let count = entries.len();
    for (rfc, allowed, entry) in entries {
        assert!(names.insert(entry.name.clone()), "{} appears twice", entry.name);
        let rfc = entry.rfc.as_deref().or(rfc.as_deref()).unwrap_or_default();
        assert!(!rfc.is_empty() && !entry.name.is_empty(), "{}: no source", entry.name);
        let allowed = entry.allowed.clone().or(allowed).unwrap_or_default();
        match entry.bytes.as_deref() {
            None => cases.push(request(&entry, entry.name.clone(), &allowed, entry.sees.clone(), &values())),
            Some("all") => (0..=u8::MAX).for_each(|byte| {
                let mut values = values();
                values.insert("byte", vec![byte]);
                let name = format!("{} \\x{byte:02x}", entry.name);
                let class = entry.class.iter().find(|class| class.bytes.iter().any(|range| covers(range, byte)));
                let (allowed, sees) = class.map_or((&allowed, entry.sees.clone()), |class| {
                    (&class.allowed, class.sees.clone().map(Texts::One))
                });
                cases.push(request(&entry, name, allowed, sees, &values));
            }),
            Some(other) => panic!("{}: bytes = {other:?}", entry.name),
        }
    }
    (cases, count)
}

/// Every misbehaviour of the corpus.
pub fn misbehaviours() -> Vec<UpstreamCase> {
    let mut names = BTreeSet::new();
    let prepared = load::<UpstreamEntry>("upstream").into_iter().map(|(rfc, allowed, entry)| {
        let name = entry.name;
        assert!(names.insert(name.clone()), "{name} appears twice");
        assert!(entry.rfc.or(rfc).is_some_and(|rfc| !rfc.is_empty()), "{name}: no source");
        let read = |text: &str| escape::bytes(text, &values()).unwrap_or_else(|error| panic!("{name}: {error}"));
        UpstreamCase {
            request: entry.request.unwrap_or_else(|| "GET {target} HTTP/1.1\\r\\n{head}\\r\\n".into()),
            answer: read(&entry.answer),
            bytewise: entry.bytewise,
            dripped: read(&entry.dripped),
            endless: read(&entry.endless),
            pause_before: entry.pause_before,
            late: read(&entry.late),
            end: entry.end,
            reuse: entry.reuse,
            allowed: expected(&name, &entry.allowed.or(allowed).unwrap_or_default()),
            pingora: entry.pingora.map(|pingora| expected(&name, &pingora)),
            body: entry.body.as_deref().map(read),
            with: entry.with.iter().map(|text| read(text)).collect(),
            without: entry.without.iter().map(|text| read(text)).collect(),
            name,
        }
    });
    prepared.collect()
}

/// A file's source and outcomes, and one of its entries.
type Shared<C> = (Option<String>, Option<Vec<String>>, C);

fn load<C: DeserializeOwned>(folder: &str) -> Vec<Shared<C>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut entries = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let file: File<C> = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!file.case.is_empty(), "{} is empty", path.display());
        entries.extend(file.case.into_iter().map(|case| (file.rfc.clone(), file.allowed.clone(), case)));
    }
    entries
}

fn request(
    entry: &RequestEntry,
    name: String,
    allowed: &[String],
    sees: Option<Texts>,
    values: &Values,
) -> RequestCase {
    let read = |text: &String| escape::bytes(text, values).unwrap_or_else(|error| panic!("{name}: {error}"));
    let send: Vec<_> = entry.send.all().iter().map(read).collect();
    assert!(send.iter().any(|piece| !piece.is_empty()), "{name} sends nothing");
    RequestCase {
        send,
        allowed: expected(&name, allowed),
        then: expected_in_order(&name, &entry.then),
        sees: sees.iter().flat_map(Texts::all).map(read).collect(),
        partial: entry.partial,
        canary: entry.canary,
        finish: entry.finish,
        bytewise: entry.bytewise,
        gate: entry.gate,
        name,
    }
}

fn expected(name: &str, texts: &[String]) -> Vec<Expected> {
    assert!(!texts.is_empty(), "{name} allows nothing");
    expected_in_order(name, texts)
}

fn expected_in_order(name: &str, texts: &[String]) -> Vec<Expected> {
    texts.iter().map(|text| Expected::read(text).unwrap_or_else(|error| panic!("{name}: {error}"))).collect()
}

/// True when `range`, one byte or two joined by `..`, covers `byte`.
fn covers(range: &str, byte: u8) -> bool {
    let read = |text: &str| match escape::bytes(text, &Values::new()).unwrap()[..] {
        [byte] => byte,
        _ => panic!("{range:?} is not a range of bytes"),
    };
    match range.split_once("..") {
        Some((from, to)) if !to.is_empty() && !from.is_empty() => (read(from)..=read(to)).contains(&byte),
        _ => read(range) == byte,
    }
}
