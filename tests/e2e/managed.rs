//! Sessions that the gate keeps: one login for all who wait, none that locks an account, and a token that no caller
//! ever sees.

use crate::gate::{Config, DEADLINE, Gate, KEY, consumer, get, write_secret};
use crate::sessions::{outcome, with_token};
use crate::support::http::RawClient;
use crate::support::witness::{Action, Behaviour, SeenRequest, Witness};
use std::collections::HashSet;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const SHOP_KEY: &str = "sgk_geree_Tq8Wn3Zk5Vb7Xc2Lm9Pd";
const OTHER_KEY: &str = "sgk_autre_Hj4Gf6Ds8Aq1Wz3Xe5Rc";
const PASSWORD: &str = "mot de passe, été & 50%";

/// An 8sens of the test: hands out `token-1`, `token-2` …, and answers those that it was not told to forget.
#[derive(Default)]
struct EightSens {
    logins: Mutex<Vec<String>>,
    /// What a login is answered; a token when nothing is said.
    refusal: Mutex<Option<Action>>,
    forgotten: Mutex<HashSet<String>>,
}

impl EightSens {
    fn behaviour(self: &Arc<Self>) -> Behaviour {
        let itself = Arc::clone(self);
        Behaviour::by(move |request| itself.act(request))
    }

    fn act(&self, request: &SeenRequest) -> Action {
        if request.target() == "/v1/login/user" {
            let mut logins = self.logins.lock().unwrap();
            logins.push(String::from_utf8_lossy(&request.body).into_owned());
            return self.refusal.lock().unwrap().clone().unwrap_or_else(|| handed_out(logins.len()));
        }
        let tokens = request.values("access_token");
        let is_forgotten = tokens.iter().any(|token| self.forgotten.lock().unwrap().contains(token));
        if is_forgotten { refused(401) } else { Action::Answer }
    }

    fn logins(&self) -> usize {
        self.logins.lock().unwrap().len()
    }

    fn refuse(&self, refusal: Option<Action>) {
        *self.refusal.lock().unwrap() = refusal;
    }
}

fn handed_out(number: usize) -> Action {
    let body = format!("{{\"access_token\":\"token-{number}\",\"paramRacineCliID\":129}}");
    Action::AnswerWith { status: 200, headers: vec![], body: body.into_bytes() }
}

fn refused(status: u16) -> Action {
    Action::AnswerWith { status, headers: vec![], body: b"{\"erreur\":\"non\"}".to_vec() }
}

/// A consumer whose session the gate keeps.
fn managed(name: &str, key: &str, user: &str) -> String {
    let login = format!("session = \"managed\"\nlogin = {{ user = \"{user}\", password = {{ file = \"{user}\" }} }}\n");
    consumer(name, key, &login)
}

fn config(witness: &Witness) -> Config {
    Config::new(witness.addr())
        .with("session", "mode = \"guard\"")
        .with("session", "public = [\"GET /v1/version\"]")
        .and(&managed("geree", SHOP_KEY, "CLIENTREST"))
}

/// A gate whose folder has the password.
fn start(config: &Config) -> Gate {
    let folder = tempfile::tempdir().unwrap();
    write_secret(&folder.path().join("CLIENTREST"), PASSWORD);
    write_secret(&folder.path().join("AUTRE"), "another password");
    Gate::start_in(folder, config, |command| command)
}

fn bare(path: &str) -> String {
    get(path).replace(KEY, SHOP_KEY)
}

/// The tokens of all requests but logins, in order.
fn tokens(witness: &Witness) -> Vec<Vec<String>> {
    let others = witness.requests().into_iter().filter(|request| request.target() != "/v1/login/user");
    others.map(|request| request.values("access_token")).collect()
}

fn sessions(gate: &Gate, arguments: &[&str]) -> Output {
    let config = gate.folder.path().join("sensgate.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensgate"));
    command.arg("sessions").args(arguments).args(["--lang", "en", "--config"]).arg(config).output().unwrap()
}

fn listed(gate: &Gate) -> serde_json::Value {
    serde_json::from_slice(&sessions(gate, &["list", "--format", "json"]).stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_sends_nothing_but_its_key_gets_one_token_and_sees_none() {
    let erp = Arc::new(EightSens::default());
    let witness = Witness::start(erp.behaviour()).await;
    let gate = start(&config(&witness));
    let answer = gate.exchange(bare("/v1/a")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gate.exchange(bare("/v1/b?x=1")).await.status, 200);
    assert_eq!(gate.exchange(bare("/v1/version")).await.status, 200);
    assert_eq!(tokens(&witness), [vec!["token-1"], vec!["token-1"], vec![]], "a public route needs none");
    assert_eq!(
        *erp.logins.lock().unwrap(),
        ["login=CLIENTREST&password=mot%20de%20passe%2C%20%C3%A9t%C3%A9%20%26%2050%25"]
    );
    let login = &witness.requests()[0];
    assert_eq!(login.values("api_key"), [crate::gate::UPSTREAM_KEY]);
    assert_eq!(login.values("content-type"), ["application/x-www-form-urlencoded"]);

    assert_eq!(outcome(&gate, with_token(SHOP_KEY, "/v1/a", "made-up")).await, (401, "session_unknown".to_owned()));
    assert_eq!(outcome(&gate, get("/v1/a")).await, (401, "session_missing".to_owned()), "another one is under guard");
    assert_eq!(erp.logins(), 1);
    let own = bare("/v1/login/user").replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(gate.exchange(own).await.status, 200);
    assert_eq!(gate.exchange(with_token(SHOP_KEY, "/v1/c", "token-2")).await.status, 200, "one of its own is used");
    assert_eq!(tokens(&witness).last().unwrap(), &["token-2"]);

    let record = gate.wait_for_record(|record| record["path"] == "/v1/a" && record["code"] == "ok");
    assert_eq!(record["session_generation"], 1);
    assert!(record["login_wait_ms"].is_number());
    let listed = listed(&gate);
    assert_eq!((&listed[0]["kind"], &listed[0]["consumers"][0]), (&"managed".into(), &"geree".into()), "{listed}");
    assert_eq!((&listed[0]["state"], &listed[0]["generation"]), (&"live".into(), &1.into()), "{listed}");
    assert_eq!(listed[1]["kind"], "own");
    assert!(gate.metrics().await.contains("sensgate_managed_logins_total{cause=\"absent\""));
    keeps_its_secrets(&gate).await;
}

/// Neither password nor login name nor token in what the gate writes.
async fn keeps_its_secrets(gate: &Gate) {
    let log = std::fs::read_to_string(gate.access_log()).unwrap();
    let said = [gate.stderr_lines().join("\n"), log, gate.metrics().await, listed(gate).to_string()];
    for text in said {
        for secret in [PASSWORD, "CLIENTREST", "token-1"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_cold_requests_are_one_login_also_when_most_callers_hang_up() {
    let (release, released) = watch::channel(false);
    let erp = Arc::new(EightSens::default());
    let slow = Action::When(released, Box::new(handed_out(1)));
    erp.refuse(Some(slow));
    let witness = Witness::start(erp.behaviour()).await;
    let many = ["connections = 1500", "connections_per_address = 1500"];
    let gate = start(&many.iter().fold(config(&witness), |config, line| config.with("limits", line)));
    let mut clients = Vec::new();
    for number in 0..1_000 {
        let mut client = gate.connect().await;
        client.send(bare(&format!("/v1/{number}"))).await.unwrap();
        clients.push(client);
    }
    witness.wait_for(1, DEADLINE).await;
    drop(clients.split_off(100));
    wait_for_connections(&gate, 100.0).await;
    release.send(true).unwrap();
    for client in &mut clients {
        assert_eq!(client.read_response().await.unwrap().status, 200);
    }
    assert_eq!(erp.logins(), 1);
    assert_eq!(tokens(&witness).len(), 100, "whoever had left was not asked for");

    // Those that came while it was under way were served with what it brought.
    let more = futures(&gate, 900).await;
    assert!(more.iter().all(|status| *status == 200));
    assert_eq!(erp.logins(), 1);
}

async fn wait_for_connections(gate: &Gate, open: f64) {
    let end = Instant::now() + DEADLINE;
    while gate.metric("sensgate_connections_open").await > open {
        assert!(Instant::now() < end, "{} open", gate.metric("sensgate_connections_open").await);
        tokio::task::yield_now().await;
    }
}

/// So many requests at the same time, each on a connection of its own.
async fn futures(gate: &Gate, count: usize) -> Vec<u16> {
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..count {
        let address = gate.address();
        all.spawn(async move {
            let mut client = RawClient::connect(address).await.unwrap();
            client.exchange(bare("/v1/a")).await.unwrap().status
        });
    }
    all.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_twice_and_again_when_an_admin_says_so() {
    let erp = Arc::new(EightSens::default());
    // Some servers refuse inside a success.
    erp.refuse(Some(refused(200)));
    let witness = Witness::start(erp.behaviour()).await;
    let gate = start(&config(&witness).with("login", "failed_when = [{ status = 200, body_contains = \"erreur\" }]"));
    let end = Instant::now() + DEADLINE;
    while erp.logins() < 2 {
        let answer = gate.exchange(bare("/v1/a")).await;
        assert_eq!((answer.status, &answer.json()["code"]), (503, &"login_unavailable".into()));
        assert!(Instant::now() < end);
        tokio::task::yield_now().await;
    }
    let answer = gate.exchange(bare("/v1/a")).await;
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((600..=900).contains(&wait), "{wait}");
    for _ in 0..50 {
        assert_eq!(gate.exchange(bare("/v1/a")).await.status, 503);
    }
    assert_eq!(erp.logins(), 2, "the account is not locked");
    assert!(gate.metric("sensgate_alarms_total{alarm=\"login_refused\"}").await >= 2.0);
    assert_eq!(listed(&gate)[0]["held_back"], "refused");
    let unknown = sessions(&gate, &["retry", "boutique-paris"]);
    assert_eq!(unknown.status.code(), Some(1), "the gate keeps no session for it");

    assert!(sessions(&gate, &["retry", "geree"]).status.success());
    assert_eq!(gate.exchange(bare("/v1/a")).await.status, 503);
    assert_eq!(erp.logins(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_used_at_the_next_login_and_who_leaves_is_logged_out() {
    let erp = Arc::new(EightSens::default());
    erp.refuse(Some(refused(401)));
    let witness = Witness::start(erp.behaviour()).await;
    let config = Config::new(witness.addr())
        .with("session", "mode = \"guard\"")
        .with("login", "logout_route = \"POST /v1/logout\"");
    let gate = start(&config.clone().and(&managed("geree", SHOP_KEY, "CLIENTREST")));
    let mut end = Instant::now() + DEADLINE;
    while erp.logins() < 2 {
        assert_eq!(gate.exchange(bare("/v1/a")).await.status, 503);
        assert!(Instant::now() < end);
    }
    erp.refuse(None);
    write_secret(&gate.folder.path().join("CLIENTREST"), "the new one");
    reload(&gate, None);
    assert_eq!(gate.exchange(bare("/v1/a")).await.status, 200);
    assert_eq!(erp.logins.lock().unwrap().last().unwrap(), "login=CLIENTREST&password=the%20new%20one");
    assert_eq!(tokens(&witness), [["token-3"]]);

    reload(&gate, Some(&config.text()));
    end = Instant::now() + DEADLINE;
    let logout = loop {
        if let Some(logout) = witness.requests().into_iter().find(|request| request.target() == "/v1/logout") {
            break logout;
        }
        assert!(Instant::now() < end, "8sens was not told");
        tokio::task::yield_now().await;
    };
    assert_eq!((logout.method(), logout.values("access_token")), ("POST", vec!["token-3".to_owned()]));
    assert_eq!(gate.exchange(bare("/v1/a")).await.status, 401);
}

fn reload(gate: &Gate, text: Option<&str>) {
    let path = gate.folder.path().join("sensgate.toml");
    if let Some(text) = text {
        std::fs::write(&path, text).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_sensgate"))
        .args(["reload", "--lang", "en", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_8sens_is_away_it_is_asked_once_a_second_and_live_sessions_go_on() {
    let erp = Arc::new(EightSens::default());
    let witness = Witness::start(erp.behaviour()).await;
    let gate = start(&config(&witness).and(&managed("autre", OTHER_KEY, "AUTRE")));
    let others = get("/v1/a").replace(KEY, OTHER_KEY);
    assert_eq!(gate.exchange(&others).await.status, 200);
    erp.refuse(Some(Action::Close));
    let (began, before) = (Instant::now(), erp.logins());
    while began.elapsed() < Duration::from_millis(2_500) {
        let answer = gate.exchange(bare("/v1/a")).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("login_unavailable")));
        assert_eq!(answer.header("retry-after").map(str::len), Some(1), "a second or two");
        assert_eq!(gate.exchange(&others).await.status, 200);
    }
    let tries = erp.logins() - before;
    let most = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!((2..=most).contains(&tries), "{tries} in {:?}", began.elapsed());
    erp.refuse(None);
    let back = wait_until_served(&gate).await;
    assert_eq!(back, 200);
}

async fn wait_until_served(gate: &Gate) -> u16 {
    let end = Instant::now() + DEADLINE;
    loop {
        let status = gate.exchange(bare("/v1/a")).await.status;
        if status == 200 || Instant::now() > end {
            return status;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_renewed_before_it_ends_and_after_8sens_said_that_it_has() {
    let erp = Arc::new(EightSens::default());
    let witness = Witness::start(erp.behaviour()).await;
    let idle = Duration::from_secs(1);
    let gate = start(&config(&witness).with("upstream", "idle_timeout = \"1s\""));
    assert_eq!(gate.exchange(bare("/v1/a")).await.status, 200);
    let used = Instant::now();
    while used.elapsed() < idle {
        tokio::time::sleep_until((used + idle).into()).await;
    }
    assert_eq!(gate.exchange(bare("/v1/a")).await.status, 200);
    assert_eq!(tokens(&witness), [["token-1"], ["token-2"]]);
    assert_eq!(erp.logins(), 2);
    drop(gate);

    // Pingora's lane passes 8sens's answer on; the next request logs in.
    let gate = start(&config(&witness).with("upstream", "forwarder = \"direct\""));
    assert_eq!(gate.exchange(bare("/v1/a")).await.status, 200);
    erp.forgotten.lock().unwrap().insert("token-3".to_owned());
    assert_eq!(gate.exchange(bare("/v1/a")).await.status, 200, "sent again, with another token");
    let seen = tokens(&witness);
    assert_eq!(seen[seen.len() - 2..], [["token-3"], ["token-4"]]);
    // A second time within a minute it is not believed: a forbidden route may answer just like that.
    erp.forgotten.lock().unwrap().insert("token-4".to_owned());
    for _ in 0..3 {
        assert_eq!(gate.exchange(bare("/v1/a")).await.status, 401);
    }
    assert_eq!(erp.logins(), 4);
    assert_eq!(gate.metric("sensgate_alarms_total{alarm=\"expiry_doubted\"}").await, 3.0);
}

fn order(body: &str) -> String {
    let length = body.len();
    let head = bare("/v1/devis").replace("GET", "POST");
    head.replace("\r\n\r\n", &format!("\r\nContent-Length: {length}\r\n\r\n{body}"))
}

/// A write is sent a second time only where an admin said that this answer means that it was not carried out, and only
/// when all of it is there.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_sent_again_only_where_it_is_known_not_to_be_carried_out() {
    for (known, long, statuses) in [(false, false, vec![401]), (true, false, vec![401, 200]), (true, true, vec![401])] {
        let erp = Arc::new(EightSens::default());
        let witness = Witness::start(erp.behaviour()).await;
        let mut config = config(&witness).with("upstream", "forwarder = \"direct\"");
        if known {
            config = config.with("session", "resend_expired_writes = true");
        }
        let gate = start(&config);
        assert_eq!(gate.exchange(bare("/v1/a")).await.status, 200);
        erp.forgotten.lock().unwrap().insert("token-1".to_owned());
        let body = "x".repeat(if long { 70_000 } else { 1_000 });
        assert_eq!(gate.exchange(order(&body)).await.status, *statuses.last().unwrap(), "{known} {long}");
        let orders: Vec<_> = witness.requests().into_iter().filter(|request| request.target() == "/v1/devis").collect();
        assert_eq!(orders.len(), statuses.len(), "{known} {long}");
        assert!(orders.iter().all(|order| order.body == body.as_bytes()));
        let tokens: Vec<_> = orders.iter().flat_map(|order| order.values("access_token")).collect();
        assert_eq!(tokens, ["token-1", "token-2"][..statuses.len()]);
        assert_eq!(gate.exchange(bare("/v1/b")).await.status, 200, "the next one has a session");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_survives_a_restart_and_the_change_from_guard_keeps_tokens() {
    let erp = Arc::new(EightSens::default());
    let witness = Witness::start(erp.behaviour()).await;
    let guard = Config::new(witness.addr()).with("session", "mode = \"guard\"").and(&consumer("geree", SHOP_KEY, ""));
    let mut gate = start(&guard);
    let login = bare("/v1/login/user").replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(gate.exchange(login).await.status, 200);
    reload(&gate, Some(&config(&witness).text()));
    assert_eq!(gate.exchange(with_token(SHOP_KEY, "/v1/a", "token-1")).await.status, 200, "learned under guard");
    assert_eq!(gate.exchange(bare("/v1/a")).await.status, 200);
    gate.signal("TERM");
    assert!(gate.wait_for_exit().success());
    let folder = std::fs::read_dir(gate.folder.path().join("state")).unwrap();
    for file in folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        for secret in ["token-2", "CLIENTREST", PASSWORD] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", file.display());
        }
    }
    let gate = gate.restart(&config(&witness));
    assert_eq!(gate.exchange(bare("/v1/b")).await.status, 200);
    assert_eq!(tokens(&witness), [["token-1"], ["token-2"], ["token-2"]]);
    assert_eq!(erp.logins(), 2);
    assert!(sessions(&gate, &["end", "--consumer", "geree"]).status.success());
    assert_eq!(gate.exchange(bare("/v1/c")).await.status, 200);
    assert_eq!(tokens(&witness).last().unwrap(), &["token-3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_travels_where_8sens_reads_it() {
    for (place, field, expected) in [
        ("bearer", "authorization", "Bearer token-1"),
        ("header:token", "token", "token-1"),
        ("query:access_token", "", ""),
    ] {
        let erp = Arc::new(EightSens::default());
        let witness = Witness::start(erp.behaviour()).await;
        let gate = start(&config(&witness).with("session", &format!("inject_token = \"{place}\"")));
        let basic = bare("/v1/a?x=1").replace("\r\n\r\n", "\r\nAuthorization: Basic eDp5\r\n\r\n");
        assert_eq!(gate.exchange(basic).await.status, 200);
        let seen = witness.requests().pop().unwrap();
        match field {
            "" => assert_eq!(seen.target(), "/v1/a?x=1&access_token=token%2D1"),
            field => assert_eq!((seen.target(), seen.values(field)), ("/v1/a?x=1", vec![expected.to_owned()])),
        }
        assert_eq!(seen.head.matches("token-1").count() + seen.head.matches("token%2D1").count(), 1, "{}", seen.head);
    }
}

/// Whether logins are really asked for by one task, also when many callers find the session gone at once.
#[tokio::test(flavor = "multi_thread")]
async fn many_renewals_at_once_are_one_login() {
    let erp = Arc::new(EightSens::default());
    let witness = Witness::start(erp.behaviour()).await;
    let gate = start(&config(&witness));
    for round in 1..=5 {
        let served = futures(&gate, 40).await;
        assert!(served.iter().all(|status| *status == 200), "{served:?}");
        assert_eq!(erp.logins(), round);
        assert!(sessions(&gate, &["end", "--consumer", "geree"]).status.success());
    }
}
