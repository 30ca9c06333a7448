//! `man`: manual pages.

use super::Exit;
use crate::cli::help::both;
use crate::text;
use crate::text::{Lang, Text};
use clap::Command;
use clap_mangen::Man;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(clap::Args, Clone, Debug)]
#[command(about = both("Print manual pages", "Afficher les pages de manuel"))]
pub(super) struct ManArgs {
    #[arg(long, value_name = "DIR", help = both(
        "Write one page for each command into this directory",
        "Écrire une page par commande dans ce répertoire"
    ))]
    pub dir: Option<PathBuf>,
}

/// Prints the page of the whole, or writes one page for each command.
#[must_use]
pub(super) fn run(args: &ManArgs, lang: Lang) -> Exit {
    let mut command = super::command(lang);
    command.build();
    let Some(dir) = &args.dir else {
        // A closed stdout means that nobody reads any more.
        let _ = io::stdout().write_all(&page(&command, "sensgate", lang));
        return Exit::Ok;
    };
    match write_all(&command, "sensgate", dir, lang) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            let (exit, why) = refused(dir, &error);
            super::talk(&why, lang);
            exit
        }
    }
}

fn refused(dir: &Path, error: &io::Error) -> (Exit, Text) {
    let dir = dir.display();
    let exit = if error.kind() == io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Failure };
    (
        exit,
        text! { en: "error: cannot write to {dir}: {error}", fr: "erreur : impossible d'écrire dans {dir} : {error}" },
    )
}

/// `sensgate.1`, `sensgate-check.1`, `sensgate-keys-new.1` …
fn write_all(command: &Command, name: &str, dir: &Path, lang: Lang) -> io::Result<()> {
    std::fs::write(dir.join(format!("{name}.1")), page(command, name, lang))?;
    for sub in command.get_subcommands() {
        write_all(sub, &format!("{name}-{}", sub.get_name()), dir, lang)?;
    }
    Ok(())
}

/// One page in roff.
fn page(command: &Command, name: &str, lang: Lang) -> Vec<u8> {
    let man =
        Man::new(command.clone().display_name(name).version(env!("CARGO_PKG_VERSION"))).title(name).manual("sensgate");
    let mut page = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = man.render(&mut page);
    match lang {
        Lang::En => page,
        // The other headings of a page are the same words in French.
        Lang::Fr => String::from_utf8_lossy(&page).replace(".SH NAME\n", ".SH NOM\n").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(lang: Lang) -> Vec<(String, String)> {
        let directory = tempfile::tempdir().unwrap();
        let mut command = super::super::command(lang);
        command.build();
        write_all(&command, "sensgate", directory.path(), lang).unwrap();
        let files = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut pages: Vec<_> = files
            .map(|path| {
                (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
            })
            .collect();
        pages.sort();
        pages
    }

    #[test]
    fn each_command_has_a_page_in_both_languages() {
        let (english, french) = (pages(Lang::En), pages(Lang::Fr));
        let names: Vec<_> = english.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["sensgate.1", "sensgate-check.1", "sensgate-keys-new.1"] {
            assert!(names.contains(&name), "{names:?}");
        }
        for ((name, english), (_, french)) in english.iter().zip(&french) {
            assert!(english.contains(".SH NAME") && french.contains(".SH NOM"), "{name}: {french}");
            for phrase in
                [".SH NAME", "Print", "Show", "default:", "values:", "May also be specified", "possible values"]
            {
                assert!(!french.contains(phrase), "{name}, {phrase}: {french}");
            }
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let error =
            write_all(&super::super::command(Lang::En), "sensgate", Path::new("/dev/null/no"), Lang::En).unwrap_err();
        assert_eq!(refused(Path::new("/dev/null/no"), &error).0, Exit::Failure);
    }
}
