//! Keys and tokens: one of each at most is read, that very one is what was checked, and none is shown.

use super::gates::{GUARD, Gate, KEY, OBSERVE, ONE_PLACE, OTHER_KEY, OTHER_TOKEN, TOKEN};
use secrecy::ExposeSecret;
use sensgate::domain::exchange::{ForwardPlan, Observe, Record, Step, Target};
use sensgate::domain::request::head::{self, FieldLines, Origin, Scan};
use sensgate::domain::request::query::{Carried, secrets};
use sensgate::domain::request::{FieldRole, RequestView, TokenPlace, Transport, split_target};
use sensgate::domain::rules::api_key;
use sensgate::domain::rules::snapshot::SessionMode;
use sensgate::domain::types::{HttpVersion, RequestId};
use sensgate::telemetry::log_line;
use std::net::{IpAddr, Ipv4Addr};

/// Name and value.
type Field<'a> = (&'a [u8], &'a [u8]);

const CANARIES: [&str; 4] = [KEY, OTHER_KEY, TOKEN, OTHER_TOKEN];

/// The input is the head of a request.
pub fn check(bytes: &[u8]) {
    for gate in [&*GUARD, &*ONE_PLACE, &*OBSERVE] {
        let origin = Origin {
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            transport: Transport::Trusted,
            version: HttpVersion::Http11,
        };
        let mut lines = FieldLines::default();
        let (limits, table) = (gate.snapshot.limits.head, &gate.snapshot.fields);
        let (len, view) = match head::scan(bytes, limits, table, origin, &mut lines) {
            Scan::Complete(len, view) => (len, view),
            Scan::Refused(_, fragment) => {
                shows_nothing(bytes, &[], &format!("{fragment:?}"));
                continue;
            }
            Scan::Partial => continue,
        };
        let request = Request { head: &bytes[..len], fields: fields(&bytes[..len]), view: &view };
        let (step, record) = gate.decide(&view);
        let (again, _) = gate.decide(&view);
        assert_eq!(format!("{step:?}"), format!("{again:?}"), "asked twice");
        if let Step::Forward(plan) = &step {
            request.forwarded(gate, plan, &record);
        }
        shows_nothing(request.head, &request.fields, &format!("{view:?}"));
        shows_nothing(request.head, &request.fields, &format!("{step:?}"));
        shows_nothing(request.head, &request.fields, &format!("{record:?}"));
        let mut line = Vec::new();
        log_line::encode(&record, &mut line);
        shows_nothing(request.head, &request.fields, &String::from_utf8_lossy(&line));
        for (_, value) in &request.fields {
            key_shape(value);
            request_id(value);
        }
    }
}

struct Request<'a> {
    head: &'a [u8],
    fields: Vec<Field<'a>>,
    view: &'a RequestView<'a>,
}

impl Request<'_> {
    fn forwarded(&self, gate: &Gate, plan: &ForwardPlan, record: &Record) {
        self.one_key(gate, record);
        let target = match &plan.target {
            Target::AsReceived => self.view.target(),
            Target::Rewritten(target) => target,
        };
        let sent: Vec<_> = self
            .fields
            .iter()
            .filter(|(name, value)| plan.fields.keeps(name, gate.snapshot.fields.role(name), value))
            .collect();
        self.what_connection_names_stays_here(&sent);
        for (name, _) in &sent {
            assert!(!names_a_key(name), "a key goes to 8sens");
            assert!(!is(name, "cookie") || plan.fields.pass_cookies);
        }
        let query = split_target(target).1.unwrap_or_default();
        assert!(!query.split(|byte| matches!(byte, b'&' | b';')).any(|pair| names_a_key(&parameter(pair).0)));
        let mut tokens: Vec<Vec<u8>> = sent.iter().filter_map(|(name, value)| token_in(name, value)).collect();
        tokens.extend(query_tokens(query));
        assert!(tokens.len() <= 1, "8sens has a choice of tokens");
        let is_login = plan.observe == Observe::Login;
        let looked_at = self.every_token().into_iter().filter(|token| !is_login || !token.is_empty()).count();
        assert!(looked_at <= 1, "the gate had a choice of tokens");
        if is_login {
            assert!(tokens.is_empty(), "a login brings a token along");
        } else if gate.snapshot.session.mode == SessionMode::Guard {
            let own = if record.consumer.as_deref() == Some("shop") { TOKEN } else { OTHER_TOKEN };
            assert!(tokens.iter().all(|token| token == own.as_bytes()), "a token that was not checked goes to 8sens");
            let is_public = self.view.path() == b"/v1/public";
            assert!(is_public || self.every_token() == [own.as_bytes()], "no good token");
        }
        for token in tokens {
            assert!((1..=4096).contains(&token.len()) && token.iter().all(|byte| byte.is_ascii_graphic()));
        }
    }

    /// Whatever the options of the connection say, they take away nothing that counts, and all else that they name.
    fn what_connection_names_stays_here(&self, sent: &[&Field<'_>]) {
        let lines = self.fields.iter().filter(|(name, _)| is(name, "connection")).map(|(_, value)| *value);
        for option in lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii) {
            assert!(!sent.iter().any(|(name, _)| name.eq_ignore_ascii_case(option)), "named, and sent");
            let counts = |known: &str| is(option, known);
            assert!(
                !["host", "content-length", "transfer-encoding", "authorization", "cookie"].into_iter().any(counts)
            );
            assert!(!names_a_key(option) && token_in(option, b"Bearer t").is_none(), "a key or a token is named");
        }
    }

    /// Exactly one field holds a key, and it is the one of the consumer that the record names.
    fn one_key(&self, gate: &Gate, record: &Record) {
        let role = |name: &[u8]| gate.snapshot.fields.role(name);
        let is_key = |name: &[u8]| matches!(role(name), Some(FieldRole::Key | FieldRole::KeyAlias));
        let keys: Vec<_> = self.fields.iter().filter(|(name, _)| is_key(name)).map(|(_, key)| *key).collect();
        let consumer = match keys[..] {
            [key] if key == KEY.as_bytes() => "shop",
            [key] if key == OTHER_KEY.as_bytes() => "partner",
            _ => panic!("admitted with {} keys, none of them good", keys.len()),
        };
        assert_eq!(record.consumer.as_deref(), Some(consumer));
        assert_eq!(record.key_id.as_deref(), Some("k1"));
    }

    /// Every token in every place that is known, as a lenient reader finds them.
    fn every_token(&self) -> Vec<Vec<u8>> {
        let in_fields = self
            .fields
            .iter()
            .filter(|(name, _)| !name.contains(&b'-'))
            .filter_map(|(name, value)| token_in(name, value));
        // Under names that only some programs read as well: the property of queries looks after those.
        let in_query = secrets(self.view.query().unwrap_or_default()).filter(|secret| secret.carried == Carried::Token);
        in_fields.chain(in_query.map(|secret| parameter(&[b"x=", secret.value].concat()).1)).collect()
    }
}

/// Secrets that stand where secrets stand are in nothing that is shown, neither as text nor as a list of bytes. Method,
/// path and request id are no place for one, and are shown.
fn shows_nothing(head: &[u8], fields: &[Field<'_>], shown: &str) {
    let ids = fields.iter().filter(|(name, _)| is(name, "x-request-id")).map(|(_, value)| *value);
    let fragment = head::fragment(head);
    let open: Vec<&[u8]> = [fragment.method, split_target(fragment.target).0].into_iter().chain(ids).collect();
    for canary in CANARIES {
        let in_the_open = open.iter().any(|text| text.windows(canary.len()).any(|part| part == canary.as_bytes()));
        let list = format!("{:?}", canary.as_bytes());
        let listed = shown.contains(list.trim_matches(['[', ']']));
        assert!(in_the_open || !(shown.contains(canary) || listed), "a secret is shown: {shown}");
    }
}

/// The fields of an accepted head.
fn fields(head: &[u8]) -> Vec<Field<'_>> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let field = |line: &'_ [u8]| line.iter().position(|byte| *byte == b':');
    lines.filter_map(|line| field(line).map(|at| (&line[..at], line[at + 1..].trim_ascii()))).collect()
}

fn is(name: &[u8], wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted.as_bytes())
}

/// True for every name under which somebody might read a key: its words in any case, together or joined by one
/// separator.
fn names_a_key(name: &[u8]) -> bool {
    let fold = |byte: &u8| if matches!(byte, b'-' | b'.') { b'_' } else { byte.to_ascii_lowercase() };
    let folded: Vec<u8> = name.iter().map(fold).collect();
    let names: [&[u8]; 6] = [b"apikey", b"api_key", b"xapikey", b"x_apikey", b"xapi_key", b"x_api_key"];
    names.contains(&&folded[..])
}

/// The token that a field carries to a reader that takes `-` for `_`.
fn token_in(name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let folded: Vec<u8> =
        name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() }).collect();
    match &folded[..] {
        b"access_token" | b"token" => Some(value.to_vec()),
        b"authorization" => {
            let (scheme, rest) = value.split_at_checked(6)?;
            let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && rest.first().is_none_or(u8::is_ascii_whitespace);
            is_bearer.then(|| rest.trim_ascii().to_vec())
        }
        _ => None,
    }
}

/// The tokens of a query, those under the name of an array too.
fn query_tokens(query: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let parameters = query.split(|byte| matches!(byte, b'&' | b';')).map(parameter);
    let is_token = |name: &[u8]| {
        let plain = name.split(|byte| *byte == b'[').next().unwrap_or_default();
        plain.trim_ascii().eq_ignore_ascii_case(b"access_token")
    };
    parameters.filter(move |(name, _)| is_token(name)).map(|(_, value)| value)
}

/// Name and value of a parameter, decoded.
fn parameter(pair: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut parts = pair.splitn(2, |byte| *byte == b'=');
    let mut decoded = |plus: u8| {
        let mut rest = parts.next().unwrap_or_default();
        let mut decoded = Vec::new();
        while let Some((&byte, after)) = rest.split_first() {
            let digits = after.get(..2).filter(|digits| byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
            let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
            rest = if digits.is_some() { &after[2..] } else { after };
            decoded.push(match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) => byte,
                None if byte == b'+' => plus,
                None => byte,
            });
        }
        decoded
    };
    (decoded(b' '), decoded(b'+'))
}

/// A key of our own shape is noticed when it was cut or mistyped, and is not shown.
fn key_shape(value: &[u8]) {
    let holds = api_key::checksum_holds(value);
    assert_eq!(holds.is_some(), value.starts_with(b"sgk_"));
    if holds == Some(true) {
        assert_ne!(api_key::checksum_holds(&value[..value.len() - 1]), Some(true));
        assert_ne!(api_key::checksum_holds(&[value, b"0"].concat()), Some(true));
    }
    let mut random = [7; 32];
    random.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
    let id = String::from_utf8_lossy(value);
    match api_key::make(&id, &random) {
        Ok(key) => {
            assert_eq!(api_key::checksum_holds(key.expose_secret().as_bytes()), Some(true));
            assert!(!format!("{key:?}").contains(key.expose_secret()), "a key is shown");
        }
        Err(api_key::InvalidId) => {
            let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
            assert!(!matches!(value.len(), 1..=64) || !value.iter().all(fits));
        }
    }
}

fn request_id(value: &[u8]) {
    if let Some(id) = RequestId::from_caller(value) {
        assert_eq!(id.as_str().as_bytes(), value);
        assert!(value.len() <= RequestId::MAX_LEN);
        assert!(value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte)));
    }
    for place in TokenPlace::ALL.iter().copied() {
        assert_eq!(TokenPlace::from_word(place.as_str()), Some(place));
    }
}
