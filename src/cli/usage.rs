//! What is said of a command line that cannot be understood. clap says it in English only.

use crate::text::Lang;
use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;
use std::io::Write;

/// Prints an error of clap, or the help or version that comes as one.
pub(super) fn print(error: &Error, lang: Lang) {
    let french = if lang == Lang::Fr && error.use_stderr() { in_french(error) } else { None };
    // A closed terminal is nobody's problem.
    let _ = match french {
        Some(message) => std::io::stderr().write_all(message.as_bytes()),
        None => error.print(),
    };
}

/// The message in French; `None` for kinds that this command line does not provoke.
fn in_french(error: &Error) -> Option<String> {
    let what = what(error)?;
    let mut message = format!("erreur : {what}\n");
    for (kind, label) in [
        (ContextKind::ValidValue, "valeurs possibles"),
        (ContextKind::ValidSubcommand, "commandes possibles"),
        (ContextKind::SuggestedArg, "peut-être"),
        (ContextKind::SuggestedSubcommand, "peut-être"),
        (ContextKind::SuggestedValue, "peut-être"),
    ] {
        let words = words(error, kind).filter(|words| !words.is_empty());
        if let Some(words) = words {
            message.push_str(&format!("  {label} : {}\n", words.join(", ")));
        }
    }
    if let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) {
        message.push_str(&format!("\n{}\n", usage.to_string().replacen("Usage:", "Utilisation :", 1)));
    }
    message.push_str("\nPour en savoir plus : --help\n");
    Some(message)
}

fn what(error: &Error) -> Option<String> {
    let one = |kind| words(error, kind).map(|words| words.join(", ")).unwrap_or_default();
    let (arg, value) = (one(ContextKind::InvalidArg), one(ContextKind::InvalidValue));
    Some(match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues if value.is_empty() => {
            format!("{arg} demande une valeur")
        }
        ErrorKind::InvalidValue => format!("« {value} » n'est pas une valeur de {arg}"),
        ErrorKind::ValueValidation => {
            let why = error.source().map(|why| format!(" : {why}")).unwrap_or_default();
            format!("« {value} » n'est pas une valeur de {arg}{why}")
        }
        ErrorKind::UnknownArgument => format!("{arg} est inconnu ici"),
        ErrorKind::InvalidSubcommand => format!("la commande « {} » est inconnue", one(ContextKind::InvalidSubcommand)),
        ErrorKind::ArgumentConflict => match one(ContextKind::PriorArg) {
            prior if prior == arg => format!("{arg} ne se donne qu'une fois"),
            prior => format!("{arg} ne va pas avec {prior}"),
        },
        ErrorKind::MissingRequiredArgument => format!("il manque : {arg}"),
        ErrorKind::TooManyValues => format!("{arg} n'attend pas « {value} »"),
        ErrorKind::InvalidUtf8 => "un argument n'est pas en UTF-8".to_owned(),
        _ => return None,
    })
}

fn words(error: &Error, kind: ContextKind) -> Option<Vec<String>> {
    match error.get(kind)? {
        ContextValue::String(word) => Some(vec![word.clone()]),
        ContextValue::Strings(words) => Some(words.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(line: &str) -> String {
        let error = super::super::command(Lang::Fr).try_get_matches_from(line.split(' ')).unwrap_err();
        in_french(&error).unwrap_or_else(|| panic!("{line}: {:?}", error.kind()))
    }

    #[test]
    fn mistakes_are_told_in_french() {
        for (line, said) in [
            ("sensgate chek", "la commande « chek » est inconnue"),
            ("sensgate doktor", "la commande « doktor » est inconnue"),
            ("sensgate sandbx", "peut-être : sandbox"),
            ("sensgate keys new", "il manque : --consumer"),
            ("sensgate check --format", "--format <FORMAT> demande une valeur"),
            ("sensgate check --format xml", "« xml » n'est pas une valeur de --format"),
            ("sensgate check --format xml", "valeurs possibles : text, json"),
            ("sensgate check --frmat json", "--frmat est inconnu ici"),
            ("sensgate check --strict --strict", "--strict ne se donne qu'une fois"),
            ("sensgate keys new --consumer a --expires demain", "« demain » n'est pas une valeur de --expires"),
            ("sensgate keys new --consumer a --expires 2030-01-01 --no-expiry", "ne va pas avec"),
        ] {
            let message = message(line);
            assert!(message.contains(said), "{line}: {message}");
            assert!(message.starts_with("erreur : ") && message.ends_with("--help\n"), "{message}");
            for english in ["error:", "Usage:", "tip:", "possible values"] {
                assert!(!message.contains(english), "{line}: {message}");
            }
        }
    }
}
