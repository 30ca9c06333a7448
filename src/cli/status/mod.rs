//! `status`: what a running gate says of itself, and whether guarding is safe yet.

mod health;
mod nagios;
mod screen;
mod watch;

use super::Exit;
use super::control_client::{GateArgs, Silence, ask_at};
use crate::admin::control::Status;
use crate::cli::help::both;
use crate::text;
use crate::text::{Lang, Text};
use health::Level;
use hyper::Method;
use screen::Style;
use std::path::Path;

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Show what a running gate says of itself",
    "Montrer ce qu'une passerelle en service dit d'elle-même"
))]
#[command(long_about = both(
    "With --format nagios, for Nagios, Centreon, Icinga and whatever runs their plugins: 0 (OK), 1 (WARNING: the \
     last reload was refused or waits for a restart, a key or certificate is near its end, log lines were \
     dropped, the session log cannot be written, nearly all sessions or connections are in use), 2 (CRITICAL: \
     8sens does not answer, or no gate does, and so no shop can order) or 3 (UNKNOWN: broken configuration, no \
     right to ask).",
    "Avec --format nagios, pour Nagios, Centreon, Icinga et tout ce qui lance leurs sondes : 0 (OK), 1 (WARNING : \
     le dernier rechargement a été refusé ou attend un redémarrage, une clé ou un certificat arrive à son terme, \
     des lignes de journal sont perdues, le journal des sessions ne peut pas être écrit, presque toutes les \
     sessions ou connexions sont prises), 2 (CRITICAL : 8sens ne répond pas, ou aucune passerelle, et aucune \
     boutique ne peut donc commander) ou 3 (UNKNOWN : configuration invalide, pas le droit d'interroger)."
))]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub gate: GateArgs,
    #[arg(long, conflicts_with_all = ["watch"], help = both(
        "Show what guard would refuse, and whether it is safe yet",
        "Montrer ce que guard refuserait, et si l'on peut déjà l'activer"
    ))]
    pub would_refuse: bool,
    #[arg(long, help = both(
        "Show it again each second, until Ctrl-C",
        "Le montrer à nouveau chaque seconde, jusqu'à Ctrl-C"
    ))]
    pub watch: bool,
    #[arg(long, value_enum, default_value_t, conflicts_with = "watch", help = both(
        "How to print it; nagios: one line with figures, exit code 0, 1, 2 or 3",
        "Format d'impression ; nagios : une ligne avec des mesures, code de sortie 0, 1, 2 ou 3"
    ))]
    pub format: StatusFormat,
    #[arg(long, value_name = "DAYS", default_value_t = 14, help = both(
        "Warn of keys and certificates that end within so many days",
        "Signaler les clés et certificats qui se terminent dans moins de tant de jours"
    ))]
    pub warn_days: u32,
}

/// The form of what goes to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum StatusFormat {
    #[default]
    Text,
    Json,
    Nagios,
}

/// Prints the status.
#[must_use]
pub(super) fn run(args: &StatusArgs, lang: Lang) -> Exit {
    let style = Style { lang, colour: super::stdout_has_colour(), warn_days: args.warn_days };
    if args.format == StatusFormat::Nagios {
        return monitor(args, lang);
    }
    let socket = match args.gate.socket() {
        Ok(socket) => socket,
        Err(silence) => return silence.tell(lang),
    };
    if args.watch {
        return watch::watch(&socket, style);
    }
    let status: Status = match ask_at(&socket, Method::GET, "/status") {
        Ok(Ok(status)) => status,
        Ok(Err(code)) => {
            super::talk(
                &text! { en: "error: the gate answered {code}", fr: "erreur : la passerelle a répondu {code}" },
                lang,
            );
            return Exit::Failure;
        }
        Err(silence) => return silence.tell(lang),
    };
    match args.format {
        StatusFormat::Json => super::data(&serde_json::to_string(&status).unwrap_or_default()),
        _ if args.would_refuse => would_refuse(&status, lang),
        _ => super::data(&screen::lines(&status, style).join("\n")),
    }
    Exit::Ok
}

/// One line, and the exit code of a monitoring plugin: 0 ok, 1 warning, 2 critical, 3 unknown.
fn monitor(args: &StatusArgs, lang: Lang) -> Exit {
    let asked = args.gate.socket().and_then(|socket| ask_at::<Status>(&socket, Method::GET, "/status"));
    let (level, line) = match asked {
        Ok(Ok(status)) => nagios::line(&status, args.warn_days, lang),
        Ok(Err(code)) => (Level::Unknown, format!("SENSGATE UNKNOWN - {code}")),
        Err(silence) => nagios::silent(&silence, lang),
    };
    super::data(&line);
    Exit::Monitor(match level {
        Level::Ok => 0,
        Level::Warning => 1,
        Level::Critical => 2,
        Level::Unknown => 3,
    })
}

/// The status, or why there is none, in words.
fn read(socket: &Path) -> Result<Status, Text> {
    match ask_at(socket, Method::GET, "/status") {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(code)) => Err(text! { en: "the gate answered {code}", fr: "la passerelle a répondu {code}" }),
        Err(Silence::Unreachable { error, .. }) => {
            Err(text! { en: "no gate answers: {error}", fr: "aucune passerelle ne répond : {error}" })
        }
        Err(Silence::Config(_)) => {
            Err(text! { en: "the configuration is not valid", fr: "la configuration n'est pas valide" })
        }
    }
}

fn would_refuse(status: &Status, lang: Lang) {
    for entry in &status.would_refuse {
        let (consumer, code, count, ago) = (&entry.consumer, &entry.code, entry.count, entry.last_seconds_ago);
        let origin = match entry.issued.as_deref() {
            Some("before_start") => {
                text! { en: " (issued before the gate started)", fr: " (émis avant le démarrage de la passerelle)" }
            }
            Some(_) => text! { en: " (issued past the gate)", fr: " (émis sans passer par la passerelle)" },
            None => text! { en: "", fr: "" },
        };
        let origin = origin.in_lang(lang);
        let line = text! {
            en: "{consumer}  {code}{origin}: {count}, last {ago} s ago",
            fr: "{consumer}  {code}{origin} : {count}, la dernière il y a {ago} s",
        };
        super::data(line.in_lang(lang));
    }
    let idle = status.idle_timeout_seconds;
    let verdict = match (status.mode.as_str(), status.guard_is_safe) {
        ("guard", _) => text! { en: "guard is on", fr: "guard est actif" },
        (_, true) => text! {
            en: "no request of the last {idle} s would have been refused: set mode = \"guard\" in [session] and reload",
            fr: "aucune requête des {idle} dernières secondes n'aurait été refusée : mettez mode = \"guard\" dans \
                 [session] et rechargez",
        },
        (_, false) => text! {
            en: "not yet: guard is offered after {idle} s in which nothing would have been refused",
            fr: "pas encore : guard sera proposé après {idle} s pendant lesquelles rien n'aurait été refusé",
        },
    };
    super::talk(&verdict, lang);
}
