//! Logins and sessions while 8sens is away, refuses, or hangs, and while somebody guesses passwords.

use super::eight_sens::EightSens;
use super::load::{Load, count, p99, statuses};
use super::{Row, fault_lasts};
use crate::gate::{Config, Gate, KEY, consumer};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

const OTHER_KEY: &str = "sgk_other_Bn3Vm5Cx7Zl9Kj2Hg4Fd";
const RIGHT: &str = "login=CLIENTREST&password=clientrest";
const WRONG: &str = "login=CLIENTREST&password=wrong";
const SHOP: &str = "203.0.113.9";

fn login(key: &str, address: &str, body: &str) -> String {
    format!(
        "POST /v1/login/user HTTP/1.1\r\nHost: gate\r\napi_key: {key}\r\nX-Forwarded-For: {address}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn articles(token: &str) -> String {
    format!("GET /v1/articles HTTP/1.1\r\nHost: gate\r\napi_key: {KEY}\r\naccess_token: {token}\r\n\r\n")
}

fn gate(eight_sens: &EightSens) -> Gate {
    let config = Config::new(eight_sens.address)
        .with("session", "mode = \"guard\"")
        .with("client_ip", "trusted_proxies = [\"127.0.0.1/32\"]")
        .with("limits", "requests_per_connection = 1000000")
        .and(&consumer("autre", OTHER_KEY, ""));
    Gate::start(&config)
}

async fn token(gate: &Gate) -> String {
    let answer = gate.exchange(login(KEY, SHOP, RIGHT)).await;
    answer.json()["access_token"].as_str().expect("a login with the right password").to_owned()
}

/// Waits until that much time is over: nothing is to be seen earlier.
async fn last(time: Duration) {
    let mut pace = interval(time.max(Duration::from_millis(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace.tick().await;
    pace.tick().await;
}

/// How long after `back` the first request was answered with 200.
fn first_success(answered: &[super::load::Answered], back: Instant) -> Option<Duration> {
    answered.iter().filter(|one| one.came >= back && one.status == Some(200)).map(|one| one.came - back).min()
}

fn after_return(row: &mut Row, answered: &[super::load::Answered], back: Instant) {
    let first = first_success(answered, back);
    let shown = first.map_or_else(|| "never".to_owned(), |first| format!("{first:.0?}"));
    row.see(format!("first success {shown} after"), first.is_some_and(|first| first <= Duration::from_secs(1)));
}

pub async fn eight_sens_is_away() -> Row {
    let mut row = Row::new(
        format!("8sens is away for {:?} under 500 requests/s", fault_lasts()),
        "each is refused within 100 ms (p99); first success ≤ 1 s after it is back; the session lives on",
    );
    let mut eight_sens = EightSens::start(|_| ()).await;
    let gate = gate(&eight_sens);
    let token = token(&gate).await;
    let request = articles(&token);
    let load = Load::start(gate.address(), 500, 50, move |_, _| request.clone());
    last(Duration::from_secs(2)).await;
    let away = Instant::now();
    eight_sens.go_away().await;
    let gone = Instant::now();
    last(fault_lasts()).await;
    eight_sens.come_back().await;
    let back = Instant::now();
    last(Duration::from_secs(3)).await;
    let answered = load.end().await;
    let meanwhile: Vec<_> = answered.iter().copied().filter(|one| one.sent > gone && one.came < back).collect();
    row.see(statuses(&meanwhile), count(&meanwhile, 502) == meanwhile.len());
    let slowest = p99(meanwhile.iter().copied());
    row.see(format!("refused within {slowest:.1?} (p99)"), slowest <= Duration::from_millis(100));
    after_return(&mut row, &answered, back);
    let ended = answered.iter().filter(|one| one.sent < away || one.sent > back + Duration::from_secs(1));
    let lost = ended.filter(|one| one.status == Some(401)).count();
    row.see(format!("{lost} sessions lost"), lost == 0);
    row
}

pub async fn eight_sens_answers_no_login() -> Row {
    let mut row = Row::new(
        format!("8sens answers logins with 503 for {:?}, 100 logins/s with the right password", fault_lasts()),
        "none is throttled; first success ≤ 1 s after",
    );
    let eight_sens = EightSens::start(|settings| settings.login_fault = "status=503".parse().unwrap()).await;
    let gate = gate(&eight_sens);
    let load = Load::start(gate.address(), 100, 20, |_, _| login(KEY, SHOP, RIGHT));
    last(fault_lasts()).await;
    eight_sens.sandbox.set_login_fault("".parse().unwrap());
    let back = Instant::now();
    last(Duration::from_secs(2)).await;
    let answered = load.end().await;
    row.see(statuses(&answered), count(&answered, 429) == 0);
    after_return(&mut row, &answered, back);
    row
}

pub async fn eight_sens_hangs_on_logins() -> Row {
    let mut row = Row::new(
        format!("every login hangs for {:?}, 300 callers try one each", fault_lasts()),
        "requests with a live session are served meanwhile (p99 ≤ 100 ms)",
    );
    let eight_sens = EightSens::start(|_| ()).await;
    let gate = gate(&eight_sens);
    let request = articles(&token(&gate).await);
    let reading = Load::start(gate.address(), 100, 10, move |_, _| request.clone());
    last(Duration::from_secs(1)).await;
    eight_sens.sandbox.set_login_fault("hang".parse().unwrap());
    let hanging = Load::start(gate.address(), 300, 300, |_, _| login(KEY, SHOP, RIGHT));
    let begun = Instant::now();
    last(fault_lasts()).await;
    let answered: Vec<_> = reading.end().await.into_iter().filter(|one| one.sent > begun).collect();
    row.see(statuses(&answered), count(&answered, 200) == answered.len());
    let slowest = p99(answered.iter().copied());
    row.see(format!("served within {slowest:.1?} (p99)"), slowest <= Duration::from_millis(100));
    // Those that hang are ended by the gate's own deadline for 8sens; they are not waited for.
    drop(hanging);
    row
}

pub async fn a_stolen_key_guesses_from_everywhere() -> Row {
    const LOGINS: u32 = 100_000;
    let mut row = Row::new(
        "100,000 wrong logins from 10,000 addresses with the shop's own key",
        "≤ burst + rate · t reach 8sens; the shop's own logins are never throttled",
    );
    let eight_sens = EightSens::start(|_| ()).await;
    let gate = gate(&eight_sens);
    token(&gate).await;
    let begun = Instant::now();
    let shop = Load::start(gate.address(), 10, 1, |_, _| login(KEY, SHOP, RIGHT));
    let mut attackers = tokio::task::JoinSet::new();
    for attacker in 0..20 {
        let address = gate.address();
        attackers.spawn(async move {
            let mut client = crate::support::http::RawClient::connect(address).await.unwrap();
            let mut reached = 0_u32;
            for number in (attacker..LOGINS).step_by(20) {
                let from = number % 10_000;
                let from = format!("10.1.{}.{}", from / 250, from % 250);
                let status = client.exchange(login(KEY, &from, WRONG)).await.unwrap().status;
                reached += u32::from(status != 429);
            }
            reached
        });
    }
    let reached: u32 = attackers.join_all().await.into_iter().sum();
    let took = begun.elapsed();
    let shop = shop.end().await;
    // The quota of a key: 20/h, burst 32.
    let most = 32 + 1 + u32::try_from(took.as_secs()).unwrap() * 20 / 3_600;
    row.see(format!("{reached} of {LOGINS} reached 8sens in {took:.0?}"), reached <= most);
    row.see(format!("shop: {}", statuses(&shop)), count(&shop, 200) == shop.len());
    row
}

pub async fn a_shop_has_an_old_password() -> Row {
    let mut row = Row::new(
        format!("a shop logs in with an old password, 20 times a second for {:?}", fault_lasts()),
        "≤ burst + rate · t reach 8sens; another shop logs in meanwhile; after Retry-After the right password works",
    );
    let eight_sens = EightSens::start(|_| ()).await;
    let gate = gate(&eight_sens);
    let begun = Instant::now();
    let old = Load::start(gate.address(), 20, 4, |_, _| login(KEY, SHOP, WRONG));
    let other = Load::start(gate.address(), 2, 1, |_, _| login(OTHER_KEY, "198.51.100.4", RIGHT));
    last(fault_lasts()).await;
    let (old, other) = (old.end().await, other.end().await);
    let reached = old.len() - count(&old, 429);
    let most = 32 + 1 + usize::try_from(begun.elapsed().as_secs()).unwrap() * 20 / 3_600;
    row.see(format!("{reached} of {} reached 8sens", old.len()), reached <= most);
    row.see(format!("other shop: {}", statuses(&other)), count(&other, 200) == other.len());
    let refused = gate.exchange(login(KEY, SHOP, RIGHT)).await;
    let wait: u64 = refused.header("retry-after").and_then(|value| value.parse().ok()).unwrap_or_default();
    last(Duration::from_secs(wait)).await;
    let status = gate.exchange(login(KEY, SHOP, RIGHT)).await.status;
    row.see(format!("{status} after {wait} s"), status == 200);
    row
}
