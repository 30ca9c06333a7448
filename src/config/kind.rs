//! What a key may hold: the closed set of kinds of value, with their bounds.

use super::spec::{Syntax, ValueKind};
use crate::text::StaticText;
use std::time::Duration;

pub(super) const fn integer(least: u64, most: u64) -> ValueKind {
    ValueKind::Integer { least, most }
}

pub(super) const fn duration(least: Duration, most: Duration) -> ValueKind {
    ValueKind::Duration { least, most }
}

pub(super) const fn size(least: u64, most: u64) -> ValueKind {
    ValueKind::Size { least, most }
}

pub(super) const fn byte_rate(least: u64, most: u64) -> ValueKind {
    ValueKind::ByteRate { least, most }
}

pub(super) const fn choice(words: &'static [&'static str]) -> ValueKind {
    ValueKind::Choice(words)
}

pub(super) const BOOL: ValueKind = ValueKind::Bool;
pub(super) const QUOTA: ValueKind = ValueKind::Quota;
pub(super) const DATE: ValueKind = ValueKind::Date;
pub(super) const ROUTES: ValueKind = ValueKind::List(&ROUTE);
pub(super) const NETWORKS: ValueKind = ValueKind::List(&NETWORK);

/// Where a token may be.
pub(super) const TOKEN_PLACES: ValueKind = ValueKind::List(&TOKEN_PLACE);

/// Where a token travels.
pub(super) const TOKEN_PLACE: ValueKind =
    choice(&["header:access_token", "bearer", "header:token", "query:access_token"]);

pub(super) const USER: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "login name", fr: "identifiant" },
    pattern: Some(r"^[^\u0000-\u001f\u007f]{1,256}$"),
    example: "CLIENTREST",
});

/// Every timeout there is.
pub(super) const TIMEOUT: ValueKind = duration(Duration::from_millis(1), Duration::from_secs(3600));

pub(super) const HOST_PORT: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "host and port", fr: "hôte et port" },
    pattern: Some(r"^[^/\s]+:[0-9]{1,5}$"),
    example: "127.0.0.1:8082",
});

pub(super) const SOCKET_ADDRESS: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "IP address and port", fr: "adresse IP et port" },
    pattern: Some(r"^(\[[0-9A-Fa-f:.]+(%[0-9]+)?\]|[0-9.]+):[0-9]{1,5}$"),
    example: "127.0.0.1:8443",
});

pub(super) const SOCKET_ADDRESS_OR_OFF: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "IP address and port, or \"off\"", fr: "adresse IP et port, ou \"off\"" },
    pattern: Some(r"^(off|(\[[0-9A-Fa-f:.]+(%[0-9]+)?\]|[0-9.]+):[0-9]{1,5})$"),
    example: "127.0.0.1:9180",
});

pub(super) const NETWORK: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "network or IP address", fr: "réseau ou adresse IP" },
    pattern: Some(r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"),
    example: "192.0.2.0/24",
});

pub(super) const ROUTE: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "route rule", fr: "règle de route" },
    pattern: Some(r"^(\*|[A-Z]+) /[^\s]*$"),
    example: "GET /v1/*",
});

pub(super) const NAME: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "name: a-z, 0-9, - and _", fr: "nom : a-z, 0-9, - et _" },
    pattern: Some("^[a-z0-9][a-z0-9_-]{0,62}$"),
    example: "boutique-paris",
});

pub(super) const DIGEST: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "64 hexadecimal digits in lower case", fr: "64 chiffres hexadécimaux en minuscules" },
    pattern: Some("^[0-9a-f]{64}$"),
    example: "a5c0e0d2f25cba0ce3b25f4c0fbe5f2d40fdbb02fde9fc9eb8e4a3b2b2a2c4f1",
});

pub(super) const FIELD_NAME: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "name of a header field", fr: "nom d'en-tête" },
    pattern: Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$"),
    example: "x-forwarded-for",
});

pub(super) const PATH: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "path", fr: "chemin" },
    pattern: Some("^[^\\u0000]+$"),
    example: "/etc/sensgate/fullchain.pem",
});

pub(super) const CONSUMER_FILES: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "folder and pattern with one `*`", fr: "dossier et motif avec un seul `*`" },
    pattern: Some(r"^([^*?\[\]{}\\]*/)?[^*?\[\]{}\\/]*\*[^*?\[\]{}\\/]*$"),
    example: "consumers.d/*.toml",
});

pub(super) const LOG_TARGET: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "\"stdout\", \"off\" or a path", fr: "\"stdout\", \"off\" ou un chemin" },
    pattern: Some(r"^(off|stdout|.*[/\\.].*)$"),
    example: "/var/log/sensgate/access.log",
});

pub(super) const LOG_FILE: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "\"off\" or a path", fr: "\"off\" ou un chemin" },
    pattern: Some(r"^(off|.*[/\\.].*)$"),
    example: "/var/log/sensgate/audit.log",
});

pub(super) const ENVIRONMENT_NAME: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "name of an environment variable", fr: "nom d'une variable d'environnement" },
    pattern: Some("^[A-Za-z_][A-Za-z0-9_]*$"),
    example: "SENSGATE_API_KEY",
});

pub(super) const CREDENTIAL_NAME: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "name of a systemd credential", fr: "nom d'un credential systemd" },
    pattern: Some(r"^[^/\\]+$"),
    example: "8sens-api-key",
});

pub(super) const HOST: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "host name or IP address", fr: "nom d'hôte ou adresse IP" },
    pattern: Some(r"^[0-9A-Za-z.:\[\]-]{1,255}$"),
    example: "gate.example",
});

pub(super) const OWN_NAMES: ValueKind = ValueKind::List(&ValueKind::Text(&Syntax {
    name: StaticText {
        en: "host name or IP address, with a port or without",
        fr: "nom d'hôte ou adresse IP, avec ou sans port",
    },
    pattern: Some(r"^[0-9A-Za-z._:\[\]-]{1,262}$"),
    example: "srv-erp",
}));

pub(super) const EMAIL: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "e-mail address", fr: "adresse électronique" },
    pattern: Some(r"^(mailto:)?[^@\s]+@[0-9A-Za-z.-]+$"),
    example: "admin@example.org",
});

pub(super) const HTTPS_URL: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "https URL", fr: "URL https" },
    pattern: Some(r"^https://\S+$"),
    example: "https://acme-staging-v02.api.letsencrypt.org/directory",
});

pub(super) const PROFILE: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "word", fr: "mot" },
    pattern: Some("^[0-9A-Za-z._-]{1,64}$"),
    example: "shortlived",
});

pub(super) const WORDS: ValueKind = ValueKind::Text(&Syntax {
    name: StaticText { en: "words", fr: "mots" },
    pattern: Some("^[\\s\\S]+$"),
    example: "token expired",
});
