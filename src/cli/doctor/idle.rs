//! How long 8sens keeps an idle token, against what is configured. Only when asked for: it takes two logins and a
//! little more than the idle time.

use super::finding::{Check, Finding};
use super::login::log_in;
use super::{Patient, http};
use crate::cli::Exit;
use crate::domain::request::TokenPlace;
use crate::text;
use crate::text::Lang;
use secrecy::SecretString;
use std::time::{Duration, Instant};
use ureq::http::StatusCode;

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
    let Some(path) = route.strip_prefix("GET ").filter(|path| path.starts_with('/')) else {
        let text = text! {
            en: "error: write the route as 'GET /path'",
            fr: "erreur : écrivez la route sous la forme 'GET /chemin'"
        };
        crate::cli::talk(&text, lang);
        return Err(Exit::Usage);
    };
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
    std::thread::park_timeout(early);
    wait_until(start + early);
    let lived = lives(patient, path, &first);
    wait_until(start + late);
    let outlived = lives(patient, path, &second);
    Ok(vec![verdict(patient, lived, outlived)])
}

fn wait_until(moment: Instant) {
    while let Some(left) = moment.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
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

fn token(patient: &Patient<'_>, user: &str, password: &SecretString) -> Option<SecretString> {
    let answer = log_in(patient, user, password).ok()?;
    crate::domain::session::login_answer::token(answer.status, &answer.body).ok()
}

/// Uses a token, where the configuration says that 8sens reads it. Counts as live unless the answer looks like that of
/// an expired one.
fn lives(patient: &Patient<'_>, path: &str, token: &SecretString) -> bool {
    use secrecy::ExposeSecret;
    let session = &patient.settings.snapshot.session;
    let upstream = &patient.settings.upstream;
    let place = session.token_from.first().copied().unwrap_or(TokenPlace::AccessTokenHeader);
    let token = token.expose_secret();
    let bearer = zeroize::Zeroizing::new(format!("Bearer {token}"));
    let mut target = zeroize::Zeroizing::new(path.to_owned());
    let mut fields: Vec<(&str, &[u8])> = vec![("api_key", upstream.api_key.as_bytes())];
    match place {
        TokenPlace::AccessTokenHeader => fields.push(("access_token", token.as_bytes())),
        TokenPlace::TokenHeader => fields.push(("token", token.as_bytes())),
        TokenPlace::Bearer => fields.push(("authorization", bearer.as_bytes())),
        TokenPlace::AccessTokenQuery => {
            let mark = if path.contains('?') { '&' } else { '?' };
            target.push_str(&format!("{mark}access_token={token}"));
        }
    }
    let answer = http::send_upstream(upstream, "GET", &target, &fields, None);
    answer.is_ok_and(|answer| {
        let unauthorised = answer.status == StatusCode::UNAUTHORIZED.as_u16();
        !unauthorised && !session.expired_when.matches(answer.status, &answer.body)
    })
}
