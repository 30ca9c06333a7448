//! From answers to the text of the file: a new one, or one that is there, with its comments and order. Pure.

use super::answers::{Answers, FIRST_KEY, Listener, NewConsumer, Token, Transport};
use crate::text;
use crate::text::{Lang, Text};
use std::fmt::Write as _;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// The schema's file, beside the configuration.
pub(super) const SCHEMA: &str = "sensgate.schema.json";
/// The upstream key's file, beside the configuration.
pub(super) const KEY_FILE: &str = "8sens-api-key";
/// What the vendor's page shows.
pub(super) const DEFAULT_UPSTREAM: &str = "127.0.0.1:8082";

/// A new configuration with comments in the operator's language. `state` is a directory to name, where the default
/// would not do.
pub(super) fn new_file(answers: &Answers, state: Option<&str>, lang: Lang) -> String {
    let mut file = String::new();
    let mut say = |text: Text| file.push_str(text.in_lang(lang));
    let upstream = quoted(answers.upstream.as_deref().unwrap_or(DEFAULT_UPSTREAM));
    let idle_timeout = quoted(answers.idle_timeout.as_deref().unwrap_or("900s"));
    say(text! {
        en: "\
#:schema ./{SCHEMA}
# The configuration of sensgate. `sensgate check` shows every mistake in it, `sensgate reload` makes a running gate apply it, and
# `sensgate init` changes it. Keys that are not here have their default: see docs/configuration.md.

# The REST server of 8sens.
[upstream]
address = {upstream}  # the Port of its REST screen
api_key = {{ file = \"{KEY_FILE}\" }}  # the API Key of that screen, in a file that only the gate reads
idle_timeout = {idle_timeout}  # \"Durée d'inactivité\" on that screen

",
        fr: "\
#:schema ./{SCHEMA}
# La configuration de sensgate. `sensgate check` en montre toutes les erreurs, `sensgate reload` la fait prendre en compte par une
# passerelle en service, et `sensgate init` la modifie. Une clé absente a sa valeur par défaut : voyez docs/fr/configuration.md.

# Le serveur REST de 8sens.
[upstream]
address = {upstream}  # le Port de son écran REST
api_key = {{ file = \"{KEY_FILE}\" }}  # l'API Key de cet écran, dans un fichier que seule la passerelle lit
idle_timeout = {idle_timeout}  # « Durée d'inactivité » du même écran

",
    });
    say(session(answers.token.unwrap_or(Token::Unknown)));
    say(text! {
        en: "# Where consumers connect.\n[[listener]]\n",
        fr: "# Où les consommateurs se connectent.\n[[listener]]\n"
    });
    if let Some(listener) = &answers.listener {
        say(listening(listener));
    }
    if let Some(Listener { transport: Transport::BehindProxy(proxies), .. }) = &answers.listener {
        let proxies = list(proxies);
        say(text! {
            en: "\n# Who says for whom it calls, and whether it came by https.\n[client_ip]\ntrusted_proxies = \
                 {proxies}\n",
            fr: "\n# Qui dit pour qui il appelle, et si c'est venu en https.\n[client_ip]\ntrusted_proxies = \
                 {proxies}\n"
        });
    }
    if let Some(state) = state {
        let state = quoted(state);
        say(text! {
            en: "\n# Where sessions survive a restart, and where commands find the running gate.\n[state]\ndirectory = \
                 {state}\n",
            fr: "\n# Où les sessions survivent à un redémarrage, et où les commandes trouvent la passerelle en \
                 service.\n[state]\ndirectory = {state}\n"
        });
    }
    for (consumer, first) in answers.consumers.iter().zip(std::iter::once(true).chain(std::iter::repeat(false))) {
        say(calling(consumer, first));
    }
    file
}

fn session(token: Token) -> Text {
    match token {
        Token::At(place) => {
            let places = quoted(place);
            text! {
                en: "\
# A token that is unknown, expired or another consumer's never reaches 8sens.
[session]
mode = \"guard\"
token_from = [{places}]  # where the API documentation of 8sens says that the token travels; elsewhere, tokens are removed

",
                fr: "\
# Un jeton inconnu, expiré ou appartenant à un autre consommateur n'atteint jamais 8sens.
[session]
mode = \"guard\"
token_from = [{places}]  # où la documentation de l'API 8sens fait voyager le jeton ; ailleurs, les jetons sont retirés

",
            }
        }
        Token::Unknown => text! {
            en: "\
# Everything with a good key reaches 8sens; what would be refused is only logged. `sensgate status --would-refuse` says when nothing would
# be: then write \"guard\".
[session]
mode = \"observe\"

",
            fr: "\
# Tout ce qui a une bonne clé atteint 8sens ; ce qui serait refusé est seulement journalisé. `sensgate status --would-refuse` dit quand
# plus rien ne le serait : écrivez alors \"guard\".
[session]
mode = \"observe\"

",
        },
    }
}

fn listening(listener: &Listener) -> Text {
    let address = quoted(&listener.address.to_string());
    match &listener.transport {
        Transport::Loopback => text! {
            en: "address = {address}  # this machine only\n",
            fr: "address = {address}  # cette machine seulement\n"
        },
        transport => {
            let how: String =
                protection(transport).iter().map(|(key, value)| format!("{key} ={}\n", spaced(value))).collect();
            match transport {
                Transport::Lan => text! {
                    en: "address = {address}\n# In clear: only callers with private addresses are let in.\n{how}",
                    fr: "address = {address}\n# En clair : seuls les appelants aux adresses privées sont admis.\n{how}"
                },
                Transport::BehindProxy(_) => text! {
                    en: "address = {address}\n# The proxy in front does TLS and must say x-forwarded-proto: \
                         https.\n{how}",
                    fr: "address = {address}\n# Le proxy placé devant fait le TLS et doit annoncer x-forwarded-proto: \
                         https.\n{how}"
                },
                _ => text! { en: "address = {address}\n{how}", fr: "address = {address}\n{how}" },
            }
        }
    }
}

fn calling(consumer: &NewConsumer, first: bool) -> Text {
    if !first {
        let block = block(consumer, "");
        return text! { en: "\n{block}", fr: "\n{block}" };
    }
    let options = "# rate_limit = \"20/s, burst 40\"\n# allow_from = [\"203.0.113.0/24\"]\n# allow = [\"GET /v1/*\", \
                   \"POST /v1/devis*\"]\n";
    let en = block(consumer, &format!("# If you like: how fast, from where, and what it may call.\n{options}"));
    let fr = block(consumer, &format!("# Au choix : son débit, d'où il appelle, ce qu'il peut appeler.\n{options}"));
    text! {
        en: "\n# Who may call. Each has its own keys; only their digests are here.\n{en}",
        fr: "\n# Qui peut appeler. Chacun a ses propres clés ; seules leurs empreintes sont ici.\n{fr}"
    }
}

/// The text with the answers in it; everything else as it was.
///
/// # Errors
/// Why it cannot be changed without a person.
pub(super) fn edited(source: &str, answers: &Answers, listener: usize) -> Result<String, Text> {
    let mut document: DocumentMut = source.parse().map_err(|_| {
        text! {
            en: "the file is not TOML: `sensgate check` shows where",
            fr: "le fichier n'est pas du TOML : `sensgate check` montre où"
        }
    })?;
    if let Some(address) = &answers.upstream {
        set(table(&mut document, "upstream")?, "address", address.as_str().into());
    }
    if let Some(idle_timeout) = &answers.idle_timeout {
        set(table(&mut document, "upstream")?, "idle_timeout", idle_timeout.as_str().into());
    }
    match answers.token {
        Some(Token::At(place)) => {
            let session = table(&mut document, "session")?;
            set(session, "token_from", Value::Array(Array::from_iter([place])));
        }
        Some(Token::Unknown) => {
            let session = table(&mut document, "session")?;
            session.remove("token_from");
            set(session, "mode", "observe".into());
        }
        None => {}
    }
    if let Some(new) = &answers.listener {
        listen(&mut document, new, listener)?;
    }
    for consumer in &answers.consumers {
        admits(&document, consumer)?;
    }
    let mut text = document.to_string();
    for consumer in &answers.consumers {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&block(consumer, ""));
    }
    Ok(text)
}

/// The addresses of the listeners in the file, in order.
pub(super) fn listeners(source: &str) -> Vec<String> {
    let Ok(document) = source.parse::<DocumentMut>() else { return Vec::new() };
    let Some(tables) = document.get("listener").and_then(Item::as_array_of_tables) else { return Vec::new() };
    tables.iter().map(|table| table.get("address").and_then(Item::as_str).unwrap_or("?").to_owned()).collect()
}

/// The file that holds the upstream key, when it is in a file.
pub(super) fn key_file(source: &str) -> Option<String> {
    let document: DocumentMut = source.parse().ok()?;
    document.get("upstream")?.as_table_like()?.get("api_key")?.as_table_like()?.get("file")?.as_str().map(str::to_owned)
}

fn listen(document: &mut DocumentMut, new: &Listener, number: usize) -> Result<(), Text> {
    let tables = document.get_mut("listener").and_then(Item::as_array_of_tables_mut);
    let Some(listener) = tables.and_then(|tables| tables.get_mut(number)) else {
        return Err(text! {
            en: "the file has no `[[listener]]` in the usual form: change it by hand",
            fr: "le fichier n'a pas de `[[listener]]` sous la forme habituelle : modifiez-le à la main"
        });
    };
    set(listener, "address", new.address.to_string().into());
    let wanted = protection(&new.transport);
    for key in ["tls", "plaintext"] {
        if !wanted.iter().any(|(name, _)| *name == key) {
            listener.remove(key);
        }
    }
    for (key, value) in wanted {
        set(listener, key, value);
    }
    if let Transport::BehindProxy(proxies) = &new.transport {
        let client_ip = table(document, "client_ip")?;
        if !client_ip.get("trusted_proxies").is_some_and(Item::is_array) {
            set(client_ip, "trusted_proxies", Value::Array(Array::new()));
        }
        if let Some(list) = client_ip.get_mut("trusted_proxies").and_then(Item::as_array_mut) {
            for proxy in proxies {
                if !list.iter().any(|known| known.as_str() == Some(proxy)) {
                    list.push(proxy);
                }
            }
        }
    }
    Ok(())
}

/// The keys of a listener that say how it is protected.
fn protection(transport: &Transport) -> Vec<(&'static str, Value)> {
    match transport {
        Transport::Loopback => Vec::new(),
        Transport::Lan => vec![("plaintext", "lan".into())],
        Transport::BehindProxy(_) => vec![("plaintext", "behind_proxy".into())],
        Transport::Files { certificate, key } => {
            let files: [(&str, Value); 2] = [("certificate", certificate.into()), ("key", key.into())];
            vec![("tls", Value::InlineTable(InlineTable::from_iter(files)))]
        }
        Transport::Acme { contact, domains, directory } => {
            let mut acme: Vec<(&str, Value)> = vec![
                ("contact", contact.into()),
                ("domains", Value::Array(domains.iter().map(String::as_str).collect())),
            ];
            if let Some(directory) = directory {
                acme.push(("directory", directory.into()));
            }
            let acme = Value::InlineTable(InlineTable::from_iter(acme));
            vec![("tls", Value::InlineTable(InlineTable::from_iter([("acme", acme)])))]
        }
    }
}

/// Refuses a consumer that cannot be added behind everything else.
fn admits(document: &DocumentMut, consumer: &NewConsumer) -> Result<(), Text> {
    let name = &consumer.name;
    let known = match document.get("consumer") {
        None => return Ok(()),
        Some(item) => item.as_array_of_tables().ok_or_else(|| {
            text! {
                en: "`consumer` is not written as `[[consumer]]`: add {name} by hand",
                fr: "`consumer` n'est pas écrit sous la forme `[[consumer]]` : ajoutez {name} à la main"
            }
        })?,
    };
    if known.iter().any(|known| known.get("name").and_then(Item::as_str) == Some(name)) {
        return Err(text! {
            en: "{name} already exists; `sensgate keys new` makes another key for it",
            fr: "{name} existe déjà ; `sensgate keys new` lui crée une autre clé"
        });
    }
    Ok(())
}

/// `[[consumer]]` as it is in the file. Name, digest and day hold nothing that TOML wants escaped.
fn block(consumer: &NewConsumer, comment: &str) -> String {
    let NewConsumer { name, sha256, created, expires, .. } = consumer;
    format!(
        "[[consumer]]\nname = \"{name}\"\n{comment}keys = [\n  {{ id = \"{FIRST_KEY}\", sha256 = \"{sha256}\", created \
         = {created}, expires = {expires} }},\n]\n"
    )
}

/// A table of the file, made when it is not there.
fn table<'d>(document: &'d mut DocumentMut, name: &str) -> Result<&'d mut dyn TableLike, Text> {
    let made = || {
        let mut table = Table::new();
        table.decor_mut().set_prefix("\n");
        Item::Table(table)
    };
    let item = document.entry(name).or_insert_with(made);
    item.as_table_like_mut().ok_or_else(|| {
        text! {
            en: "`{name}` is not a table: change it by hand",
            fr: "`{name}` n'est pas une table : modifiez-le à la main"
        }
    })
}

/// Sets a value; the comment behind the old one stays.
fn set(table: &mut (impl TableLike + ?Sized), key: &str, mut value: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string().trim().to_owned()
}

fn spaced(value: &Value) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, " {}", value.to_string().trim());
    text
}

fn list(words: &[String]) -> String {
    Value::Array(words.iter().map(String::as_str).collect()).to_string().trim().to_owned()
}
