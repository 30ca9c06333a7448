//! `sensgate sandbox`: runs the [`sandbox`](crate::sandbox) in the foreground.

use super::Exit;
use crate::cli::help::both;
use crate::sandbox::{self, Sandbox, SandboxSettings};
use crate::text;
use crate::text::{Lang, Text};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;

/// The arguments of `sandbox`.
#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Stand in for the 8sens REST server. Every route but the login is our assumption",
    "Tenir lieu de serveur REST 8sens. Toute route autre que le login est une supposition"
))]
#[command(long_about = both(
    "POST /v1/login/user answers as the vendor documents it. Every other route, every field of its answers and \
     the shape of every refusal are OUR ASSUMPTION: the real server may differ.\n\n\
     Assumed routes, in JSON, with amounts in integer cents:\n  \
     POST /v1/logout/user: ends the token of the request\n  \
     GET /v1/articles, /v1/articles/CODE\n  \
     GET, POST /v1/clients and /v1/prospects; GET /v1/clients/ID, /v1/prospects/ID\n  \
     GET, POST /v1/devis; GET, PUT /v1/devis/NUMBER\n  \
     POST /v1/devis/NUMBER/transformation: the order, once; 409 after that\n  \
     GET /v1/commandes, /v1/commandes/NUMBER\n\n\
     A quote may bear a reference, which its order then has too: GET /v1/devis?reference=X and \
     /v1/commandes?reference=X say in total how many were made under it.\n\n\
     The settings seats, seats_per_login, token_shared, one_session_per_login, expired_answer, wrong_key_answer, \
     failed_login_answer and lock_after settle what nobody knows of the real server.\n\n\
     With faults = true a request may carry the header x-sandbox-fault, with one or several of these, separated \
     by semicolons: delay=250ms, status=500, hang, close, close-after-head, slow-body=10ms, big-body=5MiB. \
     The setting login_fault, in the same words, strikes every login.",
    "POST /v1/login/user répond comme l'éditeur le documente. Toute autre route, chaque champ de ses réponses et \
     la forme de chaque refus sont UNE SUPPOSITION DE NOTRE PART : le vrai serveur peut différer.\n\n\
     Routes supposées, en JSON, montants en centimes entiers :\n  \
     POST /v1/logout/user : met fin au jeton de la requête\n  \
     GET /v1/articles, /v1/articles/CODE\n  \
     GET, POST /v1/clients et /v1/prospects ; GET /v1/clients/ID, /v1/prospects/ID\n  \
     GET, POST /v1/devis ; GET, PUT /v1/devis/NUMÉRO\n  \
     POST /v1/devis/NUMÉRO/transformation : la commande, une seule fois ; 409 ensuite\n  \
     GET /v1/commandes, /v1/commandes/NUMÉRO\n\n\
     Un devis peut porter une référence, que sa commande reprend : GET /v1/devis?reference=X et \
     /v1/commandes?reference=X donnent dans total le nombre de créations sous cette référence.\n\n\
     Les réglages seats, seats_per_login, token_shared, one_session_per_login, expired_answer, wrong_key_answer, \
     failed_login_answer et lock_after fixent ce que l'on ignore du vrai serveur.\n\n\
     Avec faults = true, une requête peut porter l'en-tête x-sandbox-fault, avec une ou plusieurs de ces pannes, \
     séparées par des points-virgules : delay=250ms, status=500, hang, close, close-after-head, slow-body=10ms, \
     big-body=5MiB. Le réglage login_fault, dans les mêmes termes, touche chaque login."
))]
pub(super) struct SandboxArgs {
    #[arg(long, value_name = "FILE", help = both("The sandbox's settings", "Les réglages du bac à sable"))]
    pub config: PathBuf,
}

/// Serves until SIGINT or SIGTERM.
#[must_use]
pub(super) fn run(args: &SandboxArgs, lang: Lang) -> Exit {
    let ended = read(args).and_then(|(settings, sandbox)| {
        let runtime = tokio::runtime::Runtime::new().map_err(|error| {
            (Exit::Failure, text! { en: "cannot start: {error}", fr: "démarrage impossible : {error}" })
        })?;
        runtime.block_on(serve(&sandbox, SocketAddr::new(settings.bind, settings.port), lang))
    });
    match ended {
        Ok(()) => Exit::Ok,
        Err((exit, message)) => {
            eprintln!("sensgate sandbox: {}", message.in_lang(lang));
            exit
        }
    }
}

type Failure = (Exit, Text);

fn read(args: &SandboxArgs) -> Result<(SandboxSettings, Sandbox), Failure> {
    let file = args.config.display();
    let toml = std::fs::read_to_string(&args.config).map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Config };
        (exit, text! { en: "cannot read {file}: {error}", fr: "lecture de {file} impossible : {error}" })
    })?;
    let refused = |error: sandbox::SettingsError| {
        let location = error.line.map_or_else(|| file.to_string(), |line| format!("{file}:{line}"));
        let Text { en, fr } = error.message;
        (Exit::Config, text! { en: "{location}: {en}", fr: "{location} : {fr}" })
    };
    let settings = SandboxSettings::from_toml(&toml).map_err(refused)?;
    let sandbox = Sandbox::new(settings.clone()).map_err(refused)?;
    Ok((settings, sandbox))
}

async fn serve(sandbox: &Sandbox, address: SocketAddr, lang: Lang) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let message = if error.kind() == io::ErrorKind::AddrInUse {
            text! {
                en: "cannot listen on {address}: another program already does",
                fr: "écoute sur {address} impossible : un autre programme occupe déjà ce port",
            }
        } else {
            text! { en: "cannot listen on {address}: {error}", fr: "écoute sur {address} impossible : {error}" }
        };
        (Exit::Unavailable, message)
    })?;
    // Before the first word, so that a signal sent on seeing it finds its handler.
    let stopped = stop_signal().map_err(|error| {
        (Exit::Failure, text! { en: "cannot await signals: {error}", fr: "attente des signaux impossible : {error}" })
    })?;
    let talk = |text: &Text| eprintln!("{}", text.in_lang(lang));
    talk(&sandbox::started(address));
    talk(&text! {
        en: "Only POST /v1/login/user is documented by the vendor; every other route is our assumption. Ctrl-C ends.",
        fr: "Seul POST /v1/login/user est documenté par l'éditeur ; toute autre route est une hypothèse de notre part. \
             Ctrl-C pour arrêter.",
    });
    if !address.ip().is_loopback() {
        talk(&text! {
            en: "warning: {address} can be reached from other machines",
            fr: "attention : {address} est joignable depuis d'autres machines",
        });
    }
    sandbox.serve(listener, stopped).await;
    Ok(())
}

/// Registers for SIGINT and SIGTERM; the future ends at the first of them.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let interrupt = tokio::signal::ctrl_c();
    Ok(async move { drop(interrupt.await) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with(file: &str) -> Exit {
        run(&SandboxArgs { config: file.into() }, Lang::En)
    }

    #[test]
    fn a_file_that_is_none_or_bad_is_a_configuration_error() {
        assert_eq!(run_with("/nonexistent/sandbox.toml"), Exit::Config);
        let refused = read(&SandboxArgs { config: concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into() });
        let (exit, message) = refused.err().unwrap();
        assert_eq!(exit, Exit::Config);
        let message = message.in_lang(Lang::Fr);
        let location = message.split(" : fichier TOML refusé").next().unwrap();
        let line = location.rsplit("Cargo.toml:").next().unwrap();
        assert!(line.parse::<usize>().is_ok(), "{message}");
    }

    #[tokio::test]
    async fn an_address_in_use_is_said_so() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox = Sandbox::new(SandboxSettings::example()).unwrap();
        let (exit, message) = serve(&sandbox, taken.local_addr().unwrap(), Lang::Fr).await.unwrap_err();
        assert_eq!(exit, Exit::Unavailable);
        assert!(message.in_lang(Lang::Fr).contains("occupe déjà"), "{message:?}");
    }
}
