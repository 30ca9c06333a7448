//! `status`: what a running gate says of itself, and whether guarding is safe yet.

use super::control_client::{Answer, GateArgs, ask};
use super::{Exit, Format};
use crate::admin::control::Status;
use crate::text;
use crate::text::Lang;
use hyper::Method;

#[derive(clap::Args, Clone, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    pub gate: GateArgs,
    #[arg(long)]
    pub would_refuse: bool,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Prints the status.
#[must_use]
pub fn run(args: &StatusArgs, lang: Lang) -> Exit {
    let status: Status = match ask(&args.gate, Method::GET, "/status", lang) {
        Answer::Is(status) => status,
        Answer::Status(code) => {
            super::talk(
                &text! { en: "error: the gate answered {code}", fr: "erreur : la porte a répondu {code}" },
                lang,
            );
            return Exit::Failure;
        }
        Answer::Failed(exit) => return exit,
    };
    match args.format {
        Format::Json => super::data(&serde_json::to_string(&status).unwrap_or_default()),
        Format::Text if args.would_refuse => would_refuse(&status, lang),
        Format::Text => summary(&status, lang),
    }
    Exit::Ok
}

fn summary(status: &Status, lang: Lang) {
    let Status { mode, uptime_seconds, sessions, connections, .. } = status;
    let text = text! {
        en: "mode {mode}, up {uptime_seconds} s, {sessions} sessions, {connections} connections",
        fr: "mode {mode}, en marche depuis {uptime_seconds} s, {sessions} sessions, {connections} connexions",
    };
    super::data(text.in_lang(lang));
}

fn would_refuse(status: &Status, lang: Lang) {
    for entry in &status.would_refuse {
        let (consumer, code, count, ago) = (&entry.consumer, &entry.code, entry.count, entry.last_seconds_ago);
        let origin = match entry.issued.as_deref() {
            Some("before_start") => {
                text! { en: " (issued before the gate started)", fr: " (émis avant le démarrage de la porte)" }
            }
            Some(_) => text! { en: " (issued past the gate)", fr: " (émis sans passer par la porte)" },
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
            fr: "aucune requête des {idle} dernières secondes n'aurait été refusée : mettez mode = \"guard\" dans [session] et rechargez",
        },
        (_, false) => text! {
            en: "not yet: guard is offered after {idle} s in which nothing would have been refused",
            fr: "pas encore : guard sera proposé après {idle} s pendant lesquelles rien n'aurait été refusé",
        },
    };
    super::talk(&verdict, lang);
}
