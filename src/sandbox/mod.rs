//! The sandbox: our stand-in for the 8sens REST server, for trials, the demo and tests.
//!
//! The vendor documents one route, `POST /v1/login/user`: a form `login=…&password=…` with the header `api_key` is
//! answered by `access_token`, `paramRacineCliID`, `paramRacinePecID` and `g8CliCode`. **Everything else here is our
//! assumption**, and no rule of the gate may depend on it: every other route, the places a token may travel in, the
//! status and the shape of each refusal, the types of the four fields, which requests slide the idle time. What we
//! assumed stands where it is coded, in `routes/`:
//!
//! | route (all but the login assumed) | what it does |
//! |---|---|
//! | `POST /v1/login/user` | gives a token |
//! | `GET /v1/articles`, `GET /v1/articles/{code}` | the catalogue |
//! | `GET`, `POST /v1/clients`, `GET /v1/clients/{id}` | clients, under `racine_client` |
//! | `GET`, `POST /v1/prospects`, `GET /v1/prospects/{id}` | prospects, under `racine_prospect` |
//! | `GET`, `POST /v1/devis`, `GET`, `PUT /v1/devis/{id}` | quotes, on "Client divers" until a client is known |
//! | `POST /v1/devis/{id}/transformation` | makes an order of a quote, once; 409 after that |
//! | `GET /v1/commandes`, `GET /v1/commandes/{id}` | orders |
//!
//! Bodies are JSON of at most 64 KiB, amounts integer cents, dates ISO. Where nobody knows what 8sens does, the
//! settings choose between several behaviours: [`ExpiredAnswer`], [`WrongKeyAnswer`], `seats`, `token_shared`. All is
//! in memory and bounded.
//!
//! Each request the sandbox could parse is answered with `Server: 8sens-sandbox` and kept in a bounded record
//! ([`Sandbox::record`]). With `faults = true` a request may ask for a [`fault`].

mod database;
pub mod fault;
mod record;
mod routes;
mod serve;
mod sessions;
mod settings;

pub use record::Seen;
pub use settings::{Base, ExpiredAnswer, SandboxSettings, SettingsError, User, WrongKeyAnswer};

use crate::domain::types::Mono;
use crate::text;
use crate::text::Text;
use database::Database;
use parking_lot::Mutex;
use record::Record;
use sessions::Sessions;
use std::net::SocketAddr;
use std::sync::Arc;

/// One sandbox: its settings, its tokens, its base and what it saw. A clone is a handle on the same one.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

struct Shared {
    settings: SandboxSettings,
    clock: Box<dyn Fn() -> Mono + Send + Sync>,
    sessions: Mutex<Sessions>,
    database: Mutex<Database>,
    record: Mutex<Record>,
}

impl Sandbox {
    /// Makes a sandbox that runs by the real clock.
    ///
    /// # Errors
    /// What the server refuses to start on, above all a user that runs it without the right to.
    pub fn new(settings: SandboxSettings) -> Result<Self, SettingsError> {
        Self::with_clock(settings, || crate::platform::clock::now().mono)
    }

    /// Makes a sandbox whose tokens age by `clock`.
    ///
    /// # Errors
    /// As for [`Sandbox::new`].
    pub fn with_clock(
        settings: SandboxSettings,
        clock: impl Fn() -> Mono + Send + Sync + 'static,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let sessions = Mutex::new(Sessions::new(&settings));
        let database = Mutex::new(Database::new(settings.client_divers));
        let shared = Shared { settings, clock: Box::new(clock), sessions, database, record: Mutex::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The last requests, oldest first: at most 10,000, and at most 64 MiB of heads.
    #[must_use]
    pub fn record(&self) -> Vec<Seen> {
        self.shared.record.lock().to_vec()
    }

    /// How many quotes were made since the start.
    #[must_use]
    pub fn quotes(&self) -> u64 {
        self.shared.database.lock().quotes_made()
    }

    /// How many orders were made since the start.
    #[must_use]
    pub fn orders(&self) -> u64 {
        self.shared.database.lock().orders_made()
    }

    /// Drops every token, as a restart of the ERP does. The base stays.
    pub fn forget_sessions(&self) {
        self.shared.sessions.lock().clear();
    }
}

/// What to tell an admin once the server is up: the words 8sens shows, and where it listens.
#[must_use]
pub fn started(address: SocketAddr) -> Text {
    text! {
        en: "Serveur REST lancé (REST server started): http://{address}",
        fr: "Serveur REST lancé : http://{address}",
    }
}
