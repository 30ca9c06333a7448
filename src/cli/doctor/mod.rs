//! `doctor`: looks at everything that can be wrong with a gate and around it, and says what fixes it.
//!
//! Each file is a group of checks: functions that look and return [`Finding`]s. How findings are shown is `render`'s.

mod configuration;
mod expiry;
mod finding;
mod front;
mod gate;
mod host;
mod http;
mod idle;
mod idle_clock;
mod listeners;
mod login;
mod password;
mod reach;
mod render;
mod sessions;
mod trial;
mod upstream;

use super::control_client::{Silence, ask_at};
use super::{Exit, Format};
use crate::admin::control::{Status, socket_in};
use crate::cli::help::{self, both};
use crate::config::Settings;
use crate::domain::types::Wall;
use crate::platform::clock;
use crate::text;
use crate::text::Lang;
use finding::{Check, Finding, Severity};
use hyper::Method;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Look at a gate and everything around it, and say what fixes it",
    "Examiner une passerelle et tout ce qui l'entoure, et dire comment y remédier"
))]
#[command(long_about = both(
    "Nothing is changed. A login is tried only with --login, because it may take a seat of the licence.\n\n\
     Exit code: 0 when nothing is worse than worth knowing, 1 for warnings, 78 when the configuration or a secret \
     file is at fault, 69 for any other error. docs/doctor.md lists everything that is looked at.",
    "Rien n'est modifié. Une connexion n'est essayée qu'avec --login, car elle peut prendre un siège de la \
     licence.\n\n\
     Code de sortie : 0 s'il n'y a rien de grave, 1 pour des avertissements, 78 si la configuration ou un fichier \
     secret est en cause, 69 pour toute autre erreur. docs/doctor.md énumère tout ce qui est examiné."
))]
pub(super) struct DoctorArgs {
    #[arg(long, env = "SENSGATE_CONFIG", value_name = "FILE", help = help::config())]
    pub config: PathBuf,
    #[arg(long, value_name = "USER", help = both(
        "Log in at 8sens as this user; the password is asked for, or read from the standard input",
        "Se connecter à 8sens sous cet utilisateur ; le mot de passe est demandé, ou lu sur l'entrée standard"
    ))]
    pub login: Option<String>,
    #[arg(long, value_name = "FILE", requires = "login", help = both(
        "Read the password from the first line of this file",
        "Lire le mot de passe sur la première ligne de ce fichier"
    ))]
    pub password_file: Option<PathBuf>,
    #[arg(long, value_name = "'GET /PATH'", requires = "login", help = both(
        "Measure how long 8sens keeps an idle token, with a route that a token opens; takes two logins and a \
         little more than idle_timeout",
        "Mesurer combien de temps 8sens garde un jeton inutilisé, avec une route qu'un jeton ouvre ; demande deux \
         connexions et un peu plus que idle_timeout"
    ))]
    pub measure_idle: Option<String>,
    #[arg(long, value_name = "'GET /PATH'", requires = "login", help = both(
        "Measure how 8sens treats several sessions of one login, ended tokens, wrong passwords and idle sessions, and \
         propose the settings; takes up to five logins, one more that fails, and up to two and a half times \
         idle_timeout",
        "Mesurer comment 8sens traite plusieurs sessions d'une connexion, les jetons terminés, les mots de passe faux \
         et les sessions inactives, et proposer les réglages ; demande jusqu'à cinq connexions, une de plus qui \
         échoue, et jusqu'à deux fois et demie idle_timeout"
    ))]
    pub measure_sessions: Option<String>,
    #[arg(long, value_name = "URL", help = both(
        "Send a request through the public URL, to see whether a proxy in front lets api_key through",
        "Envoyer une requête par l'URL publique, pour voir si un proxy placé devant laisse passer api_key"
    ))]
    pub through: Option<String>,
    #[arg(long, value_name = "DAYS", default_value_t = 14, help = both(
        "Warn of keys and certificates that end within so many days",
        "Signaler les clés et certificats qui se terminent dans moins de tant de jours"
    ))]
    pub warn_days: u32,
    #[arg(long, value_enum, default_value_t, help = help::format())]
    pub format: Format,
}

/// What every check may need.
struct Patient<'a> {
    config: &'a Path,
    settings: &'a Settings,
    /// What a running gate says of itself.
    gate: Option<Status>,
    /// A gate may well run, but this user has no right to ask it.
    not_allowed_to_ask: bool,
    now: Wall,
    warn_days: u32,
}

impl Patient<'_> {
    fn socket(&self) -> PathBuf {
        socket_in(&self.settings.state_directory)
    }
}

/// Looks, tells, and ends with the worst.
#[must_use]
pub(super) fn run(args: &DoctorArgs, lang: Lang) -> Exit {
    let (settings, mut findings) = configuration::read(&args.config);
    if let Some(settings) = &settings {
        let asked = ask_at(&socket_in(&settings.state_directory), Method::GET, "/status");
        let not_allowed_to_ask =
            matches!(&asked, Err(Silence::Unreachable { error, .. }) if error.kind() == ErrorKind::PermissionDenied);
        let (gate, now) = (asked.ok().and_then(Result::ok), clock::now().wall);
        let patient =
            Patient { config: &args.config, settings, gate, not_allowed_to_ask, now, warn_days: args.warn_days };
        findings.extend(examine(&patient));
        match ask_8sens(args, &patient, lang) {
            Ok(more) => {
                // A login that works proves the key, whatever the comparison of two keys could tell.
                if more.iter().any(|finding| finding.check == Check::Login && finding.severity == Severity::Ok) {
                    findings.retain(|finding| finding.check != Check::UpstreamKey);
                }
                findings.extend(more);
            }
            Err(exit) => return exit,
        }
        if let Some(url) = &args.through {
            findings.extend(front::check(&patient, url));
        }
    }
    match args.format {
        Format::Text => super::data(&render::text(&findings, lang, super::stdout_has_colour())),
        Format::Json => super::data(&render::json(&findings, lang)),
    }
    exit_of(&findings)
}

/// Everything that can be looked at without a login and without the internet.
fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings = configuration::mode(patient);
    findings.extend(expiry::keys(patient));
    findings.extend(expiry::certificates(patient));
    findings.extend(host::clock(patient));
    findings.extend(host::state_directory(patient));
    findings.extend(gate::check(patient));
    findings.extend(listeners::check(patient));
    findings.extend(upstream::check(patient));
    findings
}

/// What needs a login, when one was asked for: it may take a seat of the licence.
fn ask_8sens(args: &DoctorArgs, patient: &Patient<'_>, lang: Lang) -> Result<Vec<Finding>, Exit> {
    let Some(user) = &args.login else { return Ok(Vec::new()) };
    let password = password::read(args.password_file.as_deref(), user, lang)?;
    let mut findings = login::check(patient, user, &password);
    if let Some(route) = &args.measure_idle {
        findings.extend(idle::check(patient, user, &password, route, lang)?);
    }
    if let Some(route) = &args.measure_sessions {
        let path = trial::path_of(route, lang)?;
        let measured = sessions::check(patient, user, &password, path);
        findings.extend(measured.findings);
        if let Some(sessions) = &measured.sessions {
            findings.extend(idle_clock::check(patient, user, &password, path, sessions, lang));
        }
    }
    Ok(findings)
}

/// 0 when nothing is worse than worth knowing, 1 for warnings, 78 when the configuration itself is at fault, 69 for any
/// other error.
fn exit_of(findings: &[Finding]) -> Exit {
    let in_configuration =
        |finding: &Finding| finding.severity == Severity::Error && finding.check == Check::Configuration;
    match findings.iter().map(|finding| finding.severity).max() {
        _ if findings.iter().any(in_configuration) => Exit::Config,
        Some(Severity::Error) => Exit::Unavailable,
        Some(Severity::Warning) => Exit::Failure,
        _ => Exit::Ok,
    }
}

/// Whole days in so many seconds, in words.
fn days(seconds: i64) -> crate::text::Text {
    match seconds.div_euclid(86_400) {
        0 => text! { en: "today", fr: "aujourd'hui" },
        1 => text! { en: "in 1 day", fr: "dans 1 jour" },
        days => text! { en: "in {days} days", fr: "dans {days} jours" },
    }
}
