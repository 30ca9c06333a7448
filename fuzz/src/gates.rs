//! Small gates to decide on requests with: their rules, two consumers, and one live session of each.

use sensgate::domain::exchange::{Exchange, Outcome, Record, Step};
use sensgate::domain::limit::Quota;
use sensgate::domain::limit::login_shield::LoginQuotas;
use sensgate::domain::request::client_ip::TrustedProxies;
use sensgate::domain::request::head::HeadLimits;
use sensgate::domain::request::{FieldTable, RequestView, TokenPlace};
use sensgate::domain::rules::consumer::{Consumer, ConsumerTable, Credential, digest};
use sensgate::domain::rules::enforce::Enforce;
use sensgate::domain::rules::route::RouteRule;
use sensgate::domain::rules::snapshot::{BudgetRules, LoginRules, SessionMode, SessionRules, SizeLimits, Snapshot};
use sensgate::domain::session::{ExpiredPattern, ExpiredWhen, SessionLimits};
use sensgate::domain::tables::{NoJournal, Tables};
use sensgate::domain::types::{Mono, Now, RequestId, Wall};
use std::sync::{Arc, LazyLock};
use zeroize::Zeroizing;

pub const KEY: &str = "sgk_k1_canaryKey7";
pub const OTHER_KEY: &str = "sgk_k2_canaryOther9";
pub const TOKEN: &str = "canaryToken-77.65/Y+h=";
pub const OTHER_TOKEN: &str = "canaryTokenOfAnother-1";

pub const NOW: Now = Now { mono: Mono(1_000_000_000), wall: Wall(1_790_000_000_000) };

/// One configuration and its tables.
pub struct Gate {
    pub snapshot: Arc<Snapshot>,
    tables: Arc<Tables>,
}

/// As the defaults are: every token place read, no alias, cookies dropped, tokens guarded.
pub static GUARD: LazyLock<Gate> = LazyLock::new(|| Gate::new(SessionMode::Guard, TokenPlace::ALL, &[], false));

/// One token place, both aliases, cookies passed.
pub static ONE_PLACE: LazyLock<Gate> =
    LazyLock::new(|| Gate::new(SessionMode::Guard, &[TokenPlace::AccessTokenHeader], &["x-api-key", "api-key"], true));

/// Tokens only observed.
pub static OBSERVE: LazyLock<Gate> = LazyLock::new(|| {
    Gate::new(SessionMode::Observe, &[TokenPlace::Bearer, TokenPlace::AccessTokenQuery], &["x-api-key"], false)
});

impl Gate {
    fn new(mode: SessionMode, token_from: &[TokenPlace], aliases: &[&str], pass_cookies: bool) -> Self {
        let session = SessionRules {
            token_from: token_from.to_vec(),
            login_routes: vec![rule("POST /v1/login/user")],
            public: vec![rule("GET /v1/public")],
            mode,
            limits: SessionLimits::default(),
            expired_when: ExpiredWhen::new(vec![ExpiredPattern { status: 401, body_contains: None }]),
            resend_expired_writes: false,
            pass_cookies,
            inject_token: TokenPlace::AccessTokenHeader,
            concurrent_sessions: false,
            share_login: false,
        };
        let snapshot = Arc::new(Snapshot {
            consumers: ConsumerTable::new(vec![consumer("shop", KEY), consumer("partner", OTHER_KEY)]),
            fields: FieldTable::new(aliases.iter().copied(), "x-forwarded-for"),
            trusted_proxies: TrustedProxies::new(vec![]),
            session,
            login: LoginRules { user_field: "login".into(), failed_when: ExpiredWhen::default(), logout_route: None },
            encoded_slash: vec![rule("GET /v1/articles/*")],
            budgets: budgets(),
            limits: SizeLimits { head: HeadLimits { bytes: 32 << 10, uri: 8 << 10, fields: 100 }, body: 10 << 20 },
        });
        let tables = Tables::new(&Zeroizing::new([7; 32]), &snapshot, Box::new(NoJournal), NOW);
        for (consumer, token) in [("shop", TOKEN), ("partner", OTHER_TOKEN)] {
            let caller = tables.sessions.caller(consumer, "k1").expect("the consumer is there");
            let hash = tables.sessions.hash(token.as_bytes());
            let _ = tables.sessions.learn(hash, caller, NOW.mono, &snapshot.session.limits);
        }
        Self { snapshot, tables: Arc::new(tables) }
    }

    /// Decides on a request as the gate would, and ends it.
    pub fn decide(&self, request: &RequestView<'_>) -> (Step, Record) {
        let id = RequestId::from_random([0xab; 16]);
        let (exchange, step) = Exchange::begin(Arc::clone(&self.snapshot), Arc::clone(&self.tables), request, id, NOW);
        let outcome = match &step {
            Step::Deny(denial) => Outcome::Denied(denial.clone()),
            _ => Outcome::Answered { status: 200 },
        };
        (step, exchange.finish(outcome, NOW))
    }
}

fn rule(text: &str) -> RouteRule {
    RouteRule::parse(text).expect("a rule of this file")
}

fn consumer(name: &str, key: &str) -> Consumer {
    Consumer::named(name, vec![Credential { digest: digest(key.as_bytes()), ..Credential::named("k1") }])
}

/// Off: one gate decides on millions of requests within one instant.
fn budgets() -> BudgetRules {
    let any = Quota::parse("1/s").expect("a quota");
    BudgetRules {
        address: any,
        failed_credentials: any,
        failed_tokens: any,
        logins: LoginQuotas::all(any),
        enforce: Enforce::Off,
        rate_limit_on_answers: false,
    }
}
