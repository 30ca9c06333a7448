//! Patterns of 8sens's answers: a status, and words of the body.

use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::shape::TableSpec;
use crate::domain::session::expiry::BODY_PREFIX;
use crate::domain::session::{ExpiredPattern, ExpiredWhen};
use crate::text;
use crate::text::StaticText;
use toml::de::DeValue;

/// Why a status of success needs words beside it.
#[derive(Clone, Copy)]
pub(super) struct SuccessAlone {
    pub message: StaticText,
    pub label: StaticText,
    pub hint: StaticText,
}

/// Reads a list of patterns; one that is broken is reported and left out.
pub(super) fn list(field: &Field<'_>, spec: &'static TableSpec, success_alone: &SuccessAlone) -> Option<ExpiredWhen> {
    let hint = text! { en: "write [{{ status = 401 }}]", fr: "écrivez [{{ status = 401 }}]" };
    let elements = field.list_or(Some(hint))?;
    Some(ExpiredWhen::new(elements.iter().filter_map(|element| pattern(element, spec, success_alone)).collect()))
}

fn pattern(field: &Field<'_>, spec: &'static TableSpec, success_alone: &SuccessAlone) -> Option<ExpiredPattern> {
    let DeValue::Table(table) = field.value else {
        field.wrong_type(
            &text! { en: "a table", fr: "une table" },
            Some(text! { en: "write {{ status = 401 }}", fr: "écrivez {{ status = 401 }}" }),
        );
        return None;
    };
    let section = Section::open(spec, table, Some(field.span.clone()), field.problems);
    let status = section
        .required("status", "status = 401")
        .and_then(|field| field.integer().inspect(|status| needs_a_body(&section, &field, *status, success_alone)));
    let body_contains = section.get("body_contains").and_then(|field| body_contains(&field));
    Some(ExpiredPattern { status: status?, body_contains })
}

fn needs_a_body(section: &Section<'_>, field: &Field<'_>, status: u16, success_alone: &SuccessAlone) {
    if status >= 300 || section.get("body_contains").is_some() || section.meant_any(&["body_contains"]) {
        return;
    }
    let SuccessAlone { message, label, hint } = *success_alone;
    field.error(Complaint::new(Rule::MissingKey, message.into(), label.into()).hint(hint.into()));
}

fn body_contains(field: &Field<'_>) -> Option<Box<[u8]>> {
    let text = field.string()?;
    if (1..=BODY_PREFIX).contains(&text.len()) {
        return Some(text.as_bytes().into());
    }
    field.error(Complaint::new(
        Rule::OutOfRange,
        text! {
            en: "`body_contains` must have 1 to {BODY_PREFIX} bytes",
            fr: "`body_contains` doit compter de 1 à {BODY_PREFIX} octets"
        },
        if text.is_empty() {
            text! { en: "every body contains this", fr: "tout corps de réponse contient cela" }
        } else {
            text! {
                en: "only the first {BODY_PREFIX} bytes of a body are looked at",
                fr: "seuls les {BODY_PREFIX} premiers octets d'une réponse sont examinés"
            }
        },
    ));
    None
}
