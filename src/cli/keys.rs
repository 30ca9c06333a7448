//! `sensgate keys`: makes API keys. The key goes to stdout once, and nowhere else.

use super::{Exit, Format};
use crate::text;
use crate::text::{Lang, Text};
use crate::{api_key, clock, consumer};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use secrecy::{ExposeSecret, SecretString};
use std::fmt::Write as _;
use std::io::{self, Write};
use zeroize::Zeroizing;

/// Make and manage the API keys of consumers.
#[derive(clap::Args, Clone, Debug)]
pub struct KeysArgs {
    #[command(subcommand)]
    pub command: KeysCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
pub enum KeysCommand {
    New(NewArgs),
}

/// Make an API key and the configuration line that admits it.
///
/// The key is shown once. The configuration holds only its SHA-256 digest.
#[derive(clap::Args, Clone, Debug)]
pub struct NewArgs {
    /// The consumer the key is for: its name in the configuration
    #[arg(long, value_name = "NAME")]
    pub consumer: String,
    /// The name of the key among those of its consumer
    #[arg(long, value_name = "ID", default_value = "k1")]
    pub id: String,
    /// The last day the key is valid, UTC [default: one year from today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub expires: Option<Date>,
    /// Make a key that never expires
    #[arg(long, conflicts_with = "expires")]
    pub no_expiry: bool,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs a `keys` command.
#[must_use]
pub fn run(args: &KeysArgs, lang: Lang) -> Exit {
    let KeysCommand::New(args) = &args.command;
    match new(args, today(), lang, &mut io::stdout().lock(), &mut io::stderr().lock()) {
        Ok(()) => Exit::Ok,
        Err((exit, message)) => {
            eprintln!("sensgate keys new: {}", message.in_lang(lang));
            exit
        }
    }
}

type Failure = (Exit, Text);

/// A key and what the configuration says about it.
struct NewKey<'a> {
    consumer: &'a str,
    id: &'a str,
    key: SecretString,
    sha256: String,
    expires: Option<Date>,
}

fn new(args: &NewArgs, today: Date, lang: Lang, data: &mut impl Write, talk: &mut impl Write) -> Result<(), Failure> {
    let expires = expiry(args, today)?;
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(|error| {
        let message =
            text! { en: "the system gives no random bytes: {error}", fr: "le système ne fournit pas d'aléa : {error}" };
        (Exit::Failure, message)
    })?;
    let key = api_key::make(&args.id, &random).map_err(|_| {
        let max = api_key::MAX_ID;
        let message = text! {
            en: "--id takes 1 to {max} characters among A-Z a-z 0-9 . _ -",
            fr: "--id prend de 1 à {max} caractères parmi A-Z a-z 0-9 . _ -",
        };
        (Exit::Usage, message)
    })?;
    let sha256 = hex(&consumer::digest(key.expose_secret().as_bytes()));
    let new = NewKey { consumer: &args.consumer, id: &args.id, key, sha256, expires };
    new.write(args.format, data).map_err(|error| {
        let message = text! {
            en: "the key could not be written, so there is none: {error}",
            fr: "la clé n'a pas pu être écrite, il n'y en a donc pas : {error}",
        };
        (Exit::Failure, message)
    })?;
    // The key is out: advice that cannot be written changes nothing about it.
    let _ = writeln!(talk, "{}", new.advice().in_lang(lang));
    Ok(())
}

fn expiry(args: &NewArgs, today: Date) -> Result<Option<Date>, Failure> {
    if args.no_expiry {
        return Ok(None);
    }
    let Some(expires) = args.expires else {
        // Saturates in the year 9999.
        return Ok(Some(today.saturating_add(1.year())));
    };
    if expires < today {
        let message = text! { en: "--expires {expires} has passed", fr: "--expires {expires} est déjà passé" };
        return Err((Exit::Usage, message));
    }
    Ok(Some(expires))
}

impl NewKey<'_> {
    fn write(&self, format: Format, data: &mut impl Write) -> io::Result<()> {
        let key = self.key.expose_secret();
        match format {
            Format::Text => writeln!(data, "{key}\n{}", self.toml())?,
            Format::Json => {
                let object = serde_json::json!({
                    "consumer": self.consumer,
                    "id": self.id,
                    "key": key,
                    "sha256": self.sha256,
                    "expires": self.expires.map(|day| day.to_string()),
                    "toml": self.toml(),
                });
                writeln!(data, "{object:#}")?;
            }
        }
        data.flush()
    }

    /// The line for the consumer's table. Id, digest and date hold no character that TOML wants escaped.
    fn toml(&self) -> String {
        let (id, sha256) = (self.id, &self.sha256);
        let expires = self.expires.map_or_else(String::new, |day| format!(", expires = {day}"));
        format!("keys = [ {{ id = \"{id}\", sha256 = \"{sha256}\"{expires} }} ]")
    }

    fn advice(&self) -> Text {
        let (consumer, id) = (self.consumer, self.id);
        let validity = match self.expires {
            Some(day) => text! { en: "valid through {day}, UTC", fr: "valable jusqu'au {day} inclus, UTC" },
            None => text! { en: "never expires", fr: "sans date d'expiration" },
        };
        let Text { en, fr } = validity;
        text! {
            en: "\
Key {id} of {consumer}: {en}.
The key is shown this once and kept nowhere. Hand it over by a safe way; the caller sends it as the header api_key.
Paste the line `keys = …` into the [[consumer]] table whose name is \"{consumer}\", or add its {{ … }} to the keys already there.
Then: sensgate check, sensgate reload.",
            fr: "\
Clé {id} de {consumer} : {fr}.
La clé n'est affichée que cette fois et n'est conservée nulle part. Transmettez-la par un moyen sûr ; l'appelant l'envoie dans l'en-tête api_key.
Collez la ligne « keys = … » dans la table [[consumer]] dont le nom est « {consumer} », ou ajoutez son {{ … }} aux clés déjà présentes.
Puis : sensgate check, sensgate reload.",
        }
    }
}

fn today() -> Date {
    let wall = clock::now().wall.0;
    // A clock set outside of the years jiff knows reads 1970: keys then look expired, which is noticed.
    let now = Timestamp::from_millisecond(wall).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(now).date()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::checksum_holds;
    use clap::Parser;
    use jiff::civil::date;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        keys: KeysArgs,
    }

    fn parse(arguments: &str) -> Result<NewArgs, clap::Error> {
        let line = Line::try_parse_from(format!("keys new {arguments}").split(' '))?;
        let KeysCommand::New(args) = line.keys.command;
        Ok(args)
    }

    /// What goes to stdout and stderr on 30 June 2026.
    fn run_new(arguments: &str) -> Result<(String, String), Failure> {
        let (mut data, mut talk) = (Vec::new(), Vec::new());
        new(&parse(arguments).unwrap(), date(2026, 6, 30), Lang::En, &mut data, &mut talk)?;
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
        assert_eq!(entry["sha256"].as_str(), Some(hex(&consumer::digest(key.as_bytes())).as_str()));
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
        let (exit, message) = run_new("--consumer a --expires 2026-06-29").unwrap_err();
        assert_eq!((exit, message.in_lang(Lang::Fr)), (Exit::Usage, "--expires 2026-06-29 est déjà passé"));
        for refused in ["--consumer a --expires 2026-13-01", "--consumer a --expires 2026-12-01 --no-expiry", "--id k1"]
        {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn an_id_that_cannot_stand_in_a_key_is_a_usage_error() {
        assert_eq!(run_new("--consumer a --id é").unwrap_err().0, Exit::Usage);
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
        let result = new(&args, date(2026, 6, 30), Lang::En, &mut full.as_mut_slice(), &mut talk);
        assert_eq!(result.unwrap_err().0, Exit::Failure);
        assert!(talk.is_empty());
    }

    #[test]
    fn digests_are_lower_case_hex() {
        assert_eq!(hex(&[0x00, 0xab, 0x7f]), "00ab7f");
    }
}
