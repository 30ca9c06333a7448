//! What HTTP allows and only one connection needs: it is read as every program reads it, and goes no further.

use crate::gate::{Config, DEADLINE, Gate, KEY, get};
use crate::support::witness::{Behaviour, Witness};

async fn gate_before(behaviour: Behaviour) -> (Gate, Witness) {
    let witness = Witness::start(behaviour).await;
    let gate = Gate::start(&Config::new(witness.addr()));
    (gate, witness)
}

/// curl offers HTTP/2 in clear as Java's client does, and asks for a coding of the transfer as Perl's LWP does.
#[tokio::test(flavor = "multi_thread")]
async fn what_curl_offers_for_its_own_connection_stays_there() {
    let (gate, witness) = gate_before(Behaviour::answer()).await;
    for (offer, named) in [("--http2", "http2-settings"), ("--tr-encoding", "te")] {
        let output = std::process::Command::new("curl")
            .args(["-sv", offer, "--max-time", "10", "--header", &format!("api_key: {KEY}")])
            .args(["-o", "/dev/null", "-w", "%{http_code}"])
            .arg(format!("http://{}/v1/articles", gate.address()))
            .output()
            .unwrap();
        let talk = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(talk.contains("> connection: ") && talk.contains(&format!("> {named}: ")), "{talk}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "200", "{talk}");
    }
    for seen in witness.wait_for(2, DEADLINE).await {
        for name in ["connection", "upgrade", "http2-settings", "te"] {
            assert_eq!(seen.values(name), Vec::<String>::new(), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_of_chunks_are_not_passed_on() {
    let (gate, witness) = gate_before(Behaviour::answer()).await;
    let request = format!(
        "POST /v1/devis HTTP/1.1\r\nHost: a\r\napi_key: {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n\
         5 ; private = \"a;b\" ; last\r\nhello\r\n0;private\r\nX-Private: c\r\n\r\n"
    );
    assert_eq!(gate.exchange(request).await.status, 200);
    assert_eq!(witness.wait_for(1, DEADLINE).await[0].body, b"hello");
    let bytes = witness.raw_bytes().into_values().flatten().collect::<Vec<_>>();
    let sent = String::from_utf8_lossy(&bytes);
    assert!(!sent.to_lowercase().contains("private") && sent.ends_with("\r\n5\r\nhello\r\n0\r\n\r\n"), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_the_gate_is_answered_by_the_gate() {
    let (gate, witness) = gate_before(Behaviour::answer()).await;
    let mut client = gate.connect().await;
    for target in ["*", "http://a"] {
        let question = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\napi_key: {KEY}\r\n\r\n");
        let answer = client.exchange(&question).await.unwrap();
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("allow"), Some("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"));
        assert_eq!((answer.header("content-length"), answer.header("connection")), (None, Some("keep-alive")));
        assert!(answer.header("x-request-id").is_some() && answer.header("date").is_some());
        let refused = client.exchange(question.replace(KEY, "nobody")).await.unwrap();
        assert_eq!((refused.status, refused.json()["code"].as_str()), (401, Some("unknown_key")));
    }
    assert_eq!(client.exchange(get("/v1/articles")).await.unwrap().status, 200);
    let record = gate.wait_for_record(|record| record["status"] == 204);
    assert_eq!(
        (&record["path"], &record["code"], &record["consumer"]),
        (&"*".into(), &"ok".into(), &"boutique-paris".into())
    );
    assert_eq!(witness.requests().len(), 1, "8sens heard of it");
}

/// A later version of HTTP/1 is answered with the one that is spoken, and 8sens sees that one as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_minor_version_is_served() {
    let (gate, witness) = gate_before(Behaviour::answer()).await;
    let mut client = gate.connect().await;
    for minor in 1..=9 {
        let request = get(&format!("/v1/{minor}")).replace("HTTP/1.1", &format!("HTTP/1.{minor}"));
        let answer = client.exchange(request).await.unwrap();
        assert_eq!((answer.status, answer.head.starts_with("HTTP/1.1 ")), (200, true), "{minor}");
    }
    assert!(
        witness.wait_for(9, DEADLINE).await.iter().all(|seen| seen.head.lines().next().unwrap().ends_with(" HTTP/1.1"))
    );
    assert_eq!(gate.wait_for_record(|record| record["path"] == "/v1/9")["http"], "1.1");
}
