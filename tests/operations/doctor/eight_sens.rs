//! What needs a login at 8sens.

use super::site::{Site, sandbox};
use crate::support::witness::{Action, Behaviour, Witness};
use sensgate::sandbox::{ExpiredAnswer, SandboxSettings};
use std::process::Command;
use std::time::Duration;

fn log_in(site: &Site, args: &[&str], password: &str) -> super::site::Diagnosis {
    let args: Vec<_> = ["--login", "CLIENTREST"].iter().chain(args).copied().collect();
    site.doctor_under(Command::new(env!("CARGO_BIN_EXE_sensgate")), &args, password)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_and_its_four_fields() {
    let site = Site::new(sandbox(|_| {}).await);
    let good = log_in(&site, &[], "clientrest\n");
    good.expect_health();
    good.expect("login", "ok", "CLIENTREST can log in (200)");
    good.expect("login_fields", "ok", "access_token, paramRacineCliID, paramRacinePecID, g8CliCode");
    log_in(&site, &[], "wrong").expect("login", "error", "refuses the login of CLIENTREST (401)");
    std::fs::write(site.path("password"), "clientrest\n").unwrap();
    let file = site.path("password");
    log_in(&site, &["--password-file", file.to_str().unwrap()], "").expect("login", "ok", "can log in");

    let seats = Site::new(sandbox(|settings| settings.seats = 1).await);
    log_in(&seats, &[], "clientrest").expect("login", "ok", "can log in");
    log_in(&seats, &[], "clientrest").expect("login", "error", "(403)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_leaves_fields_out() {
    let body = r#"{"access_token": "abc", "g8CliCode": "X"}"#;
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let witness = Witness::start(Behaviour::always(Action::Bytes(answer.into_bytes()))).await;
    let diagnosis = log_in(&Site::new(witness.addr()), &[], "p");
    diagnosis.expect("login_fields", "warning", "paramRacineCliID, paramRacinePecID did not come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_idle_time_is_measured() {
    let sandbox = |seconds| sandbox(move |settings| settings.idle_timeout = Duration::from_secs(seconds));
    let measured = |upstream, idle: &str| {
        let timeout = format!("address = \"{upstream}\"\nidle_timeout = \"{idle}\"");
        let site = Site::new(upstream).with(&format!("address = \"{upstream}\""), &timeout);
        log_in(&site, &["--measure-idle", "GET /v1/articles"], "clientrest")
    };
    measured(sandbox(2).await, "2s").expect("idle_timeout", "ok", "after 2 s, as configured");
    measured(sandbox(60).await, "1s").expect("idle_timeout", "warning", "for longer than the configured 1 s");
    measured(sandbox(1).await, "3s").expect("idle_timeout", "error", "before the configured 3 s");
}

/// What a sandbox shows under `--measure-sessions`, with an idle time of 3 s on both sides.
async fn measure_sessions(change: impl FnOnce(&mut SandboxSettings)) -> super::site::Diagnosis {
    let upstream = sandbox(|settings| {
        settings.idle_timeout = Duration::from_secs(3);
        change(settings);
    })
    .await;
    let timeout = format!("address = \"{upstream}\"\nidle_timeout = \"3s\"");
    let site = Site::new(upstream).with(&format!("address = \"{upstream}\""), &timeout);
    log_in(&site, &["--measure-sessions", "GET /v1/articles"], "clientrest")
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_measured_and_their_settings_proposed() {
    let usual = measure_sessions(|_| {}).await;
    usual.expect_health();
    usual.expect("concurrent_sessions", "ok", "live side by side");
    usual.expect("expired_when", "ok", "with 401, and `expired_when` knows it");
    usual.expect("failed_when", "ok", "a wrong password with 401, which counts");
    usual.expect("idle_clock", "info", "but those that 8sens refuses do not");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_and_errors_inside_a_200_are_seen() {
    let shared = measure_sessions(|settings| {
        settings.token_shared = true;
        settings.expired_answer = ExpiredAnswer::OkWithError;
    })
    .await;
    shared.expect("concurrent_sessions", "info", "the token that it has already");
    shared.expect("expired_when", "warning", "which `expired_when` does not know");
    let remedies =
        |check| shared.findings.iter().find(|finding| finding["check"] == check).unwrap()["remedies"].clone();
    let proposed = "`expired_when = [{ status = 200, body_contains = \"invalid_token\" }]` in [session]";
    assert_eq!(remedies("expired_when")[0], proposed);
    shared.expect("idle_clock", "info", "but those that 8sens refuses do not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_ends_the_one_before_is_seen() {
    let single = measure_sessions(|settings| settings.one_session_per_login = true).await;
    single.expect("concurrent_sessions", "warning", "ends the session of the first");
    single.expect("idle_clock", "info", "but those that 8sens refuses do not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_login_without_a_seat_is_seen() {
    // `login` takes the first seat, and what is measured the second.
    let seats = measure_sessions(|settings| settings.seats = 2).await;
    seats.expect("concurrent_sessions", "info", "is refused while the first session lives");
    seats.expect("idle_clock", "info", "not enough logins succeeded");
}
