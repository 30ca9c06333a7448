//! What the settings say about logins, and the logout.

use super::{BODY, KEY, Running, login, with_token};
use sensgate::sandbox::{ExpiredAnswer, FailedLoginAnswer};
use std::time::Duration;

const WRONG: &str = "login=CLIENTREST&password=wrong";
const OTHER_USER: &str = "login=RUNREST&password=runrest";

fn logout(token: &str) -> String {
    format!("POST /v1/logout/user HTTP/1.1\r\nHost: erp\r\n{KEY}access_token: {token}\r\nContent-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn the_seats_of_one_login_are_its_own() {
    let running = Running::start(|settings| settings.seats_per_login = 1).await;
    let token = running.token().await;
    let refused = running.ask(login(KEY, BODY)).await;
    assert_eq!((refused.status, &refused.json()["error"]), (403, &"no_seat".into()));
    running.token_of(OTHER_USER).await;
    assert_eq!(running.ask(logout(&token)).await.status, 204);
    running.token().await;
}

#[tokio::test]
async fn a_new_login_ends_the_session_before_it() {
    let running = Running::start(|settings| settings.one_session_per_login = true).await;
    let other = running.token_of(OTHER_USER).await;
    let first = running.token().await;
    let second = running.token().await;
    for (token, status) in [(first, 401), (second, 200), (other, 200)] {
        assert_eq!(running.ask(with_token(&token)).await.status, status);
    }
}

#[tokio::test]
async fn a_logout_ends_its_token_and_no_other() {
    let running = Running::start(|_| ()).await;
    let (first, second) = (running.token().await, running.token().await);
    let ended = running.ask(logout(&first)).await;
    assert_eq!((ended.status, ended.body.len()), (204, 0));
    assert_eq!(running.ask(with_token(&first)).await.status, 401);
    assert_eq!(running.ask(logout(&first)).await.status, 401, "there is nothing to end");
    assert_eq!(running.ask(with_token(&second)).await.status, 200);
}

#[tokio::test]
async fn each_shape_of_the_answer_to_a_failed_login() {
    for (shape, status) in [
        (FailedLoginAnswer::Unauthorized, 401),
        (FailedLoginAnswer::Forbidden, 403),
        (FailedLoginAnswer::OkWithError, 200),
        (FailedLoginAnswer::OkWithoutToken, 200),
    ] {
        let running = Running::start(|settings| settings.failed_login_answer = shape).await;
        for wrong in [WRONG, "login=NOBODY&password=clientrest"] {
            let answer = running.ask(login(KEY, wrong)).await;
            assert_eq!(answer.status, status, "{shape:?}");
            if shape == FailedLoginAnswer::OkWithoutToken {
                assert_eq!(
                    (&answer.json()["access_token"], &answer.json()["paramRacineCliID"]),
                    (&"".into(), &129.into())
                );
            } else {
                assert_eq!(answer.text(), r#"{"error":"invalid_login"}"#, "{shape:?}");
            }
        }
        running.token().await;
    }
}

#[tokio::test]
async fn so_many_wrong_passwords_in_a_row_lock_the_account_for_a_while() {
    let running = Running::start(|settings| {
        (settings.lock_after, settings.lock_time) = (3, Duration::from_mins(15));
    })
    .await;
    for _ in 0..2 {
        running.ask(login(KEY, WRONG)).await;
        running.ask(login(KEY, WRONG)).await;
        running.token().await;
    }
    assert!(!running.sandbox.is_locked("CLIENTREST"));
    for _ in 0..3 {
        assert_eq!(running.ask(login(KEY, WRONG)).await.json()["error"], "invalid_login");
    }
    assert!(running.sandbox.is_locked("CLIENTREST") && !running.sandbox.is_locked("RUNREST"));
    running.pass(899);
    let locked = running.ask(login(KEY, BODY)).await;
    assert_eq!((locked.status, &locked.json()["error"]), (401, &"account_locked".into()));
    running.token_of(OTHER_USER).await;
    running.pass(1);
    running.token().await;
}

#[tokio::test]
async fn every_login_is_as_slow_or_fails_as_the_settings_say() {
    let running = Running::start(|settings| settings.login_fault = "status=503".parse().unwrap()).await;
    let failed = running.ask(login(KEY, BODY)).await;
    assert_eq!((failed.status, &failed.json()["error"]), (503, &"fault".into()));
    let anything_else = running.ask(with_token("dead")).await;
    assert_eq!(anything_else.status, 401);

    running.sandbox.set_login_fault("close".parse().unwrap());
    let mut client = running.client().await;
    client.send(login(KEY, BODY)).await.unwrap();
    assert!(client.read_to_end().await.unwrap().is_empty());

    running.sandbox.set_login_fault("hang".parse().unwrap());
    let mut slow = running.client().await;
    slow.send(login(KEY, BODY)).await.unwrap();
    while running.sandbox.record().len() < 4 {
        tokio::task::yield_now().await;
    }
    running.sandbox.set_login_fault("delay=80ms".parse().unwrap());
    let started = std::time::Instant::now();
    let token = running.token().await;
    assert!(started.elapsed() >= Duration::from_millis(80));
    assert_eq!(running.sandbox.record()[3].status, None, "the one before waits still");
    assert_eq!(running.ask(with_token(&token)).await.status, 200);
}

#[tokio::test]
async fn a_dead_token_may_be_answered_with_a_login_page() {
    for (shape, status, field, value) in [
        (ExpiredAnswer::Redirect, 302, "location", "/login"),
        (ExpiredAnswer::OkWithPage, 200, "content-type", "text/html; charset=utf-8"),
    ] {
        let running = Running::start(|settings| settings.expired_answer = shape).await;
        let answer = running.ask(with_token("0123456789abcdef0123456789abcdef")).await;
        assert_eq!((answer.status, answer.header(field)), (status, Some(value)), "{shape:?}");
        assert_eq!(answer.text().contains("Session expirée"), status == 200, "{shape:?}");
    }
}
