//! `keys new`: makes a key, and admits it or prints the line that does.

use super::edit::Edit;
use super::make::{NewKey, expiry, make};
use super::{ExpiryArgs, Failure, FileArgs, next_id};
use crate::cli::help::{self, both};
use crate::cli::{Exit, Format};
use crate::text;
use crate::text::{Lang, Text};
use jiff::civil::Date;
use std::io::Write;
use std::path::PathBuf;

/// Make an API key, and the entry of the configuration that admits it.
#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Make a key, show it once, and admit it in the configuration",
    "Créer une clé, la montrer une seule fois, et l'admettre dans la configuration"
))]
#[command(long_about = both(
    "The key is shown once. The configuration holds only its SHA-256 digest. Without --config and SENSGATE_CONFIG \
     the line to paste is printed, and nothing is edited.",
    "La clé n'est montrée qu'une fois. La configuration ne contient que son empreinte SHA-256. Sans --config ni \
     SENSGATE_CONFIG, la ligne à coller est affichée et rien n'est modifié."
))]
pub(crate) struct NewArgs {
    #[arg(long, value_name = "NAME", help = both("Whom the key is for", "À qui la clé est destinée"))]
    pub consumer: String,
    #[arg(long, value_name = "ID", help = both(
        "The id of the key, shown in logs [default: the next free one]",
        "L'identifiant de la clé, visible dans les journaux [défaut : le prochain libre]"
    ))]
    pub id: Option<String>,
    #[command(flatten)]
    pub expiry: ExpiryArgs,
    #[arg(long, env = "SENSGATE_CONFIG", value_name = "FILE", help = help::config())]
    pub config: Option<PathBuf>,
    #[arg(long, value_name = "DIR", requires = "config", help = help::state())]
    pub state: Option<PathBuf>,
    #[arg(long, requires = "config", help = both("Make the consumer as well", "Créer aussi le consommateur"))]
    pub create: bool,
    #[arg(long, value_enum, default_value_t, help = help::format())]
    pub format: Format,
}

pub(super) fn run(
    args: &NewArgs,
    today: Date,
    lang: Lang,
    data: &mut impl Write,
    talk: &mut impl Write,
) -> Result<Exit, Failure> {
    let expires = expiry(args.expiry, today)?;
    match &args.config {
        None => printed(args, today, expires, lang, data, talk),
        Some(config) => {
            let file = FileArgs { config: config.clone(), state: args.state.clone() };
            admitted(args, &file, today, expires, lang, data)
        }
    }
}

/// Without a configuration: the key, and the line to paste.
fn printed(
    args: &NewArgs,
    today: Date,
    expires: Option<Date>,
    lang: Lang,
    data: &mut impl Write,
    talk: &mut impl Write,
) -> Result<Exit, Failure> {
    let new = make(&args.consumer, args.id.as_deref().unwrap_or("k1"), today, expires)?;
    new.write(args.format, Some(&new.toml()), data)?;
    // The key is out: advice that cannot be written changes nothing about it.
    let _ = writeln!(talk, "{}\n{}", new.handling().in_lang(lang), pasting(&new).in_lang(lang));
    Ok(Exit::Ok)
}

fn pasting(new: &NewKey) -> Text {
    let consumer = &new.consumer;
    text! {
        en: "\
    Paste the line `keys = …` into the [[consumer]] table whose name is \"{consumer}\", or add its {{ … }} to the keys \
already there.
Then: sensgate check, sensgate reload.",
        fr: "\
    Collez la ligne « keys = … » dans la table [[consumer]] dont le nom est « {consumer} », ou ajoutez son {{ … }} aux \
clés déjà présentes.
Puis : sensgate check, sensgate reload.",
    }
}

/// With one: the key, and the entry in its place.
fn admitted(
    args: &NewArgs,
    file: &FileArgs,
    today: Date,
    expires: Option<Date>,
    lang: Lang,
    data: &mut impl Write,
) -> Result<Exit, Failure> {
    let mut edit = Edit::open(file, &args.consumer)?;
    let taken = if args.create { Vec::new() } else { edit.key_ids(&args.consumer)? };
    let id = args.id.clone().unwrap_or_else(|| next_id(&taken, taken.last().map(String::as_str)));
    let new = make(&args.consumer, &id, today, expires)?;
    if args.create {
        edit.apply(&args.consumer, &id, |draft| draft.add_consumer(&args.consumer, &new.entry()))?;
    } else {
        edit.apply(&args.consumer, &id, |draft| draft.add_key(&args.consumer, &new.entry()))?;
    }
    let prepared = edit.prepare(&args.consumer)?;
    // Out before the entry is in place: an entry whose key nobody has would be of no use.
    new.write(args.format, None, data)?;
    prepared.commit()?;
    crate::cli::talk(&new.handling(), lang);
    Ok(super::edit::tell_gate(file, lang))
}

#[cfg(test)]
mod tests {
    use super::super::{KeysArgs, KeysCommand};
    use super::*;
    use crate::domain::rules::api_key::checksum_holds;
    use crate::domain::rules::consumer;
    use clap::Parser;
    use jiff::civil::date;

    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        keys: KeysArgs,
    }

    fn parse(arguments: &str) -> Result<NewArgs, clap::Error> {
        let line = CommandLine::try_parse_from(format!("keys new {arguments}").split(' '))?;
        let KeysCommand::New(args) = line.keys.command else { panic!("{arguments}") };
        Ok(NewArgs { config: None, ..args })
    }

    /// What goes to stdout and stderr on 30 June 2026.
    fn run_new(arguments: &str) -> Result<(String, String), Failure> {
        let (mut data, mut talk) = (Vec::new(), Vec::new());
        run(&parse(arguments).unwrap(), date(2026, 6, 30), Lang::En, &mut data, &mut talk)?;
        Ok((String::from_utf8(data).unwrap(), String::from_utf8(talk).unwrap()))
    }

    #[test]
    fn the_key_comes_with_the_line_that_admits_it() {
        let (data, talk) = run_new("--consumer boutique-paris").unwrap();
        let [key, line] = data.lines().collect::<Vec<_>>()[..] else { panic!("{data}") };
        assert_eq!(checksum_holds(key.as_bytes()), Some(true));
        assert!(key.starts_with("sgk_k1_") && key.len() <= 256);

        let table: toml::Table = line.parse().unwrap();
        let entry = table["keys"][0].as_table().unwrap();
        assert_eq!(entry["id"].as_str(), Some("k1"));
        assert_eq!(
            entry["sha256"].as_str(),
            Some(data_encoding::HEXLOWER.encode(&consumer::digest(key.as_bytes())).as_str())
        );
        assert_eq!(entry["expires"].to_string(), "2027-06-30");
        assert!(talk.contains("boutique-paris") && talk.contains("2027-06-30"), "{talk}");
        assert!(!talk.contains("sgk_"), "the key is data: {talk}");
    }

    #[test]
    fn as_json() {
        let (data, _) = run_new("--consumer a --id k2 --no-expiry --format json").unwrap();
        let object: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert!(object["key"].as_str().unwrap().starts_with("sgk_k2_"));
        assert_eq!((&object["consumer"], &object["id"]), (&"a".into(), &"k2".into()));
        assert!(object["expires"].is_null());
        let line = object["toml"].as_str().unwrap();
        assert!(line.contains(object["sha256"].as_str().unwrap()) && !line.contains("expires"), "{line}");
    }

    #[test]
    fn expiry_is_a_day_to_come() {
        assert!(run_new("--consumer a --expires 2026-06-30").unwrap().0.contains("expires = 2026-06-30"));
        let Err(Failure::Said(exit, message)) = run_new("--consumer a --expires 2026-06-29") else { panic!() };
        assert_eq!((exit, message.in_lang(Lang::Fr)), (Exit::Usage, "--expires 2026-06-29 est déjà passé"));
        for refused in ["--consumer a --expires 2026-13-01", "--consumer a --expires 2026-12-01 --no-expiry", "--id k1"]
        {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn an_id_that_cannot_stand_in_a_key_is_a_usage_error() {
        assert!(matches!(run_new("--consumer a --id é"), Err(Failure::Said(Exit::Usage, _))));
    }

    #[test]
    fn two_keys_differ() {
        assert_ne!(run_new("--consumer a").unwrap().0, run_new("--consumer a").unwrap().0);
    }

    #[test]
    fn a_closed_stdout_gives_no_key() {
        let args = parse("--consumer a").unwrap();
        let mut full: [u8; 10] = [0; 10];
        let mut talk = Vec::new();
        let result = run(&args, date(2026, 6, 30), Lang::En, &mut full.as_mut_slice(), &mut talk);
        assert!(matches!(result, Err(Failure::Said(Exit::Failure, _))));
        assert!(talk.is_empty());
    }
}
