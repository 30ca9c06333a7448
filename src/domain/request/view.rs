//! What the core may know of a request: plain borrowed data, filled in one pass over the fields.
//!
//! [`FieldTable`] is compiled from the configuration and says what role each field name plays. Whoever has read a
//! request head, this gate's own HTTP/1 reader or Pingora's HTTP/2 one, pushes every field once and gets a
//! [`RequestView`].

use crate::domain::denial::Reason;
use crate::domain::request::grammar::elements;
use crate::domain::request::path::{NormalPath, normalise};
use crate::domain::request::query::{self, Secret};
use crate::domain::types::HttpVersion;
use std::fmt;
use std::net::IpAddr;
use strum::{IntoStaticStr, VariantArray};

/// The methods that are ever forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "UPPERCASE", const_into_str)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
    Options,
}

impl Method {
    /// Every method that is forwarded, in the order of the `Allow` field.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The method of that exact name (RFC 9110 section 9.1: case-sensitive).
    #[must_use]
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| method.as_str().as_bytes() == name)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    /// True for everything but GET, HEAD and OPTIONS: 8sens may change something, so it is never sent twice.
    #[must_use]
    pub const fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::Head | Self::Options)
    }
}

/// What a header field means to the gate. A closed set: everything that is not listed is passed on untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldRole {
    Host,
    /// `api_key`, the one spelling.
    Key,
    /// Another spelling of the key that the configuration accepts.
    KeyAlias,
    /// A header that may carry the access token under its plain name, by its index among [`TokenPlace::ALL`].
    Token(TokenPlace),
    /// `Authorization`: a token place when its scheme is Bearer.
    Authorization,
    Cookie,
    Connection,
    ContentLength,
    TransferEncoding,
    Expect,
    /// Fields that concern one connection only (RFC 9110 section 7.6.1), and those that ask for another protocol.
    HopByHop,
    /// Goes on as it came, and says so much about the request that no option of a connection may take it away.
    EndToEnd,
    /// The one field that trusted proxies use to name the client.
    ClientAddress,
    /// `X-Forwarded-Proto`, read on a `behind_proxy` listener.
    ForwardedProto,
    /// Any other field that claims to know where the request came from, or what its real method or target is.
    Forwarding,
    RequestId,
    /// `Origin`: a browser's page asks.
    Origin,
    /// `Access-Control-Request-Method`: a browser asks whether its page may ask.
    PreflightMethod,
    /// Reads like one of the others to a program that takes `_` for `-`. Nobody's copy reaches 8sens.
    Lookalike,
    /// Reads like a key, and may hold one, but is no place where one is accepted. Nobody's copy reaches 8sens.
    KeyLookalike,
}

impl FieldRole {
    /// True when a field of this role goes on to 8sens as it came. The others are dropped, and some are set anew.
    #[must_use]
    pub const fn is_forwarded(self) -> bool {
        matches!(
            self,
            Self::ContentLength | Self::TransferEncoding | Self::EndToEnd | Self::Origin | Self::PreflightMethod
        )
    }
}

/// A place in which an access token may travel. Which of them 8sens reads is not documented, so all are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum TokenPlace {
    /// Header field `access_token`.
    #[strum(serialize = "header:access_token")]
    AccessTokenHeader,
    /// `Authorization: Bearer …` (RFC 6750 section 2.1).
    Bearer,
    /// Header field `token`.
    #[strum(serialize = "header:token")]
    TokenHeader,
    /// Query parameter `access_token` (RFC 6750 section 2.3).
    #[strum(serialize = "query:access_token")]
    AccessTokenQuery,
}

impl TokenPlace {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The word that names the place in `session.token_from`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|place| place.as_str() == word)
    }
}

/// Some of the places of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenPlaces([bool; TokenPlace::ALL.len()]);

impl TokenPlaces {
    #[must_use]
    pub const fn contains(self, place: TokenPlace) -> bool {
        self.0[place as usize]
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl FromIterator<TokenPlace> for TokenPlaces {
    fn from_iter<T: IntoIterator<Item = TokenPlace>>(places: T) -> Self {
        let mut some = Self::default();
        places.into_iter().for_each(|place| some.0[place as usize] = true);
        some
    }
}

/// Name → role, compiled once for each configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTable {
    /// Grouped by length, so that a lookup compares a handful at most.
    by_len: Vec<Vec<Named>>,
}

/// One name of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    /// Its first byte, folded: most names that a caller sends differ in it from those of their length.
    first: u8,
    /// In lower case.
    name: Box<[u8]>,
    role: FieldRole,
}

/// Names that claim to know the request's origin, or override its method or target. Trusting any of them by accident
/// has been an authentication bypass in several gateways, so a stranger's copy never reaches 8sens.
const FORWARDING_FIELDS: &[&str] = &[
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "x-remote-ip",
    "x-remote-addr",
    "x-proxyuser-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "x-host",
    "x-url-scheme",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "front-end-https",
    // CGI makes HTTP_PROXY of it.
    "proxy",
];

/// Every name that begins so is one of them.
const FORWARDING_PREFIX: &[u8] = b"x-forwarded-";

const HOP_BY_HOP_FIELDS: &[&str] = &[
    // No field at all, but an option that reads like one (RFC 9110 section 7.6.1).
    "close",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
];

/// Fields without which a request means something else, and whose way is looked at by whoever is asked what became of
/// it.
const END_TO_END_FIELDS: &[&str] = &["via", "idempotency-key"];

/// Every name that begins so describes the content (RFC 9110 section 8.3 and following).
const CONTENT_PREFIX: &[u8] = b"content-";

/// Spellings of the key's name beside `api_key`. One that is no alias is not looked at, and may still hold a key.
const KEY_LOOKALIKES: &[&str] = &[
    "api-key",
    "apikey",
    "api.key",
    "x-api-key",
    "x-apikey",
    "x-api.key",
    "x.api-key",
    "x.api.key",
    "x.apikey",
    "xapi-key",
    "xapi.key",
    "xapikey",
];

impl FieldTable {
    /// Compiles the table. `key_aliases` and `client_address` are names from the configuration, in any case.
    #[must_use]
    pub fn new<'n>(key_aliases: impl IntoIterator<Item = &'n str>, client_address: &str) -> Self {
        let mut table = Self { by_len: Vec::new() };
        let fixed = [
            ("host", FieldRole::Host),
            ("api_key", FieldRole::Key),
            ("access_token", FieldRole::Token(TokenPlace::AccessTokenHeader)),
            ("token", FieldRole::Token(TokenPlace::TokenHeader)),
            ("authorization", FieldRole::Authorization),
            ("cookie", FieldRole::Cookie),
            ("connection", FieldRole::Connection),
            ("content-length", FieldRole::ContentLength),
            ("transfer-encoding", FieldRole::TransferEncoding),
            ("expect", FieldRole::Expect),
            ("x-request-id", FieldRole::RequestId),
            ("origin", FieldRole::Origin),
            ("access-control-request-method", FieldRole::PreflightMethod),
        ];
        table.insert(client_address, FieldRole::ClientAddress);
        for (name, role) in fixed {
            table.insert(name, role);
        }
        for alias in key_aliases {
            table.insert(alias, FieldRole::KeyAlias);
        }
        table.insert("x-forwarded-proto", FieldRole::ForwardedProto);
        for name in KEY_LOOKALIKES {
            table.insert(name, FieldRole::KeyLookalike);
        }
        for name in HOP_BY_HOP_FIELDS {
            table.insert(name, FieldRole::HopByHop);
        }
        for name in FORWARDING_FIELDS {
            table.insert(name, FieldRole::Forwarding);
        }
        for name in END_TO_END_FIELDS {
            table.insert(name, FieldRole::EndToEnd);
        }
        table
    }

    /// The first role given to a name stays.
    fn insert(&mut self, name: &str, role: FieldRole) {
        if self.by_len.len() <= name.len() {
            self.by_len.resize_with(name.len() + 1, Vec::new);
        }
        let bucket = &mut self.by_len[name.len()];
        let name = name.to_ascii_lowercase();
        if !bucket.iter().any(|known| *known.name == *name.as_bytes()) {
            let first = name.as_bytes().first().map_or(0, folded);
            bucket.push(Named { first, name: name.into_bytes().into(), role });
        }
    }

    /// The names with this role, in lower case and a fixed order.
    #[must_use]
    pub fn names_of(&self, role: FieldRole) -> Vec<&[u8]> {
        let named = self.by_len.iter().flatten().filter(|named| named.role == role);
        let mut names: Vec<&[u8]> = named.map(|named| named.name.as_ref()).collect();
        names.sort_unstable();
        names
    }

    /// The role of a field name, compared without regard to ASCII case. A name that differs only in `_` and `-` is a
    /// lookalike: CGI and its heirs cannot tell the two apart (RFC 3875 section 4.1.18).
    #[must_use]
    pub fn role(&self, name: &[u8]) -> Option<FieldRole> {
        let first = folded(name.first()?);
        let begins = |prefix: &[u8]| first == prefix[0] && alike(prefix, name.get(..prefix.len()).unwrap_or_default());
        let bucket = self.by_len.get(name.len()).map_or(&[][..], Vec::as_slice);
        let mut near = bucket.iter().filter(|named| named.first == first);
        if let Some(named) = near.clone().find(|named| named.name.eq_ignore_ascii_case(name)) {
            return Some(named.role);
        }
        if begins(FORWARDING_PREFIX) {
            return Some(FieldRole::Forwarding);
        }
        let resembled = near.find(|named| alike(&named.name, name)).map(|named| match named.role {
            FieldRole::Key | FieldRole::KeyAlias | FieldRole::KeyLookalike => FieldRole::KeyLookalike,
            FieldRole::HopByHop | FieldRole::EndToEnd => named.role,
            _ => FieldRole::Lookalike,
        });
        resembled.or_else(|| begins(CONTENT_PREFIX).then_some(FieldRole::EndToEnd))
    }

    /// True when an option of the caller's connection may have the field of this name taken out (RFC 9110 section
    /// 7.6.1): it concerns that connection alone, or means nothing here. Without any other field, whoever is behind
    /// would see another request than was decided on.
    #[must_use]
    pub fn is_removable(&self, name: &[u8]) -> bool {
        matches!(self.role(name), None | Some(FieldRole::HopByHop))
    }
}

/// True when two field names are one to a program that knows neither case nor `-`.
fn alike(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().map(folded).eq(b.iter().map(folded))
}

/// A byte of a name as such a program reads it.
const fn folded(byte: &u8) -> u8 {
    if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() }
}

/// The values of one role: `N` of them as they are, and how many there were in all.
#[derive(Clone, Copy)]
pub struct Values<'a, const N: usize> {
    kept: [&'a [u8]; N],
    count: usize,
}

impl<const N: usize> Default for Values<'_, N> {
    fn default() -> Self {
        Self { kept: [b""; N], count: 0 }
    }
}

/// Keys and tokens are among the values, so only their number is shown.
impl<const N: usize> fmt::Debug for Values<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<'a, const N: usize> Values<'a, N> {
    fn push(&mut self, value: &'a [u8]) {
        if let Some(slot) = self.kept.get_mut(self.count) {
            *slot = value;
        }
        self.count += 1;
    }

    /// Like `push`, but the last `N` are kept.
    fn push_latest(&mut self, value: &'a [u8]) {
        if self.count >= N {
            self.kept.rotate_left(1);
            self.kept[N - 1] = value;
        } else {
            self.kept[self.count] = value;
        }
        self.count += 1;
    }

    /// How many fields there were, kept or not.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// True when there were more than are kept.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        self.count > N
    }

    /// The values that were kept, in order of arrival.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'_, 'a, N> {
        self.kept.iter().take(self.count.min(N)).copied()
    }

    #[must_use]
    pub fn first(&self) -> Option<&'a [u8]> {
        self.iter().next()
    }
}

/// How the body is delimited (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// How the request reached the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Encrypted by the gate itself, or plain on a loopback listener.
    Trusted,
    /// Encrypted by the gate itself.
    Tls,
    /// A `plaintext = "redirect"` listener, or plaintext where TLS was expected: no key may come this way.
    Cleartext,
    /// A `plaintext = "lan"` listener: private sources only.
    Lan,
    /// A `plaintext = "behind_proxy"` listener: a trusted proxy that says https.
    BehindProxy,
}

/// The request as the core sees it. Header values are trimmed of surrounding blanks; nothing is decoded but unreserved
/// characters of the path.
#[derive(Clone)]
pub struct RequestView<'a> {
    pub method: &'a [u8],
    target: &'a [u8],
    path: Result<NormalPath<'a>, Reason>,
    /// Some parameter of the query is named like a key or a token. Found out once: most queries have none.
    has_secrets: bool,
    pub version: HttpVersion,
    pub framing: Framing,
    pub peer: IpAddr,
    pub transport: Transport,
    /// The target came in absolute-form, with the scheme https.
    pub asks_for_https: bool,
    /// The target is in the request line as it is here.
    pub is_origin_form: bool,
    pub keys: Values<'a, 2>,
    pub key_aliases: Values<'a, 1>,
    /// Values that may be keys and are where none is accepted.
    pub key_lookalikes: Values<'a, 1>,
    pub host: Values<'a, 1>,
    pub access_token: Values<'a, 2>,
    pub token: Values<'a, 2>,
    pub authorization: Values<'a, 2>,
    pub cookies: Values<'a, 8>,
    pub connection: Values<'a, 16>,
    pub expect: Values<'a, 1>,
    /// The last ones, which the nearest proxies have written.
    pub client_address: Values<'a, 8>,
    pub forwarded_proto: Values<'a, 8>,
    pub request_id: Values<'a, 1>,
    pub origin: Values<'a, 1>,
    pub preflight_method: Values<'a, 1>,
    /// Fields named with a role of their own or not, in all.
    pub field_count: usize,
}

/// A query may hold a token, and a field a key: what is shown is what the access log shows, and the framing.
impl fmt::Debug for RequestView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestView")
            .field("method", &self.method.escape_ascii())
            .field("path", &self.path().escape_ascii())
            .field("version", &self.version)
            .field("framing", &self.framing)
            .field("peer", &self.peer)
            .field("transport", &self.transport)
            .field("field_count", &self.field_count)
            .finish_non_exhaustive()
    }
}

impl<'a> RequestView<'a> {
    /// A view without fields; push each field with [`RequestView::push_field`].
    #[must_use]
    pub fn new(method: &'a [u8], target: &'a [u8], version: HttpVersion, peer: IpAddr, transport: Transport) -> Self {
        Self {
            method,
            target,
            path: normalise(split_target(target).0),
            has_secrets: has_secrets(target),
            version,
            framing: Framing::None,
            peer,
            transport,
            asks_for_https: false,
            is_origin_form: true,
            keys: Values::default(),
            key_aliases: Values::default(),
            key_lookalikes: Values::default(),
            host: Values::default(),
            access_token: Values::default(),
            token: Values::default(),
            authorization: Values::default(),
            cookies: Values::default(),
            connection: Values::default(),
            expect: Values::default(),
            client_address: Values::default(),
            forwarded_proto: Values::default(),
            request_id: Values::default(),
            origin: Values::default(),
            preflight_method: Values::default(),
            field_count: 0,
        }
    }

    /// Files one field under its role.
    pub fn push_field(&mut self, table: &FieldTable, name: &[u8], value: &'a [u8]) {
        self.push(table.role(name), value);
    }

    /// Files the value of a field of this role.
    pub fn push(&mut self, role: Option<FieldRole>, value: &'a [u8]) {
        self.field_count += 1;
        match role {
            Some(FieldRole::Key) => self.keys.push(value),
            Some(FieldRole::KeyAlias) => self.key_aliases.push(value),
            Some(FieldRole::KeyLookalike) => self.key_lookalikes.push(value),
            Some(FieldRole::Host) => self.host.push(value),
            Some(FieldRole::Token(TokenPlace::AccessTokenHeader)) => self.access_token.push(value),
            Some(FieldRole::Token(_)) => self.token.push(value),
            Some(FieldRole::Authorization) => self.authorization.push(value),
            Some(FieldRole::Cookie) => self.cookies.push(value),
            Some(FieldRole::Connection) => self.connection.push(value),
            // An empty list expects nothing (RFC 9110 section 5.6.1.2).
            Some(FieldRole::Expect) if value.trim_ascii().is_empty() => {}
            Some(FieldRole::Expect) => self.expect.push(value),
            Some(FieldRole::ClientAddress) => self.client_address.push_latest(value),
            Some(FieldRole::ForwardedProto) => self.forwarded_proto.push(value),
            Some(FieldRole::RequestId) => self.request_id.push(value),
            Some(FieldRole::Origin) => self.origin.push(value),
            Some(FieldRole::PreflightMethod) => self.preflight_method.push(value),
            _ => {}
        }
    }

    /// The options of the caller's connection. A list may have empty elements, which mean nothing (RFC 9110 section
    /// 5.6.1.2).
    pub fn connection_options(&self) -> impl Iterator<Item = &'a [u8]> {
        elements(self.connection.iter()).filter(|option| !option.is_empty())
    }

    /// True for a browser's question whether a page of another site may send a request (CORS preflight,
    /// fetch.spec.whatwg.org).
    #[must_use]
    pub const fn is_preflight(&self) -> bool {
        matches!(self.method, b"OPTIONS") && self.origin.count() > 0 && self.preflight_method.count() > 0
    }

    /// The target in origin-form, as received: path and query. A `*` asks about the server as a whole.
    #[must_use]
    pub const fn target(&self) -> &'a [u8] {
        self.target
    }

    /// Puts another target in place of the one that the view was made with, and that is in the request line.
    pub fn set_target(&mut self, target: &'a [u8]) {
        self.is_origin_form = false;
        self.target = target;
        self.path = normalise(split_target(target).0);
        self.has_secrets = has_secrets(target);
    }

    /// The path of the target, without its query: in normal form, or as received when it has none.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.path.as_ref().map_or(split_target(self.target).0, NormalPath::as_bytes)
    }

    /// The path in its normal form.
    ///
    /// # Errors
    /// Why it has none.
    pub fn normal_path(&self) -> Result<&NormalPath<'a>, Reason> {
        self.path.as_ref().map_err(|reason| *reason)
    }

    /// Every key and token in the query.
    pub fn secrets(&self) -> impl Iterator<Item = Secret<'a>> + use<'a> {
        self.query().filter(|_| self.has_secrets).into_iter().flat_map(query::secrets)
    }

    /// The query of the target, without its `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a [u8]> {
        split_target(self.target).1
    }
}

fn has_secrets(target: &[u8]) -> bool {
    split_target(target).1.is_some_and(|query| query::secrets(query).next().is_some())
}

/// Splits a target at its first `?`.
#[must_use]
pub fn split_target(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|b| *b == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn table() -> FieldTable {
        FieldTable::new(["X-API-Key"], "X-Forwarded-For")
    }

    #[test]
    fn roles_ignore_case_but_not_spelling() {
        let table = table();
        assert_eq!(table.role(b"API_KEY"), Some(FieldRole::Key));
        assert_eq!(table.role(b"x-api-key"), Some(FieldRole::KeyAlias));
        assert_eq!(table.role(b"x-own"), None);
        assert_eq!(table.role(b"x-forwarded-for"), Some(FieldRole::ClientAddress));
        assert_eq!(table.role(b"X-Real-IP"), Some(FieldRole::Forwarding));
        assert_eq!(table.role(&[b'x'; 4096]), None);
    }

    #[test]
    fn lookalikes_are_known_and_never_forwarded() {
        let table = table();
        for name in ["api-key", "ApiKey", "X_API_Key", "API.KEY"] {
            assert_eq!(table.role(name.as_bytes()), Some(FieldRole::KeyLookalike), "{name}");
        }
        for name in ["Content_Length", "transfer_encoding", "access-token"] {
            assert_eq!(table.role(name.as_bytes()), Some(FieldRole::Lookalike), "{name}");
        }
        assert!(!FieldRole::Lookalike.is_forwarded() && !FieldRole::KeyLookalike.is_forwarded());
        for name in ["X-Forwarded-Anything", "x_forwarded-user", "X-Forwarded-"] {
            assert_eq!(table.role(name.as_bytes()), Some(FieldRole::Forwarding), "{name}");
        }
        assert_eq!(table.role(b"x-forwarded"), None);
        assert_eq!(FieldTable::new(["api-key"], "x-real-ip").role(b"api-key"), Some(FieldRole::KeyAlias));
    }

    #[test]
    fn only_what_means_nothing_here_may_be_removed() {
        let table = table();
        for name in ["x-own", "Accept", "TE", "Upgrade", "HTTP2-Settings", "keep_alive", "Close", "", "contents"] {
            assert!(table.is_removable(name.as_bytes()), "{name}");
        }
        for name in ["Via", "Content-Type", "CONTENT_MD5", "content-", "Idempotency_Key", "x-forwarded-own"] {
            assert!(!table.is_removable(name.as_bytes()), "{name}");
        }
        for (name, role) in [("Content-Type", FieldRole::EndToEnd), ("Idempotency_Key", FieldRole::EndToEnd)] {
            assert_eq!(table.role(name.as_bytes()), Some(role));
            assert!(role.is_forwarded());
        }
    }

    #[test]
    fn values_keep_counting_past_their_room() {
        let table = table();
        let mut view =
            RequestView::new(b"GET", b"/a?b=c?d", HttpVersion::Http11, Ipv4Addr::LOCALHOST.into(), Transport::Trusted);
        for value in [&b"one"[..], b"two", b"three"] {
            view.push_field(&table, b"api_key", value);
        }
        assert_eq!(view.keys.count(), 3);
        assert_eq!(view.keys.iter().collect::<Vec<_>>(), [&b"one"[..], b"two"]);
        for value in b"abcdefghij".chunks(1) {
            view.push_field(&table, b"x-forwarded-for", value);
        }
        assert_eq!(view.client_address.count(), 10);
        assert_eq!(view.client_address.iter().collect::<Vec<_>>().concat(), b"cdefghij");
        assert_eq!(view.path(), b"/a");
        assert_eq!(view.query(), Some(&b"b=c?d"[..]));
    }
}
