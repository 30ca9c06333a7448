//! `keys list`: every key with its state, and when the running gate last accepted it.

use super::{Failure, FileArgs};
use crate::admin::control::{Key, KeyState, socket_in};
use crate::cli::control_client::ask_at;
use crate::cli::help::{self, both};
use crate::cli::{Exit, Format, data, talk};
use crate::config;
use crate::platform::clock;
use crate::text;
use crate::text::Lang;
use hyper::Method;
use std::collections::HashMap;

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "List keys with their dates, their state and their last use",
    "Lister les clés avec leurs dates, leur état et leur dernière utilisation"
))]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub file: FileArgs,
    #[arg(long, value_name = "NAME", help = both(
        "Only keys of this consumer",
        "Seulement les clés de ce consommateur"
    ))]
    pub consumer: Option<String>,
    #[arg(long, value_enum, default_value_t, help = help::format())]
    pub format: Format,
}

pub(super) fn run(args: &ListArgs, lang: Lang) -> Result<Exit, Failure> {
    let mut keys = keys(&args.file, lang)?;
    if let Some(consumer) = &args.consumer {
        keys.retain(|key| key.consumer == *consumer);
        if keys.is_empty() {
            let message = text! {
                en: "the configuration has no consumer {consumer}",
                fr: "la configuration n'a pas de consommateur {consumer}",
            };
            return Err((Exit::Failure, message).into());
        }
    }
    match args.format {
        Format::Json => data(&serde_json::to_string_pretty(&keys).unwrap_or_default()),
        Format::Text => table(&keys, lang).iter().for_each(|line| data(line)),
    }
    Ok(Exit::Ok)
}

/// The keys of the file, with what the gate knows of their use; it is told when there is no gate to ask.
pub(super) fn keys(args: &FileArgs, lang: Lang) -> Result<Vec<Key>, Failure> {
    let settings = match config::load(&args.config) {
        Ok(loaded) => loaded.settings,
        Err(report) => return Err(Failure::Invalid(Box::new(report))),
    };
    let socket = socket_in(args.state.as_ref().unwrap_or(&settings.state_directory));
    let known: Vec<Key> = match ask_at(&socket, Method::GET, "/keys") {
        Ok(Ok(known)) => known,
        Ok(Err(_)) | Err(_) => {
            let text = text! {
                en: "no gate could be asked: last uses are not known",
                fr: "aucune passerelle n'a pu être interrogée : les dernières utilisations ne sont pas connues",
            };
            talk(&text, lang);
            Vec::new()
        }
    };
    let known: HashMap<(&str, &str), &Key> =
        known.iter().map(|known| ((known.consumer.as_str(), known.id.as_str()), known)).collect();
    let now = clock::now().wall;
    let mut keys = Vec::new();
    for consumer in settings.snapshot.consumers.iter() {
        for credential in &consumer.credentials {
            let key = Key::of(&consumer.name, credential, None, now);
            let known = known.get(&(key.consumer.as_str(), key.id.as_str()));
            let last_used = known.and_then(|known| known.last_used);
            keys.push(Key { last_used, ..key });
        }
    }
    Ok(keys)
}

/// The state in an operator's words.
pub(super) fn state(key: &Key, lang: Lang) -> String {
    let state = match key.state {
        KeyState::Active => text! { en: "active", fr: "active" },
        KeyState::Expired => text! { en: "expired", fr: "expirée" },
        KeyState::Disabled => text! { en: "disabled", fr: "désactivée" },
    };
    let shared = text! { en: ", key of 8sens", fr: ", clé de 8sens" };
    format!("{}{}", state.in_lang(lang), if key.upstream_key { shared.in_lang(lang) } else { "" })
}

/// What is not known.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn table(keys: &[Key], lang: Lang) -> Vec<String> {
    let heads = text! {
        en: "CONSUMER,KEY,CREATED,EXPIRES,STATE,LAST USE",
        fr: "CONSOMMATEUR,CLÉ,CRÉÉE,EXPIRE,ÉTAT,DERNIÈRE UTILISATION",
    };
    let head: Vec<String> = heads.in_lang(lang).split(',').map(str::to_owned).collect();
    let rows = keys.iter().map(|key| {
        let (consumer, id) = (key.consumer.clone(), key.id.clone());
        let dates = [or_dash(key.created), or_dash(key.expires)];
        [vec![consumer, id], dates.to_vec(), vec![state(key, lang), or_dash(key.last_used)]].concat()
    });
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
