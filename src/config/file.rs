//! Opening the configuration file.

use super::bounds::MAX_FILE;
use super::diagnostic::{Complaint, Rule};
use super::positions::Positions;
use super::report::{Problems, Report};
use super::secret::io_reason;
use super::settings::Settings;
use super::{resolve, syntax};
use crate::text;
use crate::text::Text;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A valid configuration, and what is questionable about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    pub warnings: Report,
}

/// Reads and checks a configuration file, and the secrets that it names. Relative paths in it start at its directory.
///
/// # Errors
/// Every reason why the gate may not start with this file.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let file_name = path.display().to_string();
    let base = path.parent().unwrap_or(Path::new(""));
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a file that is too large is seen.
    if let Err(error) = File::open(path).and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)) {
        let (en, fr) = io_reason(&error);
        return Err(unreadable(
            &file_name,
            text! { en: "cannot read the configuration: {en}", fr: "configuration illisible : {fr}" },
        ));
    }
    match String::from_utf8(bytes) {
        Ok(source) => parse(&source, &file_name, base),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.split(|b| *b == b'\n').count();
            Err(unreadable(
                &file_name,
                text! {
                    en: "the configuration is not UTF-8: see line {line}",
                    fr: "la configuration n'est pas en UTF-8 : voyez la ligne {line}"
                },
            ))
        }
    }
}

/// Where the gate on this file keeps its state, as far as a file says it that may not be valid.
#[must_use]
pub fn state_directory(path: &Path) -> PathBuf {
    let mut source = String::new();
    // A file that cannot be read says nothing.
    let _ = File::open(path).and_then(|file| file.take(MAX_FILE as u64).read_to_string(&mut source));
    resolve::state::directory_in(&source, path.parent().unwrap_or(Path::new("")))
}

/// Checks the text of a configuration, and the files of consumers that it names. `file_name` is only shown; relative
/// paths start at `base`.
///
/// # Errors
/// Every reason why the gate may not start with this text. No text makes it panic.
pub fn parse(source: &str, file_name: &str, base: &Path) -> Result<Loaded, Report> {
    parse_edited(source, file_name, base, None)
}

/// As [`parse`], with a text in place of what one of the files of consumers holds. Its path is the one that
/// [`Positions`] shows.
///
/// # Errors
/// Every reason why the gate may not start with these texts.
pub fn parse_edited(
    source: &str,
    file_name: &str,
    base: &Path,
    edited: Option<(&Path, &str)>,
) -> Result<Loaded, Report> {
    if source.len() > MAX_FILE {
        let most = super::value::show_size(MAX_FILE as u64);
        return Err(unreadable(
            file_name,
            text! { en: "the configuration is larger than {most}", fr: "la configuration dépasse {most}" },
        ));
    }
    let problems = Problems::default();
    let mut files = Vec::new();
    let settings = syntax::parse(source, &problems).and_then(|table| {
        let mut positions = Positions::default();
        positions.add(file_name, source, &table);
        files = resolve::consumer_files(&table, base, edited, &problems);
        let settings = resolve::settings(&table, base, &files, &mut positions, &problems)?;
        Some(Settings { positions: positions.sorted().into(), ..settings })
    });
    let fatal = !problems.none_is_fatal();
    let texts: Vec<(&str, &str)> = std::iter::once((file_name, source))
        .chain(files.iter().map(|file| (file.name.as_str(), file.source.as_str())))
        .collect();
    let report = problems.into_report_on(&texts);
    match settings {
        Some(settings) if !fatal => Ok(Loaded { settings, warnings: report }),
        _ => Err(report),
    }
}

fn unreadable(file_name: &str, message: Text) -> Report {
    let problems = Problems::default();
    problems.error(None, Complaint::new(Rule::UnreadableFile, message, text! { en: "", fr: "" }));
    problems.into_report(file_name, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Lang;

    #[test]
    fn a_text_that_is_too_large_is_refused_unread() {
        let report = parse(&" ".repeat(MAX_FILE + 1), "f", Path::new("")).unwrap_err();
        assert!(report.render(Lang::En, false).contains("larger than 4MiB"));
    }
}
