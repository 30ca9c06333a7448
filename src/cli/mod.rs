//! The commands an admin types, one file each. stdout is data, stderr is talk.

pub mod check;
mod completions;
mod control_client;
pub mod demo;
mod doctor;
mod exit;
mod explain;
mod format;
mod help;
mod init;
mod keys;
mod man;
mod reload;
mod run;
mod sandbox;
mod schema;
mod sessions;
mod status;
mod usage;
mod version;

pub use exit::Exit;
pub use format::Format;

use crate::platform::EarlySignals;
use crate::text::{Lang, Text};
use check::CheckArgs;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use help::both;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// The command line. Each command and option has its help beside it, in both languages.
#[derive(Parser, Debug)]
#[command(name = "sensgate", version, about = both(
    "The gate in front of the REST port of 8sens",
    "La passerelle devant le port REST de 8sens"
))]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[arg(short = 't', requires = "config", help = both(
        "Check the configuration, as `check` does",
        "Vérifier la configuration, comme `check`"
    ))]
    test: bool,

    #[arg(long, env = "SENSGATE_CONFIG", value_name = "FILE", help = help::config())]
    config: Option<PathBuf>,

    #[arg(long, global = true, value_name = "en|fr", help = both(
        "Language of messages [default: from LANG]",
        "Langue des messages [défaut : selon LANG]"
    ))]
    lang: Option<LangArg>,
}

#[derive(Subcommand, Debug)]
enum Command {
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Completions(completions::CompletionsArgs),
    Demo(demo::DemoArgs),
    Doctor(doctor::DoctorArgs),
    Explain(explain::ExplainArgs),
    Init(init::InitArgs),
    Keys(keys::KeysArgs),
    Man(man::ManArgs),
    Reload(reload::ReloadArgs),
    Sandbox(sandbox::SandboxArgs),
    Schema(schema::SchemaArgs),
    Sessions(sessions::SessionsArgs),
    Status(status::StatusArgs),
    Version(version::VersionArgs),
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum LangArg {
    En,
    Fr,
}

impl From<LangArg> for Lang {
    fn from(arg: LangArg) -> Self {
        match arg {
            LangArg::En => Self::En,
            LangArg::Fr => Self::Fr,
        }
    }
}

/// Runs the command that `args` name.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    // Before anything that takes time: a supervisor may signal a gate that it has only just started. Other commands
    // end by SIGHUP, as terminals expect.
    let early = if names_run(&args) { EarlySignals::take() } else { EarlySignals::default() };
    // Every command may hold keys. What the system refuses is said where it matters, by `run`.
    let _ = crate::platform::forbid_dumps();
    let lang = lang_of(&args);
    let matches = match command(lang).try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version come this way too, and go to stdout with code 0.
            usage::print(&error, lang);
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    match Cli::from_arg_matches(&matches) {
        Ok(cli) => dispatch(&cli, lang, early),
        Err(error) => {
            usage::print(&error, lang);
            Exit::Usage
        }
    }
}

/// The whole command line, with its texts.
fn command(lang: Lang) -> clap::Command {
    help::localised(Cli::command(), lang)
}

fn dispatch(cli: &Cli, lang: Lang, early: EarlySignals) -> Exit {
    match &cli.command {
        Some(Command::Man(args)) => man::run(args, lang),
        Some(Command::Run(args)) => run::run(args, lang, early),
        Some(Command::Check(args)) => check::run(args, lang),
        Some(Command::Completions(args)) => completions::run(args, lang),
        Some(Command::Demo(args)) => demo::run(args, lang),
        Some(Command::Doctor(args)) => doctor::run(args, lang),
        Some(Command::Explain(args)) => explain::run(args, lang),
        Some(Command::Init(args)) => init::run(args, lang),
        Some(Command::Keys(args)) => keys::run(args, lang),
        Some(Command::Reload(args)) => reload::run(args, lang),
        Some(Command::Sandbox(args)) => sandbox::run(args, lang),
        Some(Command::Schema(args)) => schema::run(args, lang),
        Some(Command::Sessions(args)) => sessions::run(args, lang),
        Some(Command::Status(args)) => status::run(args, lang),
        Some(Command::Version(args)) => version::run(args, lang),
        None => match &cli.config {
            Some(config) if cli.test => {
                check::run(&CheckArgs { config: config.clone(), strict: false, format: Format::Text }, lang)
            }
            _ => {
                // Writing help to a closed terminal is nobody's problem.
                let _ = command(lang).print_help();
                Exit::Usage
            }
        },
    }
}

/// Whether the command is `run`, by a look that takes no time.
fn names_run(args: &[OsString]) -> bool {
    let mut words = args.iter().skip(1).filter_map(|arg| arg.to_str());
    while let Some(word) = words.next() {
        match word {
            "--lang" | "--config" => {
                words.next();
            }
            option if option.starts_with('-') => {}
            command => return command == "run",
        }
    }
    false
}

/// The language is needed before the command line is parsed, for its help.
fn lang_of(args: &[OsString]) -> Lang {
    let mut words = args.iter().filter_map(|arg| arg.to_str());
    while let Some(word) = words.next() {
        let value = match word {
            "--lang" => words.next(),
            _ => word.strip_prefix("--lang="),
        };
        if let Some(value) = value {
            return Lang::from_locale(value);
        }
    }
    Lang::of_environment()
}

/// Says one sentence to the operator.
fn talk(text: &Text, lang: Lang) {
    // A closed stderr must not end the gate.
    let _ = writeln!(std::io::stderr(), "{}", text.in_lang(lang));
}

/// Prints data.
fn data(text: &str) {
    // A closed stdout means that nobody reads any more.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Colour only for a terminal, and not against the operator's wish (no-color.org).
fn stdout_has_colour() -> bool {
    std::io::stdout().is_terminal() && colour_is_wanted()
}

/// The same for what is said rather than printed.
fn stderr_has_colour() -> bool {
    std::io::stderr().is_terminal() && colour_is_wanted()
}

fn colour_is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_is_recognised_at_a_glance() {
        let names_run = |line: &str| names_run(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in
            ["sensgate run", "sensgate run --config f", "sensgate --lang fr run", "run --lang=fr run --config f"]
        {
            assert!(names_run(line), "{line}");
        }
        for line in
            ["sensgate", "run", "sensgate check --config run", "sensgate --config run -t", "sensgate --lang run"]
        {
            assert!(!names_run(line), "{line}");
        }
    }
}
