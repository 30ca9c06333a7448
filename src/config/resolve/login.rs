//! `[login]`: what a login is to 8sens.

use super::answer_pattern::{self, SuccessAlone};
use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::shape;
use crate::domain::rules::snapshot::LoginRules;
use crate::text;
use crate::text::StaticText;

/// An answer of success alone says nothing: no login would ever succeed.
const SUCCESS_ALONE: SuccessAlone = SuccessAlone {
    message: StaticText {
        en: "a status of success does not tell a login that is refused",
        fr: "un statut de succès ne révèle pas une connexion refusée",
    },
    label: StaticText { en: "no login would ever succeed", fr: "aucune connexion ne réussirait jamais" },
    hint: StaticText {
        en: "add `body_contains = \"…\"` with words that are only in the answer to a login that is refused",
        fr: "ajoutez `body_contains = \"…\"` avec des mots propres à la réponse faite à une connexion refusée",
    },
};

pub(super) fn read(section: &Section<'_>) -> LoginRules {
    LoginRules {
        user_field: section.value("user_field", user_field),
        failed_when: section
            .value("failed_when", |field| answer_pattern::list(field, &shape::FAILED_WHEN, &SUCCESS_ALONE)),
    }
}

/// Longest name of a field, in bytes.
const MAX_FIELD: usize = 64;

fn user_field(field: &Field<'_>) -> Option<Box<str>> {
    let name = field.string()?;
    if (1..=MAX_FIELD).contains(&name.len()) {
        return Some(name.into());
    }
    field.error(Complaint::new(
        Rule::OutOfRange,
        text! {
            en: "`user_field` must have 1 to {MAX_FIELD} bytes",
            fr: "`user_field` doit compter de 1 à {MAX_FIELD} octets"
        },
        text! { en: "no name of a field", fr: "ce n'est pas un nom de champ" },
    ));
    None
}
