//! The sandbox: our stand-in for the 8sens REST server, for trials, the demo and tests.
//!
//! The vendor documents one route, `POST /v1/login/user`: a form `login=…&password=…` with the header `api_key` is
//! answered by `access_token`, `paramRacineCliID`, `paramRacinePecID` and `g8CliCode`. **Everything else here is our
//! assumption**, and no rule of the gate may depend on it: every other route, the places a token may travel in, the
//! status and the shape of each refusal, the types of the four fields, which requests slide the idle time. What we
//! assumed is noted where it is coded, in `routes/`:
//!
//! | route (all but the login assumed) | what it does |
//! |---|---|
//! | `POST /v1/login/user` | gives a token |
//! | `POST /v1/logout/user` | ends the token it is sent with |
//! | `GET /v1/articles`, `GET /v1/articles/{code}` | the catalogue |
//! | `GET`, `POST /v1/clients`, `GET /v1/clients/{id}` | clients, under `racine_client` |
//! | `GET`, `POST /v1/prospects`, `GET /v1/prospects/{id}` | prospects, under `racine_prospect` |
//! | `GET`, `POST /v1/devis`, `GET`, `PUT /v1/devis/{id}` | quotes, on "Client divers" until a client is known |
//! | `POST /v1/devis/{id}/transformation` | makes an order of a quote, once; 409 after that |
//! | `GET /v1/commandes`, `GET /v1/commandes/{id}` | orders |
//!
//! A quote may bear a `reference` of the shop, which its order then has too; `GET /v1/devis?reference=…` and
//! `GET /v1/commandes?reference=…` count what was made under it, so that a doubled order shows.
//!
//! Bodies are JSON of at most 64 KiB, amounts integer cents, dates ISO. Where nobody knows what 8sens does, the
//! settings choose between several behaviours: [`ExpiredAnswer`], [`WrongKeyAnswer`], [`FailedLoginAnswer`], `seats`,
//! `seats_per_login`, `token_shared`, `one_session_per_login`, `lock_after`. All is in memory and bounded.
//!
//! Each request the sandbox could parse is answered with `Server: 8sens-sandbox` and kept in a bounded record
//! ([`Sandbox::record`]). With `faults = true` a request may ask for a [`fault`]; `login_fault` is one of every login.

mod accounts;
mod database;
mod duration;
pub mod fault;
mod record;
mod routes;
mod serve;
mod sessions;
mod settings;

pub use record::Seen;
pub use settings::{Base, ExpiredAnswer, FailedLoginAnswer, SandboxSettings, SettingsError, User, WrongKeyAnswer};

use crate::domain::types::Mono;
use crate::text;
use crate::text::Text;
use accounts::Accounts;
use database::Database;
use fault::Faults;
use parking_lot::Mutex;
use record::Recording;
use sessions::Sessions;
use std::net::SocketAddr;
use std::sync::Arc;

/// One sandbox: its settings, its tokens, its base and what it saw. A clone is a handle on the same one.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<SandboxState>,
}

struct SandboxState {
    settings: SandboxSettings,
    clock: Box<dyn Fn() -> Mono + Send + Sync>,
    accounts: Mutex<Accounts>,
    sessions: Mutex<Sessions>,
    database: Mutex<Database>,
    record: Mutex<Recording>,
    login_fault: Mutex<Faults>,
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
        let shared = SandboxState {
            clock: Box::new(clock),
            accounts: Mutex::new(Accounts::new(&settings)),
            sessions: Mutex::new(Sessions::new(&settings)),
            database: Mutex::new(Database::new(settings.client_divers)),
            record: Mutex::default(),
            login_fault: Mutex::new(settings.login_fault.clone()),
            settings,
        };
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

    /// How many quotes were made under this reference.
    #[must_use]
    pub fn quotes_of(&self, reference: &str) -> u64 {
        self.shared.database.lock().references.quotes(reference)
    }

    /// How many orders were made under this reference.
    #[must_use]
    pub fn orders_of(&self, reference: &str) -> u64 {
        self.shared.database.lock().references.orders(reference)
    }

    /// True while too many wrong passwords keep this login out.
    #[must_use]
    pub fn is_locked(&self, login: &str) -> bool {
        let now = (self.shared.clock)();
        let user = self.shared.settings.users.iter().find(|user| user.name == login);
        user.is_some_and(|user| self.shared.accounts.lock().is_locked(user.id, now))
    }

    /// Sets what becomes of every login from now on, in place of the setting `login_fault`.
    pub fn set_login_fault(&self, faults: Faults) {
        *self.shared.login_fault.lock() = faults;
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
