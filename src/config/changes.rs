//! What is different between the configuration in force and one that was read anew, and how much of it can be applied
//! at once.
//!
//! Compares by value, never by text: a comment or another spelling of the same duration is no change. Every field of
//! every setting is taken apart by name, so that one added later does not compile before it is said here whether a
//! reload applies it.

use super::settings::{
    AdminSettings, ConnectionSettings, FileCertificates, ListenerSettings, LogSettings, ServerSettings, Settings,
    TlsSettings, UpstreamSettings,
};
use crate::domain::limit::login_shield::LoginQuotas;
use crate::domain::request::head::HeadLimits;
use crate::domain::request::{FieldRole, Transport};
use crate::domain::rules::consumer::{Consumer, Credential};
use crate::domain::rules::snapshot::{BudgetRules, LoginRules, SessionRules, SizeLimits, Snapshot};
use crate::domain::session::SessionLimits;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Everything that is different, by the names that are in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    pub consumers: ConsumerChanges,
    /// Applied by a reload.
    pub tables: Vec<TableChange>,
    /// Only a restart takes these up: until then, what was in force stays.
    pub needs_restart: Vec<TableChange>,
}

/// Consumers by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerChanges {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<ConsumerChange>,
}

/// What is different about one consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerChange {
    pub name: String,
    pub keys: KeyChanges,
    /// Keys of its table, such as `rate_limit`.
    pub settings: Vec<String>,
}

/// Keys of a consumer by id. One that was replaced under the same id is a changed one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChanges {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
}

/// What is different in one table of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChange {
    /// Such as `limits`, or `listener 127.0.0.1:8443`.
    pub table: String,
    pub keys: Vec<String>,
}

impl Changes {
    /// True when the two configurations mean the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.has_live() && self.needs_restart.is_empty()
    }

    /// True when a reload changes something.
    #[must_use]
    pub fn has_live(&self) -> bool {
        let ConsumerChanges { added, removed, changed } = &self.consumers;
        !(added.is_empty() && removed.is_empty() && changed.is_empty() && self.tables.is_empty())
    }

    /// What a reload applies, a line for each table: `consumers: + a, - b, ~ c (keys: + k2; rate_limit)`,
    /// `[limits] body_bytes`.
    #[must_use]
    pub fn live_lines(&self) -> Vec<String> {
        let ConsumerChanges { added, removed, changed } = &self.consumers;
        let mut parts = signed(added, removed);
        parts.extend(changed.iter().map(|consumer| format!("~ {} ({})", consumer.name, consumer.summary())));
        let consumers = (!parts.is_empty()).then(|| format!("consumers: {}", parts.join(", ")));
        consumers.into_iter().chain(self.tables.iter().map(TableChange::line)).collect()
    }

    /// What waits for a restart, in the same form.
    #[must_use]
    pub fn restart_lines(&self) -> Vec<String> {
        self.needs_restart.iter().map(TableChange::line).collect()
    }
}

impl ConsumerChange {
    fn summary(&self) -> String {
        let mut keys = signed(&self.keys.added, &self.keys.removed);
        keys.extend(self.keys.changed.iter().map(|id| format!("~ {id}")));
        let keys = (!keys.is_empty()).then(|| format!("keys: {}", keys.join(", ")));
        let settings = (!self.settings.is_empty()).then(|| self.settings.join(", "));
        keys.into_iter().chain(settings).collect::<Vec<_>>().join("; ")
    }
}

impl TableChange {
    fn line(&self) -> String {
        format!("[{}] {}", self.table, self.keys.join(", "))
    }
}

fn signed(added: &[String], removed: &[String]) -> Vec<String> {
    let added = added.iter().map(|name| format!("+ {name}"));
    added.chain(removed.iter().map(|name| format!("- {name}"))).collect()
}

/// What is in force after `written` was read while `running` was: `written`, but for what only a restart applies.
#[must_use]
pub fn take_up(running: &Settings, written: Settings) -> (Settings, Changes) {
    let mut found = Found::default();
    compare_snapshots(&running.snapshot, &written.snapshot, &mut found);
    let upstream = upstream(&running.upstream, written.upstream, &mut found);
    let listeners = listeners(&running.listeners, written.listeners, &mut found);
    connections(&running.connections, &written.connections, &mut found);
    let log = log(&running.log, written.log, &mut found);
    let admin = admin(running.admin.as_ref(), written.admin, &mut found);
    let server = server(&running.server, written.server, &mut found);
    found.restart("state", "directory", running.state_directory == written.state_directory);
    let settings = Settings {
        snapshot: written.snapshot,
        upstream,
        listeners,
        connections: written.connections,
        log,
        admin,
        server,
        state_directory: running.state_directory.clone(),
        positions: written.positions,
    };
    (settings, found.0)
}

/// Collects differences.
#[derive(Default)]
struct Found(Changes);

impl Found {
    fn live(&mut self, table: &str, key: &str, same: bool) {
        if !same {
            note(&mut self.0.tables, table, key);
        }
    }

    fn restart(&mut self, table: &str, key: &str, same: bool) {
        if !same {
            note(&mut self.0.needs_restart, table, key);
        }
    }
}

fn note(changes: &mut Vec<TableChange>, table: &str, key: &str) {
    let at = changes.iter().position(|change| change.table == table).unwrap_or_else(|| {
        changes.push(TableChange { table: table.to_owned(), keys: Vec::new() });
        changes.len() - 1
    });
    if !changes[at].keys.iter().any(|known| known == key) {
        changes[at].keys.push(key.to_owned());
    }
}

fn compare_snapshots(running: &Snapshot, written: &Snapshot, found: &mut Found) {
    // No key of the file reaches the policies.
    let Snapshot { consumers, fields, trusted_proxies, session, login, encoded_slash, budgets, limits } = written;
    found.0.consumers = compare_consumers(running, consumers.iter());
    found.live("client_ip", "trusted_proxies", running.trusted_proxies == *trusted_proxies);
    let named = |role| running.fields.names_of(role) == fields.names_of(role);
    found.live("client_ip", "header", named(FieldRole::ClientAddress));
    found.live("credentials", "aliases", named(FieldRole::KeyAlias));
    session_rules(&running.session, session, found);
    login_rules(&running.login, login, found);
    found.live("upstream", "encoded_slash", running.encoded_slash == *encoded_slash);
    budget_rules(&running.budgets, budgets, found);
    size_limits(&running.limits, limits, found);
}

fn session_rules(running: &SessionRules, written: &SessionRules, found: &mut Found) {
    let SessionRules {
        token_from,
        login_routes,
        public,
        mode,
        limits,
        expired_when,
        resend_expired_writes,
        pass_cookies,
        inject_token,
        concurrent_sessions,
        share_login,
    } = written;
    found.live("session", "token_from", running.token_from == *token_from);
    found.live("session", "login_routes", running.login_routes == *login_routes);
    found.live("session", "public", running.public == *public);
    found.live("session", "mode", running.mode == *mode);
    found.live("session", "expired_when", running.expired_when == *expired_when);
    found.live("session", "resend_expired_writes", running.resend_expired_writes == *resend_expired_writes);
    found.live("session", "cookies", running.pass_cookies == *pass_cookies);
    found.live("session", "inject_token", running.inject_token == *inject_token);
    found.live("session", "concurrent_sessions", running.concurrent_sessions == *concurrent_sessions);
    found.live("session", "share_login", running.share_login == *share_login);
    let SessionLimits { idle_timeout, margin, per_consumer, total, linger: _ } = limits;
    found.live("upstream", "idle_timeout", running.limits.idle_timeout == *idle_timeout);
    found.live("session", "margin", running.limits.margin == *margin);
    found.live("session", "per_consumer", running.limits.per_consumer == *per_consumer);
    found.live("session", "total", running.limits.total == *total);
}

fn login_rules(running: &LoginRules, written: &LoginRules, found: &mut Found) {
    let LoginRules { user_field, failed_when, logout_route } = written;
    found.live("login", "user_field", running.user_field == *user_field);
    found.live("login", "failed_when", running.failed_when == *failed_when);
    found.live("login", "logout_route", running.logout_route == *logout_route);
}

fn budget_rules(running: &BudgetRules, written: &BudgetRules, found: &mut Found) {
    let BudgetRules { address, failed_credentials, failed_tokens, logins, enforce, rate_limit_on_answers } = written;
    login_quotas(&running.logins, logins, found);
    found.live("limits", "address_budget", running.address == *address);
    found.live("limits", "failed_credentials", running.failed_credentials == *failed_credentials);
    found.live("limits", "failed_tokens", running.failed_tokens == *failed_tokens);
    found.live("limits", "enforce", running.enforce == *enforce);
    found.live("limits", "rate_limit_headers", running.rate_limit_on_answers == *rate_limit_on_answers);
}

fn login_quotas(running: &LoginQuotas, written: &LoginQuotas, found: &mut Found) {
    let LoginQuotas { name, address, key, total, known } = written;
    found.live("limits", "failed_logins_per_name", running.name == *name);
    found.live("limits", "failed_logins_per_address", running.address == *address);
    found.live("limits", "failed_logins_per_key", running.key == *key);
    found.live("limits", "failed_logins", running.total == *total);
    found.live("limits", "failed_logins_of_known", running.known == *known);
}

fn size_limits(running: &SizeLimits, written: &SizeLimits, found: &mut Found) {
    let SizeLimits { head: HeadLimits { bytes, uri, fields }, body } = written;
    found.live("limits", "head_bytes", running.head.bytes == *bytes);
    found.live("limits", "uri_bytes", running.head.uri == *uri);
    found.live("limits", "fields", running.head.fields == *fields);
    found.live("limits", "body_bytes", running.body == *body);
}

fn connections(running: &ConnectionSettings, written: &ConnectionSettings, found: &mut Found) {
    let ConnectionSettings {
        max,
        max_per_address,
        handshake_timeout,
        head_timeout,
        body,
        answer,
        keepalive_timeout,
        max_requests,
    } = written;
    found.live("limits", "connections", running.max == *max);
    found.live("limits", "connections_per_address", running.max_per_address == *max_per_address);
    found.live("limits", "handshake_timeout", running.handshake_timeout == *handshake_timeout);
    found.live("limits", "head_timeout", running.head_timeout == *head_timeout);
    found.live("limits", "body_timeout", running.body.grace == body.grace);
    found.live("limits", "body_rate", running.body.rate == body.rate);
    found.live("limits", "write_timeout", running.answer.grace == answer.grace);
    found.live("limits", "write_rate", running.answer.rate == answer.rate);
    found.live("limits", "keepalive_timeout", running.keepalive_timeout == *keepalive_timeout);
    found.live("limits", "requests_per_connection", running.max_requests == *max_requests);
}

/// Sessions belong to the address of 8sens, and the pool is made at the start.
fn upstream(running: &UpstreamSettings, written: UpstreamSettings, found: &mut Found) -> UpstreamSettings {
    let UpstreamSettings {
        host,
        port,
        host_field: _, // made of the two before
        also_known_as,
        api_key,
        connect_timeout,
        read_timeout,
        answer_timeout,
        write_timeout,
        keepalive_timeout,
        pool_size,
        forwarder,
        tls,
    } = &written;
    let same_address = running.host == *host && running.port == *port;
    found.restart("upstream", "address", same_address);
    found.restart("upstream", "pool_size", running.pool_size == *pool_size);
    found.restart("upstream", "forwarder", running.forwarder == *forwarder);
    // A key belongs to the 8sens at that address: another one is not for this one.
    if same_address {
        found.live("upstream", "api_key", running.api_key == *api_key);
    } else {
        found.restart("upstream", "api_key", running.api_key == *api_key);
    }
    let api_key = if same_address { api_key } else { &running.api_key }.clone();
    found.live("upstream", "also_known_as", running.also_known_as == *also_known_as);
    found.live("upstream", "connect_timeout", running.connect_timeout == *connect_timeout);
    found.live("upstream", "read_timeout", running.read_timeout == *read_timeout);
    found.live("upstream", "answer_timeout", running.answer_timeout == *answer_timeout);
    found.live("upstream", "write_timeout", running.write_timeout == *write_timeout);
    found.live("upstream", "keepalive_timeout", running.keepalive_timeout == *keepalive_timeout);
    found.live("upstream", "tls", running.tls == *tls);
    UpstreamSettings {
        host: running.host.clone(),
        port: running.port,
        host_field: running.host_field.clone(),
        api_key,
        pool_size: running.pool_size,
        forwarder: running.forwarder,
        ..written
    }
}

/// The sockets that are bound stay, each with what it was bound for. Of a listener that is still written with TLS, the
/// certificates are applied.
fn listeners(running: &[ListenerSettings], written: Vec<ListenerSettings>, found: &mut Found) -> Vec<ListenerSettings> {
    let mut written: Vec<Option<ListenerSettings>> = written.into_iter().map(Some).collect();
    let mut kept = Vec::with_capacity(running.len());
    for listener in running {
        let table = format!("listener {}", listener.address);
        let same = |other: &Option<ListenerSettings>| other.as_ref().is_some_and(|o| o.address == listener.address);
        let twin = written.iter().position(same).and_then(|at| written[at].take());
        kept.push(match twin {
            Some(twin) => listener_taken_up(&table, listener, twin, found),
            None => {
                found.restart(&table, "address", false);
                listener.clone()
            }
        });
    }
    for new in written.iter().flatten() {
        found.restart(&format!("listener {}", new.address), "address", false);
    }
    kept
}

fn listener_taken_up(
    table: &str,
    running: &ListenerSettings,
    written: ListenerSettings,
    found: &mut Found,
) -> ListenerSettings {
    let ListenerSettings { address: _, transport, tls, http2, hsts, proxy_protocol } = written;
    let about_tls = [running.transport, transport].contains(&Transport::Tls);
    found.restart(table, if about_tls { "tls" } else { "plaintext" }, running.transport == transport);
    found.restart(table, "http2", running.http2 == http2);
    found.restart(table, "hsts", running.hsts == hsts);
    found.restart(table, "proxy_protocol", running.proxy_protocol == proxy_protocol);
    let taken_up = match (&running.tls, tls) {
        (Some(TlsSettings::Files(old)), Some(TlsSettings::Files(new))) => {
            let FileCertificates { files, certificates } = &new;
            found.live(table, "tls", old.files == *files && old.certificates == *certificates);
            Some(TlsSettings::Files(new))
        }
        (Some(TlsSettings::Acme(old)), Some(TlsSettings::Acme(new))) => {
            found.live(table, "tls", *old == new);
            Some(TlsSettings::Acme(new))
        }
        (Some(_), Some(_)) => {
            found.restart(table, "tls", false);
            running.tls.clone()
        }
        _ => running.tls.clone(),
    };
    ListenerSettings { tls: taken_up, ..running.clone() }
}

fn log(running: &LogSettings, written: LogSettings, found: &mut Found) -> LogSettings {
    let LogSettings { level, access, queue, audit, anonymize_ip } = written;
    found.live("log", "level", running.level == level);
    found.restart("log", "access", running.access == access);
    found.restart("log", "queue", running.queue == queue);
    found.restart("log", "audit", running.audit == audit);
    found.restart("log", "anonymize_ip", running.anonymize_ip == anonymize_ip);
    LogSettings { level, ..running.clone() }
}

fn admin(running: Option<&AdminSettings>, written: Option<AdminSettings>, found: &mut Found) -> Option<AdminSettings> {
    let address = |admin: Option<&AdminSettings>| admin.map(|admin| admin.address);
    found.restart("admin", "address", address(running) == address(written.as_ref()));
    let (running, Some(AdminSettings { address: _, token, hosts })) = (running?, written) else {
        return running.cloned();
    };
    let secret = |token: &Option<SecretString>| token.as_ref().map(|token| token.expose_secret().to_owned());
    found.restart("admin", "token", secret(&running.token) == secret(&token));
    found.live("admin", "hosts", running.hosts == hosts);
    Some(AdminSettings { hosts, ..running.clone() })
}

fn server(running: &ServerSettings, written: ServerSettings, found: &mut Found) -> ServerSettings {
    let ServerSettings { threads, drain_timeout, reload_on_change } = written;
    found.restart("server", "threads", running.threads == threads);
    found.live("server", "drain_timeout", running.drain_timeout == drain_timeout);
    found.live("server", "reload_on_change", running.reload_on_change == reload_on_change);
    ServerSettings { threads: running.threads, ..written }
}

fn compare_consumers<'c>(running: &Snapshot, written: impl Iterator<Item = &'c Consumer>) -> ConsumerChanges {
    let mut changes = ConsumerChanges::default();
    let mut left: HashMap<&str, &Consumer> = running.consumers.iter().map(|old| (old.name.as_ref(), old)).collect();
    for new in written {
        match left.remove(new.name.as_ref()) {
            None => changes.added.push(new.name.to_string()),
            Some(old) => changes.changed.extend(compare_consumer(old, new)),
        }
    }
    let gone = running.consumers.iter().filter(|old| left.contains_key(old.name.as_ref()));
    changes.removed = gone.map(|old| old.name.to_string()).collect();
    changes
}

fn compare_consumer(old: &Consumer, new: &Consumer) -> Option<ConsumerChange> {
    let Consumer { name, credentials, allow_from, allow, deny, rate_limit, route_limits, enforce, session, login } =
        new;
    let keys = compare_keys(&old.credentials, credentials);
    let settings = [
        ("allow_from", old.allow_from == *allow_from),
        ("allow", old.allow == *allow),
        ("deny", old.deny == *deny),
        ("rate_limit", old.rate_limit == *rate_limit),
        ("route_limits", old.route_limits == *route_limits),
        ("enforce", old.enforce == *enforce),
        ("session", old.session == *session),
        ("login", old.login == *login),
    ];
    let settings: Vec<String> =
        settings.iter().filter(|(_, same)| !same).map(|(setting, _)| (*setting).to_owned()).collect();
    let same = settings.is_empty() && keys == KeyChanges::default();
    (!same).then(|| ConsumerChange { name: name.to_string(), keys, settings })
}

fn compare_keys(old: &[Credential], new: &[Credential]) -> KeyChanges {
    let mut changes = KeyChanges::default();
    for key in new {
        let Credential { id, digest, expires, enabled, created, is_upstream_key } = key;
        match old.iter().find(|known| known.id == *id) {
            None => changes.added.push(id.to_string()),
            Some(known) => {
                let same = known.digest == *digest
                    && known.expires == *expires
                    && known.enabled == *enabled
                    && known.created == *created
                    && known.is_upstream_key == *is_upstream_key;
                if !same {
                    changes.changed.push(id.to_string());
                }
            }
        }
    }
    let gone = old.iter().filter(|known| !new.iter().any(|key| key.id == known.id));
    changes.removed = gone.map(|known| known.id.to_string()).collect();
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const SOURCE: &str = "[upstream]\naddress = \"127.0.0.1:8082\"\napi_key = { env = \"CARGO_PKG_NAME\" }\n\
                          [[listener]]\naddress = \"127.0.0.1:8443\"\n[server]\nthreads = 4\n";

    fn settings(source: &str) -> Settings {
        super::super::parse(source, "sensgate.toml", Path::new("")).unwrap().settings
    }

    /// The lines of what changed when `from` is written as `to`, and what is in force then.
    fn after(from: &str, to: &str) -> (Settings, Vec<String>, Vec<String>) {
        assert!(SOURCE.contains(from), "{from}");
        let (taken_up, changes) = take_up(&settings(SOURCE), settings(&SOURCE.replacen(from, to, 1)));
        (taken_up, changes.live_lines(), changes.restart_lines())
    }

    #[test]
    fn the_same_meaning_is_no_change() {
        let (_, changes) = take_up(&settings(SOURCE), settings(&format!("# a comment\n{SOURCE}")));
        assert!(changes.is_empty(), "{changes:?}");
    }

    #[test]
    fn what_needs_a_restart_is_named_and_not_in_force() {
        let written = SOURCE.replacen("threads = 4", "threads = 5", 1);
        assert_ne!(written, SOURCE);
        let running = settings(SOURCE);
        let (taken_up, changes) = take_up(&running, settings(&written));
        assert_eq!(changes.restart_lines(), ["[server] threads"]);
        assert!(!changes.has_live() && !changes.is_empty());
        assert_eq!(taken_up.server.threads, running.server.threads);
        // It is said again until the restart.
        let (_, again) = take_up(&taken_up, settings(&written));
        assert_eq!(again, changes);
    }

    #[test]
    fn a_consumer_that_comes_goes_or_changes() {
        let consumer = |name: &str, keys: &[(&str, u32)], rules: &str| {
            let keys = keys.iter().map(|(id, n)| format!("{{ id = \"{id}\", sha256 = \"{n:064x}\" }}"));
            let keys = keys.collect::<Vec<_>>().join(", ");
            format!("[[consumer]]\nname = \"{name}\"\nkeys = [{keys}]\n{rules}\n")
        };
        let old = [consumer("a", &[("k1", 1)], ""), consumer("b", &[("k1", 2), ("k2", 3)], "")].concat();
        let new = [consumer("b", &[("k2", 9), ("k3", 4)], "rate_limit = \"1/s\""), consumer("c", &[("k1", 5)], "")];
        let running = settings(&format!("{SOURCE}{old}"));
        let (_, changes) = take_up(&running, settings(&format!("{SOURCE}{}", new.concat())));
        assert_eq!(changes.live_lines(), ["consumers: + c, - a, ~ b (keys: + k3, - k1, ~ k2; rate_limit)"]);
        assert_eq!(changes.restart_lines(), [""; 0]);
    }

    #[test]
    fn a_key_of_another_8sens_waits_for_its_address() {
        let written = SOURCE.replacen("CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", 1);
        let (running, same_place) = (settings(SOURCE), settings(&written));
        let (taken_up, changes) = take_up(&running, same_place.clone());
        assert_eq!((changes.live_lines(), changes.restart_lines()), (vec!["[upstream] api_key".to_owned()], vec![]));
        assert_eq!(taken_up.upstream.api_key, same_place.upstream.api_key);
        let elsewhere = settings(&written.replacen("127.0.0.1:8082", "192.0.2.8:8082", 1));
        let (taken_up, changes) = take_up(&running, elsewhere);
        assert_eq!(changes.restart_lines(), ["[upstream] address, api_key"]);
        assert!(!changes.has_live());
        assert_eq!(taken_up.upstream.api_key, running.upstream.api_key);
    }

    #[test]
    fn another_name_of_8sens_is_taken_up() {
        let (taken_up, live, restart) = after("api_key =", "also_known_as = [\"srv-erp\"]\napi_key =");
        assert_eq!((live, restart), (vec!["[upstream] also_known_as".to_owned()], vec![]));
        assert_eq!(taken_up.upstream.also_known_as.len(), 1);
    }

    #[test]
    fn another_name_of_the_admin_listener_is_taken_up() {
        let (taken_up, live, restart) = after("[server]", "[admin]\nhosts = [\"gate.lan\"]\n[server]");
        assert_eq!((live, restart), (vec!["[admin] hosts".to_owned()], vec![]));
        assert_eq!(taken_up.admin.unwrap().hosts.len(), 1);
    }

    #[test]
    fn a_listener_keeps_its_socket() {
        let address = &settings(SOURCE).listeners[0].address.to_string();
        let (taken_up, live, restart) = after(address, "127.0.0.1:7777");
        assert_eq!(live, [""; 0]);
        assert_eq!(restart, [format!("[listener {address}] address"), "[listener 127.0.0.1:7777] address".to_owned()]);
        assert_eq!(taken_up.listeners[0].address.to_string(), *address);
    }
}
