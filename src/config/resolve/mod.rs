//! From tables to [`Settings`]: every default, every bound, every rule that spans two keys.

mod access;
mod acme;
mod answer_pattern;
mod authorities;
mod client;
mod consumer;
mod day;
mod limits;
mod login;
mod managed;
mod session;
pub(super) mod state;
mod tls;
mod upstream;

use super::consumer_files::{self, ConsumerFile, Edited};
use super::diagnostic::{Complaint, Rule};
use super::field::Field;
use super::positions::Positions;
use super::reader::Section;
use super::report::Problems;
use super::settings::{AccessLogTarget, LogLevel, LogSettings, ServerSettings, Settings};
use super::shape;
use crate::domain::request::FieldTable;
use crate::domain::rules::consumer::ConsumerTable;
use crate::domain::rules::snapshot::Snapshot;
use crate::text;
use crate::text::Text;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use toml::de::DeTable;

/// The files of consumers that a parsed file names, read.
pub(super) fn consumer_files(
    file: &DeTable<'_>,
    base: &Path,
    edited: Edited<'_>,
    problems: &Problems,
) -> Vec<ConsumerFile> {
    // Opened without complaint: what is wrong with the file is said when it is resolved.
    let value = file.get("consumers").map(|value| Field::new("consumers".to_owned(), None, value, problems));
    value.map(|field| consumer_files::read(&field, base, edited, problems)).unwrap_or_default()
}

/// Resolves a parsed file, and the files of consumers beside it, whose lines are added to `positions`. `None` only when
/// something without a default is missing or broken, and then it was reported.
pub(super) fn settings(
    file: &DeTable<'_>,
    base: &Path,
    files: &[ConsumerFile],
    positions: &mut Positions,
    problems: &Problems,
) -> Option<Settings> {
    let root = Section::open(&shape::ROOT, file, None, problems);
    root.expect_table("upstream", &shape::UPSTREAM, "address = \"127.0.0.1:8082\"");
    root.expect_table("listener", &shape::LISTENER, "address = \"127.0.0.1:8443\"");

    let upstream = upstream::read(&root.table("upstream", &shape::UPSTREAM), base);
    let session_section = root.table("session", &shape::SESSION);
    let session = session::read(&session_section, &upstream);
    let login = login::read(&root.table("login", &shape::LOGIN));
    let client_ip = client::client_ip(&root.table("client_ip", &shape::CLIENT_IP));
    let aliases = client::key_aliases(&root.table("credentials", &shape::CREDENTIALS));
    let limits_section = root.table("limits", &shape::LIMITS);
    let (limits, connections) = limits::read(&limits_section);
    let budgets = limits::budgets(&limits_section);
    let log = log(&root.table("log", &shape::LOG), base);
    let server = server(&root.table("server", &shape::SERVER));
    let state_directory = state::directory(&root.table("state", &shape::STATE), base);

    let mut addresses = access::Addresses::new(&upstream);
    let listeners = access::listeners(&root, base, &client_ip, &mut addresses, problems);
    let admin = access::admin(&root.table("admin", &shape::ADMIN), base, &mut addresses);
    let gate = consumer::Gate { upstream: &upstream, enforce: budgets.enforce, session: &session, base };
    let consumers = consumer::read(&root, files, gate, positions);
    managed::check(&session_section, &session, &consumers);

    Some(Settings {
        snapshot: Arc::new(Snapshot {
            consumers: ConsumerTable::new(consumers),
            fields: FieldTable::new(aliases, &client_ip.header),
            trusted_proxies: client_ip.trusted_proxies,
            session,
            login,
            encoded_slash: upstream.encoded_slash,
            budgets,
            limits,
        }),
        upstream: upstream.settings?,
        listeners,
        connections,
        log,
        admin,
        server,
        state_directory,
        positions: Arc::default(),
    })
}

fn log(section: &Section<'_>, base: &Path) -> LogSettings {
    let log = LogSettings {
        level: section.value("level", log_level),
        access: section.value("access", |field| access_log(field, base)),
        queue: section.value("queue", |field| field.integer()),
        audit: section.value("audit", |field| audit_log(field, base)),
        anonymize_ip: section.value("anonymize_ip", |field| field.bool()),
    };
    apart(&log, section);
    log
}

fn log_level(field: &Field<'_>) -> Option<LogLevel> {
    if matches!(field.string()?, "debug" | "trace") {
        field.error(
            Complaint::new(
                Rule::DebugLevel,
                text! { en: "there is no debug level", fr: "il n'y a pas de niveau de débogage" },
                text! { en: "would write secrets into the log", fr: "écrirait des secrets dans le journal" },
            )
            .hint(text! {
                en: "Pingora's debug lines show header values, keys and tokens included; write \"info\"",
                fr: "les lignes de débogage de Pingora montrent les en-têtes, donc les clés et les jetons ; écrivez \
                     \"info\""
            }),
        );
        return None;
    }
    field.choice(&[("error", LogLevel::Error), ("warn", LogLevel::Warn), ("info", LogLevel::Info)])
}

fn access_log(field: &Field<'_>, base: &Path) -> Option<AccessLogTarget> {
    let hint = text! { en: "write \"off\", \"stdout\" or a path", fr: "écrivez \"off\", \"stdout\" ou un chemin" };
    match field.string_or(Some(hint))? {
        "off" => Some(AccessLogTarget::Off),
        "stdout" => Some(AccessLogTarget::Stdout),
        path if is_file(path) => Some(AccessLogTarget::File(base.join(path))),
        other => {
            let shown = super::value::quoted(other);
            let message = text! {
                en: "the access log cannot go to \"{shown}\"",
                fr: "le journal des accès ne peut pas aller vers \"{shown}\""
            };
            field.error(no_target(message).hint(text! {
                en: "write \"off\", \"stdout\" or a path such as \"/var/log/sensgate/access.log\"",
                fr: "écrivez \"off\", \"stdout\" ou un chemin, par exemple \"/var/log/sensgate/access.log\""
            }));
            None
        }
    }
}

fn audit_log(field: &Field<'_>, base: &Path) -> Option<Option<PathBuf>> {
    let hint = text! { en: "write \"off\" or a path", fr: "écrivez \"off\" ou un chemin" };
    match field.string_or(Some(hint))? {
        "off" => Some(None),
        path if is_file(path) => Some(Some(base.join(path))),
        other => {
            let shown = super::value::quoted(other);
            let message = text! {
                en: "the audit log cannot go to \"{shown}\"",
                fr: "le journal d'audit ne peut pas aller vers \"{shown}\""
            };
            field.error(no_target(message).hint(text! {
                en: "write \"off\" or a path such as \"/var/log/sensgate/audit.log\"; it is a file of its own",
                fr: "écrivez \"off\" ou un chemin, par exemple \"/var/log/sensgate/audit.log\" ; c'est un fichier à \
                     part"
            }));
            None
        }
    }
}

/// Words that were meant as words would otherwise become files of that name.
fn is_file(path: &str) -> bool {
    path.contains(['/', '\\', '.']) && !path.contains('\0') && !path.ends_with(['/', '\\'])
}

fn no_target(message: Text) -> Complaint {
    let label = text! {
        en: "neither a word that is known nor the path of a file",
        fr: "ni un mot connu ni le chemin d'un fichier"
    };
    Complaint::new(Rule::InvalidPath, message, label)
}

/// Each log is rotated by itself, and one of them is kept for longer.
fn apart(log: &LogSettings, section: &Section<'_>) {
    let (AccessLogTarget::File(access), Some(audit), Some(field)) = (&log.access, &log.audit, section.get("audit"))
    else {
        return;
    };
    if access == audit {
        let message = text! { en: "both logs go to one file", fr: "les deux journaux vont dans un seul fichier" };
        let label = text! { en: "the access log goes there", fr: "le journal des accès y va déjà" };
        field.error(Complaint::new(Rule::InvalidPath, message, label).hint(text! {
            en: "give the audit log a file of its own",
            fr: "donnez au journal d'audit un fichier à lui"
        }));
    }
}

fn server(section: &Section<'_>) -> ServerSettings {
    let threads = section.value("threads", |field| field.integer());
    ServerSettings {
        threads: if threads == 0 { available_parallelism().map_or(1, usize::from) } else { threads },
        drain_timeout: section.value("drain_timeout", |field| field.duration()),
        reload_on_change: section.value("reload_on_change", |field| field.bool()),
    }
}
