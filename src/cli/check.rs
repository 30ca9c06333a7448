//! `check`: every problem of a configuration file at once.

use super::{Exit, Format};
use crate::cli::help::{self, both};
use crate::config::{self, Report};
use crate::text;
use crate::text::{Lang, Text};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

/// Checks a configuration file without starting anything.
#[derive(Clone, Debug, clap::Args)]
#[command(about = both(
    "Check a configuration and show every problem at once",
    "Vérifier une configuration et montrer tous les problèmes à la fois"
))]
pub struct CheckArgs {
    #[arg(long, value_name = "PATH", env = "SENSGATE_CONFIG", help = help::config())]
    pub config: PathBuf,
    #[arg(long, help = both("Fail on warnings too", "Échouer aussi sur les avertissements"))]
    pub strict: bool,
    #[arg(long, value_enum, default_value_t = Format::Text, help = help::format())]
    pub format: Format,
}

/// Prints all findings and a summary line. [`Exit::Config`] when the gate would not start.
#[must_use]
pub fn run(args: &CheckArgs, lang: Lang) -> Exit {
    let (report, loaded) = match config::load(&args.config) {
        Ok(loaded) => (loaded.warnings, true),
        Err(report) => (report, false),
    };
    // Who closed the pipe does not want to know; the exit code still tells.
    let _ = match args.format {
        Format::Text => io::stderr().write_all(report.render(lang, color()).as_bytes()),
        Format::Json => writeln!(io::stdout(), "{:#}", report.to_json(lang)),
    };
    let _ = writeln!(io::stderr(), "{}", summary(&report, loaded, args.strict).in_lang(lang));
    if passes(&report, loaded, args.strict) { Exit::Ok } else { Exit::Config }
}

fn passes(report: &Report, loaded: bool, strict: bool) -> bool {
    loaded && !(strict && report.warnings() > 0)
}

fn color() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn summary(report: &Report, loaded: bool, strict: bool) -> Text {
    let (mut en, mut fr) = if !loaded {
        ("configuration not valid".to_owned(), "configuration non valide".to_owned())
    } else if passes(report, loaded, strict) {
        ("configuration valid".to_owned(), "configuration valide".to_owned())
    } else {
        ("configuration valid, refused by --strict".to_owned(), "configuration valide, refusée par --strict".to_owned())
    };
    for (count, english, french) in
        [(report.errors(), "error", "erreur"), (report.warnings(), "warning", "avertissement")]
    {
        let plural = if count > 1 { "s" } else { "" };
        if count > 0 {
            en.push_str(&format!(", {count} {english}{plural}"));
            fr.push_str(&format!(", {count} {french}{plural}"));
        }
    }
    text! { en: "{en}", fr: "{fr}" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn last_line(source: &str, strict: bool) -> (String, String) {
        let (report, loaded) = match config::parse(source, "f", Path::new("")) {
            Ok(loaded) => (loaded.warnings, true),
            Err(report) => (report, false),
        };
        let line = summary(&report, loaded, strict);
        (line.en.into_owned(), line.fr.into_owned())
    }

    #[test]
    fn summaries_count_in_both_languages() {
        let valid = "[upstream]\naddress = \"127.0.0.1:1\"\napi_key = { env = \"CARGO_PKG_NAME\" }\n\
                     [[listener]]\naddress = \"127.0.0.1:0\"\n";
        assert_eq!(
            last_line(valid, false),
            ("configuration valid, 2 warnings".into(), "configuration valide, 2 avertissements".into())
        );
        assert_eq!(
            last_line(valid, true),
            (
                "configuration valid, refused by --strict, 2 warnings".into(),
                "configuration valide, refusée par --strict, 2 avertissements".into()
            )
        );
        assert_eq!(
            last_line("", false),
            (
                "configuration not valid, 2 errors, 1 warning".into(),
                "configuration non valide, 2 erreurs, 1 avertissement".into()
            )
        );
    }
}
