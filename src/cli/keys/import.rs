//! `keys import`: a key that a caller has already, so that it need not change: by its digest, or the shared key of
//! 8sens for a while.
//!
//! A key is read from stdin, never from the command line, where everybody on the machine could see it.

use super::edit::{Edit, tell_gate};
use super::make::expiry;
use super::{ExpiryArgs, Failure, FileArgs, next_id};
use crate::cli::help::both;
use crate::cli::{Exit, talk};
use crate::config::draft::{KeyEntry, KeySource};
use crate::domain::policy::credential::MAX_KEY_LEN;
use crate::domain::request::pasted;
use crate::domain::rules::consumer;
use crate::text;
use crate::text::Lang;
use data_encoding::HEXLOWER;
use jiff::civil::Date;
use std::io::{self, IsTerminal, Read};
use zeroize::Zeroizing;

#[derive(clap::Args, Clone, Debug)]
#[command(about = both("Admit a key that a caller has already", "Admettre une clé qu'un appelant possède déjà"))]
#[command(long_about = both(
    "The key is read from the standard input, one line, hidden on a terminal; never from the command line. Or \
     give its digest with --sha256. With --upstream-key --until DAY the caller may keep the shared key of 8sens \
     itself for a while; every check warns until that entry is gone.",
    "La clé est lue sur l'entrée standard, une ligne, masquée sur un terminal ; jamais sur la ligne de commande. \
     Ou donnez son empreinte avec --sha256. Avec --upstream-key --until JOUR, l'appelant peut garder un temps la \
     clé partagée de 8sens elle-même ; chaque vérification avertit tant que cette entrée existe."
))]
pub(crate) struct ImportArgs {
    #[arg(value_name = "CONSUMER", help = both("The consumer, by its name", "Le consommateur, par son nom"))]
    pub consumer: String,
    #[arg(long, value_name = "ID", help = both(
        "The id of the key, shown in logs [default: the next free one]",
        "L'identifiant de la clé, visible dans les journaux [défaut : le prochain libre]"
    ))]
    pub id: Option<String>,
    #[arg(long, requires = "until", conflicts_with_all = ["sha256", "expires", "no_expiry"], help = both(
        "Admit the key of 8sens itself, for a change-over",
        "Admettre la clé de 8sens elle-même, le temps d'une transition"
    ))]
    pub upstream_key: bool,
    #[arg(long, value_name = "YYYY-MM-DD", requires = "upstream_key", help = both(
        "Last day of that, UTC",
        "Dernier jour de cette transition, UTC"
    ))]
    pub until: Option<Date>,
    #[arg(long, value_name = "HEX", help = both(
        "SHA-256 of the whole key, hexadecimal, in place of the key",
        "SHA-256 de la clé entière, en hexadécimal, à la place de la clé"
    ))]
    pub sha256: Option<String>,
    #[command(flatten)]
    pub expiry: ExpiryArgs,
    #[arg(long, help = both("Make the consumer as well", "Créer aussi le consommateur"))]
    pub create: bool,
    #[command(flatten)]
    pub file: FileArgs,
}

pub(super) fn run(args: &ImportArgs, today: Date, lang: Lang) -> Result<Exit, Failure> {
    let consumer = args.consumer.as_str();
    let wanted = ExpiryArgs { expires: args.until.or(args.expiry.expires), ..args.expiry };
    let expires = expiry(wanted, today)?;
    let source = if args.upstream_key {
        KeySource::UpstreamKey
    } else if let Some(digits) = &args.sha256 {
        KeySource::Sha256(digits.to_ascii_lowercase())
    } else {
        KeySource::Sha256(digest_of_stdin(lang)?)
    };
    let mut edit = Edit::open(&args.file, consumer)?;
    let taken = if args.create { Vec::new() } else { edit.key_ids(consumer)? };
    let usual =
        || if args.upstream_key { "legacy".to_owned() } else { next_id(&taken, taken.last().map(String::as_str)) };
    let id = args.id.clone().unwrap_or_else(usual);
    let entry = KeyEntry { id: id.clone(), source, created: today, expires };
    edit.apply(consumer, &id, |draft| {
        if args.create { draft.add_consumer(consumer, &entry) } else { draft.add_key(consumer, &entry) }
    })?;
    edit.prepare(consumer)?.commit()?;
    talk(&text! { en: "Key {id} of {consumer} is imported.", fr: "La clé {id} de {consumer} est importée." }, lang);
    if args.upstream_key {
        let text = text! {
            en: "This caller knows the key of 8sens until the entry is gone: give it a key of its own (`keys rotate`), \
                 then change the key in 8sens.",
            fr: "Cet appelant connaît la clé de 8sens tant que l'entrée est là : donnez-lui sa propre clé (`keys \
                 rotate`), puis changez celle de 8sens.",
        };
        talk(&text, lang);
    }
    Ok(tell_gate(&args.file, lang))
}

/// Reads one line, without showing it on a terminal, and keeps nothing but its digest.
fn digest_of_stdin(lang: Lang) -> Result<String, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        (Exit::Failure, text! { en: "no key could be read: {error}", fr: "aucune clé n'a pu être lue : {error}" })
    };
    let line = if io::stdin().is_terminal() {
        let prompt = text! { en: "The key:", fr: "La clé :" };
        let typed = inquire::Password::new(prompt.in_lang(lang)).without_confirmation().prompt();
        Zeroizing::new(typed.map_err(|error| unreadable(&error))?.into_bytes())
    } else {
        // Room for a line end, and a byte to see that it is too long.
        let most = MAX_KEY_LEN + 3;
        let mut bytes = Zeroizing::new(Vec::with_capacity(most));
        io::stdin().lock().take(most as u64).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        bytes
    };
    let key = line.strip_suffix(b"\n").unwrap_or(&line);
    let key = key.strip_suffix(b"\r").unwrap_or(key);
    if pasted::fault(key, MAX_KEY_LEN).is_some() || pasted::is_quoted(key) || key.contains(&b',') {
        let message = text! {
            en: "a key is 1 to {MAX_KEY_LEN} characters of visible ASCII without a comma, on one line, without \
                 quotation marks or Bearer",
            fr: "une clé comporte de 1 à {MAX_KEY_LEN} caractères ASCII visibles sans virgule, sur une ligne, sans \
                 guillemets ni Bearer",
        };
        return Err((Exit::Usage, message).into());
    }
    Ok(HEXLOWER.encode(&consumer::digest(key)))
}
