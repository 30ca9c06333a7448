//! Gives the command line its help in one language. The texts are where commands and options are declared, each in
//! [`both`].

use crate::text;
use crate::text::{Lang, Text};
use clap::builder::{Resettable, StyledStr};
use clap::{Arg, ArgAction, Command};

/// Gives a command tree its texts in one language.
pub(super) fn localised(command: Command, lang: Lang) -> Command {
    let shown = both("Show this help", "Afficher cette aide");
    let version = both("Print the version", "Afficher la version");
    let command = command
        .disable_help_subcommand(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::Help).global(true).help(shown))
        .arg(Arg::new("version").short('V').long("version").action(ArgAction::Version).help(version));
    translate(command, lang)
}

fn translate(command: Command, lang: Lang) -> Command {
    let usage = text! { en: "Usage:", fr: "Utilisation :" };
    let usage = usage.in_lang(lang);
    // clap keeps headings for ever, so they cannot come out of a sentence.
    let (commands, command_name) = match lang {
        Lang::En => ("Commands", "COMMAND"),
        Lang::Fr => ("Commandes", "COMMANDE"),
    };
    let mut command = command
        .help_template(format!("{{about}}\n\n{usage} {{usage}}\n\n{{all-args}}"))
        .subcommand_help_heading(commands)
        .subcommand_value_name(command_name)
        .mut_args(|arg| match one_of_both(arg.get_help(), lang) {
            Some(text) => with_help(arg, &text, lang),
            None => arg,
        });
    if let Some(about) = one_of_both(command.get_about(), lang) {
        // Without details nothing: clap would show the doc comment of the arguments, in English only.
        let explained = one_of_both(command.get_long_about(), lang)
            .map_or(Resettable::Reset, |details| Resettable::Value(format!("{about}.\n\n{details}").into()));
        command = command.about(about).long_about(explained);
    }
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |sub| translate(sub, lang));
    }
    command
}

/// The text of an option, with what clap would add to it in English.
fn with_help(arg: Arg, text: &str, lang: Lang) -> Arg {
    let mut help = text.to_owned();
    let mut add = |what: Text| {
        help.push(' ');
        help.push_str(what.in_lang(lang));
    };
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() {
        let default = defaults.join(" ");
        add(text! { en: "[default: {default}]", fr: "[défaut : {default}]" });
    }
    if arg.get_action().takes_values() {
        let values = arg.get_possible_values();
        let words: Vec<_> = values.iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name()).collect();
        if !words.is_empty() {
            let words = words.join(", ");
            add(text! { en: "[values: {words}]", fr: "[valeurs : {words}]" });
        }
    }
    if let Some(name) = arg.get_env().and_then(|name| name.to_str()) {
        add(text! { en: "[env: {name}]", fr: "[env : {name}]" });
    }
    let takes_values = arg.get_action().takes_values();
    let arg = arg.help(help).help_heading("Options");
    if takes_values { arg.hide_default_value(true).hide_possible_values(true).hide_env(true) } else { arg }
}

/// What separates two languages, for private use in Unicode: clap strips controls, and no help holds this.
const BETWEEN: char = '\u{e000}';

/// The help of a command or an option in both languages, next to what it describes. [`localised`] keeps one of them.
pub(super) fn both(en: &str, fr: &str) -> String {
    format!("{en}{BETWEEN}{fr}")
}

/// The one of [`both`] that is wanted; `None` for a text in one language, such as clap makes of a comment.
fn one_of_both(text: Option<&StyledStr>, lang: Lang) -> Option<String> {
    let text = text?.to_string();
    let (en, fr) = text.split_once(BETWEEN)?;
    Some(
        match lang {
            Lang::En => en,
            Lang::Fr => fr,
        }
        .to_owned(),
    )
}

/// The help of `--config`, where it is the configuration of the gate.
pub(super) fn config() -> String {
    both("The configuration file", "Le fichier de configuration")
}

/// The help of `--state`.
pub(super) fn state() -> String {
    both(
        "The state directory of the gate, in place of its configuration",
        "Le répertoire d'état de la passerelle, au lieu de sa configuration",
    )
}

/// The help of `--format`.
pub(super) fn format() -> String {
    both("How to print data", "Format des données imprimées")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Every text of a command tree: whose it is, and what it says.
    fn texts(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
        let said = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
        found.push((format!("{path} about"), said(command.get_about())));
        if command.get_long_about().is_some() {
            found.push((format!("{path} long about"), said(command.get_long_about())));
        }
        for arg in command.get_arguments() {
            found.push((format!("{path} --{}", arg.get_id()), said(arg.get_help())));
            assert!(arg.get_long_help().is_none(), "{path} --{}: say it in one text", arg.get_id());
        }
        for sub in command.get_subcommands() {
            texts(sub, &format!("{path} {}", sub.get_name()), found);
        }
    }

    /// A text that is missing is empty; one that only a doc comment gives is the same in both languages.
    #[test]
    fn every_command_and_option_has_its_text_in_both_languages() {
        let of = |lang| {
            let mut found = Vec::new();
            texts(&localised(super::super::Cli::command(), lang), "", &mut found);
            found
        };
        let (english, french) = (of(Lang::En), of(Lang::Fr));
        assert!(english.len() > 50 && english.len() == french.len(), "{}", english.len());
        let missing: Vec<_> =
            english.iter().zip(&french).filter(|((_, en), (_, fr))| en.is_empty() || en == fr).collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }

    #[test]
    fn the_command_line_is_sound() {
        localised(super::super::Cli::command(), Lang::En).debug_assert();
    }

    /// What `--help` of one command shows.
    fn long_help(words: &[&str], lang: Lang) -> String {
        let words = ["sensgate"].iter().chain(words).chain(&["--help"]);
        let shown = localised(super::super::Cli::command(), lang).try_get_matches_from(words);
        shown.unwrap_err().to_string().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_sandbox_says_that_every_route_but_the_login_is_assumed() {
        let english = long_help(&["sandbox"], Lang::En);
        assert!(
            english.contains("POST /v1/login/user answers as the vendor documents it. Every other route"),
            "{english}"
        );
        assert!(english.contains("are OUR ASSUMPTION"), "{english}");
        let french = long_help(&["sandbox"], Lang::Fr);
        assert!(
            french.contains("POST /v1/login/user répond comme l'éditeur le documente. Toute autre route"),
            "{french}"
        );
        assert!(french.contains("sont UNE SUPPOSITION DE NOTRE PART"), "{french}");
        for help in [english, french] {
            for route in ["articles", "clients", "prospects", "devis", "commandes"] {
                assert!(help.contains(&format!("/v1/{route}")), "{route}: {help}");
            }
        }
    }

    #[test]
    fn no_help_falls_back_to_english() {
        for words in [&["run"][..], &["check"], &["demo"], &["keys"], &["keys", "new"], &["sandbox"], &["version"]] {
            let (french, english) = (long_help(words, Lang::Fr), long_help(words, Lang::En));
            let start = |help: &str| help.split(['.', ':']).next().unwrap_or_default().to_owned();
            assert_ne!(start(&french), start(&english), "{words:?}");
        }
    }

    #[test]
    fn help_is_in_french() {
        let help = localised(super::super::Cli::command(), Lang::Fr).render_help().to_string();
        assert!(help.contains("Utilisation :") && help.contains("Commandes:"), "{help}");
        assert!(help.contains("Servir jusqu'à SIGTERM"), "{help}");
    }
}
