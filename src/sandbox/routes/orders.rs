//! `GET /v1/commandes` and `GET /v1/commandes/{id}`. An order is made by the transformation of a quote and by nothing
//! else.
//!
//! Our assumptions: the routes and their fields; the id of an order is its number, `CO00001`; a list holds the last
//! hundred; `?reference=…` asks for those of one reference, with how many were ever made under it.

use super::super::Sandbox;
use super::super::database::document::{Order, name, number};
use super::super::settings::SandboxSettings;
use super::access::Live;
use super::document::{DocumentView, ORDER, QUOTE, Wanted};
use super::input::Id;
use super::{answer, error};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::Serialize;

pub(super) fn routes() -> Router<Sandbox> {
    Router::new().route("/v1/commandes", get(list)).route("/v1/commandes/{id}", get(one))
}

#[derive(Serialize)]
pub(super) struct OrderView {
    numero: String,
    transfo_devis_commande: u32,
    racine_commande: u32,
    /// The quote it was made of.
    devis: String,
    #[serde(flatten)]
    document: DocumentView,
}

#[derive(Serialize)]
struct Listed {
    racine_commande: u32,
    /// How many there are; the list may hold fewer.
    total: u64,
    commandes: Vec<OrderView>,
}

impl OrderView {
    pub(super) fn of(settings: &SandboxSettings, number: u64, order: &Order) -> Self {
        Self {
            numero: name(ORDER, number),
            transfo_devis_commande: settings.transfo_devis_commande,
            racine_commande: settings.racine_commande,
            devis: name(QUOTE, order.quote),
            document: DocumentView::of(&order.document),
        }
    }
}

async fn list(_: Live, State(sandbox): State<Sandbox>, Query(wanted): Query<Wanted>) -> Response {
    let settings = &sandbox.shared.settings;
    let database = sandbox.shared.database.lock();
    let (total, listed) = match wanted.reference {
        None => (database.orders.len() as u64, database.orders.latest().collect()),
        Some(wanted) => {
            let same = |order: &Order| order.document.reference.as_ref() == Some(&wanted);
            (database.references.orders(&wanted), database.orders.latest_of(same))
        }
    };
    let commandes = listed.into_iter().map(|(number, order)| OrderView::of(settings, number, order)).collect();
    let racine_commande = settings.racine_commande;
    answer(&sandbox, StatusCode::OK, Listed { racine_commande, total, commandes })
}

async fn one(_: Live, State(sandbox): State<Sandbox>, Id(id): Id) -> Response {
    let database = sandbox.shared.database.lock();
    let found = number(ORDER, &id).and_then(|number| Some((number, database.orders.get(number)?)));
    let Some((number, order)) = found else { return error(StatusCode::NOT_FOUND, "unknown_order") };
    answer(&sandbox, StatusCode::OK, OrderView::of(&sandbox.shared.settings, number, order))
}
