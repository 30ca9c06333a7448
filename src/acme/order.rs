//! One order, from the account to the certificate (RFC 8555 section 7). What has been reached is on disk at each step,
//! so that an attempt after a restart goes on where the last one stopped.

use super::challenges::{Challenges, Open};
use super::client::AcmeClient;
use super::failure::Failure;
use super::store::{Store, StoredAccount, StoredOrder};
use crate::config::{AcmeIdentifier, AcmeSettings};
use crate::tls::Certificate;
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long validation, and then issuance, is waited for. What takes longer is asked about again by the next attempt.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// The profile for certificates of IP addresses at Let's Encrypt, which issues them no other way.
const SHORT_LIVED: &str = "shortlived";

/// What one attempt works with.
pub(super) struct Ordering<'a> {
    pub settings: &'a AcmeSettings,
    pub store: &'a Store,
    pub challenges: &'a Arc<Challenges>,
    pub client: &'a AcmeClient,
    /// The certificate that this one will replace (RFC 9773 section 5).
    pub replaces: Option<CertificateIdentifier<'static>>,
}

impl Ordering<'_> {
    /// Gets a certificate. It is on disk then.
    ///
    /// # Errors
    /// Why not. An order that may still come to something stays on disk.
    pub(super) async fn run(&self) -> Result<Certificate, Failure> {
        let account = self.account().await?;
        let (mut order, key) = self.order(&account).await?;
        let mut open = Vec::new();
        match self.complete(&mut order, &key, &mut open).await {
            Ok(certificate) => Ok(certificate),
            Err(failure) => {
                if failure.ends_the_order() {
                    self.on_disk(|store| store.forget_order()).await?;
                }
                if failure.ends_the_account() {
                    self.on_disk(|store| store.forget_account()).await?;
                }
                Err(failure.without(open.iter().map(Open::token)))
            }
        }
    }

    /// The account of before, told of a new contact; or a new one.
    async fn account(&self) -> Result<Account, Failure> {
        let contact = self.settings.contact.as_deref();
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let Some(stored) = self.on_disk(|store| store.account()).await? else {
            let new =
                NewAccount { contact: contact.as_slice(), terms_of_service_agreed: true, only_return_existing: false };
            let (account, credentials) = builder.create(&new, self.settings.directory.clone(), None).await?;
            let stored = StoredAccount { contact: self.settings.contact.clone(), credentials };
            self.on_disk(move |store| store.keep_account(&stored)).await?;
            return Ok(account);
        };
        let known = stored.contact.as_deref() == contact;
        let account = builder.from_credentials(stored.credentials).await?;
        if !known {
            // A certificate matters more than who is written to.
            match account.update_contacts(contact.as_slice()).await {
                Ok(()) => self.remember_contact().await?,
                Err(error) => {
                    let failure = Failure::from(error);
                    if failure.ends_the_account() {
                        self.on_disk(|store| store.forget_account()).await?;
                        return Err(failure);
                    }
                    tracing::warn!(
                        reason = failure.reason(),
                        "the certificate authority does not take the new contact"
                    );
                }
            }
        }
        Ok(account)
    }

    async fn remember_contact(&self) -> Result<(), Failure> {
        let contact = self.settings.contact.clone();
        self.on_disk(move |store| match store.account()? {
            Some(stored) => store.keep_account(&StoredAccount { contact, ..stored }),
            None => Ok(()),
        })
        .await
    }

    /// The order of an attempt that was broken off, or a new one; with the key of its certificate.
    async fn order(&self, account: &Account) -> Result<(Order, Zeroizing<String>), Failure> {
        if let Some(stored) = self.on_disk(|store| store.order()).await? {
            match account.order(stored.url).await.map_err(Failure::from) {
                Ok(mut order) => {
                    if order.state().status != OrderStatus::Invalid {
                        tracing::info!("an earlier order is resumed");
                        return Ok((order, stored.key));
                    }
                    self.on_disk(|store| store.forget_order()).await?;
                }
                Err(failure) if !failure.ends_the_order() => return Err(failure),
                Err(_) => self.on_disk(|store| store.forget_order()).await?,
            }
        }
        let order = match self.new_order(account).await.map_err(Failure::from) {
            Err(failure) if failure.ends_the_account() => {
                self.on_disk(|store| store.forget_account()).await?;
                return Err(failure);
            }
            order => order?,
        };
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let stored = StoredOrder { url: order.url().to_owned(), key: key.serialize_pem().into() };
        let key = stored.key.clone();
        self.on_disk(move |store| store.keep_order(&stored)).await?;
        Ok((order, key))
    }

    async fn new_order(&self, account: &Account) -> Result<Order, instant_acme::Error> {
        let identifiers: Vec<_> = self.settings.identifiers.iter().map(identifier).collect();
        let profile = self.profile(account);
        let new = || match &profile {
            Some(profile) => NewOrder::new(&identifiers).profile(profile),
            None => NewOrder::new(&identifiers),
        };
        if let Some(replaced) = &self.replaces {
            match account.new_order(&new().replaces(replaced.clone())).await {
                // The word is a courtesy; an authority that takes it amiss gets an order without it.
                Err(error) if !Failure::asks_to_wait(&error) => {}
                answer => return answer,
            }
        }
        account.new_order(&new()).await
    }

    /// The profile to ask for: never one that the directory does not offer.
    fn profile(&self, account: &Account) -> Option<String> {
        let offered = |wanted: &str| account.profiles().any(|profile| profile.name == wanted);
        match self.settings.profile.as_deref() {
            Some(wanted) if offered(wanted) => Some(wanted.to_owned()),
            Some(wanted) => {
                tracing::warn!(profile = wanted, "the directory does not offer this profile, its default is asked for");
                None
            }
            None => {
                let has_address = self.settings.identifiers.iter().any(|id| matches!(id, AcmeIdentifier::Address(_)));
                (has_address && offered(SHORT_LIVED)).then(|| SHORT_LIVED.to_owned())
            }
        }
    }

    /// Takes an order to its end from wherever it is. Challenges are answered for as long as `open` lives.
    async fn complete(&self, order: &mut Order, key: &str, open: &mut Vec<Open>) -> Result<Certificate, Failure> {
        if order.state().status == OrderStatus::Pending {
            self.authorize(order, open).await?;
            let polled = order.poll_ready(&PATIENCE).await;
            if order.state().status == OrderStatus::Invalid {
                return Err(refusals(order).await);
            }
            polled?;
        }
        if order.state().status == OrderStatus::Ready {
            order.finalize_csr(&self.signing_request(key)?).await?;
        }
        let chain = order.poll_certificate(&PATIENCE).await?;
        let certificate = self.checked(&chain, key)?;
        let key = Zeroizing::new(key.to_owned());
        self.on_disk(move |store| store.keep_certificate(&chain, &key)).await?;
        Ok(certificate)
    }

    /// Answers every challenge that is still open, and says so.
    async fn authorize(&self, order: &mut Order, open: &mut Vec<Open>) -> Result<(), Failure> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                // Polling the order says what became of it.
                _ => return Ok(()),
            }
            let Some(mut challenge) = authorization.challenge(ChallengeType::Http01) else {
                return Err(Failure::of_order("the certificate authority does not offer http-01 for these names"));
            };
            let answer = challenge.key_authorization();
            let opened = self.challenges.open(&challenge.token, answer.as_str());
            open.push(opened.ok_or_else(|| Failure::of_order("a challenge that cannot be answered"))?);
            if challenge.status == ChallengeStatus::Pending {
                challenge.set_ready().await?;
            }
        }
        Ok(())
    }

    fn signing_request(&self, key: &str) -> io::Result<Vec<u8>> {
        let made = || {
            let names: Vec<_> = self.settings.identifiers.iter().map(ToString::to_string).collect();
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name = DistinguishedName::new();
            Ok::<_, rcgen::Error>(params.serialize_request(&KeyPair::from_pem(key)?)?.der().to_vec())
        };
        made().map_err(io::Error::other)
    }

    /// A certificate that is what was asked for.
    fn checked(&self, chain: &str, key: &str) -> Result<Certificate, Failure> {
        let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes())
            .map_err(|error| Failure::of_order(&format!("the issued certificate cannot be used: {error}")))?;
        let missing = self.settings.identifiers.iter().find(|identifier| {
            let wanted = identifier.to_string();
            !certificate.names().any(|name| name == wanted)
        });
        match missing {
            Some(identifier) => Err(Failure::of_order(&format!("the issued certificate is not for {identifier}"))),
            None => Ok(certificate),
        }
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await.map_err(io::Error::other)?;
        Ok(done?)
    }
}

fn identifier(identifier: &AcmeIdentifier) -> Identifier {
    match identifier {
        AcmeIdentifier::Name(name) => Identifier::Dns(name.to_string()),
        AcmeIdentifier::Address(address) => Identifier::Ip(*address),
    }
}

/// Why validation failed, for each name that did.
async fn refusals(order: &mut Order) -> Failure {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        let name = authorization.identifier().to_string();
        reasons.extend(errors.map(|error| format!("{name}: {}", error.detail.as_deref().unwrap_or("refused"))));
    }
    if reasons.is_empty() {
        reasons.push("validation failed".to_owned());
    }
    Failure::of_order(&reasons.join("; "))
}
