//! `explain`: why a request was refused, or what would become of one that was never made.

use super::control_client::{Silence, ask_at};
use super::{Exit, Format};
use crate::admin::control::socket_in;
use crate::cli::help::{self, both};
use crate::config::{self, Settings};
use crate::domain::denial::DenyCode;
use crate::explain::rehearsal::{self, Imagined, Outcome, Rehearsal, RehearsedRule, ShownToken};
use crate::explain::{Explained, Explanation, Refusal, Setting};
use crate::platform::clock;
use crate::telemetry::RECENT_REFUSALS;
use crate::text;
use crate::text::{Lang, Text};
use hyper::{Method, StatusCode};
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Say why a request was refused, or what would become of one",
    "Dire pourquoi une requête a été refusée, ou ce qu'il en adviendrait"
))]
#[command(long_about = both(
    "explain REQUEST_ID asks a running gate for one of its last 1,024 refusals; the id is in the body and the \
     X-Request-ID of the refusal and in the access log. explain - reads a line of the access log from the \
     standard input.\n\n\
     explain --consumer NAME 'POST /v1/devis' asks every rule of the configuration file about a request that was \
     never made; no gate has to run and no key is needed. The exit code is 1 when it would be refused.",
    "explain IDENTIFIANT demande à une passerelle en service l'un de ses 1 024 derniers refus ; l'identifiant \
     figure dans le corps et le X-Request-ID du refus, et dans le journal des accès. explain - lit une ligne du \
     journal des accès sur l'entrée standard.\n\n\
     explain --consumer NOM 'POST /v1/devis' interroge chaque règle du fichier de configuration sur une requête \
     jamais faite ; aucune passerelle n'a besoin de tourner, aucune clé n'est nécessaire. Le code de sortie est 1 \
     si elle était refusée."
))]
pub(super) struct ExplainArgs {
    #[arg(value_name = "REQUEST_ID | 'METHOD /PATH' | -", help = both(
        "The id of a refused request; or a method and a path, with --consumer; or - for a line of the access log",
        "L'identifiant d'une requête refusée ; ou une méthode et un chemin, avec --consumer ; ou - pour une ligne \
         du journal"
    ))]
    pub request: String,
    #[arg(long, env = "SENSGATE_CONFIG", value_name = "FILE", required_unless_present = "state", help = help::config())]
    pub config: Option<PathBuf>,
    #[arg(long, value_name = "DIR", conflicts_with = "consumer", help = help::state())]
    pub state: Option<PathBuf>,
    #[arg(long, value_name = "NAME", help = both("Whose request it would be", "De qui serait la requête"))]
    pub consumer: Option<String>,
    #[arg(long, value_name = "IP", requires = "consumer", help = both(
        "The caller's address",
        "L'adresse de l'appelant"
    ))]
    pub from: Option<IpAddr>,
    #[arg(long, value_enum, requires = "consumer", help = both(
        "The token it would show: a live one of its own (yes), none (no), …  [default: yes]",
        "Le jeton qu'elle présenterait : un vivant bien à elle (yes), aucun (no), …  [défaut : yes]"
    ))]
    pub token: Option<TokenArg>,
    #[arg(long, value_enum, default_value_t, help = help::format())]
    pub format: Format,
}

/// The token that an imagined request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TokenArg {
    Yes,
    No,
    Expired,
    Unknown,
    Foreign,
}

/// Longest access log line that is read: its own bound is below that.
const MAX_LINE: u64 = 64 << 10;

/// Explains.
#[must_use]
pub(super) fn run(args: &ExplainArgs, lang: Lang) -> Exit {
    match (&args.consumer, args.request.as_str()) {
        (Some(consumer), request) => imagined(args, consumer, request, lang),
        (None, "-") => logged(args, lang),
        (None, id) => refused(args, id, lang),
    }
}

/// The configuration file, which `--state` can stand in for only where a gate is asked.
fn settings(args: &ExplainArgs, lang: Lang) -> Result<Settings, Exit> {
    let Some(path) = &args.config else {
        super::talk(
            &text! { en: "error: --config is needed for this", fr: "erreur : il faut --config pour cela" },
            lang,
        );
        return Err(Exit::Usage);
    };
    match config::load(path) {
        Ok(loaded) => Ok(loaded.settings),
        Err(report) => Err(Silence::Config(Box::new(report)).tell(lang)),
    }
}

fn refused(args: &ExplainArgs, id: &str, lang: Lang) -> Exit {
    if crate::domain::types::RequestId::from_caller(id.as_bytes()).is_none() {
        return unusable(
            &text! {
                en: "error: this is no request id; for a request that was never made, say whose it is with --consumer",
                fr: "erreur : ceci n'est pas un identifiant de requête ; pour une requête jamais faite, dites de qui \
                     avec --consumer",
            },
            lang,
        );
    }
    let directory = match &args.state {
        Some(state) => state.clone(),
        None => match settings(args, lang) {
            Ok(settings) => settings.state_directory,
            Err(exit) => return exit,
        },
    };
    match ask_at::<Explained>(&socket_in(&directory), Method::GET, &format!("/refusals/{id}")) {
        Ok(Ok(explained)) => {
            show(&explained, args.format, lang);
            Exit::Ok
        }
        Ok(Err(StatusCode::NOT_FOUND)) => unusable(
            &text! {
                en: "error: no refusal with the id {id} among the last {RECENT_REFUSALS}\n\
                     only refused and would-be-refused requests are kept, in memory, since the start of the gate; \
                     older ones are in the access log:\n  \
                     grep {id} ACCESS_LOG | sensgate explain - --config FILE",
                fr: "erreur : aucun refus d'identifiant {id} parmi les {RECENT_REFUSALS} derniers\n\
                     seules les requêtes refusées, ou qui l'auraient été, sont gardées, en mémoire, depuis le \
                     démarrage de la passerelle ; les plus anciennes sont dans le journal des accès :\n  \
                     grep {id} JOURNAL_DES_ACCÈS | sensgate explain - --config FICHIER",
            },
            lang,
        ),
        Ok(Err(status)) => unusable(
            &text! { en: "error: the gate answered {status}", fr: "erreur : la passerelle a répondu {status}" },
            lang,
        ),
        Err(silence) => silence.tell(lang),
    }
}

fn unusable(text: &Text, lang: Lang) -> Exit {
    super::talk(text, lang);
    Exit::Failure
}

/// The first line of the access log on the standard input.
fn logged(args: &ExplainArgs, lang: Lang) -> Exit {
    let settings = match settings(args, lang) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let mut text = String::new();
    // What cannot be read is no line either.
    let _ = std::io::stdin().take(MAX_LINE).read_to_string(&mut text);
    let line = text.lines().next().unwrap_or_default();
    match refusal_of(line) {
        Some(refusal) => {
            show(&Explained::new(refusal, &settings), args.format, lang);
            Exit::Ok
        }
        None => unusable(
            &text! {
                en: "error: the standard input holds no access log line of a refused or would-be-refused request",
                fr: "erreur : l'entrée standard ne contient pas la ligne de journal d'une requête refusée ou qui \
                     l'aurait été",
            },
            lang,
        ),
    }
}

/// The refusal that an access log line tells of.
fn refusal_of(line: &str) -> Option<Refusal> {
    let record: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| record[name].as_str().map(str::to_owned);
    // Each byte of method and path is written as the Latin-1 character of its number.
    let bytes = |name: &str| {
        let bytes: Vec<u8> = record[name].as_str()?.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
        Some(crate::explain::printable(&bytes))
    };
    let would = text("would_refuse").and_then(|word| DenyCode::from_word(&word));
    let code = text("code").and_then(|word| DenyCode::from_word(&word));
    Some(Refusal {
        time: text("time")?,
        request_id: text("request_id")?,
        code: code.or(would)?,
        enforced: code.is_some(),
        reason: text("reason").unwrap_or_default(),
        consumer: text("consumer"),
        key_id: text("key_id"),
        client_ip: text("client_ip")?,
        method: bytes("method")?,
        path: bytes("path")?,
        route: text("route"),
    })
}

fn imagined(args: &ExplainArgs, consumer: &str, request: &str, lang: Lang) -> Exit {
    let settings = match settings(args, lang) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let Some((method, target)) =
        request.split_once(' ').filter(|(_, target)| target.starts_with('/') || *target == "*")
    else {
        super::talk(
            &text! {
                en: "error: write the request as 'METHOD /path', such as 'POST /v1/devis'",
                fr: "erreur : écrivez la requête sous la forme 'MÉTHODE /chemin', par exemple 'POST /v1/devis'",
            },
            lang,
        );
        return Exit::Usage;
    };
    let Some(found) = settings.snapshot.consumers.iter().find(|known| known.name.as_ref() == consumer) else {
        let known: Vec<_> = settings.snapshot.consumers.iter().map(|consumer| consumer.name.as_ref()).collect();
        let known = known.join(", ");
        return unusable(
            &text! {
                en: "error: the configuration has no consumer \"{consumer}\"; it has: {known}",
                fr: "erreur : la configuration n'a pas de consommateur \"{consumer}\" ; elle a : {known}",
            },
            lang,
        );
    };
    let token = match args.token {
        None | Some(TokenArg::Yes) => ShownToken::Live,
        Some(TokenArg::No) => ShownToken::None,
        Some(TokenArg::Expired) => ShownToken::Expired,
        Some(TokenArg::Unknown) => ShownToken::Unknown,
        Some(TokenArg::Foreign) => ShownToken::Foreign,
    };
    let imagined = Imagined { method, target, from: args.from, token };
    let told = rehearsal::run(&settings, found, &imagined, clock::now().wall);
    match args.format {
        Format::Json => super::data(&serde_json::to_string(&told).unwrap_or_default()),
        Format::Text => super::data(&rehearsed(&told, lang)),
    }
    if told.code.is_some() { Exit::Failure } else { Exit::Ok }
}

fn show(explained: &Explained, format: Format, lang: Lang) {
    match format {
        Format::Json => super::data(&serde_json::to_string(explained).unwrap_or_default()),
        Format::Text => super::data(&told(explained, lang)),
    }
}

/// A refusal as a person reads it.
fn told(Explained { refusal, explanation }: &Explained, lang: Lang) -> String {
    let Refusal { time, method, path, client_ip, code, .. } = refusal;
    let (status, word) = (code.status(), code.as_str());
    let who = match (&refusal.consumer, &refusal.key_id) {
        (Some(consumer), Some(key)) => {
            text! { en: "{consumer} (key {key}), from {client_ip}", fr: "{consumer} (clé {key}), depuis {client_ip}" }
        }
        _ => text! { en: "nobody known, from {client_ip}", fr: "inconnu, depuis {client_ip}" },
    };
    let verdict = if refusal.enforced {
        text! { en: "refused: {status} {word}", fr: "refusée : {status} {word}" }
    } else {
        text! {
            en: "forwarded, but would be refused: {status} {word}",
            fr: "transmise, mais serait refusée : {status} {word}"
        }
    };
    let reason = if refusal.reason.is_empty() { String::new() } else { format!(" ({})", refusal.reason) };
    let mut lines = vec![
        format!("{method} {path}"),
        format!("{time}  {}", who.in_lang(lang)),
        format!("{}{reason}", verdict.in_lang(lang)),
        String::new(),
    ];
    let Explanation { meaning, rule, setting, remedies } = explanation;
    lines.push(format!("  {}", meaning.in_lang(lang)));
    lines.push(format!("  {}", rule.in_lang(lang)));
    lines.extend(setting.iter().map(|setting| format!("  {}", set(setting, lang))));
    lines.extend(ways(remedies, lang));
    lines.join("\n")
}

/// The name of a setting with its value and its location.
fn set(setting: &Setting, lang: Lang) -> String {
    let value = setting.value.as_deref().map(|value| format!(" = {value}")).unwrap_or_default();
    let key = &setting.key;
    let location = match &setting.location {
        Some(location) => format!("{location}: "),
        None => text! { en: "default: ", fr: "par défaut : " }.in_lang(lang).to_owned(),
    };
    format!("{location}{key}{value}")
}

fn ways(remedies: &[Text], lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    if !remedies.is_empty() {
        let head = text! { en: "what would let it through:", fr: "ce qui la laisserait passer :" };
        lines.push(String::new());
        lines.push(format!("  {}", head.in_lang(lang)));
        lines.extend(remedies.iter().map(|remedy| format!("  - {}", remedy.in_lang(lang))));
    }
    lines
}

/// A rehearsal as a person reads it.
fn rehearsed(told: &Rehearsal, lang: Lang) -> String {
    let Rehearsal { consumer, method, path, .. } = told;
    let from = told.client_ip.as_ref().map(|address| text! { en: " from {address}", fr: " depuis {address}" });
    let from = from.as_ref().map_or("", |text| text.in_lang(lang));
    let mut lines = vec![format!("{consumer}: {method} {path}{from}"), String::new()];
    let mark = |step: &RehearsedRule| match step.outcome {
        Outcome::Passes => text! { en: "passes", fr: "passe" },
        Outcome::Refuses => text! { en: "refuses", fr: "refuse" },
        Outcome::WouldRefuse => text! { en: "would refuse", fr: "refuserait" },
        Outcome::Off => text! { en: "off", fr: "désactivée" },
        Outcome::Depends => text! { en: "depends", fr: "à voir" },
    };
    for step in &told.steps {
        lines.push(format!("  {:<10}  {:<12}  {}", step.rule, mark(step).in_lang(lang), step.found.in_lang(lang)));
        lines.extend(step.setting.iter().map(|setting| format!("{:28}{}", "", set(setting, lang))));
    }
    lines.push(String::new());
    match told.code {
        Some(code) => {
            let (status, word) = (code.status(), code.as_str());
            let verdict = text! { en: "refused: {status} {word}", fr: "refusée : {status} {word}" };
            lines.push(verdict.in_lang(lang).to_owned());
        }
        None if told.steps.iter().any(|step| step.outcome == Outcome::Depends) => {
            let verdict = text! { en: "forwarded, if the address is right", fr: "transmise, si l'adresse convient" };
            lines.push(verdict.in_lang(lang).to_owned());
        }
        None if path == "*" => {
            let verdict = text! {
                en: "answered by the gate itself, with the methods that it forwards; 8sens hears nothing of it",
                fr: "la passerelle répond elle-même, avec les méthodes qu'elle transmet ; 8sens n'en sait rien",
            };
            lines.push(verdict.in_lang(lang).to_owned());
        }
        None => lines.push(text! { en: "forwarded to 8sens", fr: "transmise à 8sens" }.in_lang(lang).to_owned()),
    }
    let decided = told.steps.iter().find(|step| step.outcome == Outcome::Refuses);
    let observed = told.steps.iter().find(|step| step.outcome == Outcome::WouldRefuse);
    lines.extend(decided.or(observed).map(|step| ways(&step.remedies, lang)).unwrap_or_default());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_access_log_is_a_refusal() {
        let line = r#"{"time":"2026-09-21T14:13:20.123Z","request_id":"r1","consumer":"shop","key_id":"k1","client_ip":"192.0.2.1","method":"GET","path":"/v1/\u001b\u00e9","route":null,"status":403,"code":"forbidden_route","reason":"matches no allow rule","bytes_in":0}"#;
        let refusal = refusal_of(line).unwrap();
        assert_eq!((refusal.code, refusal.enforced), (DenyCode::ForbiddenRoute, true));
        assert_eq!(refusal.path, "/v1/\\x1b\\xe9");
        let observed = line.replace(r#""code":"forbidden_route""#, r#""code":"ok","would_refuse":"session_unknown""#);
        let refusal = refusal_of(&observed).unwrap();
        assert_eq!((refusal.code, refusal.enforced), (DenyCode::SessionUnknown, false));
        for other in ["", "{}", "x", &line.replace("forbidden_route", "ok")] {
            assert_eq!(refusal_of(other), None, "{other}");
        }
    }
}
