//! Why there was no session at 8sens where the gate keeps it.

use super::{Case, Explanation};
use crate::domain::denial::Reason;
use crate::text;

pub(super) fn explain(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "session: the gate keeps the session of this consumer, and gives each request its token",
        fr: "session : la passerelle tient la session de ce consommateur, et donne son jeton à chaque requête"
    };
    let doctor = text! {
        en: "`sensgate doctor` looks at the way to 8sens: name, port, HTTP, key",
        fr: "`sensgate doctor` examine le chemin vers 8sens : nom, port, HTTP, clé"
    };
    match case.reason() {
        Some(Reason::LoginRefused) => case.explanation(
            rule,
            case.consumer_setting("login", None),
            vec![
                text! {
                    en: "compare login name and password with the user in 8sens, which needs the right \"Autoriser \
                         REST\"; a changed password file is applied by `sensgate reload`",
                    fr: "comparez identifiant et mot de passe avec l'utilisateur dans 8sens, qui doit avoir le droit \
                         « Autoriser REST » ; un fichier de mot de passe modifié est repris par `sensgate reload`"
                },
                text! {
                    en: "once it is right in 8sens: `sensgate sessions retry CONSUMER`; by itself the gate tries once \
                         in 15 minutes",
                    fr: "une fois corrigé dans 8sens : `sensgate sessions retry CONSOMMATEUR` ; d'elle-même, la \
                         passerelle essaie une fois toutes les 15 minutes"
                },
            ],
        ),
        Some(Reason::LoginWithdrawn) => case.explanation(
            rule,
            case.consumer_setting("session", None),
            vec![text! { en: "nothing: send the request again", fr: "rien : renvoyez la requête" }],
        ),
        _ => {
            let upstream = &case.settings.upstream;
            let start = text! {
                en: "start the REST server in the 8sens client: it shows \"Serveur REST lancé\"",
                fr: "lancez le serveur REST dans le poste 8sens : il affiche « Serveur REST lancé »"
            };
            let setting = case.setting("upstream.address", Some(format!("\"{}:{}\"", upstream.host, upstream.port)));
            case.explanation(rule, setting, vec![start, doctor])
        }
    }
}
