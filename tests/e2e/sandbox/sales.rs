//! The routes we assume: third parties, the catalogue, quotes and orders.

use super::{KEY, Running};
use crate::support::http::Response;
use serde_json::{Value, json};

/// A sandbox and a token of it.
struct Sale {
    running: Running,
    token: String,
}

impl Sale {
    async fn start() -> Self {
        // Values that no default and no other setting has.
        let running = Running::start(|settings| {
            (settings.nature_devis, settings.racine_devis) = (11, 12);
            (settings.transfo_devis_commande, settings.racine_commande) = (13, 14);
            (settings.racine_client, settings.racine_prospect, settings.client_divers) = (15, 16, 17);
        })
        .await;
        let token = running.token().await;
        Self { running, token }
    }

    fn request(&self, line: &str, body: &str) -> String {
        let Self { token, .. } = self;
        let length = body.len();
        format!(
            "{line} HTTP/1.1\r\nHost: erp\r\n{KEY}access_token: {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    }

    async fn ask(&self, line: &str, body: &Value) -> Response {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.running.ask(self.request(line, &body)).await
    }

    async fn get(&self, target: &str) -> Value {
        let response = self.ask(&format!("GET {target}"), &Value::Null).await;
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        response.json()
    }

    /// Makes something; checks that its place gives it back.
    async fn made(&self, line: &str, body: &Value) -> Value {
        let response = self.ask(line, body).await;
        assert_eq!(response.status, 201, "{line}: {}", response.text());
        assert_eq!(self.get(response.header("location").unwrap()).await, response.json());
        response.json()
    }
}

fn one_jar() -> Value {
    json!({ "lignes": [{ "article": "MIEL-500", "quantite": 1 }] })
}

#[tokio::test]
async fn a_basket_becomes_an_order_once() {
    let sale = Sale::start().await;
    let lines = json!([{ "article": "CAF-1KG", "quantite": 2 }, { "article": "COUT-LAG", "quantite": 1 }]);
    let quote = sale.made("POST /v1/devis", &json!({ "date": "2026-01-31", "lignes": lines })).await;
    assert_eq!(
        (&quote["numero"], &quote["date"], &quote["commande"]),
        (&"DE00001".into(), &"2026-01-31".into(), &Value::Null)
    );
    assert_eq!(quote["client"], quote["client_divers"], "anonymous");
    assert_eq!(quote["total_ht_centimes"], 2 * 2_133 + 7_417);
    assert_eq!(quote["total_tva_centimes"], 235 + 1_483);
    assert_eq!(quote["total_ttc_centimes"], 2 * 2_133 + 7_417 + 235 + 1_483);
    assert_eq!(
        (&quote["lignes"][0]["quantite"], &quote["lignes"][0]["montant_ht_centimes"]),
        (&2.into(), &4_266.into())
    );

    let client = sale.made("POST /v1/clients", &json!({ "nom": "Anaïs Lefèvre", "email": "anais@example.com" })).await;
    let known = sale.ask("PUT /v1/devis/DE00001", &json!({ "client": client["id"] })).await;
    assert_eq!((known.status, &known.json()["client"]), (200, &client["id"]));
    assert_eq!(known.json()["lignes"], quote["lignes"], "what is absent stays");
    let changed = sale.ask("PUT /v1/devis/DE00001", &one_jar()).await.json();
    assert_eq!((&changed["client"], &changed["total_ht_centimes"]), (&client["id"], &995.into()));
    assert_eq!(sale.get("/v1/devis/DE00001").await, changed);

    let order = sale.made("POST /v1/devis/DE00001/transformation", &Value::Null).await;
    assert_eq!((&order["numero"], &order["devis"]), (&"CO00001".into(), &"DE00001".into()));
    assert_eq!((&order["client"], &order["lignes"]), (&client["id"], &changed["lignes"]));
    assert_eq!(sale.get("/v1/devis/DE00001").await["commande"], "CO00001");

    for (line, body) in [("POST /v1/devis/DE00001/transformation", Value::Null), ("PUT /v1/devis/DE00001", one_jar())] {
        let again = sale.ask(line, &body).await;
        assert_eq!((again.status, &again.json()["error"]), (409, &"already_transformed".into()), "{line}");
        assert_eq!(again.json()["message"], "déjà transformé en CO00001");
    }
    assert_eq!((sale.running.sandbox.quotes(), sale.running.sandbox.orders()), (1, 1));
    assert_eq!(sale.get("/v1/commandes").await["commandes"], json!([order.clone()].map(without_base)));
}

fn without_base(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().remove("base").unwrap();
    answer
}

#[tokio::test]
async fn of_transformations_at_the_same_time_one_makes_the_order() {
    let sale = Sale::start().await;
    sale.made("POST /v1/devis", &one_jar()).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = sale.running.client().await;
        client.send(sale.request("POST /v1/devis/DE00001/transformation", "")).await.unwrap();
        clients.push(client);
    }
    let mut statuses = Vec::new();
    for mut client in clients {
        statuses.push(client.read_response().await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(sale.running.sandbox.orders(), 1);
}

#[tokio::test]
async fn what_was_made_under_a_reference_is_counted() {
    let sale = Sale::start().await;
    let mut basket = one_jar();
    basket["reference"] = "W-2026-1".into();
    let quote = sale.made("POST /v1/devis", &basket).await;
    sale.made("POST /v1/devis", &one_jar()).await;
    sale.made("POST /v1/devis", &basket).await;
    assert_eq!(quote["reference"], "W-2026-1");
    let order = sale.made("POST /v1/devis/DE00003/transformation", &Value::Null).await;
    assert_eq!(order["reference"], "W-2026-1", "the order has it from its quote");

    let quotes = sale.get("/v1/devis?reference=W-2026-1").await;
    assert_eq!((&quotes["total"], &quotes["devis"][0]), (&2.into(), &without_base(quote)));
    assert_eq!(quotes["devis"].as_array().unwrap().len(), 2);
    let orders = sale.get("/v1/commandes?reference=W-2026-1").await;
    assert_eq!((&orders["total"], &orders["commandes"]), (&1.into(), &json!([without_base(order)])));
    assert_eq!(sale.get("/v1/commandes?reference=W-2026-2").await["total"], 0);
    let sandbox = &sale.running.sandbox;
    assert_eq!((sandbox.quotes_of("W-2026-1"), sandbox.orders_of("W-2026-1")), (2, 1));
    assert_eq!((sandbox.quotes_of("W-2026-2"), sandbox.quotes()), (0, 3));
}

#[tokio::test]
async fn natures_and_roots_are_those_of_the_settings() {
    let sale = Sale::start().await;
    let anais = json!({ "nom": "Anaïs Lefèvre" });
    let client = sale.made("POST /v1/clients", &anais).await;
    let prospect = sale.made("POST /v1/prospects", &anais).await;
    let quote = sale.made("POST /v1/devis", &one_jar()).await;
    let order = sale.made("POST /v1/devis/DE00001/transformation", &Value::Null).await;
    for client in [&client, &sale.get("/v1/clients").await, &sale.get("/v1/clients").await["clients"][1]] {
        assert_eq!((&client["racine_client"], client.get("racine_prospect")), (&15.into(), None));
    }
    for prospect in [&prospect, &sale.get("/v1/prospects").await, &sale.get("/v1/prospects").await["prospects"][0]] {
        assert_eq!((&prospect["racine_prospect"], prospect.get("racine_client")), (&16.into(), None));
    }
    for quote in [&quote, &sale.get("/v1/devis").await["devis"][0]] {
        assert_eq!((&quote["nature_devis"], &quote["racine_devis"]), (&11.into(), &12.into()));
        assert_eq!((&quote["client_divers"], &quote["client"]), (&17.into(), &17.into()));
    }
    for order in [&order, &sale.get("/v1/commandes").await["commandes"][0]] {
        assert_eq!((&order["transfo_devis_commande"], &order["racine_commande"]), (&13.into(), &14.into()));
    }
    assert_eq!(sale.get("/v1/clients/17").await["nom"], "Client divers");
}

#[tokio::test]
async fn a_licence_with_its_code_opens_the_production_base() {
    let sale = Sale::start().await;
    for target in ["/v1/articles", "/v1/articles/CAF-1KG", "/v1/clients", "/v1/prospects", "/v1/devis", "/v1/commandes"]
    {
        assert_eq!(sale.get(target).await["base"], "test", "{target}");
    }
    let running = Running::start(|settings| {
        settings.numero_licence = Some("L-1".to_owned());
        settings.code_acces = Some("A-1".to_owned().into());
    })
    .await;
    let token = running.token().await;
    let sale = Sale { running, token };
    assert_eq!(sale.get("/v1/articles").await["base"], "production");
    assert_eq!(sale.made("POST /v1/devis", &one_jar()).await["base"], "production");
}

#[tokio::test]
async fn the_catalogue_is_priced_in_cents() {
    let sale = Sale::start().await;
    let article = sale.get("/v1/articles/CAF-1KG").await;
    assert_eq!((&article["prix_ht_centimes"], &article["taux_tva_points_de_base"]), (&2_133.into(), &550.into()));
    assert_eq!(sale.get("/v1/articles").await["articles"][0], without_base(article));
}

#[tokio::test]
async fn lists_count_everything_and_show_the_last_hundred() {
    let sale = Sale::start().await;
    let mut client = sale.running.client().await;
    for _ in 0..101 {
        let made = client.exchange(sale.request("POST /v1/devis", &one_jar().to_string())).await.unwrap();
        assert_eq!(made.status, 201);
    }
    let listed = sale.get("/v1/devis").await;
    let quotes = listed["devis"].as_array().unwrap();
    assert_eq!((&listed["total"], quotes.len()), (&101.into(), 100));
    assert_eq!((&quotes[0]["numero"], &quotes[99]["numero"]), (&"DE00002".into(), &"DE00101".into()));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    let sale = Sale::start().await;
    let quote = sale.made("POST /v1/devis", &one_jar()).await;
    let many = vec![json!({ "article": "MIEL-500", "quantite": 1 }); 101];
    for (line, body) in [
        ("POST /v1/devis", Value::Null),
        ("POST /v1/devis", json!([])),
        ("POST /v1/devis", json!({})),
        ("POST /v1/devis", json!({ "lignes": [] })),
        ("POST /v1/devis", json!({ "lignes": many })),
        ("POST /v1/devis", json!({ "lignes": [{ "article": "NADA", "quantite": 1 }] })),
        ("POST /v1/devis", json!({ "lignes": [{ "article": "MIEL-500", "quantite": 0 }] })),
        ("POST /v1/devis", json!({ "lignes": [{ "article": "MIEL-500", "quantite": 10_001 }] })),
        ("POST /v1/devis", json!({ "lignes": [{ "article": "MIEL-500", "quantite": 1.5 }] })),
        ("POST /v1/devis", json!({ "lignes": [{ "article": "MIEL-500", "quantite": 1, "prix": 1 }] })),
        ("POST /v1/devis", json!({ "date": "31/01/2026", "lignes": one_jar()["lignes"] })),
        ("POST /v1/devis", json!({ "client": 99, "lignes": one_jar()["lignes"] })),
        ("POST /v1/devis", json!({ "reference": "", "lignes": one_jar()["lignes"] })),
        ("POST /v1/devis", json!({ "reference": "W".repeat(201), "lignes": one_jar()["lignes"] })),
        ("PUT /v1/devis/DE00001", json!({})),
        ("PUT /v1/devis/DE00001", json!({ "client": 99 })),
        ("PUT /v1/devis/DE00001", json!({ "lignes": [] })),
        ("POST /v1/clients", json!({ "nom": " " })),
        ("POST /v1/clients", json!({ "email": "anais@example.com" })),
        ("POST /v1/clients", json!({ "nom": "Anaïs", "email": "anais" })),
        ("POST /v1/prospects", json!({ "nom": "é".repeat(201) })),
    ] {
        let response = sale.ask(line, &body).await;
        assert_eq!((response.status, &response.json()["error"]), (400, &"invalid_body".into()), "{line} {body}");
        assert!(response.json()["message"].as_str().is_some_and(|message| !message.is_empty()), "{line} {body}");
    }
    let cut = sale.running.ask(sale.request("POST /v1/devis", "{\"lignes\": [")).await;
    assert_eq!((cut.status, &cut.json()["error"]), (400, &"invalid_body".into()));

    assert_eq!(sale.running.sandbox.quotes(), 1);
    assert_eq!(sale.get("/v1/devis/DE00001").await, quote);
    assert_eq!(sale.get("/v1/clients").await["total"], 1, "only Client divers");
    assert_eq!(sale.get("/v1/prospects").await["total"], 0);
}

#[tokio::test]
async fn bodies_end_at_64_kib() {
    let sale = Sale::start().await;
    let body = one_jar().to_string();
    for (length, status) in [(64 << 10, 201), ((64 << 10) + 1, 413)] {
        let padded = body.clone() + &" ".repeat(length - body.len());
        let response = sale.running.ask(sale.request("POST /v1/devis", &padded)).await;
        assert_eq!(response.status, status, "{length}: {}", response.text());
        assert_eq!(response.header("content-type"), Some("application/json"));
    }
    assert_eq!(sale.running.sandbox.quotes(), 1);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_everything_needs_a_token() {
    let sale = Sale::start().await;
    for (line, error) in [
        ("GET /v1/articles/NADA", "unknown_article"),
        ("GET /v1/clients/18", "unknown_client"),
        ("GET /v1/clients/Anais", "unknown_client"),
        ("GET /v1/prospects/1", "unknown_prospect"),
        ("GET /v1/devis/DE00001", "unknown_quote"),
        ("PUT /v1/devis/DE00001", "unknown_quote"),
        ("POST /v1/devis/1/transformation", "unknown_quote"),
        ("GET /v1/commandes/CO00001", "unknown_order"),
        ("GET /v1/devis/%ff", "unknown_route"),
    ] {
        let response = sale.ask(line, &one_jar()).await;
        assert_eq!((response.status, &response.json()["error"]), (404, &error.into()), "{line}");
    }
    for line in [
        "GET /v1/articles/CAF-1KG",
        "GET /v1/clients",
        "POST /v1/clients",
        "GET /v1/clients/17",
        "GET /v1/prospects",
        "POST /v1/prospects",
        "GET /v1/prospects/1",
        "GET /v1/devis",
        "POST /v1/devis",
        "GET /v1/devis/DE00001",
        "PUT /v1/devis/DE00001",
        "POST /v1/devis/DE00001/transformation",
        "POST /v1/logout/user",
        "GET /v1/commandes",
        "GET /v1/commandes/CO00001",
    ] {
        let refused = sale.running.ask(sale.request(line, "{}").replace(&sale.token, "dead")).await;
        assert_eq!((refused.status, &refused.json()["error"]), (401, &"invalid_token".into()), "{line}");
    }
    assert_eq!(sale.ask("POST /v1/commandes", &Value::Null).await.status, 405);
}

#[tokio::test]
async fn a_quote_outlives_its_token_and_its_client_comes_later() {
    let mut sale = Sale::start().await;
    let quote = sale.made("POST /v1/devis", &one_jar()).await;
    sale.running.sandbox.forget_sessions();
    assert_eq!(sale.ask("GET /v1/devis/DE00001", &Value::Null).await.status, 401);
    sale.token = sale.running.token().await;
    assert_eq!(sale.get("/v1/devis/DE00001").await, quote);
    sale.running.pass(899);
    assert_eq!(sale.ask("POST /v1/devis/DE00001/transformation", &Value::Null).await.status, 201);
    sale.running.pass(899);
    assert_eq!(sale.get("/v1/commandes").await["total"], 1, "a transformation is a use of the token");
}
