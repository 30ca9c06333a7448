//! `GET` and `POST /v1/devis`, `GET` and `PUT /v1/devis/{id}`, `POST /v1/devis/{id}/transformation`.
//!
//! Our assumptions: the routes and their fields; the id of a quote is its number, `DE00001`; without a client a quote
//! is on "Client divers", and may be transformed so; prices are those of the catalogue; a quote is not tied to the
//! token it was made with; once transformed it is closed, so that a second transformation or a change is 409; a list
//! holds the last hundred; `?reference=…` asks for those of one reference, with how many were ever made under it.

use super::super::Sandbox;
use super::super::database::document::{Document, Quote, name, number};
use super::super::database::third_party::ThirdPartyKind;
use super::super::database::{Database, NotTransformed};
use super::super::settings::SandboxSettings;
use super::access::Live;
use super::document::{DocumentView, LineBody, ORDER, QUOTE, Wanted, date, lines, reference, today};
use super::input::{Id, JsonBody};
use super::orders::OrderView;
use super::{answer, created, error, invalid, refusal};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde::{Deserialize, Serialize};

pub(super) fn routes() -> Router<Sandbox> {
    Router::new()
        .route("/v1/devis", get(list).post(create))
        .route("/v1/devis/{id}", get(one).put(change))
        .route("/v1/devis/{id}/transformation", post(transform))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewQuote {
    client: Option<u64>,
    /// Today without it.
    date: Option<String>,
    /// What the shop calls it. Several quotes may have the same.
    reference: Option<String>,
    lignes: Vec<LineBody>,
}

/// What is absent stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    client: Option<u64>,
    lignes: Option<Vec<LineBody>>,
}

#[derive(Serialize)]
struct QuoteView {
    numero: String,
    nature_devis: u32,
    racine_devis: u32,
    /// The quote is anonymous while its `client` is this one.
    client_divers: u32,
    /// The order it was transformed into.
    commande: Option<String>,
    #[serde(flatten)]
    document: DocumentView,
}

#[derive(Serialize)]
struct Listed {
    nature_devis: u32,
    racine_devis: u32,
    /// How many there are; the list may hold fewer.
    total: u64,
    devis: Vec<QuoteView>,
}

impl QuoteView {
    fn of(settings: &SandboxSettings, number: u64, quote: &Quote) -> Self {
        Self {
            numero: name(QUOTE, number),
            nature_devis: settings.nature_devis,
            racine_devis: settings.racine_devis,
            client_divers: settings.client_divers,
            commande: quote.order.map(|order| name(ORDER, order)),
            document: DocumentView::of(&quote.document),
        }
    }
}

async fn list(_: Live, State(sandbox): State<Sandbox>, Query(wanted): Query<Wanted>) -> Response {
    let settings = &sandbox.shared.settings;
    let database = sandbox.shared.database.lock();
    let (total, listed) = match wanted.reference {
        None => (database.quotes.len() as u64, database.quotes.latest().collect()),
        Some(wanted) => {
            let same = |quote: &Quote| quote.document.reference.as_ref() == Some(&wanted);
            (database.references.quotes(&wanted), database.quotes.latest_of(same))
        }
    };
    let devis = listed.into_iter().map(|(number, quote)| QuoteView::of(settings, number, quote)).collect();
    let (nature_devis, racine_devis) = (settings.nature_devis, settings.racine_devis);
    answer(&sandbox, StatusCode::OK, Listed { nature_devis, racine_devis, total, devis })
}

async fn one(_: Live, State(sandbox): State<Sandbox>, Id(id): Id) -> Response {
    let database = sandbox.shared.database.lock();
    let found = number(QUOTE, &id).and_then(|number| Some((number, database.quotes.get(number)?)));
    let Some((number, quote)) = found else { return unknown() };
    answer(&sandbox, StatusCode::OK, QuoteView::of(&sandbox.shared.settings, number, quote))
}

async fn create(_: Live, State(sandbox): State<Sandbox>, JsonBody(body): JsonBody<NewQuote>) -> Response {
    let settings = &sandbox.shared.settings;
    let mut database = sandbox.shared.database.lock();
    let document = match body.document(&database, settings) {
        Ok(document) => document,
        Err(problem) => return invalid(&problem),
    };
    let number = database.add_quote(document.clone());
    let view = QuoteView::of(settings, number, &Quote { document, order: None });
    created(&sandbox, &format!("/v1/devis/{}", view.numero), &view)
}

impl NewQuote {
    fn document(&self, database: &Database, settings: &SandboxSettings) -> Result<Document, String> {
        let client = match self.client {
            Some(client) => known(database, client)?,
            None => settings.client_divers.into(),
        };
        let date = self.date.as_deref().map_or_else(|| Ok(today()), date)?;
        let reference = self.reference.as_deref().map(reference).transpose()?;
        Ok(Document { date, client, reference, lines: lines(&self.lignes)? })
    }
}

async fn change(_: Live, State(sandbox): State<Sandbox>, Id(id): Id, JsonBody(body): JsonBody<Change>) -> Response {
    let mut database = sandbox.shared.database.lock();
    let found = number(QUOTE, &id).and_then(|number| Some((number, database.quotes.get(number)?)));
    let Some((number, quote)) = found else { return unknown() };
    if let Some(order) = quote.order {
        return closed(order);
    }
    let document = match body.applied(&database, &quote.document) {
        Ok(document) => document,
        Err(problem) => return invalid(&problem),
    };
    let changed = Quote { document, order: None };
    let view = QuoteView::of(&sandbox.shared.settings, number, &changed);
    if let Some(quote) = database.quotes.get_mut(number) {
        *quote = changed;
    }
    answer(&sandbox, StatusCode::OK, view)
}

impl Change {
    fn applied(&self, database: &Database, document: &Document) -> Result<Document, String> {
        if self.client.is_none() && self.lignes.is_none() {
            return Err("client ou lignes attendu".to_owned());
        }
        let mut document = document.clone();
        if let Some(client) = self.client {
            document.client = known(database, client)?;
        }
        if let Some(bodies) = &self.lignes {
            document.lines = lines(bodies)?;
        }
        Ok(document)
    }
}

async fn transform(_: Live, State(sandbox): State<Sandbox>, Id(id): Id) -> Response {
    let mut database = sandbox.shared.database.lock();
    let transformed =
        number(QUOTE, &id).ok_or(NotTransformed::UnknownQuote).and_then(|number| database.transform(number, today()));
    match transformed {
        Ok(number) => {
            let view = database.orders.get(number).map(|order| OrderView::of(&sandbox.shared.settings, number, order));
            created(&sandbox, &format!("/v1/commandes/{}", name(ORDER, number)), view)
        }
        Err(NotTransformed::UnknownQuote) => unknown(),
        Err(NotTransformed::Already(order)) => closed(order),
    }
}

/// The client, when there is one.
fn known(database: &Database, client: u64) -> Result<u64, String> {
    database
        .third_party(ThirdPartyKind::Client, client)
        .map(|_| client)
        .ok_or_else(|| format!("client : {client} n'existe pas"))
}

fn unknown() -> Response {
    error(StatusCode::NOT_FOUND, "unknown_quote")
}

fn closed(order: u64) -> Response {
    let message = format!("déjà transformé en {}", name(ORDER, order));
    refusal(StatusCode::CONFLICT, "already_transformed", &message)
}
