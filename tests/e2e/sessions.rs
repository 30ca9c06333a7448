//! Sessions through the real gate: whose token it is, for how long, and what survives.

use crate::gate::{Config, DEPOT_KEY, Gate, KEY, consumer, wait_until};
use crate::support::http::RawClient;
use crate::support::port;
use crate::support::witness::{Action, Behaviour, SeenRequest, Witness};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Another consumer of the tests, that may do everything.
const OTHER_KEY: &str = "sgk_other_Bn3Vm5Cx7Zl9Kj2Hg4Fd";

fn login(key: &str) -> String {
    let form = "login=CLIENTREST&password=clientrest";
    format!(
        "POST /v1/login/user HTTP/1.1\r\nHost: gate\r\napi_key: {key}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\n\
         Accept-Encoding: gzip\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

pub fn with_token(key: &str, path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: gate\r\napi_key: {key}\r\naccess_token: {token}\r\n\r\n")
}

/// An 8sens that hands out `token-1`, `token-2` … at logins and answers everything else.
pub fn eight_sens() -> Behaviour {
    let logins = AtomicUsize::new(0);
    Behaviour::by(move |request| {
        if request.target() != "/v1/login/user" {
            return Action::Answer;
        }
        let number = logins.fetch_add(1, Ordering::Relaxed) + 1;
        let body = format!("{{\"access_token\":\"token-{number}\",\"paramRacineCliID\":129}}");
        Action::AnswerWith { status: 200, headers: vec![], body: body.into_bytes() }
    })
}

pub fn config(witness: &Witness) -> Config {
    Config::new(witness.addr()).with("session", "mode = \"guard\"").and(&consumer("autre", OTHER_KEY, ""))
}

pub async fn log_in(gate: &Gate, key: &str) -> String {
    let answer = gate.exchange(login(key)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

pub async fn outcome(gate: &Gate, request: String) -> (u16, String) {
    let answer = gate.exchange(request).await;
    (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

pub fn refused(code: &str) -> (u16, String) {
    (401, code.to_owned())
}

pub fn others(seen: &[SeenRequest]) -> usize {
    seen.iter().filter(|request| request.target() != "/v1/login/user").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_token_of_ones_own_login_reaches_8sens() {
    let witness = Witness::start(eight_sens()).await;
    let gate = Gate::start(&config(&witness));
    let (mine, theirs) = (log_in(&gate, KEY).await, log_in(&gate, OTHER_KEY).await);
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &mine)).await.0, 200);
    assert_eq!(outcome(&gate, with_token(OTHER_KEY, "/v1/a", &theirs)).await.0, 200);
    assert_eq!(others(&witness.requests()), 2);
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &theirs)).await, refused("session_not_yours"));
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", "made-up")).await, refused("session_unknown"));
    assert_eq!(outcome(&gate, crate::gate::get("/v1/a")).await, refused("session_missing"));
    let both = with_token(KEY, "/v1/a", &mine).replace("\r\n\r\n", &format!("\r\ntoken: {theirs}\r\n\r\n"));
    assert_eq!(outcome(&gate, both).await, (400, "ambiguous_token".to_owned()));
    assert_eq!(others(&witness.requests()), 2, "none of these reached 8sens");
    let stolen = gate.wait_for_record(|record| record["code"] == "session_not_yours");
    assert_eq!(stolen["alarm"], "token_of_another");
    assert_eq!(gate.metric("sensgate_alarms_total{alarm=\"token_of_another\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_wherever_it_travels() {
    let witness = Witness::start(eight_sens()).await;
    let gate = Gate::start(&config(&witness));
    let token = log_in(&gate, KEY).await;
    let key = format!("Host: a\r\napi_key: {KEY}\r\n");
    for request in [
        format!("GET /v1/a HTTP/1.1\r\n{key}Authorization: Bearer {token}\r\n\r\n"),
        format!("GET /v1/a HTTP/1.1\r\n{key}token: {token}\r\n\r\n"),
        format!("GET /v1/a?access_token={token} HTTP/1.1\r\n{key}\r\n"),
        format!("GET /v1/a?access_token={} HTTP/1.1\r\n{key}\r\n", token.replace('-', "%2D")),
    ] {
        assert_eq!(outcome(&gate, request).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_token_never_reaches_8sens() {
    let witness = Witness::start(eight_sens()).await;
    let gate =
        Gate::start(&config(&witness).with("upstream", "idle_timeout = \"1s\"").with("session", "margin = \"100ms\""));
    let token = log_in(&gate, KEY).await;
    // Used every now and then it lives on, past its first second.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &token)).await.0, 200);
        tokio::task::block_in_place(|| std::thread::park_timeout(Duration::from_millis(100)));
    }
    let before = others(&witness.requests());
    let expired = wait_until(|| {
        // Asking does not keep it alive: what is refused is no use.
        let listed = sessions(&gate, &["list", "--format", "json"]);
        (listed.trim() == "[]").then_some(())
    });
    assert!(expired.is_some());
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &token)).await, refused("session_expired"));
    assert_eq!(others(&witness.requests()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_answer_is_released_byte_for_byte_and_asked_for_uncompressed() {
    let body = b"{ \"access_token\" : 42 ,\r\n \"x\":\"\xe9\" }".to_vec();
    let answer = Action::AnswerWith { status: 200, headers: vec![("X-Own".into(), "1".into())], body: body.clone() };
    let witness = Witness::start(Behaviour::by(move |request| match request.target() {
        "/v1/login/user" => answer.clone(),
        _ => Action::Answer,
    }))
    .await;
    let gate = Gate::start(&config(&witness));
    let answer = gate.exchange(login(KEY)).await;
    assert_eq!(
        (answer.status, answer.body, answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-own"))),
        (200, body, true)
    );
    assert_eq!(witness.requests()[0].values("accept-encoding"), Vec::<String>::new());
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", "42")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_answer_that_is_a_bomb_is_never_opened() {
    // A gzip stream of zeros, as far as anybody looks; and a token behind more JSON than is ever held.
    let packed = [b"\x1f\x8b\x08\0\0\0\0\0\0\x03".as_slice(), &vec![0; 300 << 10]].concat();
    let padded = format!("{{\"x\":\"{}\",\"access_token\":\"late\"}}", "y".repeat(1 << 20)).into_bytes();
    for (headers, body) in [(vec![("Content-Encoding".to_owned(), "gzip".to_owned())], packed), (vec![], padded)] {
        let action = Action::AnswerWith { status: 200, headers, body: body.clone() };
        let witness = Witness::start(Behaviour::by(move |request| match request.target() {
            "/v1/login/user" => action.clone(),
            _ => Action::Answer,
        }))
        .await;
        let gate = Gate::start(&config(&witness));
        let answer = gate.exchange(login(KEY)).await;
        assert_eq!((answer.status, answer.body == body), (200, true), "it is 8sens's answer all the same");
        gate.wait_for_record(|record| record["alarm"] == "login_not_understood");
        assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", "late")).await, refused("session_unknown"));
        assert_eq!(outcome(&gate, crate::gate::get("/v1/a")).await, refused("session_missing"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_brings_no_old_token_along() {
    let witness = Witness::start(eight_sens()).await;
    let gate = Gate::start(&config(&witness));
    let request = login(KEY).replace("\r\n\r\n", "\r\naccess_token: long-dead\r\n\r\n");
    assert_eq!(gate.exchange(request).await.status, 200);
    assert_eq!(witness.requests()[0].values("access_token"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_expired_ends_the_session() {
    let witness = Witness::start(Behaviour::by({
        let inner = eight_sens();
        move |request| match request.target() {
            "/v1/expired" => Action::AnswerWith { status: 401, headers: vec![], body: b"{}".to_vec() },
            _ => inner.act(request),
        }
    }))
    .await;
    let gate = Gate::start(&config(&witness));
    let token = log_in(&gate, KEY).await;
    assert_eq!(gate.exchange(with_token(KEY, "/v1/expired", &token)).await.status, 401);
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &token)).await, refused("session_unknown"));
    // Several consumers at once: that is a restarted 8sens, and nobody is logged out for it.
    let (mine, theirs) = (log_in(&gate, KEY).await, log_in(&gate, OTHER_KEY).await);
    gate.exchange(with_token(KEY, "/v1/expired", &mine)).await;
    gate.exchange(with_token(OTHER_KEY, "/v1/expired", &theirs)).await;
    assert_eq!(outcome(&gate, with_token(OTHER_KEY, "/v1/a", &theirs)).await.0, 200);
    gate.wait_for_record(|record| record["alarm"] == "mass_expiry");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_survive_a_kill_and_revocations_too() {
    let witness = Witness::start(eight_sens()).await;
    let config = config(&witness);
    let mut gate = Gate::start(&config);
    let (kept, ended) = (log_in(&gate, KEY).await, log_in(&gate, OTHER_KEY).await);
    sessions(&gate, &["end", "--consumer", "autre"]);
    assert_eq!(outcome(&gate, with_token(OTHER_KEY, "/v1/a", &ended)).await, refused("session_unknown"));
    let last = log_in(&gate, KEY).await;
    gate.signal("KILL");
    gate.wait_for_exit();
    let gate = gate.restart(&config);
    for token in [&kept, &last] {
        assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", token)).await.0, 200);
    }
    assert_eq!(outcome(&gate, with_token(OTHER_KEY, "/v1/a", &ended)).await, refused("session_unknown"));
    let state = gate.folder.path().join("state");
    for entry in std::fs::read_dir(state).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(6).any(|part| part == b"token-"), "a token is on disk");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_last_before_a_kill_holds() {
    let witness = Witness::start(eight_sens()).await;
    let config = config(&witness);
    let mut gate = Gate::start(&config);
    for round in 0..3 {
        // At once: a login answer is released only after its session was written.
        let token = log_in(&gate, KEY).await;
        kill(&mut gate);
        gate = gate.restart(&config);
        assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &token)).await.0, 200, "round {round}");
        sessions(&gate, &["end", "--consumer", "boutique-paris"]);
        kill(&mut gate);
        gate = gate.restart(&config);
        assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &token)).await, refused("session_unknown"), "round {round}");
    }
}

fn kill(gate: &mut Gate) {
    gate.child.kill().unwrap();
    gate.wait_for_exit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_file_is_set_aside() {
    let witness = Witness::start(eight_sens()).await;
    let config = config(&witness);
    let mut gate = Gate::start(&config);
    let token = log_in(&gate, KEY).await;
    gate.signal("TERM");
    gate.wait_for_exit();
    let log = gate.folder.path().join("state/sessions.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&log, bytes).unwrap();
    let mut gate = gate.restart(&config);
    gate.wait_for_line("set aside");
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &token)).await, refused("session_unknown"));
    let aside = std::fs::read_dir(gate.folder.path().join("state")).unwrap();
    assert!(aside.filter_map(Result::ok).any(|entry| entry.file_name().to_string_lossy().contains("damaged")));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_gate_per_state_directory() {
    let witness = Witness::start(eight_sens()).await;
    let gate = Gate::start(&config(&witness));
    let output = Command::new(env!("CARGO_BIN_EXE_sensgate"))
        .args(["run", "--lang", "en", "--config"])
        .arg(gate.folder.path().join("sensgate.toml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another gate uses the state directory"));
}

#[tokio::test(flavor = "multi_thread")]
async fn observing_forwards_counts_and_offers_the_switch() {
    let witness = Witness::start(eight_sens()).await;
    let config = Config::new(witness.addr())
        .with("upstream", "idle_timeout = \"1s\"")
        .with("session", "mode = \"observe\"")
        .with("session", "margin = \"100ms\"");
    let mut gate = Gate::start(&config);
    assert_eq!(gate.exchange(with_token(KEY, "/v1/a", "from-before")).await.status, 200);
    let record = gate.wait_for_record(|record| record["path"] == "/v1/a");
    assert_eq!((&record["would_refuse"], &record["issued"]), (&"session_unknown".into(), &"before_start".into()));
    let early = run(&gate, &["status", "--would-refuse"]);
    assert!(
        early.contains("session_unknown (issued before the gate started): 1") && early.contains("not yet"),
        "{early}"
    );
    let offered =
        wait_until(|| Some(run(&gate, &["status", "--would-refuse"])).filter(|text| text.contains("mode = \"guard\"")));
    assert!(offered.is_some());
    // The switch, under the eyes of a caller that did log in.
    let token = log_in(&gate, KEY).await;
    let guarded = config.text().replace("mode = \"observe\"", "mode = \"guard\"");
    std::fs::write(gate.folder.path().join("sensgate.toml"), guarded).unwrap();
    gate.signal("HUP");
    gate.wait_for_line("configuration reloaded");
    assert_eq!(gate.exchange(with_token(KEY, "/v1/a", &token)).await.status, 200);
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", "from-before")).await, refused("session_unknown"));
}

/// One checkout: a login, and what follows under its token. Returns the statuses of the answers.
async fn checkout(gate: SocketAddr, key: &str) -> Vec<u16> {
    let mut client = RawClient::connect(gate).await.unwrap();
    let login = client.exchange(login(key)).await.unwrap();
    let token = login.json()["access_token"].as_str().unwrap_or_default().to_owned();
    let mut statuses = vec![login.status];
    for path in ["/v1/articles", "/v1/devis", "/v1/commandes"] {
        statuses.push(client.exchange(with_token(key, path, &token)).await.unwrap().status);
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn guarding_begins_under_checkouts_that_do_not_notice() {
    let witness = Witness::start(eight_sens()).await;
    let guard = config(&witness).text();
    let observe = guard.replace("mode = \"guard\"", "mode = \"observe\"");
    let mut gate = Gate::start_text(tempfile::tempdir().unwrap(), &observe, |command| command);
    let address = gate.address();
    let (guarding, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let shops = [KEY, OTHER_KEY, KEY, OTHER_KEY].map(|key| {
        let (guarding, done) = (Arc::clone(&guarding), Arc::clone(&done));
        tokio::spawn(async move {
            let mut left = 20;
            while left > 0 {
                left -= usize::from(guarding.load(Ordering::Acquire));
                assert_eq!(checkout(address, key).await, [200; 4]);
                done.fetch_add(1, Ordering::Release);
            }
        })
    });
    tokio::task::block_in_place(|| wait_until(|| (done.load(Ordering::Acquire) >= 20).then_some(()))).unwrap();
    std::fs::write(gate.folder.path().join("sensgate.toml"), guard).unwrap();
    gate.signal("HUP");
    tokio::task::block_in_place(|| gate.wait_for_line("configuration reloaded"));
    guarding.store(true, Ordering::Release);
    for shop in shops {
        shop.await.unwrap();
    }
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", "made-up")).await, refused("session_unknown"), "it does guard");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_by_command() {
    let witness = Witness::start(eight_sens()).await;
    let gate = Gate::start(&config(&witness));
    let (first, second) = (log_in(&gate, KEY).await, log_in(&gate, KEY).await);
    let listed: serde_json::Value = serde_json::from_str(&sessions(&gate, &["list", "--format", "json"])).unwrap();
    let hashes: Vec<&str> =
        listed.as_array().unwrap().iter().map(|session| session["hash"].as_str().unwrap()).collect();
    assert_eq!((hashes.len(), &listed[0]["owners"][0]["consumer"]), (2, &"boutique-paris".into()));
    sessions(&gate, &["end", &hashes[0][..12]]);
    let outcomes = [
        outcome(&gate, with_token(KEY, "/v1/a", &first)).await.0,
        outcome(&gate, with_token(KEY, "/v1/a", &second)).await.0,
    ];
    assert!(outcomes == [200, 401] || outcomes == [401, 200], "{outcomes:?}");
    sessions(&gate, &["clear"]);
    assert_eq!(sessions(&gate, &["list", "--format", "json"]).trim(), "[]");
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &second)).await, refused("session_unknown"));
    let socket = gate.folder.path().join("state/control.sock");
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(socket).unwrap()) & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_exact_told_and_given_back() {
    let witness = Witness::start(Behaviour::answer()).await;
    let limited = consumer(
        "limite",
        OTHER_KEY,
        "rate_limit = \"1/h, burst 3\"\nroute_limits = [ { route = \"GET /v1/dear*\", rate_limit = \"1/h\" } ]\nallow \
         = [\"GET /v1/*\"]\n",
    );
    let gate = Gate::start(&Config::new(witness.addr()).and(&limited));
    let get = |path: &str| crate::gate::get(path).replace(KEY, OTHER_KEY);
    let first = gate.exchange(get("/v1/a")).await;
    assert_eq!((first.status, first.header("ratelimit-policy")), (200, Some("\"consumer\";q=1;w=3600")));
    assert!(first.header("ratelimit").unwrap().starts_with("\"consumer\";r=2;"), "{:?}", first.header("ratelimit"));
    // A refusal for another reason gives back what it had reserved.
    for _ in 0..5 {
        assert_eq!(gate.exchange(get("/v2/elsewhere")).await.status, 403);
    }
    assert_eq!(gate.exchange(get("/v1/dear")).await.status, 200);
    let dear = gate.exchange(get("/v1/dear")).await;
    assert_eq!((dear.status, dear.json()["code"].as_str()), (429, Some("rate_limited")));
    assert!(dear.header("ratelimit").unwrap().starts_with("\"route\";r=0;"), "{:?}", dear.header("ratelimit"));
    let wait: u64 = dear.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    // The refused request for the dear route took nothing of the consumer's own quota.
    assert_eq!(gate.exchange(get("/v1/a")).await.status, 200);
    assert_eq!(gate.exchange(get("/v1/a")).await.status, 429);
    assert_eq!(witness.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_given_back_when_8sens_cannot_be_reached() {
    let limited = consumer("limite", OTHER_KEY, "rate_limit = \"1/h\"\n");
    let gate = Gate::start(&Config::new(port::closed()).and(&limited));
    for _ in 0..3 {
        let answer = gate.exchange(crate::gate::get("/v1/a").replace(KEY, OTHER_KEY)).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (502, Some("upstream_unreachable")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_survive_a_reload() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr()).and(&consumer("limite", OTHER_KEY, "rate_limit = \"1/h\"\n"));
    let mut gate = Gate::start(&config);
    let request = crate::gate::get("/v1/a").replace(KEY, OTHER_KEY);
    assert_eq!(gate.exchange(&request).await.status, 200);
    gate.signal("HUP");
    gate.wait_for_line("configuration reloaded");
    assert_eq!(gate.exchange(&request).await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_refuses_nobody_and_says_whom_it_would() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr()).with("limits", "enforce = \"shadow\"").and(&consumer(
        "limite",
        OTHER_KEY,
        "rate_limit = \"1/h\"\ndeny = [\"* /v1/hidden*\"]\n",
    ));
    let gate = Gate::start(&config);
    let get = |path: &str| crate::gate::get(path).replace(KEY, OTHER_KEY);
    assert_eq!(gate.exchange(get("/v1/hidden")).await.status, 200);
    assert_eq!(gate.exchange(get("/v1/a")).await.status, 200);
    assert_eq!(gate.exchange(crate::gate::get("/v1/b").replace(KEY, DEPOT_KEY)).await.status, 200);
    for code in ["forbidden_route", "rate_limited", "forbidden_address"] {
        gate.wait_for_record(|record| record["would_refuse"] == code && record["code"] == "ok");
    }
}

/// Runs `sensgate sessions …` against the gate's state directory. Returns stdout.
fn sessions(gate: &Gate, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sensgate"))
        .arg("sessions")
        .args(args)
        .arg("--state")
        .arg(gate.folder.path().join("state"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command against the gate's configuration. Returns everything that it wrote.
fn run(gate: &Gate, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sensgate"))
        .args(args)
        .args(["--lang", "en", "--config"])
        .arg(gate.folder.path().join("sensgate.toml"))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
