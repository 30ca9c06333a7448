//! `reload`: a running gate reads its configuration again, and says what changed.

use super::control_client::{GateArgs, Silence, read, send_at};
use super::{Exit, Format};
use crate::admin::control::{ReloadReport, socket_in};
use crate::cli::help::{self, both};
use crate::config;
use crate::config::Report;
use crate::text;
use crate::text::Lang;
use hyper::{Method, StatusCode};
use std::io;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Have a running gate read its configuration again, and show what changed",
    "Faire relire sa configuration à une passerelle en service, et montrer ce qui change"
))]
#[command(long_about = both(
    "The file is applied whole or not at all. Consumers, keys, rules, limits, timeouts, the log level and \
     certificates are in force at once; sessions, limits and connections stay. What only a restart applies is \
     named, and what was in force stays for it. A file that is not valid changes nothing, and the exit code is \
     78. SIGHUP does the same.",
    "Le fichier est repris en entier ou pas du tout. Consommateurs, clés, règles, limites, délais, niveau de \
     journal et certificats sont en vigueur aussitôt ; sessions, limites et connexions restent. Ce qui demande un \
     redémarrage est nommé, et ce qui était en vigueur le reste. Un fichier incorrect ne change rien, et le code \
     de sortie est 78. SIGHUP fait de même."
))]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    pub gate: GateArgs,
    #[arg(long, value_enum, default_value_t, help = help::format())]
    pub format: Format,
}

/// Asks for a reload and shows what came of it.
#[must_use]
pub(super) fn run(args: &ReloadArgs, lang: Lang) -> Exit {
    let (directory, invalid) = find(&args.gate);
    match ask(&directory, lang) {
        Ok(report) => {
            if args.format == Format::Json {
                super::data(&serde_json::to_string_pretty(&report).unwrap_or_default());
            } else {
                show(&report, lang);
            }
            if report.result == "refused" { Exit::Config } else { Exit::Ok }
        }
        // Without a gate there is still something to say about the file.
        Err(_) if invalid.is_some() => {
            eprint!("{}", invalid.unwrap_or_default().render(lang, super::stderr_has_colour()));
            Exit::Config
        }
        Err(silence) => silence.tell(lang),
    }
}

/// Where the gate is found. A file that is not valid may still say it: then the gate says what is wrong, and counts it.
fn find(gate: &GateArgs) -> (PathBuf, Option<Report>) {
    if let Some(state) = &gate.state {
        return (state.clone(), None);
    }
    let path = gate.config.clone().unwrap_or_default();
    match config::load(&path) {
        Ok(loaded) => (loaded.settings.state_directory, None),
        Err(report) => (config::state_directory(&path), Some(report)),
    }
}

/// Tells the gate whose state directory is `directory` to read its configuration again.
pub(super) fn ask(directory: &Path, lang: Lang) -> Result<ReloadReport, Silence> {
    let socket = socket_in(directory);
    let lang = if lang == Lang::Fr { "fr" } else { "en" };
    match send_at(&socket, Method::POST, &format!("/reload?lang={lang}"))? {
        (StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY, body) => read(&socket, &body),
        (status, _) => Err(Silence::Unreachable { socket, error: io::Error::other(format!("{status}")) }),
    }
}

/// Shows a report: what changed is data, the rest is talk.
fn show(report: &ReloadReport, lang: Lang) {
    let file = report.file.display();
    eprint!("{}", report.text);
    if report.result == "refused" {
        let text = text! {
            en: "{file} is refused: the configuration in force stays",
            fr: "{file} est refusé : la configuration en vigueur reste",
        };
        return super::talk(&text, lang);
    }
    for line in report.changes.live_lines() {
        super::data(&line);
    }
    if !report.changes.has_live() {
        super::talk(&text! { en: "nothing to apply", fr: "rien à reprendre" }, lang);
    }
    let waiting = report.changes.restart_lines();
    for line in &waiting {
        let text = text! { en: "needs a restart: {line}", fr: "demande un redémarrage : {line}" };
        super::data(text.in_lang(lang));
    }
    if !waiting.is_empty() {
        let text = text! {
            en: "until the gate is restarted, what was in force stays for these",
            fr: "jusqu'au redémarrage de la passerelle, ce qui était en vigueur le reste pour ceux-ci",
        };
        super::talk(&text, lang);
    }
}
