//! `init`: writes a configuration from answers to questions or from flags; changes one that is there.

mod answers;
mod file;
mod probe;
mod questions;
mod write;

use super::{Exit, Format};
use crate::cli::help::{self, both};
use crate::config::entry;
use crate::platform::clock;
use crate::text;
use crate::text::{Lang, Text};
use answers::{Answers, FIRST_KEY, NewConsumer, PLACES, Token};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use questions::{Interview, MenuItem, Unanswered};
use secrecy::{ExposeSecret, SecretString};
use similar::TextDiff;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Write a configuration, or change one, by questions or by flags",
    "Écrire une configuration, ou la modifier, par questions ou par options"
))]
pub(super) struct InitArgs {
    #[arg(long, env = "SENSGATE_CONFIG", value_name = "FILE", default_value = "sensgate.toml", help = both(
        "The configuration to write or change",
        "La configuration à écrire ou à modifier"
    ))]
    pub config: PathBuf,
    #[arg(short, long, help = both(
        "Ask nothing: take flags and defaults, as without a terminal",
        "Ne rien demander : prendre les options et les valeurs par défaut, comme sans terminal"
    ))]
    pub yes: bool,
    #[arg(long, value_name = "HOST:PORT", help = both("Where 8sens listens", "Où écoute 8sens"))]
    pub upstream: Option<String>,
    #[arg(long, value_name = "FILE", help = both(
        "The file that holds the API Key of 8sens now; - for stdin. The gate gets a copy, mode 0600",
        "Le fichier où se trouve l'API Key de 8sens ; - pour l'entrée standard. La passerelle en reçoit une \
         copie, mode 0600"
    ))]
    pub upstream_key_file: Option<PathBuf>,
    #[arg(long, value_name = "DURATION", help = both(
        "\"Durée d'inactivité\" of the REST screen, such as 900s",
        "« Durée d'inactivité » de l'écran REST, par exemple 900s"
    ))]
    pub idle_timeout: Option<String>,
    #[arg(long, value_enum, value_name = "PLACE", help = both(
        "Where the token travels, by the API documentation of 8sens; unknown: observe first",
        "Où voyage le jeton, d'après la documentation de l'API 8sens ; unknown : observer d'abord"
    ))]
    pub token_place: Option<TokenPlaceArg>,
    #[arg(long, value_name = "IP:PORT", help = both("Where consumers connect", "Où se connectent les consommateurs"))]
    pub listen: Option<String>,
    #[arg(long, value_name = "FILE", requires = "tls_key", group = "transport", help = both(
        "TLS with this chain (PEM)",
        "TLS avec cette chaîne (PEM)"
    ))]
    pub tls_certificate: Option<String>,
    #[arg(long, value_name = "FILE", requires = "tls_certificate", help = both(
        "Its private key (PEM, mode 0600)",
        "Sa clé privée (PEM, mode 0600)"
    ))]
    pub tls_key: Option<String>,
    #[arg(long, value_name = "NAME", requires = "acme_contact", group = "transport", help = both(
        "TLS with certificates that the gate fetches for this name; may be repeated",
        "TLS avec des certificats que la passerelle obtient pour ce nom ; répétable"
    ))]
    pub acme_domain: Vec<String>,
    #[arg(long, value_name = "MAIL", requires = "acme_domain", help = both(
        "Mail address for the certificate authority",
        "Adresse électronique pour l'autorité de certification"
    ))]
    pub acme_contact: Option<String>,
    #[arg(long, value_name = "URL", requires = "acme_domain", help = both(
        "Another certificate authority",
        "Une autre autorité de certification"
    ))]
    pub acme_directory: Option<String>,
    #[arg(long, group = "transport", help = both(
        "In clear, for private addresses only",
        "En clair, pour des adresses privées seulement"
    ))]
    pub lan: bool,
    #[arg(long, value_name = "NETWORK", group = "transport", help = both(
        "In clear, from a proxy at this address that does TLS; may be repeated",
        "En clair, depuis un proxy à cette adresse qui fait le TLS ; répétable"
    ))]
    pub behind_proxy: Vec<String>,
    #[arg(long, value_name = "NAME", help = both(
        "Who may call; gets a first key, shown once; may be repeated",
        "Qui peut appeler ; reçoit une première clé, montrée une seule fois ; répétable"
    ))]
    pub consumer: Vec<String>,
    #[arg(long, value_enum, default_value_t, help = help::format())]
    pub format: Format,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub(super) enum TokenPlaceArg {
    #[value(name = "header:access_token")]
    AccessTokenHeader,
    #[value(name = "bearer")]
    Bearer,
    #[value(name = "header:token")]
    TokenHeader,
    #[value(name = "query:access_token")]
    AccessTokenQuery,
    #[value(name = "unknown")]
    Unknown,
}

impl From<TokenPlaceArg> for Token {
    fn from(arg: TokenPlaceArg) -> Self {
        match arg {
            TokenPlaceArg::AccessTokenHeader => Self::At(PLACES[0]),
            TokenPlaceArg::Bearer => Self::At(PLACES[1]),
            TokenPlaceArg::TokenHeader => Self::At(PLACES[2]),
            TokenPlaceArg::AccessTokenQuery => Self::At(PLACES[3]),
            TokenPlaceArg::Unknown => Self::Unknown,
        }
    }
}

/// How a run ends that does not write.
enum Ended {
    With(Exit, Text),
    Left,
    Refused(write::Refused),
}

impl From<Unanswered> for Ended {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Left => Self::Left,
            Unanswered::Failed(why) => Self::With(Exit::Failure, why),
        }
    }
}

impl From<write::Refused> for Ended {
    fn from(refused: write::Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Asks where a terminal is there to ask on, and takes flags and defaults otherwise.
#[must_use]
pub(super) fn run(args: &InitArgs, lang: Lang) -> Exit {
    let interview = (!args.yes && io::stdin().is_terminal() && io::stderr().is_terminal())
        .then(|| Interview::new(lang, today(), super::stderr_has_colour()));
    let ended = match std::fs::read_to_string(&args.config) {
        Ok(source) => change(args, &source, interview.as_ref(), lang),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(args, interview.as_ref(), lang),
        Err(error) => Err(Ended::With(Exit::Failure, write::unreadable(&args.config, &error))),
    };
    match ended {
        Ok(()) => Exit::Ok,
        Err(Ended::With(exit, why)) => {
            super::talk(&why, lang);
            exit
        }
        Err(Ended::Left) => {
            super::talk(&text! { en: "Left: nothing was written.", fr: "Abandon : rien n'a été écrit." }, lang);
            Exit::Failure
        }
        Err(Ended::Refused(refused)) => {
            let (exit, why) = refused.end(lang);
            // A closed stderr must not hide the exit code.
            let _ = io::stderr().write_all(why.as_bytes());
            exit
        }
    }
}

fn create(args: &InitArgs, interview: Option<&Interview>, lang: Lang) -> Result<(), Ended> {
    let mut answers = given(args, lang)?;
    let key_file = args.config.with_file_name(file::KEY_FILE);
    let has_key = key_file.exists();
    if has_key && answers.upstream_key.is_some() {
        let path = key_file.display();
        return Err(usage(text! {
            en: "error: {path} already exists: remove it, or leave --upstream-key-file out to use it",
            fr: "erreur : {path} existe déjà : supprimez-le, ou omettez --upstream-key-file pour l'utiliser"
        }));
    }
    match interview {
        Some(interview) => {
            let config = args.config.display();
            super::talk(
                &text! {
                    en: "{config} does not exist yet. A few questions follow; nothing is written before the last one. \
                         Press Ctrl-C to cancel.",
                    fr: "{config} n'existe pas encore. Voici quelques questions ; rien n'est écrit avant la dernière. \
                         Ctrl-C pour abandonner."
                },
                lang,
            );
            answers = interview.new_file(answers, has_key)?;
        }
        None => complete(&mut answers, has_key, lang)?,
    }
    let state = default_state(&args.config);
    let text = file::new_file(&answers, state, lang);
    if let Some(interview) = interview {
        let (config, key, schema) = (args.config.display(), key_file.display(), file::SCHEMA);
        let question = if answers.upstream_key.is_some() {
            text! { en: "Write {config}, {key} and {schema}?", fr: "Écrire {config}, {key} et {schema} ?" }
        } else {
            text! { en: "Write {config} and {schema}?", fr: "Écrire {config} et {schema} ?" }
        };
        if !interview.confirm(question, true)? {
            return Err(Ended::Left);
        }
    }
    write::new_files(&args.config, &text, answers.upstream_key.as_ref(), lang)?;
    written(args, &answers, false, lang)
}

fn change(args: &InitArgs, source: &str, interview: Option<&Interview>, lang: Lang) -> Result<(), Ended> {
    let mut answers = given(args, lang)?;
    let addresses = file::listeners(source);
    let mut listener = 0;
    if let Some(interview) = interview.filter(|_| answers.are_empty()) {
        let config = args.config.display();
        super::talk(
            &text! {
                en: "{config} is there: its comments and order stay, and the difference is shown before it is written.",
                fr: "{config} existe : ses commentaires et son ordre restent, et la différence est montrée avant \
                     d'être écrite."
            },
            lang,
        );
        loop {
            match interview.step()? {
                MenuItem::Consumer => answers.consumers.push(interview.consumer(&answers.consumers)?),
                MenuItem::Upstream => answers.upstream = Some(interview.upstream(file::DEFAULT_UPSTREAM)?),
                MenuItem::UpstreamKey => answers.upstream_key = Some(interview.upstream_key()?),
                MenuItem::Token => answers.token = Some(interview.token()?),
                MenuItem::Listener => {
                    listener = interview.which_listener(&addresses)?;
                    answers.listener = Some(interview.listener()?);
                }
                MenuItem::Done => break,
            }
        }
    } else if answers.listener.is_some() && addresses.len() > 1 {
        return Err(usage(text! {
            en: "error: the file has several listeners: change the one you mean by hand, or without flags",
            fr: "erreur : le fichier a plusieurs points d'écoute : modifiez celui que vous voulez à la main, ou sans \
                 options"
        }));
    }
    if answers.are_empty() {
        super::talk(&text! { en: "Nothing to change.", fr: "Rien à changer." }, lang);
        return Ok(());
    }
    let key_file = match (&answers.upstream_key, file::key_file(source)) {
        (None, _) => None,
        (Some(_), Some(name)) => Some(args.config.parent().unwrap_or(Path::new("")).join(name)),
        (Some(_), None) => {
            return Err(usage(text! {
                en: "error: the upstream key is not in a file: change it where it is",
                fr: "erreur : la clé de 8sens n'est pas dans un fichier : changez-la là où elle est"
            }));
        }
    };
    let text = file::edited(source, &answers, listener)
        .map_err(|Text { en, fr }| usage(text! { en: "error: {en}", fr: "erreur : {fr}" }))?;
    if !shown_and_agreed(args, source, &text, key_file.as_deref(), interview, lang)? {
        return Err(Ended::Left);
    }
    write::replace(&args.config, source, &text, key_file.as_deref().zip(answers.upstream_key.as_ref()), lang)?;
    written(args, &answers, true, lang)
}

/// What the flags say, with the key from its file or from stdin.
fn given(args: &InitArgs, lang: Lang) -> Result<Answers, Ended> {
    let mut answers = Answers::of_flags(args, today())
        .map_err(|Text { en, fr }| usage(text! { en: "error: {en}", fr: "erreur : {fr}" }))?;
    if let Some(path) = &args.upstream_key_file {
        answers.upstream_key = Some(read_key(path)?);
    }
    if let Some(address) = answers.upstream.as_deref() {
        super::talk(&probe::probe(address).sentence(address), lang);
    }
    Ok(answers)
}

fn read_key(path: &Path) -> Result<SecretString, Ended> {
    let most = crate::config::MAX_SECRET as u64 + 3;
    let mut key = Zeroizing::new(String::with_capacity(crate::config::MAX_SECRET + 3));
    let read = if path == Path::new("-") {
        io::stdin().take(most).read_to_string(&mut key)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_string(&mut key))
    };
    read.map_err(|error| Ended::With(Exit::Failure, write::unreadable(path, &error)))?;
    let line = key.strip_suffix('\n').unwrap_or(&key);
    let line = line.strip_suffix('\r').unwrap_or(line);
    entry::secret(line).map_err(|Text { en, fr }| {
        usage(text! {
            en: "error: the upstream key cannot be used: {en}",
            fr: "erreur : la clé de 8sens est inutilisable : {fr}"
        })
    })?;
    Ok(line.into())
}

/// Fills in what a new file needs and nobody is asked for.
fn complete(answers: &mut Answers, has_key: bool, lang: Lang) -> Result<(), Ended> {
    if answers.upstream_key.is_none() && !has_key {
        return Err(usage(text! {
            en: "error: the upstream key is missing: --upstream-key-file FILE, or - for stdin",
            fr: "erreur : il manque la clé de 8sens : --upstream-key-file FICHIER, ou - pour l'entrée standard"
        }));
    }
    if answers.upstream.is_none() {
        let address = file::DEFAULT_UPSTREAM;
        answers.upstream = Some(address.to_owned());
        super::talk(&probe::probe(address).sentence(address), lang);
    }
    if answers.listener.is_none() {
        let transport = answers::Transport::Loopback;
        let address = entry::socket_address(transport.default_address()).map_err(usage)?;
        answers.listener = Some(answers::Listener { address, transport });
    }
    Ok(())
}

fn usage(why: Text) -> Ended {
    Ended::With(Exit::Usage, why)
}

/// Shows what would change; asks when there is somebody to ask.
fn shown_and_agreed(
    args: &InitArgs,
    before: &str,
    after: &str,
    key_file: Option<&Path>,
    interview: Option<&Interview>,
    lang: Lang,
) -> Result<bool, Ended> {
    let name = args.config.display().to_string();
    let diff = TextDiff::from_lines(before, after).unified_diff().context_radius(2).header(&name, &name).to_string();
    // A closed stderr must not stop what was asked for by flags.
    let _ = io::stderr().write_all(diff.as_bytes());
    if let Some(path) = key_file {
        let path = path.display();
        super::talk(&text! { en: "{path}: another key (not shown)", fr: "{path} : une autre clé (non montrée)" }, lang);
    }
    match interview {
        Some(interview) => Ok(interview.confirm(text! { en: "Write this?", fr: "Écrire cela ?" }, true)?),
        None => Ok(true),
    }
}

/// Keys to stdout, once; what comes next to stderr.
fn written(args: &InitArgs, answers: &Answers, existed: bool, lang: Lang) -> Result<(), Ended> {
    let config = args.config.display();
    let done = if existed {
        text! { en: "{config} is changed.", fr: "{config} est modifié." }
    } else {
        text! { en: "{config} is written.", fr: "{config} est écrit." }
    };
    super::talk(&done, lang);
    if !answers.consumers.is_empty() {
        super::talk(
            &text! {
                en: "\nThe keys, shown only this once and stored nowhere. Send each to its consumer over a secure \
                     channel; the consumer sends it in the header api_key:",
                fr: "\nLes clés, affichées cette seule fois et conservées nulle part. Transmettez chacune à son \
                     consommateur par un moyen sûr ; il l'envoie dans l'en-tête api_key :"
            },
            lang,
        );
        show_keys(args.format, &answers.consumers).map_err(|error| {
            Ended::With(
                Exit::Failure,
                text! {
                    en: "error: the keys could not be shown: {error}. Make others with `sensgate keys new`",
                    fr: "erreur : les clés n'ont pas pu être montrées : {error}. Créez-en d'autres avec `sensgate keys \
                         new`"
                },
            )
        })?;
    }
    super::talk(&next(&config.to_string(), existed), lang);
    Ok(())
}

fn show_keys(format: Format, consumers: &[NewConsumer]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Text => {
            for NewConsumer { name, key, expires, .. } in consumers {
                writeln!(out, "{name} {FIRST_KEY} {expires} {}", key.expose_secret())?;
            }
        }
        Format::Json => {
            let keys: Vec<_> = consumers
                .iter()
                .map(|NewConsumer { name, key, sha256, created, expires }| {
                    serde_json::json!({
                        "consumer": name, "id": FIRST_KEY, "key": key.expose_secret(), "sha256": sha256,
                        "created": created.to_string(), "expires": expires.to_string(),
                    })
                })
                .collect();
            writeln!(out, "{:#}", serde_json::Value::Array(keys))?;
        }
    }
    out.flush()
}

/// The next three commands.
fn next(config: &str, existed: bool) -> Text {
    let third = if existed { "reload" } else { "run" };
    text! {
        en: "\nNext:\n  sensgate check --config {config}\n  sensgate doctor --config {config}\n  sensgate {third} \
             --config {config}",
        fr: "\nEnsuite :\n  sensgate check --config {config}\n  sensgate doctor --config {config}\n  sensgate {third} \
             --config {config}"
    }
}

/// Under /etc the folder beside the file is no place for state, and commands must find the gate that systemd runs.
fn default_state(config: &Path) -> Option<&'static str> {
    config.starts_with("/etc").then_some("/var/lib/sensgate")
}

fn today() -> Date {
    let wall = clock::now().wall.0;
    // A clock set outside of the years jiff knows reads 1970.
    TimeZone::UTC.to_datetime(Timestamp::from_millisecond(wall).unwrap_or(Timestamp::UNIX_EPOCH)).date()
}

#[cfg(test)]
mod tests;
