//! One line for monitoring: Nagios, Centreon, Icinga and whatever calls their plugins.
//!
//! `SENSGATE STATE - what | label=value[unit];[warn];[crit];[min];[max] …`, after the guidelines of
//! monitoring-plugins.org.

use super::health::{self, Level};
use crate::admin::control::Status;
use crate::cli::control_client::Silence;
use crate::text;
use crate::text::Lang;
use std::io::ErrorKind;

/// The line, and its state.
pub(super) fn line(status: &Status, warn_days: u32, lang: Lang) -> (Level, String) {
    let problems = health::problems(status, warn_days);
    let level = health::worst(&problems);
    let (sessions, mode) = (status.sessions, &status.mode);
    let told = if problems.is_empty() {
        text! {
            en: "8sens answers, mode {mode}, {sessions} sessions",
            fr: "8sens répond, mode {mode}, {sessions} sessions"
        }
        .in_lang(lang)
        .to_owned()
    } else {
        problems.iter().map(|(_, text)| text.in_lang(lang)).collect::<Vec<_>>().join(", ")
    };
    // A bar would begin the figures.
    let told = told.replace('|', "/");
    (level, format!("SENSGATE {} - {told} | {}", level.word(), figures(status, warn_days)))
}

/// A gate that does not answer is as bad as a shop that cannot order: critical. Only what keeps the question from being
/// asked, a broken configuration or missing rights, is unknown.
pub(super) fn silent(silence: &Silence, lang: Lang) -> (Level, String) {
    let (level, text) = match silence {
        Silence::Config(_) => (
            Level::Unknown,
            text! {
                en: "the configuration is not valid (see `sensgate check`)",
                fr: "la configuration n'est pas valide (voyez `sensgate check`)"
            },
        ),
        Silence::Unreachable { socket, error } if error.kind() == ErrorKind::PermissionDenied => {
            let socket = socket.display();
            (Level::Unknown, text! { en: "no right to ask {socket}", fr: "pas le droit d'interroger {socket}" })
        }
        Silence::Unreachable { socket, error } => {
            let socket = socket.display();
            (
                Level::Critical,
                text! {
                    en: "no gate answers on {socket}: {error}",
                    fr: "aucune passerelle ne répond sur {socket} : {error}"
                },
            )
        }
    };
    (level, format!("SENSGATE {} - {}", level.word(), text.in_lang(lang).replace('|', "/")))
}

fn figures(status: &Status, warn_days: u32) -> String {
    let up = status.upstream.up.map_or("U", |up| if up { "1" } else { "0" });
    let mut figures = vec![
        format!("sessions={};;;0;{}", status.sessions, status.sessions_max),
        format!("connections={};;;0;{}", status.connections, status.connections_max),
        format!("in_flight={};;;0;", status.in_flight),
        format!("requests={}c;;;0;", status.requests),
        format!("refusals={}c;;;0;", status.refusals),
        format!("requests_last_minute={};;;0;", status.last_minute.requests),
        format!("refusals_last_minute={};;;0;", status.last_minute.refusals),
        format!("log_lines_dropped={}c;;;0;", status.access_log_lines_dropped),
        format!("upstream_up={up};;1:;0;1"),
        format!("uptime={}s;;;0;", status.uptime_seconds),
    ];
    let keys = status.consumers.iter().flat_map(|c| &c.keys).filter(|key| key.enabled);
    let in_days = |seconds: i64| seconds.div_euclid(86_400);
    if let Some(days) = keys.filter_map(|key| key.expires_in_seconds).map(in_days).min() {
        figures.push(format!("key_expiry_days={days};{warn_days}:;;;"));
    }
    if let Some(days) = status.certificates.iter().map(|c| in_days(c.expires_in_seconds)).min() {
        figures.push(format!("certificate_expiry_days={days};{warn_days}:;;;"));
    }
    figures.join(" ")
}
