//! A new key, and what is said of it.

use super::{ExpiryArgs, Failure};
use crate::cli::{Exit, Format};
use crate::config::draft::{KeyEntry, KeySource};
use crate::domain::rules::{api_key, consumer};
use crate::text;
use crate::text::Text;
use data_encoding::HEXLOWER;
use jiff::ToSpan;
use jiff::civil::Date;
use secrecy::{ExposeSecret, SecretString};
use std::io::{self, Write};
use zeroize::Zeroizing;

/// A key and what the configuration says about it.
pub(super) struct NewKey {
    pub consumer: String,
    pub id: String,
    key: SecretString,
    pub sha256: String,
    pub created: Date,
    pub expires: Option<Date>,
}

/// Makes a key from the randomness of the system.
pub(super) fn make(consumer: &str, id: &str, created: Date, expires: Option<Date>) -> Result<NewKey, Failure> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(|error| {
        let message =
            text! { en: "the system gives no random bytes: {error}", fr: "le système ne fournit pas d'aléa : {error}" };
        (Exit::Failure, message)
    })?;
    let key = api_key::make(id, &random).map_err(|_| {
        let max = api_key::MAX_ID;
        let message = text! {
            en: "--id takes 1 to {max} characters among A-Z a-z 0-9 . _ -",
            fr: "--id prend de 1 à {max} caractères parmi A-Z a-z 0-9 . _ -",
        };
        (Exit::Usage, message)
    })?;
    let sha256 = HEXLOWER.encode(&consumer::digest(key.expose_secret().as_bytes()));
    Ok(NewKey { consumer: consumer.to_owned(), id: id.to_owned(), key, sha256, created, expires })
}

/// The last day of a key, one year from today unless it is said.
pub(super) fn expiry(args: ExpiryArgs, today: Date) -> Result<Option<Date>, Failure> {
    if args.no_expiry {
        return Ok(None);
    }
    let Some(expires) = args.expires else {
        // Saturates in the year 9999.
        return Ok(Some(today.saturating_add(1.year())));
    };
    if expires < today {
        let message = text! { en: "--expires {expires} has passed", fr: "--expires {expires} est déjà passé" };
        return Err((Exit::Usage, message).into());
    }
    Ok(Some(expires))
}

impl NewKey {
    pub(super) fn entry(&self) -> KeyEntry {
        KeyEntry {
            id: self.id.clone(),
            source: KeySource::Sha256(self.sha256.clone()),
            created: self.created,
            expires: self.expires,
        }
    }

    /// The key alone, or all that there is to know about it. `toml` is the line to paste, when nothing was edited.
    pub(super) fn write(&self, format: Format, toml: Option<&str>, data: &mut impl Write) -> Result<(), Failure> {
        self.try_write(format, toml, data).map_err(|error| {
            let message = text! {
                en: "the key could not be written, so there is none: {error}",
                fr: "la clé n'a pas pu être écrite, il n'y en a donc pas : {error}",
            };
            (Exit::Failure, message).into()
        })
    }

    fn try_write(&self, format: Format, toml: Option<&str>, data: &mut impl Write) -> io::Result<()> {
        let key = self.key.expose_secret();
        match format {
            Format::Text => {
                writeln!(data, "{key}")?;
                if let Some(toml) = toml {
                    writeln!(data, "{toml}")?;
                }
            }
            Format::Json => {
                let mut object = serde_json::json!({
                    "consumer": self.consumer,
                    "id": self.id,
                    "key": key,
                    "sha256": self.sha256,
                    "created": self.created.to_string(),
                    "expires": self.expires.map(|day| day.to_string()),
                });
                if let (Some(toml), Some(members)) = (toml, object.as_object_mut()) {
                    members.insert("toml".to_owned(), toml.into());
                }
                writeln!(data, "{object:#}")?;
            }
        }
        data.flush()
    }

    /// The line for the consumer's table. Id, digest and date hold no character that TOML wants escaped.
    pub(super) fn toml(&self) -> String {
        let Self { id, sha256, created, .. } = self;
        let expires = self.expires.map_or_else(String::new, |day| format!(", expires = {day}"));
        format!("keys = [ {{ id = \"{id}\", sha256 = \"{sha256}\", created = {created}{expires} }} ]")
    }

    /// What to do with the key, whoever admits it.
    pub(super) fn handling(&self) -> Text {
        let Self { consumer, id, .. } = self;
        let Text { en, fr } = match self.expires {
            Some(day) => text! { en: "valid through {day}, UTC", fr: "valable jusqu'au {day} inclus, UTC" },
            None => text! { en: "never expires", fr: "sans date d'expiration" },
        };
        text! {
            en: "Key {id} of {consumer}: {en}.\n\
                 The key is shown only this once and stored nowhere. Send it over a secure channel; the caller sends \
                 it in the header api_key.",
            fr: "Clé {id} de {consumer} : {fr}.\n\
                 La clé n'est affichée que cette fois et n'est conservée nulle part. Transmettez-la par un moyen sûr ; \
                 l'appelant l'envoie dans l'en-tête api_key.",
        }
    }
}
