//! How long 8sens keeps an idle token, against what is configured. Only when asked for: it takes two logins and a
//! little more than the idle time.

use super::Patient;
use super::finding::{Check, Finding};
use super::trial::{lives, path_of, token, wait_until};
use crate::cli::Exit;
use crate::text;
use crate::text::Lang;
use secrecy::SecretString;
use std::time::{Duration, Instant};

/// How much longer than configured an unused token is left: long enough to tell, whatever 8sens's own timer ticks by.
fn beyond(idle: Duration) -> Duration {
    (idle / 20).clamp(Duration::from_secs(1), Duration::from_secs(30))
}

/// Two tokens of one moment: one is used a little before the configured time, the other a little after it.
pub(super) fn check(
    patient: &Patient<'_>,
    user: &str,
    password: &SecretString,
    route: &str,
    lang: Lang,
) -> Result<Vec<Finding>, Exit> {
    let path = path_of(route, lang)?;
    let limits = &patient.settings.snapshot.session.limits;
    let (early, late) = (limits.live(), limits.idle_timeout + beyond(limits.idle_timeout));
    let Some((first, second)) = token(patient, user, password).zip(token(patient, user, password)) else {
        return Ok(vec![unknown(text! { en: "no two logins succeeded", fr: "deux connexions n'ont pas abouti" })]);
    };
    if !lives(patient, path, &first) || !lives(patient, path, &second) {
        let text = text! {
            en: "a fresh token is refused for GET {path}: name a route that it opens, and see `token_from`",
            fr: "un jeton neuf est refusé pour GET {path} : nommez une route qu'il ouvre, et voyez `token_from`"
        };
        return Ok(vec![unknown(text)]);
    }
    let start = Instant::now();
    let seconds = late.as_secs();
    crate::cli::talk(
        &text! { en: "measuring the idle time: {seconds} s", fr: "mesure du délai d'inactivité : {seconds} s" },
        lang,
    );
    wait_until(start + early);
    let lived = lives(patient, path, &first);
    wait_until(start + late);
    let outlived = lives(patient, path, &second);
    Ok(vec![verdict(patient, lived, outlived)])
}

fn unknown(what: crate::text::Text) -> Finding {
    Finding::warning(
        Check::IdleTimeout,
        what,
        text! { en: "the idle time could not be measured", fr: "le délai d'inactivité n'a pas pu être mesuré" },
    )
}

fn verdict(patient: &Patient<'_>, lived: bool, outlived: bool) -> Finding {
    let idle = patient.settings.snapshot.session.limits.idle_timeout.as_secs();
    let remedy = text! {
        en: "write the \"Durée d'inactivité\" of the REST screen of 8sens into `idle_timeout` of [upstream]",
        fr: "reportez la « Durée d'inactivité » de l'écran REST de 8sens dans `idle_timeout` de [upstream]"
    };
    match (lived, outlived) {
        (true, false) => Finding::ok(
            Check::IdleTimeout,
            text! {
                en: "8sens forgets an idle token after {idle} s, as configured",
                fr: "8sens oublie un jeton inutilisé après {idle} s, comme configuré"
            },
        ),
        (false, _) => Finding::error(
            Check::IdleTimeout,
            text! {
                en: "8sens forgets an idle token before the configured {idle} s",
                fr: "8sens oublie un jeton inutilisé avant les {idle} s configurées"
            },
            text! {
                en: "the gate takes tokens for live that 8sens has forgotten: shops run into refusals in the middle of \
                     a checkout",
                fr: "la passerelle tient pour vivants des jetons que 8sens a oubliés : les boutiques essuient des \
                     refus en pleine commande"
            },
        )
        .fix(remedy),
        (true, true) => Finding::warning(
            Check::IdleTimeout,
            text! {
                en: "8sens keeps an idle token for longer than the configured {idle} s",
                fr: "8sens garde un jeton inutilisé plus longtemps que les {idle} s configurées"
            },
            text! {
                en: "the gate ends sessions that 8sens would still take: shops log in more often than they have to",
                fr: "la passerelle termine des sessions que 8sens accepterait encore : les boutiques se connectent \
                     plus souvent que nécessaire"
            },
        )
        .fix(remedy),
    }
}
