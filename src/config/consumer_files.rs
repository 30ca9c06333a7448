//! `consumers = "consumers.d/*.toml"`: files that hold consumers, beside the configuration's own.

use super::bounds::{MAX_CONSUMER_BYTES, MAX_CONSUMER_FILES, MAX_FILE};
use super::diagnostic::{Complaint, Rule};
use super::field::Field;
use super::report::Problems;
use super::secret::io_reason;
use super::value::{quoted, show_size};
use crate::text;
use crate::text::Text;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// One of the files. Its number among the texts that findings point into is its index in the list, plus one: the
/// configuration itself is number 0.
#[derive(Debug)]
pub(super) struct ConsumerFile {
    /// As it is shown and opened.
    pub(super) name: String,
    pub(super) source: String,
}

/// A text that is read instead of what a file holds.
pub(super) type Edited<'e> = Option<(&'e Path, &'e str)>;

/// Which files: a folder and what their names begin and end with.
struct Pattern<'p> {
    folder: &'p str,
    prefix: &'p str,
    suffix: &'p str,
}

/// Reads every file that the pattern in `field` names, in the order of their names. What is wrong with the pattern, or
/// with one of the files, is reported at the field.
pub(super) fn read(field: &Field<'_>, base: &Path, edited: Edited<'_>, problems: &Problems) -> Vec<ConsumerFile> {
    let hint = text! {
        en: "write \"consumers.d/*.toml\"; a consumer itself is a `[[consumer]]`",
        fr: "écrivez \"consumers.d/*.toml\" ; un consommateur s'écrit `[[consumer]]`"
    };
    if !matches!(field.value, DeValue::String(_)) {
        // Most likely consumers, with whatever is in them.
        field.mask_scalars();
    }
    let Some(text) = field.string_or(Some(hint)) else { return Vec::new() };
    let Some(pattern) = pattern(text) else {
        let shown = quoted(text);
        field.error(Complaint::new(
            Rule::InvalidPath,
            text! {
                en: "\"{shown}\" names no files of one folder",
                fr: "\"{shown}\" ne désigne pas les fichiers d'un dossier"
            },
            text! { en: "needs one `*`, in the name of the file", fr: "il faut un seul `*`, dans le nom du fichier" },
        ).hint(text! {
            en: "write a folder and a pattern, such as \"consumers.d/*.toml\"",
            fr: "écrivez un dossier et un motif, par exemple \"consumers.d/*.toml\""
        }));
        return Vec::new();
    };
    let folder = base.join(pattern.folder);
    problems.depends_on(&folder);
    let paths = match list(&folder, &pattern) {
        Ok(paths) => paths,
        Err(error) => {
            field.error(unreadable(&folder, &error));
            return Vec::new();
        }
    };
    if paths.len() > MAX_CONSUMER_FILES {
        field.error(too_much(text! {
            en: "more than {MAX_CONSUMER_FILES} files hold consumers",
            fr: "plus de {MAX_CONSUMER_FILES} fichiers contiennent des consommateurs"
        }));
        return Vec::new();
    }
    let mut files = Vec::with_capacity(paths.len());
    let mut left = MAX_CONSUMER_BYTES;
    for path in paths {
        problems.depends_on(&path);
        match source(&path, edited) {
            Ok(source) if source.len() <= left => {
                left -= source.len();
                files.push(ConsumerFile { name: path.display().to_string(), source });
            }
            Ok(_) => {
                let most = show_size(MAX_CONSUMER_BYTES as u64);
                field.error(too_much(text! {
                    en: "the files of consumers are larger than {most} in all",
                    fr: "les fichiers de consommateurs dépassent {most} en tout"
                }));
                return Vec::new();
            }
            Err(error) => field.error(unreadable(&path, &error)),
        }
    }
    files
}

fn pattern(text: &str) -> Option<Pattern<'_>> {
    let (folder, name) = text.rsplit_once('/').unwrap_or((".", text));
    let folder = if folder.is_empty() { "/" } else { folder };
    let (prefix, suffix) = name.split_once('*')?;
    let is_plain = |part: &str| !part.contains(['*', '?', '[', ']', '{', '}', '\\', '\0']);
    [folder, prefix, suffix].into_iter().all(is_plain).then_some(Pattern { folder, prefix, suffix })
}

/// The files that match, in the order of their names. Names that begin with a dot do not: those of files that are being
/// written, for one.
fn list(folder: &Path, pattern: &Pattern<'_>) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        // The name is shown and found again by what is shown.
        let Ok(name) = name.into_string() else { continue };
        let matches = name.len() >= pattern.prefix.len() + pattern.suffix.len()
            && name.starts_with(pattern.prefix)
            && name.ends_with(pattern.suffix)
            && !name.starts_with('.');
        if matches {
            names.push(name);
            if names.len() > MAX_CONSUMER_FILES {
                break;
            }
        }
    }
    names.sort_unstable();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

fn source(path: &Path, edited: Edited<'_>) -> io::Result<String> {
    if let Some((_, text)) = edited.filter(|(known, _)| *known == path) {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn unreadable(path: &Path, error: &io::Error) -> Complaint {
    let shown = path.display();
    let (en, fr) = match error.kind() {
        io::ErrorKind::InvalidData => ("it is not UTF-8".to_owned(), "il n'est pas en UTF-8".to_owned()),
        io::ErrorKind::FileTooLarge => {
            let most = show_size(MAX_FILE as u64);
            (format!("it is larger than {most}"), format!("il dépasse {most}"))
        }
        _ => io_reason(error),
    };
    Complaint::new(
        Rule::UnreadableFile,
        text! { en: "cannot read {shown}: {en}", fr: "{shown} est illisible : {fr}" },
        text! { en: "named here", fr: "désigné ici" },
    )
}

fn too_much(message: Text) -> Complaint {
    let label = text! { en: "all of these", fr: "l'ensemble de ceux-ci" };
    Complaint::new(Rule::OutOfRange, message, label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_one_star_in_the_name_of_the_file() {
        let parts = |text| pattern(text).map(|Pattern { folder, prefix, suffix }| [folder, prefix, suffix]);
        assert_eq!(parts("consumers.d/*.toml"), Some(["consumers.d", "", ".toml"]));
        assert_eq!(parts("*.toml"), Some([".", "", ".toml"]));
        assert_eq!(parts("/etc/sensgate/c/shop-*"), Some(["/etc/sensgate/c", "shop-", ""]));
        assert_eq!(parts("/*.toml"), Some(["/", "", ".toml"]));
        for refused in ["", "a.toml", "*/a.toml", "a/*/*.toml", "a/**.toml", "a/[ab]*.toml", "a/b?*", "a\\*.toml"] {
            assert!(pattern(refused).is_none(), "{refused}");
        }
    }

    #[test]
    fn files_come_in_the_order_of_their_names_without_hidden_ones() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", ".c.toml", "d.toml~", "toml"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let files = list(folder.path(), &pattern("*.toml").unwrap()).unwrap();
        assert_eq!(files, ["a.toml", "b.toml"].map(|name| folder.path().join(name)));
    }
}
