//! The one registry of keys: which table has which, what they used to be called, and what is still to come.
//!
//! The reader refuses everything that is not here, suggestions come from here, and a test holds the example file to it.

/// Whether a key may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The file is refused without it.
    Required,
    /// Left out, it has the value that the example file shows.
    Default,
    /// Left out, it has no value.
    Optional,
}

/// One key of a table.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    pub name: &'static str,
    pub presence: Presence,
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The file itself.
    Root,
    /// `[name]`
    Table,
    /// `[[name]]`
    Repeated,
    /// `{ … }`, an element of a list or a secret.
    Inline,
}

/// One table of the file.
#[derive(Debug)]
pub struct TableSpec {
    /// Its name, dotted when it is inside another one; empty for the file itself.
    pub path: &'static str,
    pub form: Form,
    pub keys: &'static [KeySpec],
    /// Names that people write or that earlier versions had, with the name of today.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Names that a later version will have. Deleting one here is all it takes to free it.
    pub later: &'static [&'static str],
}

impl TableSpec {
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }

    /// How a person would write the table's head.
    pub(super) fn head(&self) -> String {
        match self.form {
            Form::Root => String::new(),
            Form::Table => format!("[{}]", self.path),
            Form::Repeated => format!("[[{}]]", self.path),
            Form::Inline => self.path.to_owned(),
        }
    }
}

const fn required(name: &'static str) -> KeySpec {
    KeySpec { name, presence: Presence::Required }
}

const fn default(name: &'static str) -> KeySpec {
    KeySpec { name, presence: Presence::Default }
}

const fn optional(name: &'static str) -> KeySpec {
    KeySpec { name, presence: Presence::Optional }
}

/// The top level.
pub static ROOT: TableSpec = TableSpec {
    path: "",
    form: Form::Root,
    keys: &[
        required("upstream"),
        default("session"),
        required("listener"),
        default("client_ip"),
        default("credentials"),
        default("limits"),
        default("log"),
        default("admin"),
        default("server"),
        default("state"),
        optional("consumer"),
    ],
    renamed: &[
        ("listen", "listener"),
        ("listeners", "listener"),
        ("consumers", "consumer"),
        ("backend", "upstream"),
        ("upstreams", "upstream"),
        ("sessions", "session"),
        ("limit", "limits"),
        ("logs", "log"),
        ("logging", "log"),
        ("proxies", "client_ip"),
    ],
    later: &["login", "shield", "orders", "maintenance", "shared"],
};

pub static UPSTREAM: TableSpec = TableSpec {
    path: "upstream",
    form: Form::Table,
    keys: &[
        required("address"),
        required("api_key"),
        default("idle_timeout"),
        default("connect_timeout"),
        default("read_timeout"),
        default("write_timeout"),
        default("keepalive_timeout"),
        default("pool_size"),
    ],
    renamed: &[
        ("apikey", "api_key"),
        ("api-key", "api_key"),
        ("key", "api_key"),
        ("timeout", "read_timeout"),
        ("url", "address"),
        ("host", "address"),
        ("ttl", "idle_timeout"),
        ("session_timeout", "idle_timeout"),
    ],
    later: &["tls"],
};

pub static SESSION: TableSpec = TableSpec {
    path: "session",
    form: Form::Table,
    keys: &[
        default("mode"),
        default("token_from"),
        default("login_routes"),
        default("public"),
        default("expired_when"),
        default("margin"),
        default("per_consumer"),
        default("total"),
        default("cookies"),
    ],
    renamed: &[
        ("login_route", "login_routes"),
        ("tokens_from", "token_from"),
        ("public_routes", "public"),
        ("expired", "expired_when"),
        ("max_sessions", "total"),
    ],
    later: &[],
};

pub static LISTENER: TableSpec = TableSpec {
    path: "listener",
    form: Form::Repeated,
    keys: &[required("address"), optional("tls"), optional("plaintext"), default("proxy_protocol")],
    renamed: &[("listen", "address"), ("bind", "address")],
    later: &[],
};

pub static CLIENT_IP: TableSpec = TableSpec {
    path: "client_ip",
    form: Form::Table,
    keys: &[default("trusted_proxies"), default("header")],
    renamed: &[("trusted", "trusted_proxies"), ("proxies", "trusted_proxies")],
    later: &[],
};

pub static CREDENTIALS: TableSpec =
    TableSpec { path: "credentials", form: Form::Table, keys: &[default("aliases")], renamed: &[], later: &[] };

pub static LIMITS: TableSpec = TableSpec {
    path: "limits",
    form: Form::Table,
    keys: &[
        default("head_bytes"),
        default("uri_bytes"),
        default("fields"),
        default("body_bytes"),
        default("connections"),
        default("connections_per_address"),
        default("handshake_timeout"),
        default("head_timeout"),
        default("body_timeout"),
        default("body_rate"),
        default("write_timeout"),
        default("write_rate"),
        default("keepalive_timeout"),
        default("requests_per_connection"),
        default("address_budget"),
        default("failed_credentials"),
        default("failed_tokens"),
        default("enforce"),
        default("rate_limit_headers"),
    ],
    renamed: &[
        ("header_bytes", "head_bytes"),
        ("url_bytes", "uri_bytes"),
        ("max_body", "body_bytes"),
        ("max_connections", "connections"),
        ("failed_keys", "failed_credentials"),
    ],
    later: &[],
};

pub static LOG: TableSpec = TableSpec {
    path: "log",
    form: Form::Table,
    keys: &[default("level"), default("access"), default("queue")],
    renamed: &[("access_log", "access")],
    later: &[],
};

pub static ADMIN: TableSpec = TableSpec {
    path: "admin",
    form: Form::Table,
    keys: &[default("address"), optional("token")],
    renamed: &[("listen", "address"), ("bearer_token", "token")],
    later: &[],
};

pub static SERVER: TableSpec = TableSpec {
    path: "server",
    form: Form::Table,
    keys: &[default("threads"), default("drain_timeout")],
    renamed: &[("workers", "threads"), ("shutdown_timeout", "drain_timeout")],
    later: &[],
};

pub static CONSUMER: TableSpec = TableSpec {
    path: "consumer",
    form: Form::Repeated,
    keys: &[
        required("name"),
        required("keys"),
        optional("rate_limit"),
        optional("route_limits"),
        optional("enforce"),
        optional("allow_from"),
        optional("allow"),
        default("deny"),
    ],
    renamed: &[
        ("key", "keys"),
        ("allowed_from", "allow_from"),
        ("routes", "allow"),
        ("rate", "rate_limit"),
        ("quota", "rate_limit"),
    ],
    later: &[],
};

pub static KEY: TableSpec = TableSpec {
    path: "consumer.keys",
    form: Form::Inline,
    keys: &[required("id"), optional("sha256"), optional("upstream_key"), optional("expires"), default("enabled")],
    renamed: &[("digest", "sha256"), ("hash", "sha256"), ("expiry", "expires"), ("name", "id")],
    later: &[],
};

pub static TLS: TableSpec = TableSpec {
    path: "listener.tls",
    form: Form::Inline,
    keys: &[required("certificate"), required("key")],
    renamed: &[("cert", "certificate"), ("chain", "certificate"), ("private_key", "key")],
    later: &["acme"],
};

pub static SECRET: TableSpec = TableSpec {
    path: "secret",
    form: Form::Inline,
    keys: &[optional("file"), optional("env"), optional("credential")],
    renamed: &[("path", "file"), ("environment", "env")],
    later: &[],
};

pub static STATE: TableSpec = TableSpec {
    path: "state",
    form: Form::Table,
    keys: &[optional("directory")],
    renamed: &[("dir", "directory"), ("path", "directory")],
    later: &[],
};

pub static EXPIRED_WHEN: TableSpec = TableSpec {
    path: "session.expired_when",
    form: Form::Inline,
    keys: &[required("status"), optional("body_contains")],
    renamed: &[("code", "status"), ("body", "body_contains"), ("contains", "body_contains")],
    later: &[],
};

pub static ROUTE_LIMIT: TableSpec = TableSpec {
    path: "consumer.route_limits",
    form: Form::Inline,
    keys: &[required("route"), required("rate_limit")],
    renamed: &[
        ("rule", "route"),
        ("path", "route"),
        ("limit", "rate_limit"),
        ("rate", "rate_limit"),
        ("quota", "rate_limit"),
    ],
    later: &[],
};

/// Tables whose rules hold always: credentials, header fields, framing and sizes can be neither shadowed nor switched off.
pub(super) static NEVER_SHADOWED: [&str; 5] = ["session", "listener", "client_ip", "credentials", "consumer.keys"];

/// Every table of the file shape.
pub static TABLES: &[&TableSpec] = &[
    &ROOT,
    &UPSTREAM,
    &SESSION,
    &LISTENER,
    &CLIENT_IP,
    &CREDENTIALS,
    &LIMITS,
    &LOG,
    &ADMIN,
    &SERVER,
    &STATE,
    &EXPIRED_WHEN,
    &CONSUMER,
    &ROUTE_LIMIT,
    &KEY,
    &TLS,
    &SECRET,
];

/// The table with a key of that name, when exactly one has it.
pub(super) fn only_owner(name: &str) -> Option<&'static TableSpec> {
    let mut owners = TABLES.iter().filter(|table| table.form != Form::Root && table.has(name));
    match (owners.next(), owners.next()) {
        (Some(owner), None) => Some(owner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_later_names_do_not_shadow_names_of_today() {
        for table in TABLES {
            for (old, new) in table.renamed {
                assert!(!table.has(old) && table.has(new), "{}: {old} → {new}", table.path);
            }
            for name in table.later {
                assert!(!table.has(name), "{}: {name}", table.path);
            }
        }
    }
}
