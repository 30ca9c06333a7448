//! The help of every command and option, in both languages.

use crate::text;
use crate::text::{Lang, Text};
use clap::builder::Resettable;
use clap::{Arg, ArgAction, Command};

/// Gives a command tree its texts in one language.
pub(super) fn localised(command: Command, lang: Lang) -> Command {
    let command = command
        .disable_help_subcommand(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::Help).global(true))
        .arg(Arg::new("version").short('V').long("version").action(ArgAction::Version));
    translate(command, "", lang)
}

fn translate(command: Command, path: &str, lang: Lang) -> Command {
    let here = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path} {name}") };
    let own = if path.is_empty() { "sensgate" } else { path };
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
        .mut_args(|arg| {
            let text = option(&here(&format!("--{}", arg.get_id()))).or_else(|| option(&format!("--{}", arg.get_id())));
            match text {
                Some(text) => with_help(arg, text.in_lang(lang), lang),
                None => arg,
            }
        });
    if let Some(about) = about(own) {
        let about = about.in_lang(lang);
        // Without details nothing: clap would show the doc comment of the arguments, in English only.
        let explained = details(own).map_or(Resettable::Reset, |details| {
            Resettable::Value(format!("{about}.\n\n{}", details.in_lang(lang)).into())
        });
        command = command.about(about.to_owned()).long_about(explained);
    }
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let path = here(&name);
        command = command.mut_subcommand(name, |sub| translate(sub, &path, lang));
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

/// What a command is for.
fn about(command: &str) -> Option<Text> {
    Some(match command {
        "sensgate" => text! {
            en: "The gate in front of the REST port of 8sens",
            fr: "La passerelle devant le port REST de 8sens",
        },
        "run" => text! { en: "Serve until SIGTERM", fr: "Servir jusqu'à SIGTERM" },
        "check" => text! {
            en: "Check a configuration and show every problem at once",
            fr: "Vérifier une configuration et montrer tous les problèmes à la fois",
        },
        "demo" => text! {
            en: "Start a sandbox, a gate and two consumers on loopback",
            fr: "Lancer un bac à sable, une passerelle et deux consommateurs en local",
        },
        "doctor" => text! {
            en: "Look at a gate and everything around it, and say what mends it",
            fr: "Examiner une passerelle et tout ce qui l'entoure, et dire comment y remédier",
        },
        "explain" => text! {
            en: "Say why a request was refused, or what would become of one",
            fr: "Dire pourquoi une requête a été refusée, ou ce qu'il en adviendrait",
        },
        "keys" => text! {
            en: "Make and manage the API keys of consumers",
            fr: "Créer et gérer les clés d'API des consommateurs",
        },
        "keys new" => text! {
            en: "Make a key, show it once, and admit it in the configuration",
            fr: "Créer une clé, la montrer une seule fois, et l'admettre dans la configuration",
        },
        "keys list" => text! {
            en: "List keys with their dates, their state and their last use",
            fr: "Lister les clés avec leurs dates, leur état et leur dernière utilisation",
        },
        "keys show" => text! { en: "Show what is known of one key", fr: "Montrer ce que l'on sait d'une clé" },
        "keys rotate" => text! {
            en: "Make a new key and let the old one end a little later",
            fr: "Créer une nouvelle clé et laisser l'ancienne prendre fin un peu plus tard",
        },
        "keys revoke" => text! {
            en: "End a key, and the sessions that were opened with it",
            fr: "Mettre fin à une clé, et aux sessions ouvertes avec elle",
        },
        "keys import" => text! {
            en: "Admit a key that a caller has already",
            fr: "Admettre une clé qu'un appelant possède déjà",
        },
        "reload" => text! {
            en: "Have a running gate read its configuration again, and show what changed",
            fr: "Faire relire sa configuration à une passerelle en service, et montrer ce qui change",
        },
        "sandbox" => text! {
            en: "Stand in for the 8sens REST server. Every route but the login is our assumption",
            fr: "Tenir lieu de serveur REST 8sens. Toute route autre que le login est une supposition",
        },
        "sessions" => {
            text! { en: "List or end the sessions of a running gate", fr: "Lister ou terminer les sessions d'une passerelle en service" }
        }
        "sessions list" => {
            text! { en: "List live sessions, by the hash of their token", fr: "Lister les sessions vivantes, par l'empreinte de leur jeton" }
        }
        "sessions end" => text! {
            en: "End one session, or all of a consumer",
            fr: "Terminer une session, ou toutes celles d'un consommateur",
        },
        "sessions clear" => text! { en: "End every session", fr: "Terminer toutes les sessions" },
        "status" => {
            text! { en: "Show what a running gate says of itself", fr: "Montrer ce qu'une passerelle en service dit d'elle-même" }
        }
        "completions" => text! {
            en: "Print what a shell needs to complete command lines",
            fr: "Afficher ce dont un shell a besoin pour compléter les commandes",
        },
        "init" => text! {
            en: "Write a configuration, or change one, by questions or by flags",
            fr: "Écrire une configuration, ou la modifier, par questions ou par options",
        },
        "man" => text! { en: "Print manual pages", fr: "Afficher les pages de manuel" },
        "schema" => text! {
            en: "Print a JSON Schema of the configuration file",
            fr: "Afficher un schéma JSON du fichier de configuration",
        },
        "version" => text! { en: "Print the version", fr: "Afficher la version" },
        _ => return None,
    })
}

/// What `--help` says beyond that.
fn details(command: &str) -> Option<Text> {
    Some(match command {
        "keys" => text! {
            en: "The configuration is edited under a lock and replaced whole; comments and order stay. It has to be valid before and after, \
                 or nothing is written. A running gate then reloads it, and the command says whether it did.",
            fr: "La configuration est modifiée sous verrou et remplacée en entier ; commentaires et ordre restent. Elle doit être correcte \
                 avant comme après, sinon rien n'est écrit. Une passerelle en service la recharge alors, et la commande dit si elle l'a fait.",
        },
        "keys new" => text! {
            en: "The key is shown once. The configuration holds only its SHA-256 digest. Without --config and SENSGATE_CONFIG the line to \
                 paste is printed, and nothing is edited.",
            fr: "La clé n'est montrée qu'une fois. La configuration ne contient que son empreinte SHA-256. Sans --config ni \
                 SENSGATE_CONFIG, la ligne à coller est affichée et rien n'est modifié.",
        },
        "keys rotate" => text! {
            en: "Both keys are accepted until the last day of the overlap has ended, UTC. Without --id the only key that is accepted today \
                 is replaced.",
            fr: "Les deux clés sont acceptées jusqu'à la fin du dernier jour du recouvrement, UTC. Sans --id, c'est la seule clé acceptée \
                 aujourd'hui qui est remplacée.",
        },
        "keys import" => text! {
            en: "The key is read from the standard input, one line, hidden on a terminal; never from the command line. Or give its digest \
                 with --sha256. With --upstream-key --until DAY the caller may keep the shared key of 8sens itself for a while; every check \
                 warns until that entry is gone.",
            fr: "La clé est lue sur l'entrée standard, une ligne, masquée sur un terminal ; jamais sur la ligne de commande. Ou donnez son \
                 empreinte avec --sha256. Avec --upstream-key --until JOUR, l'appelant peut garder un temps la clé partagée de 8sens \
                 elle-même ; chaque vérification avertit tant que cette entrée existe.",
        },
        "doctor" => text! {
            en: "Nothing is changed. A login is tried only with --login, because it may take a seat of the licence.\n\n\
                 Exit code: 0 when nothing is worse than worth knowing, 1 for warnings, 78 when the configuration or a secret file is at \
                 fault, 69 for any other error. docs/doctor.md lists everything that is looked at.",
            fr: "Rien n'est modifié. Une connexion n'est essayée qu'avec --login, car elle peut prendre un siège de la licence.\n\n\
                 Code de sortie : 0 s'il n'y a rien de grave, 1 pour des avertissements, 78 si la configuration ou un fichier secret est en \
                 cause, 69 pour toute autre erreur. docs/doctor.md énumère tout ce qui est examiné.",
        },
        "explain" => text! {
            en: "explain REQUEST_ID asks a running gate for one of its last 1,024 refusals; the id is in the body and the X-Request-ID of the \
                 refusal and in the access log. explain - reads a line of the access log from the standard input.\n\n\
                 explain --consumer NAME 'POST /v1/devis' asks every rule of the configuration file about a request that was never \
                 made; no gate has to run and no key is needed. The exit code is 1 when it would be refused.",
            fr: "explain IDENTIFIANT demande à une passerelle en service l'un de ses 1 024 derniers refus ; l'identifiant figure dans le corps \
                 et le X-Request-ID du refus, et dans le journal des accès. explain - lit une ligne du journal des accès sur l'entrée \
                 standard.\n\n\
                 explain --consumer NOM 'POST /v1/devis' interroge chaque règle du fichier de configuration sur une requête jamais \
                 faite ; aucune passerelle n'a besoin de tourner, aucune clé n'est nécessaire. Le code de sortie est 1 si elle était refusée.",
        },
        "status" => text! {
            en: "With --format nagios, for Nagios, Centreon, Icinga and whatever runs their plugins: 0 (OK), 1 (WARNING: the last reload \
                 was refused or waits for a restart, a key or certificate is near its end, log lines were dropped, the session log \
                 cannot be written, nearly all sessions or connections are in use), 2 (CRITICAL: 8sens does not answer, or no gate \
                 does, and so no shop can order) or 3 (UNKNOWN: broken configuration, no right to ask).",
            fr: "Avec --format nagios, pour Nagios, Centreon, Icinga et tout ce qui lance leurs sondes : 0 (OK), 1 (WARNING : le dernier \
                 rechargement a été refusé ou attend un redémarrage, une clé ou un certificat arrive à son terme, des lignes de journal \
                 sont perdues, le journal des sessions ne peut pas être écrit, presque toutes les sessions ou connexions sont prises), \
                 2 (CRITICAL : 8sens ne répond pas, ou aucune passerelle, et aucune boutique ne peut donc commander) ou 3 (UNKNOWN : \
                 configuration invalide, pas le droit d'interroger).",
        },
        "reload" => text! {
            en: "The file is taken up whole or not at all. Consumers, keys, rules, limits, timeouts, the log level and certificates are in \
                 force at once; sessions, limits and connections stay. What only a restart takes up is named, and what was in force \
                 stays for it. A file that is not valid changes nothing, and the exit code is 78. SIGHUP does the same.",
            fr: "Le fichier est repris en entier ou pas du tout. Consommateurs, clés, règles, limites, délais, niveau de journal et \
                 certificats sont en vigueur aussitôt ; sessions, limites et connexions restent. Ce qui demande un redémarrage est nommé, \
                 et ce qui était en vigueur le reste. Un fichier incorrect ne change rien, et le code de sortie est 78. SIGHUP fait de même.",
        },
        "sandbox" => text! {
            en: "POST /v1/login/user answers as the vendor documents it. Every other route, every field of its answers and the \
                 shape of every refusal are OUR ASSUMPTION: the real server may differ.\n\n\
                 Assumed routes, in JSON, with amounts in integer cents:\n  \
                 GET /v1/articles, /v1/articles/CODE\n  \
                 GET, POST /v1/clients and /v1/prospects; GET /v1/clients/ID, /v1/prospects/ID\n  \
                 GET, POST /v1/devis; GET, PUT /v1/devis/NUMBER\n  \
                 POST /v1/devis/NUMBER/transformation: the order, once; 409 after that\n  \
                 GET /v1/commandes, /v1/commandes/NUMBER\n\n\
                 The settings seats, token_shared, expired_answer and wrong_key_answer settle what nobody knows of the real server.\n\n\
                 With faults = true a request may carry the header x-sandbox-fault, with one or several of these, separated by \
                 semicolons: delay=250ms, status=500, hang, close, close-after-head, slow-body=10ms, big-body=5MiB.",
            fr: "POST /v1/login/user répond comme l'éditeur le documente. Toute autre route, chaque champ de ses réponses et la \
                 forme de chaque refus sont UNE SUPPOSITION DE NOTRE PART : le vrai serveur peut différer.\n\n\
                 Routes supposées, en JSON, montants en centimes entiers :\n  \
                 GET /v1/articles, /v1/articles/CODE\n  \
                 GET, POST /v1/clients et /v1/prospects ; GET /v1/clients/ID, /v1/prospects/ID\n  \
                 GET, POST /v1/devis ; GET, PUT /v1/devis/NUMÉRO\n  \
                 POST /v1/devis/NUMÉRO/transformation : la commande, une seule fois ; 409 ensuite\n  \
                 GET /v1/commandes, /v1/commandes/NUMÉRO\n\n\
                 Les réglages seats, token_shared, expired_answer et wrong_key_answer fixent ce que l'on ignore du \
                 vrai serveur.\n\n\
                 Avec faults = true, une requête peut porter l'en-tête x-sandbox-fault, avec une ou plusieurs de ces pannes, \
                 séparées par des points-virgules : delay=250ms, status=500, hang, close, close-after-head, slow-body=10ms, \
                 big-body=5MiB.",
        },
        _ => return None,
    })
}

/// What an option does: `command --option`, or `--option` where it is the same everywhere.
fn option(name: &str) -> Option<Text> {
    Some(match name {
        "--help" => text! { en: "Show this help", fr: "Afficher cette aide" },
        "--version" => text! { en: "Print the version", fr: "Afficher la version" },
        "--lang" => {
            text! { en: "Language of messages [default: from LANG]", fr: "Langue des messages [défaut : selon LANG]" }
        }
        "--test" => {
            text! { en: "Check the configuration, as `check` does", fr: "Vérifier la configuration, comme `check`" }
        }
        "sandbox --config" => text! { en: "The sandbox's settings", fr: "Les réglages du bac à sable" },
        "--config" => text! { en: "The configuration file", fr: "Le fichier de configuration" },
        "--state" => text! {
            en: "The state directory of the gate, in place of its configuration",
            fr: "Le répertoire d'état de la passerelle, au lieu de sa configuration",
        },
        "sessions list --after" => text! { en: "Go on after this hash", fr: "Continuer après cette empreinte" },
        "sessions list --limit" => {
            text! { en: "Most sessions to show, up to 1000", fr: "Nombre maximal de sessions affichées, jusqu'à 1000" }
        }
        "sessions end --hash" => text! {
            en: "The session: at least six digits of its hash",
            fr: "La session : au moins six chiffres de son empreinte",
        },
        "sessions end --consumer" => {
            text! { en: "All sessions of this consumer", fr: "Toutes les sessions de ce consommateur" }
        }
        "status --would_refuse" => text! {
            en: "Show what guard would refuse, and whether it is safe yet",
            fr: "Montrer ce que guard refuserait, et si l'on peut déjà l'activer",
        },
        "status --watch" => text! {
            en: "Show it again each second, until Ctrl-C",
            fr: "Le montrer à nouveau chaque seconde, jusqu'à Ctrl-C",
        },
        "status --format" => text! {
            en: "How to print it; nagios: one line with figures, exit code 0, 1, 2 or 3",
            fr: "Format d'impression ; nagios : une ligne avec des mesures, code de sortie 0, 1, 2 ou 3",
        },
        "status --warn_days" => text! {
            en: "Warn of keys and certificates that end within so many days",
            fr: "Signaler les clés et certificats qui se terminent dans moins de tant de jours",
        },
        "doctor --login" => text! {
            en: "Log in at 8sens as this user; the password is asked for, or read from the standard input",
            fr: "Se connecter à 8sens sous cet utilisateur ; le mot de passe est demandé, ou lu sur l'entrée standard",
        },
        "doctor --password_file" => text! {
            en: "Read the password from the first line of this file",
            fr: "Lire le mot de passe sur la première ligne de ce fichier",
        },
        "doctor --measure_idle" => text! {
            en: "Measure how long 8sens keeps an idle token, with a route that a token opens; takes two logins and a little more than idle_timeout",
            fr: "Mesurer combien de temps 8sens garde un jeton inutilisé, avec une route qu'un jeton ouvre ; demande deux connexions et un peu plus que idle_timeout",
        },
        "doctor --through" => text! {
            en: "Send a request through the public URL, to see whether a proxy in front lets api_key through",
            fr: "Envoyer une requête par l'URL publique, pour voir si un proxy placé devant laisse passer api_key",
        },
        "doctor --warn_days" => text! {
            en: "Warn of keys and certificates that end within so many days",
            fr: "Signaler les clés et certificats qui se terminent dans moins de tant de jours",
        },
        "explain --request" => text! {
            en: "The id of a refused request; or a method and a path, with --consumer; or - for a line of the access log",
            fr: "L'identifiant d'une requête refusée ; ou une méthode et un chemin, avec --consumer ; ou - pour une ligne du journal",
        },
        "explain --consumer" => text! { en: "Whose request it would be", fr: "De qui serait la requête" },
        "explain --from" => text! { en: "The caller's address", fr: "L'adresse de l'appelant" },
        "explain --token" => text! {
            en: "The token it would show: a live one of its own (yes), none (no), …  [default: yes]",
            fr: "Le jeton qu'elle présenterait : un vivant bien à elle (yes), aucun (no), …  [défaut : yes]",
        },
        "check --strict" => text! { en: "Fail on warnings too", fr: "Échouer aussi sur les avertissements" },
        "--format" => text! { en: "How to print data", fr: "Format des données imprimées" },
        "completions --shell" => text! { en: "The shell", fr: "Le shell" },
        "init --config" => {
            text! { en: "The configuration to write or change", fr: "La configuration à écrire ou à modifier" }
        }
        "init --yes" => text! {
            en: "Ask nothing: take flags and defaults, as without a terminal",
            fr: "Ne rien demander : prendre les options et les valeurs par défaut, comme sans terminal",
        },
        "init --upstream" => text! { en: "Where 8sens listens", fr: "Où écoute 8sens" },
        "init --upstream_key_file" => text! {
            en: "The file that holds the API Key of 8sens now; - for stdin. The gate gets a copy, mode 0600",
            fr: "Le fichier où se trouve l'API Key de 8sens ; - pour l'entrée standard. La passerelle en reçoit une copie, mode 0600",
        },
        "init --idle_timeout" => text! {
            en: "\"Durée d'inactivité\" of the REST screen, such as 900s",
            fr: "« Durée d'inactivité » de l'écran REST, par exemple 900s",
        },
        "init --token_place" => text! {
            en: "Where the token travels, by the API documentation of 8sens; unknown: observe first",
            fr: "Où voyage le jeton, d'après la documentation de l'API 8sens ; unknown : observer d'abord",
        },
        "init --listen" => text! { en: "Where consumers connect", fr: "Où se connectent les consommateurs" },
        "init --tls_certificate" => text! { en: "TLS with this chain (PEM)", fr: "TLS avec cette chaîne (PEM)" },
        "init --tls_key" => text! { en: "Its private key (PEM, mode 0600)", fr: "Sa clé privée (PEM, mode 0600)" },
        "init --acme_domain" => text! {
            en: "TLS with certificates that the gate fetches for this name; may be repeated",
            fr: "TLS avec des certificats que la passerelle obtient pour ce nom ; répétable",
        },
        "init --acme_contact" => text! {
            en: "Mail address for the certificate authority",
            fr: "Adresse électronique pour l'autorité de certification",
        },
        "init --acme_directory" => text! {
            en: "Another certificate authority",
            fr: "Une autre autorité de certification",
        },
        "init --lan" => text! {
            en: "In clear, for private addresses only",
            fr: "En clair, pour des adresses privées seulement",
        },
        "init --behind_proxy" => text! {
            en: "In clear, from a proxy at this address that does TLS; may be repeated",
            fr: "En clair, depuis un proxy à cette adresse qui fait le TLS ; répétable",
        },
        "init --consumer" => text! {
            en: "Who may call; gets a first key, shown once; may be repeated",
            fr: "Qui peut appeler ; reçoit une première clé, montrée une seule fois ; répétable",
        },
        "man --dir" => text! {
            en: "Write one page for each command into this directory",
            fr: "Écrire une page par commande dans ce répertoire",
        },
        "version --verbose" => text! {
            en: "With revision, compiler, target, features and linked libraries",
            fr: "Avec la révision, le compilateur, la cible, les options et les bibliothèques liées",
        },
        "demo --once" => text! {
            en: "Play a whole visit, show what was expected and seen, and end",
            fr: "Jouer une visite entière, montrer l'attendu et le constaté, puis finir",
        },
        "keys new --consumer" => text! { en: "Whom the key is for", fr: "À qui la clé est destinée" },
        "keys list --consumer" => {
            text! { en: "Only keys of this consumer", fr: "Seulement les clés de ce consommateur" }
        }
        "keys show --consumer" | "keys rotate --consumer" | "keys revoke --consumer" | "keys import --consumer" => {
            text! { en: "The consumer, by its name", fr: "Le consommateur, par son nom" }
        }
        "keys new --id" | "keys import --id" => text! {
            en: "The id of the key, shown in logs [default: the next free one]",
            fr: "L'identifiant de la clé, visible dans les journaux [défaut : le prochain libre]",
        },
        "keys show --id" | "keys revoke --id" => {
            text! { en: "The id of the key", fr: "L'identifiant de la clé" }
        }
        "keys rotate --id" => text! { en: "The id of the key to replace", fr: "L'identifiant de la clé à remplacer" },
        "keys rotate --overlap" => text! {
            en: "How many days the old key stays valid: 7d, 2w, 0d",
            fr: "Combien de jours l'ancienne clé reste valable : 7d, 2w, 0d",
        },
        "--expires" => text! {
            en: "Last day on which the key is valid, UTC [default: in one year]",
            fr: "Dernier jour de validité de la clé, UTC [défaut : dans un an]",
        },
        "--no_expiry" => {
            text! { en: "Make a key that never expires", fr: "Créer une clé qui n'expire jamais" }
        }
        "--create" => text! { en: "Make the consumer as well", fr: "Créer aussi le consommateur" },
        "keys revoke --keep" => {
            text! { en: "Disable the key, and leave it in the file", fr: "Désactiver la clé, et la laisser dans le fichier" }
        }
        "keys import --upstream_key" => text! {
            en: "Admit the key of 8sens itself, for a change-over",
            fr: "Admettre la clé de 8sens elle-même, le temps d'une transition",
        },
        "keys import --until" => {
            text! { en: "Last day of that, UTC", fr: "Dernier jour de cette transition, UTC" }
        }
        "keys import --sha256" => text! {
            en: "SHA-256 of the whole key, hexadecimal, in place of the key",
            fr: "SHA-256 de la clé entière, en hexadécimal, à la place de la clé",
        },
        _ => return None,
    })
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
