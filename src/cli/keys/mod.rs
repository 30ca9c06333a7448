//! `sensgate keys`: the API keys of consumers. A key goes to stdout once, when it is made, and nowhere else.

mod edit;
mod import;
mod list;
mod make;
mod new;
mod revoke;
mod rotate;
mod show;

use super::{Exit, talk};
use crate::cli::help::{self, both};
use crate::config::Report;
use crate::platform::clock;
use crate::text::{Lang, Text};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::io;
use std::path::PathBuf;

/// Make and manage the API keys of consumers.
#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Make and manage the API keys of consumers",
    "Créer et gérer les clés d'API des consommateurs"
))]
#[command(long_about = both(
    "The configuration is edited under a lock and replaced whole; comments and order stay. It has to be valid \
     before and after, or nothing is written. A running gate then reloads it, and the command says whether it did.",
    "La configuration est modifiée sous verrou et remplacée en entier ; commentaires et ordre restent. Elle doit \
     être correcte avant comme après, sinon rien n'est écrit. Une passerelle en service la recharge alors, et la \
     commande dit si elle l'a fait."
))]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    pub command: KeysCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum KeysCommand {
    New(new::NewArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Rotate(rotate::RotateArgs),
    Revoke(revoke::RevokeArgs),
    Import(import::ImportArgs),
}

/// Which configuration is read or edited, and which gate is told.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct FileArgs {
    #[arg(long, env = "SENSGATE_CONFIG", value_name = "FILE", help = help::config())]
    pub config: PathBuf,
    #[arg(long, value_name = "DIR", help = help::state())]
    pub state: Option<PathBuf>,
}

/// Until when a key is valid.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(super) struct ExpiryArgs {
    #[arg(long, value_name = "YYYY-MM-DD", help = both(
        "Last day on which the key is valid, UTC [default: in one year]",
        "Dernier jour de validité de la clé, UTC [défaut : dans un an]"
    ))]
    pub expires: Option<Date>,
    #[arg(long, conflicts_with = "expires", help = both(
        "Make a key that never expires",
        "Créer une clé qui n'expire jamais"
    ))]
    pub no_expiry: bool,
}

/// Why a command ended without doing anything.
#[derive(Debug)]
enum Failure {
    Said(Exit, Text),
    /// The configuration, as it is or as it would be, is not valid.
    Invalid(Box<Report>),
}

impl From<(Exit, Text)> for Failure {
    fn from((exit, text): (Exit, Text)) -> Self {
        Self::Said(exit, text)
    }
}

/// Runs a `keys` command.
#[must_use]
pub(super) fn run(args: &KeysArgs, lang: Lang) -> Exit {
    let (name, outcome) = match &args.command {
        KeysCommand::New(args) => {
            ("new", new::run(args, today(), lang, &mut io::stdout().lock(), &mut io::stderr().lock()))
        }
        KeysCommand::List(args) => ("list", list::run(args, lang)),
        KeysCommand::Show(args) => ("show", show::run(args, lang)),
        KeysCommand::Rotate(args) => ("rotate", rotate::run(args, today(), lang)),
        KeysCommand::Revoke(args) => ("revoke", revoke::run(args, lang)),
        KeysCommand::Import(args) => ("import", import::run(args, today(), lang)),
    };
    match outcome {
        Ok(exit) => exit,
        Err(Failure::Said(exit, message)) => {
            let message = message.in_lang(lang);
            eprintln!("sensgate keys {name}: {message}");
            exit
        }
        Err(Failure::Invalid(report)) => {
            eprint!("{}", report.render(lang, super::stderr_has_colour()));
            let text = crate::text! {
                en: "sensgate keys {name}: nothing was written",
                fr: "sensgate keys {name} : rien n'a été écrit",
            };
            talk(&text, lang);
            Exit::Config
        }
    }
}

fn today() -> Date {
    let wall = clock::now().wall.0;
    // A clock set outside of the years jiff knows reads 1970: keys then look expired, which is noticed.
    let now = Timestamp::from_millisecond(wall).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(now).date()
}

/// The first id that is free: `k3` after `k1` and `k2`, or after whatever the ids of this consumer begin with.
fn next_id(taken: &[String], like: Option<&str>) -> String {
    let stem = |id: &str| id.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let numbered = |id: &&str| id.ends_with(|c: char| c.is_ascii_digit());
    let stem = like.filter(numbered).map_or_else(|| "k".to_owned(), stem);
    let number = |id: &String| id.strip_prefix(&stem)?.parse::<u64>().ok();
    let last = taken.iter().filter_map(number).max().unwrap_or(0);
    format!("{stem}{}", last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_id_goes_on_where_the_last_one_stopped() {
        let ids = |ids: &[&str]| -> Vec<String> { ids.iter().map(|id| (*id).to_owned()).collect() };
        for (taken, like, next) in [
            (ids(&[]), None, "k1"),
            (ids(&["k1", "k2"]), Some("k1"), "k3"),
            (ids(&["k1", "k9", "web-4"]), Some("web-4"), "web-5"),
            (ids(&["legacy"]), Some("legacy"), "k1"),
            (ids(&["2024", "k3"]), Some("k3"), "k4"),
        ] {
            assert_eq!(next_id(&taken, like), next, "{taken:?}");
        }
    }
}
