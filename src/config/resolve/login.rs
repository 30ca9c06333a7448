//! `[login]`: what a login is to 8sens; and the `login` of a consumer, with which the gate logs in for it.

use super::answer_pattern::{self, SuccessAlone};
use super::client::route;
use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::{secret, shape};
use crate::domain::rules::login::Login;
use crate::domain::rules::snapshot::LoginRules;
use crate::text;
use crate::text::StaticText;
use secrecy::SecretString;
use std::path::Path;
use toml::de::DeValue;

/// Longest login name in bytes.
const MAX_USER: usize = 256;

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
        logout_route: section.get("logout_route").and_then(|field| logout_route(&field)),
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

/// The one path that ends a session.
fn logout_route(field: &Field<'_>) -> Option<Box<str>> {
    let rule = route(field)?;
    let target = rule.as_post().map(Into::into);
    if target.is_none() {
        field.error(
            Complaint::new(
                Rule::InvalidRoute,
                text! {
                    en: "`logout_route` is one POST and no pattern",
                    fr: "`logout_route` est un POST précis, et non un motif"
                },
                text! { en: "the gate sends a POST there", fr: "la passerelle y envoie un POST" },
            )
            .hint(text! {
                en: "write such as \"POST /v1/logout\"",
                fr: "écrivez par exemple \"POST /v1/logout\""
            }),
        );
    }
    target
}

/// The credentials of a consumer at 8sens. Relative paths of its password start at `base`.
pub(super) fn of_consumer(field: &Field<'_>, base: &Path) -> Option<Login> {
    const EXAMPLE: &str = "{ user = \"CLIENTREST\", password = { file = \"clientrest\" } }";
    let DeValue::Table(table) = field.value else {
        // It may hold a password.
        field.mask_scalars();
        field.wrong_type(
            &text! { en: "a table", fr: "une table" },
            Some(text! { en: "write {EXAMPLE}", fr: "écrivez {EXAMPLE}" }),
        );
        return None;
    };
    let section = Section::open(&shape::CONSUMER_LOGIN, table, Some(field.span.clone()), field.problems);
    let user = section.required("user", "user = \"CLIENTREST\"").and_then(|field| user(&field));
    let password = section
        .required("password", "password = { file = \"clientrest\" }")
        .and_then(|field| secret::read_password(&field, base));
    Some(Login::new(user?, password?))
}

fn user(field: &Field<'_>) -> Option<SecretString> {
    let user = field.string()?;
    if (1..=MAX_USER).contains(&user.len()) && !user.chars().any(char::is_control) {
        return Some(user.to_owned().into());
    }
    field.error(Complaint::new(
        Rule::OutOfRange,
        text! {
            en: "`user` must have 1 to {MAX_USER} bytes, and no control character",
            fr: "`user` doit compter de 1 à {MAX_USER} octets, sans caractère de contrôle"
        },
        text! { en: "no login name", fr: "ce n'est pas un identifiant" },
    ));
    None
}
