//! The certificate of one listener: had, served, and renewed for as long as the gate runs.

use super::challenges::Challenges;
use super::client::AcmeClient;
use super::failure::Failure;
use super::order::Ordering;
use super::schedule::{Chance, Window, wait_after_failure};
use super::self_signed::self_signed;
use super::store::Store;
use super::suggestion;
use crate::config::AcmeSettings;
use crate::domain::types::Wall;
use crate::platform::clock;
use crate::telemetry::Telemetry;
use crate::tls::{Certificate, Certificates};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long one attempt may take. What it has reached is on disk.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(600);

/// Attempts in a row that the protocol itself asks for.
const REPEATS: usize = 5;

/// The longest sleep before the wall clock is read again: it may have been set, or the machine may have slept.
const CLOCK_CHECK: Duration = Duration::from_secs(60);

/// After how long an authority is asked again that suggested nothing, or could not be asked (RFC 9773 section 4.3.3).
const ASK_AGAIN: Duration = Duration::from_secs(6 * 3600);

/// What the listeners share.
#[derive(Debug)]
pub struct Acme {
    state: PathBuf,
    challenges: Arc<Challenges>,
    telemetry: Arc<Telemetry>,
    /// One order at a time: a second listener for the same names finds the certificate of the first.
    turn: Mutex<()>,
}

impl Acme {
    /// `state` is the state directory.
    #[must_use]
    pub fn new(state: PathBuf, challenges: Arc<Challenges>, telemetry: Arc<Telemetry>) -> Self {
        Self { state, challenges, telemetry, turn: Mutex::default() }
    }

    /// Finds something to serve on a listener at once: the certificate of before, or for want of one a self-signed one,
    /// beside those of earlier names.
    ///
    /// # Errors
    /// When the state directory cannot be used.
    pub fn listener(self: &Arc<Self>, address: SocketAddr, settings: AcmeSettings) -> io::Result<Renewal> {
        let store = Store::open(&self.state, &settings)?;
        let stored = store.certificate()?;
        let certificates = match &stored {
            Some(certificate) => vec![certificate.clone()],
            // Of several that are valid for a name the last one is chosen.
            None => {
                let mut known = store.others()?;
                known.insert(0, self_signed(&settings.identifiers)?);
                known
            }
        };
        let renewal = Renewal {
            acme: Arc::clone(self),
            address,
            certificates: Arc::new(Certificates::new(certificates)),
            settings: watch::Sender::new(settings),
        };
        renewal.say_what_is_served(stored.as_ref());
        Ok(renewal)
    }

    /// Gets a certificate, or finds that it was had for another listener.
    async fn attempt(
        &self,
        settings: &AcmeSettings,
        store: &Store,
        served: Option<&Certificate>,
    ) -> Result<Certificate, Failure> {
        let _turn = self.turn.lock().await;
        if let Some(newer) = newer_in(store, served).await? {
            return Ok(newer);
        }
        let outcome = timeout(ATTEMPT_TIMEOUT, self.order(settings, store, served)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Failure::in_time()));
        self.telemetry.metrics.acme_order(outcome.is_ok());
        outcome
    }

    /// One order, tried again at once where the protocol wants that.
    async fn order(
        &self,
        settings: &AcmeSettings,
        store: &Store,
        served: Option<&Certificate>,
    ) -> Result<Certificate, Failure> {
        let client = client(settings).await?;
        let ordering = Ordering {
            settings,
            store,
            challenges: &self.challenges,
            client: &client,
            replaces: served.and_then(suggestion::identifier),
        };
        let mut outcome = ordering.run().await;
        for _ in 1..REPEATS {
            match outcome {
                Err(failure) if failure.may_be_repeated_at_once() => outcome = ordering.run().await,
                _ => break,
            }
        }
        outcome.map_err(|failure| failure.or_retry_after(client.take_retry_after()))
    }
}

/// One listener with its certificate.
#[derive(Debug)]
pub struct Renewal {
    acme: Arc<Acme>,
    address: SocketAddr,
    certificates: Arc<Certificates>,
    settings: watch::Sender<AcmeSettings>,
}

impl Renewal {
    /// What the listener serves, now and later.
    #[must_use]
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Takes over what a new configuration asks for. Where nothing changed, an attempt that waits for its turn after a
    /// failure is made now, unless the authority asked to wait.
    pub fn adopt(&self, settings: AcmeSettings) {
        self.settings.send_replace(settings);
    }

    /// Renews until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut changes = self.settings.subscribe();
        let mut blocked: Option<(AcmeSettings, Instant)> = None;
        loop {
            let settings = changes.borrow_and_update().clone();
            let until = blocked.take().filter(|(of, _)| *of == settings).map(|(_, until)| until);
            let mut asked_to_wait = until;
            tokio::select! {
                never = self.keep(&settings, &mut asked_to_wait) => match never {},
                changed = changes.changed() => if changed.is_err() { return },
            }
            blocked = asked_to_wait.map(|until| (settings, until));
        }
    }

    /// Keeps a good certificate for these settings, and never ends. `asked_to_wait` is until when the authority wants
    /// no question.
    async fn keep(&self, settings: &AcmeSettings, asked_to_wait: &mut Option<Instant>) -> std::convert::Infallible {
        let (mut failures, mut is_new) = (0u32, false);
        let mut served = self.begin(settings).await;
        loop {
            if let (Some(store), Some(certificate)) = (self.store(settings).await, &served) {
                let waited = self.wait_until_due(settings, &store, certificate).await;
                if is_new && !waited {
                    // A clock that is wrong by months must not make an order out of every certificate.
                    failures = failures.saturating_add(1);
                    let wait = wait_after_failure(failures, None, Chance::draw());
                    tracing::error!(listener = %self.address, retry_in_seconds = wait.as_secs(), "the new certificate \
                        is due at once; is the clock right?");
                    sleep(wait).await;
                } else {
                    failures = 0;
                }
            }
            if let Some(until) = asked_to_wait.take() {
                *asked_to_wait = Some(until);
                sleep_until(until).await;
                *asked_to_wait = None;
            }
            let outcome = match self.store(settings).await {
                Some(store) => self.acme.attempt(settings, &store, served.as_ref()).await,
                None => Err(Failure::of_order("the state directory cannot be used")),
            };
            match outcome {
                Ok(certificate) => {
                    self.serve(&certificate);
                    (served, is_new) = (Some(certificate), true);
                }
                Err(failure) => {
                    failures = failures.saturating_add(1);
                    let wait = wait_after_failure(failures, failure.retry_after(), Chance::draw());
                    self.say_why_not(&failure, wait, served.as_ref());
                    if failure.retry_after().is_some() {
                        *asked_to_wait = Some(Instant::now() + wait);
                    } else {
                        sleep(wait).await;
                    }
                }
            }
        }
    }

    /// What is there for these settings already. New names for which nothing is there leave what is served in place
    /// until it is.
    async fn begin(&self, settings: &AcmeSettings) -> Option<Certificate> {
        let stored = newer_in(&self.store(settings).await?, None).await.ok().flatten()?;
        let serves_it = self.certificates.current().iter().any(|served| served.leaf() == stored.leaf());
        if !serves_it {
            self.serve(&stored);
        }
        Some(stored)
    }

    async fn store(&self, settings: &AcmeSettings) -> Option<Store> {
        let (state, settings) = (self.acme.state.clone(), settings.clone());
        let opened = tokio::task::spawn_blocking(move || Store::open(&state, &settings)).await;
        opened.ok()?.inspect_err(|error| tracing::error!(%error, "the state directory cannot be used")).ok()
    }

    /// Waits until a certificate has to be renewed: when the authority says so, else at two thirds of its lifetime.
    /// False when that is now or was before.
    async fn wait_until_due(&self, settings: &AcmeSettings, store: &Store, certificate: &Certificate) -> bool {
        let chance = Chance::draw();
        let own = Window::of_lifetime(certificate.not_before(), certificate.not_after());
        let (mut window, mut ask_at, mut waited) = (own, Instant::now(), false);
        loop {
            if Instant::now() >= ask_at {
                let (suggested, again) = self.suggestion(settings, store, certificate).await;
                window = suggested.unwrap_or(own);
                ask_at = Instant::now() + again;
            }
            let due = until(window.moment(chance), clock::now().wall);
            if due.is_zero() {
                return waited;
            }
            sleep(due.min(CLOCK_CHECK).min(ask_at.saturating_duration_since(Instant::now()))).await;
            waited = true;
        }
    }

    /// The suggested window, and after how long to ask again.
    async fn suggestion(
        &self,
        settings: &AcmeSettings,
        store: &Store,
        certificate: &Certificate,
    ) -> (Option<Window>, Duration) {
        let asked = async { suggestion::ask(&client(settings).await?, store, certificate).await };
        match asked.await {
            Ok(Some((window, again))) => (Some(window), again),
            Ok(None) => (None, ASK_AGAIN),
            Err(failure) => {
                let reason = failure.reason();
                tracing::warn!(listener = %self.address, reason, "no suggestion about the renewal, two thirds of the \
                    lifetime count");
                (None, ASK_AGAIN)
            }
        }
    }

    fn serve(&self, certificate: &Certificate) {
        self.certificates.replace(vec![certificate.clone()]);
        self.say_what_is_served(Some(certificate));
    }

    fn say_what_is_served(&self, certificate: Option<&Certificate>) {
        let (listener, metrics) = (self.address, &self.acme.telemetry.metrics);
        metrics.set_self_signed(listener, certificate.is_none());
        let Some(certificate) = certificate else {
            tracing::warn!(%listener, "a self-signed certificate is served until the first one is issued");
            return;
        };
        metrics.set_certificate_expiries(listener, std::slice::from_ref(certificate));
        let names: Vec<_> = certificate.names().collect();
        let expires = date(certificate.not_after());
        tracing::info!(%listener, ?names, expires, "a certificate by ACME is served");
    }

    fn say_why_not(&self, failure: &Failure, wait: Duration, served: Option<&Certificate>) {
        let (listener, reason, retry_in_seconds) = (self.address, failure.reason(), wait.as_secs());
        match served.map(|certificate| date(certificate.not_after())) {
            Some(expires) => {
                tracing::error!(%listener, reason, retry_in_seconds, expires, "the certificate could not be renewed");
            }
            None => tracing::error!(%listener, reason, retry_in_seconds, "no certificate could be had"),
        }
    }
}

/// The stored certificate when it is another one than what is served, and lasts longer.
async fn newer_in(store: &Store, served: Option<&Certificate>) -> io::Result<Option<Certificate>> {
    let store = store.clone();
    let stored = tokio::task::spawn_blocking(move || store.certificate()).await.map_err(io::Error::other)??;
    let lasts = served.map(Certificate::not_after);
    Ok(stored.filter(|stored| lasts.is_none_or(|lasts| stored.not_after() > lasts)))
}

/// Reading the issuers that the system trusts takes milliseconds, which no connection has to wait for.
async fn client(settings: &AcmeSettings) -> io::Result<AcmeClient> {
    let ca = settings.ca.clone();
    tokio::task::spawn_blocking(move || AcmeClient::new(ca.as_deref())).await.map_err(io::Error::other)?
}

fn until(then: Wall, now: Wall) -> Duration {
    Duration::from_millis(u64::try_from(then.0.saturating_sub(now.0)).unwrap_or(0))
}

fn date(at: Wall) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_string()).unwrap_or_default()
}
