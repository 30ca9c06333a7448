//! `demo`: a sandbox 8sens, a gate in front of it and its consumers, all on loopback. `demo --once` plays a visit and
//! checks it.

mod visit;
mod world;

use super::Exit;
use crate::cli::help::both;
use crate::platform;
use crate::text;
use crate::text::Lang;
use world::{Staging, World};

#[derive(clap::Args, Debug)]
#[command(about = both(
    "Start a sandbox, a gate and two consumers on loopback",
    "Lancer un bac à sable, une passerelle et deux consommateurs en local"
))]
pub struct DemoArgs {
    #[arg(long, help = both(
        "Play a whole visit, show what was expected and seen, and end",
        "Jouer une visite entière, montrer l'attendu et le constaté, puis finir"
    ))]
    pub once: bool,
}

/// Runs the demonstration until Ctrl-C, or plays it once.
#[must_use]
pub fn run(args: &DemoArgs, lang: Lang) -> Exit {
    if args.once { once(lang) } else { serve(lang) }
}

/// Plays a whole visit; [`Exit::Failure`] when one step is not answered as expected. `policies` is a seam for tests:
/// the command always asks for all of them.
#[must_use]
pub fn once(lang: Lang) -> Exit {
    let world = match World::start(Staging::VISIT) {
        Ok(world) => world,
        Err(error) => return no_world(&error, lang),
    };
    match visit::play(world, lang) {
        Ok(0) => Exit::Ok,
        Ok(_) => Exit::Failure,
        Err(error) => no_world(&error, lang),
    }
}

fn serve(lang: Lang) -> Exit {
    let world = match World::start(Staging::LIVE) {
        Ok(world) => world,
        Err(error) => return no_world(&error, lang),
    };
    let (gate, admin) = (world.gate, world.admin);
    let (shop, partner) = (world.shop_key(), world.partner_key());
    let form = "'Content-Type: application/x-www-form-urlencoded'";
    let login = "login=CLIENTREST&password=clientrest";
    super::talk(
        &text! {
            en: "\nThe gate listens on http://{gate}, a sandbox 8sens is behind it, admin pages are on \
                 http://{admin}.\nPaste into another terminal:\n",
            fr: "\nLa passerelle écoute sur http://{gate}, un 8sens factice est derrière elle, l'administration est \
                 sur http://{admin}.\nÀ coller dans un autre terminal :\n",
        },
        lang,
    );
    super::data(&format!(
        "# {}\n\
         curl -i -X POST -H {form} -H 'Accept: application/json' -H 'api_key: {shop}' -d '{login}' \
         http://{gate}/v1/login/user\n",
        text! { en: "boutique-paris logs in: four fields", fr: "boutique-paris se connecte : quatre champs" }
            .in_lang(lang),
    ));
    super::data(&format!(
        "# {}\ncurl -i -H 'api_key: {shop}' -H 'access_token: …' http://{gate}/v1/articles\n",
        text! { en: "the catalogue, with the token of the login", fr: "le catalogue, avec le jeton de la connexion" }
            .in_lang(lang),
    ));
    super::data(&format!(
        "# {}\ncurl -i -H 'api_key: {partner}' -H 'access_token: …' http://{gate}/v1/articles\n",
        text! { en: "partenaire-lyon may only log in: 403", fr: "partenaire-lyon n'a droit qu'au login : 403" }
            .in_lang(lang),
    ));
    super::data(&format!(
        "# {}\ncurl -i -H 'api_key: wrong' http://{gate}/v1/articles\n\n# {}\ncurl http://{admin}/metrics\n",
        text! { en: "a wrong key: 401", fr: "une mauvaise clé : 401" }.in_lang(lang),
        text! { en: "what Prometheus sees", fr: "ce que voit Prometheus" }.in_lang(lang),
    ));
    super::talk(&text! { en: "Ctrl-C ends the demo.", fr: "Ctrl-C termine la démonstration." }, lang);
    let mut commands = platform::commands_from_signals(platform::EarlySignals::default());
    // Reload and reopen mean nothing to a demonstration; draining, or no more signals, ends it.
    while commands.blocking_recv().is_some_and(|command| command != crate::admin::command::Command::Drain) {}
    world.stop();
    Exit::Ok
}

fn no_world(error: &str, lang: Lang) -> Exit {
    super::talk(
        &text! {
            en: "error: the demo cannot start: {error}",
            fr: "erreur : la démonstration ne démarre pas : {error}"
        },
        lang,
    );
    Exit::Unavailable
}
