//! `GET` and `POST /v1/clients`, `GET /v1/clients/{id}`, and the same for `/v1/prospects`.
//!
//! Our assumptions: the routes and their fields; an id is an integer; a list holds the last hundred; "Client divers" is
//! one of the clients, under the same root; a prospect never becomes a client.

use super::super::Sandbox;
use super::super::database::third_party::{ThirdParty, ThirdPartyKind};
use super::access::Live;
use super::input::{Id, JsonBody};
use super::{answer, created, error, invalid};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::Serialize;

pub(super) fn routes() -> Router<Sandbox> {
    Router::new()
        .route("/v1/clients", get(list_clients).post(create_client))
        .route("/v1/clients/{id}", get(client))
        .route("/v1/prospects", get(list_prospects).post(create_prospect))
        .route("/v1/prospects/{id}", get(prospect))
}

/// The root of each kind: one of the two.
#[derive(Clone, Copy, Serialize)]
struct Root {
    #[serde(skip_serializing_if = "Option::is_none")]
    racine_client: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    racine_prospect: Option<u32>,
}

impl Root {
    fn of(sandbox: &Sandbox, kind: ThirdPartyKind) -> Self {
        let settings = &sandbox.shared.settings;
        match kind {
            ThirdPartyKind::Client => Self { racine_client: Some(settings.racine_client), racine_prospect: None },
            ThirdPartyKind::Prospect => Self { racine_client: None, racine_prospect: Some(settings.racine_prospect) },
        }
    }
}

#[derive(Serialize)]
struct One<'t> {
    id: u64,
    #[serde(flatten)]
    root: Root,
    #[serde(flatten)]
    third_party: &'t ThirdParty,
}

#[derive(Serialize)]
struct Listed<'t> {
    #[serde(flatten)]
    root: Root,
    /// How many there are; the list may hold fewer.
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<Vec<One<'t>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prospects: Option<Vec<One<'t>>>,
}

async fn list_clients(_: Live, State(sandbox): State<Sandbox>) -> Response {
    list(&sandbox, ThirdPartyKind::Client)
}

async fn list_prospects(_: Live, State(sandbox): State<Sandbox>) -> Response {
    list(&sandbox, ThirdPartyKind::Prospect)
}

async fn client(_: Live, State(sandbox): State<Sandbox>, Id(id): Id) -> Response {
    one(&sandbox, ThirdPartyKind::Client, &id)
}

async fn prospect(_: Live, State(sandbox): State<Sandbox>, Id(id): Id) -> Response {
    one(&sandbox, ThirdPartyKind::Prospect, &id)
}

async fn create_client(_: Live, State(sandbox): State<Sandbox>, JsonBody(body): JsonBody<ThirdParty>) -> Response {
    create(&sandbox, ThirdPartyKind::Client, &body)
}

async fn create_prospect(_: Live, State(sandbox): State<Sandbox>, JsonBody(body): JsonBody<ThirdParty>) -> Response {
    create(&sandbox, ThirdPartyKind::Prospect, &body)
}

fn list(sandbox: &Sandbox, kind: ThirdPartyKind) -> Response {
    let root = Root::of(sandbox, kind);
    let database = sandbox.shared.database.lock();
    let (total, rows) = database.third_parties(kind);
    let rows = Some(rows.map(|(id, third_party)| One { id, root, third_party }).collect());
    let (clients, prospects) = match kind {
        ThirdPartyKind::Client => (rows, None),
        ThirdPartyKind::Prospect => (None, rows),
    };
    answer(sandbox, StatusCode::OK, Listed { root, total, clients, prospects })
}

fn one(sandbox: &Sandbox, kind: ThirdPartyKind, id: &str) -> Response {
    let database = sandbox.shared.database.lock();
    let found = id.parse().ok().and_then(|id| Some((id, database.third_party(kind, id)?)));
    match (found, kind) {
        (Some((id, third_party)), _) => {
            answer(sandbox, StatusCode::OK, One { id, root: Root::of(sandbox, kind), third_party })
        }
        (None, ThirdPartyKind::Client) => error(StatusCode::NOT_FOUND, "unknown_client"),
        (None, ThirdPartyKind::Prospect) => error(StatusCode::NOT_FOUND, "unknown_prospect"),
    }
}

fn create(sandbox: &Sandbox, kind: ThirdPartyKind, third_party: &ThirdParty) -> Response {
    if let Some(problem) = third_party.problem() {
        return invalid(problem);
    }
    let id = sandbox.shared.database.lock().add(kind, third_party.clone());
    let location = match kind {
        ThirdPartyKind::Client => format!("/v1/clients/{id}"),
        ThirdPartyKind::Prospect => format!("/v1/prospects/{id}"),
    };
    created(sandbox, &location, One { id, root: Root::of(sandbox, kind), third_party })
}
