//! `completions`: what a shell needs to complete command lines.

use super::Exit;
use crate::cli::help::both;
use crate::text::Lang;
use clap_complete::Shell;
use std::io::{self, Write};

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Print what a shell needs to complete command lines",
    "Afficher ce dont un shell a besoin pour compléter les commandes"
))]
pub(super) struct CompletionsArgs {
    #[arg(value_enum, value_name = "SHELL", help = both("The shell", "Le shell"))]
    pub shell: Shell,
}

/// Prints the script.
#[must_use]
pub(super) fn run(args: &CompletionsArgs, lang: Lang) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(lang), "sensgate", &mut script);
    // A closed stdout means that nobody reads any more.
    let _ = io::stdout().write_all(&script);
    Exit::Ok
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_gets_every_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut super::super::command(Lang::Fr), "sensgate", &mut script);
            let script = String::from_utf8(script).unwrap();
            for sub in super::super::command(Lang::En).get_subcommands() {
                assert!(script.contains(sub.get_name()), "{shell}: {}", sub.get_name());
            }
        }
    }
}
