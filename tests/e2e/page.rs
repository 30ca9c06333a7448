//! The live page in a real browser: what it shows is what `/metrics` says, in both languages, on any screen, for
//! everybody.

use crate::browser::{self, Browser, Visitor};
use crate::gate::{Config, DEPOT_KEY, Gate, KEY, PARTNER_KEY, consumer, get, wait_until, write_secret};
use crate::sessions::{config, eight_sens, log_in, outcome, with_token};
use crate::support::http::RawClient;
use crate::support::witness::{Behaviour, Witness};
use jiff::ToSpan;
use std::time::{Duration, Instant};

const DESK: Visitor = Visitor { language: "en-GB", width: 1200, height: 900, dark: false };
const PHONE: Visitor = Visitor { language: "fr-FR", width: 360, height: 740, dark: true };

/// A consumer with a small quota.
const SMALL_KEY: &str = "sgk_small_Vn8Rk2Tz5Wq7Bx4Lm9Cd";
const TOKEN: &str = "an-admin-token-for-the-tests-0123456789";

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";

/// A refusal shows within this time. On a machine under load the page may be late by no fault of its own, so it gets
/// this much twice.
const SOON: Duration = Duration::from_secs(2);

/// A gate with three consumers that have done something.
async fn busy_gate(witness: &Witness) -> Gate {
    let in_nine_days = (jiff::Timestamp::now() + (9 * 24).hours()).to_string();
    let in_nine_days = in_nine_days.split('T').next().unwrap();
    let config = config(witness)
        .and(&consumer("comparateur", SMALL_KEY, "rate_limit = \"5/h, burst 5\"\n"))
        .and(&consumer("marketplace", "sgk_market_Jd7Kp3Zx9Wq4Tb6V", "").replace("2099-12-31", in_nine_days))
        .with("session", "public = [\"GET /v1/version\"]");
    let gate = Gate::start(&config);
    use_it(&gate).await;
    gate
}

async fn use_it(gate: &Gate) {
    let token = log_in(gate, KEY).await;
    for path in ["/v1/articles", "/v1/articles?page=2", "/v1/commandes"] {
        assert_eq!(outcome(gate, with_token(KEY, path, &token)).await.0, 200);
    }
    assert_eq!(outcome(gate, with_token(KEY, "/v1/articles", "made-up")).await.0, 401);
    let version = get("/v1/version").replace(KEY, SMALL_KEY);
    for expected in [200, 200, 200, 200, 200, 429] {
        assert_eq!(outcome(gate, version.clone()).await.0, expected);
    }
    assert_eq!(outcome(gate, get("/v1/articles").replace(KEY, "not-a-key")).await.0, 401);
}

/// Something for the plots of a picture to show.
async fn some_minutes_of_traffic(gate: &Gate) {
    let token = log_in(gate, KEY).await;
    let end = Instant::now() + Duration::from_secs(100);
    let mut client = gate.connect().await;
    for round in 0_u32.. {
        for call in 0..1 + (round / 7 % 5) * 3 + round % 3 {
            let path = if call % 9 == 4 { "/v1/version" } else { "/v1/articles" };
            client.exchange(with_token(KEY, path, &token)).await.unwrap();
        }
        let bad = match round % 17 {
            3 => get("/v1/articles").replace(KEY, PARTNER_KEY),
            7 => get("/v1/version").replace(KEY, SMALL_KEY),
            8 => get("/v1/stock").replace(KEY, DEPOT_KEY),
            11 => get("/v1/articles").replace(KEY, "not-a-key"),
            13 => with_token(KEY, "/v1/commandes/4711", "made-up"),
            _ => get("/v1/version"),
        };
        client.exchange(bad).await.unwrap();
        if Instant::now() > end {
            return;
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        client = gate.connect().await;
    }
}

/// The digits of what is at a selector.
async fn shown(page: &Browser, selector: &str) -> u64 {
    let text = page.eval(&format!("return document.querySelector({selector:?}).textContent")).await;
    let digits: String = text.as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{selector}: {text}"))
}

/// The sum of all series of a family whose labels fit.
fn sum(metrics: &str, family: &str, fits: impl Fn(&str) -> bool) -> u64 {
    let series = metrics.lines().filter_map(|line| line.strip_prefix(family)?.rsplit_once(' '));
    series.filter(|(labels, _)| fits(labels)).map(|(_, value)| value.parse::<f64>().unwrap() as u64).sum()
}

fn is_refusal(labels: &str) -> bool {
    !["ok", "caller_left", "aborted"].iter().any(|code| labels.contains(&format!("code=\"{code}\"")))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_what_the_metrics_say_and_a_refusal_at_once() {
    let witness = Witness::start(eight_sens()).await;
    let gate = busy_gate(&witness).await;
    let page = Browser::start(DESK).await;
    page.goto(&format!("http://{}/", gate.admin)).await;
    page.wait(
        "document.querySelectorAll('#sessions tr').length && document.querySelectorAll('#plot-requests canvas').length",
    )
    .await;

    let metrics = gate.metrics().await;
    for name in ["boutique-paris", "comparateur", "-"] {
        let of = |labels: &str| labels.contains(&format!("consumer=\"{name}\""));
        let row = format!("#consumers tr[data-key=\"{name}\"]");
        let cells = [
            shown(&page, &format!("{row} td:nth-child(2) span")).await,
            shown(&page, &format!("{row} td:nth-child(3) span")).await,
        ];
        let requests = sum(&metrics, "sensgate_requests_total", of);
        let refusals = sum(&metrics, "sensgate_requests_total", |labels| of(labels) && is_refusal(labels));
        assert!(requests > 0);
        assert_eq!(cells, [requests, refusals], "{name}");
    }
    assert_eq!(shown(&page, "#refused").await, sum(&metrics, "sensgate_requests_total", is_refusal));
    assert_eq!(shown(&page, "#sessions-count").await, sum(&metrics, "sensgate_sessions ", |_| true).max(1));
    assert_eq!(shown(&page, "#sessions-more").await, sum(&metrics, "sensgate_sessions_max", |_| true));
    assert_eq!(shown(&page, "#connections-more").await, sum(&metrics, "sensgate_connections_max", |_| true));
    assert_eq!(sum(&metrics, "sensgate_upstream_up", |_| true), 1);
    assert_eq!(page.eval("return document.querySelector('#upstream').textContent").await, "reachable");
    let quota = page
        .eval("return document.querySelector('#consumers tr[data-key=comparateur] progress + small').textContent")
        .await;
    assert_eq!(quota, "5 of 5 · 5/h");
    let expiring = page
        .eval("return [...document.querySelectorAll('#expiry-note, #expiry tr:first-child')].map(e => e.innerText)")
        .await;
    assert_eq!(expiring[0], "To be replaced within 30 days: 1.");
    assert!(
        expiring[1].as_str().unwrap().starts_with("marketplace / k1")
            && expiring[1].as_str().unwrap().contains("in 9 d"),
        "{expiring}"
    );

    let refused =
        gate.exchange(get("/v1/secret").replace("api_key", "X-Request-ID: seen-on-the-page\r\napi_key")).await;
    assert_eq!(refused.status, 401);
    let took = page
        .wait_within("document.querySelector('#refusals details')?.textContent.includes('seen-on-the-page')", 2 * SOON)
        .await;
    if took > SOON {
        eprintln!("the refusal was shown after {took:?}: this machine is under load");
    }
    page.eval("document.querySelector('#refusals summary').click()").await;
    let told = page.eval("return document.querySelector('#refusals details').innerText").await;
    for part in ["session_missing", "boutique-paris", "/v1/secret", "What would let it through"] {
        assert!(told.as_str().unwrap().contains(part), "{part}: {told}");
    }

    page.wait("document.querySelector('#plot-requests figcaption').textContent.includes('/s')").await;
    if browser::pictures_are_wanted() {
        some_minutes_of_traffic(&gate).await;
        page.eval("document.querySelector('#refusals summary').click()").await;
    }
    assert_eq!(page.violations().await, Vec::<String>::new());
    page.picture("live-page").await;
    page.appear(Visitor { dark: true, ..DESK }).await;
    assert_eq!(page.violations().await, Vec::<String>::new());
    page.picture("live-page-dark").await;
    assert_eq!(page.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_french_and_fits_a_phone() {
    let witness = Witness::start(eight_sens()).await;
    let gate = busy_gate(&witness).await;
    let page = Browser::start(PHONE).await;
    page.goto(&format!("http://{}/", gate.admin)).await;
    page.wait(
        "document.querySelectorAll('#sessions tr').length && document.querySelectorAll('#refusals details').length > 2",
    )
    .await;
    assert_eq!(page.eval("return document.documentElement.lang").await, "fr");
    let text = page.text().await;
    for words in ["Derniers refus", "Sessions actives", "joignable", "Requêtes par seconde", "Clés et certificats"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    page.eval("document.querySelector('#refusals summary').click()").await;
    assert!(page.text().await.contains("Ce qui la laisserait passer"));
    // What is beyond the edge could only be reached by scrolling sideways. A phone makes its window wider for it,
    // so the width is a number.
    let width = PHONE.width;
    let beyond = format!(
        "return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > {width} + 1 \
         && !e.closest('.skip, .unseen')).map(e => e.outerHTML.slice(0, 200))"
    );
    assert_eq!(page.eval(&beyond).await, serde_json::json!([]));
    assert_eq!(page.eval("return document.documentElement.scrollWidth").await, width);
    assert_eq!(page.violations().await, Vec::<String>::new());
    page.picture("live-page-phone").await;

    page.eval("document.querySelector('#lang-en').click()").await;
    page.wait("document.documentElement.lang === 'en' && document.body.innerText.includes('Last refusals')").await;
    page.wait(
        "document.body.innerText.includes('What would let it through') || document.querySelector('#refusals summary')",
    )
    .await;
    page.appear(Visitor { dark: false, ..PHONE }).await;
    assert_eq!(page.violations().await, Vec::<String>::new());
    page.goto(&format!("http://{}/", gate.admin)).await;
    page.wait("document.documentElement.lang === 'en'").await;
    // Without a token nothing can be ended from here, and the page says so.
    page.wait("document.body.innerText.includes('set [admin] token')").await;
    assert_eq!(page.eval("return document.querySelectorAll('#sessions button').length").await, 0);
    assert_eq!(page.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_ended_by_keyboard_with_the_token_alone() {
    let witness = Witness::start(eight_sens()).await;
    let folder = tempfile::tempdir().unwrap();
    write_secret(&folder.path().join("admin-token"), TOKEN);
    let config =
        config(&witness).with("admin", "token = { file = \"admin-token\" }").with("log", "audit = \"audit.log\"");
    let gate = Gate::start_in(folder, &config, |command| command);
    let token = log_in(&gate, KEY).await;
    let page = Browser::start(DESK).await;
    page.goto(&format!("http://{}/", gate.admin)).await;
    page.wait("document.activeElement.id === 'token'").await;
    assert_eq!(page.eval("return document.querySelector('#board').hidden").await, true);
    assert_eq!(page.violations().await, Vec::<String>::new());
    assert_eq!(page.complaints().await, Vec::<String>::new());
    page.picture("live-page-token").await;

    page.keys(&format!("a-wrong-token{ENTER}")).await;
    page.wait("document.querySelector('#login-failed').textContent === 'This token was not accepted.'").await;
    assert!(page.complaints().await.iter().all(|complaint| complaint.contains("401")));
    page.keys(&format!("{TOKEN}{ENTER}")).await;
    page.wait("document.querySelectorAll('#sessions button').length === 1").await;
    assert_eq!(
        page.eval("return [sessionStorage.getItem('token'), localStorage.length, document.cookie]").await,
        serde_json::json!([TOKEN, 0, ""])
    );
    assert_eq!(page.violations().await, Vec::<String>::new());

    // There and back, and then in earnest.
    page.tab_to("#sessions button").await;
    page.keys(ENTER).await;
    page.wait("document.querySelector('dialog').open && document.activeElement.id === 'confirm-no'").await;
    assert_eq!(page.violations().await, Vec::<String>::new());
    page.picture_of_the_window("live-page-end-session").await;
    page.keys(ESCAPE).await;
    page.wait("!document.querySelector('dialog').open && document.activeElement.matches('#sessions button')").await;
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &token)).await.0, 200);
    page.keys(ENTER).await;
    page.wait("document.activeElement.id === 'confirm-no'").await;
    page.keys(TAB).await;
    page.wait("document.activeElement.id === 'confirm-yes'").await;
    page.keys(ENTER).await;
    page.wait("document.querySelector('#said').textContent.endsWith('is ended.')").await;
    page.wait("document.querySelectorAll('#sessions tr').length === 0 && document.activeElement !== document.body")
        .await;
    assert_eq!(outcome(&gate, with_token(KEY, "/v1/a", &token)).await.0, 401);
    assert_eq!(page.complaints().await, Vec::<String>::new());

    let audited = wait_until(|| audit(&gate).into_iter().find(|line| line["event"] == "sessions_ended")).unwrap();
    assert_eq!((&audited["by"], &audited["ended"]), (&"page".into(), &1.into()));
    assert!(audit(&gate).iter().any(|line| line["event"] == "admin_token_refused"));
    let text = std::fs::read_to_string(gate.folder.path().join("audit.log")).unwrap();
    assert!(!text.contains(TOKEN) && !text.contains(&token) && !text.contains("a-wrong-token"));
}

fn audit(gate: &Gate) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(gate.folder.path().join("audit.log")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_is_wrong_and_when_the_gate_is_gone() {
    let witness = Witness::start(Behaviour::answer()).await;
    let mut gate = Gate::start(&Config::new(witness.addr()));
    let page = Browser::start(DESK).await;
    page.goto(&format!("http://{}/", gate.admin)).await;
    page.wait("document.querySelector('#upstream')?.textContent === 'reachable'").await;
    std::fs::write(gate.folder.path().join("sensgate.toml"), "nonsense").unwrap();
    gate.signal("HUP");
    gate.wait_for_line("configuration refused");
    page.wait("document.querySelector('#notices').innerText.includes('Run sensgate check')").await;
    assert_eq!(page.violations().await, Vec::<String>::new());
    gate.child.kill().unwrap();
    page.wait("document.querySelector('#notices').innerText.includes('has not answered since')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_the_page_are_bounded() {
    let witness = Witness::start(eight_sens()).await;
    let gate = Gate::start(&config(&witness));
    for number in 0..60 {
        log_in(&gate, KEY).await;
        assert_eq!(outcome(&gate, with_token(KEY, &format!("/v1/{number}"), "made-up")).await.0, 401);
    }
    let ask = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", gate.admin);
        RawClient::connect(gate.admin).await.unwrap().exchange(request).await.unwrap().json()
    };
    // A refusal is written down just after its caller has read it.
    let end = std::time::Instant::now() + crate::gate::DEADLINE;
    let live = loop {
        let live = ask("/api/live").await;
        if live["refusals"][0]["path"] == "/v1/59" {
            break live;
        }
        assert!(std::time::Instant::now() < end, "{live}");
    };
    assert_eq!(live["refusals"].as_array().unwrap().len(), 15);
    assert_eq!(ask("/api/sessions").await["sessions"].as_array().unwrap().len(), 60);
    assert_eq!(ask("/api/live?since=999999999").await["points"]["first"], 0);
}
