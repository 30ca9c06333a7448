//! `keys rotate`: a new key beside the old one, which ends a little later.

use super::edit::{Edit, tell_gate};
use super::make::{expiry, make};
use super::{ExpiryArgs, Failure, FileArgs, next_id};
use crate::cli::help::{self, both};
use crate::cli::{Exit, Format, talk};
use crate::config::Settings;
use crate::domain::rules::consumer::Credential;
use crate::platform::clock;
use crate::text;
use crate::text::Lang;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use std::io;

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Make a new key and let the old one end a little later",
    "Créer une nouvelle clé et laisser l'ancienne prendre fin un peu plus tard"
))]
#[command(long_about = both(
    "Both keys are accepted until the last day of the overlap has ended, UTC. Without --id the only key that is \
     accepted today is replaced.",
    "Les deux clés sont acceptées jusqu'à la fin du dernier jour du recouvrement, UTC. Sans --id, c'est la seule \
     clé acceptée aujourd'hui qui est remplacée."
))]
pub(crate) struct RotateArgs {
    #[arg(value_name = "CONSUMER", help = both("The consumer, by its name", "Le consommateur, par son nom"))]
    pub consumer: String,
    #[arg(long, value_name = "OLD", help = both("The id of the key to replace", "L'identifiant de la clé à remplacer"))]
    pub id: Option<String>,
    #[arg(long, value_name = "DAYS", default_value = "7d", value_parser = days, help = both(
        "How many days the old key stays valid: 7d, 2w, 0d",
        "Combien de jours l'ancienne clé reste valable : 7d, 2w, 0d"
    ))]
    pub overlap: Span,
    #[command(flatten)]
    pub expiry: ExpiryArgs,
    #[command(flatten)]
    pub file: FileArgs,
    #[arg(long, value_enum, default_value_t, help = help::format())]
    pub format: Format,
}

/// Days and what is made of them: a key ends at the end of a day.
fn days(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|_| "7d, 2w, 0d".to_owned())?;
    let whole = span.get_hours() == 0 && span.get_minutes() == 0 && span.get_seconds() == 0;
    if whole && !span.is_negative() { Ok(span) } else { Err("7d, 2w, 0d".to_owned()) }
}

pub(super) fn run(args: &RotateArgs, today: Date, lang: Lang) -> Result<Exit, Failure> {
    let consumer = args.consumer.as_str();
    let expires = expiry(args.expiry, today)?;
    let mut edit = Edit::open(&args.file, consumer)?;
    let ids = edit.key_ids(consumer)?;
    let old = old_key(edit.before(), args)?;
    let new = make(consumer, &next_id(&ids, Some(&old.id)), today, expires)?;
    // Never later than it would have ended anyway.
    let planned = today.saturating_add(args.overlap);
    let end = last_day(&old).map_or(planned, |day| day.min(planned));
    edit.apply(consumer, &new.id, |draft| draft.add_key(consumer, &new.entry()))?;
    edit.apply(consumer, &old.id, |draft| draft.set_expires(consumer, &old.id, end))?;
    let prepared = edit.prepare(consumer)?;
    new.write(args.format, None, &mut io::stdout().lock())?;
    prepared.commit()?;
    talk(&new.handling(), lang);
    let old = &old.id;
    let text = text! {
        en: "The old key {old} is valid through {end}, UTC; `keys list` shows whether it is still used, `keys revoke` \
             ends it sooner.",
        fr: "L'ancienne clé {old} est valable jusqu'au {end} inclus, UTC ; `keys list` montre si elle sert encore, \
             `keys revoke` y met fin plus tôt.",
    };
    talk(&text, lang);
    Ok(tell_gate(&args.file, lang))
}

/// The key that is named, or the only one that is accepted today.
fn old_key(settings: &Settings, args: &RotateArgs) -> Result<Credential, Failure> {
    let name = &args.consumer;
    let now = clock::now().wall;
    let consumer = settings.snapshot.consumers.iter().find(|consumer| consumer.name.as_ref() == name);
    let keys = consumer.map(|consumer| consumer.credentials.as_slice()).unwrap_or_default();
    if let Some(id) = &args.id {
        let named = keys.iter().find(|key| key.id.as_ref() == id);
        return named.cloned().ok_or_else(|| {
            (Exit::Failure, text! { en: "{name} has no key {id}", fr: "{name} n'a pas de clé {id}" }).into()
        });
    }
    let active: Vec<&Credential> = keys.iter().filter(|key| key.refusal_at(now).is_none()).collect();
    match active[..] {
        [only] => Ok(only.clone()),
        [] => Err((
            Exit::Failure,
            text! {
                en: "{name} has no key that is accepted today; make one with `keys new`",
                fr: "{name} n'a aucune clé acceptée aujourd'hui ; créez-en une avec `keys new`",
            },
        )
            .into()),
        _ => {
            let ids = active.iter().map(|key| key.id.as_ref()).collect::<Vec<_>>().join(", ");
            Err((
                Exit::Usage,
                text! {
                    en: "{name} has several keys ({ids}): say with --id which one is to end",
                    fr: "{name} a plusieurs clés ({ids}) : dites avec --id laquelle doit prendre fin",
                },
            )
                .into())
        }
    }
}

/// The last day of a key; what is kept of it is the first instant after that.
fn last_day(key: &Credential) -> Option<Date> {
    let end = Timestamp::from_millisecond(key.expires?.0).ok()?;
    TimeZone::UTC.to_datetime(end).date().checked_sub(1.day()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_whole_days() {
        for (text, fine) in
            [("7d", true), ("2w", true), ("0d", true), ("1mo", true), ("12h", false), ("-1d", false), ("x", false)]
        {
            assert_eq!(days(text).is_ok(), fine, "{text}");
        }
    }
}
