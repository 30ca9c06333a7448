//! Canary secrets are planted everywhere a secret can be, and looked for everywhere a secret must not be.

use crate::gate::{Config, Gate, KEY, PARTNER_KEY, UPSTREAM_KEY, get};
use crate::support::witness::{Action, Behaviour, Witness};

const TOKEN: &str = "canary-token-Xy7Wq2Rt9";
const PASSWORD: &str = "canary-password-Lm4Nb8Vc";
const QUERY: &str = "canary-query-Gh6Jk1Pz";
const COOKIE: &str = "canary-cookie-Aa3Ss5Dd";
const WRONG: &str = "canary-wrong-key-Uu8Ii0Oo";
const ADMIN: &str = "canary-admin-token-0123456789abcdefghijkl";

fn requests() -> Vec<String> {
    let key = format!("Host: a\r\napi_key: {KEY}\r\n");
    let form = format!("login=CLIENTREST&password={PASSWORD}");
    vec![
        format!("POST /v1/login/user HTTP/1.1\r\n{key}Content-Length: {}\r\n\r\n{form}", form.len()),
        format!("GET /v1/articles?x={QUERY} HTTP/1.1\r\n{key}access_token: {TOKEN}\r\nCookie: c={COOKIE}\r\n\r\n"),
        format!("GET /v1/articles?access_token={TOKEN} HTTP/1.1\r\n{key}\r\n"),
        format!("GET /v1/articles?api_key={WRONG} HTTP/1.1\r\n{key}\r\n"),
        format!("GET /v1/articles HTTP/1.1\r\n{key}Authorization: Bearer {TOKEN}\r\ntoken: {TOKEN}\r\n\r\n"),
        format!("GET /v1/articles HTTP/1.1\r\nHost: a\r\napi_key: {WRONG}\r\n\r\n"),
        format!("GET /v1/articles HTTP/1.1\r\n{key}Cookie: api_key={WRONG}\r\n\r\n"),
        format!("GET /v1/hidden HTTP/1.1\r\nHost: a\r\napi_key: {PARTNER_KEY}\r\n\r\n"),
        // Broken in ways that a parser might quote in its error.
        format!("GET /v1/articles?k={QUERY} x HTTP/1.1\r\n{key}\r\n"),
        format!("GET /v1/articles HTTP/1.1\r\n{key}api_key {WRONG}\r\n\r\n"),
        format!("GET /v1/articles HTTP/1.1\r\n{key}X: \x01{TOKEN}\r\n\r\n"),
        format!("POST /v1/devis HTTP/1.1\r\n{key}Transfer-Encoding: chunked\r\n\r\nzz{PASSWORD}\r\n"),
        get(&format!("/v1/garbage?x={QUERY}")),
        get(&format!("/v1/reset?x={QUERY}")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_by_any_door() {
    let leaky = format!("HTTP/1.1 200 OK\r\nbroken {TOKEN}\r\n\r\n");
    let witness = Witness::start(Behaviour::by(move |request| match request.target().split('?').next() {
        Some("/v1/garbage") => Action::BytesThenClose(leaky.clone().into_bytes()),
        Some("/v1/reset") => Action::Close,
        _ => Action::Answer,
    }))
    .await;
    let folder = tempfile::tempdir().unwrap();
    crate::gate::write_secret(&folder.path().join("admin-token"), ADMIN);
    let config = Config::new(witness.addr())
        .with("admin", "token = { file = \"admin-token\" }")
        .with("log", "audit = \"audit.log\"");
    let mut gate =
        Gate::start_in(folder, &config, |command| command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full"));

    let mut answers = String::new();
    for request in requests() {
        let mut client = gate.connect().await;
        client.send(request).await.unwrap();
        if let Ok(response) = client.read_response().await {
            answers.push_str(&response.head);
            answers.push_str(&response.text());
        }
    }
    let mut pages = String::new();
    for page in ["/", "/metrics", "/api/live", "/api/sessions"] {
        let request = format!("GET {page} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ADMIN}\r\n\r\n", gate.admin);
        let page = crate::support::http::RawClient::connect(gate.admin).await.unwrap().exchange(request).await.unwrap();
        assert_eq!(page.status, 200);
        pages.push_str(&page.text());
    }
    gate.wait_for_record(|record| record["path"] == "/v1/reset");
    let process = |file: &str| {
        let bytes = std::fs::read(format!("/proc/{}/{file}", gate.child.id())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (cmdline, environ) = (process("cmdline"), process("environ"));
    std::fs::write(gate.folder.path().join("sensgate.toml"), format!("[upstream]\napi_key = \"{UPSTREAM_KEY}\"\n"))
        .unwrap();
    gate.signal("HUP");
    gate.wait_for_line("configuration refused");
    let places = [
        ("answers", answers),
        ("admin pages", pages),
        ("audit log", std::fs::read_to_string(gate.folder.path().join("audit.log")).unwrap()),
        ("access log", std::fs::read_to_string(gate.access_log()).unwrap()),
        ("stderr", gate.stderr_lines().join("\n")),
        ("cmdline", cmdline),
        ("environ", environ),
    ];
    assert!(places.iter().all(|(_, text)| !text.is_empty()), "a place was not looked at");
    for (place, text) in &places {
        for secret in [KEY, PARTNER_KEY, UPSTREAM_KEY, TOKEN, PASSWORD, QUERY, COOKIE, WRONG, ADMIN] {
            // Part of a secret is a leak as well.
            let part = &secret[secret.len() - 8..];
            assert!(!text.contains(part), "{secret} is in the {place}:\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_the_environment_loses_one_line_end_as_that_of_a_file_does() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr()).text();
    let config = config.replacen("{ file = \"8sens-api-key\" }", "{ env = \"ERP_KEY\" }", 1);
    assert!(config.contains("ERP_KEY"));
    for (nth, line_end) in ["", "\n", "\r\n"].into_iter().enumerate() {
        let key = format!("{UPSTREAM_KEY}{line_end}");
        let gate = Gate::start_text(tempfile::tempdir().unwrap(), &config, |command| command.env("ERP_KEY", key));
        assert_eq!(gate.exchange(get("/v1/articles")).await.status, 200);
        assert_eq!(witness.requests()[nth].values("api_key"), [UPSTREAM_KEY], "{line_end:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sensgate.toml");
    std::fs::write(&path, config).unwrap();
    for wrong in ["\n\n", "\n ", "\r"] {
        let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_sensgate"));
        check.args(["check", "--config"]).arg(&path).env("ERP_KEY", format!("{UPSTREAM_KEY}{wrong}"));
        let output = check.output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{wrong:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains(UPSTREAM_KEY));
    }
}
