//! The visit that `demo --once` plays: each step with what is expected and what is seen.

use super::world::World;
use crate::text;
use crate::text::{Lang, Text};
use std::net::SocketAddr;
use std::time::Duration;

/// One request of the visit and the answer that it must get.
struct Step {
    what: Text,
    to: SocketAddr,
    method: &'static str,
    path: &'static str,
    fields: Vec<(&'static str, String)>,
    form: Option<&'static str>,
    status: u16,
    /// The code of a refusal, or empty.
    code: &'static str,
}

/// What came back.
struct Seen {
    status: u16,
    body: serde_json::Value,
}

/// Plays every step and prints it. Returns how many were not answered as expected.
pub(super) fn play(world: &World, lang: Lang) -> usize {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    let mut failures = 0;
    let mut tell = |what: &Text, expected: &str, seen: &str| {
        let good = expected == seen;
        failures += usize::from(!good);
        super::super::data(&line(lang, what, expected, seen, good));
    };
    let login = login_step(world);
    let answer = send(&agent, &login);
    tell(&login.what, &expectation(&login), &observation(&answer));
    let token = answer.as_ref().ok().and_then(|seen| seen.body["access_token"].as_str()).unwrap_or("none").to_owned();
    let fields = ["access_token", "paramRacineCliID", "paramRacinePecID", "g8CliCode"];
    let got = answer.map_or(0, |seen| fields.iter().filter(|field| !seen.body[**field].is_null()).count());
    tell(
        &text! { en: "the login's answer has its four fields", fr: "la réponse au login a ses quatre champs" },
        "4",
        &got.to_string(),
    );
    for step in steps(world, &token) {
        let answer = send(&agent, &step);
        tell(&step.what, &expectation(&step), &observation(&answer));
    }
    let forwarded = world.sandbox.record();
    let upstream_key =
        secrecy::ExposeSecret::expose_secret(&crate::sandbox::SandboxSettings::example().api_key).to_owned();
    let well_keyed = forwarded.iter().filter(|seen| {
        let keys: Vec<&[u8]> = seen.values("api_key").collect();
        keys == [upstream_key.as_bytes()]
    });
    tell(
        &text! {
            en: "8sens saw its own key once in each request, and only the requests that were let through",
            fr: "8sens a vu sa propre clé une fois par requête, et seulement les requêtes admises",
        },
        "4/4",
        &format!("{}/{}", well_keyed.count(), forwarded.len()),
    );
    failures
}

/// The shop logs in as the vendor's page shows.
fn login_step(world: &World) -> Step {
    Step {
        what: text! { en: "the shop logs in with its own key", fr: "la boutique se connecte avec sa propre clé" },
        to: world.gate,
        method: "POST",
        path: "/v1/login/user",
        fields: vec![("api_key", world.shop_key().to_owned())],
        form: Some("login=CLIENTREST&password=clientrest"),
        status: 200,
        code: "",
    }
}

/// Everything after the login; at least one step rests on each policy.
fn steps(world: &World, token: &str) -> Vec<Step> {
    let key = |key: &str| ("api_key", key.to_owned());
    let token = |name: &'static str| (name, token.to_owned());
    let get = |what, path, fields, status, code| Step {
        what,
        to: world.gate,
        method: "GET",
        path,
        fields,
        form: None,
        status,
        code,
    };
    let articles = "/v1/articles";
    let shop = || key(world.shop_key());
    vec![
        get(
            text! { en: "the catalogue, with the token", fr: "le catalogue, avec le jeton" },
            articles,
            vec![shop(), token("access_token")],
            200,
            "",
        ),
        get(text! { en: "no key", fr: "pas de clé" }, articles, vec![token("access_token")], 401, "missing_key"),
        get(
            text! { en: "a wrong key", fr: "une mauvaise clé" },
            articles,
            vec![key("wrong"), token("access_token")],
            401,
            "unknown_key",
        ),
        get(
            text! { en: "two keys", fr: "deux clés" },
            articles,
            vec![shop(), shop(), token("access_token")],
            400,
            "ambiguous_key",
        ),
        get(
            text! { en: "a key in the URL", fr: "une clé dans l'URL" },
            "/v1/articles?api_key=x",
            vec![shop(), token("access_token")],
            400,
            "key_in_url",
        ),
        get(
            text! { en: "two tokens", fr: "deux jetons" },
            articles,
            vec![shop(), token("access_token"), token("token")],
            400,
            "ambiguous_token",
        ),
        get(
            text! { en: "a path with two spellings", fr: "un chemin à deux écritures" },
            "/v1//articles",
            vec![shop(), token("access_token")],
            400,
            "malformed_request",
        ),
        get(
            text! { en: "the partner, outside its routes", fr: "le partenaire, hors de ses routes" },
            articles,
            vec![key(world.partner_key()), token("access_token")],
            403,
            "forbidden_route",
        ),
        get(
            text! { en: "the depot, outside its network", fr: "le dépôt, hors de son réseau" },
            articles,
            vec![key(world.depot_key()), token("access_token")],
            403,
            "forbidden_address",
        ),
        Step {
            to: world.behind_proxy,
            ..get(
                text! { en: "a proxy that does not say https", fr: "un mandataire qui n'annonce pas https" },
                articles,
                vec![shop(), token("access_token")],
                403,
                "insecure_transport",
            )
        },
        Step {
            to: world.behind_proxy,
            ..get(
                text! { en: "the same proxy, saying https", fr: "le même mandataire, annonçant https" },
                articles,
                vec![shop(), token("access_token"), ("x-forwarded-proto", "https".to_owned())],
                200,
                "",
            )
        },
        Step {
            method: "TRACE",
            ..get(
                text! { en: "a method that is not forwarded", fr: "une méthode jamais transmise" },
                articles,
                vec![shop()],
                405,
                "method_not_allowed",
            )
        },
        get(
            text! { en: "the catalogue again", fr: "le catalogue encore" },
            articles,
            vec![shop(), token("access_token")],
            200,
            "",
        ),
    ]
}

fn send(agent: &ureq::Agent, step: &Step) -> Result<Seen, String> {
    let mut request =
        ureq::http::Request::builder().method(step.method).uri(format!("http://{}{}", step.to, step.path));
    for (name, value) in &step.fields {
        request = request.header(*name, value);
    }
    let answer = match step.form {
        Some(form) => {
            let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
            agent.run(request.map_err(|error| error.to_string())?)
        }
        None => agent.run(request.body(()).map_err(|error| error.to_string())?),
    };
    let mut answer = answer.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
    Ok(Seen { status, body: serde_json::from_str(&body).unwrap_or_default() })
}

fn expectation(step: &Step) -> String {
    format!("{} {}", step.status, step.code).trim_end().to_owned()
}

fn observation(answer: &Result<Seen, String>) -> String {
    match answer {
        Ok(seen) => format!("{} {}", seen.status, seen.body["code"].as_str().unwrap_or_default()).trim_end().to_owned(),
        Err(error) => error.clone(),
    }
}

fn line(lang: Lang, what: &Text, expected: &str, seen: &str, good: bool) -> String {
    let what = what.in_lang(lang);
    let mark = if good { "ok  " } else { "FAIL" };
    let words = text! { en: "{mark} {what}: expected {expected}, seen {seen}", fr: "{mark} {what} : attendu {expected}, constaté {seen}" };
    words.in_lang(lang).to_owned()
}
