//! Calendar days: `expires` and `created` of a key.

use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::value;
use crate::domain::types::Wall;
use crate::text;
use crate::text::Text;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use toml::de::DeValue;

/// The first instant of a day, UTC.
pub(super) fn first_instant(field: &Field<'_>) -> Option<Wall> {
    start_of(read(field)?).or_else(|| {
        too_far(field);
        None
    })
}

/// The first instant after the last day, UTC.
pub(super) fn expiry(field: &Field<'_>, now: Wall) -> Option<Wall> {
    let Some(end) = read(field)?.tomorrow().ok().and_then(start_of) else {
        too_far(field);
        return None;
    };
    if now >= end {
        field.warn(
            Complaint::new(
                Rule::KeyExpired,
                text! { en: "this key has expired", fr: "cette clé a expiré" },
                text! { en: "refused since the end of this day, UTC", fr: "refusée depuis la fin de ce jour, UTC" },
            )
            .hint(text! { en: "renew the key, or remove it", fr: "renouvelez la clé, ou supprimez-la" }),
        );
    }
    Some(end)
}

/// A day on its own, without a time and without quotes.
fn read(field: &Field<'_>) -> Option<Date> {
    let name = &field.name;
    let day = match field.value {
        DeValue::Datetime(moment) => moment,
        DeValue::String(text) if text.parse::<Date>().is_ok() => {
            let shown = value::quoted(text);
            complain(
                field,
                text! { en: "this is a string", fr: "ceci est une chaîne de caractères" },
                text! { en: "write {shown}, without quotes", fr: "écrivez {shown}, sans guillemets" },
            );
            return None;
        }
        _ => {
            complain(
                field,
                text! { en: "this is no date", fr: "ce n'est pas une date" },
                text! { en: "write `{name} = 2027-06-30`", fr: "écrivez `{name} = 2027-06-30`" },
            );
            return None;
        }
    };
    let (Some(date), None) = (day.date, day.time) else {
        complain(
            field,
            text! { en: "this has a time", fr: "une heure est indiquée" },
            text! {
                en: "write the day alone, such as 2027-06-30, in UTC",
                fr: "écrivez le jour seul, par exemple 2027-06-30, en UTC"
            },
        );
        return None;
    };
    let year = i16::try_from(date.year).ok().zip(i8::try_from(date.month).ok());
    let day = year.zip(i8::try_from(date.day).ok()).and_then(|((year, month), day)| Date::new(year, month, day).ok());
    if day.is_none() {
        too_far(field);
    }
    day
}

fn start_of(day: Date) -> Option<Wall> {
    Some(Wall(day.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

fn too_far(field: &Field<'_>) {
    complain(
        field,
        text! { en: "no such day, or too far away", fr: "ce jour n'existe pas, ou il est trop lointain" },
        text! { en: "write a day up to 9999-12-30", fr: "écrivez un jour jusqu'au 9999-12-30" },
    );
}

fn complain(field: &Field<'_>, label: Text, hint: Text) {
    let name = &field.name;
    let message = text! { en: "`{name}` must be a calendar day", fr: "`{name}` doit être un jour du calendrier" };
    field.error(Complaint::new(Rule::InvalidDate, message, label).hint(hint));
}
