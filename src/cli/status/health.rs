//! What of a status an admin has to look at, and how soon.

use crate::admin::control::Status;
use crate::text;
use crate::text::Text;

/// How bad something is, in the order of badness. The words and numbers are those of monitoring plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Ok,
    Warning,
    Critical,
    /// The plugin itself could not find out.
    Unknown,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What is bad, worst first. `warn_days` is how long before its end a key or certificate is a warning.
pub(super) fn problems(status: &Status, warn_days: u32) -> Vec<(Level, Text)> {
    let mut found = Vec::new();
    if status.upstream.up == Some(false) {
        let address = &status.upstream.address;
        found.push((
            Level::Critical,
            text! { en: "8sens does not answer at {address}", fr: "8sens ne répond pas sur {address}" },
        ));
    }
    let mut warn = |text| found.push((Level::Warning, text));
    if status.last_reload.as_ref().is_some_and(|reload| !reload.successful) {
        warn(text! {
            en: "the last reload was refused, the old configuration is in force (see `sensgate check`)",
            fr: "le dernier rechargement a été refusé, l'ancienne configuration reste en vigueur (voyez `sensgate \
                 check`)"
        });
    }
    if status.last_reload.as_ref().is_some_and(|reload| reload.restart_needed) {
        warn(text! {
            en: "a part of the configuration waits for a restart",
            fr: "une partie de la configuration attend un redémarrage"
        });
    }
    for (consumer, key) in status.consumers.iter().flat_map(|c| c.keys.iter().map(move |key| (&c.name, key))) {
        let id = &key.id;
        let name = text! { en: "the key {consumer}/{id}", fr: "la clé {consumer}/{id}" };
        if let Some(left) = key.expires_in_seconds.filter(|_| key.enabled)
            && let Some(text) = near(&name, left, warn_days)
        {
            warn(text);
        }
    }
    for certificate in &status.certificates {
        let name = &certificate.name;
        let name = text! { en: "the certificate of {name}", fr: "le certificat de {name}" };
        if let Some(text) = near(&name, certificate.expires_in_seconds, warn_days) {
            warn(text);
        }
    }
    let (dropped, failures) = (status.access_log_lines_dropped, status.state_write_failures);
    if dropped > 0 {
        warn(text! {
            en: "{dropped} access log lines were dropped",
            fr: "{dropped} lignes du journal des accès ont été perdues"
        });
    }
    if failures > 0 {
        warn(text! {
            en: "the session log could not be written {failures} times: sessions may not survive a restart",
            fr: "le journal des sessions n'a pas pu être écrit {failures} fois : des sessions ne survivront pas à un \
                 redémarrage"
        });
    }
    for (open, max, text) in [
        (status.connections, status.connections_max, text! { en: "connections", fr: "connexions" }),
        (status.sessions, status.sessions_max, text! { en: "sessions", fr: "sessions" }),
    ] {
        let (en, fr) = (&text.en, &text.fr);
        if open.saturating_mul(10) >= max.saturating_mul(9) {
            warn(text! { en: "{open} of {max} {en}", fr: "{open} {fr} sur {max}" });
        }
    }
    found
}

/// The worst level of all.
pub(super) fn worst(problems: &[(Level, Text)]) -> Level {
    problems.iter().map(|(level, _)| *level).max().unwrap_or(Level::Ok)
}

fn near(name: &Text, left: i64, warn_days: u32) -> Option<Text> {
    let (en, fr) = (&name.en, &name.fr);
    let days = left.div_euclid(86_400);
    if left <= 0 {
        Some(text! { en: "{en} has expired", fr: "{fr} a expiré" })
    } else if days < i64::from(warn_days) {
        Some(text! { en: "{en} expires in {days} days", fr: "{fr} expire dans {days} jours" })
    } else {
        None
    }
}
