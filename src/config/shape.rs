//! The one registry of keys: which table has which, what each may hold, what it is when it is left out,
//! what it is for, what it used to be called, and what is still to come.
//!
//! The reader takes kinds, bounds and defaults from here and refuses everything that is not here; suggestions,
//! `sensgate schema` and `docs/configuration.md` come from here, and tests hold the example file to it.

use super::kind::{
    BOOL, CONSUMER_FILES, CREDENTIAL_NAME, DATE, DIGEST, EMAIL, ENVIRONMENT_NAME, FIELD_NAME, HOST, HOST_PORT,
    HTTPS_URL, LOG_FILE, LOG_TARGET, NAME, NETWORKS, OWN_NAMES, PATH, PROFILE, QUOTA, ROUTE, ROUTES, SOCKET_ADDRESS,
    SOCKET_ADDRESS_OR_OFF, TIMEOUT, TOKEN_PLACE, TOKEN_PLACES, USER, WORDS, byte_rate, choice, duration, integer, size,
};
use super::spec::ValueKind;
pub use super::spec::{Form, KeySpec, Presence, TableSpec};
use crate::domain::request::head::MAX_FIELDS;
use crate::text::StaticText;
use std::time::Duration;

const fn required(name: &'static str, kind: ValueKind, en: &'static str, fr: &'static str) -> KeySpec {
    KeySpec { name, presence: Presence::Required, kind, about: StaticText { en, fr } }
}

/// `value` is what the key has when it is left out, as TOML.
const fn default(
    name: &'static str,
    value: &'static str,
    kind: ValueKind,
    en: &'static str,
    fr: &'static str,
) -> KeySpec {
    KeySpec { name, presence: Presence::Default(value), kind, about: StaticText { en, fr } }
}

const fn optional(name: &'static str, kind: ValueKind, en: &'static str, fr: &'static str) -> KeySpec {
    KeySpec { name, presence: Presence::Optional, kind, about: StaticText { en, fr } }
}

/// A table of its own; what it is for is in its specification.
const fn table(name: &'static str, presence: Presence, kind: ValueKind) -> KeySpec {
    let (ValueKind::Table(spec) | ValueKind::Tables(spec) | ValueKind::TableOrTables(spec)) = kind else {
        panic!("not a table")
    };
    KeySpec { name, presence, kind, about: spec.about }
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The top level.
#[rustfmt::skip] // a key on one line, what it is for below it
pub static ROOT: TableSpec = TableSpec {
    path: "",
    form: Form::Root,
    about: StaticText {
        en: "The configuration of sensgate.",
        fr: "La configuration de sensgate.",
    },
    keys: &[
        optional("consumers", CONSUMER_FILES,
            "files that hold more `[[consumer]]`, in one folder; a relative path starts at that of this file",
            "fichiers qui contiennent d'autres `[[consumer]]`, dans un seul dossier ; un chemin relatif part de \
             celui de ce fichier"),
        table("upstream", Presence::Required, ValueKind::Table(&UPSTREAM)),
        table("session", Presence::Default("{}"), ValueKind::Table(&SESSION)),
        table("login", Presence::Default("{}"), ValueKind::Table(&LOGIN)),
        table("listener", Presence::Required, ValueKind::Tables(&LISTENER)),
        table("client_ip", Presence::Default("{}"), ValueKind::Table(&CLIENT_IP)),
        table("credentials", Presence::Default("{}"), ValueKind::Table(&CREDENTIALS)),
        table("limits", Presence::Default("{}"), ValueKind::Table(&LIMITS)),
        table("log", Presence::Default("{}"), ValueKind::Table(&LOG)),
        table("admin", Presence::Default("{}"), ValueKind::Table(&ADMIN)),
        table("server", Presence::Default("{}"), ValueKind::Table(&SERVER)),
        table("state", Presence::Default("{}"), ValueKind::Table(&STATE)),
        table("consumer", Presence::Optional, ValueKind::Tables(&CONSUMER)),
    ],
    any_of: &[],
    renamed: &[
        ("listen", "listener"), ("listeners", "listener"), ("backend", "upstream"),
        ("upstreams", "upstream"), ("sessions", "session"), ("limit", "limits"), ("logs", "log"), ("logging", "log"),
        ("proxies", "client_ip"),
    ],
    later: &["shield", "orders", "maintenance", "shared"],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static UPSTREAM: TableSpec = TableSpec {
    path: "upstream",
    form: Form::Table,
    about: StaticText {
        en: "The REST server of 8sens.",
        fr: "Le serveur REST de 8sens.",
    },
    keys: &[
        required("address", HOST_PORT,
            "where it listens; the Port is on the REST screen of 8sens. Of a name, every address is tried",
            "où il écoute ; le Port figure sur l'écran REST de 8sens. D'un nom, toutes les adresses sont essayées"),
        required("api_key", ValueKind::Table(&SECRET),
            "the one `api_key` that 8sens knows", "la seule `api_key` que 8sens connaît"),
        default("also_known_as", "[]", OWN_NAMES,
            "other names and addresses that 8sens has for itself, with a port or without; a `Location` that names one \
             leads back to the gate",
            "autres noms et adresses que 8sens se donne, avec ou sans port ; un `Location` qui en nomme un ramène à la \
             passerelle"),
        default("idle_timeout", "\"900s\"", duration(secs(1), secs(7 * 86_400)),
            "after how long without use 8sens forgets a token; on its REST screen as well",
            "après combien de temps sans usage 8sens oublie un jeton ; « Durée d'inactivité » de son écran REST"),
        default("connect_timeout", "\"2s\"", TIMEOUT,
            "longest time to connect to 8sens, whichever of its addresses answers",
            "temps maximal pour se connecter à 8sens, quelle que soit celle de ses adresses qui répond"),
        default("read_timeout", "\"60s\"", TIMEOUT,
            "longest silence of 8sens while its answer is awaited or under way",
            "plus long silence de 8sens pendant que sa réponse est attendue ou en cours"),
        optional("answer_timeout", TIMEOUT,
            "longest time until the head of its answer is there, once 8sens has the whole request; without it, \
             `read_timeout`",
            "temps maximal jusqu'à l'en-tête de sa réponse, une fois que 8sens a toute la requête ; à défaut, \
             `read_timeout`"),
        default("write_timeout", "\"30s\"", TIMEOUT,
            "longest time 8sens may take nothing of a request",
            "plus long temps pendant lequel 8sens peut ne rien prendre d'une requête"),
        default("keepalive_timeout", "\"4s\"", TIMEOUT,
            "how long an idle connection to 8sens is kept for the next request",
            "combien de temps une connexion inactive vers 8sens est gardée pour la requête suivante"),
        default("pool_size", "64", integer(1, 4096),
            "idle connections to 8sens, in all", "connexions inactives vers 8sens, en tout"),
        default("forwarder", "\"direct\"", choice(&["direct", "pingora"]),
            "what carries requests to 8sens: the gate's own `direct` one, which reads its answers strictly, or \
             `pingora`, Pingora's proxy",
            "ce qui porte les requêtes à 8sens : `direct`, celui de la passerelle, qui lit ses réponses strictement, \
             ou `pingora`, le proxy de Pingora"),
        default("encoded_slash", "[]", ROUTES,
            "routes on which 8sens takes `%2F` for a part of a name, such as an article's reference; elsewhere it is \
             refused",
            "routes où 8sens voit dans `%2F` une partie d'un nom, comme la référence d'un article ; ailleurs il est \
             refusé"),
        table("tls", Presence::Optional, ValueKind::Table(&UPSTREAM_TLS)),
    ],
    any_of: &[],
    renamed: &[
        ("apikey", "api_key"), ("api-key", "api_key"), ("key", "api_key"), ("timeout", "read_timeout"),
        ("url", "address"), ("host", "address"), ("ttl", "idle_timeout"), ("session_timeout", "idle_timeout"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static UPSTREAM_TLS: TableSpec = TableSpec {
    path: "upstream.tls",
    form: Form::Table,
    about: StaticText {
        en: "For an 8sens behind a TLS terminator. Its certificate is always verified.",
        fr: "Pour un 8sens placé derrière un terminateur TLS. Son certificat est toujours vérifié.",
    },
    keys: &[
        required("ca", PATH,
            "who may have issued its certificate, in PEM", "qui peut avoir émis son certificat, en PEM"),
        optional("name", HOST,
            "what the certificate has to name; without it, the host of `upstream.address`",
            "ce que le certificat doit nommer ; à défaut, l'hôte de `upstream.address`"),
    ],
    any_of: &[],
    renamed: &[
        ("ca_file", "ca"), ("authority", "ca"), ("server_name", "name"), ("sni", "name"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static SESSION: TableSpec = TableSpec {
    path: "session",
    form: Form::Table,
    about: StaticText {
        en: "How access tokens travel, where logins happen, and what happens to a token that is not good.",
        fr: "Comment voyagent les jetons, où se font les connexions, et ce qu'il advient d'un jeton qui n'est pas bon.",
    },
    keys: &[
        default("mode", "\"guard\"", choice(&["observe", "guard", "managed"]),
            "`guard`: a token that is unknown, expired or another consumer's never reaches 8sens; `observe`: it does, \
             and is logged and counted; `managed`: as `guard`, and requests without a token get one of a session that \
             the gate keeps with the `login` of their consumer",
            "`guard` : un jeton inconnu, expiré ou appartenant à un autre n'atteint jamais 8sens ; `observe` : il \
             l'atteint, et c'est journalisé et compté ; `managed` : comme `guard`, et les requêtes sans jeton \
             reçoivent celui d'une session que la passerelle tient avec le `login` de leur consommateur"),
        default("inject_token", "\"header:access_token\"", TOKEN_PLACE,
            "where the gate puts the token of a session that it keeps; one of `token_from`",
            "où la passerelle place le jeton d'une session qu'elle tient ; l'une des places de `token_from`"),
        default("concurrent_sessions", "false", BOOL,
            "whether 8sens lets one login have several sessions at the same time; without that, a renewal waits for \
             the requests under way",
            "si 8sens laisse un même identifiant avoir plusieurs sessions à la fois ; sinon, un renouvellement attend \
             les requêtes en cours"),
        default("share_login", "false", BOOL,
            "whether consumers with the same `login` have one session, or each its own",
            "si les consommateurs d'un même `login` ont une seule session, ou chacun la sienne"),
        default("token_from",
            "[\"header:access_token\", \"bearer\", \"header:token\", \"query:access_token\"]", TOKEN_PLACES,
            "where a token may be; elsewhere, tokens are removed",
            "où un jeton peut figurer ; ailleurs, les jetons sont retirés"),
        default("login_routes", "[\"POST /v1/login/user\"]", ROUTES,
            "where logins happen; open to every consumer, whatever its rules",
            "où se font les connexions ; ouvertes à tout consommateur, quelles que soient ses règles"),
        default("public", "[]", ROUTES,
            "routes that need a key but no token", "routes qui demandent une clé mais pas de jeton"),
        default("expired_when", "[{ status = 401 }]", ValueKind::Tables(&EXPIRED_WHEN),
            "how 8sens answers an expired token; one match is enough",
            "comment 8sens répond à un jeton expiré ; une correspondance suffit"),
        default("resend_expired_writes", "false", BOOL,
            "whether a write of a session that the gate keeps is sent once more after such an answer: only if it means \
             that 8sens did not carry the write out; reads are",
            "si une écriture d'une session tenue par la passerelle est renvoyée une fois après une telle réponse : \
             seulement si celle-ci signifie que 8sens n'a pas exécuté l'écriture ; les lectures le sont"),
        default("margin", "\"30s\"", duration(Duration::ZERO, Duration::MAX),
            "how much earlier than 8sens a token is given up; at most a tenth of `idle_timeout`",
            "de combien un jeton est abandonné avant que 8sens ne le fasse ; au plus un dixième de `idle_timeout`"),
        default("per_consumer", "20000", integer(1, 1_000_000),
            "sessions of one consumer; then its longest unused ones make room",
            "sessions d'un consommateur ; au-delà, ses plus anciennes cèdent la place"),
        default("total", "1000000", integer(1, 10_000_000),
            "sessions of all consumers", "sessions de tous les consommateurs"),
        default("cookies", "\"drop\"", choice(&["drop", "pass"]),
            "whether `Cookie` and `Set-Cookie` go through", "si `Cookie` et `Set-Cookie` passent"),
    ],
    any_of: &[],
    renamed: &[
        ("login_route", "login_routes"), ("tokens_from", "token_from"), ("public_routes", "public"),
        ("expired", "expired_when"), ("max_sessions", "total"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static LOGIN: TableSpec = TableSpec {
    path: "login",
    form: Form::Table,
    about: StaticText {
        en: "What a login is to 8sens.",
        fr: "Ce qu'est une connexion pour 8sens.",
    },
    keys: &[
        default("user_field", "\"login\"", WORDS,
            "what 8sens calls the login name, in a form, in JSON or in the query",
            "le nom que 8sens donne à l'identifiant, dans un formulaire, en JSON ou dans les paramètres"),
        default("failed_when", "[{ status = 401 }]", ValueKind::Tables(&FAILED_WHEN),
            "how 8sens answers a login that it refuses; one match is enough. Any 4xx status counts as a refusal too, \
             and so does a success without a token",
            "comment 8sens répond à une connexion qu'il refuse ; une correspondance suffit. Tout statut 4xx compte \
             aussi comme un refus, de même qu'un succès sans jeton"),
        optional("logout_route", ROUTE,
            "where 8sens is told that a session of the gate's is over, if it has such a route; the gate sends a POST",
            "où 8sens apprend qu'une session tenue par la passerelle est finie, s'il a une telle route ; la passerelle \
             envoie un POST"),
    ],
    any_of: &[],
    renamed: &[
        ("failed", "failed_when"), ("login_field", "user_field"), ("name_field", "user_field"),
        ("logout", "logout_route"),
    ],
    later: &["coalesce"],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static CONSUMER_LOGIN: TableSpec = TableSpec {
    path: "consumer.login",
    form: Form::Inline,
    about: StaticText {
        en: "The login at 8sens with which the gate keeps a consumer's session.",
        fr: "L'identifiant 8sens avec lequel la passerelle tient la session d'un consommateur.",
    },
    keys: &[
        required("user", USER,
            "the login name", "l'identifiant"),
        required("password", ValueKind::Table(&SECRET),
            "its password: one line, with any characters", "son mot de passe : une ligne, de caractères quelconques"),
    ],
    any_of: &[],
    renamed: &[
        ("login", "user"), ("name", "user"), ("username", "user"), ("secret", "password"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static LISTENER: TableSpec = TableSpec {
    path: "listener",
    form: Form::Repeated,
    about: StaticText {
        en: "Where consumers connect. There may be several.",
        fr: "Où les consommateurs se connectent. Il peut y en avoir plusieurs.",
    },
    keys: &[
        required("address", SOCKET_ADDRESS,
            "where it is bound; port 0, any free one, only on loopback", "où il est lié ; le port 0, un port libre, \
                seulement sur une adresse de loopback"),
        optional("tls", ValueKind::TableOrTables(&TLS),
            "a certificate and its key; a list of such pairs serves several names",
            "un certificat et sa clé ; une liste de telles paires sert plusieurs noms"),
        optional("plaintext", choice(&["lan", "behind_proxy", "redirect"]),
            "off loopback and without `tls`, one of these must be said: `lan`, only private addresses call; \
             `behind_proxy`, a trusted proxy in front says https; `redirect`, browsers are sent to https",
            "hors loopback et sans `tls`, il faut l'un de ces mots : `lan`, seules des adresses privées appellent ; \
             `behind_proxy`, un proxy de confiance placé devant annonce https ; `redirect`, les navigateurs sont \
             renvoyés vers https"),
        default("http2", "true", BOOL,
            "HTTP/2 beside HTTP/1.1 for callers that ask for it; only with `tls`",
            "HTTP/2 à côté de HTTP/1.1 pour les appelants qui le demandent ; seulement avec `tls`"),
        optional("hsts", duration(Duration::ZERO, secs(730 * 86_400)),
            "how long browsers remember that this host is for https alone; `0s` makes them forget; only with `tls`",
            "combien de temps les navigateurs retiennent que cet hôte n'est joignable qu'en https ; `0s` le leur fait \
             oublier ; seulement avec `tls`"),
        default("proxy_protocol", "[]", NETWORKS,
            "networks of proxies that begin each connection with a PROXY header, v1 or v2; then they must",
            "réseaux des proxys qui ouvrent chaque connexion par un en-tête PROXY, v1 ou v2 ; ils le doivent alors"),
    ],
    any_of: &[],
    renamed: &[
        ("listen", "address"), ("bind", "address"), ("h2", "http2"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static CLIENT_IP: TableSpec = TableSpec {
    path: "client_ip",
    form: Form::Table,
    about: StaticText {
        en: "Whose word is taken for the client's address.",
        fr: "Qui est cru sur l'adresse du client.",
    },
    keys: &[
        default("trusted_proxies", "[]", NETWORKS,
            "networks such as `192.0.2.0/24`, or single addresses", "réseaux tels que `192.0.2.0/24`, ou adresses \
                isolées"),
        default("header", "\"x-forwarded-for\"", FIELD_NAME,
            "the one field that is read; every other forwarding field is dropped",
            "le seul en-tête qui est lu ; les autres en-têtes de ce genre sont supprimés"),
    ],
    any_of: &[],
    renamed: &[
        ("trusted", "trusted_proxies"), ("proxies", "trusted_proxies"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static CREDENTIALS: TableSpec = TableSpec {
    path: "credentials",
    form: Form::Table,
    about: StaticText {
        en: "How keys are presented, besides the field `api_key`.",
        fr: "Comment les clés sont présentées, outre l'en-tête `api_key`.",
    },
    keys: &[
        default("aliases", "[]", ValueKind::List(&choice(&["api-key", "x-api-key"])),
            "further names of that field", "autres noms de cet en-tête"),
    ],
    any_of: &[],
    renamed: &[],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static LIMITS: TableSpec = TableSpec {
    path: "limits",
    form: Form::Table,
    about: StaticText {
        en: "What one request and one connection may take, and what abuse may use.",
        fr: "Ce qu'une requête et une connexion peuvent prendre, et ce que les abus peuvent consommer.",
    },
    keys: &[
        default("head_bytes", "\"32KiB\"", size(KIB, 256 * KIB),
            "request line and header fields together", "ligne de requête et en-têtes, ensemble"),
        default("uri_bytes", "\"8KiB\"", size(64, 256 * KIB),
            "path and query; at most `head_bytes`", "chemin et paramètres ; au plus `head_bytes`"),
        default("fields", "100", integer(1, MAX_FIELDS as u64),
            "header fields", "nombre d'en-têtes"),
        default("body_bytes", "\"10MiB\"", size(1, 1024 * MIB),
            "the body of a request", "corps d'une requête"),
        default("connections", "1024", integer(1, 65_536),
            "open at the same time", "ouvertes en même temps"),
        default("connections_per_address", "256", integer(1, 65_536),
            "of these, from one IPv4 address or IPv6 /64; trusted proxies are not counted",
            "dont celles d'une même adresse IPv4 ou d'un même /64 IPv6 ; les proxys de confiance ne sont pas comptés"),
        default("handshake_timeout", "\"10s\"", TIMEOUT,
            "from the connection to the end of its PROXY header and TLS handshake",
            "de la connexion à la fin de son en-tête PROXY et de sa négociation TLS"),
        default("head_timeout", "\"10s\"", TIMEOUT,
            "from the first byte of a head to its last", "du premier octet d'un en-tête à son dernier"),
        default("body_timeout", "\"30s\"", TIMEOUT,
            "longest silence within a body", "plus long silence au sein d'un corps"),
        default("body_rate", "\"1KiB/s\"", byte_rate(1, MIB),
            "slowest a body may come, after the time above", "débit le plus lent d'un corps, passé le délai précédent"),
        default("write_timeout", "\"30s\"", TIMEOUT,
            "longest time a caller may take nothing of its answer",
            "plus long temps pendant lequel un appelant peut ne rien prendre de sa réponse"),
        default("write_rate", "\"1KiB/s\"", byte_rate(1, MIB),
            "slowest it may take it, after the time above",
            "débit le plus lent auquel il peut la prendre, passé le délai précédent"),
        default("keepalive_timeout", "\"75s\"", TIMEOUT,
            "longest idle time between two requests; longer than that of a balancer in front, often 60 s",
            "plus longue inactivité entre deux requêtes ; plus longue que celle d'un répartiteur placé devant, souvent \
             60 s"),
        default("requests_per_connection", "1000", integer(1, 1_000_000),
            "then the connection is closed", "la connexion est ensuite fermée"),
        default("address_budget", "\"200/s\"", QUOTA,
            "refusals of one address; past it, everything from there is refused",
            "refus d'une même adresse ; au-delà, tout ce qui en vient est refusé"),
        default("failed_credentials", "\"10/min\"", QUOTA,
            "wrong keys from one address; a good key still passes",
            "clés fausses d'une même adresse ; une bonne clé passe toujours"),
        default("failed_tokens", "\"60/min\"", QUOTA,
            "wrong tokens of one consumer; a good token still passes",
            "jetons faux d'un même consommateur ; un bon jeton passe toujours"),
        default("failed_logins_per_name", "\"30/h, burst 40\"", QUOTA,
            "failed logins of one login name, from whomever",
            "connexions échouées d'un même identifiant, d'où qu'elles viennent"),
        default("failed_logins_per_address", "\"20/h, burst 32\"", QUOTA,
            "failed logins from one IPv4 address or IPv6 /64",
            "connexions échouées d'une même adresse IPv4 ou d'un même /64 IPv6"),
        default("failed_logins_per_key", "\"20/h, burst 32\"", QUOTA,
            "failed logins with one API key; below those of one name, one key cannot keep the others from it",
            "connexions échouées avec une même clé ; en dessous de celles d'un identifiant, une seule clé ne peut pas \
             en priver les autres"),
        default("failed_logins", "\"600/h, burst 300\"", QUOTA,
            "failed logins in all", "connexions échouées, en tout"),
        default("failed_logins_of_known", "\"120/h, burst 60\"", QUOTA,
            "failed logins of one key and address that logged in within seven days: they are not held to those above",
            "connexions échouées d'une même clé et adresse qui s'est connectée dans les sept jours : les précédentes \
             ne s'y appliquent pas"),
        default("enforce", "\"on\"", choice(&["on", "shadow", "off"]),
            "whether these budgets and the quotas, address and route rules of consumers refuse; `shadow`: only logged \
             and counted",
            "si ces budgets et les quotas, règles d'adresse et de route des consommateurs refusent ; `shadow` : \
             seulement journalisé et compté"),
        default("rate_limit_headers", "\"answers\"", choice(&["answers", "refusals"]),
            "`RateLimit` fields in all answers, or only in refusals",
            "en-têtes `RateLimit` dans toutes les réponses, ou seulement dans les refus"),
    ],
    any_of: &[],
    renamed: &[
        ("header_bytes", "head_bytes"), ("url_bytes", "uri_bytes"), ("max_body", "body_bytes"),
        ("max_connections", "connections"), ("failed_keys", "failed_credentials"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static LOG: TableSpec = TableSpec {
    path: "log",
    form: Form::Table,
    about: StaticText {
        en: "What is written down, and where.",
        fr: "Ce qui est consigné, et où.",
    },
    keys: &[
        default("level", "\"info\"", choice(&["error", "warn", "info"]),
            "the least severe line of the application log", "ligne la moins grave du journal de l'application"),
        default("access", "\"stdout\"", LOG_TARGET,
            "where the access log goes", "où va le journal des accès"),
        default("audit", "\"off\"", LOG_FILE,
            "where the audit log goes: logins, refused keys and sessions, what admins did",
            "où va le journal d'audit : connexions, clés et sessions refusées, actes d'administration"),
        default("anonymize_ip", "false", BOOL,
            "logs hold networks in place of client addresses: a /24 of IPv4, a /48 of IPv6",
            "les journaux contiennent des réseaux à la place des adresses des clients : un /24 en IPv4, un \
             /48 en IPv6"),
        default("queue", "8192", integer(64, 1_048_576),
            "lines of each log waiting to be written; further ones are dropped and counted",
            "lignes de chaque journal en attente d'écriture ; les suivantes sont perdues et comptées"),
    ],
    any_of: &[],
    renamed: &[
        ("access_log", "access"), ("audit_log", "audit"), ("anonymise_ip", "anonymize_ip"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static ADMIN: TableSpec = TableSpec {
    path: "admin",
    form: Form::Table,
    about: StaticText {
        en: "Metrics, health and status pages.",
        fr: "Métriques, santé et pages d'état.",
    },
    keys: &[
        default("address", "\"127.0.0.1:9180\"", SOCKET_ADDRESS_OR_OFF,
            "where they are served", "où elles sont servies"),
        optional("token", ValueKind::Table(&SECRET),
            "at least 32 characters; required when the address is not a loopback one",
            "au moins 32 caractères ; obligatoire quand l'adresse n'est pas une adresse de loopback"),
        default("hosts", "[]", OWN_NAMES,
            "names by which browsers may open the pages, beside loopback names and the listener's own address; who \
             shows the token needs none",
            "noms sous lesquels un navigateur peut ouvrir les pages, outre les noms de loopback et l'adresse du point \
             d'écoute ; qui présente le jeton n'en a pas besoin"),
    ],
    any_of: &[],
    renamed: &[
        ("listen", "address"), ("bearer_token", "token"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static SERVER: TableSpec = TableSpec {
    path: "server",
    form: Form::Table,
    about: StaticText {
        en: "The process itself.",
        fr: "Le processus lui-même.",
    },
    keys: &[
        default("threads", "0", integer(0, 256),
            "worker threads; 0: one for each core", "threads de travail ; 0 : un par cœur"),
        default("drain_timeout", "\"30s\"", TIMEOUT,
            "how long requests in flight may take to end after SIGTERM",
            "temps laissé aux requêtes en cours pour finir après SIGTERM"),
        default("reload_on_change", "false", BOOL,
            "whether changes to this file and its secrets are applied without `sensgate reload`",
            "si les changements de ce fichier et de ses secrets sont repris sans `sensgate reload`"),
    ],
    any_of: &[],
    renamed: &[
        ("workers", "threads"), ("shutdown_timeout", "drain_timeout"), ("watch", "reload_on_change"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static CONSUMER: TableSpec = TableSpec {
    path: "consumer",
    form: Form::Repeated,
    about: StaticText {
        en: "Who may call. Without any consumer, every request is refused.",
        fr: "Qui peut appeler. Sans aucun consommateur, toute requête est refusée.",
    },
    keys: &[
        required("name", NAME,
            "its name in logs, metrics and commands", "son nom dans les journaux, les métriques et les commandes"),
        required("keys", ValueKind::Tables(&KEY),
            "its keys; several, so that one can replace the other",
            "ses clés ; plusieurs, pour que l'une puisse remplacer l'autre"),
        optional("rate_limit", QUOTA,
            "how many requests it may make; without it, no limit", "combien de requêtes il peut faire ; sans cela, pas \
                de limite"),
        optional("route_limits", ValueKind::Tables(&ROUTE_LIMIT),
            "quotas for routes, in any spelling, besides `rate_limit`; the first one that covers a request counts",
            "quotas par route, quelle que soit l'écriture, en plus de `rate_limit` ; le premier qui couvre une requête \
             compte"),
        optional("enforce", choice(&["on", "shadow", "off"]),
            "as in `[limits]`, for this consumer alone", "comme dans `[limits]`, pour ce seul consommateur"),
        optional("session", choice(&["observe", "guard", "managed"]),
            "as `mode` in `[session]`, for this consumer alone",
            "comme `mode` dans `[session]`, pour ce seul consommateur"),
        optional("login", ValueKind::Table(&CONSUMER_LOGIN),
            "its login at 8sens; required where the gate keeps its session",
            "son identifiant 8sens ; obligatoire quand la passerelle tient sa session"),
        optional("allow_from", NETWORKS,
            "from where it may call; without it, from everywhere", "d'où il peut appeler ; sans cela, de partout"),
        optional("allow", ROUTES,
            "what it may call; without it, everything. A trailing `*` is any rest, an inner one a segment, the method \
             `*` any method",
            "ce qu'il peut appeler ; sans cela, tout. Un `*` final vaut tout reste, un `*` intérieur un segment, la \
             méthode `*` toute méthode"),
        default("deny", "[]", ROUTES,
            "what it may not call, in any spelling: case, dots or a slash at an end make no difference; wins over \
             `allow`",
            "ce qu'il ne peut pas appeler, quelle que soit l'écriture : casse, points ou barre oblique à la fin n'y \
             changent rien ; l'emporte sur `allow`"),
    ],
    any_of: &[],
    renamed: &[
        ("key", "keys"), ("allowed_from", "allow_from"), ("routes", "allow"), ("rate", "rate_limit"),
        ("quota", "rate_limit"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static KEY: TableSpec = TableSpec {
    path: "consumer.keys",
    form: Form::Inline,
    about: StaticText {
        en: "One key of a consumer. The key itself is never here.",
        fr: "Une clé d'un consommateur. La clé elle-même ne figure jamais ici.",
    },
    keys: &[
        required("id", NAME,
            "a name for logs", "un nom pour les journaux"),
        optional("sha256", DIGEST,
            "SHA-256 of the whole key, as `sensgate keys new` prints it",
            "SHA-256 de la clé entière, tel que `sensgate keys new` l'affiche"),
        optional("upstream_key", BOOL,
            "in place of `sha256`, for a change-over: the consumer still has the key of 8sens itself",
            "à la place de `sha256`, le temps d'une transition : le consommateur a encore la clé de 8sens elle-même"),
        optional("created", DATE,
            "the day it was made, for whoever reads this", "le jour de sa création, pour qui lit ce fichier"),
        optional("expires", DATE,
            "valid through that day, UTC; without it, until it is removed",
            "valable jusqu'à la fin de ce jour, UTC ; sans cela, jusqu'à sa suppression"),
        default("enabled", "true", BOOL,
            "whether it is accepted", "si elle est acceptée"),
    ],
    any_of: &["sha256", "upstream_key"],
    renamed: &[
        ("digest", "sha256"), ("hash", "sha256"), ("expiry", "expires"), ("name", "id"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static TLS: TableSpec = TableSpec {
    path: "listener.tls",
    form: Form::Inline,
    about: StaticText {
        en: "A certificate and its key; changed files are applied by themselves. Or `acme` in place of both.",
        fr: "Un certificat et sa clé ; les fichiers modifiés sont repris automatiquement. Ou `acme` à leur place.",
    },
    keys: &[
        optional("certificate", PATH,
            "a chain in PEM, the gate's own certificate first", "une chaîne PEM, le certificat de la passerelle en \
                premier"),
        optional("key", PATH,
            "its private key in PEM, mode 0600", "sa clé privée PEM, mode 0600"),
        table("acme", Presence::Optional, ValueKind::Table(&ACME)),
    ],
    any_of: &["certificate", "acme"],
    renamed: &[
        ("cert", "certificate"), ("chain", "certificate"), ("private_key", "key"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static ACME: TableSpec = TableSpec {
    path: "listener.tls.acme",
    form: Form::Inline,
    about: StaticText {
        en: "A certificate that the gate gets and renews by itself. Port 80 must lead to a listener without TLS.",
        fr: "Un certificat que la passerelle obtient et renouvelle elle-même. Le port 80 doit mener à un point \
             d'écoute sans TLS.",
    },
    keys: &[
        required("domains", ValueKind::List(&HOST),
            "what the certificate is for: names and IP addresses by which callers reach the gate",
            "ce que couvre le certificat : noms et adresses IP par lesquels les appelants joignent la passerelle"),
        optional("contact", EMAIL,
            "the e-mail address that the certificate authority may write to",
            "l'adresse électronique à laquelle l'autorité de certification peut écrire"),
        default("directory", "\"https://acme-v02.api.letsencrypt.org/directory\"", HTTPS_URL,
            "the certificate authority's ACME directory", "l'annuaire ACME de l'autorité de certification"),
        optional("profile", PROFILE,
            "the kind of certificate to ask for, where the directory offers it; without it, `shortlived` for IP \
             addresses",
            "le type de certificat à demander, si l'annuaire le propose ; à défaut, `shortlived` pour des adresses IP"),
        optional("ca", PATH,
            "the issuers, in PEM, of an own directory's certificate; without it, those that the system trusts",
            "les émetteurs, en PEM, du certificat d'un annuaire à soi ; à défaut, ceux auxquels le système fait \
             confiance"),
    ],
    any_of: &[],
    renamed: &[
        ("domain", "domains"), ("names", "domains"), ("hosts", "domains"), ("email", "contact"), ("mail", "contact"),
        ("server", "directory"), ("url", "directory"), ("root", "ca"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static SECRET: TableSpec = TableSpec {
    path: "secret",
    form: Form::Inline,
    about: StaticText {
        en: "Where a secret is. It is never in the configuration itself.",
        fr: "Où se trouve un secret. Il ne figure jamais dans la configuration elle-même.",
    },
    keys: &[
        optional("file", PATH,
            "one line in a file of mode 0600; relative paths start at the directory of the configuration",
            "une ligne dans un fichier de mode 0600 ; un chemin relatif part du répertoire de la configuration"),
        optional("env", ENVIRONMENT_NAME,
            "an environment variable", "une variable d'environnement"),
        optional("credential", CREDENTIAL_NAME,
            "a systemd credential (`LoadCredential=`)", "un credential systemd (`LoadCredential=`)"),
    ],
    any_of: &["file", "env", "credential"],
    renamed: &[
        ("path", "file"), ("environment", "env"),
    ],
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static STATE: TableSpec = TableSpec {
    path: "state",
    form: Form::Table,
    about: StaticText {
        en: "Where sessions survive a restart. One directory for each gate, which only its user can read.",
        fr: "Où les sessions survivent à un redémarrage. Un répertoire par passerelle, que seul son utilisateur peut \
             lire.",
    },
    keys: &[
        optional("directory", PATH,
            "without it: `$STATE_DIRECTORY`, as systemd sets it, else `state` beside the configuration",
            "sans cela : `$STATE_DIRECTORY`, tel que systemd le donne, sinon `state` à côté de la configuration"),
    ],
    any_of: &[],
    renamed: &[
        ("dir", "directory"), ("path", "directory"),
    ],
    later: &[],
};

/// What an answer of 8sens is known by.
#[rustfmt::skip] // a key on one line, what it is for below it
static ANSWER_PATTERN: &[KeySpec] = &[
    required("status", integer(200, 599),
        "the status of the answer", "le statut de la réponse"),
    optional("body_contains", WORDS,
        "words in the first 4 KiB of its body; required with a status of success",
        "mots dans les 4 premiers Kio de son corps ; obligatoire avec un statut de succès"),
];

static ANSWER_PATTERN_RENAMED: &[(&str, &str)] =
    &[("code", "status"), ("body", "body_contains"), ("contains", "body_contains")];

#[rustfmt::skip] // a key on one line, what it is for below it
pub static EXPIRED_WHEN: TableSpec = TableSpec {
    path: "session.expired_when",
    form: Form::Inline,
    about: StaticText {
        en: "What an answer of 8sens to an expired token looks like.",
        fr: "À quoi ressemble la réponse de 8sens à un jeton expiré.",
    },
    keys: ANSWER_PATTERN,
    any_of: &[],
    renamed: ANSWER_PATTERN_RENAMED,
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static FAILED_WHEN: TableSpec = TableSpec {
    path: "login.failed_when",
    form: Form::Inline,
    about: StaticText {
        en: "What an answer of 8sens to a login that it refuses looks like.",
        fr: "À quoi ressemble la réponse de 8sens à une connexion qu'il refuse.",
    },
    keys: ANSWER_PATTERN,
    any_of: &[],
    renamed: ANSWER_PATTERN_RENAMED,
    later: &[],
};

#[rustfmt::skip] // a key on one line, what it is for below it
pub static ROUTE_LIMIT: TableSpec = TableSpec {
    path: "consumer.route_limits",
    form: Form::Inline,
    about: StaticText {
        en: "A quota for the routes of one rule.",
        fr: "Un quota pour les routes d'une règle.",
    },
    keys: &[
        required("route", ROUTE,
            "the rule", "la règle"),
        required("rate_limit", QUOTA,
            "how many requests it may make there", "combien de requêtes il peut y faire"),
    ],
    any_of: &[],
    renamed: &[
        ("rule", "route"), ("path", "route"), ("limit", "rate_limit"), ("rate", "rate_limit"),
        ("quota", "rate_limit"),
    ],
    later: &[],
};

/// Tables whose rules hold always: credentials, header fields, framing and sizes can be neither shadowed nor switched
/// off.
pub(super) static NEVER_SHADOWED: [&str; 5] = ["session", "listener", "client_ip", "credentials", "consumer.keys"];

/// Every table of the file shape.
pub static TABLES: &[&TableSpec] = &[
    &ROOT,
    &UPSTREAM,
    &UPSTREAM_TLS,
    &SESSION,
    &LOGIN,
    &LISTENER,
    &CLIENT_IP,
    &CREDENTIALS,
    &LIMITS,
    &LOG,
    &ADMIN,
    &SERVER,
    &STATE,
    &EXPIRED_WHEN,
    &FAILED_WHEN,
    &CONSUMER,
    &CONSUMER_LOGIN,
    &ROUTE_LIMIT,
    &KEY,
    &TLS,
    &ACME,
    &SECRET,
];

/// A file that `consumers` names.
pub static CONSUMER_FILE: TableSpec = TableSpec {
    path: "",
    form: Form::Root,
    about: StaticText { en: "Consumers of sensgate.", fr: "Des consommateurs de sensgate." },
    keys: &[table("consumer", Presence::Optional, ValueKind::Tables(&CONSUMER))],
    any_of: &[],
    renamed: &[("consumers", "consumer")],
    later: &[],
};

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
    fn every_table_and_key_says_what_it_is_for_in_both_languages() {
        for table in TABLES {
            assert!(table.about.en.ends_with('.') && table.about.fr.ends_with('.'), "{}", table.path);
            for key in table.keys {
                let (name, StaticText { en, fr }) = (key.name, key.about);
                assert!(!en.is_empty() && !fr.is_empty() && en != fr, "{}.{name}: {en} / {fr}", table.path);
                assert!(
                    matches!(key.kind, ValueKind::Table(_) | ValueKind::Tables(_)) || !en.ends_with('.'),
                    "{name}: {en}"
                );
            }
            for name in table.any_of {
                assert!(table.key(name).is_some_and(|key| key.presence == Presence::Optional), "{}.{name}", table.path);
            }
        }
    }

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
