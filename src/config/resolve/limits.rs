//! `[limits]`

use super::{TIMEOUT, secs};
use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::settings::{ConnectionSettings, MinimumRate};
use crate::config::value::show_size;
use crate::head::{HeadLimits, MAX_FIELDS};
use crate::limit::Quota;
use crate::limit::quota::Period;
use crate::snapshot::{BudgetRules, Enforce, SizeLimits};
use crate::text;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

pub(super) fn read(section: &Section<'_>) -> (SizeLimits, ConnectionSettings) {
    let head = section.or("head_bytes", 32 * KIB, |field| field.size(KIB..=256 * KIB));
    let uri = section.or("uri_bytes", 8 * KIB, |field| field.size(64..=256 * KIB));
    uri_fits_head(section, uri, head);
    let sizes = SizeLimits {
        head: HeadLimits {
            bytes: usize::try_from(head).unwrap_or(usize::MAX),
            uri: usize::try_from(uri).unwrap_or(usize::MAX),
            fields: section
                .or("fields", 100, |field| field.integer(1..=MAX_FIELDS as u64))
                .try_into()
                .unwrap_or(MAX_FIELDS),
        },
        body: section.or("body_bytes", 10 * MIB, |field| field.size(1..=1024 * MIB)),
    };
    let timeout = |name, default| section.or(name, default, |field| field.duration(TIMEOUT));
    let rate = |name| section.or(name, KIB, |field| field.byte_rate(1..=MIB));
    let connections = ConnectionSettings {
        max: section.or("connections", 1024, |field| field.integer(1..=65_536)),
        max_per_address: section.or("connections_per_address", 256, |field| field.integer(1..=65_536)),
        handshake_timeout: timeout("handshake_timeout", secs(10)),
        head_timeout: timeout("head_timeout", secs(10)),
        body: MinimumRate { grace: timeout("body_timeout", secs(30)), rate: rate("body_rate") },
        answer: MinimumRate { grace: timeout("write_timeout", secs(30)), rate: rate("write_rate") },
        keepalive_timeout: timeout("keepalive_timeout", secs(60)),
        max_requests: section.or("requests_per_connection", 1000, |field| field.integer(1..=1_000_000)),
    };
    (sizes, connections)
}

/// What abuse may use. The defaults leave room for a busy shop behind one address: its good requests are not charged at all.
pub(super) fn budgets(section: &Section<'_>) -> BudgetRules {
    let quota = |name, count, period| {
        section.get(name).and_then(|field| field.quota()).unwrap_or_else(|| default_quota(count, period))
    };
    BudgetRules {
        address: quota("address_budget", 200, Period::Second),
        failed_credentials: quota("failed_credentials", 10, Period::Minute),
        failed_tokens: quota("failed_tokens", 60, Period::Minute),
        enforce: section.or("enforce", Enforce::On, enforce),
        rate_limit_on_answers: section
            .or("rate_limit_headers", true, |field| field.choice(&[("answers", true), ("refusals", false)])),
    }
}

#[expect(clippy::expect_used, reason = "constants of this file, all in range; loading any configuration runs it")]
fn default_quota(count: u32, period: Period) -> Quota {
    Quota::new(count, period, None).expect("a default quota is in range")
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
