//! What comes in clear: to a listener with TLS, to one that redirects, and to those that take plaintext from some.

use crate::gate::{Config, Gate, KEY, PARTNER_KEY, get};
use crate::support::http::{RawClient, Response};
use crate::support::tls::{connector, make, shake};
use crate::support::witness::{Behaviour, Witness};
use crate::tls::{start, wait_for_metric};
use std::net::SocketAddr;

const REDIRECT: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\nplaintext = \"redirect\"\n";

async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Response {
    RawClient::connect(address).await.unwrap().exchange(request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_clear_is_refused_wherever_it_stands_and_the_log_says_which_to_rotate() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let mut gate = start(&witness, &made, |config| {
        // Each refusal is charged to the one address that all of them come from.
        config
            .with("limits", "failed_credentials = \"1000/s\"")
            .and("[credentials]\naliases = [\"x-api-key\"]\n")
            .and(REDIRECT)
    });
    let (tls, redirect) = (gate.address(), gate.addresses[1]);
    let mut asked = 0;
    for (target, field) in [
        ("/v1/f0", format!("api_key: {KEY}")),
        ("/v1/f1", format!("X-API-Key: {KEY}")),
        ("/v1/f2", format!("apikey: {KEY}")),
        ("/v1/f3", format!("Authorization: Bearer {KEY}")),
        ("/v1/f4", format!("Cookie: a=1; api_key={KEY}")),
        (&*format!("/v1/f5?a=1&api_key={KEY}"), "A: b".to_owned()),
        (&*format!("/v1/f6?%61pi_key={}", KEY.replace('_', "%5F")), "A: b".to_owned()),
        ("/v1/f7", format!("api_key: {KEY}\r\napi_key: {PARTNER_KEY}")),
    ] {
        for address in [tls, redirect] {
            let refused = ask(address, format!("GET {target} HTTP/1.1\r\nHost: gate.example\r\n{field}\r\n\r\n")).await;
            assert_eq!(
                (refused.status, refused.json()["code"].as_str()),
                (403, Some("insecure_transport")),
                "{target}"
            );
            asked += 1;
        }
        let path = target.split('?').next().unwrap();
        let record = gate.wait_for_record(|record| record["path"] == path);
        assert_eq!(
            (&record["code"], &record["alarm"], &record["consumer"], &record["key_id"]),
            (&"insecure_transport".into(), &"key_in_clear".into(), &"boutique-paris".into(), &"k1".into()),
            "{record}"
        );
    }
    let advice = "rotate the key: it crossed the network where others can read it";
    gate.wait_for_line("key_in_clear");
    let told = gate.stderr_lines().into_iter().find(|line| line.contains("key_in_clear")).unwrap();
    assert!([advice, "boutique-paris", "k1"].iter().all(|part| told.contains(part)), "{told}");
    // Keys of nobody and tokens are refused as well, and name nobody.
    for (target, field) in [
        ("/v1/n0", "api_key: nobodys-key"),
        ("/v1/n1", "access_token: abc"),
        ("/v1/n2?access_token=abc", "A: b"),
        ("/v1/n3", "Authorization: Basic Zm9vOmJhcg=="),
    ] {
        let refused = ask(redirect, format!("GET {target} HTTP/1.1\r\nHost: gate.example\r\n{field}\r\n\r\n")).await;
        assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("insecure_transport")), "{target}");
        let record = gate.wait_for_record(|record| record["path"] == target.split('?').next().unwrap());
        assert_eq!((&record["alarm"], &record["consumer"]), (&"key_in_clear".into(), &serde_json::Value::Null));
        asked += 1;
    }
    // Refused for its method first, and just as exposed.
    let trace = ask(redirect, format!("TRACE /v1/t HTTP/1.1\r\nHost: gate.example\r\napi_key: {KEY}\r\n\r\n")).await;
    assert_eq!(trace.status, 405);
    assert_eq!(gate.wait_for_record(|record| record["path"] == "/v1/t")["alarm"], "key_in_clear");
    wait_for_metric(&gate, "sensgate_alarms_total{alarm=\"key_in_clear\"}", f64::from(asked + 1)).await;
    assert!(witness.requests().is_empty());
    let log = std::fs::read_to_string(gate.access_log()).unwrap() + &gate.stderr_lines().join("\n");
    assert!(!log.contains(KEY) && !log.contains(PARTNER_KEY) && !log.contains("nobodys-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_guessed_in_clear_use_up_the_budget_for_wrong_keys() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| config.with("limits", "failed_credentials = \"2/h\"").and(REDIRECT));
    for n in 0..2 {
        let refused = ask(gate.addresses[1], get("/v1/a").replace(KEY, &format!("guess-{n}"))).await;
        assert_eq!(refused.status, 403);
    }
    let stream = shake(gate.address(), &connector(&[&made], rustls::ALL_VERSIONS), "gate.example").await.unwrap();
    let mut client = RawClient::over(stream);
    assert_eq!(client.exchange(get("/v1/a").replace(KEY, "guess-2")).await.unwrap().status, 429);
    assert_eq!(client.exchange(get("/v1/a")).await.unwrap().status, 200, "a good key still passes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lan_listener_is_for_private_addresses_and_behind_proxy_for_a_proxy_that_says_https() {
    let witness = Witness::start(Behaviour::answer()).await;
    let listeners = "[[listener]]\naddress = \"127.0.0.1:0\"\nplaintext = \"behind_proxy\"\n";
    let config = Config::new(witness.addr())
        .with("client_ip", "trusted_proxies = [\"127.0.0.1\"]")
        .with("listener", "plaintext = \"lan\"\nproxy_protocol = [\"127.0.0.1\"]")
        .and(listeners);
    let gate = Gate::start(&config);
    for (source, status) in [("192.168.7.7", 200), ("fd00::7", 200), ("203.0.113.9", 403), ("2001:db8::7", 403)] {
        let (family, to) = if source.contains(':') { ("TCP6", "::1") } else { ("TCP4", "127.0.0.1") };
        let request = format!("PROXY {family} {source} {to} 4000 80\r\n{}", get("/v1/a"));
        assert_eq!(ask(gate.address(), request).await.status, status, "{source}");
    }
    for (fields, status) in [
        ("", 403),
        ("X-Forwarded-Proto: http\r\n", 403),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", 403),
        ("X-Forwarded-Proto: http, https\r\n", 403),
        ("X-Forwarded-Proto: https, http\r\n", 403),
        ("X-Forwarded-Proto: https,\r\n", 403),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto:\r\n", 403),
        ("X-Forwarded-Proto: https\r\n", 200),
        ("X-Forwarded-Proto: https, https\r\n", 200),
        ("X-Forwarded-Proto: HTTPS\r\nx-forwarded-proto: https,https\r\n", 200),
    ] {
        let request = get("/v1/a").replace("\r\n\r\n", &format!("\r\n{fields}\r\n"));
        assert_eq!(ask(gate.addresses[1], request).await.status, status, "{fields:?}");
    }
}

/// Whoever asks for an https URI in clear was sent the wrong way, and is told so on every listener (RFC 9110 section
/// 7.4).
#[tokio::test(flavor = "multi_thread")]
async fn an_https_uri_is_not_served_in_clear() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let listeners = "[[listener]]\naddress = \"127.0.0.1:0\"\nplaintext = \"behind_proxy\"\n";
    let trusting =
        |config: Config| config.and(REDIRECT).and(listeners).with("client_ip", "trusted_proxies = [\"127.0.0.1\"]");
    let gate = start(&witness, &made, trusting);
    let request = |scheme: &str, field: &str| {
        format!("GET {scheme}://gate.example/v1/a HTTP/1.1\r\nHost: gate.example\r\napi_key: {KEY}\r\n{field}\r\n")
    };
    let stream = shake(gate.address(), &connector(&[&made], rustls::ALL_VERSIONS), "gate.example").await.unwrap();
    let mut client = RawClient::over(stream);
    for scheme in ["https", "http"] {
        assert_eq!(client.exchange(request(scheme, "")).await.unwrap().status, 200, "{scheme}");
    }
    let https = "X-Forwarded-Proto: https\r\n";
    let (redirect, behind) = (gate.addresses[1], gate.addresses[2]);
    for (listener, field, status, code) in [
        (redirect, "", 421, "misdirected_request"),
        (behind, "", 421, "misdirected_request"),
        (behind, "X-Forwarded-Proto: http\r\n", 421, "misdirected_request"),
        (behind, https, 200, ""),
    ] {
        let answer = ask(listener, request("https", field)).await;
        assert_eq!(answer.status, status, "{field:?}");
        assert!(status == 200 || answer.json()["code"] == code, "{field:?}");
    }
    let browser = "GET https://gate.example/v1/b HTTP/1.1\r\nHost: gate.example\r\n\r\n";
    assert_eq!(ask(redirect, browser.to_owned()).await.status, 421, "sent to where it believes to be");
    let record = gate.wait_for_record(|record| record["code"] == "misdirected_request");
    assert_eq!((&record["alarm"], &record["consumer"]), (&"key_in_clear".into(), &"boutique-paris".into()));
    assert_eq!(witness.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_sent_to_https() {
    let (witness, made) = (Witness::start(Behaviour::answer()).await, make(&["gate.example"]));
    let gate = start(&witness, &made, |config| config.and(REDIRECT));
    let request = "GET /v1/a?access=1 HTTP/1.1\r\nHost: gate.example:80\r\n\r\n";
    let answer = RawClient::connect(gate.addresses[1]).await.unwrap().exchange(request).await.unwrap();
    let location = format!("https://gate.example:{}/v1/a", gate.address().port());
    assert_eq!((answer.status, answer.header("location")), (308, Some(location.as_str())));
    let record = gate.wait_for_record(|record| record["status"] == 308);
    assert_eq!((&record["code"], &record["path"]), (&"ok".into(), &"/v1/a".into()));
    let post = "POST /v1/a HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(RawClient::connect(gate.addresses[1]).await.unwrap().exchange(post).await.unwrap().status, 403);
    assert!(witness.requests().is_empty());
}
