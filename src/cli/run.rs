//! `run`: the gate itself.

use super::Exit;
use crate::cli::help::{self, both};
use crate::config::{self, Loaded};
use crate::platform;
use crate::platform::EarlySignals;
use crate::server::{BoundGate, StartError};
use crate::state::StateError;
use crate::telemetry::application_log;
use crate::text;
use crate::text::{Lang, Text};
use std::io::ErrorKind;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
#[command(about = both("Serve until SIGTERM", "Servir jusqu'à SIGTERM"))]
pub(super) struct RunArgs {
    #[arg(long, env = "SENSGATE_CONFIG", value_name = "FILE", help = help::config())]
    pub config: PathBuf,
}

/// Serves until SIGTERM or SIGINT.
#[must_use]
pub(super) fn run(args: &RunArgs, lang: Lang, early: EarlySignals) -> Exit {
    let loaded = match config::load(&args.config) {
        Ok(loaded) => loaded,
        Err(report) => {
            eprint!("{}", report.render(lang, super::stderr_has_colour()));
            return Exit::Config;
        }
    };
    let Loaded { settings, warnings } = loaded;
    eprint!("{}", warnings.render(lang, super::stderr_has_colour()));
    // It holds the text of the configuration, and the gate runs for long.
    drop(warnings);
    application_log::init(settings.log.level);
    if !platform::forbid_dumps() {
        tracing::warn!("the system does not let memory dumps be forbidden");
    }
    let gate = match BoundGate::bind(settings, Some(args.config.clone())) {
        Ok(gate) => gate,
        Err(error) => return failed(&error, lang),
    };
    for address in gate.addresses() {
        super::talk(&text! { en: "listening on {address}", fr: "à l'écoute sur {address}" }, lang);
    }
    if let Some(address) = gate.admin_address() {
        super::talk(
            &text! { en: "admin pages on http://{address}", fr: "pages d'administration sur http://{address}" },
            lang,
        );
    }
    let gate = gate.supervised_by(platform::ServiceManager::of_environment(), lang);
    match gate.run(platform::commands_from_signals(early)) {
        Ok(()) => Exit::Ok,
        Err(error) => failed(&error, lang),
    }
}

/// Says why the gate did not start.
pub(super) fn failed(error: &StartError, lang: Lang) -> Exit {
    let (text, exit): (Text, Exit) = match error {
        StartError::Bind(address, error) if error.kind() == ErrorKind::PermissionDenied => (
            text! {
                en: "error: no permission to listen on {address}; ports below 1024 need CAP_NET_BIND_SERVICE",
                fr: "erreur : pas le droit d'écouter sur {address} ; les ports sous 1024 demandent \
                     CAP_NET_BIND_SERVICE",
            },
            Exit::Permission,
        ),
        StartError::Bind(address, error) => (
            text! {
                en: "error: cannot listen on {address}: {error}",
                fr: "erreur : impossible d'écouter sur {address} : {error}"
            },
            Exit::Unavailable,
        ),
        StartError::Log(error) => (
            text! { en: "error: cannot open a log: {error}", fr: "erreur : impossible d'ouvrir un journal : {error}" },
            Exit::Unavailable,
        ),
        StartError::State(StateError::Locked(path)) => {
            let path = path.display();
            (
                text! {
                    en: "error: another gate uses the state directory {path}",
                    fr: "erreur : une autre passerelle utilise le répertoire d'état {path}",
                },
                Exit::Unavailable,
            )
        }
        StartError::State(StateError::Io(path, error)) => {
            let path = path.display();
            (
                text! {
                    en: "error: the state directory {path} cannot be used: {error}",
                    fr: "erreur : le répertoire d'état {path} est inutilisable : {error}",
                },
                if error.kind() == ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Unavailable },
            )
        }
        StartError::Runtime(error) => {
            (text! { en: "error: cannot start: {error}", fr: "erreur : démarrage impossible : {error}" }, Exit::Failure)
        }
    };
    super::talk(&text, lang);
    exit
}
