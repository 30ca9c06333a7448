//! What is asked, as plain data, and how flags answer it.

use super::InitArgs;
use crate::config::entry;
use crate::domain::rules::api_key;
use crate::domain::rules::consumer::digest;
use crate::text;
use crate::text::Text;
use data_encoding::HEXLOWER;
use jiff::ToSpan;
use jiff::civil::Date;
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;
use zeroize::Zeroizing;

/// What a run of `init` is to write. What is `None` stays as it is, or has its default in a new file.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Host and port.
    pub upstream: Option<String>,
    /// A duration as it is in the file.
    pub idle_timeout: Option<String>,
    pub upstream_key: Option<SecretString>,
    pub token: Option<Token>,
    pub listener: Option<Listener>,
    pub consumers: Vec<NewConsumer>,
}

/// Where the token travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The word of `session.token_from`.
    At(&'static str),
    /// Nobody knows yet: `observe` finds out.
    Unknown,
}

/// An address to listen on, and what protects what travels there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub address: SocketAddr,
    pub transport: Transport,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// Nothing leaves this machine.
    Loopback,
    Files {
        certificate: String,
        key: String,
    },
    Acme {
        contact: String,
        domains: Vec<String>,
        directory: Option<String>,
    },
    /// In clear, for private addresses.
    Lan,
    /// In clear, from these proxies, which do TLS.
    BehindProxy(Vec<String>),
}

/// A consumer and its first key.
#[derive(Debug)]
pub(super) struct NewConsumer {
    pub name: String,
    /// Shown once.
    pub key: SecretString,
    pub sha256: String,
    pub created: Date,
    pub expires: Date,
}

/// The id of a first key.
pub(super) const FIRST_KEY: &str = "k1";

impl NewConsumer {
    /// Makes the first key, valid for a year.
    pub(super) fn new(name: &str, today: Date) -> Result<Self, Text> {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).map_err(|error| {
            text! { en: "the system gives no random bytes: {error}", fr: "le système ne fournit pas d'aléa : {error}" }
        })?;
        let key = api_key::make(FIRST_KEY, &random)
            .map_err(|_| text! { en: "no key can be made", fr: "impossible de créer une clé" })?;
        let sha256 = HEXLOWER.encode(&digest(key.expose_secret().as_bytes()));
        // Saturates in the year 9999.
        Ok(Self { name: name.to_owned(), key, sha256, created: today, expires: today.saturating_add(1.year()) })
    }
}

/// The places of a token, in the order in which they are offered.
pub(super) const PLACES: [&str; 4] = ["header:access_token", "bearer", "header:token", "query:access_token"];

impl Answers {
    /// What the flags say. The upstream key is not among them: it is never an argument.
    pub(super) fn of_flags(args: &InitArgs, today: Date) -> Result<Self, Text> {
        let listener = match (args.listen.as_deref(), transport(args)?) {
            (None, None) => None,
            (address, transport) => Some(listener(address, transport)?),
        };
        Ok(Self {
            upstream: args
                .upstream
                .as_deref()
                .map(|text| entry::host_port(text).map(|_| text.to_owned()))
                .transpose()?,
            idle_timeout: args.idle_timeout.as_deref().map(entry::duration).transpose()?,
            upstream_key: None,
            token: args.token_place.map(Token::from),
            listener,
            consumers: args
                .consumer
                .iter()
                .map(|name| entry::name(name).and_then(|name| NewConsumer::new(&name, today)))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn are_empty(&self) -> bool {
        self.upstream.is_none()
            && self.idle_timeout.is_none()
            && self.upstream_key.is_none()
            && self.token.is_none()
            && self.listener.is_none()
            && self.consumers.is_empty()
    }
}

fn transport(args: &InitArgs) -> Result<Option<Transport>, Text> {
    if let (Some(certificate), Some(key)) = (&args.tls_certificate, &args.tls_key) {
        return Ok(Some(Transport::Files { certificate: certificate.clone(), key: key.clone() }));
    }
    if !args.acme_domain.is_empty() {
        return Ok(Some(Transport::Acme {
            contact: args.acme_contact.clone().unwrap_or_default(),
            domains: args.acme_domain.clone(),
            directory: args.acme_directory.clone(),
        }));
    }
    if args.lan {
        return Ok(Some(Transport::Lan));
    }
    if !args.behind_proxy.is_empty() {
        let proxies = args.behind_proxy.iter().map(|text| entry::network(text)).collect::<Result<_, _>>()?;
        return Ok(Some(Transport::BehindProxy(proxies)));
    }
    Ok(None)
}

/// An address with what protects it; off loopback, something must.
fn listener(address: Option<&str>, transport: Option<Transport>) -> Result<Listener, Text> {
    let transport = transport.unwrap_or(Transport::Loopback);
    let address = entry::socket_address(address.unwrap_or_else(|| transport.default_address()))?;
    if transport == Transport::Loopback && !address.ip().to_canonical().is_loopback() {
        return Err(text! {
            en: "{address} is not a loopback address: say how keys and tokens are protected there, with \
                 --tls-certificate and --tls-key, --acme-domain, --behind-proxy or --lan",
            fr: "{address} n'est pas une adresse de loopback : dites comment les clés et les jetons y sont protégés, \
                 avec --tls-certificate et --tls-key, --acme-domain, --behind-proxy ou --lan"
        });
    }
    Ok(Listener { address, transport })
}

impl Transport {
    /// Where one usually listens with it.
    pub(super) const fn default_address(&self) -> &'static str {
        match self {
            Self::Loopback => "127.0.0.1:8080",
            Self::Files { .. } | Self::Acme { .. } => "0.0.0.0:443",
            Self::Lan | Self::BehindProxy(_) => "0.0.0.0:8080",
        }
    }
}
