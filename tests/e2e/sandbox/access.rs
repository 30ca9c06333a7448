//! What the settings say about sessions and refusals.

use super::{BODY, KEY, Running, articles, login, with_token};
use sensgate::sandbox::{ExpiredAnswer, WrongKeyAnswer};

const OTHER_USER: &str = "login=RUNREST&password=runrest";

#[tokio::test]
async fn a_login_beyond_the_seats_is_refused_until_a_session_dies() {
    let running = Running::start(|settings| settings.seats = 2).await;
    let (first, second) = (running.token().await, running.token_of(OTHER_USER).await);
    running.pass(600);
    let refused = running.ask(login(KEY, BODY)).await;
    assert_eq!((refused.status, &refused.json()["error"]), (403, &"no_seat".into()));
    assert_eq!(refused.json()["message"], "plus de siège");
    assert_eq!(running.ask(with_token(&first)).await.status, 200);

    running.pass(600);
    let third = running.token().await;
    assert_eq!(running.ask(with_token(&second)).await.status, 401, "its idle time was over");
    for live in [first, third] {
        assert_eq!(running.ask(with_token(&live)).await.status, 200);
    }
    assert_eq!(running.ask(login(KEY, BODY)).await.status, 403);
}

#[tokio::test]
async fn no_number_of_seats_is_no_limit() {
    let running = Running::start(|_| ()).await;
    let first = running.token().await;
    for _ in 0..20 {
        assert_ne!(running.token().await, first);
    }
    assert_eq!(running.ask(with_token(&first)).await.status, 200);
}

#[tokio::test]
async fn a_shared_token_is_given_to_every_login_of_its_user() {
    let running = Running::start(|settings| (settings.token_shared, settings.seats) = (true, 2)).await;
    let token = running.token().await;
    running.pass(899);
    assert_eq!(running.token().await, token);
    running.pass(899);
    assert_eq!(running.token().await, token, "a login is a use");
    assert_ne!(running.token_of(OTHER_USER).await, token);
    running.pass(900);
    assert_ne!(running.token().await, token, "a dead token is not given again");
}

#[tokio::test]
async fn each_shape_of_the_answer_to_a_dead_token() {
    for (shape, status) in [
        (ExpiredAnswer::Unauthorized, 401),
        (ExpiredAnswer::Forbidden, 403),
        (ExpiredAnswer::OkWithError, 200),
        (ExpiredAnswer::LoginTimeout, 440),
    ] {
        let running = Running::start(|settings| settings.expired_answer = shape).await;
        let token = running.token().await;
        let answer = running.ask(with_token(&token)).await;
        assert!(answer.status == 200 && answer.json()["articles"].is_array(), "{shape:?}");
        running.pass(900);
        for dead in [with_token(&token), with_token("0123456789abcdef0123456789abcdef"), articles(KEY)] {
            let answer = running.ask(dead).await;
            assert_eq!((answer.status, answer.text().as_str()), (status, r#"{"error":"invalid_token"}"#), "{shape:?}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
        let keyless = running.ask(articles(&format!("access_token: {token}\r\n"))).await;
        assert_eq!((keyless.status, &keyless.json()["error"]), (401, &"invalid_api_key".into()), "{shape:?}");
    }
}

#[tokio::test]
async fn each_shape_of_the_answer_to_a_wrong_key() {
    for (shape, status) in [(WrongKeyAnswer::Unauthorized, 401), (WrongKeyAnswer::OkWithError, 200)] {
        let running = Running::start(|settings| settings.wrong_key_answer = shape).await;
        let token = running.token().await;
        for wrong in [login("api_key: wrong\r\n", BODY), articles(&format!("access_token: {token}\r\n"))] {
            let answer = running.ask(wrong).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (status, r#"{"error":"invalid_api_key"}"#),
                "{shape:?}"
            );
        }
        let unknown = running.ask(with_token("0123456789abcdef0123456789abcdef")).await;
        assert_eq!((unknown.status, &unknown.json()["error"]), (401, &"invalid_token".into()), "{shape:?}");
    }
}

#[tokio::test]
async fn a_restart_forgets_the_sessions_and_frees_the_seats() {
    let running = Running::start(|settings| settings.seats = 1).await;
    let token = running.token().await;
    assert_eq!(running.ask(login(KEY, BODY)).await.status, 403);
    running.sandbox.forget_sessions();
    assert_eq!(running.ask(with_token(&token)).await.status, 401);
    let token = running.token().await;
    assert_eq!(running.ask(with_token(&token)).await.status, 200);
}
