//! `sessions`: what the gate knows of tokens, and how to end them.

use super::control_client::{ControlAnswer, GateArgs, ask};
use super::{Exit, Format};
use crate::admin::control::{Ended, ManagedSession, ManagedState, Retried, Session};
use crate::cli::help::{self, both};
use crate::text;
use crate::text::Lang;
use hyper::{Method, StatusCode};

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "List or end the sessions of a running gate",
    "Lister ou terminer les sessions d'une passerelle en service"
))]
pub(super) struct SessionsArgs {
    #[command(subcommand)]
    pub command: SessionsCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum SessionsCommand {
    List(ListArgs),
    End(EndArgs),
    Retry(RetryArgs),
    Clear(ClearArgs),
}

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "List live sessions, by the hash of their token",
    "Lister les sessions vivantes, par l'empreinte de leur jeton"
))]
pub(super) struct ListArgs {
    #[command(flatten)]
    pub gate: GateArgs,
    #[arg(long, value_name = "HASH", help = both("Go on after this hash", "Continuer après cette empreinte"))]
    pub after: Option<String>,
    #[arg(long, default_value_t = 1000, value_name = "N", help = both(
        "Most sessions to show, up to 1000",
        "Nombre maximal de sessions affichées, jusqu'à 1000"
    ))]
    pub limit: usize,
    #[arg(long, value_enum, default_value_t, help = help::format())]
    pub format: Format,
}

#[derive(clap::Args, Clone, Debug)]
#[group(id = "which", required = true, multiple = false, args = ["hash", "consumer"])]
#[command(about = both(
    "End one session, or all of a consumer",
    "Terminer une session, ou toutes celles d'un consommateur"
))]
pub(super) struct EndArgs {
    #[command(flatten)]
    pub gate: GateArgs,
    #[arg(value_name = "HASH", help = both(
        "The session: at least six digits of its hash",
        "La session : au moins six chiffres de son empreinte"
    ))]
    pub hash: Option<String>,
    #[arg(long, value_name = "NAME", help = both(
        "All sessions of this consumer",
        "Toutes les sessions de ce consommateur"
    ))]
    pub consumer: Option<String>,
}

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Let the gate try a login again that 8sens has refused",
    "Laisser la passerelle réessayer une connexion que 8sens a refusée"
))]
pub(super) struct RetryArgs {
    #[command(flatten)]
    pub gate: GateArgs,
    #[arg(value_name = "CONSUMER", help = both(
        "The consumer whose session the gate keeps",
        "Le consommateur dont la passerelle tient la session"
    ))]
    pub consumer: String,
}

#[derive(clap::Args, Clone, Debug)]
#[command(about = both("End every session", "Terminer toutes les sessions"))]
pub(super) struct ClearArgs {
    #[command(flatten)]
    pub gate: GateArgs,
}

/// Runs a `sessions` command.
#[must_use]
pub(super) fn run(args: &SessionsArgs, lang: Lang) -> Exit {
    match &args.command {
        SessionsCommand::List(args) => list(args, lang),
        SessionsCommand::End(args) => end(args, lang),
        SessionsCommand::Retry(args) => retry(args, lang),
        SessionsCommand::Clear(args) => ended(ask(&args.gate, Method::DELETE, "/sessions", lang), lang),
    }
}

fn list(args: &ListArgs, lang: Lang) -> Exit {
    match both_kinds(args, lang) {
        Ok((managed, sessions)) => {
            match args.format {
                Format::Json => super::data(&json(&managed, &sessions)),
                Format::Text => in_lines(&managed, &sessions, lang),
            }
            Exit::Ok
        }
        Err(exit) => exit,
    }
}

/// The sessions that the gate keeps, which precede the first page of the others, and such a page.
fn both_kinds(args: &ListArgs, lang: Lang) -> Result<(Vec<ManagedSession>, Vec<Session>), Exit> {
    let after = args.after.as_deref().map(|after| format!("&after={after}")).unwrap_or_default();
    let managed = match &args.after {
        Some(_) => Vec::new(),
        None => told(ask(&args.gate, Method::GET, "/sessions/managed", lang), lang)?,
    };
    let sessions = ask(&args.gate, Method::GET, &format!("/sessions?limit={}{after}", args.limit), lang);
    Ok((managed, told(sessions, lang)?))
}

fn told<T>(answer: ControlAnswer<T>, lang: Lang) -> Result<T, Exit> {
    match answer {
        ControlAnswer::Is(value) => Ok(value),
        ControlAnswer::Status(status) => Err(refused(status, lang)),
        ControlAnswer::Failed(exit) => Err(exit),
    }
}

/// One array of both, told apart by their `kind`.
fn json(managed: &[ManagedSession], sessions: &[Session]) -> String {
    let of_kind = |kind: &str, session: serde_json::Result<serde_json::Value>| {
        let mut session = session.unwrap_or_default();
        session["kind"] = kind.into();
        session
    };
    let managed = managed.iter().map(|session| of_kind("managed", serde_json::to_value(session)));
    let own = sessions.iter().map(|session| of_kind("own", serde_json::to_value(session)));
    serde_json::Value::from_iter(managed.chain(own)).to_string()
}

fn in_lines(managed: &[ManagedSession], sessions: &[Session], lang: Lang) {
    for session in managed {
        let ManagedSession { consumers, state, generation, age_seconds, idle_left_seconds, .. } = session;
        let (consumers, state) = (consumers.join("+"), <&str>::from(*state));
        let age = age_seconds.map_or_else(|| "-".to_owned(), |age| format!("{age}s"));
        let held = match (&session.held_back, session.retry_in_seconds) {
            (Some(why), Some(left)) => format!("  {why} {left}s"),
            _ => String::new(),
        };
        super::data(&format!("managed  {consumers}  {state}  #{generation}  {age}  {idle_left_seconds}s{held}"));
    }
    for session in sessions {
        for owner in &session.owners {
            let left = owner.idle_left_seconds;
            super::data(&format!("{}  {}/{}  {left}s", session.hash, owner.consumer, owner.key_id));
        }
    }
    let count = sessions.len() + managed.iter().filter(|session| session.state == ManagedState::Live).count();
    super::talk(&text! { en: "{count} live sessions shown", fr: "{count} sessions vivantes affichées" }, lang);
}

fn retry(args: &RetryArgs, lang: Lang) -> Exit {
    let path = format!("/consumers/{}/sessions/retry", args.consumer);
    match told::<Retried>(ask(&args.gate, Method::POST, &path, lang), lang) {
        Ok(Retried { consumer }) => {
            super::talk(
                &text! {
                    en: "the next request of {consumer} logs in again",
                    fr: "la prochaine requête de {consumer} se reconnectera"
                },
                lang,
            );
            Exit::Ok
        }
        Err(exit) => exit,
    }
}

fn end(args: &EndArgs, lang: Lang) -> Exit {
    let path = match (&args.hash, &args.consumer) {
        (Some(hash), _) => format!("/sessions/{hash}"),
        (None, Some(consumer)) => format!("/consumers/{consumer}/sessions"),
        (None, None) => return Exit::Usage,
    };
    ended(ask(&args.gate, Method::DELETE, &path, lang), lang)
}

fn ended(answer: ControlAnswer<Ended>, lang: Lang) -> Exit {
    match answer {
        ControlAnswer::Is(Ended { ended }) => {
            super::talk(&text! { en: "{ended} ended", fr: "{ended} terminée(s)" }, lang);
            Exit::Ok
        }
        ControlAnswer::Status(status) => refused(status, lang),
        ControlAnswer::Failed(exit) => exit,
    }
}

fn refused(status: StatusCode, lang: Lang) -> Exit {
    let text = match status {
        StatusCode::NOT_FOUND => text! {
            en: "error: there is no such session or consumer",
            fr: "erreur : il n'existe ni session ni consommateur de ce nom",
        },
        StatusCode::CONFLICT => text! {
            en: "error: more than one session begins like this; give more digits",
            fr: "erreur : plusieurs sessions commencent ainsi ; donnez plus de chiffres",
        },
        StatusCode::BAD_REQUEST => text! {
            en: "error: a session is named by at least six hexadecimal digits of its hash",
            fr: "erreur : une session se désigne par au moins six chiffres hexadécimaux de son empreinte",
        },
        status => text! { en: "error: the gate answered {status}", fr: "erreur : la passerelle a répondu {status}" },
    };
    super::talk(&text, lang);
    Exit::Failure
}
