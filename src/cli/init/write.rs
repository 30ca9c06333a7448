//! Puts files where they belong: whole or not at all, and nothing over what is there unless that was shown and agreed
//! to.

use super::file::{KEY_FILE, SCHEMA};
use crate::cli::Exit;
use crate::config::locked_file::{FileError, LOCK_PATIENCE, LockedFile};
use crate::config::schema::json_schema;
use crate::config::{self, Report};
use crate::platform;
use crate::text;
use crate::text::{Lang, Text};
use secrecy::{ExposeSecret, SecretString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why nothing was written.
#[derive(Debug)]
pub(super) enum Refused {
    /// What would have been written is not valid.
    Invalid(Box<Report>),
    Io(PathBuf, io::Error),
    File(PathBuf, FileError),
    /// Somebody else wrote it while questions were asked.
    Changed(PathBuf),
}

impl Refused {
    /// What is said, and how the command ends.
    pub(super) fn end(&self, lang: Lang) -> (Exit, String) {
        match self {
            Self::Invalid(report) => {
                let head = text! {
                    en: "error: nothing was written, the configuration would not be valid:\n",
                    fr: "erreur : rien n'a été écrit, la configuration ne serait pas valide :\n"
                };
                (Exit::Config, format!("{}{}", head.in_lang(lang), report.render(lang, false)))
            }
            Self::Changed(path) | Self::File(path, FileError::Locked) => {
                let path = path.display();
                let why = text! {
                    en: "error: somebody else changes {path} at this moment: run the command again\n",
                    fr: "erreur : quelqu'un d'autre modifie {path} en ce moment : relancez la commande\n",
                };
                (Exit::Failure, why.in_lang(lang).to_owned())
            }
            Self::File(path, FileError::NotUtf8) => {
                let path = path.display();
                let why = text! { en: "error: {path} is not UTF-8\n", fr: "erreur : {path} n'est pas en UTF-8\n" };
                (Exit::Config, why.in_lang(lang).to_owned())
            }
            Self::Io(path, error) | Self::File(path, FileError::Owner(error) | FileError::Io(error)) => {
                let path = path.display();
                let exit = match error.kind() {
                    io::ErrorKind::PermissionDenied => Exit::Permission,
                    _ => Exit::Failure,
                };
                let why = text! {
                    en: "error: cannot write {path}: {error}\n",
                    fr: "erreur : écriture de {path} impossible : {error}\n"
                };
                (exit, why.in_lang(lang).to_owned())
            }
        }
    }
}

/// Writes a new configuration with its key file and schema. The configuration comes last, so that what is there is
/// whole.
pub(super) fn new_files(config: &Path, text: &str, key: Option<&SecretString>, lang: Lang) -> Result<Report, Refused> {
    let folder = folder(config);
    std::fs::create_dir_all(folder).map_err(|error| Refused::Io(folder.to_owned(), error))?;
    let key_file = folder.join(KEY_FILE);
    if let Some(key) = key {
        new_secret(&key_file, key).map_err(|error| Refused::Io(key_file.clone(), error))?;
    }
    let written = check(text, config).and_then(|report| {
        schema(folder, lang)?;
        install(config, text.as_bytes(), CONFIG_MODE, false)?;
        Ok(report)
    });
    if written.is_err() && key.is_some() {
        // Nobody refers to it.
        let _ = std::fs::remove_file(&key_file);
    }
    written
}

/// Replaces a configuration that read `before`, and the upstream key in its file. Mode and owner of the configuration
/// stay.
pub(super) fn replace(
    config: &Path,
    before: &str,
    text: &str,
    key: Option<(&Path, &SecretString)>,
    lang: Lang,
) -> Result<Report, Refused> {
    let report = check(text, config)?;
    let file = LockedFile::open(config, LOCK_PATIENCE).map_err(|error| Refused::File(config.to_owned(), error))?;
    if file.source() != before {
        return Err(Refused::Changed(config.to_owned()));
    }
    let replacement = file.prepare(text).map_err(|error| Refused::File(config.to_owned(), error))?;
    if let Some((path, key)) = key {
        install(path, format!("{}\n", key.expose_secret()).as_bytes(), SECRET_MODE, true)?;
    }
    if folder(config).join(SCHEMA).exists() {
        schema(folder(config), lang)?;
    }
    replacement.commit().map_err(|error| Refused::File(config.to_owned(), error))?;
    Ok(report)
}

/// The folder of a file; the working one for a bare name.
pub(super) fn folder(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Names and networks of consumers are in it, so not for everybody; a group may read it.
const CONFIG_MODE: u32 = 0o640;
const SECRET_MODE: u32 = 0o600;

fn check(text: &str, config: &Path) -> Result<Report, Refused> {
    match config::parse(text, &config.display().to_string(), folder(config)) {
        Ok(loaded) => Ok(loaded.warnings),
        Err(report) => Err(Refused::Invalid(Box::new(report))),
    }
}

fn new_secret(path: &Path, secret: &SecretString) -> io::Result<()> {
    let mut file = platform::create_private(path)?;
    file.write_all(secret.expose_secret().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    platform::give_to_owner_of(folder(path), path)
}

fn schema(folder: &Path, lang: Lang) -> Result<(), Refused> {
    let text = format!("{:#}\n", json_schema(lang));
    install(&folder.join(SCHEMA), text.as_bytes(), 0o644, true)
}

/// Writes beside the target and renames over it. Without `over`, a file that is there is left and reported.
fn install(target: &Path, content: &[u8], mode: u32, over: bool) -> Result<(), Refused> {
    let folder = folder(target);
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        platform::set_mode(file.path(), mode)?;
        platform::give_to_owner_of(folder, file.path())?;
        file.as_file().sync_all()?;
        if over { file.persist(target) } else { file.persist_noclobber(target) }.map_err(|error| error.error)?;
        platform::sync_folder(folder)
    };
    write().map_err(|error| Refused::Io(target.to_owned(), error))
}

/// Why a secret cannot be read, for the operator.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Text {
    let path = path.display();
    text! { en: "error: cannot read {path}: {error}", fr: "erreur : lecture de {path} impossible : {error}" }
}
