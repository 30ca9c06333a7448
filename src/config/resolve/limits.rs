//! `[limits]`

use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::settings::{ConnectionSettings, MinimumRate};
use crate::config::value::show_size;
use crate::domain::limit::login_shield::LoginQuotas;
use crate::domain::request::head::HeadLimits;
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::snapshot::{BudgetRules, SizeLimits};
use crate::text;

pub(super) fn read(section: &Section<'_>) -> (SizeLimits, ConnectionSettings) {
    let head = section.value("head_bytes", |field| field.size());
    let uri = section.value("uri_bytes", |field| field.size());
    uri_fits_head(section, uri, head);
    let sizes = SizeLimits {
        head: HeadLimits {
            bytes: usize::try_from(head).unwrap_or(usize::MAX),
            uri: usize::try_from(uri).unwrap_or(usize::MAX),
            fields: section.value("fields", |field| field.integer()),
        },
        body: section.value("body_bytes", |field| field.size()),
    };
    let timeout = |name| section.value(name, |field| field.duration());
    let rate = |name| section.value(name, |field| field.byte_rate());
    let connections = ConnectionSettings {
        max: section.value("connections", |field| field.integer()),
        max_per_address: section.value("connections_per_address", |field| field.integer()),
        handshake_timeout: timeout("handshake_timeout"),
        head_timeout: timeout("head_timeout"),
        body: MinimumRate { grace: timeout("body_timeout"), rate: rate("body_rate") },
        answer: MinimumRate { grace: timeout("write_timeout"), rate: rate("write_rate") },
        keepalive_timeout: timeout("keepalive_timeout"),
        max_requests: section.value("requests_per_connection", |field| field.integer()),
    };
    (sizes, connections)
}

/// What abuse may use. The defaults leave room for a busy shop behind one address: its good requests are not charged at
/// all.
pub(super) fn budgets(section: &Section<'_>) -> BudgetRules {
    let quota = |name| section.value(name, |field| field.quota());
    BudgetRules {
        address: quota("address_budget"),
        failed_credentials: quota("failed_credentials"),
        failed_tokens: quota("failed_tokens"),
        logins: LoginQuotas {
            name: quota("failed_logins_per_name"),
            address: quota("failed_logins_per_address"),
            key: quota("failed_logins_per_key"),
            total: quota("failed_logins"),
            known: quota("failed_logins_of_known"),
        },
        enforce: section.value("enforce", enforce),
        rate_limit_on_answers: section
            .value("rate_limit_headers", |field| field.choice(&[("answers", true), ("refusals", false)])),
    }
}

/// Whether quotas, address and route rules refuse. Switched off they may be forgotten, so that is worth a warning.
pub(super) fn enforce(field: &Field<'_>) -> Option<Enforce> {
    let enforce = field.choice(&[("on", Enforce::On), ("shadow", Enforce::Shadow), ("off", Enforce::Off)])?;
    if enforce == Enforce::Off {
        field.warn(
            Complaint::new(
                Rule::LimitsOff,
                text! {
                    en: "quotas, address and route rules are switched off",
                    fr: "les quotas et les règles d'adresse et de route sont désactivés"
                },
                text! { en: "they refuse nothing", fr: "ils ne refusent rien" },
            )
            .hint(text! {
                en: "write \"shadow\" to log and count what they would refuse, or \"on\"",
                fr: "écrivez \"shadow\" pour journaliser et compter ce qu'ils refuseraient, ou \"on\""
            }),
        );
    }
    Some(enforce)
}

/// The target is a part of the head. Points at the key that is in the file; the other one may be at its default.
fn uri_fits_head(section: &Section<'_>, uri: u64, head: u64) {
    let Some(field) = section.get("uri_bytes").or_else(|| section.get("head_bytes")).filter(|_| uri > head) else {
        return;
    };
    let (uri, head) = (show_size(uri), show_size(head));
    field.error(
        Complaint::new(
            Rule::OutOfRange,
            text! {
                en: "`uri_bytes` is larger than `head_bytes`",
                fr: "`uri_bytes` est plus grand que `head_bytes`"
            },
            text! { en: "{uri} of URI in a head of {head}", fr: "{uri} d'URI dans un en-tête de {head}" },
        )
        .hint(text! {
            en: "the URI is a part of the head: raise `head_bytes` or lower `uri_bytes`",
            fr: "l'URI fait partie de l'en-tête : augmentez `head_bytes` ou réduisez `uri_bytes`"
        }),
    );
}
