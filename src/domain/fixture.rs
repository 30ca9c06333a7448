//! What tests of the domain decide on: a request, a consumer, a configuration, and the tables beside it.
//!
//! Unit tests take it from here; `tests/support/decision.rs` includes it for programs that see the library from
//! outside.

use super::exchange::{FieldEdits, ForwardPlan, Observe, Resend, Target};
use super::limit::Quota;
use super::limit::login_shield::LoginQuotas;
use super::request::client_ip::TrustedProxies;
use super::request::head::HeadLimits;
use super::request::{FieldTable, Method, RequestView, TokenPlace, Transport};
use super::rules::consumer::{Consumer, ConsumerTable, Credential, digest};
use super::rules::enforce::Enforce;
use super::rules::route::RouteRule;
use super::rules::snapshot::{BudgetRules, LoginRules, SessionMode, SessionRules, SizeLimits, Snapshot};
use super::session::{ExpiredPattern, ExpiredWhen, SessionLimits};
use super::tables::{NoJournal, Tables};
use super::types::{HttpVersion, Mono, Now, RequestId, Wall};
use std::net::{IpAddr, Ipv4Addr};
use zeroize::Zeroizing;

/// Some instant, long after the start of both clocks.
pub(crate) const NOW: Now = Now { mono: Mono(10_000_000_000_000), wall: Wall(1_790_000_000_000) };

/// Where a request comes from when the test does not say.
pub(crate) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The name that [`fields`] adds for the key.
const KEY_ALIAS: &str = "x-api-key";

pub(crate) fn quota(text: &str) -> Quota {
    Quota::parse(text).expect("a test writes well-formed quotas")
}

pub(crate) fn rules(texts: &[&str]) -> Vec<RouteRule> {
    texts.iter().map(|text| RouteRule::parse(text).expect("a test writes well-formed rules")).collect()
}

/// The meaning of field names, with one more name for the key.
pub(crate) fn fields() -> FieldTable {
    FieldTable::new([KEY_ALIAS], "x-forwarded-for")
}

/// A request from [`PEER`] on a trusted listener.
pub(crate) fn view<'r>(method: &'r str, target: &'r str, fields: &[(&str, &'r str)]) -> RequestView<'r> {
    view_from(PEER, Transport::Trusted, method, target, fields)
}

pub(crate) fn view_from<'r>(
    peer: IpAddr,
    transport: Transport,
    method: &'r str,
    target: &'r str,
    given: &[(&str, &'r str)],
) -> RequestView<'r> {
    let table = fields();
    let mut view = RequestView::new(method.as_bytes(), target.as_bytes(), HttpVersion::Http11, peer, transport);
    for (name, value) in given {
        view.push_field(&table, name.as_bytes(), value.as_bytes());
    }
    view
}

/// A key without end.
pub(crate) fn credential(id: &str, key: &str) -> Credential {
    Credential { digest: digest(key.as_bytes()), ..Credential::named(id) }
}

/// A consumer with one key `k1`, which may do everything.
pub(crate) fn consumer(name: &str, key: &str) -> Consumer {
    Consumer::named(name, vec![credential("k1", key)])
}

/// Sessions are held to their owners, `GET /v1/version` needs none, a bare 401 ends one, and no budget is ever used up.
pub(crate) fn snapshot(consumers: Vec<Consumer>) -> Snapshot {
    let plenty = quota("1000000/s");
    Snapshot {
        consumers: ConsumerTable::new(consumers),
        fields: fields(),
        trusted_proxies: TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("a network")]),
        session: SessionRules {
            token_from: TokenPlace::ALL.to_vec(),
            login_routes: rules(&["POST /v1/login/user"]),
            public: rules(&["GET /v1/version"]),
            mode: SessionMode::Guard,
            limits: SessionLimits::default(),
            expired_when: ExpiredWhen::new(vec![ExpiredPattern { status: 401, body_contains: None }]),
            resend_expired_writes: false,
            pass_cookies: false,
            inject_token: TokenPlace::AccessTokenHeader,
            concurrent_sessions: false,
            share_login: false,
        },
        login: LoginRules { user_field: "login".into(), failed_when: ExpiredWhen::default(), logout_route: None },
        encoded_slash: vec![],
        budgets: BudgetRules {
            address: plenty,
            failed_credentials: plenty,
            failed_tokens: plenty,
            logins: LoginQuotas::all(plenty),
            enforce: Enforce::On,
            rate_limit_on_answers: true,
        },
        limits: SizeLimits { head: HeadLimits { bytes: 8 << 10, uri: 4 << 10, fields: 50 }, body: 100 },
    }
}

/// Tables that nothing has happened to, as of [`NOW`].
pub(crate) fn tables(snapshot: &Snapshot) -> Tables {
    Tables::new(&Zeroizing::new([7; 32]), snapshot, Box::new(NoJournal), NOW)
}

/// How a GET goes to 8sens that was admitted for the target.
pub(crate) fn plan(target: Target) -> ForwardPlan {
    ForwardPlan {
        method: Method::Get,
        target,
        fields: field_edits(),
        resend: Resend::Never,
        observe: Observe::Nothing,
        is_write: false,
        outlives_session: false,
    }
}

/// What happens to the fields of a caller that named `X-Hop` in its connection options.
pub(crate) fn field_edits() -> FieldEdits {
    FieldEdits {
        of_connection: vec![b"x-hop"[..].into()],
        token_from: [TokenPlace::AccessTokenHeader].into_iter().collect(),
        pass_cookies: false,
        answer_is_read: false,
        client_ip: Ipv4Addr::new(192, 0, 2, 7).into(),
        https: true,
        request_id: RequestId::from_caller(b"req-1").expect("it is short and visible"),
        rate_limit: None,
        token: None,
    }
}
