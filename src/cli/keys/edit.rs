//! How every `keys` command changes the configuration: under a lock, checked as a whole, in one step, and then told to
//! the gate.

use super::{Failure, FileArgs};
use crate::admin::control::socket_in;
use crate::cli::control_client::Silence;
use crate::cli::{Exit, reload, talk};
use crate::config;
use crate::config::changes::{Changes, ConsumerChanges, take_up};
use crate::config::draft::{Draft, EditError};
use crate::config::locked_file::{FileError, LOCK_PATIENCE, LockedFile, Replacement};
use crate::config::{Loaded, Settings};
use crate::text;
use crate::text::{Lang, Text};
use std::io;
use std::path::{Path, PathBuf};

/// An edit under way.
pub(super) struct Edit {
    /// The configuration as it was given, for messages and for the paths that start at its folder.
    path: PathBuf,
    /// Locked by every edit, so that there is one at a time, whichever file it is made in.
    configuration: LockedFile,
    /// The file of consumers that is edited, when the consumer is in one of those.
    beside: Option<(PathBuf, LockedFile)>,
    before: Settings,
    draft: Draft,
}

impl Edit {
    /// Locks and reads the configuration, and the file that holds the consumer. One that is not valid is not
    /// edited. A consumer that is not there would come into the configuration itself.
    pub(super) fn open(args: &FileArgs, consumer: &str) -> Result<Self, Failure> {
        let path = args.config.clone();
        let locked = |path: &Path| LockedFile::open(path, LOCK_PATIENCE).map_err(|error| file_failure(path, &error));
        let configuration = locked(&path)?;
        let before = parse(configuration.source(), &path, None)?.settings;
        let stands_in =
            before.positions.location(&format!("consumer.{consumer}")).map(|location| PathBuf::from(location.file));
        let beside = match stands_in.filter(|file| file.as_os_str() != path.display().to_string().as_str()) {
            Some(file) => Some((file.clone(), locked(&file)?)),
            None => None,
        };
        let edited = beside.as_ref().map_or(&configuration, |(_, file)| file);
        let draft = Draft::new(edited.source()).map_err(|error| edit_failure(error, "", ""))?;
        Ok(Self { path, configuration, beside, before, draft })
    }

    pub(super) fn before(&self) -> &Settings {
        &self.before
    }

    pub(super) fn key_ids(&mut self, consumer: &str) -> Result<Vec<String>, Failure> {
        self.draft.key_ids(consumer).map_err(|error| edit_failure(error, consumer, ""))
    }

    /// Edits the text. `id` is named when that cannot be done.
    pub(super) fn apply(
        &mut self,
        consumer: &str,
        id: &str,
        edit: impl FnOnce(&mut Draft) -> Result<(), EditError>,
    ) -> Result<(), Failure> {
        edit(&mut self.draft).map_err(|error| edit_failure(error, consumer, id))
    }

    /// Checks the whole text, and that it changes nothing but keys of this consumer. Nothing is in place before it is
    /// committed.
    pub(super) fn prepare(self, consumer: &str) -> Result<Prepared, Failure> {
        let text = self.draft.finish();
        let after = match &self.beside {
            Some((file, _)) => parse(self.configuration.source(), &self.path, Some((file, &text)))?.settings,
            None => parse(&text, &self.path, None)?.settings,
        };
        let (_, changes) = take_up(&self.before, after);
        if !concerns_only(&changes, consumer) {
            let lines = [changes.live_lines(), changes.restart_lines()].concat().join("; ");
            let message = text! {
                en: "this edit would change more than it should ({lines}); make it by hand",
                fr: "cette modification en changerait plus que prévu ({lines}) ; faites-la à la main",
            };
            return Err((Exit::Failure, message).into());
        }
        let (path, file, configuration) = match self.beside {
            Some((path, file)) => (path, file, Some(self.configuration)),
            None => (self.path, self.configuration, None),
        };
        let replacement = file.prepare(&text).map_err(|error| file_failure(&path, &error))?;
        Ok(Prepared { path, replacement, _configuration: configuration })
    }
}

/// A checked edit that waits to be put in place.
pub(super) struct Prepared {
    path: PathBuf,
    replacement: Replacement,
    /// Locked until the edit is in place.
    _configuration: Option<LockedFile>,
}

impl Prepared {
    pub(super) fn commit(self) -> Result<(), Failure> {
        self.replacement.commit().map_err(|error| file_failure(&self.path, &error))
    }
}

fn parse(source: &str, path: &Path, edited: Option<(&Path, &str)>) -> Result<Loaded, Failure> {
    let base = path.parent().unwrap_or(Path::new(""));
    config::parse_edited(source, &path.display().to_string(), base, edited)
        .map_err(|report| Failure::Invalid(Box::new(report)))
}

fn concerns_only(changes: &Changes, consumer: &str) -> bool {
    let Changes { consumers: ConsumerChanges { added, removed, changed }, tables, needs_restart } = changes;
    let same = changed.iter().all(|change| change.name == consumer && change.settings.is_empty());
    same && removed.is_empty()
        && added.iter().all(|name| name == consumer)
        && tables.is_empty()
        && needs_restart.is_empty()
}

/// Has the gate take the edit up, and says whether it did. No gate is no failure: it will read the file when it starts.
pub(super) fn tell_gate(args: &FileArgs, lang: Lang) -> Exit {
    let directory = args.state.clone().unwrap_or_else(|| match config::load(&args.config) {
        Ok(loaded) => loaded.settings.state_directory,
        Err(_) => config::state_directory(&args.config),
    });
    let report = match reload::ask(&directory, lang) {
        Ok(report) => report,
        Err(silence) if silence.is_absence() => {
            let socket = socket_in(&directory);
            let socket = socket.display();
            let text = text! {
                en: "No gate is running (nothing answers on {socket}): the change takes effect when one starts.",
                fr: "Aucune passerelle en service (rien ne répond sur {socket}) : \
                     le changement prendra effet à son démarrage.",
            };
            talk(&text, lang);
            return Exit::Ok;
        }
        Err(Silence::Config(_)) => return Exit::Config,
        Err(silence @ Silence::Unreachable { .. }) => return silence.tell(lang),
    };
    let file = report.file.display();
    if report.result == "refused" {
        eprint!("{}", report.text);
        let text = text! {
            en: "The running gate refuses {file} and keeps its previous configuration.",
            fr: "La passerelle en service refuse {file} et garde sa configuration précédente.",
        };
        talk(&text, lang);
        return Exit::Config;
    }
    let is_ours = match (std::fs::canonicalize(&report.file), std::fs::canonicalize(&args.config)) {
        (Ok(its), Ok(ours)) => its == ours,
        _ => false,
    };
    let text = if is_ours {
        text! { en: "The running gate has applied the change.", fr: "La passerelle en service applique ce changement." }
    } else {
        text! {
            en: "The running gate reads another file, {file}: it has not applied this change.",
            fr: "La passerelle en service lit un autre fichier, {file} : elle n'applique pas ce changement.",
        }
    };
    talk(&text, lang);
    if is_ours { Exit::Ok } else { Exit::Failure }
}

fn edit_failure(error: EditError, consumer: &str, id: &str) -> Failure {
    let (exit, message) = match error {
        EditError::NoConsumer => (
            Exit::Failure,
            text! {
                en: "the configuration has no consumer {consumer}; --create of `keys new` and `keys import` makes one",
                fr: "la configuration n'a pas de consommateur {consumer} ; --create de `keys new` et `keys import` en \
                     crée un",
            },
        ),
        EditError::ConsumerExists => (
            Exit::Failure,
            text! { en: "there is a consumer {consumer} already", fr: "il y a déjà un consommateur {consumer}" },
        ),
        EditError::NoKey => {
            (Exit::Failure, text! { en: "{consumer} has no key {id}", fr: "{consumer} n'a pas de clé {id}" })
        }
        EditError::KeyExists => {
            (Exit::Failure, text! { en: "{consumer} has a key {id} already", fr: "{consumer} a déjà une clé {id}" })
        }
        EditError::LastKey => (
            Exit::Failure,
            text! {
                en: "{id} is the only key of {consumer}: use --keep, which disables it, or make another one first",
                fr: "{id} est la seule clé de {consumer} : utilisez --keep, qui la désactive, ou créez-en d'abord une \
                     autre",
            },
        ),
        EditError::Syntax | EditError::Form => (
            Exit::Failure,
            text! {
                en: "the keys are written in a form that is not edited; make the change by hand",
                fr: "les clés sont écrites sous une forme qui n'est pas modifiée ; faites le changement à la main",
            },
        ),
    };
    Failure::Said(exit, message)
}

fn file_failure(path: &Path, error: &FileError) -> Failure {
    let path = path.display();
    let (exit, message): (Exit, Text) = match error {
        FileError::Locked => (
            Exit::Unavailable,
            text! {
                en: "{path} is being edited by another command; nothing was written",
                fr: "{path} est en cours de modification par une autre commande ; rien n'a été écrit",
            },
        ),
        FileError::NotUtf8 => (Exit::Config, text! { en: "{path} is not UTF-8", fr: "{path} n'est pas en UTF-8" }),
        FileError::Owner(error) => (
            Exit::Permission,
            text! {
                en: "{path} cannot keep its owner and group ({error}), and the gate might no longer read it; run this \
                     as their owner or as root. Nothing was written",
                fr: "{path} ne pourrait garder ni propriétaire ni groupe ({error}), et la passerelle risquerait de ne \
                     plus le lire ; lancez ceci comme son propriétaire ou comme root. Rien n'a été écrit",
            },
        ),
        FileError::Io(error) => (
            if error.kind() == io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Failure },
            text! {
                en: "{path} cannot be edited: {error}; nothing was written",
                fr: "{path} ne peut pas être modifié : {error} ; rien n'a été écrit",
            },
        ),
    };
    Failure::Said(exit, message)
}
