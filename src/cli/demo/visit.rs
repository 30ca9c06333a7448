//! The visit that `demo --once` plays: a whole checkout and everything that should not pass, each step with what is
//! expected and seen.

use super::world::{BURST, FAILED_KEYS, Staging, World};
use crate::sandbox::SandboxSettings;
use crate::text;
use crate::text::{Lang, Text};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const LOGIN: &str = "login=CLIENTREST&password=clientrest";
const ARTICLES: &str = "/v1/articles";

/// One request.
struct Request<'a> {
    to: SocketAddr,
    method: &'a str,
    path: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    form: Option<&'a str>,
    json: Option<Value>,
}

impl<'a> Request<'a> {
    fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.fields.push((name, value));
        self
    }
}

/// What came back.
#[derive(Default)]
struct Seen {
    status: u16,
    body: Value,
    error: Option<String>,
}

impl Seen {
    /// The status, and the code of a refusal.
    fn summary(&self) -> String {
        match &self.error {
            Some(error) => error.clone(),
            None => format!("{} {}", self.status, self.body["code"].as_str().unwrap_or_default()).trim_end().to_owned(),
        }
    }
}

/// The visitor: sends, compares and prints.
struct Visit {
    agent: ureq::Agent,
    lang: Lang,
    failures: usize,
    forwarded: usize,
}

/// Plays everything. Returns how many steps were not answered as expected; the error is for people.
pub(super) fn play(world: World, lang: Lang) -> Result<usize, String> {
    let agent =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(10))).build();
    let mut visit = Visit { agent: agent.into(), lang, failures: 0, forwarded: 0 };
    let token = visit.log_in(
        &world,
        world.shop_key(),
        &text! { en: "the shop logs in with its own key", fr: "la boutique se connecte avec sa propre clé" },
    );
    visit.check_out(&world, &token);
    visit.meet_refusals(&world, &token);
    visit.burst(&world);
    let world = world.restart_gate()?;
    let what = text! {
        en: "the gate was restarted: the token still works",
        fr: "la passerelle a redémarré : le jeton sert encore"
    };
    visit.step(&what, get(&world, ARTICLES, world.shop_key(), Some(&token)), "200");
    if visit.failures == 0 {
        visit.idle(&world, &token);
    }
    visit.count(&world);
    world.stop();
    Ok(visit.failures)
}

impl Visit {
    /// Logs a consumer in. Returns its token.
    fn log_in(&mut self, world: &World, key: &str, what: &Text) -> String {
        let request = Request { method: "POST", form: Some(LOGIN), ..get(world, "/v1/login/user", key, None) };
        let seen = self.step(what, request, "200");
        let fields = ["access_token", "paramRacineCliID", "paramRacinePecID", "g8CliCode"];
        let got = fields.iter().filter(|field| !seen.body[**field].is_null()).count();
        self.tell(
            &text! { en: "the login's answer has its four fields", fr: "la réponse au login a ses quatre champs" },
            "4",
            &got.to_string(),
        );
        seen.body["access_token"].as_str().unwrap_or("none").to_owned()
    }

    /// Catalogue, quote, client, order.
    fn check_out(&mut self, world: &World, token: &str) {
        let key = world.shop_key();
        let what = text! { en: "the catalogue, with the token", fr: "le catalogue, avec le jeton" };
        let articles = self.step(&what, get(world, ARTICLES, key, Some(token)), "200");
        let article = articles.body["articles"][0]["code"].as_str().unwrap_or_default().to_owned();
        let lines = serde_json::json!({ "lignes": [{ "article": article, "quantite": 2 }] });
        let what = text! { en: "a quote for an anonymous buyer", fr: "un devis pour un acheteur anonyme" };
        let quote = self.step(&what, post(get(world, "/v1/devis", key, Some(token)), Some(lines)), "201");
        let number = quote.body["numero"].as_str().unwrap_or("none").to_owned();
        let path = format!("/v1/devis/{number}/transformation");
        let what = text! { en: "the quote becomes an order", fr: "le devis devient une commande" };
        self.step(&what, post(get(world, &path, key, Some(token)), None), "201");
        let orders = world.sandbox.orders().to_string();
        self.tell(&text! { en: "8sens has one order, not two", fr: "8sens a une commande, et pas deux" }, "1", &orders);
    }

    /// What must not pass; at least one step rests on each policy.
    fn meet_refusals(&mut self, world: &World, token: &str) {
        let shop = world.shop_key();
        let articles = |key| get(world, ARTICLES, key, Some(token));
        let mut no_key = articles(shop);
        no_key.fields.retain(|(name, _)| *name != "api_key");
        self.step(&text! { en: "no key", fr: "pas de clé" }, no_key, "401 missing_key");
        self.step(&text! { en: "a wrong key", fr: "une mauvaise clé" }, articles("wrong"), "401 unknown_key");
        self.step(
            &text! { en: "two keys", fr: "deux clés" },
            articles(shop).with("api_key", shop),
            "400 ambiguous_key",
        );
        self.step(
            &text! { en: "a key in the URL", fr: "une clé dans l'URL" },
            get(world, "/v1/articles?api_key=x", shop, Some(token)),
            "400 key_in_url",
        );
        self.step(
            &text! { en: "two tokens", fr: "deux jetons" },
            articles(shop).with("token", token),
            "400 ambiguous_token",
        );
        self.step(
            &text! { en: "a path with two spellings", fr: "un chemin à deux écritures" },
            get(world, "/v1//articles", shop, Some(token)),
            "400 malformed_request",
        );
        self.step(
            &text! { en: "no token", fr: "pas de jeton" },
            get(world, ARTICLES, shop, None),
            "401 session_missing",
        );
        self.step(
            &text! { en: "a token that was never handed out", fr: "un jeton jamais délivré" },
            get(world, ARTICLES, shop, Some("0123456789")),
            "401 session_unknown",
        );
        self.step(
            &text! { en: "the token of another consumer", fr: "le jeton d'un autre consommateur" },
            articles(world.comparer_key()),
            "401 session_not_yours",
        );
        self.step(
            &text! { en: "the partner, outside its routes", fr: "le partenaire, hors de ses routes" },
            articles(world.partner_key()),
            "403 forbidden_route",
        );
        self.step(
            &text! { en: "the depot, outside its network", fr: "le dépôt, hors de son réseau" },
            articles(world.depot_key()),
            "403 forbidden_address",
        );
        self.step(
            &text! { en: "a proxy that does not say https", fr: "un mandataire qui n'annonce pas https" },
            Request { to: world.behind_proxy, ..articles(shop) },
            "403 insecure_transport",
        );
        self.step(
            &text! { en: "the same proxy, saying https", fr: "le même mandataire, annonçant https" },
            Request { to: world.behind_proxy, ..articles(shop).with("x-forwarded-proto", "https") },
            "200",
        );
        self.step(
            &text! { en: "a method that is not forwarded", fr: "une méthode jamais transmise" },
            Request { method: "TRACE", ..articles(shop) },
            "405 method_not_allowed",
        );
        for _ in 1..FAILED_KEYS {
            self.send(articles("wrong"));
        }
        self.step(
            &text! { en: "one wrong key too many", fr: "une mauvaise clé de trop" },
            articles("wrong"),
            "429 rate_limited",
        );
        self.step(
            &text! { en: "a right key passes all the same", fr: "une bonne clé passe quand même" },
            articles(shop),
            "200",
        );
    }

    /// One consumer past its quota.
    fn burst(&mut self, world: &World) {
        let key = world.comparer_key();
        let what = text! { en: "a price comparer logs in", fr: "un comparateur de prix se connecte" };
        let token = self.log_in(world, key, &what);
        // The login was the first of its burst; a refused token gave its own back.
        for _ in 1..BURST {
            let seen = self.send(get(world, ARTICLES, key, Some(&token)));
            self.forwarded += usize::from(seen.status == 200);
        }
        let what = text! { en: "its burst is over", fr: "sa rafale est finie" };
        self.step(&what, get(world, ARTICLES, key, Some(&token)), "429 rate_limited");
    }

    /// A token that nobody used for too long never reaches 8sens.
    fn idle(&mut self, world: &World, token: &str) {
        let end = Instant::now() + Staging::VISIT.idle_timeout;
        while Instant::now() < end {
            std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
        }
        let what =
            text! { en: "the token after a pause that was too long", fr: "le jeton après une pause trop longue" };
        self.step(&what, get(world, ARTICLES, world.shop_key(), Some(token)), "401 session_expired");
    }

    /// 8sens has seen its own key, and only what was let through.
    fn count(&mut self, world: &World) {
        let forwarded = world.sandbox.record();
        let upstream_key = SandboxSettings::example().api_key.expose_secret().to_owned();
        let well_keyed = forwarded.iter().filter(|seen| seen.values("api_key").eq([upstream_key.as_bytes()]));
        let what = text! {
            en: "8sens saw its own key once in each request, and only the requests that were let through",
            fr: "8sens a vu sa propre clé une fois par requête, et seulement les requêtes admises",
        };
        let expected = format!("{0}/{0}", self.forwarded);
        self.tell(&what, &expected, &format!("{}/{}", well_keyed.count(), forwarded.len()));
    }

    /// Sends, compares and prints. What 8sens should have seen is counted.
    fn step(&mut self, what: &Text, request: Request<'_>, expected: &str) -> Seen {
        let seen = self.send(request);
        self.forwarded += usize::from(expected.starts_with('2'));
        self.tell(what, expected, &seen.summary());
        seen
    }

    fn tell(&mut self, what: &Text, expected: &str, seen: &str) {
        let good = expected == seen;
        self.failures += usize::from(!good);
        let (what, mark) = (what.in_lang(self.lang), if good { "ok  " } else { "FAIL" });
        let line = text! {
            en: "{mark} {what}: expected {expected}, seen {seen}",
            fr: "{mark} {what} : attendu {expected}, constaté {seen}",
        };
        super::super::data(line.in_lang(self.lang));
    }

    fn send(&self, request: Request<'_>) -> Seen {
        self.exchange(request).unwrap_or_else(|error| Seen { error: Some(error), ..Seen::default() })
    }

    fn exchange(&self, request: Request<'_>) -> Result<Seen, String> {
        let Request { to, method, path, fields, form, json } = request;
        let mut builder = ureq::http::Request::builder().method(method).uri(format!("http://{to}{path}"));
        for (name, value) in fields {
            builder = builder.header(name, value);
        }
        let answer = match (form, json) {
            (Some(form), _) => {
                let builder = builder.header("content-type", "application/x-www-form-urlencoded");
                self.agent.run(builder.body(form.to_owned()).map_err(|error| error.to_string())?)
            }
            (None, Some(json)) => {
                let builder = builder.header("content-type", "application/json");
                self.agent.run(builder.body(json.to_string()).map_err(|error| error.to_string())?)
            }
            (None, None) if method == "POST" => {
                self.agent.run(builder.body(String::new()).map_err(|error| error.to_string())?)
            }
            (None, None) => self.agent.run(builder.body(()).map_err(|error| error.to_string())?),
        };
        let mut answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        Ok(Seen { status, body: serde_json::from_str(&body).unwrap_or_default(), error: None })
    }
}

/// A GET with a key and, unless it goes without, a token.
fn get<'a>(world: &World, path: &'a str, key: &'a str, token: Option<&'a str>) -> Request<'a> {
    let mut fields = vec![("api_key", key)];
    fields.extend(token.map(|token| ("access_token", token)));
    Request { to: world.gate, method: "GET", path, fields, form: None, json: None }
}

fn post(request: Request<'_>, json: Option<Value>) -> Request<'_> {
    Request { method: "POST", json, ..request }
}
