//! `keys show`: all that is known of one key. Never the key.

use super::list::{keys, or_dash, state};
use super::{Failure, FileArgs};
use crate::cli::help::{self, both};
use crate::cli::{Exit, Format, data};
use crate::text;
use crate::text::Lang;

#[derive(clap::Args, Clone, Debug)]
#[command(about = both("Show what is known of one key", "Montrer ce que l'on sait d'une clé"))]
pub(crate) struct ShowArgs {
    #[arg(value_name = "CONSUMER", help = both("The consumer, by its name", "Le consommateur, par son nom"))]
    pub consumer: String,
    #[arg(value_name = "ID", help = both("The id of the key", "L'identifiant de la clé"))]
    pub id: String,
    #[command(flatten)]
    pub file: FileArgs,
    #[arg(long, value_enum, default_value_t, help = help::format())]
    pub format: Format,
}

pub(super) fn run(args: &ShowArgs, lang: Lang) -> Result<Exit, Failure> {
    let ShowArgs { consumer, id, .. } = args;
    let keys = keys(&args.file, lang)?;
    let Some(key) = keys.iter().find(|key| key.consumer == *consumer && key.id == *id) else {
        return Err((
            Exit::Failure,
            text! {
                en: "the configuration has no key {id} of {consumer}",
                fr: "la configuration n'a pas de clé {id} de {consumer}",
            },
        )
            .into());
    };
    if args.format == Format::Json {
        data(&serde_json::to_string_pretty(key).unwrap_or_default());
        return Ok(Exit::Ok);
    }
    let never = text! { en: "never", fr: "jamais" };
    let expires = key.expires.map_or_else(|| never.in_lang(lang).to_owned(), |day| day.to_string());
    let (created, state, used) = (or_dash(key.created), state(key, lang), or_dash(key.last_used));
    let text = text! {
        en: "consumer  {consumer}\nkey       {id}\ncreated   {created}\nexpires   {expires}\n\
             state     {state}\nlast use  {used}",
        fr: "consommateur          {consumer}\nclé                   {id}\n\
             créée                 {created}\nexpire                {expires}\n\
             état                  {state}\ndernière utilisation  {used}",
    };
    data(text.in_lang(lang));
    Ok(Exit::Ok)
}
