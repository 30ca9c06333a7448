//! The logins of the gate's own: each is carried by a task, and whoever needs its token watches.

use super::lane::{OwnAnswer, OwnRequest, OwnRequests};
use super::shared::Shared;
use super::waiting::Logins;
use crate::config::Settings;
use crate::domain::exchange::{Alarm, Fault};
use crate::domain::request::TokenPlace;
use crate::domain::rules::login::Login;
use crate::domain::session::LoginOutcome;
use crate::domain::session::managed::{Account, AccountKey, Failure, Flight, Landed, Live, judge};
use crate::platform::clock;
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How long a renewal waits for what is on its way with the old token.
const UNUSED_WITHIN: Duration = Duration::from_secs(10);

/// How long a login may take, with the connection to 8sens.
const LOGIN_WITHIN: Duration = Duration::from_secs(15);

/// How long 8sens may take to hear that a session is over.
const LOGOUT_WITHIN: Duration = Duration::from_secs(5);

/// What a form leaves as it is (WHATWG URL, application/x-www-form-urlencoded).
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// Who logs in for the consumers whose sessions the gate keeps.
pub struct ManagedLogins {
    shared: Arc<Shared>,
    requests: OwnRequests,
    /// The sender of each goes with the login.
    under_way: Mutex<HashMap<AccountKey, watch::Receiver<()>>>,
}

impl fmt::Debug for ManagedLogins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagedLogins").finish_non_exhaustive()
    }
}

impl ManagedLogins {
    #[must_use]
    pub fn new(shared: Arc<Shared>, requests: OwnRequests) -> Self {
        Self { shared, requests, under_way: Mutex::default() }
    }

    /// The login that this account needs, which begins here unless it is under way; `None` when it has ended since it
    /// was asked for.
    fn login_of(self: &Arc<Self>, account: &Arc<Account>) -> Option<watch::Receiver<()>> {
        let mut under_way = self.under_way.lock();
        let limits = self.shared.settings.load().snapshot.session.limits;
        let Some(flight) = Flight::begin(account, &limits, clock::now().mono) else {
            return under_way.get(account.key()).cloned();
        };
        let (landing, landed) = watch::channel(());
        under_way.insert(account.key().clone(), landed.clone());
        tokio::spawn(Arc::clone(self).carry(flight, landing));
        Some(landed)
    }

    /// Carries one login to its end.
    async fn carry(self: Arc<Self>, flight: Flight, landing: watch::Sender<()>) {
        let key = flight.account().key().clone();
        self.fly(flight).await;
        let mut under_way = self.under_way.lock();
        if under_way.get(&key).is_some_and(|landed| landed.same_channel(&landing.subscribe())) {
            under_way.remove(&key);
        }
    }

    async fn fly(&self, mut flight: Flight) {
        let settings = self.shared.settings.load_full();
        let session = &settings.snapshot.session;
        if let Some(old) = flight.old().filter(|_| !session.concurrent_sessions) {
            // Past that time it is better to log in than to let everybody wait on.
            let _ = timeout(UNUSED_WITHIN, poll_fn(|cx| old.poll_unused(cx))).await;
        }
        if !flight.is_needed(&session.limits, clock::now().mono) {
            return;
        }
        let began = clock::now().mono;
        let answer = self.log_in(&settings, flight.login()).await;
        let (token, outcome, sent) = match answer {
            Ok(OwnAnswer { status, body, sent }) => {
                let answer = judge(&settings.snapshot.login.failed_when, status, &body);
                (answer.token, answer.outcome, sent)
            }
            Err(_) => (Err(Failure::Unreachable), LoginOutcome::Failed, began),
        };
        let consumers = self.consumers_of(flight.account());
        let telemetry = &self.shared.telemetry;
        let (_, consumer) = flight.account().key().parts();
        let took = clock::now().mono.since(began);
        telemetry.metrics.managed_login(consumer.unwrap_or("-"), flight.cause(), outcome, took);
        match token {
            Ok(token) => {
                let generation = flight.generation();
                match flight.succeeded(token, sent, clock::now().mono) {
                    Landed::Kept => {
                        self.shared.tables.accounts.set_changed();
                        tracing::info!(consumers, generation, "logged in");
                    }
                    Landed::Unwanted(token) => self.log_out(&settings, &token).await,
                }
            }
            Err(failure) => {
                if failure == Failure::Refused {
                    telemetry.alarm_of_login(Alarm::LoginRefused, &consumers);
                }
                flight.failed(failure);
            }
        }
    }

    /// Tells 8sens that these sessions are over, where it can be told, once nothing is on its way with them.
    pub fn end(self: &Arc<Self>, sessions: Vec<Arc<Live>>) {
        let settings = self.shared.settings.load_full();
        if sessions.is_empty() || settings.snapshot.login.logout_route.is_none() {
            return;
        }
        let logins = Arc::clone(self);
        tokio::spawn(async move {
            for live in sessions {
                let _ = timeout(UNUSED_WITHIN, poll_fn(|cx| live.poll_unused(cx))).await;
                logins.log_out(&settings, live.token()).await;
            }
        });
    }

    async fn log_in(&self, settings: &Settings, login: &Login) -> Result<OwnAnswer, Fault> {
        let rules = &settings.snapshot;
        let body = form(&rules.login.user_field, login);
        let fields: [(&str, &[u8]); 1] = [("Content-Type", b"application/x-www-form-urlencoded")];
        // The configuration was refused where there is none.
        let target = rules.session.login_target().unwrap_or_default();
        let request = OwnRequest { target, fields: &fields, body: body.as_bytes() };
        self.requests.post(&settings.upstream, request, LOGIN_WITHIN).await
    }

    async fn log_out(&self, settings: &Settings, token: &SecretString) {
        let session = &settings.snapshot.session;
        let Some(target) = &settings.snapshot.login.logout_route else { return };
        let token = token.expose_secret();
        let (mut target, mut fields) = (Zeroizing::new(target.to_string()), Vec::new());
        let bearer = Zeroizing::new(format!("Bearer {token}"));
        match session.inject_token {
            TokenPlace::AccessTokenHeader => fields.push(("access_token", token.as_bytes())),
            TokenPlace::TokenHeader => fields.push(("token", token.as_bytes())),
            TokenPlace::Bearer => fields.push(("Authorization", bearer.as_bytes())),
            TokenPlace::AccessTokenQuery => {
                target.push_str("?access_token=");
                target.extend(utf8_percent_encode(token, FORM));
            }
        }
        let request = OwnRequest { target: &target, fields: &fields, body: b"" };
        // A session that is not ended ends by itself.
        if self.requests.post(&settings.upstream, request, LOGOUT_WITHIN).await.is_err() {
            tracing::info!("8sens could not be told that a session is over");
        }
    }

    /// The consumers of an account, for logs and metrics.
    fn consumers_of(&self, account: &Arc<Account>) -> String {
        let all = self.shared.tables.accounts.all();
        let of = all.into_iter().find(|(known, _)| Arc::ptr_eq(known, account));
        of.map(|(_, consumers)| consumers.join(", ")).unwrap_or_default()
    }
}

impl Logins for Arc<ManagedLogins> {
    async fn settled(&self, account: &Arc<Account>) {
        if let Some(mut landed) = self.login_of(account) {
            // Nothing is ever sent: the sender is gone once the login has ended, whatever became of it.
            let _ = landed.changed().await;
        }
    }
}

/// The body of a login, as the vendor's page shows it.
fn form(user_field: &str, login: &Login) -> Zeroizing<String> {
    let (user, password) = (login.user().expose_secret(), login.password().expose_secret());
    let mut body = Zeroizing::new(String::with_capacity(32 + 3 * (user_field.len() + user.len() + password.len())));
    body.extend(utf8_percent_encode(user_field, FORM));
    body.push('=');
    body.extend(utf8_percent_encode(user, FORM));
    body.push_str("&password=");
    body.extend(utf8_percent_encode(password, FORM));
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_a_form() {
        let login = Login::new("CLIENT REST".to_owned().into(), "p&ss=+é%".to_owned().into());
        assert_eq!(form("login", &login).as_str(), "login=CLIENT%20REST&password=p%26ss%3D%2B%C3%A9%25");
    }
}
