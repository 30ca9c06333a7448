//! What the audit log tells: a closed set of events, each one line of JSON.
//!
//! Names and digits come from the configuration, from closed sets, or were checked to be printable ASCII; nothing else
//! of a request reaches the audit log, and no key or token.

use crate::domain::denial::{DenyCode, Reason};
use crate::domain::exchange::{EndCode, Record};
use crate::domain::request::client_ip;
use crate::domain::session::{LoginOutcome, SessionHash};
use crate::domain::types::Wall;
use crate::telemetry::log_line;
use serde::Serialize;
use std::net::IpAddr;
use strum::{IntoStaticStr, VariantArray};

/// The `event` of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum AuditKind {
    /// The gate serves.
    GateStarted,
    /// The gate was told to end; requests in flight may still follow.
    GateStopping,
    /// A changed configuration is in force.
    ConfigurationReloaded,
    /// A changed configuration was refused; the old one stays.
    ConfigurationRefused,
    /// 8sens accepted a login and its token is tracked.
    Login,
    /// A login that was forwarded gave no token that is tracked.
    LoginFailed,
    /// A key was accepted for the first time, as far as the gate knows.
    KeyFirstUsed,
    /// A key, or the way it was shown, was not accepted.
    KeyRefused,
    /// A token was not accepted.
    SessionRefused,
    /// Something that an admin has to look at.
    Alarm,
    /// An admin ended sessions.
    SessionsEnded,
    /// An admin wants the gate to try a refused login again.
    LoginRetried,
    /// A wrong token was shown at the admin listener.
    AdminTokenRefused,
}

impl AuditKind {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

/// Who did something to a running gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Whoever may open the control socket, by the user id that the kernel states, where it does.
    Control { uid: Option<u32> },
    /// Whoever knows the admin token, from this address.
    Page { peer: IpAddr },
}

/// Which sessions an admin ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedSessions<'a> {
    One(SessionHash),
    OfConsumer(&'a str),
    All,
}

/// One thing to write down.
#[derive(Clone, Copy, Debug)]
pub enum AuditEvent<'a> {
    GateStarted {
        version: &'a str,
    },
    GateStopping,
    ConfigurationReloaded {
        warnings: usize,
    },
    /// `None` when the file could not even be read.
    ConfigurationRefused {
        problems: Option<usize>,
    },
    Login(&'a Record),
    LoginFailed(&'a Record),
    KeyFirstUsed(&'a Record),
    KeyRefused(&'a Record),
    SessionRefused(&'a Record),
    Alarm(&'a Record),
    SessionsEnded {
        which: EndedSessions<'a>,
        /// How many session entries were ended.
        ended: usize,
        by: Actor,
    },
    LoginRetried {
        consumer: &'a str,
        by: Actor,
    },
    AdminTokenRefused {
        peer: IpAddr,
    },
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Key,
    Session,
    /// Told by the access log alone.
    Other,
}

/// A missing key or token is no refused one: scanners and unfinished programs send such requests all day.
const fn about(code: DenyCode) -> About {
    match code {
        DenyCode::AmbiguousKey
        | DenyCode::KeyInUrl
        | DenyCode::UnknownKey
        | DenyCode::ForbiddenAddress
        | DenyCode::InsecureTransport => About::Key,
        DenyCode::AmbiguousToken | DenyCode::SessionUnknown | DenyCode::SessionExpired | DenyCode::SessionNotYours => {
            About::Session
        }
        DenyCode::MalformedRequest
        | DenyCode::MissingKey
        | DenyCode::SessionMissing
        | DenyCode::ForbiddenRoute
        | DenyCode::MethodNotAllowed
        | DenyCode::RequestTimeout
        | DenyCode::BodyTooLarge
        | DenyCode::UriTooLong
        | DenyCode::ExpectationFailed
        | DenyCode::MisdirectedRequest
        | DenyCode::RateLimited
        | DenyCode::LoginThrottled
        | DenyCode::HeadersTooLarge
        | DenyCode::UnknownMethod
        | DenyCode::UnsupportedTransferCoding
        | DenyCode::UpstreamUnreachable
        | DenyCode::UpstreamInvalidResponse
        | DenyCode::TooManyConnections
        | DenyCode::LoginUnavailable
        | DenyCode::UpstreamTimeout
        | DenyCode::HttpVersion => About::Other,
    }
}

impl<'a> AuditEvent<'a> {
    /// What one ended request is told as.
    pub(super) fn of(record: &'a Record) -> impl Iterator<Item = Self> {
        let first_use = record.key_first_used.then_some(Self::KeyFirstUsed(record));
        let login = record.login.and_then(|login| match login {
            LoginOutcome::Accepted => Some(Self::Login(record)),
            LoginOutcome::Refused | LoginOutcome::NotUnderstood | LoginOutcome::Failed => {
                Some(Self::LoginFailed(record))
            }
            // As for other floods: their beginning is told, and the access log has the rest.
            LoginOutcome::Throttled => None,
        });
        let refused = match record.code {
            EndCode::Denied(code) => match about(code) {
                About::Key => Some(Self::KeyRefused(record)),
                About::Session => Some(Self::SessionRefused(record)),
                About::Other => None,
            },
            EndCode::Ok | EndCode::CallerLeft | EndCode::Aborted => None,
        };
        let alarm = record.alarm.map(|_| Self::Alarm(record));
        [first_use, login, refused, alarm].into_iter().flatten()
    }

    #[must_use]
    pub const fn kind(&self) -> AuditKind {
        match self {
            Self::GateStarted { .. } => AuditKind::GateStarted,
            Self::GateStopping => AuditKind::GateStopping,
            Self::ConfigurationReloaded { .. } => AuditKind::ConfigurationReloaded,
            Self::ConfigurationRefused { .. } => AuditKind::ConfigurationRefused,
            Self::Login(_) => AuditKind::Login,
            Self::LoginFailed(_) => AuditKind::LoginFailed,
            Self::KeyFirstUsed(_) => AuditKind::KeyFirstUsed,
            Self::KeyRefused(_) => AuditKind::KeyRefused,
            Self::SessionRefused(_) => AuditKind::SessionRefused,
            Self::Alarm(_) => AuditKind::Alarm,
            Self::SessionsEnded { .. } => AuditKind::SessionsEnded,
            Self::LoginRetried { .. } => AuditKind::LoginRetried,
            Self::AdminTokenRefused { .. } => AuditKind::AdminTokenRefused,
        }
    }

    /// The line of the event and its line feed. `now` is for events that are no request's.
    #[must_use]
    pub fn line(&self, now: Wall, anonymize_ip: bool) -> Vec<u8> {
        let mut line = AuditLine { event: self.kind().as_str(), ..AuditLine::default() };
        let mut at = now;
        match *self {
            Self::GateStarted { version } => line.version = Some(version),
            Self::GateStopping => {}
            Self::ConfigurationReloaded { warnings } => line.warnings = Some(warnings),
            Self::ConfigurationRefused { problems } => line.problems = problems,
            Self::Login(record) | Self::LoginFailed(record) => {
                at = line.tell(record);
                line.session = record.learned.map(|session| session.short());
                line.result = record.login.map(LoginOutcome::as_str);
            }
            Self::KeyFirstUsed(record)
            | Self::KeyRefused(record)
            | Self::SessionRefused(record)
            | Self::Alarm(record) => at = line.tell(record),
            Self::SessionsEnded { which, ended, by } => {
                line.ended = Some(ended);
                match which {
                    EndedSessions::One(session) => line.session = Some(session.short()),
                    EndedSessions::OfConsumer(consumer) => line.consumer = Some(consumer),
                    EndedSessions::All => {}
                }
                line.tell_actor(by);
            }
            Self::LoginRetried { consumer, by } => {
                line.consumer = Some(consumer);
                line.tell_actor(by);
            }
            Self::AdminTokenRefused { peer } => line.client_ip = Some(peer),
        }
        if anonymize_ip {
            line.client_ip = line.client_ip.map(client_ip::anonymized);
        }
        log_line::time(&mut line.time, at);
        line.to_json()
    }
}

/// One line: every field that any event has, in the order in which it is written.
#[derive(Debug, Default, Serialize)]
struct AuditLine<'a> {
    #[serde(serialize_with = "ascii")]
    time: Vec<u8>,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<usize>,
}

impl<'a> AuditLine<'a> {
    /// Takes over what a request is known by, and returns when it came.
    fn tell(&mut self, record: &'a Record) -> Wall {
        self.consumer = record.consumer.as_deref();
        self.key_id = record.key_id.as_deref();
        self.client_ip = Some(record.client_ip);
        self.request_id = Some(record.request_id.as_str());
        self.status = record.status;
        self.code = Some(record.code.as_str());
        self.reason = record.reason;
        self.alarm = record.alarm.map(|alarm| alarm.as_str());
        record.wall
    }

    fn tell_actor(&mut self, by: Actor) {
        match by {
            Actor::Control { uid } => (self.by, self.uid) = (Some("control"), uid),
            Actor::Page { peer } => (self.by, self.client_ip) = (Some("page"), Some(peer)),
        }
    }

    fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(256);
        // Text and numbers into memory: neither can fail.
        let _ = serde_json::to_writer(&mut json, self);
        json.push(b'\n');
        json
    }
}

fn ascii<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(std::str::from_utf8(bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exchange::Alarm;
    use crate::telemetry::fixture;

    const HASH: SessionHash = SessionHash::from_bytes([0xcd; 16]);
    const NOW: Wall = Wall(1_790_000_000_000);

    fn text(event: &AuditEvent<'_>) -> String {
        String::from_utf8(event.line(NOW, false)).unwrap()
    }

    fn refused(code: DenyCode) -> Record {
        Record { code: EndCode::Denied(code), status: Some(code.status()), ..fixture::answered() }
    }

    fn kinds(record: &Record) -> Vec<AuditKind> {
        AuditEvent::of(record).map(|event| event.kind()).collect()
    }

    #[test]
    fn lines() {
        let login = Record { login: Some(LoginOutcome::Accepted), learned: Some(HASH), ..fixture::answered() };
        let peer: IpAddr = "192.0.2.7".parse().unwrap();
        let ended = |which, by| AuditEvent::SessionsEnded { which, ended: 2, by };
        let stolen = Record { alarm: Some(Alarm::TokenOfAnother), ..refused(DenyCode::SessionNotYours) };
        let expired =
            Record { reason: Some(crate::domain::denial::Reason::KeyExpired), ..refused(DenyCode::UnknownKey) };
        let request = r#""client_ip":"203.0.113.9","request_id":"abababababababababababababababab","#;
        for (event, rest) in [
            (AuditEvent::GateStarted { version: "1.2.3" }, r#""event":"gate_started","version":"1.2.3"}"#.to_owned()),
            (AuditEvent::GateStopping, r#""event":"gate_stopping"}"#.to_owned()),
            (
                AuditEvent::ConfigurationReloaded { warnings: 1 },
                r#""event":"configuration_reloaded","warnings":1}"#.to_owned(),
            ),
            (
                AuditEvent::ConfigurationRefused { problems: Some(3) },
                r#""event":"configuration_refused","problems":3}"#.to_owned(),
            ),
            (
                ended(EndedSessions::One(HASH), Actor::Page { peer }),
                r#""event":"sessions_ended","session":"cdcdcdcdcdcd","client_ip":"192.0.2.7","by":"page","ended":2}"#
                    .to_owned(),
            ),
            (
                ended(EndedSessions::OfConsumer("paris"), Actor::Control { uid: Some(0) }),
                r#""event":"sessions_ended","consumer":"paris","by":"control","uid":0,"ended":2}"#.to_owned(),
            ),
            (
                ended(EndedSessions::All, Actor::Control { uid: None }),
                r#""event":"sessions_ended","by":"control","ended":2}"#.to_owned(),
            ),
            (
                AuditEvent::LoginRetried { consumer: "paris", by: Actor::Control { uid: Some(0) } },
                r#""event":"login_retried","consumer":"paris","by":"control","uid":0}"#.to_owned(),
            ),
            (
                AuditEvent::AdminTokenRefused { peer },
                r#""event":"admin_token_refused","client_ip":"192.0.2.7"}"#.to_owned(),
            ),
        ] {
            assert_eq!(text(&event), format!("{{\"time\":\"2026-09-21T14:13:20.000Z\",{rest}\n"));
        }
        let of_request = |event: &AuditEvent<'_>| text(event).split_once(',').unwrap().1.to_owned();
        let who = r#""consumer":"boutique-paris","key_id":"k1""#;
        assert_eq!(
            of_request(&AuditEvent::Login(&login)),
            format!(
                "\"event\":\"login\",{who},\"session\":\"cdcdcdcdcdcd\",{request}\"result\":\"accepted\",\"status\":200,\"code\":\"ok\"}}\n"
            )
        );
        assert_eq!(
            of_request(&AuditEvent::KeyRefused(&expired)),
            format!(
                "\"event\":\"key_refused\",{who},{request}\"status\":401,\"code\":\"unknown_key\",\"reason\":\"key \
                 expired\"}}\n"
            )
        );
        assert_eq!(
            of_request(&AuditEvent::Alarm(&stolen)),
            format!(
                "\"event\":\"alarm\",{who},{request}\"status\":401,\"code\":\"session_not_yours\",\"alarm\":\"token_of_another\"}}\n"
            )
        );
    }

    #[test]
    fn a_request_is_told_as_what_it_was() {
        assert_eq!(kinds(&fixture::answered()), []);
        let first = Record { key_first_used: true, login: Some(LoginOutcome::Accepted), ..fixture::answered() };
        assert_eq!(kinds(&first), [AuditKind::KeyFirstUsed, AuditKind::Login]);
        let login = |outcome| Record { login: Some(outcome), ..fixture::answered() };
        assert_eq!(kinds(&login(LoginOutcome::Accepted)), [AuditKind::Login]);
        assert_eq!(kinds(&login(LoginOutcome::NotUnderstood)), [AuditKind::LoginFailed]);
        assert_eq!(kinds(&login(LoginOutcome::Throttled)), []);
        assert_eq!(kinds(&refused(DenyCode::UnknownKey)), [AuditKind::KeyRefused]);
        assert_eq!(kinds(&refused(DenyCode::SessionExpired)), [AuditKind::SessionRefused]);
        assert_eq!(kinds(&refused(DenyCode::RateLimited)), []);
        let stolen = Record { alarm: Some(Alarm::TokenOfAnother), ..refused(DenyCode::SessionNotYours) };
        assert_eq!(kinds(&stolen), [AuditKind::SessionRefused, AuditKind::Alarm]);
    }

    #[test]
    fn addresses_are_shortened_when_told() {
        let refused = refused(DenyCode::UnknownKey);
        let line = |anonymize| String::from_utf8(AuditEvent::KeyRefused(&refused).line(NOW, anonymize)).unwrap();
        assert!(line(false).contains("203.0.113.9"));
        assert!(line(true).contains("203.0.113.0") && !line(true).contains("203.0.113.9"));
    }

    #[test]
    fn the_documentation_has_every_event_and_field() {
        let full = Record {
            login: Some(LoginOutcome::Accepted),
            learned: Some(HASH),
            alarm: Some(Alarm::TokenShared),
            reason: Some(crate::domain::denial::Reason::KeyExpired),
            ..fixture::answered()
        };
        let by = Actor::Control { uid: Some(0) };
        let events = [
            AuditEvent::Login(&full),
            AuditEvent::SessionsEnded { which: EndedSessions::All, ended: 1, by },
            AuditEvent::GateStarted { version: "1" },
            AuditEvent::ConfigurationReloaded { warnings: 1 },
            AuditEvent::ConfigurationRefused { problems: Some(1) },
        ];
        let fields = events.iter().flat_map(|event| {
            let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text(event)).unwrap();
            line.into_iter().map(|(field, _)| field).collect::<Vec<_>>()
        });
        let words: Vec<String> = fields.chain(AuditKind::ALL.iter().map(|kind| kind.as_str().to_owned())).collect();
        for page in [include_str!("../../docs/logging.md"), include_str!("../../docs/fr/logging.md")] {
            let (_, audit) = page.split_once("audit.log\"").unwrap();
            for word in &words {
                assert!(audit.contains(&format!("`{word}`")), "{word}");
            }
        }
    }
}
