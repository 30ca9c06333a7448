//! Secrets: read from a file, the environment or a systemd credential, and never from the configuration itself.

use super::diagnostic::{Complaint, Rule};
use super::field::Field;
use super::reader::Section;
use super::shape;
use super::value::quoted;
use crate::domain::request::pasted::{self, Fault};
use crate::platform;
use crate::text;
use crate::text::Text;
use secrecy::SecretString;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use toml::de::DeValue;
use zeroize::Zeroizing;

/// Longest secret in bytes.
pub const MAX_SECRET: usize = 4096;

/// Longest private key file in bytes.
const MAX_KEY: usize = 64 << 10;

/// Reads a secret such as `{ file = "8sens-api-key" }`, which a header field can carry. Relative paths start at `base`.
pub(super) fn read(field: &Field<'_>, base: &Path) -> Option<SecretString> {
    read_as(field, base, visible_ascii)
}

/// The same for a password, which a form carries: one line of any characters.
pub(super) fn read_password(field: &Field<'_>, base: &Path) -> Option<SecretString> {
    read_as(field, base, one_line)
}

fn read_as(
    field: &Field<'_>,
    base: &Path,
    checked: fn(&Field<'_>, Zeroizing<Vec<u8>>) -> Option<SecretString>,
) -> Option<SecretString> {
    let DeValue::Table(table) = field.value else {
        refuse_bare(field);
        return None;
    };
    let section = Section::open(&shape::SECRET, table, Some(field.span.clone()), field.problems);
    let sources = [section.get("file"), section.get("env"), section.get("credential")];
    let mut given = sources.iter().flatten();
    let (Some(source), None) = (given.next(), given.next()) else {
        if section.meant_any(&["file", "env", "credential"]) {
            return None;
        }
        let name = &field.name;
        field.error(
            Complaint::new(
                Rule::SecretSource,
                text! {
                    en: "`{name}` needs exactly one of `file`, `env` and `credential`",
                    fr: "`{name}` demande exactement une source parmi `file`, `env` et `credential`"
                },
                text! { en: "exactly one source is needed", fr: "il faut exactement une source" },
            )
            .hint(text! { en: "write {{ file = \"…\" }}", fr: "écrivez {{ file = \"…\" }}" }),
        );
        return None;
    };
    let content = match &sources {
        [Some(_), ..] => read_file(source, &base.join(source.string()?), FileOwner::Admin),
        [_, Some(_), _] => read_environment(source),
        _ => read_credential(source),
    }?;
    checked(source, without_line_end(content))
}

/// A secret that is in the file itself. Neither the message nor the line shows it.
fn refuse_bare(field: &Field<'_>) {
    field.mask_scalars();
    let name = &field.name;
    if !matches!(field.value, DeValue::String(_)) {
        field.wrong_type(
            &text! { en: "a secret", fr: "un secret" },
            Some(text! { en: "write {{ file = \"…\" }}", fr: "écrivez {{ file = \"…\" }}" }),
        );
        return;
    }
    field.error(
        Complaint::new(
            Rule::SecretInFile,
            text! {
                en: "`{name}` is a secret and is never in this file",
                fr: "`{name}` est un secret et ne figure jamais dans ce fichier"
            },
            text! { en: "a secret in clear (hidden here)", fr: "un secret en clair (masqué ici)" },
        )
        .hint(text! {
            en: "put it into a file of mode 0600 and write {{ file = \"…\" }}; then change it, it has been in clear",
            fr: "mettez-le dans un fichier de mode 0600 et écrivez {{ file = \"…\" }} ; puis changez-le, il était en \
                 clair"
        }),
    );
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FileOwner {
    /// An admin chose the mode, so the mode is checked.
    Admin,
    /// systemd did; it may grant a service its credential through the group.
    Systemd,
}

/// Reads a private key: a file as secret as a secret, and of more lines.
pub(super) fn read_key(field: &Field<'_>, path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    read_bytes(field, path, FileOwner::Admin, MAX_KEY)
}

fn read_file(field: &Field<'_>, path: &Path, owner: FileOwner) -> Option<Zeroizing<Vec<u8>>> {
    read_bytes(field, path, owner, MAX_SECRET)
}

/// What `echo` and editors put behind a secret is no part of it, wherever the secret came from.
fn without_line_end(mut content: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if content.ends_with(b"\n") {
        content.pop();
        if content.ends_with(b"\r") {
            content.pop();
        }
    }
    content
}

fn read_bytes(field: &Field<'_>, path: &Path, owner: FileOwner, max: usize) -> Option<Zeroizing<Vec<u8>>> {
    field.problems.depends_on(path);
    let complain = |en: &str, fr: &str| unreadable(field, text! { en: "{en}", fr: "{fr}" });
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            complain("it is not a regular file", "ce n'est pas un fichier ordinaire");
            return None;
        }
        Ok(_) => check_mode(field, path, owner),
        Err(_) => {}
    }
    let mut content = Zeroizing::new(Vec::with_capacity(max + 3));
    // Room for a line end and one byte more, so that a secret that is too long is seen.
    let read = std::fs::File::open(path).and_then(|file| file.take(max as u64 + 3).read_to_end(&mut content));
    if let Err(error) = read {
        let (en, fr) = io_reason(&error);
        complain(&en, &fr);
        return None;
    }
    Some(content)
}

fn check_mode(field: &Field<'_>, path: &Path, owner: FileOwner) {
    let Ok(Some(mode)) = platform::file_mode(path) else { return };
    let shown = format!("{:04o}", mode & 0o7777);
    if mode & 0o007 != 0 {
        field.error(
            Complaint::new(
                Rule::SecretPermissions,
                text! {
                    en: "everyone on this machine can use this secret file",
                    fr: "tout utilisateur de cette machine a accès à ce fichier secret"
                },
                text! { en: "its mode is {shown}", fr: "son mode est {shown}" },
            )
            .hint(text! {
                en: "chmod 0600 and let the gate's user own it; in a container: `mode: 0400` and `uid:` of the Swarm \
                     secret, `defaultMode: 0440` of the Kubernetes volume with `fsGroup` of the pod",
                fr: "chmod 0600, et l'utilisateur de la passerelle pour propriétaire ; en conteneur : `mode: 0400` et \
                     `uid:` du secret Swarm, `defaultMode: 0440` du volume Kubernetes avec `fsGroup` du pod"
            }),
        );
    } else if mode & 0o040 != 0 && owner == FileOwner::Admin {
        field.warn(
            Complaint::new(
                Rule::SecretPermissions,
                text! { en: "the group can read this secret file", fr: "le groupe peut lire ce fichier secret" },
                text! { en: "its mode is {shown}", fr: "son mode est {shown}" },
            )
            .hint(text! {
                en: "chmod 0600 and let the gate's user own it",
                fr: "chmod 0600, et l'utilisateur de la passerelle pour propriétaire"
            }),
        );
    }
}

fn read_environment(field: &Field<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let name = field.string()?;
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || !name.bytes().all(word) || name.starts_with(|c: char| c.is_ascii_digit()) {
        // Most likely the secret itself.
        field.mask();
        unreadable(
            field,
            text! {
                en: "this is not the name of an environment variable",
                fr: "ceci n'est pas un nom de variable d'environnement"
            },
        );
        return None;
    }
    match std::env::var_os(name) {
        Some(content) => Some(Zeroizing::new(content.into_encoded_bytes())),
        None => {
            unreadable(
                field,
                text! {
                    en: "this environment variable is not set",
                    fr: "cette variable d'environnement n'est pas définie"
                },
            );
            None
        }
    }
}

fn read_credential(field: &Field<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let name = field.string()?;
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
        unreadable(
            field,
            text! { en: "this is not the name of a credential", fr: "ceci n'est pas un nom de credential" },
        );
        return None;
    }
    let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|path| !path.is_empty()) else {
        let shown = quoted(name);
        field.error(
            cannot_read(
                text! { en: "there is no credentials directory", fr: "il n'y a pas de répertoire de credentials" },
            )
            .hint(text! {
                en: "systemd makes it: `LoadCredential={shown}:/path/to/file` in the unit",
                fr: "systemd le crée : `LoadCredential={shown}:/chemin/du/fichier` dans l'unité"
            }),
        );
        return None;
    };
    read_file(field, &PathBuf::from(directory).join(name), FileOwner::Systemd)
}

fn cannot_read(why: Text) -> Complaint {
    Complaint::new(
        Rule::SecretUnreadable,
        text! { en: "this secret cannot be read", fr: "ce secret est illisible" },
        why,
    )
}

fn unreadable(field: &Field<'_>, why: Text) {
    field.error(cannot_read(why));
}

/// Why a file could not be read, in both languages.
pub(super) fn io_reason(error: &io::Error) -> (String, String) {
    let (en, fr) = match error.kind() {
        ErrorKind::NotFound => ("the file does not exist", "le fichier n'existe pas"),
        ErrorKind::PermissionDenied => ("permission denied", "accès refusé"),
        ErrorKind::IsADirectory => ("it is a directory", "c'est un répertoire"),
        ErrorKind::NotADirectory => {
            ("a part of its path is not a directory", "un élément du chemin n'est pas un répertoire")
        }
        ErrorKind::InvalidInput => ("the path is not valid", "le chemin n'est pas valide"),
        _ => return (error.to_string(), error.to_string()),
    };
    (en.to_owned(), fr.to_owned())
}

/// What is wrong with a secret as it was pasted or stored. The secret is not repeated.
pub(super) fn in_words(fault: Fault) -> Text {
    match fault {
        Fault::Empty => text! { en: "it is empty", fr: "rien n'y figure" },
        Fault::TooLong => {
            text! { en: "it is longer than {MAX_SECRET} bytes", fr: "sa longueur dépasse {MAX_SECRET} octets" }
        }
        Fault::Scheme => text! {
            en: "a scheme such as Bearer comes before it",
            fr: "un schéma tel que Bearer le précède"
        },
        Fault::Quotes => text! { en: "it is in quotation marks", fr: "des guillemets l'entourent" },
        Fault::Blank => text! {
            en: "it contains spaces, line breaks or invisible characters such as no-break spaces",
            fr: "il s'y trouve des blancs, des fins de ligne ou des caractères invisibles comme l'espace insécable"
        },
        Fault::NotVisible => text! {
            en: "it has characters that are not visible ASCII",
            fr: "il s'y trouve des caractères hors ASCII visible"
        },
    }
}

/// A person can type it.
fn one_line(field: &Field<'_>, content: Zeroizing<Vec<u8>>) -> Option<SecretString> {
    let text = std::str::from_utf8(&content).ok();
    let is_short = content.len() <= MAX_SECRET;
    if let Some(text) = text.filter(|text| is_short && !text.is_empty() && !text.chars().any(char::is_control)) {
        return Some(text.to_owned().into());
    }
    let why = match text {
        Some("") => in_words(Fault::Empty),
        _ if !is_short => in_words(Fault::TooLong),
        Some(_) => text! {
            en: "it has line breaks or other control characters",
            fr: "il s'y trouve des fins de ligne ou d'autres caractères de contrôle"
        },
        None => text! { en: "it is not UTF-8", fr: "ce n'est pas de l'UTF-8" },
    };
    let unusable = text! { en: "this password cannot be used", fr: "ce mot de passe est inutilisable" };
    let hint = text! {
        en: "one line of UTF-8; one line end after it is ignored",
        fr: "une seule ligne d'UTF-8 ; la fin de ligne qui suit est ignorée"
    };
    field.error(Complaint::new(Rule::SecretContent, unusable, why).hint(hint));
    None
}

/// A header field must be able to carry it.
fn visible_ascii(field: &Field<'_>, content: Zeroizing<Vec<u8>>) -> Option<SecretString> {
    let Some(fault) = pasted::fault(&content, MAX_SECRET) else {
        if pasted::is_quoted(&content) {
            let in_quotes = text! { en: "this secret is in quotation marks", fr: "ce secret est entre guillemets" };
            let complaint = Complaint::new(Rule::SecretContent, in_quotes, in_words(Fault::Quotes));
            field.warn(complaint.hint(text! {
                en: "unless they belong to it, leave them out of what is stored",
                fr: "sauf s'ils en font partie, retirez-les de ce qui est enregistré"
            }));
        }
        return std::str::from_utf8(&content).ok().map(SecretString::from);
    };
    let complaint = Complaint::new(
        Rule::SecretContent,
        text! { en: "this secret cannot be used", fr: "ce secret est inutilisable" },
        in_words(fault),
    );
    field.error(complaint.hint(text! {
        en: "one line of visible ASCII; one line end after it is ignored",
        fr: "une seule ligne d'ASCII visible ; la fin de ligne qui suit est ignorée"
    }));
    None
}
