//! `[session]`: how tokens travel, and what a session is held to.

use super::answer_pattern::{self, SuccessAlone};
use super::client::{distinct, routes};
use super::upstream::UpstreamTable;
use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::{shape, value};
use crate::domain::request::TokenPlace;
use crate::domain::rules::snapshot::{SessionMode, SessionRules};
use crate::domain::session::SessionLimits;
use crate::text;
use crate::text::StaticText;
use std::time::Duration;

/// How much earlier than 8sens the gate gives a token up, unless that is more than a tenth of the idle time.
const DEFAULT_MARGIN: Duration = Duration::from_secs(30);

/// An answer of success alone says nothing: it would end a session at its first good request.
const SUCCESS_ALONE: SuccessAlone = SuccessAlone {
    message: StaticText {
        en: "a status of success does not tell an expired token",
        fr: "un statut de succès ne révèle pas un jeton expiré",
    },
    label: StaticText {
        en: "every good answer would end its session",
        fr: "toute bonne réponse mettrait fin à sa session",
    },
    hint: StaticText {
        en: "add `body_contains = \"…\"` with words that are only in the answer to an expired token",
        fr: "ajoutez `body_contains = \"…\"` avec des mots propres à la réponse faite à un jeton expiré",
    },
};

pub(super) fn read(section: &Section<'_>, upstream: &UpstreamTable) -> SessionRules {
    let mut rules = SessionRules {
        mode: section.value("mode", mode),
        token_from: section.value("token_from", token_places),
        login_routes: section.value("login_routes", |field| {
            let rules = routes(field)?;
            warn_of_wide_logins(field);
            Some(rules)
        }),
        public: section.value("public", routes),
        expired_when: section
            .value("expired_when", |field| answer_pattern::list(field, &shape::EXPIRED_WHEN, &SUCCESS_ALONE)),
        limits: session_limits(section, upstream),
        resend_expired_writes: section.value("resend_expired_writes", |field| field.bool()),
        pass_cookies: section.value("cookies", |field| field.choice(&[("drop", false), ("pass", true)])),
        inject_token: TokenPlace::AccessTokenHeader,
        concurrent_sessions: section.value("concurrent_sessions", |field| field.bool()),
        share_login: section.value("share_login", |field| field.bool()),
    };
    // Where 8sens does not read the usual place, any that it reads will do.
    let usual = [rules.inject_token];
    let place = usual.iter().chain(&rules.token_from).find(|place| rules.token_from.contains(place));
    rules.inject_token = section.or("inject_token", place.copied().unwrap_or(rules.inject_token), token_place);
    injected_is_read(section, &rules);
    rules
}

/// What 8sens does not read is no token for it.
fn injected_is_read(section: &Section<'_>, rules: &SessionRules) {
    if rules.token_from.contains(&rules.inject_token) {
        return;
    }
    let Some(field) = section.get("inject_token") else { return };
    let place = rules.inject_token.as_str();
    field.error(
        Complaint::new(
            Rule::InjectedTokenNotRead,
            text! {
                en: "`inject_token` is not one of `token_from`",
                fr: "`inject_token` n'est pas l'une des places de `token_from`"
            },
            text! { en: "8sens would not read {place}", fr: "8sens ne lirait pas {place}" },
        )
        .hint(text! {
            en: "name the same place in both, or leave `inject_token` out",
            fr: "nommez la même place dans les deux, ou omettez `inject_token`"
        }),
    );
}

/// What happens to the tokens of all consumers, or of one.
pub(super) fn mode(field: &Field<'_>) -> Option<SessionMode> {
    field.choice(&[("observe", SessionMode::Observe), ("guard", SessionMode::Guard), ("managed", SessionMode::Managed)])
}

fn session_limits(section: &Section<'_>, upstream: &UpstreamTable) -> SessionLimits {
    let defaults = SessionLimits::default();
    let idle_timeout = upstream.idle_timeout;
    let per_consumer = section.value("per_consumer", |field| field.integer());
    let total = section.value("total", |field| field.integer());
    consumer_fits_total(section, per_consumer, total);
    SessionLimits {
        idle_timeout,
        margin: section.or("margin", DEFAULT_MARGIN.min(idle_timeout / 10), |field| margin(field, upstream)),
        linger: idle_timeout.max(defaults.linger),
        per_consumer,
        total,
    }
}

/// Points at the key that is in the file; the other one may be at its default.
fn consumer_fits_total(section: &Section<'_>, per_consumer: usize, total: usize) {
    let Some(field) = section.get("total").or_else(|| section.get("per_consumer")).filter(|_| per_consumer > total)
    else {
        return;
    };
    field.error(
        Complaint::new(
            Rule::OutOfRange,
            text! { en: "`per_consumer` is larger than `total`", fr: "`per_consumer` est plus grand que `total`" },
            text! {
                en: "{per_consumer} for one consumer, {total} in all",
                fr: "{per_consumer} pour un consommateur, {total} en tout"
            },
        )
        .hint(text! {
            en: "one consumer could use up the room of all others: raise `total` or lower `per_consumer`",
            fr: "un seul consommateur pourrait prendre la place de tous les autres : augmentez `total` ou réduisez \
                 `per_consumer`"
        }),
    );
}

fn margin(field: &Field<'_>, upstream: &UpstreamTable) -> Option<Duration> {
    let idle_timeout = upstream.idle_timeout;
    let margin = field.duration()?;
    if margin <= idle_timeout / 10 {
        return Some(margin);
    }
    let (most, idle) = (value::show_duration(idle_timeout / 10), value::show_duration(idle_timeout));
    let complaint = Complaint::new(
        Rule::MarginTooLong,
        text! {
            en: "`session.margin` is more than a tenth of `upstream.idle_timeout`",
            fr: "`session.margin` dépasse un dixième de `upstream.idle_timeout`"
        },
        text! { en: "more than a tenth of {idle}", fr: "plus d'un dixième de {idle}" },
    );
    let complaint = complaint.hint(text! {
        en: "write \"{most}\" or less; 8sens closes sessions that were unused for {idle}",
        fr: "écrivez \"{most}\" ou moins ; 8sens ferme les sessions restées inutilisées pendant {idle}"
    });
    field.error(match &upstream.idle_timeout_span {
        Some(span) => complaint.related(span.clone(), text! { en: "the idle time", fr: "la durée d'inactivité" }),
        None => complaint,
    });
    None
}

fn token_place(field: &Field<'_>) -> Option<TokenPlace> {
    field.choice(&TokenPlace::ALL.iter().map(|place| (place.as_str(), *place)).collect::<Vec<_>>())
}

fn token_places(field: &Field<'_>) -> Option<Vec<TokenPlace>> {
    let places = distinct(field, token_place)?;
    if field.list()?.is_empty() {
        field.error(
            Complaint::new(
                Rule::EmptyList,
                text! { en: "no place is left for a token", fr: "il ne reste aucune place pour un jeton" },
                text! { en: "every token would be removed", fr: "tout jeton serait supprimé" },
            )
            .hint(text! {
                en: "remove the key: by default every place is read",
                fr: "supprimez la clé : par défaut, toutes les places sont lues"
            }),
        );
    }
    Some(places)
}

/// Login routes are open to every consumer, whatever its own rules say.
fn warn_of_wide_logins(field: &Field<'_>) {
    for element in field.list().unwrap_or_default() {
        if matches!(element.value, toml::de::DeValue::String(text) if text.contains('*')) {
            element.warn(
                Complaint::new(
                    Rule::WideLoginRoute,
                    text! {
                        en: "this login route covers more than one route",
                        fr: "cette route de connexion en couvre plusieurs"
                    },
                    text! { en: "open to every consumer", fr: "ouvertes à tous les consommateurs" },
                )
                .hint(text! {
                    en: "login routes are implied in every `allow`; name each one without `*`",
                    fr: "les routes de connexion sont implicites dans tout `allow` ; nommez-les une à une, sans `*`"
                }),
            );
        }
    }
}
