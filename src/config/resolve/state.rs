//! `[state]`: where sessions survive a restart.

use crate::config::diagnostic::{Complaint, Rule};
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::text;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What is in the file, else where systemd says that state belongs, else `state` beside the file.
pub(super) fn directory(section: &Section<'_>, base: &Path) -> PathBuf {
    let written = section.get("directory").and_then(|field| written(&field, base));
    written.unwrap_or_else(|| unwritten(std::env::var_os("STATE_DIRECTORY"), base))
}

/// Where a file seems to put it, valid or not: for finding the gate that runs on an earlier version of it.
pub(crate) fn directory_in(source: &str, base: &Path) -> PathBuf {
    let table: Option<toml::Table> = source.parse().ok();
    let written = table.as_ref().and_then(|table| table.get("state")?.get("directory")?.as_str());
    written.map_or_else(|| unwritten(std::env::var_os("STATE_DIRECTORY"), base), |directory| base.join(directory))
}

fn written(field: &Field<'_>, base: &Path) -> Option<PathBuf> {
    let text = field.string()?;
    if !text.is_empty() && !text.contains('\0') {
        return Some(base.join(text));
    }
    let complaint = Complaint::new(
        Rule::InvalidPath,
        text! { en: "this is not the path of a directory", fr: "ceci n'est pas le chemin d'un répertoire" },
        if text.is_empty() {
            text! { en: "it is empty", fr: "il est vide" }
        } else {
            text! { en: "it has a NUL character", fr: "il contient un caractère NUL" }
        },
    );
    field.error(complaint.hint(text! {
        en: "write a path such as \"/var/lib/sensgate\", or remove the key",
        fr: "écrivez un chemin, par exemple \"/var/lib/sensgate\", ou supprimez la clé"
    }));
    None
}

/// systemd lists several directories as `PATH` does; the first one is the gate's.
fn unwritten(given: Option<OsString>, base: &Path) -> PathBuf {
    let first = given.and_then(|list| std::env::split_paths(&list).next());
    first.filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| base.join("state"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_says_where_unless_the_file_does() {
        let base = Path::new("/etc/sensgate");
        let two = std::env::join_paths(["/var/lib/sensgate", "/var/lib/other"]).unwrap();
        for (given, directory) in [
            (None, "/etc/sensgate/state"),
            (Some("".into()), "/etc/sensgate/state"),
            (Some("/var/lib/sensgate".into()), "/var/lib/sensgate"),
            (Some(two), "/var/lib/sensgate"),
        ] {
            assert_eq!(unwritten(given, base), Path::new(directory));
        }
    }
}
