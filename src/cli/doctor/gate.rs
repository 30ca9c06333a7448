//! What a running gate knows: how it is, what it lost, where tokens travel, whether guarding is safe.

use super::Patient;
use super::finding::{Check, Finding};
use crate::admin::control::{Session, Status};
use crate::cli::control_client::ask_at;
use crate::domain::exchange::Alarm;
use crate::domain::rules::snapshot::SessionMode;
use crate::text;
use hyper::Method;

/// Everything about the running gate; without one, what its configuration says.
pub(super) fn check(patient: &Patient<'_>) -> Vec<Finding> {
    if patient.not_allowed_to_ask {
        let socket = patient.socket();
        let socket = socket.display();
        let what = text! {
            en: "no right to ask the gate on {socket}",
            fr: "pas le droit d'interroger la passerelle sur {socket}"
        };
        let why = text! {
            en: "what only a running gate knows is left out: tokens, losses, reloads",
            fr: "ce que seule une passerelle en service sait est laissé de côté : jetons, pertes, rechargements"
        };
        let remedy = text! {
            en: "run the doctor as the gate's user (sudo -u sensgate) or as root",
            fr: "lancez doctor sous l'utilisateur de la passerelle (sudo -u sensgate) ou en root"
        };
        return vec![Finding::warning(Check::Gate, what, why).fix(remedy), mode(patient, None)];
    }
    let Some(status) = &patient.gate else {
        return vec![
            Finding::info(
                Check::Gate,
                text! {
                    en: "no gate runs with this state directory",
                    fr: "aucune passerelle ne tourne avec ce répertoire d'état"
                },
            )
            .fix(text! { en: "sensgate run --config FILE", fr: "sensgate run --config FICHIER" }),
            mode(patient, None),
        ];
    };
    let (version, seconds) = (&status.version, status.uptime_seconds);
    let mut findings = vec![
        Finding::ok(
            Check::Gate,
            text! {
                en: "a gate runs: version {version}, for {seconds} s",
                fr: "une passerelle tourne : version {version}, depuis {seconds} s"
            },
        ),
        reload(status),
        losses(status),
        shared_tokens(patient, status),
        token_places(patient, status),
    ];
    findings.push(mode(patient, Some(status)));
    findings
}

fn reload(status: &Status) -> Finding {
    match &status.last_reload {
        Some(reload) if !reload.successful => Finding::warning(
            Check::Reload,
            text! {
                en: "the last reload was refused: the configuration of before is in force",
                fr: "le dernier rechargement a été refusé : la configuration d'avant est en vigueur"
            },
            text! { en: "what was changed since then has no effect", fr: "ce qui a été changé depuis est sans effet" },
        )
        .fix(text! { en: "sensgate check, then reload again", fr: "sensgate check, puis rechargez" }),
        Some(reload) if reload.restart_needed => Finding::warning(
            Check::Reload,
            text! {
                en: "a part of the configuration waits for a restart",
                fr: "une partie de la configuration attend un redémarrage"
            },
            text! {
                en: "until then the gate runs with the old values",
                fr: "d'ici là, la passerelle tourne avec les anciennes valeurs"
            },
        )
        .fix(text! {
            en: "restart the gate: sessions survive it",
            fr: "redémarrez la passerelle : les sessions survivent"
        }),
        _ => Finding::ok(
            Check::Reload,
            text! {
                en: "the configuration was applied",
                fr: "la configuration a été reprise"
            },
        ),
    }
}

fn losses(status: &Status) -> Finding {
    let (lines, records) = (status.access_log_lines_dropped, status.state_write_failures);
    if lines == 0 && records == 0 {
        return Finding::ok(
            Check::Losses,
            text! {
                en: "no log line and no session record was lost",
                fr: "aucune ligne de journal, aucune session n'a été perdue"
            },
        );
    }
    Finding::warning(
        Check::Losses,
        text! {
            en: "{lines} access log lines were dropped, {records} session records could not be written",
            fr: "{lines} lignes du journal des accès perdues, {records} sessions n'ont pas pu être écrites"
        },
        text! {
            en: "what is not in the log cannot be explained later; sessions that are not written end with a restart",
            fr: "ce qui n'est pas dans le journal ne pourra pas être expliqué ; les sessions non écrites finissent \
                 avec un redémarrage"
        },
    )
    .fix(text! {
        en: "make room on the disks of log and state; for bursts raise `queue` in [log]",
        fr: "faites de la place sur les disques du journal et de l'état ; pour des rafales, augmentez `queue` dans \
             [log]"
    })
}

fn shared_tokens(patient: &Patient<'_>, status: &Status) -> Finding {
    let alarmed =
        status.alarms.iter().find(|found| found.alarm == Alarm::TokenShared.as_str()).map_or(0, |found| found.count);
    let sessions: Vec<Session> =
        ask_at(&patient.socket(), Method::GET, "/sessions").ok().and_then(Result::ok).unwrap_or_default();
    let shared = sessions.iter().filter(|session| session.owners.len() > 1);
    let mut owners: Vec<_> =
        shared.flat_map(|session| session.owners.iter().map(|owner| owner.consumer.clone())).collect();
    owners.sort();
    owners.dedup();
    if owners.is_empty() && alarmed == 0 {
        return Finding::ok(
            Check::SharedTokens,
            text! { en: "no token belongs to two consumers", fr: "aucun jeton n'appartient à deux consommateurs" },
        );
    }
    let who = if owners.is_empty() { format!("{alarmed}×") } else { owners.join(", ") };
    Finding::warning(
        Check::SharedTokens,
        text! {
            en: "8sens handed one token to several consumers: {who}",
            fr: "8sens a remis un même jeton à plusieurs consommateurs : {who}"
        },
        text! {
            en: "they log in as the same user of 8sens: one of them can go on with the session of the other, and \
                 nobody can tell them apart in 8sens",
            fr: "ils se connectent sous le même utilisateur 8sens : l'un peut poursuivre la session de l'autre, et \
                 8sens ne les distingue pas"
        },
    )
    .fix(text! {
        en: "make a user of its own in 8sens for each consumer, with the single right \"Autoriser REST\"",
        fr: "créez dans 8sens un utilisateur propre à chaque consommateur, avec le seul droit « Autoriser REST »"
    })
}

fn token_places(patient: &Patient<'_>, status: &Status) -> Finding {
    let configured: Vec<_> =
        patient.settings.snapshot.session.token_from.iter().map(|place| place.as_str().to_owned()).collect();
    if status.token_places.is_empty() {
        return Finding::info(
            Check::TokenPlaces,
            text! {
                en: "no token from a login through the gate has been seen on a later request yet",
                fr: "aucun jeton issu d'une connexion par la passerelle n'a encore été vu sur une requête suivante"
            },
        );
    }
    let seen: Vec<_> = status.token_places.iter().map(|seen| format!("{} ({})", seen.place, seen.requests)).collect();
    let seen = seen.join(", ");
    let unused: Vec<_> = configured
        .iter()
        .filter(|place| status.token_places.iter().all(|seen| seen.place != **place))
        .cloned()
        .collect();
    let stripped: Vec<_> = status
        .token_places
        .iter()
        .map(|seen| &seen.place)
        .filter(|place| !configured.contains(place))
        .cloned()
        .collect();
    let what = text! { en: "good tokens were seen in: {seen}", fr: "de bons jetons ont été vus dans : {seen}" };
    if !stripped.is_empty() {
        let places = stripped.join(", ");
        return Finding::warning(
            Check::TokenPlaces,
            what,
            text! {
                en: "`token_from` does not name {places}: the gate takes these tokens out, and 8sens never sees them",
                fr: "`token_from` ne nomme pas {places} : la passerelle retire ces jetons, et 8sens ne les voit jamais"
            },
        )
        .fix(text! {
            en: "add it to `token_from` in [session], or fix the caller",
            fr: "ajoutez-le à `token_from` dans [session], ou corrigez l'appelant"
        });
    }
    let finding = Finding::ok(Check::TokenPlaces, what);
    if unused.is_empty() {
        finding
    } else {
        let unused = unused.join(", ");
        finding.fix(text! {
            en: "when all shops have called, `token_from` can do without {unused}",
            fr: "quand toutes les boutiques auront appelé, `token_from` pourra se passer de {unused}"
        })
    }
}

fn mode(patient: &Patient<'_>, status: Option<&Status>) -> Finding {
    if patient.settings.snapshot.session.mode != SessionMode::Observe {
        return Finding::ok(
            Check::Mode,
            text! { en: "only good tokens reach 8sens", fr: "seuls les bons jetons atteignent 8sens" },
        );
    }
    let why = text! {
        en: "under observe, a token that is unknown, expired or somebody else's still reaches 8sens",
        fr: "sous observe, un jeton inconnu, expiré ou d'autrui parvient tout de même à 8sens"
    };
    match status {
        Some(status) if status.guard_is_safe => {
            let idle = status.idle_timeout_seconds;
            Finding::warning(
                Check::Mode,
                text! {
                    en: "observe, and nothing of the last {idle} s would have been refused",
                    fr: "observe, et rien des {idle} dernières secondes n'aurait été refusé"
                },
                why,
            )
            .fix(text! {
                en: "write mode = \"guard\" in [session] and reload",
                fr: "écrivez mode = \"guard\" dans [session] et rechargez"
            })
        }
        Some(status) if !status.would_refuse.is_empty() => {
            let kinds: Vec<_> =
                status.would_refuse.iter().map(|w| format!("{} {} ({})", w.consumer, w.code, w.count)).collect();
            let kinds = kinds.join(", ");
            Finding::warning(
                Check::Mode,
                text! {
                    en: "observe; guard would have refused: {kinds}",
                    fr: "observe ; guard aurait refusé : {kinds}"
                },
                why,
            )
            .fix(text! {
                en: "fix these first: sensgate status --would-refuse, sensgate explain REQUEST_ID",
                fr: "corrigez-les d'abord : sensgate status --would-refuse, sensgate explain IDENTIFIANT"
            })
        }
        _ => Finding::warning(
            Check::Mode,
            text! { en: "observe: sessions are not guarded", fr: "observe : les sessions ne sont pas protégées" },
            why,
        )
        .fix(text! {
            en: "let it run through a few days of orders, then ask again whether guard is safe",
            fr: "laissez passer quelques jours de commandes, puis redemandez si guard est possible"
        }),
    }
}
