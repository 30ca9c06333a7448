//! `[[consumer]]`: who calls, and by which keys.

use super::client::{route, routes};
use super::day;
use super::limits;
use super::login;
use super::session;
use super::upstream::UpstreamTable;
use crate::config::consumer_files::ConsumerFile;
use crate::config::diagnostic::{Complaint, Rule, Spot};
use crate::config::field::Field;
use crate::config::positions::Positions;
use crate::config::reader::Section;
use crate::config::report::Problems;
use crate::config::{address, shape, syntax, value};
use crate::domain::limit::Quota;
use crate::domain::rules::consumer::{Consumer, Credential, KeyDigest, digest};
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::login::Login;
use crate::domain::rules::route::RouteRule;
use crate::domain::rules::snapshot::{SessionMode, SessionRules};
use crate::domain::types::Wall;
use crate::platform::clock;
use crate::text;
use ipnet::IpNet;
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use toml::de::DeValue;

/// Keys that are on every list of guesses.
const KNOWN_WEAK: [&str; 14] = [
    "", "0", "1234", "123456", "8sens", "admin", "api_key", "apikey", "changeme", "demo", "key", "password", "secret",
    "test",
];

/// What all consumers share while they are read.
struct Book<'a> {
    upstream_digest: Option<KeyDigest>,
    now: Wall,
    /// Digest → `consumer/credential` and where it is written.
    digests: HashMap<KeyDigest, (String, Spot)>,
    names: HashMap<String, Spot>,
    /// Tables that were met, valid or not.
    met: usize,
    weak: Vec<KeyDigest>,
    gate: Gate<'a>,
    /// Login names with which the gate keeps sessions: whose first, with which login.
    users: HashMap<String, (String, Spot, Arc<Login>)>,
    problems: &'a Problems,
}

/// What consumers are read with.
#[derive(Clone, Copy)]
pub(super) struct Gate<'g> {
    pub upstream: &'g UpstreamTable,
    pub enforce: Enforce,
    pub session: &'g SessionRules,
    /// Where relative paths start.
    pub base: &'g Path,
}

/// The consumers of the configuration itself, then those of the other files, whose lines are added to `positions`.
pub(super) fn read(
    root: &Section<'_>,
    files: &[ConsumerFile],
    gate: Gate<'_>,
    positions: &mut Positions,
) -> Vec<Consumer> {
    let problems = root.problems;
    let mut book = Book {
        upstream_digest: gate.upstream.api_key.as_ref().map(|key| digest(key.expose_secret().as_bytes())),
        now: clock::now().wall,
        digests: HashMap::new(),
        names: HashMap::new(),
        met: 0,
        weak: KNOWN_WEAK.iter().map(|key| digest(key.as_bytes())).collect(),
        gate,
        users: HashMap::new(),
        problems,
    };
    let mut consumers = consumers_in(root, &mut book);
    for (file, number) in files.iter().zip(1..) {
        problems.enter(number);
        if let Some(table) = syntax::parse(&file.source, problems) {
            positions.add(&file.name, &file.source, &table);
            consumers.extend(consumers_in(&Section::open(&shape::CONSUMER_FILE, &table, None, problems), &mut book));
        }
    }
    problems.enter(0);
    if book.met == 0
        && !root.meant_any(&["consumer"])
        && root.get("consumers").is_none_or(|field| matches!(field.value, DeValue::String(_)))
        && root.get("consumer").is_none_or(|field| matches!(field.value, DeValue::Array(_)))
    {
        problems.warn(
            None,
            Complaint::new(
                Rule::NoConsumer,
                text! {
                    en: "there is no consumer: every request is refused",
                    fr: "il n'y a aucun consommateur : toute requête est refusée"
                },
                text! { en: "", fr: "" },
            )
            .hint(text! {
                en: "add a `[[consumer]]` with a name and keys",
                fr: "ajoutez un `[[consumer]]` avec un nom et des clés"
            }),
        );
    }
    consumers
}

/// The consumers of one file.
fn consumers_in(file: &Section<'_>, book: &mut Book<'_>) -> Vec<Consumer> {
    let sections = file.tables("consumer", &shape::CONSUMER);
    book.met += sections.len();
    sections.iter().zip(1..).filter_map(|(section, number)| consumer(section, number, book)).collect()
}

fn consumer(section: &Section<'_>, number: usize, book: &mut Book<'_>) -> Option<Consumer> {
    let name = section.required("name", "name = \"boutique-paris\"");
    let name = name.and_then(|field| unique_name(&field, &mut book.names));
    let shown = name.clone().unwrap_or_else(|| format!("#{number}"));
    let keys = section.required("keys", "keys = [{ id = \"k1\", sha256 = \"…\" }]");
    let credentials = keys.map(|field| credentials(&field, &shown, book)).unwrap_or_default();
    let allow_from = section.get("allow_from").and_then(|field| networks(&field));
    let allow = section.get("allow").and_then(|field| {
        warn_if_empty(&field, "only login routes are left", "il ne reste que les routes de connexion");
        routes(&field)
    });
    let deny = section.value("deny", routes);
    let rate_limit = section.get("rate_limit").and_then(|field| field.quota());
    let route_limits = section.or("route_limits", Vec::new(), route_limits);
    let enforce = section.or("enforce", book.gate.enforce, limits::enforce);
    let session = section.get("session").and_then(|field| session::mode(&field));
    let login = login_of(section, &shown, session.unwrap_or(book.gate.session.mode), book);
    let name = name?.into();
    Some(Consumer { name, credentials, allow_from, allow, deny, rate_limit, route_limits, enforce, session, login })
}

/// The login of a consumer, which one has to have whose session the gate keeps.
fn login_of(section: &Section<'_>, consumer: &str, mode: SessionMode, book: &mut Book<'_>) -> Option<Arc<Login>> {
    const EXAMPLE: &str = "login = { user = \"CLIENTREST\", password = { file = \"clientrest\" } }";
    let is_managed = mode == SessionMode::Managed;
    let Some(field) = section.get("login") else {
        if is_managed && !section.meant_any(&["login"]) {
            let complaint = Complaint::new(
                Rule::ManagedWithoutLogin,
                text! {
                    en: "the gate keeps the session of {consumer} and has no login for it",
                    fr: "la passerelle tient la session de {consumer} et n'a pas d'identifiant pour cela"
                },
                text! { en: "no `login`", fr: "pas de `login`" },
            );
            book.problems.error(
                section.span.clone(),
                complaint.hint(text! {
                    en: "add `{EXAMPLE}`, or `session = \"guard\"`",
                    fr: "ajoutez `{EXAMPLE}`, ou `session = \"guard\"`"
                }),
            );
        }
        return None;
    };
    let login = Arc::new(login::of_consumer(&field, book.gate.base)?);
    if is_managed {
        login_is_alone(&field, consumer, &login, book);
    } else {
        field.warn(
            Complaint::new(
                Rule::LoginNotUsed,
                text! {
                    en: "the gate does not keep the session of {consumer}",
                    fr: "la passerelle ne tient pas la session de {consumer}"
                },
                text! { en: "not used", fr: "n'est pas utilisé" },
            )
            .hint(text! {
                en: "write `session = \"managed\"` beside it, or remove it",
                fr: "ajoutez `session = \"managed\"`, ou retirez-le"
            }),
        );
    }
    Some(login)
}

/// Two consumers with one login name: they share a session and so a password, or 8sens has to allow two sessions.
fn login_is_alone(field: &Field<'_>, consumer: &str, login: &Arc<Login>, book: &mut Book<'_>) {
    let user = login.user().expose_secret().to_owned();
    let rules = book.gate.session;
    let Some((other, first, known)) = book.users.get(&user) else {
        let spot = field.problems.spot(field.span.clone());
        book.users.insert(user, (consumer.to_owned(), spot, Arc::clone(login)));
        return;
    };
    if rules.share_login && known != login {
        field.error(
            Complaint::new(
                Rule::SharedLoginDiffers,
                text! {
                    en: "{consumer} and {other} share a login, and have two passwords for it",
                    fr: "{consumer} et {other} partagent un identifiant, avec deux mots de passe"
                },
                text! { en: "another password", fr: "un autre mot de passe" },
            )
            .related(first.clone(), text! { en: "first here", fr: "d'abord ici" })
            .hint(text! {
                en: "name the same password in both, or remove `share_login`",
                fr: "indiquez le même mot de passe dans les deux, ou retirez `share_login`"
            }),
        );
    } else if !rules.share_login && !rules.concurrent_sessions {
        field.warn(
            Complaint::new(
                Rule::LoginUsedTwice,
                text! {
                    en: "{consumer} and {other} have the same login, and a session each",
                    fr: "{consumer} et {other} ont le même identifiant, et chacun sa session"
                },
                text! { en: "the same login again", fr: "le même identifiant à nouveau" },
            )
            .related(first.clone(), text! { en: "first here", fr: "d'abord ici" })
            .hint(text! {
                en: "where 8sens allows one session for each login, they would end each other's: give each its own \
                     login, or set `share_login` or `concurrent_sessions` in `[session]`",
                fr: "si 8sens n'admet qu'une session par identifiant, chacun mettrait fin à celle de l'autre : donnez \
                     à chacun son identifiant, ou mettez `share_login` ou `concurrent_sessions` dans `[session]`"
            }),
        );
    }
}

/// As a person could write an element of `route_limits`.
const ROUTE_LIMIT: &str = "{ route = \"POST /v1/devis*\", rate_limit = \"2/s\" }";

fn route_limits(field: &Field<'_>) -> Option<Vec<(RouteRule, Quota)>> {
    let hint = text! { en: "write [{ROUTE_LIMIT}]", fr: "écrivez [{ROUTE_LIMIT}]" };
    Some(field.list_or(Some(hint))?.iter().filter_map(route_limit).collect())
}

/// A quota for the routes of one rule.
fn route_limit(field: &Field<'_>) -> Option<(RouteRule, Quota)> {
    let DeValue::Table(table) = field.value else {
        field.wrong_type(
            &text! { en: "a table", fr: "une table" },
            Some(text! { en: "write {ROUTE_LIMIT}", fr: "écrivez {ROUTE_LIMIT}" }),
        );
        return None;
    };
    let section = Section::open(&shape::ROUTE_LIMIT, table, Some(field.span.clone()), field.problems);
    let rule = section.required("route", "route = \"POST /v1/devis*\"").and_then(|field| route(&field));
    let quota = section.required("rate_limit", "rate_limit = \"2/s\"").and_then(|field| field.quota());
    Some((rule?, quota?))
}

/// A name that no other one in `names` has.
fn unique_name(field: &Field<'_>, names: &mut HashMap<String, Spot>) -> Option<String> {
    let name = field.parsed(value::name)?;
    if let Some(first) = names.get(&name) {
        field.error(
            Complaint::new(
                Rule::DuplicateValue,
                text! { en: "there are two with the name \"{name}\"", fr: "deux portent le nom \"{name}\"" },
                text! { en: "again here", fr: "à nouveau ici" },
            )
            .related(first.clone(), text! { en: "first here", fr: "d'abord ici" })
            .hint(text! { en: "give each its own name", fr: "donnez à chacun son propre nom" }),
        );
        return None;
    }
    names.insert(name.clone(), field.problems.spot(field.span.clone()));
    Some(name)
}

fn networks(field: &Field<'_>) -> Option<Vec<IpNet>> {
    warn_if_empty(field, "no address is left", "il ne reste aucune adresse");
    Some(field.list()?.iter().filter_map(|element| element.parsed(address::network)).collect())
}

/// An empty list allows nothing, while a missing one allows everything.
fn warn_if_empty(field: &Field<'_>, en: &str, fr: &str) {
    if matches!(field.value, DeValue::Array(array) if array.is_empty()) {
        let name = &field.name;
        field.warn(
            Complaint::new(
                Rule::EmptyList,
                text! { en: "`{name}` is empty and allows nothing", fr: "`{name}` est vide et n'autorise rien" },
                text! { en: "{en}", fr: "{fr}" },
            )
            .hint(text! { en: "remove the key to allow everything", fr: "supprimez la clé pour tout autoriser" }),
        );
    }
}

fn credentials(field: &Field<'_>, consumer: &str, book: &mut Book<'_>) -> Vec<Credential> {
    const EXAMPLE: &str = "{ id = \"k1\", sha256 = \"…\" }";
    if !matches!(field.value, DeValue::Array(_)) {
        // Most likely a key in clear.
        field.mask_scalars();
        field.wrong_type(
            &text! { en: "a list of keys", fr: "une liste de clés" },
            Some(text! { en: "write [{EXAMPLE}]", fr: "écrivez [{EXAMPLE}]" }),
        );
        return Vec::new();
    }
    let elements = field.list().unwrap_or_default();
    if elements.is_empty() {
        field.error(
            Complaint::new(
                Rule::EmptyList,
                text! { en: "this consumer has no key", fr: "ce consommateur n'a aucune clé" },
                text! { en: "it could never call", fr: "il ne pourrait jamais appeler" },
            )
            .hint(text! { en: "add {EXAMPLE}", fr: "ajoutez {EXAMPLE}" }),
        );
    }
    let mut ids = HashMap::new();
    let mut credentials = Vec::new();
    for (element, number) in elements.iter().zip(1..) {
        if let DeValue::Table(table) = element.value {
            let section = Section::open(&shape::KEY, table, Some(element.span.clone()), book.problems);
            credentials.extend(credential(&section, element, (consumer, number), &mut ids, book));
        } else {
            element.mask_scalars();
            element.wrong_type(
                &text! { en: "a table that describes one key", fr: "une table qui décrit une clé" },
                Some(text! {
                    en: "write {EXAMPLE}: the digest, never the key itself",
                    fr: "écrivez {EXAMPLE} : l'empreinte, jamais la clé elle-même"
                }),
            );
        }
    }
    // Most consumers have one key, and a list that grows begins with room for four.
    credentials.shrink_to_fit();
    credentials
}

fn credential(
    section: &Section<'_>,
    whole: &Field<'_>,
    (consumer, number): (&str, usize),
    ids: &mut HashMap<String, Spot>,
    book: &mut Book<'_>,
) -> Option<Credential> {
    let id = section.required("id", "id = \"k1\"").and_then(|field| unique_name(&field, ids));
    let owner = id.as_ref().map_or_else(|| format!("{consumer}/#{number}"), |id| format!("{consumer}/{id}"));
    let digest = key_digest(section, whole, &owner, book);
    let expires = match section.get("expires") {
        Some(field) => day::expiry(&field, book.now),
        None => {
            whole.warn(
                Complaint::new(
                    Rule::KeyNeverExpires,
                    text! { en: "the key {owner} never expires", fr: "la clé {owner} n'expire jamais" },
                    text! { en: "no `expires`", fr: "pas de `expires`" },
                )
                .hint(text! {
                    en: "add a last day, such as `expires = 2027-06-30`",
                    fr: "ajoutez un dernier jour, par exemple `expires = 2027-06-30`"
                }),
            );
            None
        }
    };
    let enabled = section.value("enabled", |field| field.bool());
    let created = section.get("created").and_then(|field| day::first_instant(&field));
    // Read without complaint: what is wrong with it was said with the digest.
    let is_upstream_key =
        section.get("upstream_key").is_some_and(|field| matches!(field.value, DeValue::Boolean(true)));
    Some(Credential { id: id?.into(), digest: digest?, expires, enabled, created, is_upstream_key })
}

fn key_digest(section: &Section<'_>, whole: &Field<'_>, owner: &str, book: &mut Book<'_>) -> Option<KeyDigest> {
    let sha256 = section.get("sha256");
    let upstream_key = section.get("upstream_key").and_then(|field| Some((field.bool()?, field)));
    let shared = upstream_key.filter(|(on, _)| *on).map(|(_, field)| field);
    let (digest, span) = match (sha256, shared) {
        (Some(field), None) => (own_digest(&field, owner, book)?, field.span),
        (None, Some(field)) => {
            warn_of_sharing(&field, owner);
            (book.upstream_digest?, field.span)
        }
        // A value of another type, or a name that is nearly right, was reported as such.
        (None, None)
            if section.meant_any(&["sha256", "upstream_key"])
                || section.get("upstream_key").is_some_and(|field| !matches!(field.value, DeValue::Boolean(_))) =>
        {
            return None;
        }
        (sha256, _) => {
            let complaint = Complaint::new(
                Rule::CredentialSource,
                text! {
                    en: "the key {owner} needs exactly one of `sha256` and `upstream_key = true`",
                    fr: "la clé {owner} demande soit `sha256`, soit `upstream_key = true`"
                },
                if sha256.is_some() {
                    text! { en: "this has both", fr: "les deux sont présents" }
                } else {
                    text! { en: "this has neither", fr: "aucun des deux n'est présent" }
                },
            );
            whole.error(complaint.hint(text! {
                en: "give the key's digest: `sha256 = \"…\"`",
                fr: "donnez l'empreinte de la clé : `sha256 = \"…\"`"
            }));
            return None;
        }
    };
    if let Some((other, first)) = book.digests.get(&digest) {
        book.problems.error(
            span,
            Complaint::new(
                Rule::DuplicateCredential,
                text! { en: "{owner} and {other} are the same key", fr: "{owner} et {other} sont la même clé" },
                text! { en: "the same key again", fr: "la même clé à nouveau" },
            )
            .related(first.clone(), text! { en: "first here", fr: "d'abord ici" })
            .hint(text! { en: "make a key of its own for each", fr: "créez une clé propre à chacun" }),
        );
        return None;
    }
    book.digests.insert(digest, (owner.to_owned(), book.problems.spot(span)));
    Some(digest)
}

fn own_digest(field: &Field<'_>, owner: &str, book: &Book<'_>) -> Option<KeyDigest> {
    let looks_like_digest =
        matches!(field.value, DeValue::String(text) if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()));
    if !looks_like_digest {
        // Most likely the key itself.
        field.mask_scalars();
    }
    let digest = field.parsed(value::digest)?;
    if book.weak.contains(&digest) {
        field.error(
            Complaint::new(
                Rule::WeakSecret,
                text! {
                    en: "the key {owner} is empty or on every list of guesses",
                    fr: "la clé {owner} est vide ou figure sur toutes les listes de mots de passe"
                },
                text! { en: "the digest of a known key", fr: "empreinte d'une clé connue" },
            )
            .hint(text! {
                en: "make a random key of at least 22 characters",
                fr: "créez une clé aléatoire d'au moins 22 caractères"
            }),
        );
        return None;
    }
    if book.upstream_digest == Some(digest) {
        warn_of_sharing(field, owner);
    }
    Some(digest)
}

fn warn_of_sharing(field: &Field<'_>, owner: &str) {
    field.warn(
        Complaint::new(
            Rule::SharedUpstreamKey,
            text! { en: "{owner} uses the upstream key itself", fr: "{owner} utilise la clé de 8sens elle-même" },
            text! { en: "this caller knows the key of 8sens", fr: "cet appelant connaît la clé de 8sens" },
        )
        .hint(text! {
            en: "for a change-over only: give it a key of its own, then change the upstream key and remove this",
            fr: "le temps d'une transition seulement : donnez-lui sa propre clé, puis changez celle de 8sens et \
                 supprimez cette ligne"
        }),
    );
}
